//! What the new root shows: the defaults, `--bind` and its relatives, and what they leave behind.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::path::Path;

use common::{Root, User, can_be_root, end, host_mounts, succeed, users};

/// The options of the mount at a path, as the command sees them; empty when there is none.
fn options(mounts: &str, path: &str) -> String {
    let at = |line: &&str| line.split(' ').nth(1) == Some(path);
    let line = mounts.lines().rfind(at).unwrap_or_default();
    line.split(' ').nth(3).unwrap_or_default().to_owned()
}

fn has(options: &str, option: &str) -> bool {
    options.split(',').any(|other| other == option)
}

#[test]
fn the_defaults_are_there_and_gone_again() {
    for user in users() {
        let root = Root::busybox(user);
        let (before, host) = (root.tree(), host_mounts());
        let script = "set -e; cat /proc/mounts; echo x >/dev/null; test -d /proc/1; \
                      test -d /sys/class; echo x >/dev/shm/x; cat /etc/resolv.conf >/resolv";
        let mounts = succeed(&mut root.run(&["ROOT", "sh", "-c", script]));
        for option in ["nosuid", "nodev", "noexec"] {
            assert!(has(&options(&mounts, "/proc"), option), "{mounts}");
            // That is the caller's.
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
fn binds_show_directories_and_files_where_they_are_told_to() {
    for user in users() {
        let (root, host) = (Root::busybox(user), Root::empty(user));
        host.file("data/file", "from the host");
        let data = host.path().join("data");
        let data = data.to_str().unwrap();
        let before = root.tree();
        let cat = |options: &[&str], path: &str| {
            end(root
                .run(&[options, &["ROOT", "cat", path]].concat())
                .current_dir(host.path()))
        };
        let file = format!("{data}/file");
        for (option, path) in [
            (format!("{data}:/inside"), "/inside/file"),
            (format!("{data}:relative/to/root"), "/relative/to/root/file"),
            (data.to_owned(), &file),
            (format!("{data}/file:/a/single"), "/a/single"),
            (format!("{data}/../data//file:/single"), "/single"),
            ("data:/inside".to_owned(), "/inside/file"),
            ("./data".to_owned(), &file),
        ] {
            for flag in ["-B", "--bind", "-R", "--rbind", "--ro", "--readonly"] {
                let ended = cat(&[flag, &option], path);
                assert_eq!(ended.stdout, "from the host", "{flag} {option} {ended:?}");
            }
        }
        let ended = end(root
            .run(&["-B", "$SOURCE:/env", "ROOT", "cat", "/env/file"])
            .env("SOURCE", data));
        assert_eq!(ended.stdout, "from the host", "{ended:?}");
        assert_eq!(root.tree(), before);
    }
}

#[test]
fn a_colon_in_a_path_is_written_with_a_backslash() {
    let (root, host) = (Root::busybox(users()[0]), Root::empty(users()[0]));
    host.file("a:b/file", "colon");
    let option = format!("{}/a\\:b:/c\\:d", host.name());
    assert_eq!(
        succeed(&mut root.run(&["-B", &option, "ROOT", "cat", "/c:d/file"])),
        "colon"
    );
}

#[test]
fn a_read_only_bind_cannot_be_written_and_others_can() {
    for user in users() {
        let (root, host) = (Root::busybox(user), Root::empty(user));
        host.directory("data");
        let data = host.path().join("data");
        let data = data.to_str().unwrap();
        let touch = |flag: &str, options: &str| {
            let option = format!("{data}:/data{options}");
            end(&mut root.run(&[flag, &option, "ROOT", "touch", "/data/new"]))
        };
        for (flag, options) in [
            ("--ro", ""),
            ("--readonly", ""),
            ("-B", ":ro"),
            ("-R", ":ro"),
            ("--ro", ":rec"),
        ] {
            let ended = touch(flag, options);
            assert_eq!(ended.status, 1, "{flag} {options} {ended:?}");
            assert!(ended.stderr.contains("Read-only file system"), "{ended:?}");
        }
        assert_eq!(touch("-B", "").status, 0);
        assert_eq!(touch("-R", ":rw").status, 0);
        assert!(host.path().join("data/new").exists());
    }
}

/// Runs a script as root in a mount namespace of its own, where `$1` is a directory that has a
/// tmpfs at `$1/below`, and `$2` the root.
fn with_a_mount_below(root: &Root, host: &Root, script: &str) -> common::Ended {
    host.directory("below");
    let mut command = common::command(User::Root, "unshare");
    let whole =
        format!("set -e; mount -t tmpfs tmpfs \"$1/below\"; touch \"$1/below/there\"; {script}");
    command
        .args(["-m", "sh", "-c", &whole])
        .arg(common::rootlet_path());
    end(command.arg(host.path()).arg(root.path()))
}

#[test]
fn a_recursive_bind_shows_what_is_mounted_below_and_is_read_only_all_through() {
    if !can_be_root() {
        return;
    }
    let (root, host) = (Root::busybox(User::Root), Root::empty(User::Root));
    let list = |option: &str| {
        let script =
            format!("\"$0\" run {option} \"$2\" sh -c 'ls /x/below; touch /x/below/new /x/new'");
        with_a_mount_below(&root, &host, &script)
    };
    let ended = list("-B \"$1:/x\"");
    assert_eq!((ended.status, ended.stdout.as_str()), (0, ""), "{ended:?}");
    let ended = list("-R \"$1:/x\"");
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "there\n"),
        "{ended:?}"
    );
    for option in [
        "-R \"$1:/x:ro\"",
        "--ro \"$1:/x:rec\"",
        "-B \"$1:/x:ro,rec\"",
    ] {
        let ended = list(option);
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (1, "there\n"),
            "{ended:?}"
        );
        assert_eq!(
            ended.stderr.matches("Read-only file system").count(),
            2,
            "{ended:?}"
        );
    }
}

