//! Variables of the caller that name a path of the host.

#![allow(missing_docs)]

mod common;

use common::{Root, can_be_root, debian_with_systemd, end, succeed, users};

/// Returns the variables of a command, except PATH.
fn seen(root: &Root, given: &[(&str, &str)], options: &[&str]) -> Vec<String> {
    let words = [options, &["ROOT", "env"]].concat();
    let mut run = root.run(&words);
    run.envs(given.iter().copied());
    let shown = succeed(&mut run);
    let mut lines: Vec<String> = shown.lines().map(str::to_owned).collect();
    lines.retain(|line| !line.starts_with("PATH="));
    lines.sort();
    lines
}

#[test]
fn a_path_that_the_root_lacks_is_not_passed_on() {
    for user in users() {
        let root = Root::busybox(user);
        root.directory("there");
        for (variable, is_passed) in [
            ("TMPDIR=/run/user/1000/tmp", false),
            ("TMPDIR=/there", true),
            ("TMPDIR=relative", true),
            ("TMPDIR=", true),
            ("TMP=/missing", false),
            ("XDG_RUNTIME_DIR=/run/user/1000", false),
            ("SHELL=/usr/bin/zsh", false),
            ("SHELL=/bin/sh", true),
            ("LD_PRELOAD=libfakeroot-sysv.so", true),
            ("LD_PRELOAD=/usr/lib/missing.so", false),
            ("LD_PRELOAD=/bin/sh:/usr/lib/missing.so", false),
            ("LD_PRELOAD=/bin/sh /usr/lib/missing.so", false),
            ("LD_PRELOAD=/bin/sh", true),
            ("SSL_CERT_FILE=/etc/ssl/mine.pem", false),
            ("PYTHONHOME=/opt/python", false),
            // The named file may not exist yet, because the program will create it.
            ("HOME=/home/me", true),
            ("PWD=/home/me", true),
            ("CACHE=/missing", true),
            ("TMPDIRS=/missing", true),
            ("MY_TMPDIR=/missing", true),
        ] {
            let (name, value) = variable.split_once('=').unwrap();
            let expected: &[&str] = if is_passed { &[variable] } else { &[] };
            assert_eq!(seen(&root, &[(name, value)], &[]), expected, "{user:?}");
        }
        // Each variable is checked on its own, in any order, and variables set by options stay.
        let given = [
            ("A", "1"),
            ("TMPDIR", "/a"),
            ("B", "2"),
            ("SHELL", "/b"),
            ("C", "3"),
        ];
        assert_eq!(seen(&root, &given, &[]), ["A=1", "B=2", "C=3"]);
        let asked = seen(&root, &given, &["-E", "TMPDIR", "-E", "SHELL=/c"]);
        assert_eq!(asked, ["A=1", "B=2", "C=3", "SHELL=/c", "TMPDIR=/a"]);
        // A path that a mount provides exists.
        let shown = seen(&root, &[("TMPDIR", "/scratch")], &["-B", "tmpfs:/scratch"]);
        assert_eq!(shown, ["TMPDIR=/scratch"]);
        let words = ["-v", "ROOT", "true"];
        let ended = end(root.run(&words).env("TMPDIR", "/a\x1b"));
        let line = "leave out the variable, since NEWROOT has no such path: TMPDIR=/a\\x1b\n";
        assert!(ended.stderr.contains(line), "{ended:?}");
    }
}

#[test]
fn programs_learn_that_the_root_is_not_booted() {
    if !can_be_root() {
        return;
    }
    let root = debian_with_systemd();
    let offline = ["-E", "SYSTEMD_OFFLINE=1"];
    for (options, script, status) in [
        (&[][..], "systemctl daemon-reload", 1),
        (
            &offline,
            "systemctl daemon-reload && systemctl start dbus",
            0,
        ),
        (
            &offline,
            "systemctl disable systemd-timesyncd.service; systemctl enable getty@tty2",
            0,
        ),
        (&[], "ischroot", 1),
        (&["--share", "pid"], "ischroot", 0),
    ] {
        let words = [options, &["ROOT", "sh", "-c", script]].concat();
        let ended = end(&mut root.run(&words));
        assert_eq!(ended.status, status, "{options:?} {script} {ended:?}");
    }
}
