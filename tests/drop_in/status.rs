//! The exit status, the options, and the output of `--help`, of `--version` and for a command that
//! cannot be run.

use super::common::end;
use super::inits::inits;

/// The words after the program's name, and the status. -1 stands for a command that is not found.
const STATUSES: &[(&[&str], i32)] = &[
    (&["true"], 0),
    (&["--", "true"], 0),
    (&["false"], 1),
    (&["--", "sh", "-c", "exit 3"], 3),
    (&["--", "sh", "-c", "exit 77"], 77),
    (&["--", "sh", "-c", "exit 127"], 127),
    (&["--", "sh", "-c", "exit 128"], 128),
    (&["--", "sh", "-c", "exit 255"], 255),
    (&["--", "sh", "-c", "kill -HUP $$"], 129),
    (&["--", "sh", "-c", "kill -INT $$"], 130),
    (&["--", "sh", "-c", "ulimit -c 0; kill -QUIT $$"], 131),
    (&["--", "sh", "-c", "ulimit -c 0; kill -ABRT $$"], 134),
    (&["--", "sh", "-c", "ulimit -c 0; kill -SEGV $$"], 139),
    (&["--", "sh", "-c", "kill -KILL $$"], 137),
    (&["--", "sh", "-c", "kill -PIPE $$"], 141),
    (&["--", "sh", "-c", "kill -TERM $$"], 143),
    (&["--", "sh", "-c", "kill -34 $$"], 162),
    (&["--", "sh", "-c", "kill -64 $$"], 192),
    (&["./no-shebang"], 4),
    (&["--", "-x"], -1),
];

/// Runs each row for rootlet under this name and for the original.
#[track_caller]
fn statuses(name: &str, table: &[(&[&str], i32)], not_found: i32) {
    for init in inits(name) {
        init.make_files();
        for &(words, status) in table {
            let status = if status == -1 { not_found } else { status };
            let ended = end(&mut init.quiet(words));
            assert_eq!(ended.status, status, "{words:?} {init:?} {ended:?}");
        }
    }
}

#[test]
fn the_status_is_the_commands() {
    for (name, not_found) in [
        ("tini", 127),
        ("tini-static", 127),
        ("docker-init", 127),
        ("dumb-init", 2),
        ("catatonit", 1),
    ] {
        statuses(name, STATUSES, not_found);
    }
}

const TINI_OPTIONS: &[(&[&str], i32)] = &[
    (&["--version"], 0),
    (&["-h"], 0),
    (&["-l"], 0),
    (&["-v", "true"], 0),
    (&["-vv", "true"], 0),
    (&["-vvv", "--", "true"], 0),
    (&["-v", "-v", "-v", "-s", "-g", "-w", "true"], 0),
    (&["-vsgw", "--", "sh", "-c", "exit 3"], 3),
    (&["-p", "SIGKILL", "true"], 0),
    (&["-pSIGTERM", "--", "sh", "-c", "exit 3"], 3),
    (&["-p", "SIGWINCH", "true"], 0),
    (&["-p", "SIGNOT", "true"], 1),
    (&["-p", ""], 1),
    (&["-p"], 1),
    (&["-x", "true"], 1),
    (&["-vx", "true"], 1),
    (&["--nonsense", "true"], 1),
    (&[], 1),
    (&["--"], 1),
    (&["-s"], 1),
    // Its usage line has `--` after the program.
    (&["sh", "--", "-c", "exit 3"], 3),
    (&["-s", "sh", "--", "-c", "exit 3"], 3),
    (&["--", "sh", "--", "-c", "exit 3"], 2),
    // -e: the statuses that count as success.
    (&["-e2", "-e", "3", "--", "sh", "-c", "exit 3"], 0),
    (&["-e", "143", "--", "sh", "-c", "kill $$"], 0),
    (&["-e", "137", "--", "sh", "-c", "kill $$"], 143),
    (&["-e", "127", "nonexistent"], 0),
    (&["-e", "256", "true"], 1),
    (&["-e", "-1", "true"], 1),
    (&["-e", "x", "true"], 1),
    (&["-e", "1x", "true"], 1),
    (&["-e", "99999999999999999999", "true"], 1),
    (&["-e"], 1),
];

