//! Hostile roots: whatever a root holds, and whoever changes it meanwhile, nothing outside it is
//! created, changed, removed, mounted on or reached.
//!
//! What NEWROOT itself may be is in `tests/new_root.rs`, roots made at random in
//! `tests/torture/roots.rs`, users and rights in `tests/identity.rs`, the terminal in
//! `tests/pty.rs`, the walk where openat2(2) is missing also in `tests/fallback.rs`.

#![allow(missing_docs)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use common::hostile::{
    Outside, assert_refused, assert_success, end, outer_namespace, without, without_openat2,
};
use common::{Root, User, can_be_root, rootlet_path, users};
use rustix::fs::{CWD, FileType, Mode, inotify};

const LOOK_AT_DEFAULTS: &str = "test -c /dev/null && test -d /proc/1 && test -d /sys/class && \
    test -d /dev/shm && cat /etc/resolv.conf";

#[test]
fn links_in_the_place_of_the_default_mount_points_stay_inside() {
    let resolv_conf = fs::read_to_string("/etc/resolv.conf").unwrap();
    for user in users() {
        let outside = Outside::new(user);
        let mut links = outside.links();
        links.extend(["nowhere", "/nowhere/at/all", "/", "..", "."].map(String::from));
        links.push(outside.link_back());
        for name in ["dev", "proc", "sys", "etc", "etc/resolv.conf"] {
            let root = Root::busybox(user);
            for link in &links {
                root.symlink(name, link);
                let before = root.tree();
                let ended = end(&mut root.run(&["ROOT", "sh", "-c", LOOK_AT_DEFAULTS]));
                let what = (user, name, link, &ended);
                outside.assert_untouched(&what);
                assert_eq!(root.tree(), before, "{what:?}");
                let leads_to_root = ["/", "..", "."].contains(&link.as_str());
                if *link == outside.link_back() && !name.starts_with("etc") {
                    assert_refused(&ended, &format!("make the mount point /{name}"));
                } else if !leads_to_root && *link != outside.link_back() {
                    assert_success(&ended, &resolv_conf);
                }
                fs::remove_file(root.path().join(name)).unwrap();
            }
        }
    }
}

#[test]
fn looping_links_in_the_place_of_mount_points_are_told() {
    for user in users() {
        for (name, named) in [
            ("dev", "/dev"),
            ("proc", "/proc"),
            ("sys", "/sys"),
            ("a", "/a/point"),
            ("a/point", "/a/point"),
        ] {
            for (link, other) in [("loop", "/loop"), ("/loop/x", "/loop")] {
                let root = Root::busybox(user);
                root.symlink("loop", other);
                root.symlink(name, link.replace("loop", "../../loop"));
                let before = root.tree();
                let ended = end(&mut root.run(&["-B", "/usr:/a/point", "ROOT", "true"]));
                assert_refused(&ended, named);
                assert!(ended.stderr.contains("(ELOOP)"), "{ended:?}");
                assert_eq!(root.tree(), before);
            }
        }
    }
}

#[test]
fn links_above_and_at_a_bind_target_stay_inside() {
    for user in users() {
        let outside = Outside::new(user);
        let source = Root::empty(user);
        source.file("data", "bound");
        let bind = |target: &str| format!("{}:{target}", source.name());
        for (name, target) in [
            ("var", "/var/x/y"),
            ("var", "var/point"),
            ("a/b", "/a/b/c/d"),
            ("a/b/c", "/a/b/c"),
            ("a/b", "/a/./b//../b/point/../shm/"),
        ] {
            let root = Root::busybox(user);
            for link in outside.links() {
                root.symlink(name, &link);
                let before = root.tree();
                let look = format!("cat {target}/data");
                let ended = end(&mut root.run(&["-R", &bind(target), "ROOT", "sh", "-c", &look]));
                let what = (user, name, target, &link, &ended);
                outside.assert_untouched(&what);
                assert_eq!(root.tree(), before, "{what:?}");
                // A path that goes through what is missing and back is an error.
                if target.contains("..") {
                    assert_refused(&ended, target);
                } else {
                    assert_success(&ended, "bound");
                }
                fs::remove_file(root.path().join(name)).unwrap();
            }
        }
    }
}

