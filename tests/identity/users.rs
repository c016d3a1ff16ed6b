//! Users and groups, and the files of the new root that name them.

use super::STATUS;
use super::common::{Root, User, can_be_root, command, end, succeed, users};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    alice:x:1000:1000:Alice:/home/alice:/bin/ash\n\
    bare:x:1002:1002\n\
    alice:x:0:0::/:/bin/sh\n";

const GROUP: &str = "root:x:0:\nstaff:x:50:alice\nalice:x:1000:\nwheel:x:10:root,alice,bare\n\
    other:x:77:alic,alicee,root\nnone:x:78\n";

/// A root with users of its own, that no other system has.
fn root_with_users(user: User) -> Root {
    let root = Root::busybox(user);
    root.file("etc/passwd", PASSWD);
    root.file("etc/group", GROUP);
    root.directory("proc");
    root
}

#[test]
fn users_and_groups_are_those_that_chroot_gives() {
    if !can_be_root() {
        return;
    }
    let root = root_with_users(User::Root);
    let oracle = |options: &[String]| {
        let mut command = command(User::Root, "unshare");
        let script = "mount --rbind /proc \"$0/proc\" && exec chroot \"$@\"";
        command.args(["-m", "sh", "-c", script]).arg(root.path());
        succeed(
            command
                .args(options)
                .arg(root.path())
                .args(["sh", "-c", STATUS]),
        )
    };
    for (user, groups) in [
        (Some("alice"), None),
        (Some("1000"), None),
        (Some("1000:1000"), None),
        (Some("alice:staff"), None),
        (Some("alice:4000"), None),
        (Some("4000:staff"), None),
        (Some("4000:4001"), None),
        (Some("bare"), None),
        (Some("root"), None),
        (Some("0"), None),
        (Some("0:1000"), None),
        (Some("4294967294:4294967294"), None),
        (Some("alice"), Some("wheel,9999")),
        (Some("alice"), Some("")),
        (Some("1000"), Some("wheel")),
        (Some("4000:4001"), Some("0,staff")),
        (None, Some("")),
        (None, Some("staff,other,4294967294")),
    ] {
        let mut options = Vec::new();
        let mut words = Vec::new();
        if let Some(user) = user {
            // Where chroot asks the root's files about a number, rootlet does not.
            let is_number = user.starts_with(|first: char| first.is_ascii_digit());
            let (alone, all) = (
                is_number && !user.contains(':'),
                is_number && groups.is_none(),
            );
            options.push(match alone {
                true => format!("--userspec=+{user}:+{user}"),
                false => format!("--userspec={user}"),
            });
            options.extend(all.then(|| "--groups=".to_owned()));
            words.extend(["-u", user]);
        }
        if let Some(list) = groups {
            options.push(format!("--groups={list}"));
            words.extend(["-G", list]);
        }
        words.extend(["ROOT", "sh", "-c", STATUS]);
        assert_eq!(
            succeed(&mut root.run(&words)),
            oracle(&options),
            "{words:?}"
        );
    }
}

#[test]
fn a_changed_user_has_no_rights() {
    if !can_be_root() {
        return;
    }
    let root = root_with_users(User::Root);
    for options in [
        &["-u", "alice"][..],
        &["-u", "1000:1000", "--drop-caps", "all"],
    ] {
        let words = [options, &["--no-new-privs", "ROOT", "sh", "-c", STATUS]].concat();
        let shown = succeed(&mut root.run(&words));
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(
                shown.contains(&format!("{set}:\t0000000000000000\n")),
                "{shown}"
            );
        }
        assert!(shown.contains("NoNewPrivs:\t1"), "{shown}");
    }
    // It has no more of its working directory than it may.
    std::fs::set_permissions(
        root.directory("closed"),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    let ended = end(&mut root.run(&["-u", "alice", "-C", "/closed", "ROOT", "true"]));
    let line = "rootlet: cannot change to the directory /closed: Permission denied (EACCES)\n";
    assert_eq!((ended.status, ended.stderr.as_str()), (125, line));
}

