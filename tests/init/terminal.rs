//! Job control on a terminal, in a shell's job and as the first process of a session.

use std::fs;

use super::common::init::{Place, cases, init, status_field};
use super::common::terminal::{CTRL_C, CTRL_Z, Session};
use super::common::{
    PRINT_SIGNALS, Root, User, can_be_root, children, command, processes_with, rootlet_path,
    send_signal, state, users, wait_until,
};
use super::{SIGCONT, SIGUSR1, SIGUSR2};

/// A job of an interactive bash: init around a program that prints its signals.
struct Job {
    /// Holds the program.
    _root: Root,
    session: Session,
    init: i32,
}

impl Job {
    /// Starts the job in the foreground, and waits until the program is ready.
    #[track_caller]
    fn start(place: Place, user: User) -> Job {
        Job::start_with(place, user, "")
    }

    /// Starts the job with this at the end of the command line, for example ` &`.
    #[track_caller]
    fn start_with(place: Place, user: User, end: &str) -> Job {
        let root = Root::empty(user);
        let file = root.script("print-signals", PRINT_SIGNALS);
        let init = init(place, user, &["python3"]);
        let program = init.get_program().to_str().unwrap();
        let words: Vec<&str> = init.get_args().map(|word| word.to_str().unwrap()).collect();
        let mut session = Session::bash(user);
        session.enter(&format!(
            "{program} {} {}{end}",
            words.join(" "),
            file.display()
        ));
        match end {
            "" => drop(session.expect("ready\n")),
            _ => session.expect_with_prompt("ready\n"),
        }
        let init = init_around(root.name());
        Job {
            _root: root,
            session,
            init,
        }
    }

    fn command(&self) -> i32 {
        children(self.init)[0]
    }

    #[track_caller]
    fn press(&mut self, key: &str, printed: &str) {
        self.session.press(key);
        expect_once(&mut self.session, self.init, printed);
    }

    /// Ends the program, and then the shell.
    #[track_caller]
    fn end(mut self) {
        end_print_signals(&mut self.session, self.init);
        assert_eq!(self.session.status(), "5\n");
        self.session.exit();
    }
}

/// Returns init's pid: the parent of the python process with this mark on its command line.
fn init_around(mark: &str) -> i32 {
    let is_python = |pid: &i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with("python")
    };
    let python = processes_with(mark).into_iter().find(is_python).unwrap();
    status_field(python, "PPid").parse().unwrap()
}

/// Checks that this line comes, and then only SIGUSR1, which arrives after all other signals.
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
        let mut job = Job::start(place, user);
        assert!(!job.session.is_leaders());
        for _ in 0..3 {
            job.press(CTRL_C, "got 2\n");
        }
        job.end();
    }
}

#[test]
fn the_command_gets_the_foreground_if_we_had_it() {
    for (place, user) in cases() {
        let job = Job::start(place, user);
        let foreground = rustix::termios::tcgetpgrp(job.session.terminal()).unwrap();
        // pid 1 is here in the group of unshare, which is outside of its pid namespace. init cannot
        // see whether that group has the foreground, and cannot restore it.
        let expected = match place {
            Place::Subreaper => job.command(),
            Place::Pid1 => status_field(job.init, "PPid").parse().unwrap(),
        };
        let foreground = foreground.as_raw_nonzero().get();
        assert_eq!(foreground, expected, "{place:?} {user:?}");
        job.end();
    }
}

#[test]
fn from_the_background_it_takes_no_foreground() {
    for (place, user) in cases() {
        let mut job = Job::start_with(place, user, " &");
        let session = &mut job.session;
        // The shell has the foreground, so it gets the key.
        session.press(CTRL_C);
        session.expect("outer> ");
        assert!(session.is_leaders(), "{place:?} {user:?}");
        send_signal(job.init, SIGUSR1);
        assert_eq!(session.expect("got 10\n"), "");
        end_print_signals(session, job.init);
        session.enter("wait $!; echo status $?");
        session.expect("status 5\n");
        session.expect("outer> ");
        job.session.exit();
    }
}

#[test]
fn ctrl_z_stops_the_job_and_fg_continues_it() {
    for user in users() {
        let mut job = Job::start(Place::Subreaper, user);
        let (init, command) = (job.init, job.command());
        for _ in 0..3 {
            job.session.press(CTRL_Z);
            job.session.expect("Stopped");
            job.session.expect("outer> ");
            assert_eq!((state(init), state(command)), (Some('T'), Some('T')));
            job.session.foreground();
            expect_once(&mut job.session, init, "got 18\n");
            job.press(CTRL_C, "got 2\n");
        }
        job.end();
    }
}

#[test]
fn as_pid_1_in_the_group_of_a_job_it_leaves_job_control_to_the_shell() {
    for user in users() {
        let mut job = Job::start(Place::Pid1, user);
        let (init, command) = (job.init, job.command());
        let session = &mut job.session;
        for _ in 0..3 {
            session.press(CTRL_Z);
            session.expect("Stopped");
            session.expect("outer> ");
            wait_until("the stop", || state(command) == Some('T'));
            // No process inside could continue it.
            assert_ne!(state(init), Some('T'));
            session.foreground();
            session.expect("got 18\n");
            session.press(CTRL_C);
            session.expect("got 2\n");
        }
        // init cannot distinguish a SIGCONT that the shell sends to the group from one to init
        // alone. It passes both on, and the signal may arrive after the command has handled its
        // own.
        send_signal(init, SIGUSR2);
        assert_eq!(session.expect("got 12\n").replace("got 18\n", ""), "");
        assert_eq!(session.status(), "5\n");
        job.session.exit();
    }
}

#[test]
fn as_pid_1_of_a_terminal_ctrl_z_stops_the_command_until_cont() {
    if !can_be_root() {
        return;
    }
    // Like a container's first process, it leads its session, which has the terminal.
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
