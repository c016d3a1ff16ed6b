//! `rootlet init --grace`: processes that the command leaves have time to end.

#![allow(missing_docs)]

mod common;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::init::{PLACES, Place, Started, cases, init, kill};
use common::running::Running;
use common::{
    Root, User, command, end, processes_with, rootlet, rootlet_path, rounds, send_signal, succeed,
    users, wait_until,
};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// A program that leaves a child and a grandchild in a new session, and ends with status 3. Both
/// take half a second to end after TERM, and create a file each. They sleep in short steps, because
/// perl runs a handler only between two: after a TERM just before a sleep, the handler waits for
/// its end.
const LEAVE_TIDY_CHILDREN: &str = "\
    use POSIX 'setsid'; pipe my $told, my $tell; \
    sub stay { \
        my $name = shift; \
        $SIG{TERM} = sub { \
            select undef, undef, undef, 0.5; open my $file, '>', \"$ARGV[0]/$name\"; exit 0; \
        }; \
        syswrite $tell, 'x'; select undef, undef, undef, 0.05 while 1; \
    } \
    if (!fork) { setsid; stay('second') if !fork; stay('first'); } \
    sysread $told, my $two, 1 for 1..2; exit 3";

#[test]
fn remaining_processes_have_the_grace_to_end() {
    for (place, user) in cases() {
        for options in [&["--grace", "30"][..], &["--grace=30", "-w"]] {
            let root = Root::empty(user);
            let words = [options, &["perl", "-e", LEAVE_TIDY_CHILDREN, root.name()]].concat();
            let start = Instant::now();
            let mut run = init(place, user, &words);
            run.stderr(Stdio::null());
            assert_eq!(end(&mut run).status, 3, "{place:?} {user:?}");
            // init waits no longer than the processes need.
            assert!(start.elapsed() < Duration::from_secs(25));
            for name in ["first", "second"] {
                let file = root.path().join(name);
                assert!(file.exists(), "{name} {options:?} {place:?} {user:?}");
            }
            assert_eq!(processes_with(root.name()), [0; 0]);
        }
    }
}

/// A program that leaves children that ignore TERM: one stops itself, the other is in its own
/// session.
const LEAVE_DEAF_CHILDREN: &str = "\
    use POSIX 'setsid'; pipe my $told, my $tell; \
    $SIG{$_} = 'IGNORE' for qw(TERM HUP INT QUIT); \
    if (!fork) { \
        setsid; \
        if (!fork) { syswrite $tell, 'x'; kill STOP => $$ while 1; } \
        syswrite $tell, 'x'; sleep 1000 while 1; \
    } \
    sysread $told, my $two, 1 for 1..2; exit 3";

#[test]
fn processes_that_ignore_term_are_killed_after_the_grace() {
    for (place, user) in cases() {
        let root = Root::empty(user);
        let start = Instant::now();
        let words = ["--grace=1", "perl", "-e", LEAVE_DEAF_CHILDREN, root.name()];
        assert_eq!(
            end(&mut init(place, user, &words)).status,
            3,
            "{place:?} {user:?}"
        );
        assert!(
            start.elapsed() >= Duration::from_secs(1),
            "{place:?} {user:?}"
        );
        assert_eq!(processes_with(root.name()), [0; 0], "{place:?} {user:?}");
    }
}

#[test]
fn a_command_that_ignores_term_is_killed_after_the_grace() {
    let script = "$SIG{$_} = 'IGNORE' for qw(TERM HUP INT QUIT); $| = 1; print \"ready\\n\"; \
                  sleep 1000 while 1";
    for (place, user) in cases() {
        for number in [SIGTERM, SIGINT, SIGHUP, 3] {
            let words = ["--grace", "1", "perl", "-e", script];
            let mut started = Started::ready(place, &mut init(place, user, &words));
            let start = Instant::now();
            started.signal(number);
            assert_eq!(started.status(), 137, "{number} {place:?} {user:?}");
            assert!(start.elapsed() >= Duration::from_secs(1));
        }
    }
}

#[test]
fn without_grace_nobody_is_waited_for() {
    for (place, user) in cases() {
        for options in [&[][..], &["--grace=0"]] {
            let root = Root::empty(user);
            let words = [options, &["perl", "-e", LEAVE_DEAF_CHILDREN, root.name()]].concat();
            // The remaining processes would keep a pipe open.
            let mut run = init(place, user, &words);
            let status = run.stdout(Stdio::null()).status().unwrap();
            assert_eq!(status.code(), Some(3), "{place:?} {user:?}");
            if place == Place::Subreaper {
                let left = processes_with(root.name());
                assert_eq!(left.len(), 2);
                left.into_iter().for_each(kill);
            }
            wait_until("the end of all", || processes_with(root.name()).is_empty());
        }
    }
}

#[test]
fn without_proc_the_grace_is_for_the_commands_group_and_ends() {
    for user in users() {
        let root = Root::busybox(user);
        common::copy_program(rootlet_path(), root.path().join("rootlet"));
        root.file("dev/null", "");
        // The second process is in its own session, and the root has no /proc that would list it.
        for leave in ["sleep 1000 &", "setsid sleep 1000 &"] {
            let script = format!("{leave} exit 3");
            let mut run = command(user, "timeout");
            run.arg("60")
                .arg(rootlet_path())
                .args(["run", "--no-mounts"]);
            run.arg(root.path());
            run.args(["/rootlet", "init", "--grace", "1", "sh", "-c", &script]);
            let ended = end(&mut run);
            assert_eq!(
                (ended.status, &ended.stderr[..]),
                (3, ""),
                "{leave} {user:?}"
            );
        }
    }
}

