//! Symbolic links in the place of mount points, and above them, stay inside the new root.

use std::fs::{self};

use super::common::hostile::{Outside, assert_refused, assert_success, end, without_openat2};
use super::common::{self, Root, users};

const LOOK_AT_DEFAULTS: &str = "test -c /dev/null && test -d /proc/1 && test -d /sys/class && \
    test -d /dev/shm && cat /etc/resolv.conf";

#[test]
fn links_in_place_of_the_default_mount_points_stay_inside() {
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
fn looping_links_in_place_of_mount_points_are_reported() {
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
                // A path that goes through a missing directory and back is an error.
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
fn a_link_in_place_of_dev_shm_stays_inside() {
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
                // A link in a bind leads nowhere except below that bind.
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
