//! `Init`: pid 1 alone, around a command.

use alloc::vec::Vec;

use crate::error::{Error, Step};
use crate::pid1::descendants::end_others;
use crate::pid1::observer::{Event, Habits};
use crate::pid1::{Above, End, Orders, Pid1, Reaping};
use crate::process::descriptors::close_from;
use crate::process::exec::Command;
use crate::process::inherited::Inherited;
use crate::process::stderr;
use crate::sys::poll::{NANOSECONDS, Poll, poll};
use crate::sys::process::{
    answers_for_status, become_subreaper, can_tell_reaped_status, id, is_subreaper, session,
    set_pdeathsig, setsid,
};
use crate::sys::shared::{Body, start_command};
use crate::sys::signal::{
    self, SIGCONT, SIGHUP, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SignalSet, set_sigchld,
    signalfd, sigprocmask,
};
use crate::sys::{BorrowedFd, OwnedFd, fs, tty};
use crate::text::bytes::AsBytes;
use crate::text::name::Name;
use crate::tty::jobs::{Job, JobControl};

/// A command with an init around it: signals are passed on, orphans reaped, and the end of the
/// command is the end.
///
/// It is for a program whose purpose that is, and that has one thread: all signals are blocked, the
/// current directory is left, and descriptors are closed: of the standard ones, standard error and
/// the terminal stay open. Standard error that is a pipe stays only where [`Habits::is_verbose`].
///
/// ```no_run
/// use rootlet::{Habits, Init};
///
/// struct Quiet;
/// impl Habits for Quiet {}
/// let mut init = Init::new();
/// let status = init.command("server").arg("--port=80").grace(10).run(&Quiet)?;
/// # Ok::<(), rootlet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Init {
    words: Vec<Name>,
    environment: Vec<Name>,
    directory: Option<Name>,
    rewritten: [Option<u8>; 65],
    to_group: bool,
    grouping: Grouping,
    suspend: bool,
    subreaper: bool,
    parent_death: Option<u32>,
    grace: u64,
    expected: [bool; 256],
}

/// What is the command's process group and session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Grouping {
    /// As the terminal asks for.
    ByTerminal,
    /// A group of its own, with the foreground if we have it.
    Own,
    /// Ours.
    Shared,
    /// A session of its own, with the terminal.
    Session,
}

/// What the role of `/init` puts around an init.
#[derive(Default)]
pub(crate) struct Around<'a> {
    /// The command's standard descriptors, where they are not ours.
    pub(crate) standard: [Option<BorrowedFd<'a>>; 3],
    /// The descriptors with these numbers stay open in the init.
    pub(crate) kept: &'a [u32],
}

impl Default for Init {
    fn default() -> Init {
        Init::new()
    }
}

impl Init {
    /// Without a command: only reaps, until INT or TERM comes.
    pub fn new() -> Init {
        Init {
            words: Vec::new(),
            environment: Vec::new(),
            directory: None,
            rewritten: [None; 65],
            to_group: false,
            grouping: Grouping::ByTerminal,
            suspend: false,
            subreaper: true,
            parent_death: None,
            grace: 0,
            expected: [false; 256],
        }
    }

    /// Sets the command. Arguments stay.
    pub fn command(&mut self, name: impl AsBytes) -> &mut Init {
        let name = Name::new(name.as_bytes());
        match self.words.first_mut() {
            Some(first) => *first = name,
            None => self.words.push(name),
        }
        self
    }

    /// Adds an argument to the command. Without a command it is one of none, which cannot be run.
    pub fn arg(&mut self, argument: impl AsBytes) -> &mut Init {
        if self.words.is_empty() {
            self.command("");
        }
        self.words.push(Name::new(argument.as_bytes()));
        self
    }

    /// Adds a variable, `NAME=VALUE`, to the command's environment. Sockets and a watchdog that were handed to us
    /// are the command's: a LISTEN_PID or WATCHDOG_PID that is our pid becomes the command's, and so
    /// does a LISTEN_PIDFDID (sd_listen_fds(3), sd_watchdog_enabled(3)).
    pub fn env(&mut self, variable: impl AsBytes) -> &mut Init {
        self.environment.push(Name::new(variable.as_bytes()));
        self
    }

    /// Starts the command in this directory instead of ours.
    pub fn current_dir(&mut self, directory: impl AsBytes) -> &mut Init {
        self.directory = Some(Name::new(directory.as_bytes()));
        self
    }

    /// Sends signals to the command's process group, which is its own then.
    pub fn signal_group(&mut self) -> &mut Init {
        self.to_group = true;
        self.own_group()
    }

    /// Gives the command a process group of its own, whatever is at the other end of the terminal.
    pub fn own_group(&mut self) -> &mut Init {
        self.grouping = Grouping::Own;
        self
    }

    /// Leaves the command in our process group.
    pub fn shared_group(&mut self) -> &mut Init {
        self.grouping = Grouping::Shared;
        self.to_group = false;
        self
    }

