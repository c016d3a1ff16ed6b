//! Signals sent to rootlet, and the cleanup after one ends it.

#![allow(missing_docs)]

mod common;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use common::outside::outside;
use common::running::Running;
use common::{
    PRINT_SIGNALS, Root, children, command, end, host_mounts, processes_with, rootlet,
    rootlet_path, send_signal, state, succeed, users, wait_until,
};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;
const SIGTSTP: i32 = 20;

#[test]
fn every_signal_reaches_the_command_once() {
    // SIGCHLD reports rootlet's own child, and libc hides 32 and 33 from python.
    let all = (1..=64).filter(|number| ![9, 17, 19, 32, 33].contains(number));
    let faults = [4, 5, 7, 8, 11, 31];
    let numbers: Vec<i32> = all.filter(|number| !faults.contains(number)).collect();
    let program = PRINT_SIGNALS.replace("19, 20, 21, 22,", "19,");
    for user in users() {
        let mut run = rootlet(user);
        let running = Running::start_ready(run.args(["run", "/", "python3", "-c", &program]));
        // All processes between deliver pending signals lowest number first. Once 64 arrives, the
        // signal before it has arrived too.
        running.signal(64);
        running.expect("got 64");
        for number in numbers
            .iter()
            .filter(|number| ![SIGUSR2, 64].contains(number))
        {
            running.signal(*number);
            running.expect(&format!("got {number}"));
            running.signal(64);
            running.expect("got 64");
        }
        // Real-time signals are queued, not merged.
        for _ in 0..100 {
            running.signal(40);
        }
        for _ in 0..100 {
            running.expect("got 40");
        }
        running.signal(64);
        running.expect("got 64");
        let mut running = running;
        running.signal(SIGUSR2);
        running.expect("got 12");
        assert_eq!(running.status(), 5);
    }
}

#[test]
fn a_signal_that_kills_the_command_is_the_status() {
    let root = Root::busybox(users()[0]);
    // Faults kill rootlet, like any program. The other excluded signals kill no process.
    let harmless = [17, 18, 19, 20, 21, 22, 23, 28];
    let excluded = [&harmless[..], &[4, 5, 7, 8, 9, 11, 31]].concat();
    for number in (1..=64).filter(|number| !excluded.contains(number)) {
        // The command is not a shell that prints `ready`, because a shell that is about to exec may
        // lose a SIGINT.
        let mut running = Running::start(&mut root.run(&["--no-mounts", "ROOT", "sleep", "1000"]));
        running.wait_for_command("sleep");
        running.signal(number);
        assert_eq!(running.status(), 128 + number);
    }
}

#[test]
fn a_trap_is_finished_and_its_status_is_kept() {
    for user in users() {
        for (number, name) in [(SIGTERM, "TERM"), (SIGINT, "INT"), (SIGHUP, "HUP")] {
            let root = Root::busybox(user);
            let trap = "for i in 1 2 3; do sleep 0.1; done; echo finished >/finished; exit 43";
            let script = format!("trap '{trap}' {name}; sleep 1000 & echo ready; wait");
            let mut running = Running::start_ready(&mut root.run(&["ROOT", "sh", "-c", &script]));
            running.signal(number);
            assert_eq!(running.status(), 43, "{name} {user:?}");
            let finished = std::fs::read_to_string(root.path().join("finished"));
            assert_eq!(finished.unwrap(), "finished\n", "{name} {user:?}");
        }
    }
}

#[test]
fn a_signal_during_the_start_is_not_lost() {
    let root = Root::busybox(users()[0]);
    for _ in 0..common::rounds(100) {
        let mut run = root.run(&["ROOT", "sleep", "1000"]);
        let mut running = Running::start(&mut run);
        std::thread::sleep(random_moment());
        running.signal(SIGTERM);
        // Before rootlet has blocked it, the signal kills rootlet itself.
        let status = running.wait();
        let by_signal = status.code().is_none() && status.signal() == Some(SIGTERM);
        assert!(by_signal || status.code() == Some(143), "{status}");
    }
}

#[test]
fn a_stopped_supervisor_forwards_when_it_continues() {
    for user in users() {
        let root = Root::busybox(user);
        let script = "trap 'echo trapped; exit 6' USR1; sleep 1000 & echo ready; wait";
        let mut running = Running::start_ready(&mut root.run(&["ROOT", "sh", "-c", script]));
        running.signal(SIGSTOP);
        wait_until("the stop", || state(running.pid()) == Some('T'));
        running.signal(SIGUSR1);
        assert_eq!(state(running.pid()), Some('T'));
        running.signal(SIGCONT);
        running.expect("trapped");
        assert_eq!(running.status(), 6);

        // The command's end is not lost either.
        let mut run = root.run(&["ROOT", "sh", "-c", "echo ready; read line; exit 7"]);
        let mut running = Running::start_ready(run.stdin(Stdio::piped()));
        running.signal(SIGSTOP);
        wait_until("the stop", || state(running.pid()) == Some('T'));
        let pid1 = running.pid1();
        drop(running.child.stdin.take());
        wait_until("the end of pid 1", || state(pid1) == Some('Z'));
        running.signal(SIGCONT);
        assert_eq!(running.status(), 7);
    }
}

