//! The likely mistakes of the first minutes: each message says what to type next.

#![allow(missing_docs)]

mod common;

use std::process::Command;

use common::{Ended, Root, User, command, end, rootlet, rootlet_path, succeed, users};

/// The error of rootlet with these words, and the hint below it.
#[track_caller]
fn error_and_hint(run: &mut Command, status: i32) -> (String, String) {
    let ended = end(run);
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (status, ""),
        "{ended:?}"
    );
    let mut lines = ended.stderr.lines();
    let error = lines
        .next()
        .and_then(|line| line.strip_prefix("rootlet: "))
        .unwrap_or_default();
    let hint = lines
        .next()
        .and_then(|line| line.strip_prefix("hint: "))
        .unwrap_or_default();
    assert_eq!(lines.next(), None, "{ended:?}");
    (error.to_string(), hint.to_string())
}

#[track_caller]
fn words(words: &[&str]) -> (String, String) {
    error_and_hint(rootlet(users()[0]).args(words), 125)
}

const OF_RUN: &str = "'rootlet help run' lists the options; options of COMMAND come after COMMAND";
const OF_INIT: &str = "--help lists the options; options of COMMAND come after COMMAND";
const OF_ROLES: &str =
    "'rootlet help' lists the roles; a command in a root is: rootlet run NEWROOT [COMMAND]";

#[test]
fn missing_words_are_named() {
    let (error, hint) = words(&[]);
    assert_eq!(error, "missing ROLE: run, init or boot");
    assert_eq!(hint, OF_ROLES);
    let (error, hint) = words(&["run"]);
    assert_eq!(
        error,
        "missing NEWROOT: rootlet run [OPTION]... NEWROOT [COMMAND [ARG]...]"
    );
    assert_eq!(hint, OF_RUN);
    let (error, hint) = words(&["init"]);
    assert_eq!(
        error,
        "missing COMMAND: rootlet init [OPTION]... [--] COMMAND [ARG]..."
    );
    assert_eq!(hint, OF_INIT);
}

#[test]
fn a_missing_role_is_named() {
    let root = Root::busybox(users()[0]);
    let (error, hint) = words(&[root.name(), "ls"]);
    assert_eq!(
        error,
        format!("'{}' is not a role: run, init or boot", root.name())
    );
    assert_eq!(hint, OF_ROLES);
    let (error, _) = words(&["-B", "/srv", root.name(), "ls"]);
    assert_eq!(error, "-B: options come after the role: run, init or boot");
}

/// Each name that rootlet is called by, and the role that it has then.
const NAMES: [(&str, &str); 8] = [
    ("pychroot", "run"),
    ("rootlet-init", "init"),
    ("tini", "init"),
    ("tini-static", "init"),
    ("docker-init", "init"),
    ("dumb-init", "init"),
    ("catatonit", "init"),
    ("podman-init", "init"),
];

/// Returns the output of these words, on standard output or, as dumb-init does, on standard error.
fn help(user: User, program: impl AsRef<std::ffi::OsStr>, words: &[&str]) -> String {
    let ended = end(command(user, program).args(words));
    assert_eq!(ended.status, 0, "{ended:?}");
    ended.stdout + &ended.stderr
}

/// Whichever way round it is asked for, and by whichever name.
#[test]
fn help_for_a_role_is_found() {
    let user = users()[0];
    let links = Root::empty(user);
    for role in ["run", "init", "boot"] {
        let expected = succeed(rootlet(user).args(["help", role]));
        let usage = format!("Usage: rootlet {role}");
        assert!(expected.starts_with(&usage), "{expected}");
        for words in [
            &["help", role, "ls"][..],
            &["--help", role],
            &["--help", role, "ls"],
            &["-h", role],
            &[role, "--help"],
            &[role, "-h"],
            &[role, "-h", "ls"],
        ] {
            assert_eq!(help(user, rootlet_path(), words), expected, "{words:?}");
        }
        for (name, _) in NAMES.iter().filter(|(_, of)| *of == role) {
            links.symlink(name, rootlet_path());
            for words in [&["--help"][..], &["-h"], &["--help", "ls"]] {
                let link = links.path().join(name);
                assert_eq!(help(user, link, words), expected, "{name} {words:?}");
            }
        }
    }
    let overview = succeed(rootlet(user).arg("help"));
    for words in [&["--help"][..], &["-h"], &["help", "help"], &["help", "-h"]] {
        assert_eq!(help(user, rootlet_path(), words), overview, "{words:?}");
    }
}