    /// Gives the command a session of its own, with the terminal on standard input if there is
    /// one, sends signals to all of it, and TERM when the command has ended.
    pub fn new_session(&mut self) -> &mut Init {
        self.grouping = Grouping::Session;
        self.to_group = true;
        self
    }

    /// Stops, too, when a signal comes that stops a job (TSTP, TTIN, TTOU).
    pub fn suspend(&mut self) -> &mut Init {
        self.suspend = true;
        self
    }

    /// Sends `new` where `old` came; nothing when `new` is 0. Numbers that are no signals rewrite
    /// nothing.
    pub fn rewrite(&mut self, old: i32, new: i32) -> &mut Init {
        let slot = usize::try_from(old).ok();
        let slot = slot.and_then(|old| self.rewritten.get_mut(old));
        if let (Some(to), 0..=64) = (slot, new) {
            *to = Some(new as u8);
        }
        self
    }

    /// Is `old` rewritten?
    pub fn is_rewritten(&self, old: i32) -> bool {
        self.rewritten
            .get(old as usize)
            .is_some_and(Option::is_some)
    }

    /// Where we are not pid 1, leaves orphans to others instead of becoming a child subreaper.
    pub fn no_subreaper(&mut self) -> &mut Init {
        self.subreaper = false;
        self
    }

    /// Gets this signal when our parent ends, by `prctl(2)`.
    pub fn parent_death(&mut self, signal: i32) -> &mut Init {
        self.parent_death = Some(signal as u32);
        self
    }

    /// When the command has ended, sends TERM to what still runs, and KILL after this many
    /// seconds. When HUP, INT, QUIT or TERM was sent on, the command has as long to end. What still
    /// runs is all of the pid namespace for its pid 1, whoever's children they are, and our
    /// descendants for another process; without `/proc` to find those, the command's process group.
    pub fn grace(&mut self, seconds: u32) -> &mut Init {
        self.grace = u64::from(seconds) * NANOSECONDS;
        self
    }

    /// Takes this exit status for success.
    pub fn expect(&mut self, status: u8) -> &mut Init {
        self.expected[usize::from(status)] = true;
        self
    }

    /// Runs the command, and gives the status to end with: the command's, or 128 and the number of
    /// the signal that killed it.
    ///
    /// # Errors
    ///
    /// What keeps us from being an init. That the command cannot be run is no error here: its
    /// process says so, and ends with the status that [`Habits::failed`] gives.
    pub fn run(&self, habits: &dyn Habits) -> Result<u8, Error> {
        self.run_in(&Around::default(), habits)
    }

    /// As [`Init::run`].
    pub(crate) fn run_in(&self, around: &Around, habits: &dyn Habits) -> Result<u8, Error> {
        let failed = |errno| Error::new(Step::Prepare, b"", errno);
        if let Some(signal) = self.parent_death {
            set_pdeathsig(signal).map_err(failed)?;
        }
        let is_pid1 = id() == 1;
        let is_reaper = match self.subreaper {
            _ if is_pid1 => true,
            true => become_subreaper().is_ok(),
            false => is_subreaper(),
        };
        if !is_reaper {
            habits.event(Event::CannotReap);
        }
        // A fault of our own is not lost by being blocked: it kills all the same.
        let caller_mask = sigprocmask(SignalSet::ALL).map_err(failed)?;
        let mut signals = signalfd(SignalSet::ALL).map_err(failed)?;
        if signals.number() <= 2 {
            drop(signals);
            fs::open_standard_descriptors().map_err(failed)?;
            signals = signalfd(SignalSet::ALL).map_err(failed)?;
        }
        let inherited = Inherited::look();
        let jobs = self.jobs(&inherited, habits);
        let may_stop = jobs.terminal.is_some();
        // Nobody reads the CPU time of a container's pid 1.
        let may_auto_reap =
            is_pid1 && !may_stop && !habits.wants_orphans() && can_tell_reaped_status();
        set_sigchld(false);
        let (command, pidfd) = match self.words.is_empty() {
            true => (None, None),
            false => {
                let command = Command::new(&self.words, &self.environment);
                let mut command = command.with_what_is_ours(&self.environment);
                let mut body = || {
                    let error =
                        self.become_command(&mut command, around, &jobs, caller_mask, habits);
                    habits.failed(&error)
                };
                // SAFETY: a program that calls this has one thread, as its description asks, and
                // the command's process drops none of this process's values.
                let started =
                    unsafe { start_command(may_stop, may_auto_reap, &mut (&mut body as Body)) };
                let (pid, pidfd) = started.map_err(failed)?;
                habits.event(Event::Started(pid));
                (Some(pid), pidfd)
            }
        };
        let reaping = match pidfd.as_ref().map(OwnedFd::borrow) {
            Some(pidfd) if answers_for_status(pidfd) => Reaping::ByKernel(pidfd),
            _ => Reaping::ByUs(None),
        };
        // Nothing is to be kept busy by us.
        let _ = fs::chdir(c"/");
        let pidfd = pidfd.as_ref().map(OwnedFd::borrow);
        let terminal = jobs.terminal.map(|terminal| terminal.descriptor);
        let own = [
            Some(signals.borrow()),
            Some(BorrowedFd::STDERR),
            pidfd,
            terminal,
        ];
        let mut ours = own.into_iter().chain(around.standard).flatten();
        // The command has the standard descriptors now, and the reader of a pipe waits for us too.
        let first = match command {
            Some(_) => 0,
            None => 3,
        };
        if command.is_some() && !habits.is_verbose() && inherited.has_pipe_for_errors {
            stderr::release();
        }
        // A file that is kept busy is no reason to end.
        let _ = close_from(first, &mut ours, around.kept);

        let mut pid1 = Pid1 {
            signals: signals.borrow(),
            above: Above::Nobody(jobs),
            command,
            reaping,
            own_group: jobs.job != Job::Shared,
            terminal: jobs.terminal,
            orders: self.orders(habits),
            has_reported: false,
        };
        let End::Command(status) = pid1.run()? else {
            return Ok(0);
        };
        if let (Grouping::Session, Some(command)) = (self.grouping, command) {
            // Its processes may be gone with it.
            let _ = signal::kill(-command, SIGTERM);
            habits.event(Event::Forwarded(SIGTERM as i32));
        }
        if let (1.., Some(command)) = (self.grace, command) {
            end_others(signals.borrow(), None, self.grace, command).map_err(failed)?;
        }
        if let Above::Nobody(jobs) = &pid1.above {
            if jobs.regain_terminal(status) {
                // As in `Foreground::run`.
                sigprocmask(caller_mask).map_err(failed)?;
            }
        }
        let status = status.shell();
        Ok(match self.expected[usize::from(status)] {
            true => 0,
            false => status,
        })
    }

