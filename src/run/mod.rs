//! Running what a `Chroot` describes: pid 1 inside, its supervisor outside.

pub(crate) mod call;
pub(crate) mod child;
mod command;
mod enter;
pub(crate) mod inside;
pub(crate) mod launch;
pub(crate) mod spawn;
pub(crate) mod status;
pub(crate) mod supervisor;

use crate::chroot::Chroot;
use crate::error::Error;
use crate::process::descriptors::{close_given, close_standard};
use crate::process::inherited::Inherited;
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

impl Chroot {
    /// Runs the command and waits for it, for a program whose purpose that is, as `rootlet run`
    /// is: all signals of the calling thread are blocked, and stay so, and go to the command
    /// instead; the command gets the foreground of the terminal, and a stop of the command stops
    /// this process. When a key that interrupts has ended the command, in a script on a terminal,
    /// it ends this process as well.
    ///
    /// Any other program calls [`Chroot::status`], which leaves signals and the terminal as they are.
    ///
    /// The command has the standard descriptors and no others, and ends when this process does.
    /// What it leaves running is killed. Mount points that were made for the run are removed.
    ///
    /// The process inside is made by `clone3(2)` (Linux 5.3) or `clone(2)`, in new namespaces
    /// (`namespaces(7)`); the [front page](crate) lists the calls it makes there. Waiting is one
    /// `ppoll(2)` without a limit of time.
    ///
    /// ```
    /// use rootlet::Chroot;
    ///
    /// let status = Chroot::new("/").command("sh").args(["-c", "exit 3"]).run()?;
    /// assert_eq!(status.code(), Some(3));
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Whatever keeps the command from running; [`Error::status`] is the exit status for it. A
    /// mount point that could not be removed is no error, but a line on standard error.
    pub fn run(&self) -> Result<ExitStatus, Error> {
        self.run_with(Afterwards::GoesOn).map(|(status, _)| status)
    }

    /// As [`Chroot::run`], with what is open still, for a program that ends now: it needs to close
    /// nothing. The command's standard descriptors, and those that it was given, are its alone.
    #[doc(hidden)]
    pub fn run_once(&self) -> Result<(ExitStatus, impl Sized), Error> {
        self.run_with(Afterwards::Ends)
    }

    fn run_with(&self, afterwards: Afterwards) -> Result<(ExitStatus, impl Sized), Error> {
        let kept = self.check_kept_descriptors();
        let status = Status::open(self.status_descriptor)?;
        let result = kept.and_then(|()| self.run_telling(&status, afterwards));
        if let Err(error) = &result {
            // A status descriptor that nobody reads any more must not end us by SIGPIPE.
            let _ = sigprocmask(SignalSet::BUT_FAULTS);
            status.failed(error);
        }
        result
    }

    fn run_telling<'a>(
        &'a self,
        status: &Status,
        afterwards: Afterwards,
    ) -> Result<(ExitStatus, impl Sized + use<'a>), Error> {
        let caller_mask = sigprocmask(SignalSet::BUT_FAULTS).map_err(prepare)?;
        let mut signals = signalfd(SignalSet::BUT_FAULTS).map_err(prepare)?;
        if signals.number() <= 2 {
            // One was closed; open it so that ours cannot land there.
            drop(signals);
            fs::open_standard_descriptors().map_err(prepare)?;
            signals = signalfd(SignalSet::BUT_FAULTS).map_err(prepare)?;
        }
        let (to_supervisor, to_inside) = net::socketpair().map_err(prepare)?;
        let plan = self.compile()?;
        let standard = self.open_standard()?;
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
        let mut jobs = match self.new_session {
            true => JobControl::without_terminal(),
            false => JobControl::look(inherited.may_be_terminals),
        };
        if pty.is_some() || callers.is_some() {
            // The keys are the command's, but the foreground stays with us.
            jobs.job = Job::Own { foreground: false };
        }
        let mut inside = Inside::new(&plan, Owner::Supervisor, to_supervisor, signals);
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
        let launched = unsafe { inside.launch(to_inside.borrow()) }?;
        if inside.new_user_namespace {
            // Its process had to be looked at.
            set_dumpable(0).map_err(prepare)?;
        }
        let (signals, childs_end, pty) = inside.leave_to_the_child();
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
            releases_errors,
            heard: Heard::default(),
            answer_by: None,
        }
        .run()?;
        let cleaned = ending.heard.remove_left(
            plan.new_root.borrow(),
            plan.targets(),
            ending.ended,
            launched.user_namespace.as_ref(),
        );
        if let Some(error) = ending.heard.error {
            return Err(error);
        }
        // The command's status is worth more than what could not be removed.
        cleaned.unwrap_or_else(|error| error.print());
        status.ended(ending.status);
        if ending.interrupted {
            // A shell whose command exits with 130 goes on with its script: it has to see that the
            // signal ended us. If the caller ignores it, we go on.
            sigprocmask(caller_mask).map_err(prepare)?;
        }
        let open = (plan, launched, signals, childs_end, to_inside);
        Ok((ending.status, open))
    }
}