/// A program name that implies the role needs no role, and the hint names no other program.
#[test]
fn a_name_that_gives_the_role_says_what_is_missing() {
    let user = users()[0];
    let links = Root::empty(user);
    for (name, role) in NAMES {
        links.symlink(name, rootlet_path());
        let ended = end(&mut command(user, links.path().join(name)));
        let lines: Vec<&str> = ended.stderr.lines().collect();
        let (missing, hint) = match role {
            "run" => ("rootlet: missing NEWROOT: rootlet run [", OF_RUN),
            _ => ("rootlet: missing COMMAND", OF_INIT),
        };
        assert!(lines[0].starts_with(missing), "{name} {ended:?}");
        assert_eq!(lines[1..], [format!("hint: {hint}")], "{name}");
    }
    let ended = end(command(user, links.path().join("rootlet-init")).args(["--", "run"]));
    assert!(
        ended.stderr.starts_with("rootlet: cannot run run: "),
        "{ended:?}"
    );
}

#[test]
fn a_missing_new_root_is_named() {
    for path in ["/no/such/root", "/etc/passwd"] {
        let (error, hint) = words(&["run", path, "ls"]);
        assert!(
            error.starts_with(&format!("cannot open the new root {path}: ")),
            "{error}"
        );
        assert!(
            hint.ends_with("such as 'mmdebstrap --variant=minbase stable NEWROOT' makes"),
            "{hint}"
        );
    }
}

#[test]
fn an_empty_new_root_gets_a_way_to_fill_it() {
    for user in users() {
        let root = Root::empty(user);
        for shell in [&[][..], &["/bin/sh"], &["/bin/sh", "-c", "ls"]] {
            let run = &mut root.run(&[&["ROOT"][..], shell].concat());
            let (error, hint) = error_and_hint(run, 127);
            assert_eq!(
                error,
                "cannot run /bin/sh: No such file or directory (ENOENT)"
            );
            assert!(
                hint.starts_with(
                    "NEWROOT has no shell: name a COMMAND that exists there, or fill NEWROOT with"
                ),
                "{hint}"
            );
            assert_eq!(root.tree(), [""; 0]);
        }
        let (_, hint) = error_and_hint(&mut root.run(&["ROOT", "ls"]), 127);
        assert!(
            hint.starts_with("there is no such command in the new root"),
            "{hint}"
        );
    }
}

#[test]
fn options_in_the_wrong_place_are_pointed_out() {
    let root = Root::busybox(users()[0]);
    // After NEWROOT it is the command.
    let (error, hint) = error_and_hint(&mut root.run(&["ROOT", "-v", "ls"]), 127);
    assert_eq!(error, "cannot run -v: No such file or directory (ENOENT)");
    let first = "rootlet's own options come first: rootlet run [OPTION]... NEWROOT COMMAND";
    assert_eq!(hint, first);
    // `--` is optional there.
    for between in [&[][..], &["--"]] {
        let words = [&["ROOT"], between, &["echo", "-n", "--help"]].concat();
        assert_eq!(succeed(&mut root.run(&words)), "--help");
    }
    // A command's option before the command.
    for (role, help) in [("run", OF_RUN), ("init", OF_INIT)] {
        let (error, hint) = words(&[role, "--port=80", "server"]);
        assert_eq!(error, "--port: no such option");
        assert_eq!(hint, help);
    }
}

#[test]
fn a_limit_of_no_user_namespaces_is_named() {
    // A user namespace may turn them off for itself.
    let script = "echo 0 >/proc/sys/user/max_user_namespaces
                  exec setpriv --inh-caps=-all --bounding-set=-all \"$0\" run / true";
    let mut unshare = command(User::Ordinary, "unshare");
    unshare
        .args(["-Ur", "sh", "-c", script])
        .arg(rootlet_path());
    let (error, hint) = error_and_hint(&mut unshare, 125);
    assert_eq!(
        error,
        "cannot make new namespaces: No space left on device (ENOSPC)"
    );
    let cure =
        "if max_user_namespaces is 0, run as root, or: sysctl user.max_user_namespaces=10000";
    assert!(hint.ends_with(cure), "{hint}");
}

