//! rootlet on a terminal: keys, job control, window size, hang-up.

#![allow(missing_docs)]

mod common;

use std::path::Path;

use common::terminal::{CTRL_C, CTRL_Z, Session};
use common::{
    PRINT_SIGNALS, Root, children, command, processes_with, rootlet, rootlet_path, send_signal,
    state, users, wait_until,
};
use rustix::termios::{Winsize, tcgetpgrp, tcsetwinsize};

const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;

/// A command that waits for a signal to end it. It is not a shell, because a shell that is about to
/// exec may lose a SIGINT.
const WAIT: &str = r#"perl -e '$| = 1; print "ready\n"; sleep 1000'"#;

/// Returns the supervisor with `mark` on its command line. The process inside has the mark too.
fn supervisor(mark: &str) -> i32 {
    let is_supervisor = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let path = rootlet_path().as_os_str().as_encoded_bytes();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let pids = status.lines().find(|line| line.starts_with("NSpid:"));
        line.starts_with(path) && pids.is_some_and(|pids| pids.split_whitespace().count() == 2)
    };
    let found: Vec<i32> = processes_with(mark)
        .into_iter()
        .filter(is_supervisor)
        .collect();
    assert_eq!(found.len(), 1, "{mark}");
    found[0]
}

/// Returns the command of that supervisor.
fn command_of(supervisor: i32) -> i32 {
    children(children(supervisor)[0])[0]
}

/// A script that prints the signals it receives, to be run with NEWROOT `/`.
fn print_signals(directory: &Root) -> String {
    let file = directory.script("print-signals", PRINT_SIGNALS);
    format!("$rootlet run / python3 {}", file.display())
}

/// Checks that the output appears once. SIGUSR1 passes through the same processes after any INT.
/// Once it arrives, every earlier signal has arrived.
#[track_caller]
fn expect_once(session: &mut Session, directory: &Root, printed: &str) {
    session.expect(printed);
    send_signal(supervisor(directory.name()), SIGUSR1);
    assert_eq!(session.expect("got 10\n"), "");
}

/// Ends the program that prints signals.
#[track_caller]
fn end_print_signals(session: &mut Session, directory: &Root) {
    send_signal(supervisor(directory.name()), SIGUSR2);
    assert_eq!(session.expect("got 12\n"), "");
}

fn wait_for_state(pid: i32, stopped: bool) {
    wait_until("a stop, or its end", || {
        (state(pid) == Some('T')) == stopped
    });
}

#[test]
fn ctrl_c_reaches_the_command_once() {
    for user in users() {
        let root = Root::empty(user);
        let mut session = Session::bash(user);
        session.enter(&print_signals(&root));
        session.expect("ready\n");
        for _ in 0..3 {
            session.press(CTRL_C);
            expect_once(&mut session, &root, "got 2\n");
        }
        end_print_signals(&mut session, &root);
        assert_eq!(session.status(), "5\n");
        session.exit();
    }
}

#[test]
fn ctrl_c_that_kills_is_130_and_the_prompt_is_back() {
    for user in users() {
        let mut session = Session::bash(user);
        session.enter(&format!("$rootlet run / {WAIT}"));
        session.expect("ready\n");
        session.press(CTRL_C);
        assert_eq!(session.status(), "130\n");
        session.exit();
    }
}

#[test]
fn ctrl_z_stops_the_job_and_fg_continues_it() {
    for user in users() {
        let root = Root::empty(user);
        let mut session = Session::bash(user);
        session.enter(&print_signals(&root));
        session.expect("ready\n");
        let supervisor = supervisor(root.name());
        let command = command_of(supervisor);
        for _ in 0..3 {
            session.press(CTRL_Z);
            session.expect("Stopped");
            session.expect("outer> ");
            assert_eq!((state(supervisor), state(command)), (Some('T'), Some('T')));
            session.foreground();
            expect_once(&mut session, &root, "got 18\n");
            session.press(CTRL_C);
            expect_once(&mut session, &root, "got 2\n");
        }
        end_print_signals(&mut session, &root);
        assert_eq!(session.status(), "5\n");
        session.exit();
    }
}