#[test]
fn without_a_terminal_tstp_stops_the_command_until_cont() {
    for user in users() {
        let root = Root::busybox(user);
        let mut run = root.run(&["ROOT", "sh", "-c", "echo ready; read line; exit 5"]);
        let mut running = Running::start_ready(run.stdin(Stdio::piped()));
        let command = running.command();
        running.signal(SIGTSTP);
        wait_until("the stop", || state(command) == Some('T'));
        running.signal(SIGCONT);
        wait_until("the command to go on", || state(command) != Some('T'));
        drop(running.child.stdin.take());
        assert_eq!(running.status(), 5);

        // A stopped command does not prevent the end.
        let mut running = Running::start_ready(&mut root.run(&[
            "ROOT",
            "sh",
            "-c",
            "echo ready; exec sleep 1000",
        ]));
        let command = running.command();
        running.signal(SIGTSTP);
        wait_until("the stop", || state(command) == Some('T'));
        running.signal(SIGTERM);
        running.signal(SIGCONT);
        assert_eq!(running.status(), 143);
    }
}

/// Returns whether the process has ended. Its new parent may still have to reap it.
fn has_ended(pid: i32) -> bool {
    state(pid).is_none_or(|state| state == 'Z')
}

/// A command with persistent children: in the background, in their own session, and ignoring
/// signals.
fn start_with_children(root: &Root) -> Running {
    let mark = root.name();
    let sleep = format!("sh -c \"sleep 1000; : {mark}\"");
    let deaf = format!("sh -c \"trap '' 1 2 3 15; sleep 1000; : {mark}\"");
    let script = format!("{sleep} & setsid {sleep} & {deaf} & echo ready; wait");
    let words = ["-B", "tmpfs:/made/for/this", "ROOT", "sh", "-c", &script];
    let running = Running::start_ready(&mut root.run(&words));
    // The count does not include pid 1, which has overwritten its arguments.
    wait_until("all children", || processes_with(mark).len() == 5);
    running
}

#[test]
fn a_killed_supervisor_leaves_no_process() {
    for user in users() {
        let root = Root::busybox(user);
        let (tree, mounts) = (root.tree(), host_mounts());
        let mut running = start_with_children(&root);
        assert_ne!(root.tree(), tree, "mount points were made");
        let pid1 = running.pid1();
        running.signal(SIGKILL);
        assert_eq!(running.wait().signal(), Some(SIGKILL));
        wait_until("the end of pid 1", || has_ended(pid1));
        wait_until("the end of all", || processes_with(root.name()).is_empty());
        assert_eq!(root.tree(), tree, "{user:?}");
        assert_eq!(host_mounts(), mounts, "{user:?}");
    }
}

#[test]
fn a_killed_pid_1_leaves_no_process() {
    for user in users() {
        let root = Root::busybox(user);
        let (tree, mounts) = (root.tree(), host_mounts());
        let mut running = start_with_children(&root);
        send_signal(running.pid1(), SIGKILL);
        assert_eq!(running.status(), 137);
        assert_eq!(processes_with(root.name()), [0; 0]);
        assert_eq!(root.tree(), tree, "{user:?}");
        assert_eq!(host_mounts(), mounts, "{user:?}");
    }
}

#[test]
fn a_stopped_and_killed_supervisor_leaves_no_process() {
    for user in users() {
        let root = Root::busybox(user);
        let tree = root.tree();
        let mut running = start_with_children(&root);
        running.signal(SIGTSTP);
        let command = running.command();
        wait_until("the stop", || state(command) == Some('T'));
        let pid1 = running.pid1();
        running.signal(SIGSTOP);
        running.signal(SIGKILL);
        assert_eq!(running.wait().signal(), Some(SIGKILL));
        wait_until("the end of pid 1", || has_ended(pid1));
        wait_until("the end of all", || processes_with(root.name()).is_empty());
        assert_eq!(root.tree(), tree, "{user:?}");
    }
}

#[test]
fn a_term_takes_no_mount_from_the_live_command() {
    for user in users() {
        let root = Root::busybox(user);
        let tree = root.tree();
        let bound = Root::empty(user);
        bound.file("file", "");
        let checks = "test -d /proc/self/fd && echo x >/dev/null && test -e /data/file \
             && test -d /sys/class && echo x >/dev/shm/file && exit 42; exit 1";
        let script = format!("trap 'sleep 0.2; {checks}' TERM; sleep 1000 & echo ready; wait");
        let bind = format!("{}:/data", bound.name());
        let words = ["-B", &bind, "ROOT", "sh", "-c", &script];
        let mut running = Running::start_ready(&mut root.run(&words));
        running.signal(SIGTERM);
        assert_eq!(running.status(), 42, "{user:?}");
        assert_eq!(root.tree(), tree, "{user:?}");
    }
}