#[test]
fn a_link_in_the_place_of_dev_shm_stays_inside() {
    for user in users() {
        let outside = Outside::new(user);
        for link in outside.links() {
            // In the root itself, and in a directory of the host that is shown as /dev.
            for bound in [false, true] {
                let root = Root::busybox(user);
                let devices = Root::empty(user);
                let bind = format!("{}:/dev", devices.name());
                let mut words = vec!["--no-mounts"];
                if bound {
                    devices.symlink("shm", &link);
                    words.extend(["-R", &bind]);
                } else {
                    root.symlink("dev/shm", &link);
                }
                let look = "echo here >/dev/shm/file && cat /dev/shm/file";
                words.extend(["-B", "tmpfs:/dev/shm", "ROOT", "sh", "-c", look]);
                let before = (root.tree(), common::tree(devices.path()));
                let ended = end(&mut root.run(&words));
                outside.assert_untouched(&(user, &link, bound));
                // What the host shows leads nowhere but below itself.
                match bound {
                    true => assert_refused(&ended, "mount point /dev/shm"),
                    false => assert_success(&ended, "here\n"),
                }
                assert_eq!((root.tree(), common::tree(devices.path())), before);
            }
        }
        let root = Root::busybox(user);
        let look = "echo here >/dev/shm/file && cat /dev/shm/file";
        let ended = end(&mut root.run(&["-B", "tmpfs:/dev", "ROOT", "sh", "-c", look]));
        assert_success(&ended, "here\n");
        assert_eq!(root.tree(), [""; 0]);
    }
}

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
                    // The default is optional, so it is told and left out.
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
fn what_is_no_mount_point_of_ours_is_never_opened() {
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
fn directories_that_may_not_be_read_are_walked_or_told() {
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
            // What follows has to be able to look, whoever runs it.
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
fn a_file_above_a_target_is_told() {
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

#[test]
fn magic_links_lead_nowhere() {
    for user in users() {
        let outside = Outside::new(user);
        let name = outside.name();
        for target in [
            format!("/proc/1/root{name}/shm"),
            format!("/proc/1/root{name}/new"),
            format!("/proc/self/root{name}/new"),
            format!("/proc/self/cwd{name}/new"),
            format!("/proc/thread-self/root{name}/new"),
            "/proc/self/fd/3".to_owned(),
            "/proc/self/fd/3/new".to_owned(),
            "/proc/self/fd/0".to_owned(),
            "/through/new".to_owned(),
            "/dev/fd/3/new".to_owned(),
        ] {
            for openat2 in [true, false] {
                let root = Root::busybox(user);
                root.symlink("through", format!("/proc/self/root{name}"));
                let before = root.tree();
                let bind = format!("tmpfs:{target}");
                let mut command = root.run(&["-B", &bind, "ROOT", "true"]);
                if !openat2 {
                    command = without_openat2(user, &command);
                }
                // Should descriptor 3 be inherited, it is of the directory outside.
                let ended = end(command.stdin(fs::File::open(name).unwrap()));
                assert_refused(&ended, &target);
                outside.assert_untouched(&(user, &target, openat2));
                assert_eq!(root.tree(), before);
            }
        }
    }
}

/// The race of CVE-2021-30465 and its kin.
fn race(openat2: bool, target_exists: bool) {
    if !can_be_root() {
        return;
    }
    let outside = Outside::new(User::Root);
    let source = Root::empty(User::Root);
    source.file("data", "bound");
    let root = Root::busybox(User::Root);
    let swapped = root.directory("swapped");
    root.symlink("link", outside.name());
    if target_exists {
        root.directory("swapped/point");
    }
    // Of the missing target "new", no name is outside; "point" is there already.
    let target = if target_exists { "point" } else { "new/deeper" };
    let bind = format!("{}:/swapped/{target}", source.name());
    // Wherever inside the root it has landed, it is one of the command's mounts.
    let look = format!("grep -q '{}' /proc/self/mountinfo", source.name());

    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let link = root.path().join("link");
            let mut swaps = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(CWD, &swapped, CWD, &link, exchange).unwrap();
                swaps += 1;
            }
            swaps
        });
        let runs = || {
            let (mut succeeded, mut refused) = (0, 0);
            for _ in 0..common::rounds(350) {
                let words = [
                    "--no-mounts",
                    "-B",
                    "proc",
                    "-B",
                    &bind,
                    "ROOT",
                    "sh",
                    "-c",
                    &look,
                ];
                let mut command = root.run(&words);
                if !openat2 {
                    command = without_openat2(User::Root, &command);
                }
                let ended = end(&mut command);
                if ended.status == 0 {
                    succeeded += 1;
                    assert_eq!(ended.stderr, "");
                } else {
                    refused += 1;
                    assert_refused(&ended, "/swapped/");
                }
            }
            (succeeded, refused)
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(runs));
        stop.store(true, Ordering::Relaxed);
        let swaps = swapping.join().unwrap();
        let (succeeded, refused) = result.unwrap();
        assert!(
            swaps > 1000 && succeeded > 0,
            "{swaps} {succeeded} {refused}"
        );
    });
    outside.assert_untouched(&"race");
}

