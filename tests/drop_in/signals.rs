//! Which signals reach the command and its neighbours, and which stop or end the init itself.

use std::collections::BTreeSet;
use std::fs;

use super::common::{PRINT_SIGNALS, children, send_signal, state, wait_until};
use super::inits::{
    Init, Running, SIGCONT, SIGINT, SIGKILL, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
    Variable, inits, print_signals,
};

/// The signals that stop a job.
const STOPS: [i32; 3] = [SIGTSTP, SIGTTIN, SIGTTOU];

/// The signals of faults, and SIGABRT.
const FAULTS: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// The signals that tini and catatonit pass on: all but the faults and the stops, those that end the
/// command here, SIGCHLD, and 32 and 33, which kill the original.
fn ordinary() -> Vec<i32> {
    let others = [SIGKILL, SIGUSR2, 17, 19, 32, 33, 64];
    let left_out = [&others[..], &FAULTS, &STOPS].concat();
    (1..=64)
        .filter(|number| !left_out.contains(number))
        .collect()
}

/// Returns the signals that a python program receives for each of these, when it is sent to the
/// program's init. A signal 64 is sent after each, because the kernel delivers it last.
#[track_caller]
fn forwarded(init: &Init, options: &[&str], program: &str, numbers: &[i32]) -> Vec<Vec<i32>> {
    let words = [options, &["--", "python3", "-c", program]].concat();
    let mut running = Running::start_ready(&mut init.quiet(&words));
    let mut all = Vec::new();
    for number in numbers {
        running.signal(*number);
        running.signal(64);
        let mut got = Vec::new();
        loop {
            let line = running.next();
            let number = line.strip_prefix("got ").unwrap().parse().unwrap();
            if number == 64 {
                break;
            }
            got.push(number);
        }
        all.push(got);
    }
    running.end_print_signals();
    all
}

#[test]
fn tini_and_catatonit_pass_signals_on() {
    let numbers = ordinary();
    let expected: Vec<Vec<i32>> = numbers.iter().map(|number| vec![*number]).collect();
    let program = print_signals(&STOPS);
    let table: [(&str, &[&[&str]]); 2] = [
        ("tini", &[&[], &["-g"], &["-w"]]),
        ("catatonit", &[&[], &["-g"]]),
    ];
    for (name, all_options) in table {
        for init in inits(name) {
            for options in all_options {
                let case = format!("{options:?} {init:?}");
                let got = forwarded(&init, options, PRINT_SIGNALS, &numbers);
                assert_eq!(got, expected, "{case}");
                // catatonit keeps the stops of a job to itself.
                if name == "catatonit" {
                    let got = forwarded(&init, options, &program, &STOPS);
                    assert_eq!(got, [[0; 0]; 3], "{case}");
                }
            }
        }
    }
}

/// A sent signal, and the one that the command gets.
type Pairs<'a> = &'a [(i32, i32)];

#[test]
fn dumb_init_passes_on_and_rewrites_signals() {
    // dumb-init knows no signal above 31, so no 64 can be sent after each. A lost signal causes a
    // timeout. dumb-init passes on faults too. SIGUSR2 ends the program.
    let elsewhere = [SIGKILL, 17, 19, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR2];
    let numbers = (1..=31).filter(|number| !elsewhere.contains(number));
    let unchanged: Vec<(i32, i32)> = numbers.map(|number| (number, number)).collect();
    let rewritten = [(15, 10), (1, 2), (2, 1), (3, 28), (10, 15), (14, 14)];
    #[rustfmt::skip]
    let rewrite = ["-c", "-r", "15:10", "--rewrite", "1:2", "-r2:1", "-r", "3:28", "-r10:15"];
    let table: [(&[&str], Pairs); 6] = [
        (&[], &unchanged),
        (&["-c"], &unchanged),
        (&["-v"], &unchanged),
        (&rewrite[1..], &rewritten),
        (&rewrite, &rewritten),
        // The last one holds.
        (&["-r15:1", "-r15:3"], &[(15, 3)]),
    ];
    let program = print_signals(&[4, 5, 7, 8, 11, 31]);
    for init in inits("dumb-init") {
        for (options, pairs) in table {
            let words = [options, &["--", "python3", "-c", &program]].concat();
            let mut running = Running::start_ready(&mut init.command(&words));
            for (sent, got) in pairs {
                running.signal(*sent);
                assert_eq!(running.next(), format!("got {got}"), "{sent} to {init:?}");
            }
            running.end_print_signals();
        }
    }
}

