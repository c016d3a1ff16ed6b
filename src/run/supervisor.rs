//! The process outside: forwards signals to pid 1, follows its stops, and learns how it ended.

use crate::error::{Error, Step, say};
use crate::process::channel;
use crate::run::status::Status;
use crate::sys::net::{receive, receive_with_sender, send};
use crate::sys::poll::{Poll, poll};
use crate::sys::process::{ExitStatus, Waited, Who, wait};
use crate::sys::signal::{self, SIGCONT, SIGWINCH};
use crate::sys::{BorrowedFd, Errno};
use crate::tty::jobs::JobControl;
use crate::tty::pty::Relay;

/// What the supervisor watches.
pub(crate) struct Supervisor<'a> {
    /// All signals are blocked and read from here.
    pub(crate) signals: BorrowedFd<'a>,
    /// The socket to pid 1, and to the command until it is executed.
    pub(crate) inside: BorrowedFd<'a>,
    pub(crate) pid1: BorrowedFd<'a>,
    pub(crate) jobs: JobControl,
    /// Where the command has a terminal of its own.
    pub(crate) relay: Option<Relay>,
    pub(crate) status: &'a Status,
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

/// What pid 1 has said that matters at the end.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The first thing that it could not do.
    pub(crate) error: Option<Error<'static>>,
    /// The command was executed.
    pub(crate) executed: bool,
    stubs: bool,
    killed: Option<u8>,
}

impl Heard {
    fn take(&mut self, message: &[u8]) {
        match message {
            channel::EXECUTED => self.executed = true,
            channel::STUBS => self.stubs = true,
            channel::CLEAN => self.stubs = false,
            [channel::KILLED, signal] => self.killed = Some(*signal),
            message => {
                if self.error.is_none() {
                    self.error = Error::receive(message);
                }
            }
        }
    }

    /// Takes what has come, without waiting.
    pub(crate) fn listen(&mut self, inside: BorrowedFd) {
        let Ok(mut buffer) = channel::Buffer::zeros() else {
            return;
        };
        while let Ok(length @ 1..) = receive(inside, &mut *buffer) {
            self.take(&buffer[..length]);
        }
    }

    /// How the command ended, where pid 1 ended like this.
    pub(crate) fn status(&self, ended: ExitStatus) -> ExitStatus {
        self.killed.map_or(ended, ExitStatus::Signaled)
    }

    /// Are there stubs in the root? A pid 1 that was killed may have had no time to tell.
    pub(crate) fn has_left_stubs(&self, ended: ExitStatus) -> bool {
        self.stubs || ended.code().is_none()
    }
}

impl Supervisor<'_> {
    /// Waits for pid 1 to end, without a limit of time.
    pub(crate) fn run(mut self) -> Result<Ending, Error<'static>> {
        let failed = |errno| Error::new(Step::Wait, b"pid 1", errno);
        let (mut heard, mut listening) = (Heard::default(), true);
        if let Some(relay) = &mut self.relay {
            relay.take_keys();
        }
        let mut command = 0;
        loop {
            let [keys, terminal] = match &self.relay {
                Some(relay) => relay.polls(),
                None => [Poll::none(), Poll::none()],
            };
            let mut ready = [
                Poll::new(self.signals),
                Poll::new(self.pid1),
                // When pid 1 has closed its end there is nothing more to hear: its pidfd is next.
                match listening {
                    true => Poll::new(self.inside),
                    false => Poll::none(),
                },
                keys,
                terminal,
            ];
            poll(&mut ready, None).map_err(failed)?;
            let [signal_came, pid1_ended, inside_spoke, keys, terminal] =
                ready.map(|poll| poll.is_ready());
            if let (true, Some(relay)) = (keys || terminal, &mut self.relay) {
                relay.pass_on(keys);
            }
            if inside_spoke || pid1_ended {
                let mut buffer = channel::Buffer::zeros().map_err(failed)?;
                while listening {
                    match receive_with_sender(self.inside, &mut *buffer) {
                        Ok((0, _)) => listening = false,
                        Ok((length, sender)) => match &buffer[..length] {
                            channel::WILL_BE_COMMAND => command = sender,
                            // After an error it was not.
                            channel::EXECUTED if heard.error.is_none() => {
                                self.status.started(command);
                            }
                            channel::STOPPED => self.stop(),
                            // A shell's `fg` tells a job that runs nothing.
                            channel::NEEDS_FOREGROUND if self.jobs.may_give_foreground() => {
                                self.give_foreground();
                            }
                            channel::NEEDS_FOREGROUND => self.stop(),
                            message => heard.take(message),
                        },
                        Err(Errno::EAGAIN) => break,
                        Err(Errno::EINTR) => {}
                        Err(_) => listening = false,
                    }
                }
            }
            if signal_came {
                let signal = signal::read(self.signals).map_err(failed)?;
                if let (SIGWINCH, true, Some(relay)) =
                    (signal.number, signal.from_kernel, &self.relay)
                {
                    relay.resize();
                } else if self.jobs.is_for_command(&signal) {
                    self.forward(signal.number);
                }
            }
            if pid1_ended {
                if let Waited::Ended(_, ended) = wait(Who::Pidfd(self.pid1)).map_err(failed)? {
                    let status = heard.status(ended);
                    if let Some(relay) = &mut self.relay {
                        relay.finish();
                        relay.give_keys_back();
                    }
                    tell_reboot(ended);
                    return Ok(Ending {
                        interrupted: self.jobs.regain_terminal(status),
                        status,
                        stubs: heard.has_left_stubs(ended),
                        error: heard.error,
                    });
                }
            }
        }
    }

    /// The command was stopped, and so are we, until someone continues us.
    fn stop(&mut self) {
        if let Some(relay) = &mut self.relay {
            relay.give_keys_back();
        }
        self.jobs.stop();
    }

    fn forward(&mut self, number: u32) {
        if let (SIGCONT, Some(relay)) = (number, &mut self.relay) {
            relay.take_keys();
        }
        if number == SIGCONT && self.jobs.may_give_foreground() {
            self.give_foreground();
        } else {
            // pid 1 may be gone already, and its pidfd tells.
            let _ = signal::send(self.pid1, number);
        }
    }

    fn give_foreground(&mut self) {
        if self.relay.is_none() {
            self.jobs.gave_foreground();
        }
        // As in `forward`.
        let _ = send(self.inside, channel::FOREGROUND);
    }
}

/// reboot(2) inside a pid namespace is the end of that: the kernel kills pid 1, which blocks these
/// signals, with HUP for a restart, and with INT for a halt or power off.
fn tell_reboot(ended: ExitStatus) {
    match ended {
        ExitStatus::Signaled(1) => say(Step::Restart),
        ExitStatus::Signaled(2) => say(Step::PowerOff),
        _ => {}
    }
}
