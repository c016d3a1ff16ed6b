//! The role that rootlet takes from the name it is called by and from its surroundings.

#![allow(missing_docs)]

mod common;

use std::process::Command;

use common::guest::{Guest, Initramfs};
use common::{Root, User, command, end, rootlet_path, users};

/// Runs rootlet under this name as the first process of a pid namespace, in a root in memory, like
/// that of an initramfs.
fn in_container(user: User, name: &str, words: &[&str]) -> Command {
    let script = "mount -t tmpfs none /mnt && cd /mnt && mkdir dev sbin && cp \"$0\" rootlet && \
                  cp \"$0\" \".$1.new\" && mv \".$1.new\" \".$1\" && exec chroot . \"$@\"";
    let mut unshare = command(user, "unshare");
    if user == User::Ordinary {
        unshare.arg("--map-root-user");
    }
    unshare.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c"]);
    unshare
        .arg(script)
        .arg(rootlet_path())
        .arg(name)
        .args(words);
    unshare
}

const VERSION: &str = concat!("rootlet ", env!("CARGO_PKG_VERSION"), "\n");

#[test]
fn in_a_container_any_name_runs_the_command() {
    for user in users() {
        for (name, words) in [
            // `COPY rootlet /init`, `ENTRYPOINT ["/init", "init", "--"]`
            ("/init", &["init", "--"][..]),
            ("/init", &["init"]),
            ("/init", &["--"]),
            // The names in podman run --init, current and former.
            ("/sbin/podman-init", &["--"]),
            ("/dev/init", &["--"]),
            ("/sbin/docker-init", &["--"]),
            ("/sbin/an-init", &["--"]),
            ("/tini-amd64", &["--"]),
            ("/rootlet", &["--"]),
            ("/rootlet", &["init", "--"]),
        ] {
            let words = [words, &["/rootlet", "--version"]].concat();
            let ended = end(&mut in_container(user, name, &words));
            let printed = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
            assert_eq!(printed, (0, VERSION, ""), "{name} {words:?} {user:?}");
        }
        for word in ["--version", "-V"] {
            let ended = end(&mut in_container(user, "/init", &[word]));
            assert_eq!((ended.status, ended.stdout.as_str()), (0, VERSION));
        }
        let ended = end(&mut in_container(user, "/init", &["help", "init"]));
        assert!(ended.stdout.contains("rootlet init [OPTION]"), "{ended:?}");
    }
}

#[test]
fn outside_a_container_init_takes_a_role_like_rootlet() {
    for user in users() {
        let root = Root::empty(user);
        root.symlink("init", rootlet_path());
        let init = root.path().join("init");
        let run = |words: &[&str]| end(command(user, &init).args(words));
        assert_eq!(run(&["init", "--", "sh", "-c", "exit 3"]).status, 3);
        assert_eq!(run(&["run", "/", "sh", "-c", "exit 4"]).status, 4);
        assert_eq!(run(&["--version"]).stdout, VERSION);
        assert_eq!(run(&["help"]).status, 0);
        // As any process other than 1.
        assert_eq!(run(&["boot"]).status, 125);
        assert_eq!(run(&[]).status, 125);
        for name in ["init", "rootlet", "an-init"] {
            root.symlink(&format!("names/{name}"), rootlet_path());
            let named = root.path().join("names").join(name);
            let ended = end(command(user, named).args(["--", "true"]));
            assert_eq!((ended.status, ended.stdout.as_str()), (125, ""), "{name}");
            for cure in ["rootlet init -- COMMAND", "podman-init"] {
                assert!(ended.stderr.contains(cure), "{name} {ended:?}");
            }
        }
    }
}

#[test]
fn as_the_first_process_of_a_machine_it_boots() {
    let with = |path: &str| Initramfs::new().program(path, rootlet_path());
    for (initramfs, append) in [
        (
            with("bin/rootlet"),
            "rdinit=/bin/rootlet -- /bin/rootlet --version",
        ),
        (
            with("bin/another"),
            "rdinit=/bin/another -- /bin/another --version",
        ),
        // In a container all words belong to the command.
        (with("bin/init"), "rdinit=/bin/init -- /bin/init --version"),
    ] {
        let over = Guest::start(&initramfs, append, &[]).end();
        assert_eq!(over.outcome(), "exit 0", "{append} {over:?}");
    }
}