#[test]
fn a_user_is_told_why_a_plain_bind_of_mounts_is_refused() {
    let root = Root::busybox(User::Ordinary);
    let ended = end(&mut root.run(&["-B", "/dev:/devices", "ROOT", "true"]));
    assert_eq!(ended.status, 125, "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("hint: an ordinary user cannot bind a directory without"),
        "{ended:?}"
    );
    assert_eq!(
        end(&mut root.run(&["-R", "/dev:/devices", "ROOT", "true"])).status,
        0
    );
}

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
fn a_tmpfs_is_filled_and_no_more() {
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
fn optional_mounts_are_left_out_when_they_cannot_be_had() {
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
        // What fails for another reason is left out with a word.
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
fn no_mounts_drops_the_defaults_and_keeps_what_was_asked_for() {
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
fn nothing_is_made_in_what_is_bound_from_the_host() {
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
fn resolv_conf_is_served_whatever_stands_in_its_place() {
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
fn a_read_only_root_without_mount_points_is_a_clear_error_or_does_what_can_be_done() {
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

#[test]
fn a_dry_run_tells_where_each_mount_lands_and_does_nothing() {
    for user in users() {
        let (root, host) = (Root::busybox(user), Root::empty(user));
        root.symlink("etc/resolv.conf", "../run/resolv.conf");
        root.symlink("data", "/var/data");
        let before = root.tree();
        let option = format!("{}:/data/x:ro,nosuid", host.name());
        let words = [
            "-n",
            "-B",
            &option,
            "-B",
            "/no/such:/y:optional",
            "-B",
            "tmpfs:/tmp:size=1m",
            "--hostname",
            "a.b",
            "ROOT",
            "sh",
            "-c",
            "echo hello",
        ];
        let terminals = match user {
            User::Root => "",
            User::Ordinary => {
                "    /dev/pts        new devpts \
                 (nosuid,noexec,newinstance,mode=620,ptmxmode=666)\n"
            }
        };
        let expected = format!(
            "new root   {}\n\
             \x20 /dev              all of /dev, made for the run\n\
             {terminals}\
             \x20   /dev/shm        new tmpfs (nosuid,nodev,mode=1777)\n\
             \x20 /proc             new proc (nosuid,nodev,noexec), made for the run\n\
             \x20 /sys              all of /sys, made for the run\n\
             \x20 /run/resolv.conf  /etc/resolv.conf (ro), made for the run\n\
             \x20 /etc/hosts        a copy of /etc/hosts (ro), made for the run\n\
             \x20 /var/data/x       {} (ro,nosuid), made for the run\n\
             \x20 /y                /no/such, left out: it is missing\n\
             \x20 /tmp              new tmpfs (size=1m), made for the run\n\
             host name  a.b\n\
             in         /\n\
             run        sh -c echo hello\n",
            root.name(),
            host.name()
        );
        assert_eq!(succeed(&mut root.run(&words)), expected);
        assert_eq!(root.tree(), before);
        let ended = end(&mut root.run(&["-n", "-B", "/no/such:/y", "ROOT", "true"]));
        assert_eq!((ended.status, ended.stdout.as_str()), (125, ""));
    }
}

/// Reads the plan as any program would, and finds in it the bytes that were given.
const READ_PLAN: &str = r#"
import json, os, sys
plan = json.load(sys.stdin)
name = os.fsencode(sys.argv[1])
mounts = {mount["target"]: mount for mount in plan["mounts"]}
assert os.fsencode(plan["run"][1]) == name, plan
assert os.fsencode(plan["env"][0]) == b"NAME=" + name, plan
path = "/" + os.fsdecode(name)
assert os.path.basename(os.fsencode(mounts[path]["source"])) == name, plan
assert mounts[path]["options"] == "ro" and not mounts[path]["left-out"], plan
assert mounts["/dev"]["recursive"] and mounts["/dev"]["created"] and mounts["/dev"]["in"] is None
assert mounts["/dev/shm"]["in"] == "/dev" and not mounts["/dev/shm"]["created"]
assert mounts["/proc"]["type"] == "proc"
assert mounts["/none"]["left-out"] and not mounts["/none"]["created"]
assert plan["new root"] == [sys.argv[2]] and plan["in"] == ["/"] and plan["share"] == ["uts"]
"#;

#[test]
fn a_plan_for_programs_keeps_every_byte() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    let (root, host) = (Root::busybox(users()[0]), Root::empty(users()[0]));
    let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    for name in [
        &all[..],
        "\u{fc}\u{1f600}".as_bytes(),
        b"\xf0\x9f",
        b"\xed\xa0\x80",
    ] {
        let name = OsStr::from_bytes(name);
        let path = host.path().join(name);
        std::fs::create_dir(&path).unwrap();
        // A colon ends SRC, unless it is marked.
        let escaped = |bytes: &[u8]| -> Vec<u8> {
            let escape = |byte: &u8| match byte {
                b':' => vec![b'\\', b':'],
                byte => vec![*byte],
            };
            bytes.iter().flat_map(escape).collect()
        };
        let mut mount = escaped(path.as_os_str().as_bytes());
        mount.extend(b":/");
        mount.extend(escaped(name.as_bytes()));
        let mut run = common::rootlet(users()[0]);
        run.args([
            "run",
            "--dry-run=json",
            "--share=uts",
            "-B",
            "/no/such:/none:optional",
        ]);
        run.arg("--ro").arg(OsString::from_vec(mount));
        run.arg("-E")
            .arg(OsString::from_vec([b"NAME=", name.as_bytes()].concat()));
        let plan = run.arg(root.path()).arg("echo").arg(name).output().unwrap();
        assert!(plan.status.success(), "{plan:?}");
        let file = host.file("plan", &plan.stdout);
        let mut python = std::process::Command::new("python3");
        python.args(["-c", READ_PLAN]).arg(name).arg(root.path());
        python.stdin(std::fs::File::open(file).unwrap());
        let read = end(&mut python);
        assert_eq!((read.status, read.stderr.as_str()), (0, ""), "{name:?}");
    }
    let ended = end(&mut root.run(&["--dry-run=yaml", "ROOT", "true"]));
    assert_eq!(ended.status, 125);
    let line = "rootlet: --dry-run: 'yaml' is not json\n";
    assert!(ended.stderr.starts_with(line), "{ended:?}");
}

#[test]
fn the_hosts_root_can_be_bound_with_all_below_it() {
    for user in users() {
        let root = Root::busybox(user);
        for source in ["/", "/..", "/usr/.."] {
            let bind = format!("{source}:/host");
            let script =
                "test -d /host/proc/self && test -c /host/dev/null && ! test -e /host/host";
            succeed(&mut root.run(&["-R", &bind, "ROOT", "sh", "-c", script]));
        }
        assert_eq!(root.tree(), [""; 0]);
    }
}
