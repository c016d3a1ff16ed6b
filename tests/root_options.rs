//! What may be written in the new root: `--read-only-root`.

#![allow(missing_docs)]

mod common;

use common::running::Running;
use common::{Ended, Root, User, can_be_root, end, rootlet_path, succeed, users, wait_until};

/// The same command under strace, which answers ENOSYS to these calls.
fn without(calls: &str, user: User, root: &Root, words: &[&str]) -> Ended {
    let run = root.run(words);
    let mut strace = common::command(user, "strace");
    strace
        .args(["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e"])
        .args([format!("trace={calls}"), "-e".into()])
        .arg(format!("inject={calls}:error=ENOSYS"))
        .arg(run.get_program())
        .args(run.get_args());
    end(&mut strace)
}

#[test]
fn a_read_only_root_cannot_be_written_and_its_mounts_can() {
    let script =
        "touch /new /bin/new; touch /data/new /dev/shm/x && echo x >/dev/null && echo fine";
    for user in users() {
        let (root, host) = (Root::busybox(user), Root::empty(user));
        let before = root.tree();
        let data = format!("{}:/data", host.name());
        let words = ["--read-only-root", "-B", &data, "ROOT", "sh", "-c", script];
        for calls in ["", "mount_setattr", "open_tree,move_mount,mount_setattr"] {
            let ended = match calls {
                "" => end(&mut root.run(&words)),
                calls => without(calls, user, &root, &words),
            };
            assert_eq!(
                (ended.status, ended.stdout.as_str()),
                (0, "fine\n"),
                "{ended:?}"
            );
            assert_eq!(
                ended.stderr.matches("Read-only file system").count(),
                2,
                "{ended:?}"
            );
            std::fs::remove_file(host.path().join("new")).unwrap();
            // Its mount points were made and removed all the same.
            assert_eq!(root.tree(), before, "{user:?} {calls}");
        }
    }
}

#[test]
fn what_is_mounted_below_a_read_only_root_is_read_only_too() {
    if !can_be_root() {
        return;
    }
    for user in users() {
        for calls in ["", "mount_setattr", "open_tree,move_mount,mount_setattr"] {
            let root = Root::busybox(user);
            root.directory("below");
            let log = Root::empty(user);
            let script = format!(
                "set -e; mount -t tmpfs -o mode=777 below \"$2/below\"; mkdir -m 777 \"$2/below/deeper\"
                mount -t tmpfs -o mode=777 deeper \"$2/below/deeper\"
                {} {} \"$1\" run --read-only-root {} \"$2\" \
                    sh -c 'touch /below/x /below/deeper/x /x; touch /dev/shm/x && echo fine'",
                match user {
                    User::Root => "",
                    User::Ordinary => "setpriv --reuid=54321 --regid=54321 --clear-groups",
                },
                match calls {
                    "" => String::new(),
                    calls => format!(
                        "strace -f --seccomp-bpf -qq -o {}/log -e trace={calls} -e inject={calls}:error=ENOSYS",
                        log.name()
                    ),
                },
                "$3",
            );
            let run = |option: &str| {
                let mut outer = common::command(User::Root, "unshare");
                outer
                    .args(["-m", "sh", "-c", &script, "sh"])
                    .arg(rootlet_path())
                    .args([root.name(), option]);
                end(&mut outer)
            };
            let ended = run("-v");
            assert_eq!(ended.stdout, "fine\n", "{user:?} {calls} {ended:?}");
            assert_eq!(
                ended.stderr.matches("Read-only file system").count(),
                3,
                "{ended:?}"
            );
            // No mount point is made there: that is said.
            let ended = run("--bind=/dev/null:/below/missing");
            assert_eq!(ended.status, 125, "{ended:?}");
            let line = "rootlet: cannot make the mount point /below/missing: Read-only file system \
                        (EROFS)\nhint: make it beforehand";
            assert!(ended.stderr.starts_with(line), "{ended:?}");
        }
    }
}

#[test]
fn a_read_only_root_is_cleaned_up_when_the_supervisor_is_killed() {
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let words = [
            "--read-only-root",
            "ROOT",
            "sh",
            "-c",
            "echo ready; exec sleep 1000",
        ];
        let mut running = Running::start_ready(&mut root.run(&words));
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        wait_until("the mount points are gone", || root.tree() == before);
    }
}

/// Of each mount that the command sees, its path and whether it is read-only.
fn read_only_mounts(mountinfo: &str) -> Vec<String> {
    let mut mounts: Vec<String> = mountinfo
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let access = fields[5].split(',').next().unwrap();
            format!("{} {access}", fields[4])
        })
        .collect();
    mounts.sort();
    mounts
}

#[test]
fn bubblewrap_makes_the_same_root_read_only() {
    for user in users() {
        let root = Root::busybox(user);
        root.directory("proc");
        root.directory("tmp");
        let words = [
            "--no-mounts",
            "-B",
            "proc",
            "-B",
            "tmpfs:/tmp",
            "--read-only-root",
            "ROOT",
        ];
        let cat = ["cat", "/proc/self/mountinfo"];
        let ours = succeed(&mut root.run(&[&words[..], &cat[..]].concat()));
        let mut bwrap = common::command(user, "bwrap");
        bwrap
            .args([
                "--unshare-pid",
                "--ro-bind",
                root.name(),
                "/",
                "--proc",
                "/proc",
            ])
            .args(["--tmpfs", "/tmp"])
            .args(cat);
        // bwrap covers some of proc.
        let theirs = succeed(&mut bwrap);
        let mut theirs = read_only_mounts(&theirs);
        theirs.retain(|mount| !mount.starts_with("/proc/"));
        assert_eq!(read_only_mounts(&ours), theirs, "{user:?}");
    }
}

#[test]
fn the_plan_tells_of_the_root() {
    let root = Root::busybox(users()[0]);
    let plan = succeed(&mut root.run(&["-n", "--read-only-root", "ROOT", "true"]));
    let line = format!("new root   {}, read-only\n", root.name());
    assert!(plan.starts_with(&line), "{plan}");
}
