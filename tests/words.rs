//! Words of a run from a file (`@FILE`) or a descriptor (`--args-fd`).

#![allow(missing_docs)]

mod common;

use std::fs::File;
use std::process::Command;

use common::{Root, User, command, end, rootlet, rootlet_path, succeed, users};

/// A run in a directory of the host.
fn run(user: User, host: &Root, words: &[&str]) -> Command {
    let mut run = rootlet(user);
    run.current_dir(host.path()).arg("run").args(words);
    run
}

#[test]
fn a_file_holds_any_words_one_a_line() {
    for user in users() {
        let (root, host) = (Root::busybox(user), Root::empty(user));
        host.file(
            "options",
            "# Comment\n\n-E\nA=b  c\n \t# Indented\n  --no-mounts\n",
        );
        // A last line without an end, line ends of Windows, and another file in the file.
        host.file(
            "all",
            format!("@options\r\n\r\n-E\r\nB=1\r\n{}\r\nsh\r\n-c", root.name()),
        );
        for (words, expected) in [
            (&["@options", "ROOT", "sh", "-c"][..], "b  c,,@options\n"),
            (&["@all"], "b  c,1,@options\n"),
            // In an operand, in a value, and after NEWROOT or `--`, words are taken literally.
            (
                &["-E", "B=@all", "@options", "ROOT", "sh", "-c"],
                "b  c,@all,@options\n",
            ),
            (&["-E", "A=1", "--", "ROOT", "sh", "-c"], "1,,@options\n"),
        ] {
            let words: Vec<&str> = words
                .iter()
                .map(|word| if *word == "ROOT" { root.name() } else { word })
                .collect();
            let mut run = run(user, &host, &words);
            run.args(["echo \"$A,$B,$1\"", "sh", "@options"]);
            assert_eq!(succeed(&mut run), expected, "{words:?}");
        }
        // Bytes that are not UTF-8, and an empty file.
        let bytes = [b"-E\nA=\xff\x80 \n", root.name().as_bytes(), b"\nenv"].concat();
        host.file("bytes", bytes);
        host.file("empty", "");
        let output = run(user, &host, &["@empty", "@bytes", "@bytes"])
            .output()
            .unwrap();
        let with = |line: &[u8]| output.stdout.windows(line.len()).any(|part| part == line);
        assert!(!output.status.success() && !with(b"A="), "{output:?}");
        let output = run(user, &host, &["@empty", "--no-mounts", "@bytes"])
            .output()
            .unwrap();
        assert!(
            output
                .stdout
                .windows(6)
                .any(|part| part == b"A=\xff\x80 \n"),
            "{output:?}"
        );
        // A pipe, and standard input.
        let mut run = run(user, &host, &["@/dev/stdin", "echo", "piped"]);
        run.stdin(File::open(host.file("root", root.name())).unwrap());
        assert_eq!(succeed(&mut run), "piped\n");
    }
}

