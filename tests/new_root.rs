//! NEWROOT can be large, another kind of file system, dead, or not a directory.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::path::Path;

use common::hostile::{
    Outside, assert_refused, assert_success, end, outer_namespace, without_openat2,
};
use common::{Root, User, can_be_root, rootlet, rootlet_path, users};
use rustix::fs::{CWD, FileType, Mode};

fn fill(directory: &Path) {
    for number in 0..10_000 {
        fs::write(directory.join(number.to_string()), "").unwrap();
    }
}

#[test]
fn ten_thousand_entries_do_no_harm() {
    let count = |directory: &Path| fs::read_dir(directory).unwrap().count();
    for user in users() {
        let root = Root::busybox(user);
        let (top, dev) = (root.path(), root.directory("dev"));
        fill(top);
        fill(&dev);
        let look = "ls / | grep -c '^[0-9]*$'; ls /a | grep -c .";
        let words = ["-B", "tmpfs:/a/b", "ROOT", "sh", "-c", look];
        assert_success(&end(&mut root.run(&words)), "10000\n1\n");
        // The other two are bin and dev.
        assert_eq!((count(top), count(&dev)), (10_002, 10_000));
        // Files that the command creates in a directory of the run stay in that directory's mount.
        let write = "cd /a; seq 10000 | xargs touch";
        let words = ["-B", "tmpfs:/a/b", "ROOT", "sh", "-c", write];
        assert_success(&end(&mut root.run(&words)), "");
        assert_eq!(count(&top.join("a")), 10_000);
    }
}

#[test]
fn a_root_that_is_no_directory_is_reported() {
    for user in users() {
        let place = Root::empty(user);
        let outside = Outside::new(user);
        let name = |name: &str| format!("{}/{name}", place.name());
        place.file("file", "");
        place.symlink("dangling", "missing");
        place.symlink("dangling outside", format!("{}/missing", outside.name()));
        place.symlink("loop", "loop");
        place.symlink("to file", "file");
        for (kind, file_type) in [("fifo", FileType::Fifo), ("socket", FileType::Socket)] {
            let mode = Mode::from_raw_mode(0o666);
            rustix::fs::mknodat(CWD, name(kind), file_type, mode, 0).unwrap();
        }
        let long = "n".repeat(256);
        for (kind, why) in [
            ("file", "ENOTDIR"),
            ("file/x", "ENOTDIR"),
            ("to file", "ENOTDIR"),
            ("fifo", "ENOTDIR"),
            ("socket", "ENOTDIR"),
            ("dangling", "ENOENT"),
            ("dangling outside", "ENOENT"),
            ("loop", "ELOOP"),
            (&long, "ENAMETOOLONG"),
        ] {
            for options in [&[][..], &["--overlay"], &["--read-only-root"]] {
                let mut command = rootlet(user);
                command.arg("run").args(options).args([&name(kind), "true"]);
                let ended = end(&mut command);
                assert_refused(&ended, &name(kind));
                assert!(ended.stderr.contains(&format!("({why})")), "{ended:?}");
            }
        }
        let ended = end(rootlet(user).args(["run", "/dev/null", "true"]));
        assert_refused(&ended, "/dev/null");
        outside.assert_untouched(&user);
    }
}

/// A symbolic link to a root works as that root. So does `/`.
#[test]
fn a_link_to_a_root_and_the_hosts_own_are_roots() {
    for user in users() {
        let root = Root::busybox(user);
        let place = Root::empty(user);
        place.symlink("link", root.path());
        place.symlink("host", "/");
        let look = [
            "sh",
            "-c",
            "test -c /dev/null && test -d /proc/1 && ls -d /bin",
        ];
        for new_root in [
            &format!("{}/link", place.name()),
            "/",
            &format!("{}/host", place.name()),
        ] {
            let before = common::host_mounts();
            let ended = end(rootlet(user).args(["run", new_root]).args(look));
            assert_success(&ended, "/bin\n");
            assert_eq!(common::host_mounts(), before);
        }
        assert_eq!(root.tree(), [""; 0]);
    }
}

/// Mounts a FUSE file system at a path and ends its server. An automount or a network share is in
/// the same state once its server is gone.
const MOUNT_DEAD: &str = r#"
dead() {
    exec 9<>/dev/fuse
    mount -i -t fuse dead "$1" -o fd=9,rootmode=40000,user_id=0,group_id=0,allow_other || exit
    exec 9<&-
    stat "$1" 2>&1 | grep -q 'not connected' || exit
}
"#;

#[test]
fn a_dead_mount_is_reported_or_left_alone() {
    if !can_be_root() {
        return;
    }
    let run = |root: &Root, mounted: &str, words: &str| {
        let script = format!(
            r#"{MOUNT_DEAD}
            cd "$1" && dead "./{mounted}" || exit
            exec "$0" run {words}"#
        );
        let mut outer = outer_namespace(&script);
        outer.arg(rootlet_path()).arg(root.path());
        end(&mut outer)
    };
    let root = Root::busybox(User::Root);
    for name in ["a", "dev", "dead"] {
        root.directory(name);
    }
    for options in ["", "--overlay", "--read-only-root"] {
        let new_root = format!("{}/dead", root.name());
        let ended = run(&root, "dead", &format!("{options} {new_root} true"));
        assert_refused(&ended, "(ENOTCONN)");
        // Below the root, a dead mount does not matter unless it is a mount point.
        let look = format!("{options} {} true", root.name());
        assert_success(&run(&root, "a", &look), "");
    }
    for (mounted, words, named) in [
        ("a", "-B tmpfs:/a/b", "/a/b"),
        ("a", "-B tmpfs:/a/../c", "/a/../c"),
        ("dead", "-B ./dead:/new", "/new"),
    ] {
        let ended = run(&root, mounted, &format!("{words} . true"));
        assert_refused(&ended, named);
        assert!(ended.stderr.contains("(ENOTCONN)"), "{ended:?}");
    }
    // If it is a mount point, rootlet has to read whether it is temporary.
    for (mounted, words) in [("a", "-B tmpfs:/a . true"), ("dev", ". true")] {
        let ended = run(&root, mounted, words);
        assert_refused(&ended, &format!("/{mounted}: "));
        assert!(ended.stderr.contains("(ENOTCONN)"), "{ended:?}");
    }
    assert_eq!(root.tree(), ["a 40755 ", "dead 40755 ", "dev 40755 "]);
}

