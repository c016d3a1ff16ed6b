//! Who the command is, with what environment, and what it may.

#![allow(missing_docs)]

mod common;

use std::process::Command;

use common::{Root, User, can_be_root, command, copy_program, end, rootlet_path, succeed, users};

#[test]
fn the_environment_is_the_callers_with_changes_in_their_order() {
    const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for user in users() {
        let root = Root::busybox(user);
        let seen = |options: &[&str]| {
            let words = [options, &["--no-mounts", "ROOT", "env"]].concat();
            let mut run = root.run(&words);
            run.env("TERM", "dumb")
                .env("A", "of the caller")
                .env("B", "2");
            let shown = succeed(&mut run);
            let mut lines: Vec<String> = shown.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        for (options, expected) in [
            (&[][..], &["A=of the caller", "B=2", PATH, "TERM=dumb"][..]),
            (&["-E", "A=1"], &["A=1", "B=2", PATH, "TERM=dumb"]),
            (
                &["--env=A=", "-EC=a=b", "-E", "C=c d"],
                &["A=", "B=2", "C=c d", PATH, "TERM=dumb"],
            ),
            (&["--unset-env", "A"], &["B=2", PATH, "TERM=dumb"]),
            (
                &["--unset-env", "A", "--env", "A=3"],
                &["A=3", "B=2", PATH, "TERM=dumb"],
            ),
            (
                &["--env", "A=3", "--unset-env=A"],
                &["B=2", PATH, "TERM=dumb"],
            ),
            // Names that begin or end as another does are others.
            (
                &["-E", "AA=1", "-E", "BA=2", "-E", "AB=A", "-E", "A=A"],
                &["A=A", "AA=1", "AB=A", "B=2", "BA=2", PATH, "TERM=dumb"],
            ),
            (
                &["-E", "AA=1", "--unset-env", "A", "-E", "AA=B=2", "-E", "B="],
                &["AA=B=2", "B=", PATH, "TERM=dumb"],
            ),
            (&["--clear-env"], &[PATH, "TERM=dumb"]),
            (
                &["--clear-env", "-E", "A", "--env=B", "-E", "UNSET"],
                &["A=of the caller", "B=2", PATH, "TERM=dumb"],
            ),
            // As the caller has it, whatever was said before.
            (
                &["-E", "A=3", "-E", "A"],
                &["A=of the caller", "B=2", PATH, "TERM=dumb"],
            ),
            (
                &["-E", "C=3", "-E", "C"],
                &["A=of the caller", "B=2", PATH, "TERM=dumb"],
            ),
            (
                &["-E", "A", "-E", "A=3"],
                &["A=3", "B=2", PATH, "TERM=dumb"],
            ),
            (&["-E", "A", "--unset-env=A"], &["B=2", PATH, "TERM=dumb"]),
            (
                &["-E", "A=1", "--clear-env", "--unset-env", "TERM"],
                &["A=1", PATH],
            ),
        ] {
            assert_eq!(seen(options), expected, "{options:?}");
        }
    }
}

#[test]
fn a_clear_environment_without_a_terminal_is_path_alone() {
    let root = Root::busybox(users()[0]);
    root.script("opt/tool", "#!/bin/sh\necho found\n");
    let mut run = root.run(&["--clear-env", "ROOT", "env"]);
    let shown = succeed(run.env("PATH", "/nowhere").env("TERMINFO", "x"));
    assert_eq!(shown.lines().count(), 1, "{shown}");
    // The command is looked for where it is told to look.
    let mut run = root.run(&["-E", "PATH=/opt", "ROOT", "tool"]);
    assert_eq!(succeed(&mut run), "found\n");
}

#[test]
fn what_is_no_variable_is_an_error() {
    for (words, object, why) in [
        (["-E", "="], "=", "is not NAME=VALUE or NAME"),
        (["-E", "=1"], "=1", "is not NAME=VALUE or NAME"),
        (["-E", ""], "", "is not NAME=VALUE or NAME"),
        (
            ["--unset-env", "A=1"],
            "A=1",
            "is not the name of a variable",
        ),
        (["--unset-env", ""], "", "is not the name of a variable"),
    ] {
        let mut run = common::rootlet(users()[0]);
        let ended = end(run.arg("run").args(words).args(["/", "true"]));
        let line = format!("rootlet: {}: '{object}' {why}\n", words[0]);
        assert_eq!(ended.status, 125);
        assert!(ended.stderr.starts_with(&line), "{ended:?}");
    }
}

#[test]
fn the_command_is_told_another_name() {
    for (name, word) in [("-bash", "bash"), ("", "/bin/bash"), ("a b", "bash")] {
        let mut run = common::rootlet(users()[0]);
        run.args(["run", "--argv0", name, "/", word, "-c"]);
        let shown = succeed(run.arg("tr '\\0' , </proc/$$/cmdline; :"));
        assert!(shown.starts_with(&format!("{name},-c,")), "{shown}");
    }
    let root = Root::busybox(users()[0]);
    // Busybox goes by its name.
    let shown = succeed(&mut root.run(&["--argv0=echo", "ROOT", "/bin/busybox", "words"]));
    assert_eq!(shown, "words\n");
    // And so does the shell that is run without a command.
    let mut run = root.run(&["--argv0", "-sh", "-E", "ENV=/no", "ROOT"]);
    run.stdin(std::fs::File::open(root.file("script", "echo $0\n")).unwrap());
    let shown = end(&mut run).stdout;
    assert!(shown.contains("-sh\n"), "{shown}");
}

#[test]
fn a_dry_run_tells_the_environment() {
    let mut run = common::rootlet(users()[0]);
    run.args([
        "run",
        "-n",
        "--no-mounts",
        "--clear-env",
        "-E",
        "A=1",
        "--unset-env",
        "B",
    ]);
    let shown = succeed(run.args(["--argv0", "-sh", "/", "sh"]).env("TERM", "dumb"));
    assert_eq!(
        shown,
        "new root   /\n\
         env        cleared\n\
         env        TERM=dumb\n\
         env        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
         env        A=1\n\
         env        without B\n\
         in         /\n\
         run        sh\n\
         called     -sh\n"
    );
}

/// A copy of rootlet in a directory where an ordinary user can execute it, prepared by a command.
fn copy_with_rights(prepare: &[&str]) -> Root {
    let root = Root::empty(User::Root);
    let copy = root.path().join("rootlet");
    copy_program(rootlet_path(), &copy);
    let [program, arguments @ ..] = prepare else {
        return root;
    };
    let mut prepare = Command::new(program);
    let prepared = prepare.args(arguments).arg(&copy).output();
    let prepared = prepared
        .unwrap_or_else(|_| panic!("{program} is missing: apt-get install libcap2-bin coreutils"));
    assert!(prepared.status.success(), "{prepared:?}");
    root
}

#[test]
fn a_copy_with_rights_of_its_own_refuses_to_run() {
    if !can_be_root() {
        return;
    }
    let line = "rootlet: refuses to run as a set-user-ID or set-group-ID program or one with \
                file capabilities, since every user who starts it would get these rights: chmod ug-s, \
                setcap -r\n";
    for prepare in [
        &["chmod", "4755"][..],
        &["chmod", "2755"],
        &["setcap", "cap_sys_admin+ep"],
        &["setcap", "cap_net_raw+p"],
    ] {
        let place = copy_with_rights(prepare);
        let copy = place.path().join("rootlet");
        for role in [
            &["run", "/", "id"][..],
            &["init", "--", "id"],
            &["--version"],
        ] {
            let ended = end(command(User::Ordinary, &copy).args(role));
            let told = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
            assert_eq!(told, (125, "", line), "{prepare:?} {role:?}");
        }
        // Whoever has the rights anyway may use it.
        succeed(command(User::Root, &copy).args(["run", "/", "id"]));
    }
}

#[test]
fn rights_that_do_not_come_from_the_file_are_no_reason_to_refuse() {
    if !can_be_root() {
        return;
    }
    let place = copy_with_rights(&[]);
    let copy = place.path().join("rootlet");
    // A user with ambient capabilities.
    let mut run = command(User::Root, "setpriv");
    run.args(["--reuid=54321", "--regid=54321", "--clear-groups"]);
    run.args(["--inh-caps=+net_raw", "--ambient-caps=+net_raw"]);
    succeed(run.arg(&copy).args(["init", "--", "true"]));
    // A set-user-ID bit that no_new_privs keeps from working.
    let place = copy_with_rights(&["chmod", "4755"]);
    let mut run = command(User::Ordinary, "setpriv");
    let copy = place.path().join("rootlet");
    succeed(
        run.arg("--no-new-privs")
            .arg(copy)
            .args(["init", "--", "true"]),
    );
}

/// What a process is and may, as its /proc/self/status tells it.
const STATUS: &str = "grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs):' /proc/self/status; :";

/// The same of the process that another program makes of the same user: as root, or as root of a
/// user namespace.
fn oracle(user: User, words: &[&str]) -> String {
    let mut command = match user {
        User::Root => command(user, "env"),
        User::Ordinary => {
            let mut command = command(user, "unshare");
            command.args(["-U", "-r"]);
            command
        }
    };
    succeed(command.args(words).args(["sh", "-c", STATUS]))
}

fn status_in(user: User, options: &[&str]) -> String {
    let mut run = common::rootlet(user);
    run.arg("run").args(options).args(["/", "sh", "-c", STATUS]);
    succeed(&mut run)
}

#[test]
fn rights_are_given_up_as_setpriv_gives_them_up() {
    for user in users() {
        let plain = status_in(user, &[]);
        assert_eq!(plain, oracle(user, &[]), "{user:?}");
        assert!(!plain.contains("CapBnd:\t0000000000000000"), "{plain}");
        for (options, setpriv) in [
            (&["--no-new-privs"][..], &["--no-new-privs"][..]),
            (
                &["--drop-caps", "all"],
                &["--bounding-set=-all", "--inh-caps=-all"],
            ),
            (
                &[
                    "--drop-caps=net_raw,CAP_SYS_ADMIN",
                    "--drop-caps",
                    "Cap_Mknod",
                ],
                &[
                    "--bounding-set=-net_raw,-sys_admin,-mknod",
                    "--inh-caps=-all",
                ],
            ),
            (
                &["--drop-caps", "setpcap,chown", "--no-new-privs"],
                &["--bounding-set=-setpcap,-chown", "--no-new-privs"],
            ),
        ] {
            let seen = status_in(user, options);
            let expected = oracle(user, &[&["setpriv"], setpriv].concat());
            assert_eq!(seen, expected, "{user:?} {options:?}");
            assert_ne!(seen, plain, "{user:?} {options:?}");
        }
    }
}

#[test]
fn a_command_keeps_nothing_of_what_it_gave_up() {
    for user in users() {
        let mut run = common::rootlet(user);
        run.args(["run", "--drop-caps=all", "/"]);
        run.args([
            "sh",
            "-c",
            "chown 1:1 /proc/self/fd/1; mount -t tmpfs none /mnt; echo $?",
        ]);
        let ended = end(&mut run);
        assert!(ended.stdout.trim() != "0" && ended.status == 0, "{ended:?}");
        if user == User::Ordinary {
            continue;
        }
        // To give up what is gone already takes no right, what is there CAP_SETPCAP.
        let mut run = command(User::Root, "setpriv");
        run.args(["--bounding-set=-setpcap,-net_raw"])
            .arg(rootlet_path());
        run.args(["run", "--drop-caps=net_raw", "/", "true"]);
        succeed(&mut run);
        let mut run = command(User::Root, "setpriv");
        run.args(["--bounding-set=-setpcap"]).arg(rootlet_path());
        let ended = end(run.args(["run", "--drop-caps=net_raw", "/", "true"]));
        let line = "rootlet: cannot drop capabilities: Operation not permitted (EPERM)\nhint: ";
        assert!(
            ended.status == 125 && ended.stderr.starts_with(line),
            "{ended:?}"
        );
    }
}

#[test]
fn inheritable_and_ambient_capabilities_of_the_caller_go_no_further() {
    if !can_be_root() {
        return;
    }
    let list = "caps=+sys_admin,+sys_chroot,+net_raw";
    let rights = [&format!("--inh-{list}"), &format!("--ambient-{list}")];
    let ordinary = ["--reuid=54321", "--regid=54321", "--clear-groups"];
    for who in [&[][..], &ordinary] {
        let mut run = command(User::Root, "setpriv");
        run.args(who).args(rights).arg(rootlet_path());
        let shown = succeed(run.args(["run", "/", "sh", "-c", STATUS]));
        for set in ["CapInh", "CapAmb"] {
            assert!(
                shown.contains(&format!("{set}:\t0000000000000000")),
                "{shown}"
            );
        }
        assert!(
            who.is_empty() || shown.contains("CapEff:\t0000000000000000"),
            "{shown}"
        );
    }
    // Also where a user namespace is made.
    let mut run = command(User::Root, "setpriv");
    run.args(ordinary)
        .args(["--inh-caps=+net_raw", "--ambient-caps=+net_raw"]);
    let shown = succeed(
        run.arg(rootlet_path())
            .args(["run", "/", "sh", "-c", STATUS]),
    );
    for set in ["CapInh", "CapAmb"] {
        assert!(
            shown.contains(&format!("{set}:\t0000000000000000")),
            "{shown}"
        );
    }
}

#[test]
fn a_capability_that_there_is_not_is_an_error() {
    for (list, word) in [("", ""), ("net_raw,", ""), ("net_raw,nothing", "nothing")] {
        let mut run = common::rootlet(users()[0]);
        let ended = end(run.args(["run", "--drop-caps", list, "/", "true"]));
        let line = format!("rootlet: --drop-caps: '{word}' is not a capability: ");
        assert!(
            ended.status == 125 && ended.stderr.starts_with(&line),
            "{ended:?}"
        );
    }
}

#[test]
fn a_dry_run_tells_what_is_given_up() {
    let mut run = common::rootlet(users()[0]);
    run.args([
        "run",
        "-n",
        "--no-mounts",
        "--drop-caps=BPF,cap_chown",
        "--no-new-privs",
    ]);
    let shown = succeed(run.args(["/", "true"]));
    let lines = "without    chown,bpf\nwithout    new privileges\n";
    assert!(shown.contains(lines), "{shown}");
}

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
fn a_user_gets_no_rights_back() {
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
fn what_is_no_user_or_group_is_an_error() {
    for user in users() {
        let root = root_with_users(user);
        let not_in_passwd = "it is not in the new root's /etc/passwd";
        let not_in_group = "it is not in the new root's /etc/group";
        let numbers = "numbers go from 0 to 4294967294";
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
                let told = (ended.status, ended.stdout.as_str());
                assert_eq!(told, (125, ""), "{words:?}");
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
            "cannot take the group of 4000:50: Invalid argument (EINVAL)",
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
            ended.stderr.contains("\nhint: the user namespace"),
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
fn a_dry_run_tells_who_it_would_be() {
    let root = root_with_users(users()[0]);
    let shown = succeed(&mut root.run(&["-n", "-u", "alice:staff", "ROOT", "true"]));
    assert!(
        shown.contains("\nuser       1000:50\ngroups     10,50\n"),
        "{shown}"
    );
    let shown = succeed(&mut root.run(&["-n", "-G", "7,wheel,7", "ROOT", "true"]));
    assert!(shown.contains("\ngroups     7,10\n"), "{shown}");
}