/// Runs a script in a mount and user namespace of its own: `$0` is rootlet, `$1` the root.
fn in_own_mounts(root: &Root, script: &str) -> Ended {
    let mut unshare = command(users()[0], "unshare");
    unshare
        .args(["-Umr", "sh", "-ec", script])
        .arg(rootlet_path())
        .arg(root.path());
    end(&mut unshare)
}

#[test]
fn a_root_of_another_architecture_gets_the_packages_to_install() {
    let root = Root::busybox(users()[0]);
    // As much of a program as the kernel looks at; 0xf1f1 is nobody's machine.
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(64, 0);
    program[16..20].copy_from_slice(&[2, 0, 0xf1, 0xf1]);
    root.executable("program.other", program);
    let (error, hint) = error_and_hint(&mut root.run(&["ROOT", "/program.other"]), 126);
    assert_eq!(
        error,
        "cannot run /program.other: Exec format error (ENOEXEC)"
    );
    assert!(
        hint.ends_with("on the host: apt-get install qemu-user-static binfmt-support"),
        "{hint}"
    );

    // From 6.7 on a user namespace has a binfmt_misc of its own.
    let uname = rustix::system::uname();
    let release = uname.release().to_str().unwrap();
    let mut numbers = release
        .split('.')
        .map(|number| number.parse::<u32>().unwrap_or(0));
    if (numbers.next(), numbers.next()) < (Some(6), Some(7)) {
        eprintln!("left out: binfmt_misc of a user namespace, on Linux {release}");
        return;
    }
    let register = |emulator: &str, flags: &str| {
        format!(
            "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
             echo \":other:E::other::{emulator}:{flags}\" >/proc/sys/fs/binfmt_misc/register
             exec \"$0\" run --no-mounts \"$1\" /program.other with words"
        )
    };
    // Opened when it was registered, it need not be in the root.
    let ended = in_own_mounts(&root, &register("$1/bin/echo", "F"));
    assert_eq!(ended.stdout, "/program.other with words\n", "{ended:?}");
    let ended = in_own_mounts(&root, &register("/usr/bin/emulator", ""));
    assert_eq!(ended.status, 127, "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("(an emulator that binfmt_misc has with flag F need not be there)"),
        "{ended:?}"
    );
}

#[test]
fn a_noexec_or_nodev_file_system_is_named() {
    for (option, status) in [("noexec", 126), ("nodev", 0)] {
        let root = Root::empty(users()[0]);
        let script = format!(
            "mount -t tmpfs -o {option} tmpfs \"$1\"
             mkdir \"$1/bin\"
             cp /bin/busybox \"$1/bin/sh\"
             exec \"$0\" run \"$1\" sh -c 'echo lost >/dev/null; echo done'"
        );
        let ended = in_own_mounts(&root, &script);
        assert_eq!(ended.status, status, "{ended:?}");
        match status {
            // The devices are the host's.
            0 => assert_eq!(ended.stdout, "done\n", "{ended:?}"),
            _ => {
                let hint = "hint: it is not executable (chmod +x), or its file system is mounted noexec \
                            (mount -o remount,exec)\n";
                assert!(ended.stderr.ends_with(hint), "{ended:?}");
            }
        }
    }
}

#[test]
fn help_is_read_in_a_pager_of_80_columns() {
    let mut shell = command(users()[0], "sh");
    shell
        .args(["-c", "\"$0\" run --help | head -n 1"])
        .arg(rootlet_path());
    let usage = "Usage: rootlet run [OPTION]... NEWROOT [COMMAND [ARG]...]\n";
    assert_eq!(succeed(&mut shell), usage);
    for role in [
        &["help"][..],
        &["help", "run"],
        &["help", "init"],
        &["help", "boot"],
    ] {
        let help = succeed(rootlet(users()[0]).args(role));
        assert!(
            help.lines()
                .all(|line| line.len() < 80 && line == line.trim_end()),
            "{help}"
        );
    }
    let overview = succeed(rootlet(users()[0]).arg("help"));
    assert!(overview.lines().count() <= 24, "{overview}");
}
