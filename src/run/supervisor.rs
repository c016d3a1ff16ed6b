//! The supervisor: the process outside.
//!
//! It forwards signals to pid 1, stops and continues with the command, and reports how the command
//! ended. It sleeps in one `ppoll(2)` without a timeout, except for a few seconds after a signal
//! that asks for the end. If pid 1 was killed, the supervisor removes the mount points that pid 1
//! reported.

use alloc::vec::Vec;

use crate::error::{Error, Step, say};
use crate::mount::removal::{Record, remove_recorded, sweep};
use crate::process::channel::{self, Order, Report};
use crate::process::descriptors::take_back;
use crate::process::stderr;
use crate::run::status::Status;
use crate::sys::fs::Identity;
use crate::sys::net::{receive, receive_with_more};
use crate::sys::poll::{Poll, clock, poll};
use crate::sys::signal::{self, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGWINCH};
use crate::sys::{BorrowedFd, Errno, ExitStatus, OwnedFd, Process};
use crate::tty::jobs::JobControl;
use crate::tty::pty::{Callers, Relay};
use crate::user::id_map::UserNamespace;

/// The descriptors and the state of a supervisor.
pub(crate) struct Supervisor<'a> {
    /// All signals are blocked and read from here.
    pub(crate) signals: BorrowedFd<'a>,
    /// The socket to pid 1, and to the command until it is executed.
    pub(crate) inside: BorrowedFd<'a>,
    pub(crate) pid1: &'a Process,
    pub(crate) jobs: JobControl,
    /// The relay to the command's own terminal, if it has one.
    pub(crate) relay: Option<Relay>,
    /// The caller's terminal, while pid 1 has still to open the command's.
    pub(crate) callers: Option<Callers>,
    pub(crate) status: &'a Status,
    /// Descriptors that we closed because only the command should have them, for another attempt.
    pub(crate) closed: Option<&'a [u32]>,
    /// The last signal that asked for the end.
    pub(crate) asked_to_end: Option<u32>,
    /// We close standard error once the command has it.
    pub(crate) releases_errors: bool,
    /// Warnings are printed rather than kept.
    pub(crate) prints: bool,
    pub(crate) heard: Heard,
    /// The deadline for pid 1's answer, if it owes one.
    pub(crate) answer_by: Option<u64>,
}

/// How a run ended.
pub(crate) struct Ending {
    /// The end of the command, and of pid 1 itself.
    pub(crate) status: ExitStatus,
    pub(crate) ended: ExitStatus,
    /// The key that ended the command was meant for us too: SIGINT or SIGQUIT is pending.
    pub(crate) interrupted: bool,
    /// The last signal that asked for the end.
    pub(crate) asked_to_end: Option<u32>,
    pub(crate) heard: Heard,
}

/// A mount point that was made for the run.
#[derive(Debug)]
struct Made {
    above: Vec<u8>,
    name: Vec<u8>,
    identity: Identity,
    is_directory: bool,
    has_companion: bool,
    is_locked: bool,
}

impl Made {
    fn record(&self) -> Record<'_> {
        Record {
            above: &self.above,
            name: &self.name,
            identity: self.identity,
            is_directory: self.is_directory,
            has_companion: self.has_companion,
            is_locked: self.is_locked,
        }
    }
}

/// The reports of pid 1 that matter at the end.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The first error.
    pub(crate) error: Option<Error>,
    /// Deviations from the request that are not errors.
    pub(crate) warnings: Vec<Error>,
    /// The command was executed.
    executed: bool,
    /// pid 1 has taken an order.
    pub(crate) took: bool,
    /// The reaper could not protect itself.
    pub(crate) unprotected: bool,
    made: Vec<Made>,
    has_left: bool,
    /// A report could not be received.
    has_missed: bool,
    killed: Option<u8>,
}

impl Heard {
    fn take(&mut self, report: Report) {
        match report {
            Report::Executed => self.executed = true,
            Report::Took => self.took = true,
            Report::Unprotected => self.unprotected = true,
            Report::Left => self.has_left = true,
            Report::Killed(signal) => self.killed = Some(signal),
            Report::NotSent(errno) => {
                let error = Error::new(Step::Signal, b"the command", errno);
                self.warnings.push(error);
            }
            Report::NotWaited(errno) => {
                let error = Error::new(Step::Wait, b"the command", errno);
                self.error.get_or_insert(error);
            }
            Report::Warned(error) => self.warnings.push(error),
            Report::Failed(error) => {
                self.error.get_or_insert(error);
            }
            Report::Stubs(records) => {
                for record in records {
                    self.made.push(Made {
                        above: record.above.to_vec(),
                        name: record.name.to_vec(),
                        identity: record.identity,
                        is_directory: record.is_directory,
                        has_companion: record.has_companion,
                        is_locked: record.is_locked,
                    });
                }
            }
            Report::Stopped
            | Report::NeedsForeground
            | Report::WillBeCommand
            | Report::GivenBack(_)
            | Report::Terminal => {}
        }
    }

