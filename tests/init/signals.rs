//! Signals reach the command once each, and some end init itself.

use std::process::Stdio;

use super::common::init::{
    Place, Started, cases, descriptors, init, print_all_signals, status_field,
};
use super::common::running::Running;
use super::common::{command, rootlet_path, send_signal, state, users, wait_until};
use super::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, STOPS,
};

#[test]
fn every_signal_reaches_the_command_once_or_not_at_all() {
    for (place, user) in cases() {
        let program = print_all_signals();
        let mut started = Started::ready(place, &mut init(place, user, &["perl", "-e", &program]));
        for number in (1..=64).filter(|number| ![SIGKILL, SIGUSR2, 64].contains(number)) {
            let context = format!("{number} {place:?} {user:?}");
            started.expect_nothing();
            started.signal(number);
            match number {
                SIGCHLD => {}
                SIGSTOP => {
                    let init = started.init;
                    wait_until("the stop", || state(init) == Some('T'));
                    assert_ne!(state(started.command()), Some('T'), "{context}");
                    started.signal(SIGCONT);
                    started.expect("got 18");
                }
                _ => started.expect(&format!("got {number}")),
            }
            started.expect_nothing();
            assert!(state(started.init).is_some(), "{context}");
        }
        // Real-time signals are queued, not merged.
        for _ in 0..100 {
            started.signal(40);
        }
        for _ in 0..100 {
            started.expect("got 40");
        }
        started.expect_nothing();
        started.signal(SIGUSR2);
        started.expect("got 12");
        assert_eq!(started.status(), 5, "{place:?} {user:?}");
    }
}

#[test]
fn signals_go_to_the_group_if_asked() {
    // Parent and child print each signal. The parent ends the child when it ends.
    let program = print_all_signals().replacen(
        "print \"ready\\n\"; ",
        "my $child = fork; my $name = $child ? 'parent' : 'child'; \
         print \"ready\\n\" if $child; ",
        1,
    );
    let program = program
        .replace("print \"got $number\\n\"", "print \"$name got $number\\n\"")
        .replace("exit 5", "kill(9, $child || $$), exit 5");
    for (place, user) in cases() {
        for (options, child_too) in [(&[][..], false), (&["-g"], true), (&["--group"], true)] {
            let words = [options, &["perl", "-e", &program]].concat();
            let mut started = Started::ready(place, &mut init(place, user, &words));
            for number in [SIGUSR1, SIGHUP, SIGINT, SIGTERM, 34] {
                started.signal(number);
                // The two print in any order.
                let mut lines = vec![started.line()];
                started.signal(64);
                let expected = if child_too { 4 } else { 2 };
                lines.extend((1..expected).map(|_| started.line()));
                lines.sort();
                let printed =
                    |name: &str| [number, 64].map(|number| format!("{name} got {number}"));
                let mut expected = printed("parent").to_vec();
                if child_too {
                    expected.extend(printed("child"));
                }
                expected.sort();
                assert_eq!(lines, expected, "{options:?} {place:?} {user:?}");
            }
            // The child, which has no child to kill, kills itself with this signal.
            started.signal(SIGUSR2);
            assert_eq!(started.status(), 5);
        }
    }
}