const DUMB_INIT_OPTIONS: &[(&[&str], i32)] = &[
    (&["-h"], 0),
    (&["--help"], 0),
    (&["-V"], 0),
    (&["--version"], 0),
    (&["-c", "true"], 0),
    (&["--single-child", "sh", "-c", "exit 3"], 3),
    (&["-v", "true"], 0),
    (&["--verbose", "true"], 0),
    (&["-cv", "sh", "-c", "exit 3"], 3),
    (&["-r", "15:3", "true"], 0),
    (&["-r15:3", "-r", "1:0", "true"], 0),
    (&["--rewrite", "15:3", "true"], 0),
    (&["--rewrite=31:31", "true"], 0),
    (&["-r", "0:1", "true"], 1),
    (&["-r", "32:1", "true"], 1),
    (&["-r", "1:32", "true"], 1),
    (&["-r", "64:1", "true"], 1),
    (&["-r", "1:-1", "true"], 1),
    (&["-r", "-1:1", "true"], 1),
    (&["-r", "1:", "true"], 1),
    (&["-r", ":1", "true"], 1),
    (&["-r", "1", "true"], 1),
    (&["-r", "x:y", "true"], 1),
    (&["-r", "", "true"], 1),
    (&["-r"], 1),
    (&["-x", "true"], 1),
    (&["--nonsense", "true"], 1),
    (&[], 1),
    (&["-c"], 1),
    (&["--"], 1),
    // Options end at the command.
    (&["sh", "-c", "exit 3"], 3),
];

const CATATONIT_OPTIONS: &[(&[&str], i32)] = &[
    (&["-V"], 0),
    (&["--version"], 0),
    (&["-h"], 0),
    (&["-L"], 0),
    (&["-g", "true"], 0),
    (&["-g", "--", "sh", "-c", "exit 3"], 3),
    (&["-x", "true"], 1),
    (&["--nonsense", "true"], 1),
    (&[], 1),
    (&["--"], 1),
    (&["-g"], 1),
    (&["sh", "--", "-c", "exit 3"], 3),
];

#[test]
fn options_are_read_as_the_original_reads_them() {
    for (name, table) in [
        ("tini", TINI_OPTIONS),
        ("dumb-init", DUMB_INIT_OPTIONS),
        ("catatonit", CATATONIT_OPTIONS),
    ] {
        statuses(name, table, -1);
    }
}