#[test]
fn an_overlay_is_a_root_like_others() {
    if !can_be_root() {
        return;
    }
    for options in ["", "--overlay", "--read-only-root", "--dev=minimal"] {
        let lower = Root::busybox(User::Root);
        let outside = Outside::new(User::Root);
        // These are in the lower layer only. Changing them would copy them up.
        lower.symlink("var", outside.name());
        lower.directory("etc");
        lower.symlink("etc/resolv.conf", format!("{}/missing", outside.name()));
        lower.file("etc/hosts", "");
        let before = lower.tree();
        let place = Root::empty(User::Root);
        for name in ["upper", "work", "root"] {
            place.directory(name);
        }
        let script = format!(
            r#"mount -t overlay none "$2/root" -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" || exit
            "$0" run {options} -B tmpfs:/var/x/y -B tmpfs:/made/here "$2/root" sh -c 'test -c /dev/null && cat /etc/resolv.conf' || exit
            find "$2/upper" -mindepth 1; ls "$2/root""#
        );
        let mut outer = outer_namespace(&script);
        outer
            .arg(rootlet_path())
            .arg(lower.path())
            .arg(place.path());
        let resolv_conf = fs::read_to_string("/etc/resolv.conf").unwrap();
        let ended = end(&mut outer);
        outside.assert_untouched(&ended);
        assert_success(&ended, &format!("{resolv_conf}bin\netc\nvar\n"));
        assert_eq!(lower.tree(), before);
    }
}

/// A squashfs is read-only, therefore mount points have to exist already or need an overlay.
#[test]
fn a_squashfs_is_a_root_as_far_as_it_has_mount_points() {
    if !can_be_root() {
        return;
    }
    let contents = Root::busybox(User::Root);
    for name in ["dev", "proc", "sys", "a"] {
        contents.directory(name);
    }
    contents.file("etc/resolv.conf", "");
    let place = Root::empty(User::Root);
    place.directory("root");
    let image = place.path().join("image");
    let mut squash = common::command(User::Root, "mksquashfs");
    squash.arg(contents.path()).arg(&image);
    common::succeed(squash.args(["-quiet", "-no-progress"]));
    let run = |options: &str, command: &str| {
        let script = format!(
            r#"mount -o loop,ro "$1" "$2" || exit
            "$0" run {options} "$2" sh -c '{command}'"#
        );
        let mut outer = outer_namespace(&script);
        outer.arg(rootlet_path()).arg(&image);
        end(outer.arg(place.path().join("root")))
    };
    let look = "test -c /dev/null && test -d /proc/1 && test -s /etc/resolv.conf";
    assert_success(&run("", look), "");
    assert_success(&run("-B tmpfs:/a", "touch /a/file"), "");
    assert_success(&run("--read-only-root --dev=minimal", look), "");
    assert_success(&run("--overlay -B tmpfs:/b/c", "touch /b/c/file /file"), "");
    for target in ["/b", "/a/b", "/b/c"] {
        let ended = run(&format!("-B tmpfs:{target}"), "true");
        assert_refused(&ended, target);
        assert!(ended.stderr.contains("(EROFS)"), "{ended:?}");
    }
}

/// rootlet writes the kernel's files in the proc that it was started with.
#[test]
fn a_fake_proc_is_never_written() {
    for user in users() {
        let root = Root::busybox(user);
        let files = [
            "proc/self/uid_map",
            "proc/self/gid_map",
            "proc/self/setgroups",
            "proc/self/attr/exec",
            "proc/self/mountinfo",
            "proc/sys/kernel/hostname",
            "proc/sysrq-trigger",
        ];
        for name in files {
            root.file(name, "false");
        }
        root.symlink("proc/1", "self");
        root.symlink("proc/thread-self", "self");
        for options in [
            &[][..],
            &["--mask-proc"],
            &["-u", "0", "--hostname", "inside"],
        ] {
            let mut words = vec!["--no-mounts"];
            words.extend(options);
            words.extend(["ROOT", "true"]);
            for openat2 in [true, false] {
                let mut command = root.run(&words);
                if !openat2 {
                    command = without_openat2(user, &command);
                }
                assert_success(&end(&mut command), "");
                for name in files {
                    let held = fs::read_to_string(root.path().join(name)).unwrap();
                    assert_eq!(held, "false", "{name}");
                }
            }
        }
    }
}

/// CVE-2024-21626: no descriptor of rootlet leads to a current directory outside of the root.
#[test]
fn none_of_our_descriptors_leads_out() {
    for user in users() {
        let root = Root::busybox(user);
        for number in 3..16 {
            let directory = format!("/proc/self/fd/{number}");
            let ended = end(&mut root.run(&["-C", &directory, "ROOT", "pwd"]));
            match ended.status {
                // A directory of the root, or a mount point in it.
                0 => {
                    let inside = ["/\n", "/dev\n", "/proc\n", "/sys\n", "/etc\n"];
                    assert!(inside.contains(&ended.stdout.as_str()), "{ended:?}");
                }
                _ => assert_refused(&ended, &directory),
            }
        }
    }
}