#[test]
fn signals_are_rewritten() {
    for (place, user) in cases() {
        let program = print_all_signals();
        let words = [
            "-r",
            "TERM:USR1",
            "--rewrite=SIGHUP:SIGINT",
            "-r2:0",
            "-r",
            "QUIT:0",
            "-r",
            "34:35",
            "-r",
            "28:41",
            "-r",
            "WINCH:42",
            "-r",
            "TSTP:3",
            "-r",
            "SIGRTMIN+3:TERM",
            "-r",
            "RTMIN+4:SIGRTMAX-1",
            "-rRTMAX-2:RTMIN",
            "-r61:RTMAX",
            "perl",
            "-e",
            &program,
        ];
        let mut started = Started::ready(place, &mut init(place, user, &words));
        for (number, rewritten) in [
            (SIGTERM, SIGUSR1),
            (SIGUSR1, SIGUSR1),
            (SIGHUP, SIGINT),
            (SIGINT, 0),
            (3, 0),
            (34, 35),
            (35, 35),
            (SIGWINCH, 42),
            (STOPS[0], 3),
            (STOPS[1], STOPS[1]),
            (37, SIGTERM),
            (38, 63),
            (62, 34),
            (61, 64),
        ] {
            started.signal(number);
            if rewritten != 0 {
                started.expect(&format!("got {rewritten}"));
            }
            started.expect_nothing();
        }
        started.signal(SIGUSR2);
        started.expect("got 12");
        assert_eq!(started.status(), 5, "{place:?} {user:?}");
    }
}

#[test]
fn a_pause_ends_with_term_and_int_alone() {
    for (place, user) in cases() {
        for number in [SIGTERM, SIGINT] {
            for options in [&["-P"][..], &["--pause", "-w"]] {
                let mut run = init(place, user, options);
                let mut started = Started::find(place, Running::start(&mut run));
                started.settle();
                assert_eq!(descriptors(started.init).len(), 4);
                let others = [SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGCONT, SIGWINCH, 40];
                others.into_iter().for_each(|other| started.signal(other));
                // All signals except the last one have been read by then: a pending TERM would be
                // delivered first.
                let pending = || {
                    let pending = status_field(started.init, "ShdPnd");
                    pending.bytes().all(|digit| digit == b'0')
                };
                wait_until("the signals to be read", pending);
                started.settle();
                started.signal(number);
                assert_eq!(
                    started.wait().code(),
                    Some(0),
                    "{number} {place:?} {user:?}"
                );
            }
        }
    }
}

#[test]
fn init_gets_a_signal_when_its_parent_ends() {
    for user in users() {
        let program = print_all_signals();
        for (name, line) in [
            ("TERM", "got 15"),
            ("10", "got 10"),
            ("SIGHUP", "got 1"),
            ("SIGRTMIN+3", "got 37"),
        ] {
            let script = "(echo $BASHPID; exec \"$0\" init -p \"$1\" perl -e \"$2\") & read line";
            let mut bash = command(user, "bash");
            bash.args(["-c", script]).arg(rootlet_path());
            bash.args([name, &program]).stdin(Stdio::piped());
            let mut running = Running::start(&mut bash);
            let init: i32 = running.line().parse().unwrap();
            running.expect("ready");
            send_signal(running.pid(), SIGKILL);
            running.wait();
            running.expect(line);
            send_signal(init, SIGUSR2);
            running.expect("got 12");
            wait_until("the end of init", || {
                matches!(state(init), None | Some('Z'))
            });
        }
    }
}

#[test]
fn nothing_from_inside_ends_or_stops_pid_1() {
    // The program first sends a signal to pid 1, followed by 64. It gets back those that init passes
    // on.
    let program = print_all_signals().replacen(
        "print \"ready\\n\"; ",
        "print \"ready\\n\"; \
         for (@ARGV) { die if !kill $_ => 1 } kill 64 => 1; ",
        1,
    );
    for user in users() {
        for (number, comes) in [
            ("STOP", None),
            ("KILL", None),
            ("CHLD", None),
            ("TERM", Some("got 15")),
            ("SEGV", Some("got 11")),
            ("INT", Some("got 2")),
        ] {
            let words = ["perl", "-e", &program, number];
            let mut run = init(Place::Pid1, user, &words);
            let mut started = Started::ready(Place::Pid1, &mut run);
            if let Some(line) = comes {
                started.expect(line);
            }
            started.expect("got 64");
            started.settle();
            // A signal from outside is passed on.
            started.signal(SIGTERM);
            started.expect("got 15");
            started.signal(SIGUSR2);
            started.expect("got 12");
            assert_eq!(started.status(), 5, "{number} {user:?}");
        }
    }
}