#[test]
fn a_stopped_job_goes_on_in_the_background_and_comes_back() {
    for user in users() {
        let root = Root::empty(user);
        let mut session = Session::bash(user);
        session.enter(&print_signals(&root));
        session.expect("ready\n");
        for _ in 0..2 {
            session.press(CTRL_Z);
            session.expect("Stopped");
            session.expect("outer> ");
            session.enter("bg");
            session.expect_with_prompt("got 18\n");
            expect_once(&mut session, &root, "");
            assert!(session.ask("jobs").contains("Running"));
            // The key goes to the shell, and not to the job in the background.
            session.press(CTRL_C);
            session.expect("outer> ");
            session.foreground();
            session.expect("print-signals\n");
            session.press(CTRL_C);
            expect_once(&mut session, &root, "got 2\n");
        }
        end_print_signals(&mut session, &root);
        assert_eq!(session.status(), "5\n");
        session.exit();
    }
}

/// dash, because busybox's shell polls the terminal before reading and is therefore not stopped.
const READ: &str = "dash -c 'echo ready; read x; echo got-$x; read x; echo got-$x; exit 6'";

#[test]
fn a_background_job_that_reads_the_terminal_is_stopped_until_fg() {
    for user in users() {
        let root = Root::empty(user);
        let mut session = Session::bash(user);
        session.enter(&format!("$rootlet run / {READ} {} &", root.name()));
        session.expect_with_prompt("ready\n");
        let supervisor = supervisor(root.name());
        wait_for_state(supervisor, true);
        assert!(session.ask("jobs").contains("Stopped"));
        session.foreground();
        session.enter("one");
        session.expect("got-one\n");
        session.press(CTRL_Z);
        session.expect("Stopped");
        session.expect("outer> ");
        // In the background it stops again, and leaves the foreground to the shell.
        session.ask("bg");
        session.ask("wait %1");
        assert_eq!(state(supervisor), Some('T'));
        assert!(session.is_leaders());
        session.foreground();
        session.enter("two");
        session.expect("got-two\n");
        assert_eq!(session.status(), "6\n");
        session.exit();
    }
}

#[test]
fn a_running_background_job_can_read_the_terminal_after_fg() {
    for user in users() {
        let root = Root::empty(user);
        let fifo = root.path().join("fifo");
        let mut session = Session::bash(user);
        session.ask(&format!("mkfifo {}", fifo.display()));
        let script = format!("echo ready; read go <$0; {}", &READ[9..READ.len() - 1]);
        session.enter(&format!(
            "$rootlet run / dash -c '{script}' {} &",
            fifo.display()
        ));
        session.expect_with_prompt("ready\n");
        // bash sends no SIGCONT to a running job.
        session.foreground();
        std::fs::write(&fifo, "go\n").unwrap();
        session.expect("ready\n");
        session.enter("one");
        session.expect("got-one\n");
        session.press(CTRL_Z);
        session.expect("Stopped");
        session.expect("outer> ");
        session.foreground();
        session.enter("two");
        session.expect("got-two\n");
        assert_eq!(session.status(), "6\n");
        session.exit();
    }
}

#[test]
fn a_new_window_size_arrives_once() {
    let size = |rows, columns| Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    for user in users() {
        let root = Root::busybox(user);
        let mut session = Session::bash(user);
        tcsetwinsize(session.terminal(), size(33, 77)).unwrap();
        session.enter(&format!("$rootlet run {} stty size", root.name()));
        session.expect("33 77\n");
        session.expect("outer> ");
        session.enter(&print_signals(&root));
        session.expect("ready\n");
        tcsetwinsize(session.terminal(), size(44, 88)).unwrap();
        expect_once(&mut session, &root, "got 28\n");
        end_print_signals(&mut session, &root);
        assert_eq!(session.status(), "5\n");
        session.enter(&format!("$rootlet run {} stty size", root.name()));
        session.expect("44 88\n");
        session.expect("outer> ");
        session.exit();
    }
}

