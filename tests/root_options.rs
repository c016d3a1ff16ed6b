//! Options that change the contents and the write access of the new root: `--read-only-root`,
//! `--overlay`, `--dev`, `--resolv-conf`, `--mask-proc`.

#![allow(missing_docs)]

mod common;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use common::running::Running;
use common::{Ended, Root, User, can_be_root, end, rootlet_path, succeed, users, wait_until};

/// The same command under strace, which fails these calls with ENOSYS.
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
            // Its mount points were nevertheless made and removed.
            assert_eq!(root.tree(), before, "{user:?} {calls}");
        }
    }
}

#[test]
fn mounts_below_a_read_only_root_are_read_only_too() {
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
            // No mount point can be made there, and the error says so.
            let ended = run("--bind=/dev/null:/below/missing");
            assert_eq!(ended.status, 125, "{ended:?}");
            let line = "rootlet: cannot make the mount point /below/missing: Read-only file system \
                        (EROFS)\nhint: create it beforehand";
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
        let names = || std::fs::read_dir(root.path()).unwrap().count();
        wait_until("the mount points are gone", || names() == 1);
        assert_eq!(root.tree(), before);
    }
}

/// Returns the path of each mount that the command sees, and whether it is read-only.
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
fn the_plan_shows_the_root() {
    let root = Root::busybox(users()[0]);
    let plan = succeed(&mut root.run(&["-n", "--read-only-root", "ROOT", "true"]));
    assert!(plan.contains("\nread-only  /\n"), "{plan}");
    let plan = succeed(&mut root.run(&["-n", "--overlay-size=64m", "ROOT", "true"]));
    let line = "\noverlay    mode=755,size=64m\n";
    assert!(plan.contains(line), "{plan}");
}

/// Changes of every kind, and their results.
const CHANGES: &str = "set -e; cat /kept; echo new >/kept; echo made >/made; mkdir -p /a/b/c; \
    rm -r /directory; mkdir /directory; ls -A /directory; mv /other /renamed; ls /renamed; \
    rm /bin/wc; cat /kept /made; stat -c '%a %u' /";

#[test]
fn writes_to_an_overlay_are_discarded() {
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
fn an_overlay_holds_its_size_and_no_more() {
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
            let why = "is not a size, such as 512m, 1g or 50%\n";
            let line = format!("rootlet: --overlay-size: '{size}' {why}");
            assert!(ended.stderr.starts_with(&line), "{ended:?}");
        }
        assert_eq!(root.tree(), Vec::<String>::new());
    }
}

#[test]
fn an_overlay_hides_the_old_root_and_its_memory() {
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
        // A bind still shows the host's files and is writable.
        let host = Root::empty(user);
        let bind = format!("{}:/data", host.name());
        succeed(&mut root.run(&["--overlay", "-B", &bind, "ROOT", "touch", "/data/written"]));
        assert!(host.path().join("written").exists());
        // With a read-only root, mount points are still made in memory.
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
    // A user cannot uncover files below the mounts in the root.
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
        // The root is named relative to the caller's working directory.
        let mut run = root.run(&["--overlay", "--skip-chdir", "..", "sh", "-c", "pwd; ls"]);
        run.current_dir(root.path().join("here"));
        assert_eq!(succeed(&mut run), "/here\nfile\n");
    }
}

/// The names in /dev, each with its kind and device numbers or its target, from `ls -l`.
const LIST_DEV: &str = "cd /dev; for name in *; do \
    if [ -L $name ]; then echo $name $(readlink $name); \
    elif [ -c $name ]; then echo $name $(stat -c '%a %t:%T' $name); else echo $name; fi; done";

