//! Odd files, names and permissions where a mount point is expected.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::common::hostile::{Outside, assert_refused, assert_success, end, outer_namespace};
use super::common::{self, Root, User, can_be_root, rootlet_path, users};

use rustix::fs::{CWD, FileType, Mode, inotify};

#[test]
fn nothing_is_made_in_a_directory_that_is_bound_from_the_host() {
    for user in users() {
        let outside = Outside::new(user);
        let name = outside.name();
        let root = Root::busybox(user);
        let before = root.tree();
        for (first, second, named) in [
            (format!("{name}:/dev"), "tmpfs:/dev/new", "/dev/new"),
            (format!("{name}:/a"), "tmpfs:/a/new/deeper", "/a/new/deeper"),
            (
                format!("{name}:/a/b"),
                "/etc/hostname:/a/b/shm/f",
                "/a/b/shm/f",
            ),
            (format!("{name}:/a"), "/etc/hostname:/a/../a/f", "/a/../a/f"),
        ] {
            let words = ["--no-mounts", "-R", &first, "-B", second, "ROOT", "true"];
            assert_refused(&end(&mut root.run(&words)), named);
            outside.assert_untouched(&(user, first));
            assert_eq!(root.tree(), before);
        }
    }
}

/// Below a recursive bind there are mounts with identities of their own.
#[test]
fn nothing_is_made_in_a_mount_below_a_recursive_bind() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let tree = Root::empty(User::Root);
    tree.directory("sub");
    let script = r#"mount -t tmpfs below "$2/sub"
        "$0" run --no-mounts -R "$2:/tree" -B tmpfs:/tree/sub/new "$1" true && exit 1
        find "$2/sub" -mindepth 1; stat -c %Z "$2/sub" >/dev/null"#;
    let mut outer = outer_namespace(script);
    outer.arg(rootlet_path()).arg(root.path()).arg(tree.path());
    let ended = end(&mut outer);
    assert_eq!((ended.status, ended.stdout.as_str()), (0, ""), "{ended:?}");
    assert!(ended.stderr.contains("/tree/sub/new"), "{ended:?}");
}

