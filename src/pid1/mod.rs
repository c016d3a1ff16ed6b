//! pid 1: forwards signals, reaps every orphan, and ends when the command does.
//!
//! One loop for all roles. It has no handlers, which would interrupt it anywhere, and no limit of
//! time: until something happens the process does not wake up.

pub(crate) mod descendants;
pub(crate) mod init;
pub(crate) mod observer;

use crate::error::{Error, Step};
use crate::pid1::observer::{Event, Habits, Quiet};
use crate::process::channel;
use crate::sys::net::{receive, send};
use crate::sys::poll::{Poll, clock, poll};
use crate::sys::process::{ExitStatus, Waited, Who, id, reaped_status, wait};
use crate::sys::signal::{
    self, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN,
    SIGTTOU, Signal,
};
use crate::sys::{BorrowedFd, Errno, tty};
use crate::tty::jobs::JobControl;
use crate::tty::terminal::Terminal;

/// What pid 1 looks after.
pub(crate) struct Pid1<'a> {
    /// All signals are blocked and read from here.
    pub(crate) signals: BorrowedFd<'a>,
    pub(crate) above: Above<'a>,
    /// The command, if there is one.
    pub(crate) command: Option<Process<'a>>,
    pub(crate) reaping: Reaping,
    /// The command leads a process group of its own.
    pub(crate) own_group: bool,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) orders: Orders<'a>,
}

/// A child.
#[derive(Clone, Copy)]
pub(crate) struct Process<'a> {
    pub(crate) pid: i32,
    pub(crate) pidfd: BorrowedFd<'a>,
}

/// Who is told when the command stops, and says which signals are for it.
pub(crate) enum Above<'a> {
    /// The supervisor of a run, at the other end of this socket.
    Supervisor(BorrowedFd<'a>),
    /// A program that has spawned the command, at the other end of this socket until it detaches
    /// it. It is not told that the command stops.
    Owner(Option<BorrowedFd<'a>>),
    /// Nobody: that is for us to see to.
    Nobody(JobControl),
}

/// How orphans are reaped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reaping {
    /// By waiting for them after SIGCHLD.
    ByUs,
    /// By the kernel, since SIGCHLD is ignored: we do not wake up for them at all. The command's
    /// status is read from its pidfd (Linux 6.15). That it was stopped is not told then.
    ByKernel,
}

/// What is done with signals and at the end.
pub(crate) struct Orders<'a> {
    /// What is sent for each signal; 0 is nothing.
    pub(crate) rewritten: [u8; 65],
    /// All signals go to the command's process group.
    pub(crate) to_group: bool,
    /// A signal that stops the command stops us too.
    pub(crate) suspend: bool,
    /// For how long, in nanoseconds, what was told to end may go on.
    pub(crate) grace: u64,
    pub(crate) habits: &'a dyn Habits,
}

impl Orders<'_> {
    /// Every signal to the command, as it comes.
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

/// Why pid 1 is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The command has ended.
    Command(ExitStatus),
    /// The supervisor is gone, or, where there is no command, INT or TERM came.
    Told,
}

