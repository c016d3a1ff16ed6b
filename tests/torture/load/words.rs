//! A command line and an environment of a megabyte, and longer ones than the kernel accepts.

use std::time::Instant;

use rootlet::Chroot;

use crate::common::{Root, User, end, succeed, users};
use crate::load::turn;
use crate::summary;

/// The kernel's limit on the length of a word (execve(2), `MAX_ARG_STRLEN`).
const WORD_MAX: usize = 128 * 1024;

#[test]
fn a_megabyte_of_words_arrives() {
    let _turn = turn();
    let lengths = "wc -c < /proc/$$/cmdline; wc -c < /proc/$$/environ; cat /proc/$$/cmdline; :";
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        // A few long words, and many short ones: together half a megabyte twice, with the
        // kernel's pointers to them.
        for (number, length) in [(8, 64 * 1024 - 16), (1, WORD_MAX - 16), (40_000, 4)] {
            let words = vec!["w".repeat(length); number];
            let mut command = root.run(&["ROOT", "sh", "-c", lengths, "sh"]);
            command.args(&words).env_clear();
            command.env("PATH", "/bin");
            for (index, word) in words.iter().enumerate() {
                command.env(format!("V{index}"), word);
            }
            let begin = Instant::now();
            let output = succeed(&mut command);
            let took = begin.elapsed().as_millis();
            let mut line = format!("sh\0-c\0{lengths}\0sh\0");
            for word in &words {
                line.push_str(word);
                line.push('\0');
            }
            let environment: usize = (0..number)
                .map(|index| format!("V{index}=").len() + length + 1)
                .sum::<usize>()
                + "PATH=/bin\0".len();
            let expected = format!("{}\n{environment}\n{line}", line.len());
            assert!(output == expected, "{number} of {length} bytes");
            summary(
                "load words",
                &format!(
                    "as {user:?}, {number} words of {length} bytes on the command line and in the \
                     environment arrived, {took} ms with all that was done to look at them",
                ),
            );
        }
        assert_eq!(root.tree(), before);
    }
}

const HINT: &str = "the kernel limits each argument to 128 KiB, and all of them with the \
                    environment to a quarter of the stack's limit (ulimit -s)";

/// Only a program can ask for this: a shell could not have passed these words to rootlet.
#[test]
fn more_words_than_the_kernel_takes_are_refused() {
    let root = Root::busybox(User::Root);
    let before = root.tree();
    for words in [
        vec!["w".repeat(WORD_MAX)],
        vec!["w".repeat(1000); 64 * 1024],
    ] {
        let mut refused = Chroot::new(root.name()).command("/bin/true");
        let error = refused.args(&words).status().unwrap_err();
        let line = "cannot run /bin/true: Argument list too long (E2BIG)";
        assert_eq!(error.to_string(), line);
        assert_eq!((error.status(), error.hint()), (126, Some(HINT)));
        assert_eq!(root.tree(), before);
    }
}

/// The kernel puts the words of a `#!` line before those of the command. Words that fit for rootlet
/// may therefore be too much for a script.
#[test]
fn a_script_without_room_for_its_words_is_reported() {
    let _turn = turn();
    for user in users() {
        let root = Root::busybox(user);
        root.script("script", &format!("#!/bin/true {}\n", "w".repeat(240)));
        let before = root.tree();
        let run = |bytes: usize| {
            let mut command = root.run(&["--no-mounts", "ROOT", "/script"]);
            command.args(vec!["w".repeat(60_000); bytes / 60_001]);
            command.arg("w".repeat(bytes % 60_001)).output()
        };
        // The most that rootlet can be given at all, to the byte.
        let (mut fits, mut too_much) = (0, 16 << 20);
        while too_much - fits > 1 {
            let middle = (fits + too_much) / 2;
            match run(middle) {
                Ok(_) => fits = middle,
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::ArgumentListTooLong);
                    too_much = middle;
                }
            }
        }
        let ended = crate::common::Ended::from(run(fits).unwrap());
        let line = "rootlet: cannot run /script: Argument list too long (E2BIG)";
        let expected = (126, format!("{line}\nhint: {HINT}\n"));
        assert_eq!((ended.status, ended.stderr), expected, "{fits}");
        assert_eq!(end(&mut root.run(&["ROOT", "/script"])).status, 0);
        assert_eq!(root.tree(), before);
        summary(
            "load words",
            &format!("as {user:?}, {fits} bytes of arguments, and no room for a script's own: 126"),
        );
    }
}