#[test]
fn no_race_leads_outside_when_the_target_exists() {
    race(true, true);
}

#[test]
fn no_race_leads_outside_when_the_target_is_made() {
    race(true, false);
}

#[test]
fn no_race_leads_outside_when_the_target_exists_without_openat2() {
    race(false, true);
}

#[test]
fn no_race_leads_outside_when_the_target_is_made_without_openat2() {
    race(false, false);
}

/// Swaps what two paths mean as long as the runs go on, and leaves them as they were.
fn while_swapped(paths: [&Path; 2], mut run: impl FnMut()) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let mut swaps = 0u64;
            while swaps % 2 == 1 || !stop.load(Ordering::Relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(CWD, paths[0], CWD, paths[1], exchange).unwrap();
                swaps += 1;
            }
        });
        let runs = || (0..common::rounds(60)).for_each(|_| run());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(runs));
        stop.store(true, Ordering::Relaxed);
        swapping.join().unwrap();
        result.unwrap();
    });
}

/// The devices are made after the mount that holds them, and only in it.
#[test]
fn devices_of_a_minimal_dev_are_never_made_in_the_root() {
    // Of mount points that are swapped, those that were made for the run may stay, marked as such.
    let assert_empty = |directory: &Path| {
        let mut held = common::tree(directory);
        held.retain(|line| !line.ends_with(" 41715 "));
        assert!(held.is_empty(), "{directory:?} {held:?}");
    };
    for user in users() {
        let (root, mounted) = (Root::busybox(user), Root::empty(user));
        let (dev, elsewhere) = (root.directory("dev"), root.directory("elsewhere"));
        root.symlink("link", "elsewhere");
        let link = root.path().join("link");
        while_swapped([&dev, &link], || {
            let ended = end(&mut root.run(&["--dev=minimal", "ROOT", "true"]));
            assert!(matches!(ended.status, 0 | 125), "{ended:?}");
        });
        assert_empty(&dev);
        assert_empty(&elsewhere);
        if user == User::Ordinary {
            continue;
        }
        // The other directory is in another mount.
        while_swapped([&dev, &link], || {
            let script =
                r#"mount --bind "$2" "$1/elsewhere" && exec "$0" run --dev=minimal "$1" true"#;
            let mut outer = outer_namespace(script);
            outer
                .arg(rootlet_path())
                .arg(root.path())
                .arg(mounted.path());
            let ended = end(&mut outer);
            assert!(matches!(ended.status, 0 | 125), "{ended:?}");
        });
        assert_empty(&dev);
        assert_empty(mounted.path());
    }
}

