//! A real root: a Debian with its package manager.

#![allow(missing_docs)]

mod common;

use common::{can_be_root, debian, end, host_mounts, is_left_out, tree};

#[test]
fn packages_can_be_installed_and_nothing_is_left() {
    if !can_be_root() || is_left_out("network") {
        return;
    }
    let root = debian();
    let host = host_mounts();
    let run = |words: &[&str]| {
        let ended = end(root
            .run(&[&["ROOT"], words].concat())
            .env("DEBIAN_FRONTEND", "noninteractive"));
        assert_eq!(ended.status, 0, "{ended:?}");
        ended.stdout
    };
    run(&["apt-get", "update"]);
    run(&["apt-get", "install", "-y", "hello"]);
    assert_eq!(run(&["hello"]), "Hello, world!\n");
    assert_eq!(host_mounts(), host);
    let left: Vec<String> = tree(root.path())
        .into_iter()
        .filter(|line| line.contains(" 41715 ") || line.contains(" 101404 "))
        .collect();
    assert_eq!(left, [""; 0]);
    for directory in ["dev/shm", "proc", "sys"] {
        let entries = std::fs::read_dir(root.path().join(directory));
        assert!(
            entries.is_ok_and(|mut entries| entries.next().is_none()),
            "{directory}"
        );
    }
}

#[test]
fn a_whole_system_runs_with_its_own_users_and_a_long_pipeline() {
    if !can_be_root() {
        return;
    }
    let root = debian();
    let script = "set -e; useradd -m visitor; su visitor -c 'id -un; pwd'; \
                  find /usr -type f | sort | xargs -n 50 cksum | wc -l | grep -q .; \
                  perl -e 'print qq(perl $$\\n)' >/dev/null; hostname=$(uname -n); test -n \"$hostname\"";
    let ended = end(&mut root.run(&["ROOT", "bash", "-c", script]));
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "visitor\n/\n"),
        "{ended:?}"
    );
}
