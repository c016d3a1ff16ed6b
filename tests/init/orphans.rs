//! init reaps all orphans, and they disturb nothing.

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

use super::SIGTERM;
use super::common::init::{Place, Started, cases, init, kernel, status_field};
use super::common::running::Running;
use super::common::{children, command, end, rootlet_path, rounds, state, users, wait_until};

/// A program that leaves as many orphans as its argument says, and prints `ready`. When a line
/// arrives, all orphans end at the same time. It ends with status 7 after the next line.
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
fn every_orphan_is_reaped() {
    // PIDFD_INFO_EXIT is new in Linux 6.15. On older kernels init reaps all orphans itself. So does
    // an init that is not pid 1, because its parent may read their CPU time.
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
            // A thread reads standard error while init runs, so that init is never blocked writing.
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
            // This list includes zombies.
            wait_until("the end of the orphans", || children(init).len() == 1);
            if options.is_empty() && place == Place::Pid1 && can_tell_reaped_status {
                assert_eq!(wakes(), before, "{context}");
            } else {
                // The wake is counted when init sleeps again.
                wait_until("init to have woken", || wakes() != before);
            }
            let stdin = started.child.stdin.as_mut().unwrap();
            stdin.write_all(b"end\n").unwrap();
            assert_eq!(started.status(), 7, "{context}");
            let lines = lines.join().unwrap();
            if options.is_empty() {
                assert_eq!(lines, "", "{context}");
            } else {
                let is_told = |line: &str| line.starts_with("rootlet: reaped orphan ");
                assert!(lines.lines().all(is_told), "{context}: {lines}");
                assert_eq!(lines.lines().count(), count, "{context}");
            }
        }
    }
}

#[test]
fn the_commands_status_is_not_lost_among_orphans() {
    // All orphans end at the same moment, so that one wake finds all of them.
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
            // On a slow machine the child is still the shell that was forked for it.
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
fn a_process_other_than_pid_1_is_a_quiet_subreaper() {
    // The parent's parent adopts an orphan only if no nearer subreaper does.
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
