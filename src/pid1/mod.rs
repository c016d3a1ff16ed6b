//! pid 1: forwards signals, reaps every orphan, and ends when the command does.
//!
//! One loop for all roles. It has no handlers, which would interrupt it anywhere, and no limit of
//! time: until something happens the process does not wake up.

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

/// What pid 1 looks after.
pub(crate) struct Pid1<'a> {
    /// All signals are blocked and read from here.
    pub(crate) signals: BorrowedFd<'a>,
    pub(crate) above: Above<'a>,
    /// The command's pid, if there is a command.
    pub(crate) command: Option<i32>,
    pub(crate) reaping: Reaping<'a>,
    /// The command leads a process group of its own.
    pub(crate) own_group: bool,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) orders: Orders<'a>,
    /// It was reported that a signal could not be sent.
    pub(crate) has_reported: bool,
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

/// How children are reaped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reaping<'a> {
    /// By waiting for them after SIGCHLD. Their CPU time becomes ours, and our parent can read it. The
    /// end of the command is seen by its pidfd, where there is one, without a signal to read.
    ByUs(Option<BorrowedFd<'a>>),
    /// By the kernel, since SIGCHLD is ignored: orphans do not wake us up. The command's status is
    /// read from this pidfd (Linux 6.15). The CPU time is lost, and a stop is not reported.
    ByKernel(BorrowedFd<'a>),
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
    pub(crate) fn run(&mut self) -> Result<End, Error> {
        let failed = |errno| Error::new(Step::Wait, b"the command", errno);
        let mut deadline = None;
        if let Reaping::ByKernel(_) = self.reaping {
            set_sigchld(true);
            // What ended before that is still to be reaped.
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
                // The command was told to end, and has not.
                self.send(SIGKILL);
                deadline = None;
            }
            let [signal_came, command_ended, supervisor_spoke] = ready.map(|poll| poll.is_ready());
            // First of all, since the command's pid may soon be another's.
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

    /// Reaps all that have ended, since one SIGCHLD may stand for many; the command's status if it
    /// is among them.
    fn reap(&mut self) -> Result<Option<ExitStatus>, Errno> {
        let mut ended = None;
        loop {
            match wait(Who::AnyNow)? {
                Waited::Nothing | Waited::NoChildren => return Ok(ended),
                Waited::Ended(pid, status) => {
                    if Some(pid) == self.command {
                        ended = Some(status);
                        self.orders.habits.event(Event::Ended(pid, status));
                        // Who ended with it is nobody's loss, unless each is to be reported.
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

    /// A signal has stopped the command.
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
            Above::Supervisor(socket) => {
                // It waits for no longer than this.
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

    /// Sends a signal to the command. False when it was not sent, which is reported unless the
    /// command has ended: without CAP_KILL it may belong to another user.
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
        // The keys for these reach all of a job.
        let of_job = self.own_group && [SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT].contains(&number);
        if self.orders.to_group || of_job {
            match signal::kill(-command, number) {
                // The command may not lead its group yet.
                Err(Errno::ESRCH) => {}
                result => return result,
            }
        }
        match self.reaping {
            // Until we have waited for it, nobody else can have its pid.
            Reaping::ByUs(_) => signal::kill(command, number),
            Reaping::ByKernel(pidfd) => signal::send(pidfd, number),
        }
    }

    /// False when the supervisor is gone.
    fn listen(&mut self) -> bool {
        let (Above::Supervisor(socket) | Above::Owner(Some(socket))) = self.above else {
            return true;
        };
        match Order::receive(socket) {
            None | Some(Some(Order::End)) => return false,
            Some(Some(Order::Foreground)) => self.give_foreground(),
            Some(Some(Order::Stop)) => drop(self.send(SIGSTOP)),
            Some(Some(Order::Detach)) => self.above = Above::Owner(None),
            Some(Some(Order::Mapped) | None) => {}
        }
        true
    }

    /// Gives the command the terminal, and lets it go on.
    fn give_foreground(&mut self) {
        if let (Some(terminal), Some(command)) = (&self.terminal, self.command) {
            let _ = tty::set_foreground(terminal.descriptor, command);
        }
        self.send(SIGCONT);
    }
}