impl Pid1<'_> {
    /// Waits until there is a reason to end.
    pub(crate) fn run(&mut self) -> Result<End, Error<'static>> {
        let failed = |errno| Error::new(Step::Wait, b"the command", errno);
        let mut deadline = None;
        loop {
            let mut ready = [
                Poll::new(self.signals),
                match (self.reaping, &self.command) {
                    (Reaping::ByKernel, Some(command)) => Poll::for_hangup(command.pidfd),
                    _ => Poll::none(),
                },
                match self.above {
                    Above::Supervisor(socket) | Above::Owner(Some(socket)) => Poll::new(socket),
                    Above::Owner(None) | Above::Nobody(_) => Poll::none(),
                },
            ];
            if !poll(&mut ready, deadline).map_err(failed)? {
                // The command was told to end, and has not.
                self.send(SIGKILL);
                deadline = None;
            }
            let [signal_came, command_ended, supervisor_spoke] = ready.map(|poll| poll.is_ready());
            // First of all, since the command's pid may soon be another's.
            if let (true, Some(command)) = (command_ended, &self.command) {
                let status = reaped_status(command.pidfd).map_err(failed)?;
                self.orders.habits.event(Event::Ended(command.pid, status));
                return Ok(End::Command(status));
            }
            if signal_came {
                let signal = signal::read(self.signals).map_err(failed)?;
                self.orders.habits.event(Event::Received(signal.number));
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

    /// Reaps all that have ended, since one SIGCHLD may stand for many; the command's status if it
    /// is among them.
    fn reap(&mut self) -> Result<Option<ExitStatus>, Errno> {
        let command = self.command.map(|command| command.pid);
        let mut ended = None;
        loop {
            match wait(Who::AnyNow)? {
                Waited::Nothing | Waited::NoChildren => return Ok(ended),
                Waited::Ended(pid, status) => {
                    let is_command = Some(pid) == command;
                    if is_command {
                        ended = Some(status);
                        self.orders.habits.event(Event::Ended(pid, status));
                    } else {
                        self.orders.habits.event(Event::Reaped(pid, status));
                    }
                }
                Waited::Stopped(pid, signal) if Some(pid) == command => self.stopped(signal),
                Waited::Stopped(..) => {}
            }
        }
    }

    /// A signal has stopped the command.
    fn stopped(&mut self, signal: u32) {
        match &mut self.above {
            Above::Supervisor(socket) => {
                let message = match signal {
                    SIGTTIN | SIGTTOU => channel::NEEDS_FOREGROUND,
                    _ => channel::STOPPED,
                };
                // A supervisor that is gone is noticed by the loop.
                let _ = send(*socket, message);
            }
            Above::Owner(_) => {}
            // Nobody could continue the first process of a system.
            Above::Nobody(_) if id() == 1 => {}
            Above::Nobody(jobs) => {
                // A shell's `fg` tells a job that runs nothing.
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
            // We lead a group of our own, so whatever reaches us was meant for the command: it
            // comes from the supervisor, or from someone who names our pid.
            Above::Supervisor(_) | Above::Owner(_) => {}
            Above::Nobody(jobs) if !jobs.is_for_command(signal) => return,
            Above::Nobody(jobs) => {
                if signal.number == SIGCONT && jobs.may_give_foreground() {
                    jobs.gave_foreground();
                    return self.give_foreground();
                }
            }
        }
        match self.rewritten(signal.number) {
            0 => self.orders.habits.event(Event::NotForwarded(signal.number)),
            number => {
                self.send(number);
                self.orders.habits.event(Event::Forwarded(number));
            }
        }
        if self.orders.suspend && [SIGTSTP, SIGTTIN, SIGTTOU].contains(&signal.number) {
            let _ = signal::kill(id(), SIGSTOP);
        }
    }

    /// What is sent for a signal; 0 is nothing.
    fn rewritten(&self, number: u32) -> u32 {
        self.orders
            .rewritten
            .get(number as usize)
            .map_or(0, |to| u32::from(*to))
    }

    /// The socket to whoever is above.
    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self.above {
            Above::Supervisor(socket) => Some(socket),
            Above::Owner(socket) => socket,
            Above::Nobody(_) => None,
        }
    }

    fn send(&self, number: u32) {
        let Some(command) = &self.command else { return };
        // The keys for these reach all of a job.
        let of_job = self.own_group && [SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT].contains(&number);
        let to_group = self.orders.to_group || of_job;
        // The command may not lead its group yet. And it may have ended just now: where the kernel
        // reaps, its pid may be another's, but never its pidfd.
        if !to_group || signal::kill(-command.pid, number) == Err(Errno::ESRCH) {
            let _ = signal::send(command.pidfd, number);
        }
    }

    /// False when the supervisor is gone.
    fn listen(&mut self) -> bool {
        let (Above::Supervisor(socket) | Above::Owner(Some(socket))) = self.above else {
            return true;
        };
        // What is said to pid 1 is one byte.
        let mut buffer = [0; 2];
        match receive(socket, &mut buffer) {
            Ok(0) => return false,
            Ok(length) => match &buffer[..length] {
                channel::FOREGROUND => self.give_foreground(),
                channel::STOP => self.send(SIGSTOP),
                channel::END => return false,
                channel::DETACH => self.above = Above::Owner(None),
                _ => {}
            },
            Err(_) => {}
        }
        true
    }

    /// Gives the command the terminal, and lets it go on.
    fn give_foreground(&self) {
        if let (Some(terminal), Some(command)) = (&self.terminal, &self.command) {
            let _ = tty::set_foreground(terminal.descriptor, command.pid);
        }
        self.send(SIGCONT);
    }
}