#[test]
fn a_user_has_a_home_a_shell_and_a_name() {
    if !can_be_root() {
        return;
    }
    let root = root_with_users(User::Root);
    let seen = |options: &[&str]| {
        let words = [options, &["ROOT", "env"]].concat();
        let mut run = root.run(&words);
        run.env_clear()
            .env("PATH", "/bin")
            .env("HOME", "/caller")
            .env("USER", "caller");
        run.env("LOGNAME", "caller")
            .env("SHELL", "/bin/busybox")
            .env("TERM", "dumb");
        let shown = succeed(&mut run);
        let mut lines: Vec<String> = shown.lines().map(str::to_owned).collect();
        lines.retain(|line| line != "PATH=/bin" && line != "TERM=dumb");
        lines.sort();
        lines.join(" ")
    };
    let of_caller = "HOME=/caller LOGNAME=caller SHELL=/bin/busybox USER=caller";
    for (options, expected) in [
        (&["-G", "staff"][..], of_caller),
        (
            &["-u", "alice"],
            "HOME=/home/alice LOGNAME=alice SHELL=/bin/ash USER=alice",
        ),
        (
            &["-u", "alice:0"],
            "HOME=/home/alice LOGNAME=alice SHELL=/bin/ash USER=alice",
        ),
        (
            &["-u", "root"],
            "HOME=/root LOGNAME=root SHELL=/bin/sh USER=root",
        ),
        (
            &["-u", "bare"],
            "HOME=/ LOGNAME=bare SHELL=/bin/sh USER=bare",
        ),
        (&["-u", "4000"], "HOME=/ SHELL=/bin/sh"),
        (&["-u", "1000"], "HOME=/ SHELL=/bin/sh"),
        (&["-u", "1000:alice"], "HOME=/ SHELL=/bin/sh"),
        (
            &["-E", "HOME=/x", "-u", "alice", "--unset-env", "USER"],
            "HOME=/x LOGNAME=alice SHELL=/bin/ash",
        ),
    ] {
        assert_eq!(seen(options), expected, "{options:?}");
    }
}

#[test]
fn an_unknown_user_or_group_is_an_error() {
    for user in users() {
        let root = root_with_users(user);
        let not_in_passwd = "it is not in the new root's /etc/passwd";
        let not_in_group = "it is not in the new root's /etc/group";
        let numbers = "ids range from 0 to 4294967294";
        let form = "is not USER or USER:GROUP, by names or numbers";
        for (option, value, kind, object, why) in [
            ("-u", "4294967295", "user", "4294967295", numbers),
            ("-u", "4294967296", "user", "4294967296", numbers),
            (
                "-u",
                "99999999999999999999999",
                "user",
                "99999999999999999999999",
                numbers,
            ),
            ("-u", "-1", "user", "-1", not_in_passwd),
            ("-u", "+0", "user", "+0", not_in_passwd),
            ("-u", " 0", "user", " 0", not_in_passwd),
            ("-u", "0x0", "user", "0x0", not_in_passwd),
            ("-u", "", "user", "", form),
            ("-u", ":", "user", ":", form),
            ("-u", ":0", "user", ":0", form),
            ("-u", "1000:", "user", "1000:", form),
            ("-u", "alice:", "user", "alice:", form),
            ("-u", "nobody", "user", "nobody", not_in_passwd),
            ("-u", "nobody:0", "user", "nobody", not_in_passwd),
            ("-u", "alice:4294967295", "group", "4294967295", numbers),
            ("-u", "alice:-1", "group", "-1", not_in_group),
            ("-u", "0:nogroup", "group", "nogroup", not_in_group),
            ("-u", "0:0:0", "group", "0:0", not_in_group),
            ("-G", "0,", "group", "", not_in_group),
            ("-G", "staff,-1", "group", "-1", not_in_group),
            ("-G", "4294967295", "group", "4294967295", numbers),
            ("-G", "nogroup", "group", "nogroup", not_in_group),
        ] {
            for more in [&[][..], &["-n"]] {
                let words = [&[option, value], more, &["ROOT", "true"]].concat();
                let ended = end(&mut root.run(&words));
                let space = if object.is_empty() { "" } else { " " };
                let line = match why == form {
                    true => format!("rootlet: --user: '{object}' {why}"),
                    false => format!("rootlet: cannot find the {kind}{space}{object}: {why}"),
                };
                let printed = (ended.status, ended.stdout.as_str());
                assert_eq!(printed, (125, ""), "{words:?}");
                assert_eq!(
                    ended.stderr.lines().next(),
                    Some(line.as_str()),
                    "{words:?}"
                );
            }
        }
    }
}

#[test]
fn a_user_namespace_with_one_user_has_no_other() {
    let root = root_with_users(User::Ordinary);
    let status = succeed(&mut root.run(&["ROOT", "sh", "-c", STATUS]));
    for zero in ["0", "root", "0:0", "0:root"] {
        let options = ["-u", zero, "-G", "0", "ROOT", "sh", "-c", STATUS];
        assert_eq!(succeed(&mut root.run(&options)), status, "{zero}");
    }
    for (options, line) in [
        (
            ["-u", "4000:0"],
            "cannot become the user 4000:0: Invalid argument (EINVAL)",
        ),
        (
            ["-u", "4000:50"],
            "cannot set the group of 4000:50: Invalid argument (EINVAL)",
        ),
        (["-u", "alice"], "cannot set the supplementary groups: "),
        (
            ["-G", "staff"],
            "cannot set the supplementary groups: Operation not permitted (EPERM)",
        ),
    ] {
        let ended = end(&mut root.run(&[&options[..], &["ROOT", "true"]].concat()));
        assert_eq!(ended.status, 125, "{ended:?}");
        assert!(
            ended.stderr.starts_with(&format!("rootlet: {line}")),
            "{ended:?}"
        );
        assert!(
            ended
                .stderr
                .contains("\nhint: an ordinary user's namespace"),
            "{ended:?}"
        );
    }
}