/// Without mount_setattr(2) the flags are set after the mount was attached.
#[test]
fn a_read_only_bind_is_so_wherever_its_mount_point_was_moved() {
    if !can_be_root() {
        return;
    }
    let (root, source) = (Root::busybox(User::Root), Root::empty(User::Root));
    let swapped = root.directory("swapped");
    root.directory("swapped/point");
    root.directory("other/point");
    root.symlink("link", "other");
    let bind = format!("{}:/swapped/point:ro", source.name());
    let look = format!("grep '{}' /proc/self/mountinfo", source.name());
    let words = [
        "--no-mounts",
        "-B",
        "proc",
        "-R",
        &bind,
        "ROOT",
        "sh",
        "-c",
        &look,
    ];
    let (mut succeeded, link) = (0, root.path().join("link"));
    while_swapped([&swapped, &link], || {
        let ended = end(&mut without("mount_setattr", User::Root, &root.run(&words)));
        if ended.status == 0 {
            succeeded += 1;
            assert!(ended.stdout.contains(" ro,"), "{ended:?}");
        } else {
            assert_refused(&ended, "/swapped/point");
        }
    });
    assert!(succeeded > 0);
}

/// The classic way out of a chroot, with and without a descriptor that is kept; prints what is
/// found at the top, and which of the marks given as arguments are within reach.
const BREAK_OUT: &str = r#"
import os, sys
kept = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
os.makedirs("/tmp/jail/deep", exist_ok=True)
os.chdir("/tmp")
def look():
    for _ in range(100):
        os.chdir("..")
    os.chroot(".")
    print(" ".join(sorted(os.listdir("/"))))
    print([mark for mark in sys.argv[1:] if os.path.lexists(mark)])
os.chroot("/tmp/jail")
look()
os.chroot("/tmp/jail")
os.fchdir(kept)
look()
for directory in ["/tmp/jail/deep", "/tmp/jail"]:
    os.rmdir(directory)
"#;

/// The directories that python3 needs, as options of rootlet and as words for a shell loop.
const PROGRAMS: [&str; 4] = ["usr", "lib", "lib64", "bin"];

fn bound_programs() -> Vec<String> {
    PROGRAMS
        .iter()
        .flat_map(|name| ["-R".to_owned(), format!("/{name}:/{name}")])
        .collect()
}

#[test]
fn the_classic_break_out_fails() {
    for user in users() {
        let outside = Outside::new(user);
        let marker = format!("{}/marker", outside.name());
        let root = Root::empty(user);
        root.directory("tmp");
        let mut words: Vec<String> = bound_programs();
        let rest = [
            "ROOT",
            "/usr/bin/python3",
            "-c",
            BREAK_OUT,
            &marker,
            "/root",
            "/boot",
        ];
        words.extend(rest.map(String::from));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = end(&mut root.run(&words));
        let top = "bin dev etc lib lib64 proc sys tmp usr\n[]\n";
        assert_success(&ended, &top.repeat(2));
        assert_eq!(root.tree(), ["tmp 40755 "]);
    }
}

/// A directory for chroot(8), with what is needed to run python3 and rootlet in it, bound by the
/// script `BUILD_JAIL`, and below it the directory `sub` as NEWROOT.
fn jail() -> Root {
    let jail = Root::empty(User::Root);
    for name in PROGRAMS {
        jail.directory(name);
    }
    for name in ["proc", "dev", "sys", "tmp", "sub/tmp"] {
        jail.directory(name);
    }
    jail.file("mark-of-the-jail", "");
    common::copy_program(rootlet_path(), jail.path().join("rootlet"));
    fs::set_permissions(jail.path().join("rootlet"), Permissions::from_mode(0o755)).unwrap();
    jail
}

/// $0 is the jail.
const BUILD_JAIL: &str = r#"
for name in usr lib lib64 bin dev proc sys; do mount --rbind /$name "$0/$name" || exit; done
mount --make-rshared /
"#;

