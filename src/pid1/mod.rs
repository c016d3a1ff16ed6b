//! pid 1: forwards signals, reaps every orphan, and ends when the command does.
//!
//! All roles share one loop. It blocks all signals and reads them from a signalfd, because a
//! handler would interrupt it anywhere. It has no timers, so the process does not wake up until
//! something happens.
//!
//! The kernel gives pid 1 two special properties. Orphans in its pid namespace become its children.
//! When it ends, the kernel kills all other processes of the namespace.

pub(crate) mod around;
pub(crate) mod descendants;
pub(crate) mod init;
pub(crate) mod observer;

use crate::error::{Error, Step};
use crate::pid1::observer::{Event, Habits, Quiet};
use crate::process::channel::{Order, Report};
use crate::sys::poll::{Poll, clock, poll};
use crate::sys::process::{ExitStatus, Waited, Who, id, reaped_status, wait};
use crate::sys::signal::{
    self, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN,
    SIGTTOU, Signal, set_sigchld,
};
use crate::sys::{BorrowedFd, Errno, tty};
use crate::tty::jobs::JobControl;
use crate::tty::terminal::Terminal;

/// The command, its surroundings, and the orders for pid 1.
pub(crate) struct Pid1<'a> {
    /// All signals are blocked and read from here.
    pub(crate) signals: BorrowedFd<'a>,
    pub(crate) above: Above<'a>,
    /// The command's pid, if there is a command.
    pub(crate) command: Option<i32>,
    pub(crate) reaping: Reaping<'a>,
    /// The command leads its own process group.
    pub(crate) own_group: bool,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) orders: Orders<'a>,
    /// A failure to send a signal was already reported.
    pub(crate) has_reported: bool,
}

/// The process that learns about stops of the command, and decides which signals are for it.
pub(crate) enum Above<'a> {
    /// The supervisor of a run, at the other end of this socket.
    Supervisor(BorrowedFd<'a>),
    /// A program that has spawned the command, at the other end of this socket until it detaches
    /// the command. It does not learn about stops.
    Owner(Option<BorrowedFd<'a>>),
    /// Nobody: pid 1 does it itself.
    Nobody(JobControl),
}

/// How children are reaped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reaping<'a> {
    /// By pid 1, which waits for them after SIGCHLD. Their CPU time becomes ours, and our parent
    /// can read it. If there is a pidfd of the command, it reports the command's end without a
    /// signal to read.
    ByUs(Option<BorrowedFd<'a>>),
    /// By the kernel, because SIGCHLD is ignored: orphans do not wake us up. The command's status
    /// is read from this pidfd (Linux 6.15). The CPU time is lost, and stops are not reported.
    ByKernel(BorrowedFd<'a>),
}

/// How signals are treated, and the end.
pub(crate) struct Orders<'a> {
    /// The signal to send for each signal that arrives; 0 means none.
    pub(crate) rewritten: [u8; 65],
    /// All signals go to the command's process group.
    pub(crate) to_group: bool,
    /// A signal that stops the command stops us too.
    pub(crate) suspend: bool,
    /// The time, in nanoseconds, that processes have to end after they were asked to.
    pub(crate) grace: u64,
    pub(crate) habits: &'a dyn Habits,
}

impl Orders<'_> {
    /// Returns orders that forward every signal unchanged.
    pub(crate) fn plain() -> Orders<'static> {
        let mut rewritten = [0; 65];
        for (number, to) in rewritten.iter_mut().enumerate() {
            *to = number as u8;
        }
        Orders {
            rewritten,
            to_group: false,
            suspend: false,
            grace: 0,
            habits: &Quiet,
        }
    }
}

/// The reason why pid 1 ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The command has ended.
    Command(ExitStatus),
    /// The supervisor is gone, or INT or TERM arrived and there is no command.
    Told,
}