#[test]
fn special_files_where_directories_or_files_are_expected() {
    for user in users() {
        for name in ["dev", "proc", "etc", "etc/resolv.conf", "a", "a/point"] {
            for kind in ["fifo", "socket", "null", "no driver", "file"] {
                let root = Root::busybox(user);
                let path = root.path().join(name);
                if let Some((above, _)) = name.split_once('/') {
                    root.directory(above);
                }
                let (kind, device) = match kind {
                    "fifo" => (FileType::Fifo, 0),
                    "socket" => (FileType::Socket, 0),
                    "file" => (FileType::RegularFile, 0),
                    // Only root can make these.
                    _ if user == User::Ordinary => continue,
                    "null" => (FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
                    _ => (FileType::BlockDevice, rustix::fs::makedev(4000, 1)),
                };
                rustix::fs::mknodat(CWD, &path, kind, Mode::from_raw_mode(0o666), device).unwrap();
                root.own(name);
                let before = root.tree();
                let words = ["-B", "/etc/hostname:/a/point", "ROOT", "cat", "/a/point"];
                let ended = end(&mut root.run(&words));
                assert_eq!(root.tree(), before, "{ended:?}");
                let what = format!("{user:?} {name} {kind:?} {ended:?}");
                match name {
                    "dev" | "proc" => assert_refused(&ended, &format!("/{name}")),
                    "a" => assert_refused(&ended, "/a/point"),
                    // The default mount is optional, so it is left out with a line.
                    "etc" => {
                        assert_eq!(ended.status, 0, "{what}");
                        assert_eq!(
                            ended.stderr,
                            "rootlet: left out: cannot find the mount point /etc/resolv.conf: Not a directory (ENOTDIR)\n\
                             rootlet: left out: cannot find the mount point /etc/hosts: Not a directory (ENOTDIR)\n"
                        );
                    }
                    // A file goes on anything that is no directory.
                    _ => {
                        let bound = fs::read_to_string("/etc/hostname").unwrap();
                        assert_success(&ended, &bound);
                    }
                }
            }
        }
    }
}

/// To open a device can be to use it: a tape rewinds, a watchdog starts to count.
#[test]
fn devices_in_place_of_mount_points_are_never_opened() {
    for user in users() {
        let root = Root::busybox(user);
        root.directory("etc");
        let path = root.path().join("etc/resolv.conf");
        let (kind, device) = match user {
            User::Root => (FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
            User::Ordinary => (FileType::Fifo, 0),
        };
        rustix::fs::mknodat(CWD, &path, kind, Mode::from_raw_mode(0o666), device).unwrap();
        root.own("etc/resolv.conf");
        let events =
            inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&events, &path, inotify::WatchFlags::OPEN).unwrap();
        let ended = end(&mut root.run(&["ROOT", "true"]));
        assert_success(&ended, "");
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let opened = inotify::Reader::new(&events, &mut buffer).next().is_ok();
        assert!(!opened, "{user:?} {kind:?}");
    }
}

#[test]
fn unreadable_directories_are_walked_or_reported() {
    for user in users() {
        for (mode, owner_is_root) in [(0o711, true), (0o711, false), (0, false), (0, true)] {
            let root = Root::busybox(user);
            root.directory("a/point");
            for path in ["a/point", "a"] {
                let path = root.path().join(path);
                if owner_is_root && common::is_root() {
                    std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
                }
                fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            }
            let run = |target: &str| {
                let bind = format!("/usr:{target}");
                end(&mut root.run(&["-R", &bind, "ROOT", "test", "-d", &format!("{target}/bin")]))
            };
            let foreign = user == User::Ordinary && owner_is_root && common::is_root();
            let (existing, missing) = (run("/a/point"), run("/a/missing"));
            match (foreign, mode) {
                (false, _) => {
                    assert_success(&existing, "");
                    assert_success(&missing, "");
                }
                (true, 0) => {
                    assert_refused(&existing, "/a/point");
                    assert_refused(&missing, "/a/missing");
                }
                (true, _) => {
                    assert_success(&existing, "");
                    assert_refused(&missing, "/a/missing");
                }
            }
            // The rest of the test has to see these directories, as any user.
            for path in ["a", "a/point"] {
                let path = root.path().join(path);
                assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
                fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            }
            let tree = root.tree();
            assert_eq!(tree, ["a 40755 ", "a/point 40755 "], "{user:?} {mode:o}");
        }
    }
}

#[test]
fn names_and_paths_of_every_length() {
    for user in users() {
        let root = Root::busybox(user);
        let name = "n".repeat(255);
        let run = |target: &str| {
            end(&mut root.run(&[
                "--no-mounts",
                "-B",
                &format!("tmpfs:{target}"),
                "ROOT",
                "true",
            ]))
        };
        assert_success(&run(&format!("/{name}")), "");
        assert_success(&run(&format!("/{name}/{name}/{name}")), "");
        assert_refused(&run(&format!("/{name}n")), &name);
        // PATH_MAX counts the NUL.
        let path = |length: usize| {
            format!("/{}", format!("{name}/").repeat(20))
                .split_at(length)
                .0
                .to_owned()
        };
        assert_success(&run(&path(4095)), "");
        for length in [4096, 4097, 5000] {
            assert_refused(&run(&path(length)), &name);
        }
        let long = "/x".repeat(50_000);
        let ended = run(&long);
        assert_refused(&ended, "/x/x/x");
        // Links make it longer than what was typed.
        root.symlink("link", path(4090));
        assert_refused(&run("/link/and/more"), "/link/and/more");
        assert_eq!(root.tree().len(), 1);
    }
}

#[test]
fn a_file_above_a_target_is_reported() {
    for user in users() {
        let root = Root::busybox(user);
        root.file("file", "");
        root.symlink("link", "file");
        for target in ["/file/x", "/file/x/y", "/link/x", "/file/..", "/file/."] {
            let words = [
                "--no-mounts",
                "-B",
                &format!("tmpfs:{target}"),
                "ROOT",
                "true",
            ];
            let ended = end(&mut root.run(&words));
            assert_refused(&ended, target);
            assert!(ended.stderr.contains("(ENOTDIR)"), "{ended:?}");
        }
        assert_eq!(root.tree().len(), 2);
    }
}

/// A stub's mode is no secret, so a root may hold what looks like one.
#[test]
fn a_forged_stub_leads_nowhere() {
    for user in users() {
        let outside = Outside::new(user);
        // A directory outside that looks like a temporary mount point, where links and `..` lead.
        let stub: PathBuf = outside.directory.path().join("looks-like-a-stub");
        fs::create_dir(&stub).unwrap();
        fs::set_permissions(&stub, Permissions::from_mode(0o1715)).unwrap();
        outside.directory.own("looks-like-a-stub");
        let root = Root::busybox(user);
        root.symlink("a", stub.to_str().unwrap());
        root.symlink(
            "b",
            format!("{}{}", "../".repeat(20), &stub.to_str().unwrap()[1..]),
        );
        for target in ["/a", "/b", "/a/c", "/b/../x"] {
            let bind = format!("tmpfs:{target}");
            let before = root.tree();
            let ended = end(&mut root.run(&["--no-mounts", "-B", &bind, "ROOT", "true"]));
            assert!(ended.status == 0 || ended.status == 125, "{ended:?}");
            assert!(is_false_stub(&stub), "{target} {ended:?}");
            assert_eq!(root.tree(), before, "{target} {ended:?}");
        }
    }
}

fn is_false_stub(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o7777 == 0o1715)
}