#[test]
fn a_file_can_be_the_first_word() {
    for user in users() {
        let (root, host) = (Root::busybox(user), Root::empty(user));
        let place = host.path().to_str().unwrap();
        host.file("role", "run");
        let bind = format!("--ro\n{place}:/host\n{}\nsh\n", root.name());
        let words = format!("# For scripts\n@{place}/role\n{bind}");
        host.file("interpreter", words);
        let line = format!(
            "#!{} @{place}/interpreter\necho \"$@\"\n",
            rootlet_path().display()
        );
        host.script("script", &line);
        // The script's path has to be the same inside.
        root.symlink(place.trim_start_matches('/'), "/host");
        let mut script = command(user, host.path().join("script"));
        assert_eq!(succeed(script.args(["a b", "@c", ""])), "a b @c \n");
        // A file before the role, and a file without words.
        host.file("empty", "# Nothing\n");
        let mut first = rootlet(user);
        first.current_dir(host.path());
        assert!(succeed(first.args(["@empty", "run", "--help"])).starts_with("Usage: rootlet run"));
        let ended = end(rootlet(user).current_dir(host.path()).arg("@empty"));
        assert!(
            ended.stderr.starts_with("rootlet: missing ROLE: "),
            "{ended:?}"
        );
        // Under the name pychroot, no role is expected.
        host.symlink("pychroot", rootlet_path());
        host.file("options", format!("--no-mounts\n{}", root.name()));
        let mut pychroot = command(user, host.path().join("pychroot"));
        let pychroot = pychroot.current_dir(host.path());
        assert_eq!(succeed(pychroot.args(["@options", "echo", "in"])), "in\n");
        // init passes all words to the command.
        let ended = end(rootlet(user).args(["init", "@empty"]));
        assert!(
            ended.stderr.starts_with("rootlet: cannot run @empty: "),
            "{ended:?}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let user = users()[0];
    let host = Root::empty(user);
    host.file("self", "--overlay\n@other\n");
    host.file("other", "@self\n@self\n");
    host.file("nul", "--env\0A=1\0");
    host.file("half", "--hostname\n");
    host.directory("directory");
    for (words, line) in [
        (&["@"][..], "@: missing FILE: @FILE"),
        (
            &["@none"],
            "cannot read the words in none: No such file or directory (ENOENT)",
        ),
        (
            &["@directory"],
            "cannot read the words in directory: Is a directory (EISDIR)",
        ),
        (
            &["@/dev/zero"],
            "cannot read the words in /dev/zero: File too large (EFBIG)",
        ),
        (
            &["@self", "/"],
            "@self: is nested too deeply: at most 16 files may name each other",
        ),
        (
            &["@nul", "/"],
            "@nul: contains a NUL byte: use --args-fd for words that end with NUL",
        ),
        (&["@half"], "--hostname: needs a value"),
        (
            &["--args-fd", "9", "/"],
            "cannot read the words in descriptor 9: Bad file descriptor (EBADF)",
        ),
        (
            &["--args-fd=4294967295", "/"],
            "cannot read the words in descriptor 4294967295: Bad file descriptor (EBADF)",
        ),
        (
            &["--args-fd", "-1", "/"],
            "--args-fd: '-1' is not the number of a descriptor",
        ),
        (&["--args-fd"], "--args-fd: needs a value"),
    ] {
        let ended = end(&mut run(user, &host, words));
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (125, ""),
            "{words:?}"
        );
        let line = format!("rootlet: {line}");
        assert_eq!(
            ended.stderr.lines().next(),
            Some(line.as_str()),
            "{words:?}"
        );
    }
    // Any number of files beside each other, and a value that follows outside of the file.
    host.file("empty", "");
    let many = ["@empty"; 100];
    let words = [&many[..], &["@half", "name", "/", "uname", "-n"]].concat();
    assert_eq!(succeed(&mut run(user, &host, &words)), "name\n");
}

#[test]
fn words_behind_a_descriptor_hold_any_bytes() {
    for user in users() {
        let (root, host) = (Root::busybox(user), Root::empty(user));
        let words = |words: &[&[u8]]| words.join(&b'\0');
        for (held, after, expected) in [
            // With and without the last NUL.
            (
                words(&[b"-E", b"A=x\ny", b""]),
                &["ROOT"][..],
                &b"x\ny,\n"[..],
            ),
            (words(&[b"-E", b"A=#\xff"]), &["ROOT"], b"#\xff,\n"),
            (
                words(&[b"-E", b"A=1", b"--argv0", b"sh", b"--no-mounts"]),
                &["ROOT"],
                b"1,\n",
            ),
            (words(&[b""]), &["ROOT"], b",\n"),
            (
                words(&[b"@options", root.name().as_bytes()]),
                &[],
                b"of a file,\n",
            ),
        ] {
            host.file("options", "-E\nA=of a file\n");
            let mut run = run(user, &host, &["--args-fd", "0"]);
            for word in after {
                run.arg(if *word == "ROOT" { root.name() } else { word });
            }
            run.args(["sh", "-c", "echo \"$A,$(cat)\""]);
            run.stdin(File::open(host.file("held", &held)).unwrap());
            let output = run.output().unwrap();
            assert_eq!(output.stdout, expected, "{held:?} {output:?}");
        }
        // An empty word counts as a word.
        let mut run = run(user, &host, &["--args-fd", "0"]);
        run.stdin(File::open(host.file("held", b"\0/\0")).unwrap());
        let line = "rootlet: NEWROOT: '' is not the path of a directory\n";
        assert!(end(&mut run).stderr.starts_with(line));
        // All words of a run, with a descriptor that the command does not inherit.
        let held = words(&[root.name().as_bytes(), b"ls", b"/proc/self/fd"]);
        let mut shell = command(user, "sh");
        shell.args(["-c", "exec \"$0\" run --args-fd 7 7<\"$1\""]);
        shell.arg(rootlet_path()).arg(host.file("held", &held));
        let shown = succeed(&mut shell);
        assert!(!shown.lines().any(|line| line == "7"), "{shown}");
    }
}
