//! Five thousand mounts on the host, and a run in a root with five thousand below it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change,
};

use crate::common::{Root, User, can_be_root, end, succeed};
use crate::load::{in_full, in_own_mounts, median, own_mounts, rounds, turn};
use crate::summary;

/// Mounts a tmpfs for as long as this thread lives. It is shared, as mounts on Debian are.
fn tmpfs(directory: &Path) {
    mount("tmpfs", directory, "tmpfs", MountFlags::empty(), c"").unwrap();
    mount_change(directory, MountPropagationFlags::SHARED).unwrap();
}

/// Adds a mount for each of these numbers, each in its own directory.
fn add(directory: &Path, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let point = directory.join(number.to_string());
        fs::create_dir(&point).unwrap();
        mount_bind("/etc", point).unwrap();
    }
}

/// Returns the median of several runs, each of which succeeds and prints nothing.
fn timed(command: &mut Command) -> String {
    let mut times = Vec::new();
    for _ in 0..11 {
        let begin = Instant::now();
        assert_eq!(succeed(command), "");
        times.push(begin.elapsed());
    }
    median(&times)
}

#[test]
fn five_thousand_mounts_of_the_host() {
    if !can_be_root() {
        return;
    }
    let _turn = turn();
    let root = Root::busybox(User::Root);
    for name in ["dev", "proc", "sys", "etc"] {
        root.directory(name);
    }
    root.file("etc/resolv.conf", "");
    let before = root.tree();
    let host = Root::empty(User::Root);
    in_own_mounts(|| {
        tmpfs(host.path());
        let mut here = 0;
        for number in [0, 1250, 2500, 5000].map(rounds) {
            add(host.path(), here..number);
            here = number;
            let mounts = own_mounts();
            assert!(mounts.lines().count() > number);
            let rootlet = timed(&mut root.run(&["ROOT", "true"]));
            let mut bwrap = crate::common::command(User::Root, "bwrap");
            bwrap.args(["--unshare-pid", "--unshare-ipc", "--unshare-uts"]);
            bwrap.args(["--bind", root.name(), "/", "--dev-bind", "/dev", "/dev"]);
            bwrap.args(["--proc", "/proc", "--ro-bind", "/sys", "/sys"]);
            let bwrap = timed(bwrap.arg("true"));
            // The run sees none of them, and all of them still exist.
            let seen = succeed(&mut root.run(&["ROOT", "cat", "/proc/self/mountinfo"]));
            assert!(!seen.contains(host.name()), "{seen}");
            assert_eq!(own_mounts(), mounts);
            summary(
                "load host mounts",
                &format!("{number} more on the host: rootlet {rootlet}, bubblewrap {bwrap}"),
            );
        }

        // The same mounts, bound into a run, and then below its root.
        let shown = format!("{}:/all", host.name());
        let read_only = format!("{}:/all:rec", host.name());
        let count = "grep -c ' /all/' /proc/self/mountinfo";
        for words in [
            ["--rbind", &shown, "ROOT", "sh", "-c", count],
            ["--ro", &read_only, "ROOT", "sh", "-c", count],
        ] {
            let begin = Instant::now();
            assert_eq!(succeed(&mut root.run(&words)), format!("{here}\n"));
            let took = begin.elapsed().as_millis();
            summary(
                "load host mounts",
                &format!("{here} bound by {}: {took} ms", words[0]),
            );
        }
        let below = root.directory("below");
        mount_bind_recursive(host.path(), &below).unwrap();
        let count = "grep -c ' /below/' /proc/self/mountinfo";
        for option in ["--read-only-root", "--verbose"] {
            let mut command = root.run(&[option, "ROOT", "sh", "-c", count]);
            let output = command.stderr(Stdio::null()).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{option}");
            let seen = String::from_utf8(output.stdout).unwrap();
            assert_eq!(seen, format!("{here}\n"), "{option}");
        }
    });
    fs::remove_dir(root.path().join("below")).unwrap();
    assert_eq!(root.tree(), before);
}

#[test]
fn more_mounts_than_the_kernel_allows() {
    if !can_be_root() {
        return;
    }
    if !in_full() {
        eprintln!("left out: as many mounts as fs.mount-max allows, for which 30 s are needed");
        return;
    }
    let _turn = turn();
    let limit = fs::read_to_string("/proc/sys/fs/mount-max").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let root = Root::busybox(User::Root);
    let before = root.tree();
    let host = Root::empty(User::Root);
    in_own_mounts(|| {
        mount("tmpfs", host.path(), "tmpfs", MountFlags::empty(), c"").unwrap();
        // Double the number until the next doubling would be too many.
        add(host.path(), 0..100);
        for round in 0.. {
            if own_mounts().lines().count() * 2 > limit {
                break;
            }
            let copy = host.path().join(format!("copy-{round}"));
            fs::create_dir(&copy).unwrap();
            mount_bind_recursive(host.path(), copy).unwrap();
        }
        let mounts = own_mounts().lines().count();
        succeed(&mut root.run(&["ROOT", "true"]));
        // From Linux 7.0 on the run has no copy of the host's mounts, so there is room for one.
        let [once, twice, thrice] = [1, 2, 3].map(|number| format!("{}:/{number}", host.name()));
        let words = ["-R", &once, "-R", &twice, "-R", &thrice, "ROOT", "true"];
        let ended = end(&mut root.run(&words));
        let lines = [1, 2, 3].map(|number| {
            format!(
                "rootlet: cannot mount {} on /{number}: No space left on device (ENOSPC)\n\
                 hint: the limit on mounts is reached: see sysctl fs.mount-max\n",
                host.name()
            )
        });
        assert_eq!(ended.status, 125, "{ended:?}");
        assert!(lines.contains(&ended.stderr), "{ended:?}");
        assert_eq!(root.tree(), before);
        assert_eq!(own_mounts().lines().count(), mounts);
        summary(
            "load host mounts",
            &format!(
                "{mounts} of {limit} in use, and three times as many asked for: a clear error"
            ),
        );
    });
}
