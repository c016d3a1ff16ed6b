//! Running what a `Command` describes: pid 1 inside, its supervisor outside.

#[cfg(feature = "call")]
pub(crate) mod call;
mod cause;
pub(crate) mod child;
mod closing;
mod command;
mod enter;
pub(crate) mod foreground;
pub(crate) mod inside;
pub(crate) mod launch;
#[cfg(feature = "call")]
pub(crate) mod limits;
mod mapped;
pub(crate) mod pipes;
#[cfg(feature = "call")]
mod protect;
pub(crate) mod spawn;
pub(crate) mod status;
pub(crate) mod supervisor;

use alloc::vec::Vec;
use core::mem::take;

use crate::chroot::command::Command;
use crate::error::{Error, Step};
use crate::process::descriptors::{close_given, close_standard};
use crate::process::inherited::Inherited;
use crate::process::namespace::Namespaces;
use crate::process::stdio::Stdio;
use crate::run::inside::Inside;
use crate::run::launch::{Owner, prepare};
use crate::run::status::Status;
use crate::run::supervisor::{Heard, Supervisor};
use crate::sys::process::ExitStatus;
use crate::sys::shared::set_dumpable;
use crate::sys::signal::{SignalSet, signalfd, sigprocmask};
use crate::sys::{fs, net};
use crate::tty::jobs::{Job, JobControl};
use crate::tty::pty::{Callers, Pty};

/// What the program does after a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    /// Other things.
    GoesOn,
    /// Nothing.
    Ends,
}

/// What one attempt at a run leaves to the next.
struct Attempt {
    namespaces: Namespaces,
    caller_mask: SignalSet,
    afterwards: Afterwards,
    /// A signal that asked for the end.
    signal: Option<u32>,
    /// What is told, but not printed, of the one before.
    warnings: Vec<Error>,
}

impl Command {
    /// As [`Foreground::run`](crate::run::foreground::Foreground::run), with what is open still, for a
    /// program that ends now: it needs to close nothing. The command's descriptors are
    /// its alone. Warnings are printed.
    #[allow(dead_code, reason = "the binary uses it")]
    pub(crate) fn run_once(&self) -> Result<(ExitStatus, impl Sized), Error> {
        let (status, _, open) = self.run_with(Afterwards::Ends)?;
        Ok((status, open))
    }

    /// Gives the warnings too, where they are not printed, and what is open still.
    fn run_with(
        &self,
        afterwards: Afterwards,
    ) -> Result<(ExitStatus, Vec<Error>, impl Sized), Error> {
        let kept = self.check_kept_descriptors();
        let status = Status::open(self.status_descriptor)?;
        let result = kept.and_then(|()| {
            let mut attempt = Attempt {
                namespaces: self.chroot.namespaces,
                caller_mask: sigprocmask(SignalSet::BUT_FAULTS).map_err(prepare)?,
                afterwards,
                signal: None,
                warnings: Vec::new(),
            };
            match self.run_telling(&status, &mut attempt) {
                Err(error) if error.is_of_own_proc() && attempt.namespaces.share_pid() => {
                    let shares = Error::instead(Step::SharePid);
                    match afterwards {
                        Afterwards::Ends => shares.print(),
                        Afterwards::GoesOn => attempt.warnings.push(shares),
                    }
                    self.run_telling(&status, &mut attempt)
                }
                result => result,
            }
        });
        let result = result.map_err(|error| self.chroot.look_for_cause(error));
        if let Err(error) = &result {
            // A status descriptor that nobody reads any more must not end us by SIGPIPE.
            let _ = sigprocmask(SignalSet::BUT_FAULTS);
            status.failed(error);
        }
        result
    }

