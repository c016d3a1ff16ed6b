//! The ranges of ids that runs take, and their locks.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use rustix::mount::{MountFlags, mount};

use crate::common::hostile::{assert_refused, end};
use crate::common::place::{on, wait_for_end};
use crate::common::running::Running;
use crate::common::{Root, User, can_be_root, command, rootlet_path, succeed, users};
use crate::{assert_line, first_id, is_nobodys_range, run};

/// In a `/run` of the test's own.
#[test]
fn no_two_runs_share_ids_and_their_locks_are_removed() {
    if !can_be_root() {
        return;
    }
    let own_run = |_: &Path| {
        mount("none", "/run", "tmpfs", MountFlags::empty(), c"").unwrap();
    };
    on(User::Root, own_run, |place| {
        let before = place.tree();
        let script = "PATH=/bin; echo $(busybox cat /proc/self/uid_map); read line";
        let start = || {
            let words = ["ROOT", "/bin/busybox", "sh", "-c", script];
            let running = Running::start(run(place.root, &words).stdin(Stdio::piped()));
            let start = first_id(&running.line());
            (start, running)
        };
        let locks = || -> Vec<String> {
            let Ok(entries) = fs::read_dir("/run/rootlet") else {
                return Vec::new();
            };
            let names = entries.map(|entry| entry.unwrap().file_name());
            let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        let four = || -> Vec<(u32, Running)> { (0..4).map(|_| start()).collect() };
        let name = |start: u32| format!("users-{start}");

        let runs = four();
        let starts: Vec<u32> = runs.iter().map(|(start, _)| *start).collect();
        assert!(starts.is_sorted_by(|one, next| one + 65536 <= *next));
        let mut names: Vec<String> = starts.iter().copied().map(name).collect();
        names.sort();
        assert_eq!(locks(), names);
        for (number, (_, mut running)) in runs.into_iter().enumerate() {
            let pid1 = running.pid1();
            match number {
                0 => drop(running.child.stdin.take()),
                1 => running.signal(15),
                2 => crate::common::send_signal(pid1, 9),
                _ => running.signal(9),
            }
            running.wait();
            wait_for_end(pid1);
        }
        crate::common::wait_until("the removal of mount points", || place.tree() == before);
        // The one whose supervisor was killed has left the name, on which there is no lock.
        assert_eq!(locks(), [name(starts[3])]);
        let again = four();
        assert!(again.iter().map(|(start, _)| start).eq(&starts));
        for (_, mut running) in again {
            drop(running.child.stdin.take());
            running.wait();
        }
        assert_eq!(locks(), Vec::<String>::new());
        assert!(!Path::new("/run/rootlet").exists());
    });
}

#[test]
fn a_run_that_fails_leaves_no_lock() {
    if !can_be_root() {
        return;
    }
    // Of proc no owners can be mapped.
    let script = "mount -t tmpfs run /run; \"$0\" run --private-users /proc true; ls -A /run";
    let mut outer = command(User::Root, "unshare");
    outer.args(["-m", "sh", "-c", script]).arg(rootlet_path());
    let ended = end(&mut outer);
    assert_eq!(ended.stdout, "", "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("cannot map the file owners of /proc on proc"),
        "{ended:?}"
    );
}

/// In a mount namespace of its own, with these lines in /etc/subuid and /etc/subgid.
fn with_ranges(place: &Root, subuid: &str, subgid: &str, root: &Root) -> String {
    place.file("subuid", subuid);
    place.file("subgid", subgid);
    // Ids in the first two ranges that could be taken. No lock of another run counts in this /run.
    place.file("passwd", "somebody:x:524288:0::/:/bin/sh\n");
    place.file("group", "some:x:589824:\n");
    let script = format!(
        "set -e; mount -t tmpfs run /run; cd {}; for file in subuid subgid passwd group; do
            [ -e /etc/$file ] || {{
                mount -t tmpfs etc /etc
                (cd /etc; touch subuid subgid passwd group)
            }}
            mount --bind $file /etc/$file
        done; exec \"$@\"",
        place.name()
    );
    let mut outer = command(User::Root, "unshare");
    let look = "cat /proc/self/uid_map /proc/self/gid_map";
    outer
        .args(["-m", "sh", "-c", &script, "sh"])
        .arg(rootlet_path())
        .args(["run", "--private-users", root.name(), "sh", "-c", look]);
    let shown = succeed(&mut outer);
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn only_roots_own_ranges_are_taken() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    // Numbers that no machine of a test gives to anyone.
    let ours = "me:100000:65536\nroot:1300000000:200000\n";
    let shown = with_ranges(&place, ours, "root:1400000000:200000\n", &root);
    assert_eq!(shown, "0 1300000000 65536 0 1400000000 65536");
    let shown = with_ranges(
        &place,
        "0:1300000000:1000\n",
        "root:1400000000:2000\n",
        &root,
    );
    assert_eq!(shown, "0 1300000000 1000 0 1400000000 1000");
    // All ids that systemd keeps for containers belong to somebody, except the last ones.
    let others = "me:524288:1878392832\n";
    let shown = with_ranges(&place, others, "", &root);
    let first = shown.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(
        is_nobodys_range(first) && first >= 524_288 + 1_878_392_832,
        "{shown}"
    );
    assert_eq!(with_ranges(&place, "", others, &root), shown);
    // A range with the id of an account, or of a group, is not free.
    let shown = with_ranges(&place, "", "", &root);
    assert_eq!(shown, "0 655360 65536 0 655360 65536");
    // A range that begins with the host's root is none.
    let shown = with_ranges(&place, "root:0:4000000000\n", "root:0:4000000000\n", &root);
    assert!(is_nobodys_range(first_id(&shown)), "{shown}");
}

#[test]
fn a_range_can_be_given() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let mut given = root.run(&[
        "--private-users=1500000000:70000",
        "ROOT",
        "cat",
        "/proc/self/gid_map",
    ]);
    let shown = succeed(&mut given);
    let shown: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(shown, ["0", "1500000000", "70000"]);
    for (given, line) in [
        (
            "0:65536",
            "cannot set up private users 0:65536: the range must not contain 0, the host's root",
        ),
        ("7:0", "cannot set up private users 7:0: the range is empty"),
        (
            "4294967295:1",
            "cannot set up private users 4294967295:1: ids range from 0 to 4294967294",
        ),
        ("7", "--private-users: '7' is not auto or START:COUNT"),
        (
            "1:2:3",
            "--private-users: '1:2:3' is not auto or START:COUNT",
        ),
    ] {
        let option = format!("--private-users={given}");
        assert_line(&end(&mut root.run(&[&option, "ROOT", "true"])), line);
    }
    for (more, line) in [
        (
            &["--map-users", "root"][..],
            "--private-users: cannot be combined with --map-users",
        ),
        (
            &["--dev", "host"],
            "--private-users: cannot be combined with --dev host",
        ),
        (
            &["--share", "user"],
            "cannot set up private users: they need a user namespace",
        ),
    ] {
        let words = [more, &["ROOT", "true"]].concat();
        assert_line(&end(&mut run(&root, &words)), line);
    }
}

#[test]
fn only_root_can_have_private_users() {
    for user in users().into_iter().filter(|user| *user == User::Ordinary) {
        let root = Root::busybox(user);
        let ended = end(&mut run(&root, &["ROOT", "true"]));
        assert_refused(
            &ended,
            "cannot set up private users: this needs root with CAP_SYS_ADMIN",
        );
    }
}
