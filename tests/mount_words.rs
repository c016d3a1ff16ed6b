//! `--mount`: binds of any path, with source and target as separate words.

#![allow(missing_docs)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use common::{Root, end, rootlet, users};

/// Names with characters that are special in `--bind`, for a shell, or for a printer.
const NAMES: &[&[u8]] = &[
    b"plain",
    b"a:b",
    b"a:/b:ro",
    b":",
    b"ends in\\",
    b"\\",
    b"\\\\",
    b"\\:",
    b"$HOME",
    b"$",
    b"proc",
    b"tmpfs",
    b"-B",
    b"--",
    b"@file",
    b"two\nlines\n",
    b" ",
    b"a,b=c",
    b"#",
    b"\xff\x80",
    "\u{202e}ü".as_bytes(),
];

#[test]
fn every_path_can_be_bound_anywhere() {
    for user in users() {
        let root = Root::busybox(user);
        let host = Root::empty(user);
        for name in NAMES {
            let target = [b"/", *name].concat();
            if name.contains(&b'/') {
                host.directory("a:");
                host.directory("a:/b:ro");
            } else {
                host.directory(".");
                fs::create_dir(host.path().join(OsStr::from_bytes(name))).unwrap();
            }
            let source = host.path().join(OsStr::from_bytes(name));
            fs::write(source.join("inside"), name).unwrap();
            fs::write(source.join("file"), "").unwrap();
            host.own(".");
            // A directory, and a file of this name in another directory.
            let below = [b"/below", &target[..]].concat();
            let file = source.join("inside");
            let mut run = rootlet(user);
            run.current_dir(host.path()).arg("run").arg("--mount");
            // A path relative to the working directory.
            run.arg(OsStr::from_bytes(name))
                .arg(OsStr::from_bytes(&target));
            run.arg("ro");
            run.arg("--mount")
                .arg(&file)
                .arg(OsStr::from_bytes(&below))
                .arg("");
            run.arg(root.path()).args(["sh", "-c"]);
            run.arg("cat \"$1/inside\" \"$2\"; touch \"$1/new\" 2>/dev/null || echo no");
            run.arg("sh")
                .arg(OsStr::from_bytes(&target))
                .arg(OsStr::from_bytes(&below));
            let output = run.output().unwrap();
            let expected = [name, *name, b"no\n"].concat();
            assert_eq!(output.stdout, expected, "{user:?} {name:?} {output:?}");
            assert!(output.stderr.is_empty(), "{output:?}");
        }
        assert_eq!(root.tree(), Vec::<String>::new());
    }
}

#[test]
fn missing_and_wrong_words_are_reported() {
    let root = Root::busybox(users()[0]);
    let three = "--mount: needs three words";
    for (words, line) in [
        (&["--mount"][..], "--mount: needs a value"),
        (&["--mount", "/etc"], three),
        (&["--mount=/etc"], three),
        (&["--mount", "/etc", "/x"], three),
        (
            &["--mount", "", "/x", "", "/"],
            "--mount: '' is not a path for SRC",
        ),
        (
            &["--mount", "/etc", "", "", "/"],
            "--mount: '' is not a path for DEST",
        ),
        (
            &["--mount", "/etc", "/x", "size=1m", "/"],
            "--mount: 'size=1m' has an unknown OPT: the options of a bind are ro,",
        ),
    ] {
        let ended = end(rootlet(users()[0]).arg("run").args(words));
        assert_eq!((ended.status, ended.stdout.as_str()), (125, ""));
        let line = format!("rootlet: {line}");
        assert!(ended.stderr.starts_with(&line), "{words:?} {ended:?}");
    }
    // `--mount=` takes the first word. Its options are those of --bind.
    let words = ["--mount=/no/such", "/x", "ro,optional", "ROOT", "true"];
    assert_eq!(end(&mut root.run(&words)).status, 0);
    let words = ["--mount", "/no/such", "/x", "ro", "ROOT", "true"];
    let ended = end(&mut root.run(&words));
    assert!(
        ended.stderr.starts_with("rootlet: cannot open /no/such: "),
        "{ended:?}"
    );
}