#[test]
fn a_signal_that_is_not_forwarded_starts_no_grace() {
    for (place, user) in cases() {
        let words = ["-r", "TERM:0", "--grace", "1", "sh", "-c"];
        let script = "echo ready; read line; sleep 1.5; echo $line; exit 4";
        let mut run = init(place, user, &[&words[..], &[script]].concat());
        run.stdin(Stdio::piped());
        let mut started = Started::ready(place, &mut run);
        send_signal(started.init, SIGTERM);
        let mut stdin = started.child.stdin.take().unwrap();
        stdin.write_all(b"gone on\n").unwrap();
        started.expect("gone on");
        assert_eq!(started.status(), 4, "{place:?} {user:?}");
    }
}

/// A program whose descendants form a chain of the length in its argument. It leaves them all, and
/// ends with status 3 once the last one runs. Each executes the program again, because nested forks
/// become slower each time.
const LEAVE_CHAIN: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **words) {
    int ends[2], rest = atoi(words[1]), is_first = count == 3;
    char number[16], byte;
    if (rest == 0)
        return write(1, "x", 1) == 1 ? pause() : 1;
    if (is_first && (pipe(ends) != 0 || dup2(ends[1], 1) != 1))
        return 2;
    snprintf(number, sizeof number, "%d", rest - 1);
    if (vfork() == 0) {
        execl(words[0], words[0], number, words[2], "", (char *)0);
        _exit(4);
    }
    if (is_first)
        return read(ends[0], &byte, 1) == 1 ? 3 : 5;
    for (;;)
        pause();
}
"#;

#[test]
fn a_long_chain_of_descendants_is_ended() {
    let length = rounds(3000).to_string();
    for user in users() {
        let root = Root::empty(user);
        let source = root.file("chain.c", LEAVE_CHAIN);
        let chain = root.path().join("chain");
        let mut cc = command(User::Root, "cc");
        succeed(cc.args(["-static", "-o"]).arg(&chain).arg(source));
        let words = [chain.to_str().unwrap(), &length, root.name()];
        let grace = [&["--grace", "30"][..], &words].concat();
        let mut inits = PLACES.map(|place| init(place, user, &grace));
        let mut run = rootlet(user);
        run.args(["run", "--share", "pid", "/"]).args(words);
        for command in inits.iter_mut().chain([&mut run]) {
            // The remaining processes would keep a pipe open.
            let status = command.stdout(Stdio::null()).status().unwrap();
            let left = processes_with(root.name());
            left.iter().for_each(|pid| kill(*pid));
            assert_eq!((status.code(), left.len()), (Some(3), 0), "{command:?}");
        }
    }
}

/// A program that enters from outside. It prints `ready`, and `finished` half a second after TERM.
const ENTER: &str = "$| = 1; \
    $SIG{TERM} = sub { select undef, undef, undef, 0.5; print \"finished\\n\"; exit 0 }; \
    print \"ready\\n\"; select undef, undef, undef, 0.05 while 1";

/// `perl -e SCRIPT` in the pid namespace of an init, as a child of this process.
fn enter(user: User, init: i32, script: &str) -> Running {
    let mut nsenter = command(user, "nsenter");
    nsenter.args(["--target", &init.to_string(), "--pid"]);
    if user == User::Ordinary {
        nsenter.args(["--user", "--preserve-credentials"]);
    }
    Running::start_ready(nsenter.args(["perl", "-e", script]))
}

#[test]
fn a_process_that_entered_has_the_grace_too() {
    for user in users() {
        for options in [&["--grace", "30"][..], &["--grace=30", "-w"]] {
            let words = [options, &["sh", "-c", "echo ready; read line; exit 3"]].concat();
            let mut run = init(Place::Pid1, user, &words);
            let mut started = Started::ready(Place::Pid1, run.stdin(Stdio::piped()));
            let start = Instant::now();
            let mut entered = [(); 2].map(|()| enter(user, started.init, ENTER));
            drop(started.child.stdin.take());
            assert_eq!(started.status(), 3, "{options:?} {user:?}");
            for entered in &mut entered {
                entered.expect("finished");
                assert_eq!(entered.status(), 0, "{options:?} {user:?}");
            }
            // init waits no longer than the processes need.
            assert!(start.elapsed() < Duration::from_secs(25));
        }
    }
}

#[test]
fn a_process_that_entered_and_ignores_term_is_killed_after_the_grace() {
    for user in users() {
        let words = ["--grace=1", "sh", "-c", "echo ready; read line; exit 3"];
        let mut run = init(Place::Pid1, user, &words);
        let mut started = Started::ready(Place::Pid1, run.stdin(Stdio::piped()));
        let deaf = "$SIG{TERM} = 'IGNORE'; $| = 1; print \"ready\\n\"; sleep 1000 while 1";
        let mut entered = enter(user, started.init, deaf);
        let start = Instant::now();
        drop(started.child.stdin.take());
        assert_eq!(started.status(), 3, "{user:?}");
        assert!(start.elapsed() >= Duration::from_secs(1), "{user:?}");
        // nsenter ends with the same signal as its child.
        assert_eq!(entered.wait().signal(), Some(9), "{user:?}");
    }
}