/// A shell for `$SHELL`. Line editing would draw its prompt more than once.
fn interactive_shell(root: &Root, shell: &str) -> String {
    let script = format!("#!/bin/sh\nexec {shell} \"$@\"\n");
    root.script("shell", &script).display().to_string()
}

#[test]
fn the_default_shell_has_job_control() {
    for user in users() {
        let root = Root::empty(user);
        for shell in ["dash", "bash --norc --noediting"] {
            let mut session = Session::bash(user);
            let shell = interactive_shell(&root, shell);
            session.enter(&format!("SHELL={shell} PS1='inner> ' $rootlet run /"));
            assert_eq!(session.expect("inner> "), "", "no complaint of {shell}");
            session.enter(WAIT);
            session.expect("ready\n");
            session.press(CTRL_Z);
            session.expect("Stopped");
            session.expect("inner> ");
            let inner = tcgetpgrp(session.terminal());
            session.enter("fg");
            wait_until("the inner shell to give away the terminal", || {
                tcgetpgrp(session.terminal()) != inner
            });
            session.press(CTRL_C);
            session.expect("inner> ");
            session.enter("echo status $?");
            session.expect("status 130\n");
            // With a job left in the background.
            session.expect("inner> ");
            session.enter("sleep 1000 &");
            session.expect("inner> ");
            session.enter("exit 3");
            assert_eq!(session.status(), "3\n", "{shell} {user:?}");
            session.exit();
        }
    }
}

#[test]
fn an_interactive_shell_inside_can_suspend_itself() {
    for user in users() {
        let root = Root::empty(user);
        let shell = interactive_shell(&root, "bash --norc --noediting");
        let mut session = Session::bash(user);
        session.enter(&format!("SHELL={shell} PS1='inner> ' $rootlet run /"));
        session.expect("inner> ");
        session.enter("suspend -f");
        session.expect("Stopped");
        session.expect("outer> ");
        session.foreground();
        session.enter("echo in$((1))side");
        session.expect("in1side\n");
        session.enter("exit 3");
        session.expect("exit\n");
        assert_eq!(session.status(), "3\n");
        session.exit();
    }
}

#[test]
fn the_rest_of_a_pipeline_still_reads_the_terminal() {
    for user in users() {
        let root = Root::busybox(user);
        root.file("file", "contents\n");
        let mut session = Session::bash(user);
        session.enter(&format!(
            "$rootlet run {} cat file | sh -c 'read x </dev/tty; echo typed-$x; cat'",
            root.name()
        ));
        session.enter("word");
        session.expect("typed-word\n");
        session.expect("contents\n");
        session.expect("outer> ");

        session.enter(&format!(
            "{} | sh -c 'trap \"\" INT; exec cat'",
            print_signals(&root)
        ));
        session.expect("ready\n");
        session.press(CTRL_C);
        expect_once(&mut session, &root, "got 2\n");
        session.press(CTRL_Z);
        session.expect("Stopped");
        session.expect("outer> ");
        session.foreground();
        session.expect("got 18\n");
        session.press(CTRL_C);
        session.expect("got 2\n");
        send_signal(supervisor(root.name()), SIGUSR2);
        session.expect("got 12\n");
        session.expect("outer> ");
        session.exit();
    }
}

/// A script that runs rootlet three times, and prints a line if it continues.
fn looping_script(root: &Root, rootlet: &Path) -> String {
    let script = format!(
        "for i in 1 2 3; do\n{} run / {WAIT} {}\necho went on\ndone\n",
        rootlet.display(),
        root.name()
    );
    root.script("bin/looping", &script).display().to_string()
}