#[test]
fn a_run_inside_a_chroot_has_no_way_out_and_unmounts_nothing_outside() {
    if !can_be_root() {
        return;
    }
    let outside = Outside::new(User::Root);
    let marker = format!("{}/marker", outside.name());
    for jail_is_mounted in [false, true] {
        for options in ["", "-B /usr:/made/for/the/run --skip-chdir"] {
            let jail = jail();
            let before = common::tree(jail.path());
            let mount_jail = if jail_is_mounted {
                r#"mount --bind "$0" "$0" && mount --make-rshared / && cd / || exit"#
            } else {
                ""
            };
            let script = format!(
                r#"{mount_jail}
                {BUILD_JAIL}
                cat /proc/self/mountinfo >"$1/before"
                chroot "$0" /rootlet run {binds} {options} /sub /usr/bin/python3 -c "$2" "$3" /mark-of-the-jail /sub /rootlet
                status=$?
                cat /proc/self/mountinfo >"$1/after"
                exit $status"#,
                binds = bound_programs().join(" ")
            );
            let looks = Root::empty(User::Root);
            let mut outer = outer_namespace(&script);
            outer.arg(jail.path()).arg(looks.path());
            outer.args([BREAK_OUT, &marker]);
            let ended = end(&mut outer);
            let mut top = "bin dev lib lib64 proc sys tmp usr\n[]\n".repeat(2);
            if !options.is_empty() {
                top = top.replace("lib64 ", "lib64 made ");
            }
            assert_success(&ended, &top);
            assert_same_mounts(&looks);
            assert_eq!(common::tree(jail.path()), before);
        }
    }
    outside.assert_untouched(&"a chroot");
}

#[track_caller]
fn assert_same_mounts(looks: &Root) {
    let read = |name: &str| fs::read_to_string(looks.path().join(name)).unwrap();
    let before = read("before");
    assert!(before.contains(" shared:"), "{before}");
    assert_eq!(before, read("after"));
}

/// However a run inside a chroot ends: in an error before and after the mounts, killed, with a
/// command that unmounts all it can, with the chroot's own root as NEWROOT.
#[test]
fn no_end_of_a_run_inside_a_chroot_changes_a_mount_outside() {
    if !can_be_root() {
        return;
    }
    let runs = [
        ("/rootlet run /sub /no/such/command", 127),
        (
            "/rootlet run -R /usr:/usr -B /missing:/missing /sub true",
            125,
        ),
        (
            "/rootlet run -R /usr:/usr -C /missing /sub /usr/bin/true",
            125,
        ),
        ("/rootlet run / /usr/bin/true", 0),
        (
            "/rootlet run --no-mounts / /usr/bin/test -e /mark-of-the-jail",
            0,
        ),
        ("/rootlet run / /usr/bin/umount -a -l -n -i", -1),
        ("/rootlet run / /usr/bin/umount -l /usr", 0),
        (
            "/rootlet run -R /usr -R /lib -R /lib64 -R /bin /sub /usr/bin/umount -R -l /dev",
            0,
        ),
        (
            "/usr/bin/timeout -s KILL 0.2 /rootlet run / /usr/bin/sleep 1000",
            137,
        ),
        (
            "/usr/bin/timeout -s TERM 0.2 /rootlet run / /usr/bin/sleep 1000",
            124,
        ),
    ];
    for jail_is_mounted in [false, true] {
        for (run, status) in runs {
            let jail = jail();
            let mount_jail = if jail_is_mounted {
                r#"mount --bind "$0" "$0" && cd / || exit"#
            } else {
                ""
            };
            // The reader of the pipe that every process of the run holds sees the last one's end.
            let script = format!(
                r#"{mount_jail}
                {BUILD_JAIL}
                cat /proc/self/mountinfo >"$1/before"
                exec 8>"$1/errors"
                {{ chroot "$0" {run} 2>&8; echo $? >"$1/status"; }} | cat
                cat /proc/self/mountinfo >"$1/after""#
            );
            let looks = Root::empty(User::Root);
            let mut outer = outer_namespace(&script);
            outer.arg(jail.path()).arg(looks.path());
            let ended = end(&mut outer);
            assert_eq!(ended.status, 0, "{run} {ended:?}");
            let read = |name: &str| fs::read_to_string(looks.path().join(name)).unwrap();
            if status >= 0 {
                let errors = read("errors");
                assert_eq!(read("status"), format!("{status}\n"), "{run} {errors}");
            }
            assert_same_mounts(&looks);
        }
    }
}

