//! A program inside attacks the caller's terminal by every path that could lead there. With `--pty` the caller's terminal, its
//! settings and its shell stay as they were.

use rustix::termios::{LocalModes, tcgetattr};

use crate::common::terminal::Session;
use crate::common::{Root, User, copy_program, users, wait_until};
use crate::programs::terminal_program;
use crate::summary;

/// The options of the runs of each user.
const RUNS: [(User, &str); 7] = [
    (User::Ordinary, ""),
    (User::Ordinary, "--dev=minimal --new-session"),
    (User::Ordinary, "--unshare=net,cgroup --overlay"),
    (User::Root, "--unshare=user"),
    (User::Root, "--private-users"),
    (User::Root, "--dev=minimal"),
    (User::Root, "--user=7:8 --no-new-privs"),
];

/// The paths that lead to a terminal of a process.
const PATHS: &str = "/dev/tty /dev/console /proc/1/fd/{0,1,2} /proc/self/fd/{0,1,2}";

/// Prints the settings of the terminal.
const STATE: &str = "stty -a -F /dev/tty";

#[test]
fn the_callers_terminal_is_out_of_reach() {
    let mut tried = 0;
    for user in users() {
        let root = Root::busybox(user);
        copy_program(terminal_program(), root.path().join("bin/terminal"));
        for (of, options) in RUNS {
            if of != user {
                continue;
            }
            let mut session = Session::bash(user);
            let before = session.ask(STATE);
            assert!(before.contains("speed"), "{before}");
            let script = format!(
                "$rootlet run --pty {options} {} /bin/terminal 'echo stolen $((6 * 7))' $(tty) {PATHS}",
                root.name()
            );
            session.enter(&script);
            let status = session.status();
            // The program may lose its own terminal, and end by that.
            assert_ne!(status, "6\n", "{options}: no terminal was attacked");
            assert_eq!(session.ask("echo alive"), "alive\n", "{user:?} {options}");
            assert_eq!(session.ask(STATE), before, "{user:?} {options}");
            assert!(!session.output.contains("stolen 42"), "{user:?} {options}");
            session.exit();
            tried += 1;
        }
        // The control: without rootlet in between, the settings are changed.
        let session = Session::bash(user);
        let echoes = || {
            let settings = tcgetattr(session.terminal()).unwrap();
            settings.local_modes.contains(LocalModes::ECHOE)
        };
        assert!(echoes());
        session.enter(&format!(
            "{} true; sleep 1000",
            terminal_program().display()
        ));
        wait_until("the attack on its own terminal", || !echoes());
    }
    summary(
        "insiders",
        &format!("{tried} kinds of runs with a terminal of their own, the caller's untouched"),
    );
}