    // Once, for both attempts.
    #[inline(never)]
    fn run_telling<'a>(
        &'a self,
        status: &Status,
        attempt: &mut Attempt,
    ) -> Result<(ExitStatus, Vec<Error>, impl Sized + use<'a>), Error> {
        let Attempt {
            caller_mask,
            afterwards,
            ..
        } = *attempt;
        let mut signals = signalfd(SignalSet::BUT_FAULTS).map_err(prepare)?;
        if signals.number() <= 2 {
            // One was closed; open it so that ours cannot land there.
            drop(signals);
            fs::open_standard_descriptors().map_err(prepare)?;
            signals = signalfd(SignalSet::BUT_FAULTS).map_err(prepare)?;
        }
        let (to_supervisor, to_inside) = net::socketpair().map_err(prepare)?;
        let mut plan = self.compile()?;
        plan.namespaces = attempt.namespaces;
        let inherit = || Stdio::inherit();
        let (standard, _) = self.open_standard([inherit(), inherit(), inherit()])?;
        if self.status_descriptor.is_some() {
            net::learn_senders(to_inside.borrow()).map_err(prepare)?;
        }
        let callers = match self.pty {
            true => Callers::look(),
            false => None,
        };
        let (pty, callers) = match callers {
            Some(callers) if !plan.opens_terminal() => (Some(callers.open_on_host()?), None),
            callers => (None, callers),
        };
        let inherited = Inherited::look();
        let mut jobs = match self.chroot.new_session || self.own_group {
            true => JobControl::without_terminal(),
            false => JobControl::look(inherited.may_be_terminals),
        };
        if pty.is_some() || callers.is_some() {
            // The keys are the command's, but the foreground stays with us.
            jobs.job = Job::Own { foreground: false };
        }
        let mut inside = Inside::new(&plan, Owner::Supervisor, to_supervisor, signals);
        let prints = afterwards == Afterwards::Ends;
        if prints {
            inside.verbose = self.chroot.verbose;
        }
        inside.standard = standard;
        inside.to_close = inherited.to_close;
        // The reader of the output waits for the end of the errors too. Where these go elsewhere,
        // they stay with us: at the end there may be one to report.
        let releases_errors = afterwards == Afterwards::Ends && inherited.has_one_pipe;
        inside.tells_execution |= releases_errors;
        inside.caller_mask = caller_mask;
        inside.jobs = jobs;
        inside.pty = pty;
        inside.callers = callers;
        // SAFETY: this process has one thread, or only this one uses what `inside` holds.
        let mut launched = unsafe { inside.launch(to_inside.borrow()) }?;
        if inside.new_user_namespace {
            // Its process had to be looked at.
            set_dumpable(0).map_err(prepare)?;
        }
        let (signals, childs_end, pty) = inside.leave_to_the_child();
        if let Some(signal) = attempt.signal {
            // The first pid 1 may have ended without having taken it.
            let _ = launched.pid1.send(signal);
        }
        // Without a pidfd the end of pid 1 is that of its socket.
        let childs_end = launched.pid1.pidfd().is_some().then_some(childs_end);
        if afterwards == Afterwards::Ends {
            close_standard(&inherited.to_close[..2]);
            close_given(&self.kept_descriptors);
        }

        let ending = Supervisor {
            signals: signals.borrow(),
            inside: to_inside.borrow(),
            pid1: &launched.pid1,
            jobs,
            relay: pty.map(Pty::relay),
            callers,
            status,
            closed: (afterwards == Afterwards::Ends).then_some(&self.kept_descriptors),
            asked_to_end: None,
            releases_errors,
            prints,
            heard: Heard::default(),
            answer_by: None,
        }
        .run()?;
        drop(launched.ids.take());
        let cleaned = ending.heard.remove_left(
            plan.new_root.borrow(),
            plan.targets(),
            ending.ended,
            launched.user_namespace.as_ref(),
        );
        attempt.signal = ending.asked_to_end;
        if let Some(error) = ending.heard.error {
            return Err(error);
        }
        // The command's status is worth more than what could not be removed.
        let mut warnings = take(&mut attempt.warnings);
        warnings.extend(ending.heard.warnings);
        match cleaned {
            Err(error) if prints => error.print(),
            cleaned => warnings.extend(cleaned.err()),
        }
        status.ended(ending.status);
        if ending.interrupted {
            // A shell whose command exits with 130 goes on with its script: it has to see that the
            // signal ended us. If the caller ignores it, we go on.
            sigprocmask(caller_mask).map_err(prepare)?;
        }
        let open = (plan, launched, signals, childs_end, to_inside);
        Ok((ending.status, warnings, open))
    }
}
