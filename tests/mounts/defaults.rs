//! The default mounts, and the mount points that are made for a run and removed.

use std::fs;
use std::path::Path;

use super::common::{self, Root, User, can_be_root, end, host_mounts, succeed, users};
use super::{has, options};

#[test]
fn the_default_mounts_come_and_go() {
    for user in users() {
        let root = Root::busybox(user);
        let (before, host) = (root.tree(), host_mounts());
        let script = "set -e; cat /proc/mounts; echo x >/dev/null; test -d /proc/1; \
                      test -d /sys/class; echo x >/dev/shm/x; cat /etc/resolv.conf >/resolv";
        let mounts = succeed(&mut root.run(&["ROOT", "sh", "-c", script]));
        for option in ["nosuid", "nodev", "noexec"] {
            assert!(has(&options(&mounts, "/proc"), option), "{mounts}");
            // /sys is the caller's.
            let callers = options(&fs::read_to_string("/proc/mounts").unwrap(), "/sys");
            let expected = has(&callers, option);
            assert_eq!(has(&options(&mounts, "/sys"), option), expected, "{mounts}");
        }
        assert!(has(&options(&mounts, "/dev/shm"), "nosuid"), "{mounts}");
        assert!(!Path::new("/dev/shm/x").exists());
        assert_eq!(
            fs::read(root.path().join("resolv")).unwrap(),
            fs::read("/etc/resolv.conf").unwrap()
        );
        fs::remove_file(root.path().join("resolv")).unwrap();
        assert_eq!(root.tree(), before);
        assert_eq!(host_mounts(), host);
    }
}

#[test]
fn a_setup_that_fails_half_way_leaves_nothing() {
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let ended = end(&mut root.run(&[
            "-B",
            "/dev/null:/deep/er/null",
            "-B",
            "/no/such:/x",
            "ROOT",
            "true",
        ]));
        assert_eq!(ended.status, 125, "{ended:?}");
        let line = "rootlet: cannot open /no/such: No such file or directory (ENOENT)\nhint: ";
        assert!(ended.stderr.starts_with(line), "{ended:?}");
        assert_eq!(root.tree(), before);
        // A command that is not found is no different.
        assert_eq!(end(&mut root.run(&["ROOT", "nothing"])).status, 127);
        assert_eq!(root.tree(), before);
    }
}

/// Removing a stub when the first of its mounts goes must not take the others for the command's.
#[test]
fn a_directory_made_for_several_mounts_is_gone_again() {
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let file = "/etc/hostname";
        for binds in [
            ["a/1", "a/2", "a/3"],
            ["a/b/1", "a/c/2", "a/b/3"],
            // The last is mounted over the others.
            ["a/b/1", "a/b/2", "a"],
        ] {
            let binds = binds.map(|path| match path {
                "a" => "tmpfs:/a".to_string(),
                path => format!("{file}:/{path}"),
            });
            let [one, two, three] = binds.each_ref().map(String::as_str);
            let words = ["-B", one, "-B", two, "-B", three, "ROOT", "true"];
            succeed(&mut root.run(&words));
            assert_eq!(root.tree(), before, "{binds:?} as {user:?}");
        }
    }
}

#[test]
fn no_mounts_drops_the_defaults_and_keeps_requested_mounts() {
    for user in users() {
        let root = Root::busybox(user);
        assert_eq!(
            succeed(&mut root.run(&["--no-mounts", "ROOT", "ls", "/"])),
            "bin\n"
        );
        for words in [
            ["-B", "/dev/null:/null", "--no-mounts"],
            ["--no-mounts", "-B", "/dev/null:/null"],
        ] {
            let words = [&words[..], &["ROOT", "ls", "/"]].concat();
            assert_eq!(succeed(&mut root.run(&words)), "bin\nnull\n");
        }
    }
}

#[test]
fn nothing_is_made_below_a_bind_from_the_host() {
    for user in users() {
        let (root, host) = (Root::busybox(user), Root::empty(user));
        host.directory("data/real");
        let data = format!("{}/data:/data", host.name());
        let before = common::tree(host.path());
        for point in ["/data/new", "/data/real/new", "/data/../data/new/er"] {
            let inner = format!("/dev/null:{point}");
            let ended = end(&mut root.run(&["-B", &data, "-B", &inner, "ROOT", "true"]));
            assert_eq!(ended.status, 125, "{ended:?}");
            let line = format!(
                "rootlet: cannot make the mount point {point}: Invalid cross-device link (EXDEV)\nhint: "
            );
            assert!(ended.stderr.starts_with(&line), "{ended:?}");
        }
        // Into a tmpfs of the run, it is, also into one that lies in what is bound.
        let words = [
            "-B",
            "tmpfs:/dev/shm",
            "-B",
            &data.replace(":/data", ":/dev/shm/a/b"),
            "ROOT",
            "ls",
            "/dev/shm/a/b",
        ];
        assert_eq!(succeed(&mut root.run(&words)), "real\n");
        let words = [
            "-B",
            "tmpfs:/t",
            "-B",
            &data.replace(":/data", ":/t/a/b"),
            "ROOT",
            "ls",
            "/t/a/b",
        ];
        assert_eq!(succeed(&mut root.run(&words)), "real\n");
        assert_eq!(common::tree(host.path()), before);
    }
}