#[test]
fn hostile_files_have_no_users_and_numbers_need_none() {
    for user in users() {
        let outside = Root::empty(user);
        outside.file("passwd", "alice:x:0:0::/:\n");
        let out = outside.path().join("passwd");
        let up = format!("{}{}", "../".repeat(20), &out.to_str().unwrap()[1..]);
        type Prepare<'a> = Box<dyn Fn(&Root) + 'a>;
        let not_there = "cannot find the user alice: it is not in the new root's /etc/passwd\n";
        let unreadable = "cannot read the new root's /etc/passwd: ";
        let cases: Vec<(&str, Prepare, &str)> = vec![
            ("none", Box::new(|_| ()), not_there),
            (
                "empty",
                Box::new(|root| drop(root.file("etc/passwd", ""))),
                not_there,
            ),
            (
                "NULs",
                Box::new(|root| drop(root.file("etc/passwd", [0; 5000]))),
                not_there,
            ),
            (
                "NUL in the line",
                Box::new(|root| drop(root.file("etc/passwd", "alice:x:0:0::/\0:/bin/sh\n"))),
                not_there,
            ),
            (
                "huge",
                Box::new(|root| {
                    let file = root.file("etc/passwd", "alice:x:0:0::/:\n");
                    let file = std::fs::File::options().write(true).open(file).unwrap();
                    file.set_len(1 << 40).unwrap();
                }),
                "cannot read the new root's /etc/passwd: File too large (EFBIG)\n",
            ),
            (
                "long lines",
                Box::new(|root| {
                    root.file("etc/passwd", ["alice", &":".repeat(1 << 20), "\n"].concat());
                }),
                not_there,
            ),
            (
                "a FIFO",
                Box::new(|root| {
                    root.directory("etc");
                    let path = root.path().join("etc/passwd");
                    let mode = rustix::fs::Mode::from_raw_mode(0o666);
                    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
                        .unwrap();
                }),
                unreadable,
            ),
            (
                "a directory",
                Box::new(|root| drop(root.directory("etc/passwd"))),
                unreadable,
            ),
            (
                "a loop",
                Box::new(|root| root.symlink("etc/passwd", "passwd")),
                unreadable,
            ),
            (
                "a link out",
                Box::new(|root| root.symlink("etc/passwd", &out)),
                not_there,
            ),
            (
                "a link up and out",
                Box::new(|root| root.symlink("etc/passwd", &up)),
                not_there,
            ),
            (
                "a directory that leads out",
                Box::new(|root| root.symlink("etc", outside.path())),
                not_there,
            ),
        ];
        for (case, prepare, line) in &cases {
            let root = Root::busybox(user);
            prepare(&root);
            // A mount point is below /etc as well.
            let ended = end(&mut root.run(&["--no-mounts", "-u", "alice", "ROOT", "true"]));
            assert_eq!(ended.status, 125, "{case}: {ended:?}");
            assert!(
                ended.stderr.starts_with(&format!("rootlet: {line}")),
                "{case}: {ended:?}"
            );
            for number in ["0", "0:0"] {
                let mut run = root.run(&["--no-mounts", "-u", number, "ROOT", "true"]);
                assert_eq!(succeed(&mut run), "", "{case} {number}");
            }
        }
    }
}

#[test]
fn a_link_inside_the_root_and_a_last_line_without_an_end_are_read() {
    for user in users() {
        let root = Root::busybox(user);
        root.file("usr/lib/passwd", "x:x:1:1::/:\nalice:x:0:0::/home:/bin/ash");
        root.symlink("etc/passwd", "/usr/../usr/lib/passwd");
        let options = [
            "--no-mounts",
            "-u",
            "alice",
            "ROOT",
            "sh",
            "-c",
            "echo $HOME $SHELL",
        ];
        assert_eq!(succeed(&mut root.run(&options)), "/home /bin/ash\n");
    }
}

#[test]
fn a_dry_run_shows_user_and_groups() {
    let root = root_with_users(users()[0]);
    let shown = succeed(&mut root.run(&["-n", "-u", "alice:staff", "ROOT", "true"]));
    assert!(
        shown.contains("\nuser       1000:50\ngroups     10,50\n"),
        "{shown}"
    );
    let shown = succeed(&mut root.run(&["-n", "-G", "7,wheel,7", "ROOT", "true"]));
    assert!(shown.contains("\ngroups     7,10\n"), "{shown}");
}
