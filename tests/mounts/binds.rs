//! Bind mounts: what they show, and what a read-only one refuses.

use super::common::{self, Root, User, can_be_root, end, succeed, users};

#[test]
fn binds_show_directories_and_files_at_their_targets() {
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
fn a_recursive_bind_shows_mounts_below_and_is_read_only_throughout() {
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
fn a_refused_plain_bind_of_mounts_gets_the_reason() {
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
