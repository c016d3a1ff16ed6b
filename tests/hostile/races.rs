//! A process that swaps files for links during the set-up gains nothing.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::common::hostile::{
    Outside, assert_refused, end, outer_namespace, without, without_openat2,
};
use super::common::{self, Root, User, can_be_root, rootlet_path, users};

use rustix::fs::CWD;

/// Returns the last part of the path: mountinfo shows a path from the root of its file system on.
fn own_name(root: &Root) -> &str {
    root.path().file_name().unwrap().to_str().unwrap()
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
    // No name of the missing target "new" exists outside; "point" does.
    let target = if target_exists { "point" } else { "new/deeper" };
    let bind = format!("{}:/swapped/{target}", source.name());
    // Wherever inside the root it has landed, it is one of the command's mounts.
    let look = format!("grep -q '{}' /proc/self/mountinfo", own_name(&source));

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
fn a_read_only_bind_stays_read_only_when_its_mount_point_is_moved() {
    if !can_be_root() {
        return;
    }
    let (root, source) = (Root::busybox(User::Root), Root::empty(User::Root));
    let swapped = root.directory("swapped");
    root.directory("swapped/point");
    root.directory("other/point");
    root.symlink("link", "other");
    let bind = format!("{}:/swapped/point:ro", source.name());
    let look = format!("grep '{}' /proc/self/mountinfo", own_name(&source));
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