/// A random time during the start, or just after it.
fn random_moment() -> Duration {
    let random = RandomState::new().build_hasher().finish();
    Duration::from_micros(random % 3000)
}

#[test]
fn a_kill_at_any_moment_leaves_nothing() {
    for user in users() {
        let root = Root::busybox(user);
        let tree = root.tree();
        let names = || std::fs::read_dir(root.path()).unwrap().count();
        let before = names();
        for _ in 0..common::rounds(200) {
            let mut run = root.run(&["-B", "tmpfs:/made/for/this", "ROOT", "sleep", "1000"]);
            let mut running = Running::start(&mut run);
            let moment = random_moment();
            std::thread::sleep(moment);
            running.signal(SIGKILL);
            assert_eq!(running.wait().signal(), Some(SIGKILL));
            // pid 1 has no mark, because its arguments are overwritten.
            wait_until("the end of all", || {
                processes_with(root.name()).is_empty() && names() == before
            });
            assert_eq!(root.tree(), tree, "{moment:?} {user:?}");
        }
    }
}

#[test]
fn a_kill_of_pid_1_at_any_moment_leaves_nothing() {
    for user in users() {
        let root = Root::busybox(user);
        let tree = root.tree();
        for _ in 0..common::rounds(100) {
            let mut run = root.run(&["ROOT", "sleep", "1000"]);
            let mut running = Running::start(&mut run);
            wait_until("pid 1", || !children(running.pid()).is_empty());
            let moment = random_moment();
            std::thread::sleep(moment);
            send_signal(running.pid1(), SIGKILL);
            assert_eq!(running.status(), 137, "{moment:?} {user:?}");
            assert_eq!(processes_with(root.name()), [0; 0]);
            assert_eq!(root.tree(), tree, "{moment:?} {user:?}");
        }
    }
}

#[test]
fn blocked_and_ignored_signals_are_the_callers() {
    let pattern = "^Sig(Blk|Ign|Cgt):";
    for user in users() {
        for options in [
            &[][..],
            &["--ignore-signal=HUP"],
            &["--block-signal=USR1"],
            &["--block-signal=TSTP,TTIN,CHLD", "--ignore-signal=INT,TTOU"],
        ] {
            let outside = succeed(command(user, "env").args(options).args([
                "grep",
                "-E",
                pattern,
                "/proc/self/status",
            ]));
            let mut inside = command(user, "env");
            inside.args(options).arg(rootlet_path());
            inside.args(["run", "/", "grep", "-E", pattern, "/proc/self/status"]);
            assert_eq!(succeed(&mut inside), outside, "{options:?} {user:?}");
        }
        // TSTP, TTIN and TTOU are 20, 21 and 22, which are the bits of 0x380000.
        let mut status = rootlet(user);
        let blocked = succeed(status.args(["run", "/", "grep", "SigBlk", "/proc/self/status"]));
        assert_eq!(blocked, "SigBlk:\t0000000000000000\n");
    }
}

#[test]
fn a_stopped_neighbour_in_an_orphaned_group_gets_no_hang_up() {
    // The runs are in a new session, as under cron and CI: no process in it has a parent in another
    // group. They are killed at any moment, also while the command changes its group.
    let script = "use POSIX; setsid; my $stopped = fork || exec 'sleep', 1000; \
                  kill STOP => $stopped; \
                  for (1..300) { \
                      my $run = fork || exec $ARGV[0], qw(run --no-mounts / sleep 1); \
                      select undef, undef, undef, rand 0.003; kill KILL => $run; waitpid $run, 0; \
                  } \
                  kill KILL => $stopped; print 'survived'";
    for user in users() {
        let mut command = command(user, "perl");
        command.args(["-e", script]).arg(rootlet_path());
        assert_eq!(common::end(&mut command).stdout, "survived", "{user:?}");
    }
}

/// The program leads a session, as a service does, and a member of its process group is stopped.
#[test]
fn the_end_of_a_spawned_command_hangs_nobody_up() {
    let script = r#"sleep 1000 & kill -STOP $!
        while ! grep -q '^State:.T' /proc/$!/status; do :; done
        "$@"; echo $?
        grep '^State' /proc/$!/status; kill -KILL $!"#;
    for user in users() {
        for case in ["wait", "call"] {
            let root = Root::busybox(user);
            let mut session = command(user, "setsid");
            session.args(["--wait", "sh", "-c", script, "sh"]);
            let ended = end(session.arg(outside()).args([case, root.name()]));
            let found = (ended.status, &ended.stdout[..]);
            assert_eq!(
                found,
                (0, "0\nState:\tT (stopped)\n"),
                "{user:?} {case}: {ended:?}"
            );
        }
    }
}
