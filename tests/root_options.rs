//! What may be written in the new root: `--read-only-root` and `--overlay`.

#![allow(missing_docs)]

mod common;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

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
    let plan = succeed(&mut root.run(&["-n", "--overlay-size=64m", "ROOT", "true"]));
    let line = format!(
        "new root   {}, under an overlay in memory (mode=755,size=64m)\n",
        root.name()
    );
    assert!(plan.starts_with(&line), "{plan}");
}

/// Changes of every kind, and what is there afterwards.
const CHANGES: &str = "set -e; cat /kept; echo new >/kept; echo made >/made; mkdir -p /a/b/c; \
    rm -r /directory; mkdir /directory; ls -A /directory; mv /other /renamed; ls /renamed; \
    rm /bin/wc; cat /kept /made; stat -c '%a %u' /";

#[test]
fn what_is_written_above_an_overlay_vanishes() {
    for user in users() {
        let root = Root::busybox(user);
        root.file("kept", "old\n");
        root.file("directory/file", "");
        root.file("other/file", "");
        std::fs::set_permissions(root.path(), Permissions::from_mode(0o751)).unwrap();
        let before = common::tree(root.path());
        let words = ["--overlay", "ROOT", "sh", "-c", CHANGES];
        for calls in ["", "mount_setattr", "open_tree,move_mount,mount_setattr"] {
            let ended = match calls {
                "" => end(&mut root.run(&words)),
                calls => without(calls, user, &root, &words),
            };
            let expected = "old\nfile\nnew\nmade\n751 0\n";
            assert_eq!(
                (ended.stdout.as_str(), ended.stderr.as_str()),
                (expected, ""),
                "{user:?}"
            );
            assert_eq!(common::tree(root.path()), before, "{user:?} {calls}");
        }
    }
}

#[test]
fn nothing_is_made_below_an_overlay_while_it_runs() {
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let script = "test -c /dev/null && test -d /proc/1 && echo ready; exec sleep 1000";
        let words = ["--overlay", "-B", "tmpfs:/a/b", "ROOT", "sh", "-c", script];
        let mut running = Running::start_ready(&mut root.run(&words));
        assert_eq!(root.tree(), before);
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        assert_eq!(root.tree(), before);
    }
}

#[test]
fn an_overlay_holds_as_much_as_it_may() {
    for user in users() {
        let root = Root::busybox(user);
        let fill = ["dd", "if=/dev/zero", "of=/big", "bs=64k", "count=8"];
        let words = [&["--overlay-size", "256k", "ROOT"], &fill[..]].concat();
        let ended = end(&mut root.run(&words));
        assert!(
            ended.stderr.contains("No space left on device"),
            "{user:?} {ended:?}"
        );
        let words = [&["--overlay-size=2M", "ROOT"], &fill[..]].concat();
        assert_eq!(end(&mut root.run(&words)).status, 0);
        for size in ["", "k", "1x", "1,mode=777", "-1", "1 "] {
            let ended = end(&mut root.run(&["--overlay-size", size, "ROOT", "true"]));
            assert_eq!(ended.status, 125, "{ended:?}");
            let why = ": a size is a number, and k, m, g or % after it\n";
            assert!(ended.stderr.ends_with(why), "{ended:?}");
        }
        assert_eq!(root.tree(), Vec::<String>::new());
    }
}

#[test]
fn the_old_root_and_the_memory_are_gone_from_an_overlay() {
    for user in users() {
        let root = Root::busybox(user);
        let words = [
            "--overlay",
            "--no-mounts",
            "-B",
            "proc",
            "ROOT",
            "cat",
            "/proc/mounts",
        ];
        let mounts = succeed(&mut root.run(&words));
        let kinds: Vec<&str> = mounts
            .lines()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(kinds, ["overlay", "proc"], "{user:?}");
        // What is bound is the host's all the same, and can be written.
        let host = Root::empty(user);
        let bind = format!("{}:/data", host.name());
        succeed(&mut root.run(&["--overlay", "-B", &bind, "ROOT", "touch", "/data/written"]));
        assert!(host.path().join("written").exists());
        // With the root read-only, mount points are still made in memory.
        let words = ["--overlay", "--read-only-root", "ROOT", "touch", "/x"];
        let ended = end(&mut root.run(&words));
        assert!(ended.stderr.contains("Read-only file system"), "{ended:?}");
        assert_eq!(root.tree(), Vec::<String>::new());
    }
}

#[test]
fn an_overlay_in_a_chroot_of_the_caller() {
    if !can_be_root() {
        return;
    }
    let (outer, inner) = (Root::busybox(User::Root), Root::busybox(User::Root));
    std::fs::rename(
        inner.path().join("bin"),
        outer.directory("inner").join("bin"),
    )
    .unwrap();
    common::copy_program(rootlet_path(), outer.path().join("rootlet"));
    let words = [
        "run",
        "--overlay",
        "--no-mounts",
        "-B",
        "proc",
        "/inner",
        "cat",
        "/proc/mounts",
    ];
    let mut chroot = common::command(User::Root, "chroot");
    let mounts = succeed(chroot.arg(outer.path()).arg("/rootlet").args(words));
    let kinds: Vec<&str> = mounts
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(kinds, ["overlay", "proc"]);
}

#[test]
fn an_overlay_keeps_the_options_of_the_mount_below() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    let script = "set -e; mount --bind \"$2\" \"$3\"; mount -o remount,bind,nosuid,nodev \"$3\"
        mkdir \"$3/below\"; mount -t tmpfs below \"$3/below\"; touch \"$3/below/hidden\"
        \"$1\" run --overlay \"$3\" sh -c 'ls /below; grep \" / \" /proc/mounts'
        chown 54321 \"$3\"; mkdir -m 777 \"$3/dev\"
        setpriv --reuid=54321 --regid=54321 --clear-groups \"$1\" run --overlay \"$3\" true";
    let mut outer = common::command(User::Root, "unshare");
    outer
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(rootlet_path());
    let ended = end(outer.args([root.name(), place.name()]));
    assert!(
        ended
            .stdout
            .starts_with("overlay / overlay rw,nosuid,nodev,"),
        "{ended:?}"
    );
    // What is mounted below cannot be uncovered by a user.
    let line = format!(
        "rootlet: cannot put an overlay on {}: Invalid argument (EINVAL)\nhint: an ordinary user",
        place.name()
    );
    assert!(ended.stderr.starts_with(&line), "{ended:?}");
}

#[test]
fn the_current_directory_is_kept_in_an_overlay() {
    for user in users() {
        let root = Root::busybox(user);
        root.file("here/file", "");
        // The root is named relative to where the caller is.
        let mut run = root.run(&["--overlay", "--skip-chdir", "..", "sh", "-c", "pwd; ls"]);
        run.current_dir(root.path().join("here"));
        assert_eq!(succeed(&mut run), "/here\nfile\n");
    }
}