impl Pid1<'_> {
    /// Runs the loop until there is a reason to end.
    pub(crate) fn run(&mut self) -> Result<End, Error> {
        let failed = |errno| Error::new(Step::Wait, b"the command", errno);
        let mut deadline = None;
        if let Reaping::ByKernel(_) = self.reaping {
            set_sigchld(true);
            // Reap the processes that ended before SIGCHLD was ignored.
            if let Some(status) = self.reap().map_err(failed)? {
                return Ok(End::Command(status));
            }
        }
        loop {
            let mut ready = [
                Poll::new(self.signals),
                match self.reaping {
                    Reaping::ByKernel(pidfd) => Poll::for_hangup(pidfd),
                    Reaping::ByUs(Some(pidfd)) => Poll::new(pidfd),
                    Reaping::ByUs(None) => Poll::none(),
                },
                match self.above {
                    Above::Supervisor(socket) | Above::Owner(Some(socket)) => Poll::new(socket),
                    Above::Owner(None) | Above::Nobody(_) => Poll::none(),
                },
            ];
            if !poll(&mut ready, deadline).map_err(failed)? {
                // The command was asked to end and has not.
                self.send(SIGKILL);
                deadline = None;
            }
            let [signal_came, command_ended, supervisor_spoke] = ready.map(|poll| poll.is_ready());
            // This comes first, because the command's pid may soon belong to another process.
            if let (true, Reaping::ByKernel(pidfd), Some(command)) =
                (command_ended, self.reaping, self.command)
            {
                let status = reaped_status(pidfd).map_err(failed)?;
                self.orders.habits.event(Event::Ended(command, status));
                return Ok(End::Command(status));
            }
            if let (true, Reaping::ByUs(_)) = (command_ended, self.reaping) {
                if let Some(status) = self.reap().map_err(failed)? {
                    return Ok(End::Command(status));
                }
            }
            if signal_came {
                let signal = signal::read(self.signals).map_err(failed)?;
                self.orders
                    .habits
                    .event(Event::Received(signal.number as i32));
                match signal.number {
                    SIGCHLD => {
                        if let Some(status) = self.reap().map_err(failed)? {
                            return Ok(End::Command(status));
                        }
                    }
                    SIGINT | SIGTERM if self.command.is_none() => return Ok(End::Told),
                    _ => self.forward(&signal),
                }
                if self.orders.grace > 0
                    && deadline.is_none()
                    && self.rewritten(signal.number) != 0
                    && [SIGHUP, SIGINT, SIGQUIT, SIGTERM].contains(&signal.number)
                {
                    deadline = Some(clock() + self.orders.grace);
                }
            }
            if supervisor_spoke && !self.listen() {
                return Ok(End::Told);
            }
        }
    }

    /// Reaps all children that have ended, because one SIGCHLD may stand for many. Returns the
    /// command's status if it is among them.
    fn reap(&mut self) -> Result<Option<ExitStatus>, Errno> {
        let mut ended = None;
        loop {
            match wait(Who::AnyNow)? {
                Waited::Nothing | Waited::NoChildren => return Ok(ended),
                Waited::Ended(pid, status) => {
                    if Some(pid) == self.command {
                        ended = Some(status);
                        self.orders.habits.event(Event::Ended(pid, status));
                        // Orphans that end now are left to the kernel, unless each one is reported.
                        if !self.orders.habits.wants_orphans() {
                            return Ok(ended);
                        }
                    } else {
                        self.orders.habits.event(Event::Reaped(pid, status));
                    }
                }
                Waited::Stopped(pid, signal) if Some(pid) == self.command => self.stopped(signal),
                Waited::Stopped(..) => {}
            }
        }
    }

    /// Reacts to a signal that has stopped the command.
    fn stopped(&mut self, signal: u32) {
        match &mut self.above {
            Above::Supervisor(socket) => {
                let report = match signal {
                    SIGTTIN | SIGTTOU => Report::NeedsForeground,
                    _ => Report::Stopped,
                };
                report.send(*socket);
            }
            Above::Owner(_) => {}
            // If pid 1 stopped, nobody inside could continue it.
            Above::Nobody(_) if id() == 1 => {}
            Above::Nobody(jobs) => {
                // A shell's `fg` sends no signal to a job that is running, so look whether we have
                // the foreground by now.
                let used_terminal = signal == SIGTTIN || signal == SIGTTOU;
                if used_terminal && jobs.may_give_foreground() {
                    jobs.gave_foreground();
                    self.give_foreground();
                } else {
                    jobs.stop();
                }
            }
        }
    }

    fn forward(&mut self, signal: &Signal) {
        match &mut self.above {
            // We lead our own group, so every signal that reaches us is meant for the command: it
            // comes from the supervisor, or from somebody who names our pid.
            Above::Supervisor(socket) => {
                // The supervisor kills us if this acknowledgement does not come.
                if let SIGHUP | SIGINT | SIGQUIT | SIGTERM = signal.number {
                    Report::Took.send(*socket);
                }
            }
            Above::Owner(_) => {}
            Above::Nobody(jobs) if !jobs.is_for_command(signal) => return,
            Above::Nobody(jobs) => {
                if signal.number == SIGCONT && jobs.may_give_foreground() {
                    jobs.gave_foreground();
                    return self.give_foreground();
                }
            }
        }
        match self.rewritten(signal.number) {
            0 => self
                .orders
                .habits
                .event(Event::NotForwarded(signal.number as i32)),
            number => {
                if self.send(number) {
                    self.orders.habits.event(Event::Forwarded(number as i32));
                }
            }
        }
        if self.orders.suspend && [SIGTSTP, SIGTTIN, SIGTTOU].contains(&signal.number) {
            let _ = signal::kill(id(), SIGSTOP);
        }
    }

    /// Returns the signal to send for this one; 0 means none.
    fn rewritten(&self, number: u32) -> u32 {
        self.orders
            .rewritten
            .get(number as usize)
            .map_or(0, |to| u32::from(*to))
    }

    /// Returns the socket to the supervisor or the owner.
    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self.above {
            Above::Supervisor(socket) => Some(socket),
            Above::Owner(socket) => socket,
            Above::Nobody(_) => None,
        }
    }

    /// Sends a signal to the command. Returns false if it was not sent, and reports that unless the
    /// command has ended. Without CAP_KILL it fails if the command belongs to another user.
    fn send(&mut self, number: u32) -> bool {
        let habits = self.orders.habits;
        match self.try_to_send(number) {
            Ok(()) => return true,
            Err(Errno::ESRCH) => {}
            Err(_) if self.has_reported && !habits.is_verbose() => {}
            Err(errno) => {
                match self.above {
                    Above::Supervisor(socket) => Report::NotSent(errno).send(socket),
                    _ => habits.event(Event::NotSent(number as i32, errno.number())),
                }
                self.has_reported = true;
            }
        }
        false
    }

    fn try_to_send(&self, number: u32) -> Result<(), Errno> {
        let command = self.command.ok_or(Errno::ESRCH)?;
        // The keys for these signals reach the whole job.
        let of_job = self.own_group && [SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT].contains(&number);
        if self.orders.to_group || of_job {
            match signal::kill(-command, number) {
                // The command may not lead its group yet.
                Err(Errno::ESRCH) => {}
                result => return result,
            }
        }
        match self.reaping {
            // No other process can have this pid before we have waited for the command.
            Reaping::ByUs(_) => signal::kill(command, number),
            Reaping::ByKernel(pidfd) => signal::send(pidfd, number),
        }
    }

    /// Executes an order from the socket. Returns false if the other side is gone.
    fn listen(&mut self) -> bool {
        let (Above::Supervisor(socket) | Above::Owner(Some(socket))) = self.above else {
            return true;
        };
        match Order::receive(socket) {
            None | Some(Some(Order::End)) => return false,
            Some(Some(Order::Foreground)) => self.give_foreground(),
            Some(Some(Order::Signal(number))) => drop(self.send(number.into())),
            Some(Some(Order::Detach)) => self.above = Above::Owner(None),
            Some(Some(Order::Mapped) | None) => {}
        }
        true
    }

    /// Gives the command the foreground, and continues it.
    fn give_foreground(&mut self) {
        if let (Some(terminal), Some(command)) = (&self.terminal, self.command) {
            let _ = tty::set_foreground(terminal.descriptor, command);
        }
        self.send(SIGCONT);
    }
}
