//! `rootlet init`, as pid 1 of a pid namespace and as a child subreaper.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::init::{
    PLACES, Place, Started, cases, descriptors, init, kernel, kill, print_all_signals, status_field,
};
use common::running::Running;
use common::terminal::{CTRL_C, CTRL_Z, Session};
use common::{
    PRINT_SIGNALS, Root, User, can_be_root, children, command, end, processes_with, rootlet_path,
    rounds, send_signal, state, succeed, users, wait_until,
};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;
const SIGWINCH: i32 = 28;

/// The stops a terminal makes: TSTP, TTIN, TTOU.
const STOPS: [i32; 3] = [20, 21, 22];

#[test]
fn every_exit_status_comes_out() {
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
fn a_signal_that_kills_the_command_is_the_status() {
    let user = users()[0];
    for place in PLACES {
        for number in 1..=64 {
            let mut sleep = init(place, user, &["sleep", "1000"]);
            // unshare has words for the end of a pid 1 by SIGKILL.
            sleep.stderr(Stdio::null());
            let mut started = Started::executed(place, &mut sleep, "sleep");
            let command = started.command();
            started.signal(number);
            let context = format!("{number} {place:?}");
            match number {
                SIGKILL => {
                    // Only init itself gets it; the kernel ends what is below a pid 1.
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

/// A program that leaves as many orphans as its argument says, prints `ready`, has all of them end
/// at once when a line comes, and ends with status 7 after the next line.
const LEAVE_ORPHANS: &str = "\
    $| = 1; pipe my $held, my $hold; \
    my $between = fork; \
    if (!$between) { \
        close $hold; close STDIN; require POSIX; \
        for (1..$ARGV[0]) { if (!fork) { sysread $held, my $end, 1; POSIX::_exit(3); } } \
        POSIX::_exit(0); \
    } \
    waitpid $between, 0; \
    print \"ready\\n\"; <STDIN>; close $hold; <STDIN>; exit 7";

#[test]
fn no_orphan_stays() {
    // PIDFD_INFO_EXIT is of Linux 6.15; an older kernel leaves it to init to reap them all. So does
    // an init that is not pid 1: their CPU time is for its parent to read.
    let many = rounds(2000);
    let can_tell_reaped_status = kernel() >= (6, 15);
    for (place, user) in cases() {
        for (count, options) in [1, 100, many]
            .into_iter()
            .flat_map(|count| [(count, &[][..]), (count, &["-w"])])
        {
            if count == many && user != users()[0] {
                continue;
            }
            let context = format!("{count} {options:?} {place:?} {user:?}");
            let count_text = count.to_string();
            let words = [options, &["perl", "-e", LEAVE_ORPHANS, &count_text]].concat();
            let mut run = init(place, user, &words);
            run.stdin(Stdio::piped()).stderr(Stdio::piped());
            let mut started = Started::ready(place, &mut run);
            let init = started.init;
            assert_eq!(children(init).len(), count + 1, "{context}");
            // Read while init runs, so that it is never kept from writing.
            let mut stderr = started.child.stderr.take().unwrap();
            let lines = std::thread::spawn(move || {
                let mut text = String::new();
                stderr.read_to_string(&mut text).unwrap();
                text
            });

            let wakes = || status_field(init, "voluntary_ctxt_switches");
            let before = wakes();
            let stdin = started.child.stdin.as_mut().unwrap();
            stdin.write_all(b"end them\n").unwrap();
            // A zombie is still in this list.
            wait_until("the end of the orphans", || children(init).len() == 1);
            if options.is_empty() && place == Place::Pid1 && can_tell_reaped_status {
                assert_eq!(wakes(), before, "{context}");
            } else {
                // Counted when it sleeps again.
                wait_until("init to have woken", || wakes() != before);
            }
            let stdin = started.child.stdin.as_mut().unwrap();
            stdin.write_all(b"end\n").unwrap();
            assert_eq!(started.status(), 7, "{context}");
            let lines = lines.join().unwrap();
            if options.is_empty() {
                assert_eq!(lines, "", "{context}");
            } else {
                let is_told = |line: &str| line.starts_with("rootlet: reaped the orphan ");
                assert!(lines.lines().all(is_told), "{context}: {lines}");
                assert_eq!(lines.lines().count(), count, "{context}");
            }
        }
    }
}

#[test]
fn the_end_of_the_command_amid_orphans_is_its_own() {
    // All end at the same moment, so that one wake finds them all.
    let script = "pipe my $held, my $hold; \
        for (1..50) { \
            my $child = fork; \
            if (!$child) { exit 0 if fork; close $hold; sysread $held, my $end, 1; exit 3; } \
            waitpid $child, 0; \
        } \
        exit 9";
    for (place, user) in cases() {
        for options in [&[][..], &["-w"]] {
            for _ in 0..rounds(10) {
                let words = [options, &["perl", "-e", script]].concat();
                let ended = end(&mut init(place, user, &words));
                assert_eq!(ended.status, 9, "{options:?} {place:?} {user:?} {ended:?}");
            }
        }
    }
}

#[test]
fn children_from_before_are_reaped_too() {
    for user in users() {
        for options in ["", "-w"] {
            let command_line = "sh -c 'echo ready; exec sleep 1000'";
            let script = format!("cat <&0 & exec \"$0\" init {options} {command_line}");
            let mut bash = command(user, "bash");
            bash.args(["-c", &script]).arg(rootlet_path());
            bash.stdin(Stdio::piped()).stderr(Stdio::null());
            let mut started = Started::ready(Place::Subreaper, &mut bash);
            let cat = |pid: &i32| {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                name.trim() == "cat"
            };
            // Where it is slow, it still is the shell that was forked for it.
            let inherited = || children(started.init).into_iter().find(cat);
            wait_until("the child from before", || inherited().is_some());
            let inherited = inherited().unwrap();
            drop(started.child.stdin.take());
            wait_until("the end of the child", || state(inherited).is_none());
            started.signal(SIGTERM);
            assert_eq!(started.status(), 143);
        }
    }
}

#[test]
fn the_command_starts_with_a_clean_slate() {
    // No shell between: some reset what they were given.
    let show = ["grep", "-E", "^Sig(Blk|Ign|Cgt):", "/proc/self/status"];
    for (place, user) in cases() {
        for options in [
            &[][..],
            &["--ignore-signal=HUP"],
            &["--block-signal=USR1"],
            &[
                "--block-signal=TSTP,TTIN,CHLD,TERM",
                "--ignore-signal=INT,TTOU",
            ],
        ] {
            let outside = succeed(command(user, "env").args(options).args(show));
            let inner = init(place, user, &show);
            let mut inside = command(user, "env");
            inside
                .args(options)
                .arg(inner.get_program())
                .args(inner.get_args());
            assert_eq!(
                succeed(&mut inside),
                outside,
                "{options:?} {place:?} {user:?}"
            );
        }
        // TSTP, TTIN and TTOU are 20, 21 and 22, so they are among the bits of 0x380000.
        let plain = succeed(&mut init(place, user, &show));
        assert!(plain.starts_with("SigBlk:\t0000000000000000\n"), "{plain}");
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
fn where_it_is_not_pid_1_it_is_a_quiet_subreaper() {
    // Its parent's parent takes an orphan only where nobody nearer does.
    let script = "pipe my $held, my $hold; my $between = fork; \
        if (!$between) { \
            exit 0 if fork; \
            close $hold; sysread $held, my $end, 1; print getppid, \"\\n\"; exit 0; \
        } \
        waitpid $between, 0; close $hold; wait; $| = 1; print getppid, \"\\n\"; <STDIN>";
    for user in users() {
        for options in [&[][..], &["-s"]] {
            let words = [options, &["perl", "-e", script]].concat();
            let mut run = init(Place::Subreaper, user, &words);
            run.stdin(Stdio::piped()).stderr(Stdio::piped());
            let mut started = Started::find(Place::Subreaper, Running::start(&mut run));
            let init = started.init.to_string();
            started.expect(&init);
            started.expect(&init);
            drop(started.child.stdin.take());
            assert_eq!(started.status(), 0);
            let mut stderr = String::new();
            let mut pipe = started.child.stderr.take().unwrap();
            pipe.read_to_string(&mut stderr).unwrap();
            assert_eq!(stderr, "", "{user:?}");
        }
    }
}

#[test]
fn inherited_files_and_the_directory_are_the_commands_alone() {
    for (place, user) in cases() {
        for options in [&[][..], &["-w"]] {
            let root = Root::empty(user);
            let file = root.file("file", "");
            let file = file.to_str().unwrap();
            let words = [options, &["sh", "-c", "echo ready; exec sleep 1000"]].concat();
            let init = init(place, user, &words);
            let mut bash = command(user, "bash");
            let script = "exec 3<file 4<file 9<file 200<file; exec \"$@\"";
            bash.args(["-c", script, "bash"]);
            bash.arg(init.get_program()).args(init.get_args());
            bash.current_dir(root.path());
            let started = Started::ready(place, &mut bash);

            // A pidfd is for where the kernel reaps, and a file of pidfs since Linux 6.9.
            let kernel_reaps = place == Place::Pid1 && options.is_empty() && kernel() >= (6, 15);
            // The command may be faster than the init is with closing.
            let count = if kernel_reaps { 3 } else { 2 };
            wait_until("the closing", || descriptors(started.init).len() == count);
            let of_init = descriptors(started.init);
            assert_eq!(of_init[0].0, 2, "{of_init:?}");
            let own: Vec<&str> = of_init.iter().skip(1).map(|(_, what)| &what[..]).collect();
            assert!(own.contains(&"anon_inode:[signalfd]"), "{of_init:?}");
            let is_pidfd = |what: &&str| what.contains("pidfd");
            assert_eq!(own.iter().any(is_pidfd), kernel_reaps, "{of_init:?}");

            let of_command = descriptors(started.command());
            // The tests themselves may have inherited others.
            let mut inherited = of_command.clone();
            inherited.retain(|(_, what)| what == file);
            let expected = [3, 4, 9, 200].map(|number| (number, file.to_owned()));
            assert_eq!(inherited, expected, "{place:?} {user:?}");
            let of_init_too = |(_, what): &(i32, String)| what.contains("anon_inode");
            assert!(!of_command.iter().any(of_init_too), "{of_command:?}");

            let directory = |pid: i32| fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
            assert_eq!(directory(started.init), Path::new("/"));
            assert_eq!(directory(started.command()), root.path());
        }
    }
}

#[test]
fn closed_standard_descriptors_are_no_obstacle() {
    for (place, user) in cases() {
        for closed in ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"] {
            let init = init(place, user, &["sh", "-c", "exit 7"]);
            let mut bash = command(user, "bash");
            bash.args(["-c", &format!("exec \"$@\" {closed}"), "bash"]);
            bash.arg(init.get_program()).args(init.get_args());
            assert_eq!(end(&mut bash).status, 7, "{closed} {place:?} {user:?}");
        }
    }
}

#[test]
fn sockets_handed_to_init_are_the_commands() {
    let ask = "echo \"$LISTEN_PID\" $$ $LISTEN_FDS; cat <&3";
    for user in users() {
        // (What LISTEN_PID is, whether it becomes the command's.)
        for (listen_pid, ours) in [("$$", true), ("1", false), ("1$$", false), ("", false)] {
            let root = Root::empty(user);
            root.file("socket", "handed over");
            let script = format!(
                "LISTEN_PID={listen_pid} LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; \
                 echo $LISTEN_PID; exec 3<socket; exec \"$0\" init sh -c '{ask}'"
            );
            let mut bash = command(user, "bash");
            bash.args(["-c", &script]).arg(rootlet_path());
            bash.current_dir(root.path());
            let output = succeed(&mut bash);
            let mut lines = output.lines();
            let given = lines.next().unwrap();
            let line = lines.next().unwrap();
            let mut words = line.split(' ');
            let (listen, own) = (words.next().unwrap(), words.next().unwrap());
            assert_eq!(
                listen,
                if ours { own } else { given },
                "{listen_pid} {output}"
            );
            assert_eq!(words.next(), Some("1"));
            assert_eq!(lines.next(), Some("handed over"));
        }
    }
    // As pid 1 of its namespace its pid is 1.
    let mut run = init(
        Place::Pid1,
        users()[0],
        &["sh", "-c", "echo $LISTEN_PID $$"],
    );
    let output = succeed(run.env("LISTEN_PID", "1"));
    let (listen, own) = output.trim().split_once(' ').unwrap();
    assert_eq!(listen, own);
    assert_ne!(own, "1");
}

#[test]
fn signals_go_to_the_group_if_asked() {
    // Parent and child tell of each signal; the parent ends the child with itself.
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
                // Each tells in its own time.
                let mut lines = vec![started.line()];
                started.signal(64);
                let expected = if child_too { 4 } else { 2 };
                lines.extend((1..expected).map(|_| started.line()));
                lines.sort();
                let told = |name: &str| [number, 64].map(|number| format!("{name} got {number}"));
                let mut expected = told("parent").to_vec();
                if child_too {
                    expected.extend(told("child"));
                }
                expected.sort();
                assert_eq!(lines, expected, "{options:?} {place:?} {user:?}");
            }
            // The child has no number for itself, and ends by this too.
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
                // All but the last were read, then: a TERM would be before them.
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
fn init_is_told_of_its_parents_end() {
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
    // Before each signal from a child it is told to whom; those that can be passed on are.
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
            // And from outside it is passed on.
            started.signal(SIGTERM);
            started.expect("got 15");
            started.signal(SIGUSR2);
            started.expect("got 12");
            assert_eq!(started.status(), 5, "{number} {user:?}");
        }
    }
}

#[test]
fn a_reboot_inside_is_the_end_of_the_run_and_is_told() {
    let host = fs::read_link("/proc/self/ns/pid").unwrap();
    let host = host.to_str().unwrap();
    // Only where that is not the host's.
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

/// A program without libc that writes `here` and ends with status 42.
const TINY: &str = r#"
static long call(long number, long a, long b, long c) {
#if defined(__x86_64__)
    __asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return number;
#else
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
#endif
}
void _start(void) {
    call(WRITE, 1, (long)"here\n", 5);
    for (;;) call(EXIT, 42, 0, 0);
}
"#;

#[test]
fn an_image_needs_no_other_file() {
    for user in users() {
        let root = Root::empty(user);
        let binary = fs::read(rootlet_path()).unwrap();
        root.executable("rootlet", binary);
        // It is the only file.
        let words = [
            "--no-mounts",
            "ROOT",
            "/rootlet",
            "init",
            "--",
            "/rootlet",
            "--version",
        ];
        let version = succeed(&mut root.run(&words));
        assert!(version.starts_with("rootlet "), "{version}");
        let words = ["--no-mounts", "ROOT", "/rootlet", "init", "-P"];
        let mut paused = Running::start(&mut root.run(&words));
        paused.wait_for_command("rootlet");
        let init = paused.command();
        wait_until("init to wait", || {
            let call = fs::read_to_string(format!("/proc/{init}/syscall"));
            let line = fs::read_to_string(format!("/proc/{init}/cmdline"));
            call.is_ok_and(|call| call.starts_with(&format!("{} ", sc::nr::PPOLL)))
                && line.is_ok_and(|line| line.contains("-P"))
                && descriptors(init).len() == 4
        });
        paused.signal(SIGTERM);
        assert_eq!(paused.status(), 0);

        let elsewhere = Root::empty(user);
        let source = elsewhere.file("tiny.c", TINY);
        let mut cc = Command::new("cc");
        cc.args(["-static", "-nostdlib", "-o"])
            .arg(root.path().join("program"));
        cc.arg(format!("-DWRITE={}", sc::nr::WRITE));
        cc.arg(format!("-DEXIT={}", sc::nr::EXIT)).arg(source);
        succeed(&mut cc);
        for options in [&[][..], &["-w"], &["--grace=5"]] {
            let words = ["--no-mounts", "ROOT", "/rootlet", "init"];
            let words = [&words, options, &["--", "/program"]].concat();
            let ended = end(&mut root.run(&words));
            let told = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
            assert_eq!(told, (42, "here\n", ""), "{options:?} {user:?}");
        }
    }
}

#[test]
fn an_idle_init_makes_no_system_call() {
    let user = users()[0];
    let directory = Root::empty(user);
    let mut traced = Vec::new();
    for (place, options) in PLACES.into_iter().flat_map(|place| {
        [
            (place, &["-w"][..]),
            (place, &["--grace=9"]),
            (place, &["-P"]),
        ]
    }) {
        let words = [options, &["sleep", "1000"]].concat();
        let mut run = init(place, user, &words);
        let started = match options {
            ["-P"] => Started::find(place, Running::start(&mut run)),
            _ => Started::executed(place, &mut run, "sleep"),
        };
        started.settle();
        let log = directory.path().join(format!("trace-{}", traced.len()));
        let mut strace = command(user, "strace");
        strace
            .args(["-f", "-qq", "-o"])
            .arg(&log)
            .arg("-p")
            .arg(started.init.to_string());
        let strace = Running::start(&mut strace);
        wait_until("strace", || {
            status_field(started.init, "TracerPid") == strace.pid().to_string()
        });
        // The call that it is in.
        wait_until("the first call", || {
            fs::metadata(&log).is_ok_and(|log| log.len() > 0)
        });
        traced.push((started, strace, log));
    }
    let sizes = || -> Vec<u64> {
        let size =
            |(_, _, log): &(_, _, _)| fs::metadata(log as &std::path::PathBuf).unwrap().len();
        traced.iter().map(size).collect()
    };
    for (started, ..) in &traced {
        started.settle();
    }
    let before = sizes();
    // The one time that is fixed: nothing can be waited for where nothing is to happen.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(sizes(), before);
    // Had it made a call, it would have been seen.
    traced
        .iter()
        .for_each(|(started, ..)| started.signal(SIGWINCH));
    wait_until("calls", || {
        sizes()
            .iter()
            .zip(&before)
            .all(|(now, before)| now > before)
    });
}

/// A file that prints the signals it gets, with init around it in this place.
fn print_signals(directory: &Root, place: Place, user: User) -> String {
    let file = directory.script("print-signals", PRINT_SIGNALS);
    let init = init(place, user, &["python3"]);
    let program = init.get_program().to_str().unwrap();
    let words: Vec<&str> = init.get_args().map(|word| word.to_str().unwrap()).collect();
    format!("{program} {} {}", words.join(" "), file.display())
}

/// init's pid: the parent of the command that has this mark, which no shell has.
fn init_around(mark: &str) -> i32 {
    let is_python = |pid: &i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with("python")
    };
    let python = processes_with(mark).into_iter().find(is_python).unwrap();
    status_field(python, "PPid").parse().unwrap()
}

/// SIGUSR1 is behind any other signal that is still under way.
#[track_caller]
fn expect_once(session: &mut Session, init: i32, printed: &str) {
    session.expect(printed);
    send_signal(init, SIGUSR1);
    assert_eq!(session.expect("got 10\n"), "");
}

#[track_caller]
fn end_print_signals(session: &mut Session, init: i32) {
    send_signal(init, SIGUSR2);
    assert_eq!(session.expect("got 12\n"), "");
}

#[test]
fn ctrl_c_reaches_the_command_once() {
    for (place, user) in cases() {
        let root = Root::empty(user);
        let mut session = Session::bash(user);
        session.enter(&print_signals(&root, place, user));
        session.expect("ready\n");
        let init = init_around(root.name());
        assert!(!session.is_leaders());
        for _ in 0..3 {
            session.press(CTRL_C);
            expect_once(&mut session, init, "got 2\n");
        }
        end_print_signals(&mut session, init);
        assert_eq!(session.status(), "5\n", "{place:?} {user:?}");
        session.exit();
    }
}

#[test]
fn the_foreground_is_the_commands_if_it_was_ours() {
    for (place, user) in cases() {
        let root = Root::empty(user);
        let mut session = Session::bash(user);
        session.enter(&print_signals(&root, place, user));
        session.expect("ready\n");
        let init = init_around(root.name());
        let command = children(init)[0];
        let foreground = || {
            let group = rustix::termios::tcgetpgrp(session.terminal()).unwrap();
            group.as_raw_nonzero().get()
        };
        // The group of a pid 1 is unshare's here, outside of its pid namespace: neither can it tell
        // whether that has the foreground, nor give it back.
        let expected = match place {
            Place::Subreaper => command,
            Place::Pid1 => status_field(init, "PPid").parse().unwrap(),
        };
        assert_eq!(foreground(), expected, "{place:?} {user:?}");
        end_print_signals(&mut session, init);
        assert_eq!(session.status(), "5\n");
        session.exit();
    }
}

#[test]
fn from_the_background_it_takes_no_foreground() {
    for (place, user) in cases() {
        let root = Root::empty(user);
        let mut session = Session::bash(user);
        session.enter(&format!("{} &", print_signals(&root, place, user)));
        session.expect_with_prompt("ready\n");
        let init = init_around(root.name());
        // A key is the shell's then.
        session.press(CTRL_C);
        session.expect("outer> ");
        assert!(session.is_leaders(), "{place:?} {user:?}");
        send_signal(init, SIGUSR1);
        assert_eq!(session.expect("got 10\n"), "");
        send_signal(init, SIGUSR2);
        assert_eq!(session.expect("got 12\n"), "");
        session.enter("wait $!; echo status $?");
        session.expect("status 5\n");
        session.expect("outer> ");
        session.exit();
    }
}

#[test]
fn ctrl_z_stops_the_job_and_fg_continues_it() {
    for user in users() {
        let root = Root::empty(user);
        let mut session = Session::bash(user);
        session.enter(&print_signals(&root, Place::Subreaper, user));
        session.expect("ready\n");
        let init = init_around(root.name());
        let command = children(init)[0];
        for _ in 0..3 {
            session.press(CTRL_Z);
            session.expect("Stopped");
            session.expect("outer> ");
            assert_eq!((state(init), state(command)), (Some('T'), Some('T')));
            session.foreground();
            expect_once(&mut session, init, "got 18\n");
            session.press(CTRL_C);
            expect_once(&mut session, init, "got 2\n");
        }
        end_print_signals(&mut session, init);
        assert_eq!(session.status(), "5\n");
        session.exit();
    }
}

#[test]
fn as_pid_1_in_the_group_of_a_job_it_leaves_job_control_to_the_shell() {
    for user in users() {
        let root = Root::empty(user);
        let mut session = Session::bash(user);
        session.enter(&print_signals(&root, Place::Pid1, user));
        session.expect("ready\n");
        let init = init_around(root.name());
        let command = children(init)[0];
        for _ in 0..3 {
            session.press(CTRL_Z);
            session.expect("Stopped");
            session.expect("outer> ");
            wait_until("the stop", || state(command) == Some('T'));
            // Nobody inside could continue it.
            assert_ne!(state(init), Some('T'));
            session.foreground();
            session.expect("got 18\n");
            session.press(CTRL_C);
            session.expect("got 2\n");
        }
        // The shell's SIGCONT to the group looks like one for the init alone: it is passed on, and
        // may come after the command's own was handled.
        send_signal(init, SIGUSR2);
        assert_eq!(session.expect("got 12\n").replace("got 18\n", ""), "");
        assert_eq!(session.status(), "5\n");
        session.exit();
    }
}

#[test]
fn as_pid_1_of_a_terminal_ctrl_z_stops_the_command_until_cont() {
    if !can_be_root() {
        return;
    }
    // As a container's first process is: leader of its session, which has the terminal.
    let root = Root::empty(User::Root);
    let file = root.script("print-signals", PRINT_SIGNALS);
    let mut leader = command(User::Root, "unshare");
    leader.args(["--pid", "--fork", "--kill-child", "setsid", "--ctty"]);
    leader
        .arg(rootlet_path())
        .args(["init", "python3"])
        .arg(file);
    let mut session = Session::start(leader);
    session.expect("ready\n");
    let init = init_around(root.name());
    let command = children(init)[0];
    for _ in 0..3 {
        session.press(CTRL_C);
        expect_once(&mut session, init, "got 2\n");
        session.press(CTRL_Z);
        wait_until("the stop", || state(command) == Some('T'));
        send_signal(init, SIGCONT);
        expect_once(&mut session, init, "got 18\n");
        assert_ne!(state(init), Some('T'));
    }
    end_print_signals(&mut session, init);
    assert_eq!(session.wait().code(), Some(5));
}

#[test]
fn with_a_terminal_orphans_are_reaped() {
    let leave = "perl -e 'for (1..50) { my $b = fork; if (!$b) { exit 0 if fork; exit 0 } \
                 waitpid $b, 0 }'";
    for user in users() {
        for options in ["", "--grace=5"] {
            let root = Root::empty(user);
            let mut session = Session::bash(user);
            let script = format!("{leave}; echo ready; read line; exit 8; : {}", root.name());
            let script = root.script("orphans", &script);
            session.enter(&format!("$rootlet init {options} sh {}", script.display()));
            session.expect("ready\n");
            let is_init = |pid: &i32| {
                let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.contains("\0init\0")
            };
            let found = processes_with(root.name());
            let init = found.into_iter().find(is_init).unwrap();
            wait_until("the end of the orphans", || children(init).len() == 1);
            session.enter("");
            assert_eq!(session.status(), "8\n");
            session.exit();
        }
    }
}
