//! pid 1: forwards signals, reaps every orphan, and ends when the command does.

use crate::error::Error;
use crate::message;
use crate::sys::process::{ExitStatus, Poll, Waited, Who, poll, wait};
use crate::sys::signal::{self, SIGCHLD, SIGCONT, SIGKILL, SIGTSTP, SIGTTIN, SIGTTOU};
use crate::sys::{BorrowedFd, Errno, tty};
use crate::terminal::Terminal;

/// What pid 1 looks after.
pub(crate) struct Pid1<'a> {
    /// All signals are blocked and read from here.
    pub(crate) signals: BorrowedFd<'a>,
    /// The socket to the supervisor.
    pub(crate) supervisor: BorrowedFd<'a>,
    /// The command's pid.
    pub(crate) command: i32,
    /// The command leads a process group of its own.
    pub(crate) own_group: bool,
    pub(crate) terminal: Option<Terminal>,
}

/// Why pid 1 is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The command has ended.
    Command(ExitStatus),
    /// The supervisor is gone.
    Supervisor,
}

impl Pid1<'_> {
    /// Waits for signals and for the supervisor, without a limit of time.
    pub(crate) fn run(&self) -> Result<End, Error<'static>> {
        use crate::error::Step::Wait;
        let failed = |errno| Error::new(Wait, b"the command", errno);
        loop {
            let mut ready = [Poll::new(self.signals), Poll::new(self.supervisor)];
            poll(&mut ready).map_err(failed)?;
            let [signal_came, supervisor_spoke] = ready.map(|poll| poll.is_ready());
            if signal_came {
                match signal::read(self.signals).map_err(failed)?.number {
                    SIGCHLD => {
                        if let Some(status) = self.reap().map_err(failed)? {
                            return Ok(End::Command(status));
                        }
                    }
                    number => self.forward(number),
                }
            }
            if supervisor_spoke && !self.listen() {
                return Ok(End::Supervisor);
            }
        }
    }

    /// Reaps all that have ended, since one SIGCHLD may stand for many; the command's status if it
    /// is among them.
    fn reap(&self) -> Result<Option<ExitStatus>, Errno> {
        let mut ended = None;
        loop {
            match wait(Who::AnyNow)? {
                Waited::Nothing => return Ok(ended),
                Waited::Ended(pid, status) if pid == self.command => ended = Some(status),
                Waited::Stopped(pid, signal) if pid == self.command => {
                    let message = match signal {
                        SIGTTIN | SIGTTOU => message::NEEDS_FOREGROUND,
                        _ => message::STOPPED,
                    };
                    // A supervisor that is gone is noticed by the loop.
                    let _ = crate::sys::net::send(self.supervisor, message);
                }
                Waited::Ended(..) | Waited::Stopped(..) => {}
            }
        }
    }

    /// We lead a group of our own, so whatever reaches us was meant for the command: it comes from
    /// the supervisor, or from someone who names our pid.
    fn forward(&self, number: u32) {
        let target = match number {
            // The keys for these reach all of a job.
            SIGTSTP | SIGTTIN | SIGTTOU | SIGCONT if self.own_group => -self.command,
            _ => self.command,
        };
        // The command may not lead its group yet, or may have ended just now.
        if signal::kill(target, number) == Err(Errno::ESRCH) {
            let _ = signal::kill(self.command, number);
        }
    }

    /// False when the supervisor is gone.
    fn listen(&self) -> bool {
        let mut buffer = [0; message::LENGTH_MAX];
        match crate::sys::net::receive(self.supervisor, &mut buffer) {
            Ok(0) => return false,
            Ok(length) if &buffer[..length] == message::FOREGROUND => {
                if let Some(terminal) = &self.terminal {
                    let _ = tty::set_foreground(terminal.descriptor, self.command);
                }
                self.forward(SIGCONT);
            }
            _ => {}
        }
        true
    }
}

/// Kills every other process of this pid namespace and reaps them all.
pub(crate) fn kill_all() {
    let _ = signal::kill(-1, SIGKILL);
    while let Ok(Waited::Ended(..)) = wait(Who::Any) {}
}