    /// Reads all reports that have arrived, without waiting. Returns true if no more can come,
    /// because pid 1 has ended.
    pub(crate) fn listen(&mut self, inside: BorrowedFd) -> bool {
        let mut buffer = channel::Buffer::zeros_in_any_memory();
        loop {
            match receive(inside, &mut *buffer) {
                Ok(length @ 1..) => {
                    if let Some(report) = Report::parse(&buffer[..length]) {
                        self.take(report);
                    }
                }
                Err(Errno::EAGAIN) => return false,
                // An order that pid 1 did not read gives ECONNRESET once, before its last reports.
                Err(_) if !self.has_missed => self.has_missed = true,
                _ => return true,
            }
        }
    }

    /// Returns whether the command was executed. pid 1 also reports that of a command that could not
    /// be, but the error comes first.
    pub(crate) fn has_executed(&self) -> bool {
        self.executed && self.error.is_none()
    }

    /// Returns how the command ended, given how pid 1 ended.
    pub(crate) fn status(&self, ended: ExitStatus) -> ExitStatus {
        self.killed
            .and_then(|signal| ExitStatus::signaled(signal.into()))
            .unwrap_or(ended)
    }

    /// Removes the mount points that pid 1, which ended like this, has left in this root. If pid 1
    /// was killed, or its end is unknown, it may not have had time to report them. Then every unused
    /// temporary mount point on the way to one of the targets is removed.
    pub(crate) fn remove_left<'t>(
        &self,
        root: BorrowedFd,
        targets: impl DoubleEndedIterator<Item = &'t [u8]>,
        ended: Option<ExitStatus>,
        user_namespace: Option<&UserNamespace>,
    ) -> Result<(), Error> {
        let was_killed = ended.and_then(ExitStatus::code).is_none();
        if !self.has_left && !was_killed && !self.has_missed {
            return Ok(());
        }
        let mut result = Ok(());
        let mut note = |removed: Result<(), Errno>, name: &[u8]| {
            if let (Err(errno), Ok(())) = (removed, &result) {
                result = Err(Error::new(Step::RemoveMountPoint, name, errno));
            }
        };
        for made in self.made.iter().rev() {
            let mut remove = || remove_recorded(root, &made.record());
            let removed = match user_namespace {
                Some(user_namespace) => user_namespace.as_user_0(&mut remove),
                None => remove(),
            };
            note(removed, &[&made.above[..], b"/", &made.name].concat());
        }
        if self.made.is_empty() && user_namespace.is_none() {
            targets
                .rev()
                .for_each(|target| note(sweep(root, target), target));
        }
        result
    }
}

