//! The exit status: that of the command, or init's own if the command cannot be run.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use super::common::init::{PLACES, Place, Started, cases, init, kill};
use super::common::{Root, command, end, state, users, wait_until};
use super::{SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGWINCH};

#[test]
fn every_exit_status_is_passed_on() {
    for (place, user) in cases() {
        for status in (0..=255).step_by(if user == users()[0] { 1 } else { 51 }) {
            let script = format!("exit {status}");
            let ended = end(&mut init(place, user, &["sh", "-c", &script]));
            assert_eq!(ended.status, status, "{place:?} {user:?}");
            assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
        }
    }
}

#[test]
fn a_signal_that_kills_the_command_is_the_status() {
    let user = users()[0];
    for place in PLACES {
        for number in 1..=64 {
            let mut sleep = init(place, user, &["sleep", "1000"]);
            // unshare prints a message when SIGKILL ends pid 1.
            sleep.stderr(Stdio::null());
            let mut started = Started::executed(place, &mut sleep, "sleep");
            let command = started.command();
            started.signal(number);
            let context = format!("{number} {place:?}");
            match number {
                SIGKILL => {
                    // Only init itself gets the signal. The kernel ends the processes below a pid
                    // 1.
                    let status = started.wait();
                    match place {
                        Place::Pid1 => wait_until("the end of the command", || {
                            matches!(state(command), None | Some('Z'))
                        }),
                        Place::Subreaper => {
                            assert_eq!(status.signal(), Some(SIGKILL));
                            wait_until("the command to sleep", || state(command) == Some('S'));
                            kill(command);
                        }
                    }
                    continue;
                }
                SIGSTOP => {
                    let init = started.init;
                    wait_until("the stop", || state(init) == Some('T'));
                    // It may just have been executed.
                    wait_until("the command to sleep", || state(command) == Some('S'));
                    started.signal(SIGCONT);
                }
                20..=22 => {
                    wait_until("the stop", || state(command) == Some('T'));
                    started.settle();
                    started.signal(SIGCONT);
                    wait_until("the command to go on", || state(command) == Some('S'));
                }
                SIGCHLD | SIGCONT | 23 | SIGWINCH => {}
                _ => {
                    assert_eq!(started.wait().code(), Some(128 + number), "{context}");
                    continue;
                }
            }
            started.signal(SIGTERM);
            assert_eq!(started.wait().code(), Some(143), "{context}");
        }
    }
}

#[test]
fn an_ignored_or_blocked_sigchld_loses_no_status() {
    for (place, user) in cases() {
        for option in [
            "--ignore-signal=CHLD",
            "--block-signal=CHLD",
            "--block-signal",
        ] {
            for options in [&[][..], &["-w"]] {
                let run = |words: &[&str]| {
                    let inner = init(place, user, &[options, words].concat());
                    let mut env = command(user, "env");
                    env.arg(option)
                        .arg(inner.get_program())
                        .args(inner.get_args());
                    end(&mut env)
                };
                let context = format!("{option} {options:?} {place:?} {user:?}");
                assert_eq!(run(&["sh", "-c", "exit 7"]).status, 7, "{context}");
                let line = run(&["grep", "SigIgn", "/proc/self/status"]).stdout;
                let ignored = line.trim().rsplit('\t').next().unwrap();
                let ignored = u64::from_str_radix(ignored, 16).unwrap();
                assert_eq!(ignored & (1 << (SIGCHLD - 1)), 0, "{context}");
            }
        }
    }
}

#[test]
fn expected_statuses_are_success() {
    let user = users()[0];
    for (place, user) in cases() {
        for (options, script, status) in [
            (&["-e", "3"][..], "exit 3", 0),
            (&["-e", "3"], "exit 4", 4),
            (&["-e", "3"], "exit 0", 0),
            (&["-e3", "--expect=143", "--expect", "255"], "exit 255", 0),
            (&["-e3", "--expect=143", "--expect", "255"], "kill $$", 0),
            (
                &["-e3", "--expect=143", "--expect", "255"],
                "kill -9 $$",
                137,
            ),
            (&["-e", "0"], "exit 1", 1),
        ] {
            let words = [options, &["sh", "-c", script]].concat();
            let ended = end(&mut init(place, user, &words));
            assert_eq!(ended.status, status, "{words:?} {place:?} {user:?}");
        }
    }
    let all: Vec<String> = (0..=255).map(|code| format!("-e{code}")).collect();
    for status in [0, 1, 77, 143, 255] {
        let script = format!("exit {status}");
        let mut words: Vec<&str> = all.iter().map(String::as_str).collect();
        words.extend(["sh", "-c", &script]);
        let ended = end(&mut init(Place::Subreaper, user, &words));
        assert_eq!(ended.status, 0, "{status}");
    }
}