#[test]
fn a_minimal_dev_has_the_usual_devices_and_no_others() {
    for user in users() {
        let root = Root::busybox(user);
        let listed = succeed(&mut root.run(&["--dev", "minimal", "ROOT", "sh", "-c", LIST_DEV]));
        let expected = "fd /proc/self/fd\nfull 666 1:7\nnull 666 1:3\nptmx pts/ptmx\npts\n\
            random 666 1:8\nshm\nstderr /proc/self/fd/2\nstdin /proc/self/fd/0\n\
            stdout /proc/self/fd/1\ntty 666 5:0\nurandom 666 1:9\nzero 666 1:5\n";
        assert_eq!(listed, expected, "{user:?}");
        // bubblewrap's has the same names, and links to them.
        let mut bwrap = common::command(user, "bwrap");
        root.directory("dev");
        root.directory("proc");
        bwrap.args([
            "--bind",
            root.name(),
            "/",
            "--dev",
            "/dev",
            "--proc",
            "/proc",
        ]);
        let theirs = succeed(bwrap.args(["sh", "-c", "ls /dev"]));
        let theirs: Vec<&str> = theirs.lines().filter(|name| *name != "core").collect();
        let ours: Vec<&str> = listed
            .lines()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(ours, theirs, "{user:?}");

        let script = "echo x >/dev/null && head -c 3 /dev/zero | wc -c && head -c 3 /dev/urandom \
            | wc -c && ls /dev/pts && touch /dev/shm/x && test -c /dev/ptmx && echo fine; \
            echo x >/dev/full";
        let ended = end(&mut root.run(&["--dev=minimal", "ROOT", "sh", "-c", script]));
        assert_eq!(ended.stdout, "3\n3\nptmx\nfine\n", "{user:?} {ended:?}");
        assert!(
            ended.stderr.contains("No space left on device"),
            "{ended:?}"
        );
        // Other mounts can replace files in it, and it can be mounted inside the host's.
        let words = [
            "-B",
            "/dev/null:/dev/other",
            "--no-mounts",
            "--dev",
            "minimal",
            "ROOT",
        ];
        let ended = end(&mut root.run(&[&words[..], &["ls", "/dev/other"]].concat()));
        assert_eq!(ended.stdout, "/dev/other\n", "{user:?} {ended:?}");
        let words = [
            "--dev",
            "minimal",
            "--dev",
            "host",
            "ROOT",
            "cat",
            "/proc/mounts",
        ];
        let host = succeed(&mut root.run(&words));
        assert!(!host.contains("tmpfs /dev tmpfs"), "{host}");
    }
}

#[test]
fn the_nodes_of_roots_minimal_dev_are_its_own() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let script = "chmod 600 /dev/null && rm /dev/zero && mknod /dev/zero c 1 5 && echo fine";
    let words = ["--dev", "minimal", "ROOT", "sh", "-c", script];
    assert_eq!(succeed(&mut root.run(&words)), "fine\n");
    let mode = std::fs::metadata("/dev/null").unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
}

#[test]
fn a_minimal_dev_has_the_terminal_as_its_console() {
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let line = format!(
            "{} run --dev=minimal {} sh -c 'tty; test -w /dev/console && echo yes'",
            rootlet_path().display(),
            root.name()
        );
        let mut script = common::command(user, "script");
        let shown = succeed(script.args(["-qec", &line, "/dev/null"]));
        assert_eq!(shown, "/dev/console\r\nyes\r\n", "{user:?}");
        assert_eq!(root.tree(), before);
    }
}