    fn orders<'a>(&self, habits: &'a dyn Habits) -> Orders<'a> {
        let mut orders = Orders::plain();
        for (to, rewritten) in orders.rewritten.iter_mut().zip(self.rewritten) {
            *to = rewritten.unwrap_or(*to);
        }
        if self.grouping == Grouping::Session {
            // In a session that is not ours its processes are orphans, for which the kernel passes
            // over the signals that stop a job, but not over this one.
            for stop in [SIGTSTP, SIGTTIN, SIGTTOU] {
                if !self.is_rewritten(stop as i32) {
                    orders.rewritten[stop as usize] = SIGSTOP as u8;
                }
            }
        }
        Orders {
            to_group: self.to_group,
            suspend: self.suspend,
            grace: self.grace,
            habits,
            ..orders
        }
    }

    /// How the command is to be run. For a session of its own the terminal is given up first.
    fn jobs(&self, inherited: &Inherited, habits: &dyn Habits) -> JobControl {
        let mut jobs = JobControl::look(inherited.may_be_terminals);
        match self.grouping {
            Grouping::ByTerminal => {}
            Grouping::Own => {
                let foreground = jobs.terminal.is_some_and(|terminal| terminal.is_ours());
                jobs.job = Job::Own { foreground };
            }
            Grouping::Shared => jobs.job = Job::Shared,
            Grouping::Session => {
                if tty::leave(BorrowedFd::STDIN).is_ok() && session(0) == Ok(id()) {
                    forget_hand_over(habits);
                }
                jobs = JobControl {
                    job: Job::Own { foreground: false },
                    terminal: None,
                };
            }
        }
        jobs
    }

    fn become_command(
        &self,
        command: &mut Command,
        around: &Around,
        jobs: &JobControl,
        caller_mask: SignalSet,
        habits: &dyn Habits,
    ) -> Error {
        let standard = [BorrowedFd::STDIN, BorrowedFd::STDOUT, BorrowedFd::STDERR];
        for (standard, given) in standard.into_iter().zip(around.standard) {
            if let Some(given) = given {
                let _ = fs::make_standard(given, standard);
            }
        }
        if self.grouping == Grouping::Session {
            let _ = setsid();
            let _ = tty::make_controlling(BorrowedFd::STDIN);
            habits.event(Event::LeadsSession);
        } else {
            jobs.lead_command();
        }
        if let Some(directory) = &self.directory {
            if let Err(errno) = fs::chdir(directory.as_c_str()) {
                return Error::new(Step::ChangeDirectory, directory.bytes(), errno);
            }
        }
        if let Err(errno) = sigprocmask(caller_mask) {
            return Error::new(Step::Prepare, b"", errno);
        }
        command.execute().in_place()
    }
}

/// The kernel sends SIGHUP and SIGCONT to the foreground group of a terminal that the leader of its
/// session gives up. They are pending now, and nobody has sent them.
fn forget_hand_over(habits: &dyn Habits) {
    let Ok(pending) = signalfd(SignalSet::of(&[SIGHUP, SIGCONT])) else {
        return;
    };
    while let Ok(true) = poll(&mut [Poll::new(pending.borrow())], Some(0)) {
        let Ok(signal) = signal::read(pending.borrow()) else {
            return;
        };
        habits.event(Event::HandOver(signal.number as i32));
    }
}
