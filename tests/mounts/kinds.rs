//! File systems, mount options, and which mount replaces which.

use super::common::{Root, end, succeed, users};
use super::{has, options};

#[test]
fn options_of_a_mount_are_those_of_the_mount() {
    for user in users() {
        let (root, host) = (Root::busybox(user), Root::empty(user));
        let option = format!("{}:/x:nosuid,nodev,noexec", host.name());
        let mounts = succeed(&mut root.run(&["-B", &option, "ROOT", "cat", "/proc/mounts"]));
        for option in ["nosuid", "nodev", "noexec", "rw"] {
            assert!(has(&options(&mounts, "/x"), option), "{option}: {mounts}");
        }
        let option = "tmpfs:/tmp:size=64k,noexec,mode=700";
        let mounts = succeed(&mut root.run(&["-B", option, "ROOT", "cat", "/proc/mounts"]));
        for option in ["size=64k", "noexec", "mode=700", "rw"] {
            assert!(has(&options(&mounts, "/tmp"), option), "{option}: {mounts}");
        }
    }
}

#[test]
fn file_systems_can_be_mounted() {
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let words = [
            "--no-mounts",
            "-B",
            "proc",
            "-B",
            "tmpfs:/dev",
            "-B",
            "devpts",
            "-B",
            "mqueue:/queues",
            "-B",
            "tmpfs:/tmp:size=64k",
            "-B",
            "proc:/second",
            "ROOT",
            "sh",
            "-c",
            "cat /proc/mounts; ls /second/self/status; cat /dev/zero",
        ];
        let ended = end(&mut root.run(&words));
        let kinds: Vec<&str> = ended
            .stdout
            .lines()
            .skip(1)
            .filter_map(|line| line.split(' ').next())
            .collect();
        let expected = [
            "proc",
            "tmpfs",
            "devpts",
            "mqueue",
            "tmpfs",
            "proc",
            "/second/self/status",
        ];
        assert_eq!(kinds, expected, "{user:?} {ended:?}");
        assert!(ended.stderr.contains("can't open '/dev/zero'"), "{ended:?}");
        assert_eq!(root.tree(), before);
        // A directory of that name is still within reach.
        let host = Root::empty(user);
        host.file("proc/file", "not proc");
        let mut run = root.run(&["-B", "./proc:/p", "ROOT", "cat", "/p/file"]);
        assert_eq!(succeed(run.current_dir(host.path())), "not proc");
    }
}

#[test]
fn a_tmpfs_holds_its_size_and_no_more() {
    let root = Root::busybox(users()[0]);
    let words = [
        "-B",
        "tmpfs:/tmp:size=64k",
        "ROOT",
        "dd",
        "if=/dev/zero",
        "of=/tmp/x",
        "bs=1k",
        "count=100",
    ];
    let ended = end(&mut root.run(&words));
    assert!(
        ended.stderr.contains("No space left on device"),
        "{ended:?}"
    );
}

#[test]
fn unavailable_optional_mounts_are_left_out() {
    for user in users() {
        let root = Root::busybox(user);
        let words = [
            "-B",
            "/no/such:/x:optional",
            "-B",
            "$UNSET:/y:optional",
            "ROOT",
            "ls",
            "/",
        ];
        assert_eq!(succeed(&mut root.run(&words)), "bin\ndev\netc\nproc\nsys\n");
        // A mount that fails for another reason is left out with a line.
        root.file("file", "");
        let ended = end(&mut root.run(&["-B", "/dev:/file:optional,rec", "ROOT", "echo", "fine"]));
        assert_eq!((ended.status, ended.stdout.as_str()), (0, "fine\n"));
        let line = "rootlet: left out: cannot mount /dev on /file: Not a directory (ENOTDIR)\n";
        assert_eq!(ended.stderr, line);
    }
}

#[test]
fn later_mounts_take_the_place_of_earlier_ones_and_of_the_defaults() {
    for user in users() {
        let (root, host) = (Root::busybox(user), Root::empty(user));
        host.file("first/one", "");
        host.file("second/two", "");
        let [first, second] = ["first", "second"].map(|name| format!("{}/{name}:/x", host.name()));
        let again = format!("{second}//./");
        for second in [&second, &again] {
            let listed = succeed(&mut root.run(&["-B", &first, "-B", second, "ROOT", "ls", "/x"]));
            assert_eq!(listed, "two\n");
        }
        // In the place of a default one, under what the defaults mount below it.
        let dev = format!("{}/first:/dev", host.name());
        let listed = end(&mut root.run(&[
            "--ro",
            &dev,
            "-B",
            "tmpfs:/dev/shm:optional",
            "ROOT",
            "ls",
            "/dev",
        ]));
        assert_eq!(listed.stdout, "one\n", "{listed:?}");
        host.directory("first/shm");
        let listed = succeed(&mut root.run(&[
            "--ro",
            &dev,
            "ROOT",
            "sh",
            "-c",
            "ls /dev; touch /dev/shm/x",
        ]));
        assert_eq!(listed, "one\nshm\n");
        let resolv = host.file("resolv", "nameserver 192.0.2.1\n");
        let option = format!("{}:/etc/resolv.conf", resolv.display());
        let shown = succeed(&mut root.run(&["-B", &option, "ROOT", "cat", "/etc/resolv.conf"]));
        assert_eq!(shown, "nameserver 192.0.2.1\n");
    }
}

#[test]
fn a_mount_takes_the_place_of_one_with_the_same_target() {
    let root = Root::busybox(users()[0]);
    for (first, second, number) in [
        ("/a", "/a", 1),
        ("/a/b", "/a//b/.", 1),
        ("/a/b/", "/./a/b", 1),
        ("/a/.b", "/a/b", 2),
        ("/a/b.", "/a/b", 2),
        ("/a/b", "/c/b", 2),
        ("/a/b", "/a/c", 2),
        ("/b", "/b/b", 2),
    ] {
        let binds = [first, second].map(|target| format!("tmpfs:{target}"));
        let words = ["-n", "--no-mounts", "-B", &binds[0], "-B", &binds[1]];
        let plan = succeed(&mut root.run(&[&words[..], &["ROOT", "true"]].concat()));
        let mounts = plan.lines().filter(|line| line.contains("new tmpfs"));
        assert_eq!(mounts.count(), number, "{plan}");
    }
}