#[test]
fn resolv_conf_is_shown_whatever_is_in_its_place() {
    let contents = fs::read_to_string("/etc/resolv.conf").unwrap();
    for user in users() {
        for (target, exists) in [
            ("../run/systemd/resolve/stub-resolv.conf", false),
            ("/run/resolv.conf", false),
            ("../../../../run/resolv.conf", false),
            ("real.conf", true),
            ("/etc/real.conf", true),
        ] {
            let root = Root::busybox(user);
            root.symlink("etc/resolv.conf", target);
            if exists {
                root.file("etc/real.conf", "the root's own");
            }
            let before = root.tree();
            assert_eq!(
                succeed(&mut root.run(&["ROOT", "cat", "/etc/resolv.conf"])),
                contents
            );
            assert_eq!(root.tree(), before, "{target}");
        }
        let root = Root::busybox(user);
        root.file("etc/resolv.conf", "the root's own");
        assert_eq!(
            succeed(&mut root.run(&["ROOT", "cat", "/etc/resolv.conf"])),
            contents
        );
        let own = fs::read_to_string(root.path().join("etc/resolv.conf")).unwrap();
        assert_eq!(own, "the root's own");
    }
}

#[test]
fn the_hosts_resolv_conf_is_followed_to_the_real_file_or_left_out() {
    if !can_be_root() {
        return;
    }
    let (root, host) = (Root::busybox(User::Root), Root::empty(User::Root));
    host.file("run/real", "nameserver 192.0.2.7\n");
    let run = |make: &str| {
        let script = format!(
            "set -e; mount --bind \"$1\" /etc; {make}; \"$0\" run \"$2\" sh -c 'cat /etc/resolv.conf 2>/dev/null; ls /'"
        );
        let mut command = common::command(User::Root, "unshare");
        command
            .args(["-m", "sh", "-c", &script])
            .arg(common::rootlet_path());
        succeed(command.arg(host.path()).arg(root.path()))
    };
    let shown = run("ln -s run/real /etc/link; ln -s link /etc/resolv.conf");
    assert_eq!(shown, "nameserver 192.0.2.7\nbin\ndev\netc\nproc\nsys\n");
    fs::remove_file(host.path().join("resolv.conf")).unwrap();
    let mut shown = run("touch \"$2/marker\"");
    shown.retain(|byte| byte != '\n');
    assert_eq!(shown, "bindevmarkerprocsys");
}

#[test]
fn a_read_only_root_without_mount_points_leaves_out_mounts_or_is_a_clear_error() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let run = |options: &str| {
        let script = format!(
            "set -e; mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"; \"$0\" run {options} \"$1\" echo fine"
        );
        let mut command = common::command(User::Root, "unshare");
        command
            .args(["-m", "sh", "-c", &script])
            .arg(common::rootlet_path());
        end(command.arg(root.path()))
    };
    let ended = run("");
    assert_eq!((ended.status, ended.stdout.as_str()), (125, ""));
    let line = "rootlet: cannot make the mount point /dev: Read-only file system (EROFS)\nhint: ";
    assert!(ended.stderr.starts_with(line), "{ended:?}");
    let ended = run("--no-mounts -R /dev:/dev:optional");
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "fine\n"));
    let line =
        "rootlet: left out: cannot make the mount point /dev: Read-only file system (EROFS)\n";
    assert_eq!(ended.stderr, line);
    for directory in ["dev", "proc", "sys"] {
        root.directory(directory);
    }
    let ended = run("");
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "fine\n"));
    let line = "rootlet: left out: cannot make the mount point /etc/resolv.conf: Read-only file system (EROFS)\n";
    assert_eq!(ended.stderr, line);
}

#[test]
fn it_works_inside_a_plain_chroot_and_leaves_the_outer_mounts_alone() {
    if !can_be_root() {
        return;
    }
    // The chroot is a plain directory: not a mount point, and inside mounts that are shared.
    let outer = Root::busybox(User::Root);
    let sub = outer.directory("sub/bin");
    common::copy_program("/bin/busybox", sub.join("sh"));
    common::copy_program(common::rootlet_path(), outer.path().join("rootlet"));
    outer.directory("proc");
    let script = "set -e; mount --make-rshared /; mount -t proc proc \"$0/proc\"; \
                  cat /proc/self/mountinfo >\"$0/before\"; \
                  chroot \"$0\" /rootlet run --no-mounts -B proc -B /bin:/host-bin /sub sh -c 'echo $$; echo /*'; \
                  cat /proc/self/mountinfo >\"$0/after\"; cmp \"$0/before\" \"$0/after\"";
    let mut command = common::command(User::Root, "unshare");
    command.args(["-m", "sh", "-c", script]).arg(outer.path());
    assert_eq!(succeed(&mut command), "2\n/bin /host-bin /proc\n");
}
