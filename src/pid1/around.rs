//! An init around a command, as [`Init`] describes it.
//!
//! It makes no namespaces and no mounts, and relies only on fork, exec and wait. A newer call that
//! the kernel or a seccomp profile refuses is never fatal: the command still runs.

use crate::error::{Error, Step};
use crate::pid1::descendants::end_others;
use crate::pid1::init::{Grouping, Init};
use crate::pid1::observer::{Event, Habits};
use crate::pid1::{Above, End, Orders, Pid1, Reaping};
use crate::process::descriptors::close_from;
use crate::process::exec::Command;
use crate::process::inherited::Inherited;
use crate::process::stderr;
use crate::sys::poll::{Poll, poll};
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
use crate::tty::jobs::{Job, JobControl};

/// Additions to an init when it runs as `/init`.
#[derive(Default)]
pub(crate) struct Around<'a> {
    /// The command's standard descriptors, if they are not ours.
    pub(crate) standard: [Option<BorrowedFd<'a>>; 3],
    /// Numbers of descriptors that stay open in the init.
    pub(crate) kept: &'a [u32],
}

impl Init {
    /// Runs as [`Init::run`] does, with these additions.
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
        // A fault of this process still kills it: the kernel does not let it block that signal.
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
        // Do not keep the file system of the current directory busy.
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
        // The command has the standard descriptors now. While we hold a pipe, its reader sees no
        // end.
        let first = match command {
            Some(_) => 0,
            None => 3,
        };
        if command.is_some() && !habits.is_verbose() && inherited.has_pipe_for_errors {
            stderr::release();
        }
        // Descriptors that stay open are no reason to end.
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
            // Its processes may have ended with it.
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
            // The command's group, in a session that is not ours, is orphaned. For such a group the
            // kernel ignores the signals that stop a job, but not SIGSTOP.
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

    /// Returns the job control for the command. For a session of its own, gives up the terminal
    /// first.
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
            if let Err(errno) = setsid() {
                return Error::new(Step::Prepare, b"", errno);
            }
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

/// Discards SIGHUP and SIGCONT. When the leader of a session gives up its terminal, the kernel
/// sends both to the foreground group, so they are pending now although nobody sent them.
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
