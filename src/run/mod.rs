//! Running what a `Chroot` describes: pid 1 inside, its supervisor outside.

pub(crate) mod call;
pub(crate) mod child;
pub(crate) mod inside;
pub(crate) mod spawn;
pub(crate) mod status;
pub(crate) mod supervisor;

use core::cell::OnceCell;

use crate::chroot::Chroot;
use crate::error::{Error, Step};
use crate::mount::attach::Attached;
use crate::process::exec::Command;
use crate::process::namespace::fork_into;
use crate::run::inside::Inside;
use crate::run::status::Status;
use crate::run::supervisor::Supervisor;
use crate::sys::process::{ExitStatus, Fork, effective_ids};
use crate::sys::signal::{SignalSet, set_blocked, signalfd};
use crate::sys::{fs, net};
use crate::tty::jobs::{Job, JobControl};
use crate::tty::pty::Pty;
use crate::user::id_map::end_unmapped;

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
    /// The process inside is made by `clone3(2)` (Linux 5.3), in new namespaces
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
    pub fn run(&self) -> Result<ExitStatus, Error<'static>> {
        let kept = self.check_kept_descriptors();
        let status = Status::open(self.status_descriptor)?;
        let result = kept.and_then(|()| self.run_telling(&status));
        if let Err(error) = &result {
            // A status descriptor that nobody reads any more must not end us by SIGPIPE.
            let _ = set_blocked(SignalSet::BUT_FAULTS);
            status.failed(error);
        }
        result
    }

    fn run_telling(&self, status: &Status) -> Result<ExitStatus, Error<'static>> {
        self.check_names()?;
        let prepare = |errno| Error::new(Step::Prepare, b"", errno);
        let mut chroot = self.prepared()?;
        let mut new_root = self.open_new_root()?;
        if new_root.number() <= 2 {
            drop(new_root);
            fs::open_standard_descriptors().map_err(prepare)?;
            new_root = self.open_new_root()?;
        }
        let identity = chroot.identify(new_root.borrow())?;

        let standard = chroot.open_standard()?;
        let caller_mask = set_blocked(SignalSet::BUT_FAULTS).map_err(prepare)?;
        let signals = signalfd(SignalSet::BUT_FAULTS).map_err(prepare)?;
        let (to_inside, to_supervisor) = net::socketpair().map_err(prepare)?;
        if self.status_descriptor.is_some() {
            net::learn_senders(to_inside.borrow()).map_err(prepare)?;
        }
        let pty = match chroot.pty {
            true => Pty::open()?,
            false => None,
        };
        let mut jobs = match chroot.new_session {
            true => JobControl::without_terminal(),
            false => JobControl::look(),
        };
        if pty.is_some() {
            // The keys are the command's, but the foreground stays with us.
            jobs.job = Job::Own { foreground: false };
        }
        let inside = Inside {
            chroot: &chroot,
            command: Command::new(&chroot.words, &chroot.environment).with_argv0(&chroot.argv0),
            fallback: Command::new(&chroot.fallback, &chroot.environment).with_argv0(&chroot.argv0),
            identity,
            attached: Attached::with_room_for(&chroot.mounts),
            root: OnceCell::new(),
            entered: false,
            started: None,
            standard,
            for_owner: false,
            supervisor: to_supervisor,
            signals,
            caller_mask,
            caller: effective_ids(),
            jobs,
            pty,
        };
        // SAFETY: the child allocates nothing; `inside` is all it needs.
        let (id, pid1, new_user_namespace) = match unsafe { fork_into(chroot.namespaces) } {
            Ok((Fork::Parent(id, pid1), new_user_namespace)) => (id, pid1, new_user_namespace),
            Ok((Fork::Child, new_user_namespace)) => {
                drop(to_inside);
                inside.run(new_user_namespace)
            }
            Err(error) => return Err(error),
        };
        // So that the end of pid 1 is the end of what can be heard from it.
        let (signals, pty) = inside.leave_to_the_child();
        if new_user_namespace {
            let map = chroot.map_users;
            map.map_from_outside(id, effective_ids(), to_inside.borrow(), caller_mask)
                .inspect_err(|_| end_unmapped(pid1.borrow()))?;
        }

        let ending = Supervisor {
            signals: signals.borrow(),
            inside: to_inside.borrow(),
            pid1: pid1.borrow(),
            jobs,
            relay: pty.map(Pty::relay),
            status,
        }
        .run()?;
        let cleaned = match ending.stubs {
            true => chroot.remove_stubs(new_root.borrow()),
            false => Ok(()),
        };
        if let Some(error) = ending.error {
            return Err(error);
        }
        // The command's status is worth more than what could not be removed.
        cleaned.unwrap_or_else(|error| error.print());
        status.ended(ending.status);
        if ending.interrupted {
            // A shell whose command exits with 130 goes on with its script: it has to see that the
            // signal ended us. If the caller ignores it, we go on.
            set_blocked(caller_mask).map_err(prepare)?;
        }
        Ok(ending.status)
    }
}
