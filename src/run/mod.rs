//! A run: pid 1 inside, its supervisor outside.
//!
//! The supervisor forks pid 1 into the new namespaces, passes signals on to it, and reports its
//! end. pid 1 sets up the root, starts the command and reaps. The two talk through one socket
//! ([`crate::process::channel`]). When the supervisor ends or is killed, pid 1 ends too, and with
//! it everything in its pid namespace.

#[cfg(feature = "call")]
pub(crate) mod call;
pub(crate) mod cause;
pub(crate) mod child;
mod closing;
mod command;
mod enter;
pub(crate) mod foreground;
#[cfg(feature = "call")]
mod holder;
pub(crate) mod inside;
pub(crate) mod launch;
#[cfg(feature = "call")]
pub(crate) mod limits;
mod mapped;
pub(crate) mod parent;
pub(crate) mod pipes;
mod protect;
mod reaper;
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

/// Whether the program goes on after the run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    GoesOn,
    Ends,
}

/// The state that one attempt at a run passes to the next.
struct Attempt {
    namespaces: Namespaces,
    caller_mask: SignalSet,
    afterwards: Afterwards,
    /// A signal that asked the run to end.
    signal: Option<u32>,
    /// Warnings of the previous attempt, if they are not printed.
    warnings: Vec<Error>,
}

impl Command {
    /// Runs the command as [`Foreground::run`](crate::run::foreground::Foreground::run) does, for a
    /// program that ends right afterwards. The result includes the resources that are still open:
    /// closing them is left to the kernel. Only the command keeps its descriptors. Warnings are
    /// printed.
    #[allow(dead_code, reason = "the binary uses it")]
    pub(crate) fn run_once(&self) -> Result<(ExitStatus, impl Sized), Error> {
        let (status, _, open) = self.run_with(Afterwards::Ends)?;
        Ok((status, open))
    }

    /// Returns the warnings too, unless they are printed, and the resources that are still open.
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
            // If nobody reads the status descriptor any more, SIGPIPE must not end us.
            let _ = sigprocmask(SignalSet::BUT_FAULTS);
            status.failed(error);
        }
        result
    }

    // Not inlined: both attempts share one copy of the code.
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
            // Keys go to the command's own terminal, but the foreground of the caller's stays with
            // us.
            jobs.job = Job::Own { foreground: false };
        }
        let mut inside = Inside::new(&plan, Owner::Supervisor, to_supervisor, signals);
        let prints = afterwards == Afterwards::Ends;
        if prints {
            inside.verbose = self.chroot.verbose;
        }
        inside.standard = standard;
        inside.to_close = inherited.to_close;
        // If standard output and error are one pipe, its reader waits until both are closed, so we
        // close ours too. Otherwise we keep standard error: there may be an error to report at the
        // end.
        let releases_errors = afterwards == Afterwards::Ends && inherited.has_one_pipe;
        inside.tells_execution |= releases_errors;
        inside.caller_mask = caller_mask;
        inside.jobs = jobs;
        inside.pty = pty;
        inside.callers = callers;
        // SAFETY: this process has one thread, or no other uses the memory that `inside` refers to.
        let mut launched = unsafe { inside.launch(to_inside.borrow()) }?;
        if inside.new_user_namespace {
            // We stayed dumpable until now for the sake of the process inside, which inherits this
            // and had to be inspected to map its ids.
            set_dumpable(0).map_err(prepare)?;
        }
        let (signals, childs_end, pty) = inside.leave_to_the_child();
        if let Some(signal) = attempt.signal {
            // The first pid 1 may have ended before it took the signal.
            let _ = launched.pid1.send(signal);
        }
        // Without a pidfd, the end of pid 1 shows as a hangup on its socket, so our copy of that
        // end must be closed.
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
            Some(ending.ended),
            launched.user_namespace.as_ref(),
        );
        attempt.signal = ending.asked_to_end;
        if let Some(error) = ending.heard.error {
            return Err(error);
        }
        // The command's status is worth more than a mount point that could not be removed.
        let mut warnings = take(&mut attempt.warnings);
        warnings.extend(ending.heard.warnings);
        match cleaned {
            Err(error) if prints => error.print(),
            cleaned => warnings.extend(cleaned.err()),
        }
        status.ended(ending.status);
        if ending.interrupted {
            // A shell whose command exits with 130 goes on with its script: it has to see that the
            // signal ended us. If the caller ignores the signal, we go on.
            sigprocmask(caller_mask).map_err(prepare)?;
        }
        let open = (plan, launched, signals, childs_end, to_inside);
        Ok((ending.status, warnings, open))
    }
}
