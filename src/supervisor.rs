//! The process outside: forwards signals to pid 1, follows its stops, and learns how it ended.

use crate::error::{Error, Step};
use crate::message;
use crate::sys::net::{receive, send};
use crate::sys::process::{ExitStatus, Poll, Waited, Who, id, poll, session, wait};
use crate::sys::signal::{
    self, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH,
    Signal,
};
use crate::sys::{BorrowedFd, Errno};
use crate::terminal::{Job, Terminal};

/// What the supervisor watches.
pub(crate) struct Supervisor<'a> {
    /// All signals are blocked and read from here.
    pub(crate) signals: BorrowedFd<'a>,
    /// The socket to pid 1, and to the command until it is executed.
    pub(crate) inside: BorrowedFd<'a>,
    pub(crate) pid1: BorrowedFd<'a>,
    /// Says of the foreground whether the command has it now.
    pub(crate) job: Job,
    pub(crate) terminal: Option<Terminal>,
}

/// How a run ended.
pub(crate) struct Ending {
    pub(crate) status: ExitStatus,
    /// What rootlet could not do.
    pub(crate) error: Option<Error<'static>>,
    /// The key that ended the command was meant for us too: SIGINT or SIGQUIT is pending.
    pub(crate) interrupted: bool,
    /// pid 1 may have left stubs in the root.
    pub(crate) stubs: bool,
}

impl Supervisor<'_> {
    /// Waits for pid 1 to end, without a limit of time.
    pub(crate) fn run(mut self) -> Result<Ending, Error<'static>> {
        let failed = |errno| Error::new(Step::Wait, b"pid 1", errno);
        let (mut error, mut stubs, mut killed, mut listening) = (None, false, None, true);
        loop {
            let mut ready = [
                Poll::new(self.signals),
                Poll::new(self.pid1),
                Poll::new(self.inside),
            ];
            // When pid 1 has closed its end there is nothing more to hear, and its pidfd is next.
            let watched = if listening { 3 } else { 2 };
            poll(&mut ready[..watched]).map_err(failed)?;
            let [signal_came, pid1_ended, inside_spoke] = ready.map(|poll| poll.is_ready());
            if inside_spoke || pid1_ended {
                let mut buffer = [0; message::LENGTH_MAX];
                while listening {
                    match receive(self.inside, &mut buffer) {
                        Ok(0) => listening = false,
                        Ok(length) => match &buffer[..length] {
                            message::STOPPED => self.stop(),
                            // A shell's `fg` tells a job that runs nothing.
                            message::NEEDS_FOREGROUND if self.may_give_foreground() => {
                                self.give_foreground();
                            }
                            message::NEEDS_FOREGROUND => self.stop(),
                            message::STUBS => stubs = true,
                            message::CLEAN => stubs = false,
                            [message::KILLED, signal] => killed = Some(*signal),
                            message => error = error.or(Error::receive(message)),
                        },
                        Err(Errno::EAGAIN) => break,
                        Err(Errno::EINTR) => {}
                        Err(_) => listening = false,
                    }
                }
            }
            if signal_came {
                let signal = signal::read(self.signals).map_err(failed)?;
                if self.is_for_command(&signal) {
                    self.forward(signal.number);
                }
            }
            if pid1_ended {
                if let Waited::Ended(_, ended) = wait(Who::Pidfd(self.pid1)).map_err(failed)? {
                    let status = killed.map_or(ended, ExitStatus::Signaled);
                    return Ok(Ending {
                        interrupted: self.regain_terminal(status),
                        status,
                        // A pid 1 that was killed may have had no time to tell.
                        stubs: stubs || ended.code().is_none(),
                        error,
                    });
                }
            }
        }
    }

    /// Not what we sent ourselves with our whole group, and not what the terminal has sent to the
    /// command as well because both are in one group.
    fn is_for_command(&self, signal: &Signal) -> bool {
        match signal.number {
            SIGCHLD => false,
            SIGINT | SIGQUIT | SIGTSTP | SIGTTIN | SIGTTOU | SIGWINCH if signal.from_kernel => {
                self.job != Job::Shared
            }
            // A hang-up of the terminal is told to the leader of the session alone.
            SIGHUP if signal.from_kernel => self.job != Job::Shared || session() == id(),
            _ => signal.sender != id(),
        }
    }

    fn forward(&mut self, number: u32) {
        if number == SIGCONT && self.may_give_foreground() {
            self.give_foreground();
        } else {
            // pid 1 may be gone already, and its pidfd tells.
            let _ = signal::send(self.pid1, number);
        }
    }

    /// Has our group the foreground, for the command to have it instead?
    fn may_give_foreground(&self) -> bool {
        self.job != Job::Shared && self.terminal.is_some_and(|terminal| terminal.is_ours())
    }

    fn give_foreground(&mut self) {
        self.job = Job::Own { foreground: true };
        // As in `forward`.
        let _ = send(self.inside, message::FOREGROUND);
    }

    /// The command was stopped. On a terminal the shell that started us has to see a stopped job:
    /// all of our group, as the key would have stopped it, had the command not had the foreground.
    fn stop(&mut self) {
        let Some(terminal) = &self.terminal else {
            return;
        };
        if self.job == (Job::Own { foreground: true }) {
            terminal.take();
            // If it goes on in the background and stops there, the terminal is the shell's.
            self.job = Job::Own { foreground: false };
            if terminal.group_has_others() {
                let _ = signal::kill(0, SIGTSTP);
            }
        }
        let _ = signal::kill(id(), SIGSTOP);
    }

    /// Takes the terminal back from the command, and interrupts our group, us too, if that is how
    /// the command ended and there are others: the key was meant for all. Says whether it did.
    fn regain_terminal(&self, status: ExitStatus) -> bool {
        let Some(terminal) = &self.terminal else {
            return false;
        };
        terminal.take_from_the_dead();
        // A command that exits with 130 has dealt with the key, as an interactive shell does.
        let Some(signal) = status.signal().map(u32::from) else {
            return false;
        };
        self.job == (Job::Own { foreground: true })
            && terminal.group_has_others()
            && (signal == SIGINT || signal == SIGQUIT)
            && signal::kill(0, signal).is_ok()
    }
}