impl Supervisor<'_> {
    /// Waits for pid 1 to end, indefinitely.
    pub(crate) fn run(mut self) -> Result<Ending, Error> {
        let failed = |errno| Error::new(Step::Wait, b"pid 1", errno);
        let mut listening = true;
        if let Some(relay) = &mut self.relay {
            relay.take_keys();
        }
        let (mut command, mut buffer) = (0, Vec::new());
        loop {
            let [keys, terminal] = match &self.relay {
                Some(relay) => relay.polls(),
                None => [Poll::none(), Poll::none()],
            };
            let mut ready = [
                Poll::new(self.signals),
                self.pid1.pidfd().map_or(Poll::none(), Poll::new),
                // After pid 1 has closed its end there is nothing more to hear, and its pidfd is
                // next.
                match listening {
                    true => Poll::new(self.inside),
                    false => Poll::none(),
                },
                keys,
                terminal,
            ];
            if !poll(&mut ready, self.answer_by).map_err(failed)? {
                return self.give_up();
            }
            let [signal_came, pid1_ended, inside_spoke, keys, terminal] =
                ready.map(|poll| poll.is_ready());
            if let (true, Some(relay)) = (keys || terminal, &mut self.relay) {
                relay.pass_on(keys);
            }
            if inside_spoke {
                if buffer.is_empty() {
                    buffer.resize(channel::LONGEST, 0);
                }
                // One report each time, but after the end of pid 1 everything that it sent before.
                let mut more = true;
                while listening && more {
                    more = pid1_ended;
                    let received = receive_with_more(self.inside, &mut buffer);
                    match received {
                        Ok(came) if came.length == 0 => listening = false,
                        Ok(came) => match Report::parse(&buffer[..came.length]) {
                            Some(Report::WillBeCommand) => command = came.sender,
                            Some(Report::Terminal) => self.start_relay(came.descriptor),
                            Some(Report::GivenBack(number)) => {
                                if let (Some(given), Some(back)) = (self.closed, came.descriptor) {
                                    take_back(back, number, given);
                                }
                            }
                            // After an error the command was not executed.
                            Some(Report::Executed) if self.heard.error.is_none() => {
                                self.status.started(command);
                                if self.releases_errors {
                                    stderr::release();
                                }
                            }
                            Some(Report::Stopped) => self.stop(),
                            // A shell's `fg` sends no signal to a job that is running, so look
                            // whether we have the foreground by now.
                            Some(Report::NeedsForeground) if self.jobs.may_give_foreground() => {
                                self.give_foreground();
                            }
                            Some(Report::NeedsForeground) => self.stop(),
                            Some(Report::Took) => self.answer_by = None,
                            Some(report) => {
                                self.heard.take(report);
                                if self.prints {
                                    self.heard
                                        .warnings
                                        .drain(..)
                                        .for_each(|error| error.print());
                                }
                            }
                            None => {}
                        },
                        Err(Errno::EAGAIN) => break,
                        Err(Errno::EINTR) => {}
                        // As in `Heard::listen`.
                        Err(_) if !self.heard.has_missed => self.heard.has_missed = true,
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
            // Without a pidfd, pid 1 has ended when it has closed its end.
            if pid1_ended || !listening && self.pid1.pidfd().is_none() {
                let ended = self.pid1.wait().map_err(failed)?;
                let status = self.heard.status(ended);
                if let Some(relay) = &mut self.relay {
                    relay.finish();
                    relay.give_keys_back();
                }
                if self.prints {
                    tell_reboot(ended);
                }
                return Ok(Ending {
                    interrupted: self.jobs.regain_terminal(status),
                    status,
                    ended,
                    asked_to_end: self.asked_to_end,
                    heard: self.heard,
                });
            }
        }
    }

    /// Starts the relay to the command's terminal, which pid 1 has opened.
    fn start_relay(&mut self, master: Option<OwnedFd>) {
        if let (Some(callers), Some(master)) = (self.callers.take(), master) {
            let mut relay = callers.relay(master);
            relay.take_keys();
            self.relay = Some(relay);
        }
    }

    /// Kills pid 1, and with it everything inside. It does not answer, so it would not pass on the
    /// signal that asks for the end.
    fn give_up(mut self) -> Result<Ending, Error> {
        let failed = |errno| Error::new(Step::Wait, b"pid 1", errno);
        self.pid1.send(SIGKILL).map_err(failed)?;
        let ended = self.pid1.wait().map_err(failed)?;
        self.heard.listen(self.inside);
        if let Some(relay) = &mut self.relay {
            relay.give_keys_back();
        }
        self.heard.error.get_or_insert_with(Error::no_answer);
        Ok(Ending {
            status: ended,
            ended,
            interrupted: false,
            asked_to_end: None,
            heard: self.heard,
        })
    }

    /// Stops this process after the command was stopped, until somebody continues us.
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
            if let SIGHUP | SIGINT | SIGQUIT | SIGTERM = number {
                self.answer_by.get_or_insert(clock() + channel::ANSWER_TIME);
                self.asked_to_end = Some(number);
            }
            // pid 1 may already be gone; the loop will see that.
            let _ = self.pid1.send(number);
        }
    }

    fn give_foreground(&mut self) {
        if self.relay.is_none() && self.callers.is_none() {
            self.jobs.gave_foreground();
        }
        // As in `forward`.
        let _ = Order::Foreground.send(self.inside);
    }
}

/// Prints that the command has called reboot(2). Inside a pid namespace that ends the namespace:
/// the kernel kills pid 1, which blocks these signals, with SIGHUP for a restart and with SIGINT
/// for a halt or power off.
fn tell_reboot(ended: ExitStatus) {
    match ended.signal() {
        Some(1) => say(Step::Restart),
        Some(2) => say(Step::PowerOff),
        _ => {}
    }
}