#[test]
fn tini_counts_expected_statuses_as_success() {
    for init in inits("tini") {
        let status = |words: &[&str]| end(&mut init.quiet(words)).status;
        let mut all: Vec<String> = Vec::new();
        for code in 0..256 {
            let (expected, exit) = (code.to_string(), format!("exit {code}"));
            let ended = status(&["-e", &expected, "--", "sh", "-c", &exit]);
            assert_eq!(ended, 0, "{code} {init:?}");
            all.extend(["-e".to_string(), expected]);
        }
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        for code in [0, 1, 7, 31, 32, 63, 64, 128, 254, 255] {
            let exit = format!("exit {code}");
            let command = ["--", "sh", "-c", &exit];
            assert_eq!(status(&[&all, &command[..]].concat()), 0, "{code} {init:?}");
            let others = ["-e", "2", "-e33", "-e", "127", "-e", "253"];
            let ended = status(&[&others, &command[..]].concat());
            assert_eq!(ended, code, "{init:?}");
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Stream {
    Output,
    Error,
}

#[test]
fn version_and_help_go_to_the_originals_stream() {
    use Stream::{Error, Output};
    // (The program, its option, the only stream with text, the start of the text, a part of it.)
    for (name, option, stream, start, part) in [
        ("tini", "--version", Output, "tini version 0.19.0", ""),
        ("dumb-init", "-V", Error, "dumb-init v1.2.5", ""),
        ("dumb-init", "--version", Error, "dumb-init v1.2.5", ""),
        ("dumb-init", "-h", Error, "", "--rewrite"),
        ("catatonit", "-V", Output, "tini version 0.", "catatonit"),
        ("catatonit", "-L", Output, "", ""),
        ("catatonit", "-h", Error, "", "-P"),
    ] {
        for init in inits(name) {
            let ended = end(&mut init.command(&[option]));
            let (text, other) = match stream {
                Output => (&ended.stdout, &ended.stderr),
                Error => (&ended.stderr, &ended.stdout),
            };
            assert_eq!(other, "", "{option} {init:?}");
            assert_ne!(text, "", "{option} {init:?}");
            assert!(text.starts_with(start), "{option} {init:?} {ended:?}");
            assert!(text.contains(part), "{option} {init:?} {ended:?}");
            assert_eq!(ended.status, 0, "{option} {init:?}");
        }
    }
}

const MISSING: &str = "No such file or directory";
const DENIED: &str = "Permission denied";

/// The words, the status, and the reason in the message. The command is the first word without `-`.
type CannotRun = &'static [(&'static [&'static str], i32, &'static str)];

const TINI_CANNOT_RUN: CannotRun = &[
    (&["nonexistent"], 127, MISSING),
    (&["/nonexistent"], 127, MISSING),
    (&["./no-interpreter"], 127, MISSING),
    (&["./plain"], 126, DENIED),
    (&["/"], 126, DENIED),
    (&[""], 127, MISSING),
    (&["-w", "-g", "nonexistent", "arg"], 127, MISSING),
];

const DUMB_INIT_CANNOT_RUN: CannotRun = &[
    (&["nonexistent"], 2, MISSING),
    (&["/nonexistent"], 2, MISSING),
    (&["./no-interpreter"], 2, MISSING),
    (&["./plain"], 2, DENIED),
    (&["/"], 2, DENIED),
    (&["/dev/null/x"], 2, "Not a directory"),
];

const CATATONIT_CANNOT_RUN: CannotRun = &[
    (&["nonexistent"], 1, ""),
    (&["/nonexistent"], 1, ""),
    (&["./nonexistent"], 1, MISSING),
    (&["./no-interpreter"], 1, ""),
    (&["./plain"], 1, ""),
    (&["/"], 1, ""),
];

#[test]
fn a_command_that_cannot_be_run_is_reported_as_by_the_original() {
    for (name, table) in [
        ("tini", TINI_CANNOT_RUN),
        ("dumb-init", DUMB_INIT_CANNOT_RUN),
        ("catatonit", CATATONIT_CANNOT_RUN),
    ] {
        for init in inits(name) {
            init.make_files();
            for &(words, status, reason) in table {
                let ended = end(&mut init.quiet(words));
                assert_eq!(ended.status, status, "{words:?} {init:?} {ended:?}");
                let command = words.iter().find(|word| !word.starts_with('-')).unwrap();
                let output = without_pid(&ended.stderr);
                let expected = match name {
                    "tini" => format!("[FATAL tini (PID)] exec {command} failed: {reason}\n"),
                    "dumb-init" => format!("[dumb-init] {command}: {reason}\n"),
                    // The original prints a line for each of its own functions that failed.
                    _ => {
                        assert!(output.contains(reason), "{words:?} {init:?} {ended:?}");
                        continue;
                    }
                };
                assert_eq!((&*ended.stdout, &*output), ("", &*expected), "{init:?}");
            }
        }
    }
}

/// Replaces tini's pid in a message by `PID`.
fn without_pid(output: &str) -> String {
    let pid = output
        .split_once(" (")
        .and_then(|(_, rest)| rest.split_once(")] "));
    match pid {
        Some((pid, _)) if pid.parse::<u32>().is_ok() => output.replacen(pid, "PID", 1),
        _ => output.to_string(),
    }
}