#[test]
fn a_command_that_cannot_be_run_is_named() {
    for (place, user) in cases() {
        let root = Root::empty(user);
        let plain = root.file("plain", "");
        let plain = plain.to_str().unwrap();
        let foreign = root.executable("foreign", "\x7fELF");
        let foreign = foreign.to_str().unwrap();
        for (name, status) in [
            ("/nonesuch/command", 127),
            ("no-such-command", 127),
            (plain, 126),
            (foreign, 126),
            ("/", 126),
        ] {
            let ended = end(&mut init(place, user, &[name, "argument"]));
            assert_eq!(
                (ended.status, ended.stdout.as_str()),
                (status, ""),
                "{ended:?}"
            );
            let line = ended.stderr.lines().next().unwrap();
            let head = format!("rootlet: cannot run {name}: ");
            assert!(line.starts_with(&head), "{place:?} {user:?} {ended:?}");
        }
    }
}

#[test]
fn wrong_use_is_125_with_a_hint() {
    let user = users()[0];
    for (words, reason) in [
        (&[][..], "missing COMMAND: rootlet init"),
        (&["--"], "missing COMMAND: rootlet init"),
        (&["-g"], "missing COMMAND: rootlet init"),
        (&["-e", "256", "true"], "-e: '256' is not an exit status"),
        (&["-e", "-1", "true"], "-e: '-1' is not an exit status"),
        (&["-e", "x", "true"], "-e: 'x' is not an exit status"),
        (&["-e", "", "true"], "-e: '' is not an exit status"),
        (&["-r", "15", "true"], "'15' is not OLD:NEW"),
        (&["-r", "15:", "true"], "'15:' is not OLD:NEW"),
        (&["-r", ":15", "true"], "':15' is not OLD:NEW"),
        (&["-r", "0:15", "true"], "'0:15' is not OLD:NEW"),
        (&["-r", "65:15", "true"], "'65:15' is not OLD:NEW"),
        (&["-r", "15:65", "true"], "'15:65' is not OLD:NEW"),
        (&["-r", "TERM:NONE", "true"], "'TERM:NONE' is not OLD:NEW"),
        (&["-r", "RTMIN+31:1", "true"], "'RTMIN+31:1' is not OLD:NEW"),
        (&["-r", "SIGRTMAX-31:1", "true"], "is not OLD:NEW"),
        (&["-r", "RTMIN+4294967263:1", "true"], "is not OLD:NEW"),
        (&["-r", "RTMAX+1:1", "true"], "is not OLD:NEW"),
        (&["-r", "RT:1", "true"], "is not OLD:NEW"),
        (&["-p", "RTMIN-1", "true"], "-p: 'RTMIN-1' is not a signal"),
        (&["-p", "RTMIN-4294967276", "true"], "is not a signal"),
        (&["-p", "RTMAX+4294967290", "true"], "is not a signal"),
        (
            &["-p", "RTMAX-65", "true"],
            "-p: 'RTMAX-65' is not a signal",
        ),
        (&["-p", "0", "true"], "-p: '0' is not a signal"),
        (&["-p", "65", "true"], "-p: '65' is not a signal"),
        (&["-p", "SIG", "true"], "-p: 'SIG' is not a signal"),
        (
            &["--grace", "x", "true"],
            "--grace: 'x' is not a number of seconds",
        ),
        (&["--grace=", "true"], "--grace: '' is not a number"),
        (&["--grace=-1", "true"], "--grace: '-1' is not a number"),
        (
            &["--grace=4294967296", "true"],
            "is not a number of seconds",
        ),
        (&["--nonesuch", "true"], "--nonesuch: no such option"),
    ] {
        let ended = end(&mut init(Place::Subreaper, user, words));
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (125, ""),
            "{words:?}"
        );
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{words:?} {ended:?}");
        assert!(lines[0].starts_with("rootlet: "), "{words:?} {ended:?}");
        assert!(lines[0].contains(reason), "{words:?} {ended:?}");
        assert!(lines[1].starts_with("hint: "), "{words:?} {ended:?}");
    }
}

#[test]
fn a_reboot_inside_ends_the_run_and_is_reported() {
    let host = fs::read_link("/proc/self/ns/pid").unwrap();
    let host = host.to_str().unwrap();
    // Only in a pid namespace that is not the host's.
    let guard = format!("test -d /proc/1 && [ \"$(readlink /proc/self/ns/pid)\" != '{host}' ]");
    for user in users() {
        let root = Root::busybox(user);
        for (program, status, line) in [
            ("reboot", 129, "restart"),
            ("poweroff", 130, "power off"),
            ("halt", 130, "power off"),
        ] {
            let reboot = format!("{guard} && {program} -nf; sleep 1000");
            let script = format!("{guard} || exit 99; {reboot}");
            let ended = end(&mut root.run(&["ROOT", "sh", "-c", &script]));
            assert_eq!(ended.status, status, "{program} {user:?} {ended:?}");
            assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
            assert!(ended.stderr.contains(line), "{ended:?}");
        }
    }
}