#[test]
fn dumb_init_drops_signals_rewritten_to_0() {
    let table: [(&[&str], &[i32]); 2] = [
        (&["-r", "15:0"], &[SIGTERM]),
        (&["-c", "-r", "15:0", "-r", "2:0"], &[SIGTERM, SIGINT]),
    ];
    for init in inits("dumb-init") {
        for (options, dropped) in table {
            let words = [options, &["python3", "-c", PRINT_SIGNALS]].concat();
            let mut running = Running::start_ready(&mut init.command(&words));
            dropped.iter().for_each(|number| running.signal(*number));
            // Lower numbers are read first. Once 28 has arrived, the lower ones have been dropped.
            running.signal(28);
            running.expect("got 28");
            running.end_print_signals();
        }
    }
}

/// A command that prints `trapped` for USR1, with a python program beside it that prints its signals
/// and ends with USR2; then the command ends with status 9.
const WITH_NEIGHBOUR: &str = "trap 'echo trapped' USR1; python3 -c \"$0\" & \
                              while wait $!; [ $? -gt 128 ]; do :; done; exit 9";

/// Returns whether a signal that is sent to the init reaches the command's neighbour too.
#[track_caller]
fn reaches_group(init: &Init, options: &[&str], variable: Variable) -> bool {
    let words = [options, &["--", "sh", "-c", WITH_NEIGHBOUR, PRINT_SIGNALS]].concat();
    let mut running = Running::start_ready(init.quiet(&words).envs(variable));
    let neighbour = children(running.command())[0];
    running.signal(SIGUSR1);
    // The lower number is delivered first, so this is the last that the neighbour prints.
    let mut output = BTreeSet::new();
    while !output.contains("trapped") {
        output.insert(running.next());
    }
    send_signal(neighbour, SIGUSR2);
    while !output.contains("got 12") {
        output.insert(running.next());
    }
    assert_eq!(running.status(), 9, "{init:?}");
    output.contains("got 10")
}

#[test]
fn signals_go_to_the_command_or_its_group_or_session() {
    let of_tini = |value| Some(("TINI_KILL_PROCESS_GROUP", value));
    let table: [(&str, &[&str], Variable, bool); 11] = [
        ("tini", &[], None, false),
        ("tini", &["-g"], None, true),
        ("tini", &[], of_tini(""), true),
        ("tini", &[], of_tini("0"), true),
        ("tini", &[], of_tini("1"), true),
        ("tini", &["-g"], of_tini("1"), true),
        ("dumb-init", &[], None, true),
        ("dumb-init", &["-c"], None, false),
        ("dumb-init", &[], Some(("DUMB_INIT_SETSID", "0")), false),
        ("catatonit", &[], None, false),
        ("catatonit", &["-g"], None, true),
    ];
    for (name, options, variable, expected) in table {
        for init in inits(name) {
            let reaches = reaches_group(&init, options, variable);
            assert_eq!(reaches, expected, "{options:?} {variable:?} {init:?}");
        }
    }
}

#[test]
fn dumb_init_ends_the_session_with_the_command() {
    for init in inits("dumb-init") {
        for (options, is_ended) in [(&[][..], true), (&["-c"], false)] {
            // The command waits until its child blocks signals, then for standard input.
            let script = "python3 -c \"$0\" & read line; exit 3";
            let words = [options, &["sh", "-c", script, PRINT_SIGNALS]].concat();
            let mut running = Running::start_ready(&mut init.command(&words));
            let rest = children(running.command())[0];
            running.input = None;
            // The child has standard error open too, so waiting for its end of file would not work.
            wait_until("the end of dumb-init", || {
                running.init.try_wait().unwrap().is_some()
            });
            let status = running.init.wait().unwrap();
            assert_eq!(status.code(), Some(3), "{init:?}");
            if is_ended {
                running.expect("got 15");
            }
            send_signal(rest, SIGUSR2);
            running.expect("got 12");
        }
    }
}

