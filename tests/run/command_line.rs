//! The command line, the help and what `-v` logs.

use super::common::{self, Root, User, end, is_root, rootlet, succeed, users};

#[test]
fn called_as_pychroot_it_runs() {
    let root = Root::busybox(users()[0]);
    let link = root.path().join("pychroot");
    std::os::unix::fs::symlink(common::rootlet_path(), &link).unwrap();
    let user = if is_root() {
        User::Root
    } else {
        User::Ordinary
    };
    let mut command = common::command(user, &link);
    assert_eq!(
        succeed(command.arg(root.path()).args(["echo", "hello"])),
        "hello\n"
    );
}

#[test]
fn a_wrong_command_line_says_what_to_type() {
    for (words, line) in [
        (&[][..], "rootlet: missing ROLE: run, init or boot\n"),
        (
            &["run"],
            "rootlet: missing NEWROOT: rootlet run [OPTION]... NEWROOT [COMMAND [ARG]...]\n",
        ),
        (
            &["/srv/root", "true"],
            "rootlet: '/srv/root' is not a role: run, init or boot\n",
        ),
        (
            &["run", "--bogus", "/"],
            "rootlet: --bogus: no such option\n",
        ),
        (&["run", "-nz", "/"], "rootlet: -z: no such option\n"),
        (&["run", "--bind"], "rootlet: --bind: needs a value\n"),
        (&["run", "-B"], "rootlet: -B: needs a value\n"),
        (
            &["run", "--no-mounts=x", "/"],
            "rootlet: --no-mounts: takes no value\n",
        ),
        (
            &["run", "-B", "/a:/b:zz", "/"],
            "rootlet: -B: '/a:/b:zz' has an unknown OPT: the options of a bind are ro, rw, rec, \
                optional, noidmap, nosuid, nodev, noexec, noatime, nodiratime, strictatime, \
                nosymfollow and their opposites\n",
        ),
        (
            &["run", "", "true"],
            "rootlet: NEWROOT: '' is not the path of a directory\n",
        ),
        (
            &["run", "--chdir=", "/", "true"],
            "rootlet: --chdir: '' is not the path of a directory\n",
        ),
        (
            &["run", "-bind", "/srv", "/"],
            "rootlet: -bind: no such option; write --bind\n",
        ),
        (
            &["run", "-vE", "=", "/"],
            "rootlet: -E: '=' is not NAME=VALUE or NAME\n",
        ),
        (
            &["run", "--keep-fd=x\n\u{1b}", "/"],
            "rootlet: --keep-fd: 'x\\x0a\\x1b' is not the number of a descriptor\n",
        ),
        (
            &["help", "me"],
            "rootlet: 'me' is not a role of this rootlet: run, init or boot\n",
        ),
        (
            &["--version", "run"],
            "rootlet: --version: must be the only word, but 'run' follows\n",
        ),
        (
            &["boot", "now"],
            "rootlet: 'now' is not an option of boot, which takes its parameters from the kernel command line\n",
        ),
        (
            &["run", "-B", "tmpfs", "/"],
            "rootlet: -B: 'tmpfs' needs a DEST: tmpfs:DEST\n",
        ),
        (
            &["run", "-B", ":/b", "/"],
            "rootlet: -B: ':/b' has no SRC\n",
        ),
        (
            &["run", "-B", "$UNSET:/b", "/"],
            "rootlet: -B: '$UNSET:/b' names an unset variable; with the option 'optional' the \
                mount is left out\n",
        ),
    ] {
        let ended = end(rootlet(users()[0]).args(words));
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (125, ""),
            "{words:?}"
        );
        assert!(ended.stderr.starts_with(line), "{words:?}: {ended:?}");
    }
}

#[test]
fn options_take_their_values_in_every_usual_way() {
    let root = Root::busybox(users()[0]);
    root.directory("here");
    for options in [
        &["-C/here"][..],
        &["-C", "/here"],
        &["-vC/here"],
        &["--chdir=/here"],
        &["--chdir", "/here"],
        &["-C", "/here", "--"],
    ] {
        let words = [options, &["ROOT", "pwd"]].concat();
        assert_eq!(end(&mut root.run(&words)).stdout, "/here\n", "{options:?}");
    }
}

#[test]
fn help_fits_a_screen() {
    for words in [
        &["--help"][..],
        &["help"],
        &["-h"],
        &["run", "--help"],
        &["help", "run"],
        &["run", "-h"],
    ] {
        let help = succeed(rootlet(users()[0]).args(words));
        assert!(help.starts_with("Usage: rootlet run [OPTION]... NEWROOT [COMMAND [ARG]...]\n"));
        assert!(help.lines().all(|line| line.len() <= 80), "{help}");
        for section in help
            .split("\n\n")
            .filter(|section| section.contains("\n  -"))
        {
            assert!(section.lines().count() <= 24, "{section}");
        }
    }
    let version = succeed(rootlet(users()[0]).arg("--version"));
    assert_eq!(version, format!("rootlet {}\n", env!("CARGO_PKG_VERSION")));
    // Full or closed standard output is not success.
    let mut command = rootlet(users()[0]);
    let full = std::fs::File::create("/dev/full").unwrap();
    let ended = end(command.arg("--help").stdout(full));
    let line = "rootlet: cannot write to standard output: No space left on device (ENOSPC)\n";
    assert_eq!((ended.status, ended.stderr.as_str()), (125, line));
}

#[test]
fn verbose_logs_each_step_to_standard_error() {
    let root = Root::busybox(users()[0]);
    let ended = end(&mut root.run(&[
        "-v",
        "--no-mounts",
        "-B",
        "tmpfs:/new",
        "ROOT",
        "echo",
        "done",
    ]));
    assert_eq!(ended.stdout, "done\n");
    let mut earlier = 0.0;
    let mut steps = Vec::new();
    for line in ended.stderr.lines() {
        let printed = line
            .strip_prefix("rootlet: [")
            .and_then(|line| line.split_once("] "));
        let (time, step) = printed.unwrap();
        // Seconds, with microseconds.
        assert_eq!(time.split_once('.').unwrap().1.len(), 6, "{line}");
        let time: f64 = time.parse().unwrap();
        assert!((earlier..60.0).contains(&time), "{line}");
        earlier = time;
        steps.push(step);
    }
    let expected = [
        "make the mount point /new",
        "mount tmpfs on /new",
        "enter the new root",
        "run echo",
    ];
    assert_eq!(steps, expected);
}