#[test]
fn an_ordinary_user_in_a_chroot_is_told_why_it_cannot_be() {
    if !can_be_root() {
        return;
    }
    let jail = jail();
    let script = format!(
        "{BUILD_JAIL}\nexec chroot --userspec=54321:54321 \"$0\" /rootlet run /sub /usr/bin/true"
    );
    let mut outer = outer_namespace(&script);
    let ended = end(outer.arg(jail.path()));
    assert_refused(
        &ended,
        "make new namespaces: Operation not permitted (EPERM)",
    );
    assert!(ended.stderr.contains("in a chroot: run"), "{ended:?}");
}

#[test]
fn mounts_flow_in_but_never_out() {
    if !can_be_root() {
        return;
    }
    for options in ["", "--unshare user", "--private-users"] {
        flow_in_but_never_out(options);
    }
}

fn flow_in_but_never_out(options: &str) {
    let (root, tree) = (Root::busybox(User::Root), Root::empty(User::Root));
    tree.directory("sub");
    for name in ["inside", "flow"] {
        root.directory(name);
    }
    for name in ["from-inside", "to-inside"] {
        let path = root.path().join(name);
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
    }
    let script = r#"cd "$0"
        cat /proc/self/mountinfo >"$2/before"
        "$1" run OPTIONS -B "$3:/tree" "$0" sh -c '
            mount -t tmpfs none /tree/sub && mount -t tmpfs none /inside && echo secret >/inside/file &&
            mount -t tmpfs none /dev/shm && echo mounted >/from-inside
            read word </to-inside; cat /flow/file; echo seen >/from-inside
            read word </to-inside; test -e /flow/file || echo gone' &
        read word <from-inside
        cat /proc/self/mountinfo >"$2/after"
        ls inside "$3/sub"
        mount -t tmpfs none flow && echo flowed >flow/file && echo look >to-inside
        read word <from-inside
        umount flow && echo look >to-inside
        wait $!"#;
    let looks = Root::empty(User::Root);
    let mut outer = outer_namespace(&script.replace("OPTIONS", options));
    outer.arg(root.path()).arg(rootlet_path());
    outer.arg(looks.path()).arg(tree.path());
    let shown = format!("{}/sub:\n\ninside:\nflowed\ngone\n", tree.name());
    assert_success(&end(&mut outer), &shown);
    assert_same_mounts(&looks);
}

#[test]
fn what_the_command_unmounts_stays_mounted_outside() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let tree = Root::empty(User::Root);
    root.directory("own");
    tree.directory("sub");
    let script = r#"mount -t tmpfs none "$3/sub"; mount -t tmpfs none "$0/own"; mount --make-rshared /
        cat /proc/self/mountinfo >"$2/before"
        "$1" run -R "$3:/tree" "$0" sh -c 'umount /tree/sub && umount /own && umount -l /dev && echo done'
        cat /proc/self/mountinfo >"$2/after""#;
    let looks = Root::empty(User::Root);
    let mut outer = outer_namespace(script);
    outer.arg(root.path()).arg(rootlet_path());
    outer.arg(looks.path()).arg(tree.path());
    assert_success(&end(&mut outer), "done\n");
    assert_same_mounts(&looks);
}

/// A stub's mode is no secret, so a root may hold what looks like one.
#[test]
fn a_false_stub_leads_nowhere() {
    for user in users() {
        let outside = Outside::new(user);
        // What looks like a stub outside, where links and `..` lead.
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