#[test]
fn ctrl_c_ends_a_script_around_rootlet() {
    for user in users() {
        let root = Root::busybox(user);
        let script = looping_script(&root, rootlet_path());
        let mut session = Session::bash(user);
        // dash ends because the key reaches it too. bash ends only if it sees that the signal ended
        // rootlet.
        for shell in ["dash", "bash"] {
            session.enter(&format!("{shell} {script}"));
            session.expect("ready\n");
            session.press(CTRL_C);
            let printed = session.expect("outer> ");
            assert!(!printed.contains("went on"), "{shell}: {printed}");
            assert_eq!(session.ask("echo $?"), "130\n");
        }
        session.exit();
        wait_until("the end of all", || processes_with(root.name()).is_empty());
    }
}

#[test]
fn a_script_has_the_terminal_after_rootlet() {
    for user in users() {
        let root = Root::empty(user);
        let run = format!("{} run / {READ}", rootlet_path().display());
        let text = format!("{run}\n{run}\nread x; echo script-$x\n");
        let script = root.script("script", &text);
        let mut session = Session::bash(user);
        session.enter(&format!("dash {}", script.display()));
        for _ in 0..2 {
            session.expect("ready\n");
            session.enter("one");
            session.expect("got-one\n");
            session.enter("two");
            session.expect("got-two\n");
        }
        session.enter("three");
        session.expect("script-three\n");
        assert_eq!(session.status(), "0\n");
        session.exit();
    }
}

#[test]
fn ctrl_z_stops_a_script_around_rootlet() {
    for user in users() {
        let root = Root::busybox(user);
        let script = looping_script(&root, rootlet_path());
        for background in ["", " &"] {
            let mut session = Session::bash(user);
            session.enter(&format!("sh {script}{background}"));
            session.expect("ready\n");
            if !background.is_empty() {
                session.foreground();
                session.expect("looping\n");
            }
            let supervisor = supervisor(root.name());
            let command = command_of(supervisor);
            for _ in 0..3 {
                session.press(CTRL_Z);
                session.expect("Stopped");
                session.expect("outer> ");
                for pid in [supervisor, command] {
                    wait_for_state(pid, true);
                }
                session.foreground();
                session.expect("looping\n");
                for pid in [supervisor, command] {
                    wait_for_state(pid, false);
                }
            }
            session.press(CTRL_C);
            let printed = session.expect("outer> ");
            assert!(!printed.contains("went on"), "{printed}");
            session.exit();
            wait_until("the end of all", || processes_with(root.name()).is_empty());
        }
    }
}

#[test]
fn a_hang_up_reaches_the_command() {
    for user in users() {
        let program = "import os, signal, sys\n\
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})\n\
            print('ready', flush=True)\n\
            signal.sigwait({signal.SIGHUP})\n\
            open(sys.argv[0] + '.told', 'x').close()\n";
        let tell = |root: &Root| root.script("tell", program);
        let check = |root: &Root| {
            wait_until("the end of all", || processes_with(root.name()).is_empty());
            assert!(root.path().join("tell.told").exists(), "{user:?}");
        };

        // The leader is rootlet itself.
        let root = Root::empty(user);
        let mut leader = rootlet(user);
        leader.args(["run", "/", "python3"]).arg(tell(&root));
        let mut session = Session::start(leader);
        session.expect("ready\n");
        session.hang_up();
        assert_eq!(session.wait().code(), Some(0));
        check(&root);

        // The leader is a script, which dies of the hang-up and ends its foreground group.
        let root = Root::empty(user);
        let mut leader = command(user, "sh");
        leader.args(["-c", "\"$0\" run / python3 \"$1\"; true"]);
        leader.arg(rootlet_path()).arg(tell(&root));
        let mut session = Session::start(leader);
        session.expect("ready\n");
        session.hang_up();
        session.wait();
        check(&root);

        // The leader is an interactive shell, which passes the hang-up on to its jobs.
        let root = Root::empty(user);
        for background in ["", " &"] {
            let file = tell(&root);
            let mut session = Session::bash(user);
            session.enter(&format!(
                "$rootlet run / python3 {}{background}",
                file.display()
            ));
            session.expect("ready\n");
            session.hang_up();
            session.wait();
            check(&root);
            std::fs::remove_file(root.path().join("tell.told")).unwrap();
        }
    }
}