#[test]
fn resolv_conf_is_bound_copied_or_left_alone() {
    let hosts = std::fs::read_to_string("/etc/resolv.conf").unwrap();
    for user in users() {
        let root = Root::busybox(user);
        root.file("etc/resolv.conf", "the root's\n");
        let before = root.tree();
        let run = |options: &[&str], script: &str| {
            end(&mut root.run(&[options, &["ROOT", "sh", "-c", script]].concat()))
        };
        let cat = "cat /etc/resolv.conf";
        assert_eq!(run(&["--resolv-conf=off"], cat).stdout, "the root's\n");
        assert_eq!(run(&["--resolv-conf=bind"], cat).stdout, hosts);
        let write = "cat /etc/resolv.conf; echo mine >/etc/resolv.conf; cat /etc/resolv.conf";
        for calls in ["", "open_tree,move_mount,mount_setattr"] {
            let words = ["--resolv-conf", "copy", "ROOT", "sh", "-c", write];
            let ended = match calls {
                "" => end(&mut root.run(&words)),
                calls => without(calls, user, &root, &words),
            };
            assert_eq!(ended.stdout, format!("{hosts}mine\n"), "{user:?} {ended:?}");
        }
        // A package manager makes a new file and renames it.
        let replace = "echo new >/etc/new && mv /etc/new /etc/resolv.conf && cat /etc/resolv.conf";
        let ended = run(
            &["--overlay", "--resolv-conf=copy"],
            &format!("{cat}; {replace}"),
        );
        assert_eq!(ended.stdout, format!("{hosts}new\n"), "{user:?} {ended:?}");
        assert_eq!(root.tree(), before);
        let kept = std::fs::read_to_string(root.path().join("etc/resolv.conf")).unwrap();
        assert_eq!(kept, "the root's\n");
        assert_eq!(std::fs::read_to_string("/etc/resolv.conf").unwrap(), hosts);
        // Without /etc, rootlet makes the directory.
        let bare = Root::busybox(user);
        for overlay in ["--overlay", "--no-mounts"] {
            let words = [
                overlay,
                "--resolv-conf=copy",
                "ROOT",
                "cat",
                "/etc/resolv.conf",
            ];
            assert_eq!(succeed(&mut bare.run(&words)), hosts, "{user:?}");
        }
        assert_eq!(bare.tree(), Vec::<String>::new());
    }
}

#[test]
fn masked_proc_changes_nothing_of_the_machine() {
    for user in users() {
        let root = Root::busybox(user);
        let script = "cat /proc/sys/kernel/ostype; (: >>/proc/sys/kernel/hostname) || \
            grep -o ' /proc/sys proc ro,' /proc/mounts; \
            wc -c /proc/keys </proc/keys; ls -A /sys/firmware; test -d /proc/self && echo fine";
        for calls in ["", "mount_setattr", "open_tree,move_mount,mount_setattr"] {
            let words = ["--mask-proc", "ROOT", "sh", "-c", script];
            let ended = match calls {
                "" => end(&mut root.run(&words)),
                calls => without(calls, user, &root, &words),
            };
            assert_eq!(ended.status, 0, "{ended:?}");
            assert!(
                ended.stdout.starts_with("Linux\n"),
                "{user:?} {calls} {ended:?}"
            );
            assert!(
                ended.stdout.ends_with("0 /proc/keys\nfine\n"),
                "{user:?} {calls} {ended:?}"
            );
            assert!(
                ended.stdout.contains("\n /proc/sys proc ro,\n"),
                "{user:?} {calls} {ended:?}"
            );
        }
        // Without a proc there is nothing to mask.
        succeed(&mut root.run(&["--mask-proc", "--no-mounts", "ROOT", "true"]));
        assert_eq!(root.tree(), Vec::<String>::new());
    }
}

#[test]
fn an_unknown_value_is_named_with_its_option() {
    let root = Root::busybox(users()[0]);
    for (option, line) in [
        ("--dev=most", "--dev: 'most' is not host or minimal\n"),
        ("--dev=", "--dev: '' is not host or minimal\n"),
        (
            "--resolv-conf=",
            "--resolv-conf: '' is not bind, copy or off\n",
        ),
    ] {
        let ended = end(&mut root.run(&[option, "ROOT", "true"]));
        let line = format!("rootlet: {line}");
        assert_eq!(ended.status, 125);
        assert!(ended.stderr.starts_with(&line), "{ended:?}");
    }
    let words = [
        "-n",
        "--dev=minimal",
        "--resolv-conf=copy",
        "--mask-proc",
        "ROOT",
        "true",
    ];
    let plan = succeed(&mut root.run(&words));
    for line in [
        "  /dev              new tmpfs (nosuid,noexec,mode=755), with the usual devices, created for",
        "  /etc/resolv.conf  a copy of /etc/resolv.conf",
        "read-only  /proc/sys\n",
        "cover      /proc/kcore\n",
    ] {
        assert!(plan.contains(line), "{plan}");
    }
}