#[test]
fn tini_sends_a_signal_when_its_parent_ends() {
    // (The option, what the command prints when the parent ends.)
    let table: [(&[&str], Option<&str>); 5] = [
        (&["-p", "SIGTERM"], Some("got 15")),
        (&["-p", "SIGUSR1"], Some("got 10")),
        (&["-p", "SIGHUP"], Some("got 1")),
        // tini itself gets this one, and ends.
        (&["-p", "SIGKILL"], None),
        (&[], None),
    ];
    for init in inits("tini") {
        for (options, line) in table {
            let words = [&["-s"], options, &["--", "python3", "-c", PRINT_SIGNALS]].concat();
            let mut running = Running::start_ready(&mut init.behind("\"$@\" & wait", &words));
            let tini = running.command();
            let command = children(tini)[0];
            let is_gone = || state(tini).is_none_or(|state| state == 'Z');
            running.signal(SIGKILL);
            if let Some(line) = line {
                running.expect(line);
            }
            if options == ["-p", "SIGKILL"] {
                wait_until("the end of tini", is_gone);
                send_signal(command, SIGUSR2);
            } else {
                running.init.wait().unwrap();
                send_signal(tini, SIGUSR2);
            }
            running.expect("got 12");
            wait_until("the end of tini", is_gone);
        }
    }
}

#[test]
fn tini_ends_by_a_fault_that_is_sent() {
    for init in inits("tini") {
        for number in FAULTS {
            let script = "ulimit -c 0; \"$@\"; exit $?";
            let words = ["-s", "--", "sh", "-c", "echo ready; exec sleep 1000"];
            let mut running = Running::start_ready(&mut init.behind(script, &words));
            let tini = running.command();
            let command = children(tini)[0];
            wait_until("the command", || {
                let name = fs::read_to_string(format!("/proc/{command}/comm"));
                name.is_ok_and(|name| name == "sleep\n")
            });
            send_signal(tini, number);
            wait_until("the end of tini", || state(tini).is_none());
            // The original leaves the command behind, which has its standard error.
            if state(command).is_some_and(|state| state != 'Z') {
                assert!(!init.is_rootlet, "{number} left the command behind");
                send_signal(command, SIGKILL);
            }
            assert_eq!(running.status(), 128 + number, "{init:?}");
        }
    }
}

#[test]
fn tini_is_not_stopped_with_the_command() {
    for init in inits("tini") {
        for options in [&["-s"][..], &["-s", "-g"], &["-s", "-w"]] {
            let words = [options, &["--", "python3", "-c", PRINT_SIGNALS]].concat();
            let mut running = Running::start_ready(&mut init.command(&words));
            let command = running.command();
            running.signal(SIGTSTP);
            wait_until("the stop", || state(command) == Some('T'));
            running.signal(SIGCONT);
            running.expect("got 18");
            assert_ne!(state(running.pid()), Some('T'), "{init:?}");
            running.end_print_signals();
        }
    }
}

#[test]
fn dumb_init_stops_and_continues_with_the_session() {
    for init in inits("dumb-init") {
        for number in STOPS {
            let words = ["python3", "-c", PRINT_SIGNALS];
            let mut running = Running::start_ready(&mut init.command(&words));
            let (pid, command) = (running.pid(), running.command());
            for _ in 0..3 {
                running.signal(number);
                wait_until("the stop of the command", || state(command) == Some('T'));
                wait_until("the stop of dumb-init", || state(pid) == Some('T'));
                running.signal(SIGCONT);
                running.expect("got 18");
                wait_until("dumb-init to continue", || state(pid) == Some('S'));
            }
            running.end_print_signals();

            // The command gets the signal itself in single-child mode, or what it is rewritten to.
            let program = print_signals(&STOPS);
            let rewrite = format!("{number}:10");
            for (options, got) in [(&["-c"][..], number), (&["-r", &rewrite], SIGUSR1)] {
                let words = [options, &["python3", "-c", &program]].concat();
                let mut running = Running::start_ready(&mut init.command(&words));
                let pid = running.pid();
                running.signal(number);
                running.expect(&format!("got {got}"));
                wait_until("the stop of dumb-init", || state(pid) == Some('T'));
                running.signal(SIGCONT);
                running.expect("got 18");
                running.end_print_signals();
            }
        }
    }
}
