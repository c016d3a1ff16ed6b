//! The command's environment.

use super::common::{self, Root, end, succeed, users};

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
    // PATH of -E is searched for the command.
    let mut run = root.run(&["-E", "PATH=/opt", "ROOT", "tool"]);
    assert_eq!(succeed(&mut run), "found\n");
}

#[test]
fn an_invalid_variable_is_an_error() {
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
fn argv0_sets_the_commands_name() {
    for (name, word) in [("-bash", "bash"), ("", "/bin/bash"), ("a b", "bash")] {
        let mut run = common::rootlet(users()[0]);
        // A login shell reads files there; that of user 0 may be closed to this user.
        run.env("HOME", "/no");
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
fn a_dry_run_shows_the_environment() {
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
