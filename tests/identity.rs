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
            (&["--clear-env"], &[PATH, "TERM=dumb"]),
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
        (["-E", "A"], "A", "a variable is NAME=VALUE"),
        (["-E", "=1"], "=1", "a variable is NAME=VALUE"),
        (["-E", ""], "", "a variable is NAME=VALUE"),
        (
            ["--unset-env", "A=1"],
            "A=1",
            "that is no name of a variable",
        ),
        (["--unset-env", ""], "", "that is no name of a variable"),
    ] {
        let mut run = common::rootlet(users()[0]);
        let ended = end(run.arg("run").args(words).args(["/", "true"]));
        let space = if object.is_empty() { "" } else { " " };
        let line = format!("rootlet: cannot use{space}{object}: {why}\n");
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
                file capabilities, since whoever starts it would have its rights: chmod ug-s, \
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
