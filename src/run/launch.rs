//! The one room in which a run is made ready for its process inside: for run, spawn and call.

use core::cell::OnceCell;

use crate::chroot::plan::Plan;
use crate::error::{Error, Step};
use crate::mount::attach::{Mounts, Root};
use crate::mount::pivot::Outside;
use crate::process::exec::Command;
use crate::process::stdio::Standard;
use crate::run::inside::Inside;
use crate::sys::process::{CLONE_NEWUSER, Fork, effective_ids, fork};
use crate::sys::signal::SignalSet;
use crate::sys::{BorrowedFd, Errno, OwnedFd};
use crate::tty::jobs::{Job, JobControl};
use crate::user::id_map::{UserNamespace, end_unmapped};

/// Who launches a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A program whose purpose that is: `Chroot::run`.
    Supervisor,
    /// One that has other things to do: `Chroot::spawn`. It is told when the command was executed, and
    /// pid 1 keeps none of its descriptors.
    Program,
    /// One that waits for a closure: `Chroot::call`.
    Caller,
}

impl<'a> Inside<'a> {
    /// All that the process inside needs, made before the fork.
    pub(crate) fn new(
        plan: &'a Plan<'a>,
        owner: Owner,
        supervisor: OwnedFd,
        signals: OwnedFd,
    ) -> Inside<'a> {
        let chroot = plan.chroot;
        let root = match chroot.overlay {
            Some(_) => Root::Overlay,
            None => Root::Persistent,
        };
        let command = |words| {
            let command = Command::new(words, &plan.environment).with_argv0(&chroot.argv0);
            match chroot.kept_descriptors.is_empty() {
                true => command,
                // Sockets among them were handed to us, and are the command's now.
                false => command.with_what_is_ours(&plan.environment),
            }
        };
        Inside {
            plan,
            owner,
            command: command(&chroot.words),
            fallback: command(&chroot.fallback),
            mounts: Mounts::with_room_for(plan.mounts.len(), root, chroot.mask_proc),
            root: OnceCell::new(),
            entered: false,
            started: None,
            proc: None,
            new_user_namespace: false,
            outside: Outside::NamespaceRoot,
            needed: None,
            alone: None,
            standard: Standard::new(),
            supervisor,
            signals,
            caller_mask: SignalSet::ALL,
            caller: (0, 0),
            jobs: match owner {
                Owner::Supervisor => JobControl::without_terminal(),
                Owner::Program if chroot.new_session => JobControl::without_terminal(),
                Owner::Program | Owner::Caller => JobControl {
                    job: Job::Shared,
                    terminal: None,
                },
            },
            pty: None,
            callers: None,
        }
    }

    /// Forks, and runs the plan in the child. Gives the child's pid and pidfd, and its user namespace
    /// where others than the caller own its files.
    ///
    /// # Safety
    ///
    /// As for [`fork`](crate::sys::process::fork): `self` is all that the child uses.
    pub(crate) unsafe fn launch(
        &mut self,
        to_inside: BorrowedFd,
    ) -> Result<Launched, Error<'static>> {
        let chroot = self.plan.chroot;
        let namespaces = chroot.namespaces;
        // SAFETY: the child allocates nothing; `self` is all it needs.
        let forked = match namespaces.make(|flags| unsafe { fork(flags) }) {
            Err(Errno::EPERM) if namespaces.may_have_user() => {
                self.new_user_namespace = true;
                self.caller = effective_ids();
                // SAFETY: as above.
                unsafe { fork(namespaces.flags() | CLONE_NEWUSER) }
            }
            forked => forked,
        };
        let fork = forked.map_err(|errno| namespaces.refused(errno))?;
        let (id, pid1) = match fork {
            Fork::Parent(id, pid1) => (id, pid1),
            Fork::Child => self.run(to_inside),
        };
        let user_namespace = match self.new_user_namespace {
            true => chroot
                .map_users
                .map_from_outside(id, self.caller, to_inside, self.caller_mask)
                .inspect_err(|_| end_unmapped(pid1.borrow()))?,
            false => None,
        };
        Ok(Launched {
            id,
            pid1,
            user_namespace,
        })
    }
}

/// A process inside that was launched.
pub(crate) struct Launched {
    pub(crate) id: i32,
    pub(crate) pid1: OwnedFd,
    pub(crate) user_namespace: Option<UserNamespace>,
}

/// The step of what fails before there is anything to name.
pub(crate) fn prepare(errno: Errno) -> Error<'static> {
    Error::new(Step::Prepare, b"", errno)
}
