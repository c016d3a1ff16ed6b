//! Runs `rootlet init` as pid 1 of a pid namespace, and as a child subreaper.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::process::Command;

use super::running::Running;
use super::{User, children, command, rootlet, rootlet_path, send_signal, users, wait_until};

const SIGUSR2: i32 = 12;

/// The position of init among processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The first process of a pid namespace.
    Pid1,
    /// One process of many.
    Subreaper,
}

pub const PLACES: [Place; 2] = [Place::Pid1, Place::Subreaper];

/// Returns each position for each user.
pub fn cases() -> impl Iterator<Item = (Place, User)> {
    let users = users();
    PLACES
        .into_iter()
        .flat_map(move |place| users.clone().into_iter().map(move |user| (place, user)))
}

/// `rootlet init` with these words.
pub fn init(place: Place, user: User, words: &[&str]) -> Command {
    let mut command = match place {
        Place::Subreaper => rootlet(user),
        Place::Pid1 => {
            let mut unshare = command(user, "unshare");
            if user == User::Ordinary {
                unshare.arg("--map-root-user");
            }
            unshare.args(["--pid", "--fork", "--kill-child"]);
            unshare.arg(rootlet_path());
            unshare
        }
    };
    command.arg("init").args(words);
    command
}

/// A running init. Dropping this ends its descendants.
pub struct Started {
    pub running: Running,
    pub init: i32,
}

impl Started {
    /// Waits until the command has printed `ready`. Init has started by then.
    #[track_caller]
    pub fn ready(place: Place, command: &mut Command) -> Started {
        let started = Started::find(place, Running::start(command));
        started.expect("ready");
        started.settle();
        started
    }

    /// Waits until the command is executed.
    #[track_caller]
    pub fn executed(place: Place, command: &mut Command, name: &str) -> Started {
        let started = Started::find(place, Running::start(command));
        wait_until("the command", || {
            let comm = children(started.init)
                .first()
                .map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")));
            comm.is_some_and(|comm| comm.is_ok_and(|comm| comm.trim() == name))
        });
        started.settle();
        started
    }

    #[track_caller]
    pub fn find(place: Place, running: Running) -> Started {
        let mut init = running.pid();
        if place == Place::Pid1 {
            wait_until("pid 1", || !children(running.pid()).is_empty());
            init = children(running.pid())[0];
        }
        Started { running, init }
    }

    /// Waits until init blocks in ppoll(2).
    #[track_caller]
    pub fn settle(&self) {
        let ppoll = format!("{} ", sc::nr::PPOLL);
        wait_until("init to wait", || {
            let call = fs::read_to_string(format!("/proc/{}/syscall", self.init));
            call.is_ok_and(|call| call.starts_with(&ppoll))
        });
    }

    /// Returns the pid of the command, which must be the only child.
    #[track_caller]
    pub fn command(&self) -> i32 {
        let children = children(self.init);
        assert_eq!(children.len(), 1);
        children[0]
    }

    pub fn signal(&self, number: i32) {
        send_signal(self.init, number);
    }

    /// Checks that no signal is pending except 64, which is sent here. Linux delivers the lowest
    /// number first.
    #[track_caller]
    pub fn expect_nothing(&self) {
        self.signal(64);
        self.expect("got 64");
    }
}

impl Deref for Started {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl DerefMut for Started {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.running
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        fn kill_below(pid: i32) {
            for child in children(pid) {
                kill_below(child);
                kill(child);
            }
        }
        // The children of a subreaper survive it. Those of pid 1 do not.
        if matches!(self.running.child.try_wait(), Ok(None)) {
            kill_below(self.init);
        }
    }
}

/// The process may have ended already.
pub fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

/// A command that prints `ready`, then `got N` for each of the 64 signals that it receives, and
/// ends with status 5 after SIGUSR2. It uses system calls, because libc hides two signals.
pub fn print_all_signals() -> String {
    let (mask, wait) = (sc::nr::RT_SIGPROCMASK, sc::nr::RT_SIGTIMEDWAIT);
    format!(
        "$| = 1; my $all = \"\\xff\" x 8; syscall({mask}, 0, $all, 0, 8) == 0 or die; \
         print \"ready\\n\"; \
         while (1) {{ \
             my $number = syscall({wait}, $all, 0, 0, 8); \
             print \"got $number\\n\" if $number > 0; \
             exit 5 if $number == {SIGUSR2}; \
         }}"
    )
}

/// Reads a number from /proc/PID/status.
pub fn status_field(pid: i32, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.unwrap().trim_start_matches(':').trim().to_owned()
}

/// Returns the open descriptors of a process and their targets.
pub fn descriptors(pid: i32) -> Vec<(i32, String)> {
    let mut list: Vec<(i32, String)> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.unwrap();
            let number = entry.file_name().into_string().unwrap().parse().unwrap();
            // Descriptors closed meanwhile are left out.
            let target = fs::read_link(entry.path()).ok()?;
            Some((number, target.to_str().unwrap().to_owned()))
        })
        .collect();
    list.sort();
    list
}

/// Returns the version of the running kernel.
pub fn kernel() -> (u32, u32) {
    let name = rustix::system::uname();
    let mut numbers = name.release().to_str().unwrap().split(['.', '-']);
    let mut next = || numbers.next().unwrap().parse().unwrap();
    (next(), next())
}
