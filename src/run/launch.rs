//! Preparing and launching the process inside, the same for run, spawn and call.

use core::cell::OnceCell;

use crate::chroot::plan::Plan;
use crate::error::{Error, Step};
use crate::mount::attach::{Mounts, Root};
use crate::mount::pivot::Outside;
use crate::process::exec::Command;
use crate::process::host_paths;
use crate::process::namespace::Namespace;
use crate::process::stdio::Standard;
use crate::run::inside::Inside;
use crate::run::parent::Parent;
use crate::run::supervisor::Heard;
use crate::sys::credentials::capabilities;
use crate::sys::poll::{Poll, poll};
use crate::sys::process::{CLONE_NEWUSER, Cloning, Fork, fork};
use crate::sys::shared::set_dumpable;
use crate::sys::signal::{SIGKILL, SignalSet};
use crate::sys::{BorrowedFd, Errno, OwnedFd, Process};
use crate::tty::jobs::{Job, JobControl};
use crate::user::id_map::{MapUsers, UserNamespace, end_unmapped};
use crate::user::maps::Caller;
use crate::user::private::{LockName, Range};

/// The kind of process that launches a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A program whose purpose is the run: `Foreground::run`.
    Supervisor,
    /// A program that does other things: `Command::spawn`. It learns when the command was executed,
    /// and pid 1 keeps none of its descriptors.
    Program,
    /// A program that waits for a closure: `Chroot::call`.
    Caller,
}

impl<'a> Inside<'a> {
    /// Collects everything that the process inside needs. This allocates, so it comes before the
    /// fork.
    pub(crate) fn new(
        plan: &'a Plan<'a>,
        owner: Owner,
        supervisor: OwnedFd,
        signals: OwnedFd,
    ) -> Inside<'a> {
        let (chroot, asked) = (plan.chroot, plan.command);
        let root = match chroot.overlay {
            Some(_) => Root::Overlay,
            None => Root::Persistent,
        };
        let command = |words| {
            let command = Command::new(words, &plan.environment).with_argv0(&asked.argv0);
            let command = match asked.leaves_out_host_paths {
                true => {
                    let (changes, sets_user) = (&asked.changes, chroot.user.is_some());
                    let variables = host_paths::find(&plan.environment, changes, sets_user);
                    command.without_missing(variables, chroot.verbose)
                }
                false => command,
            };
            match asked.kept_descriptors.is_empty() {
                true => command,
                // They may include sockets and a watchdog that our environment assigns to our pid;
                // they are the command's now.
                false => command.with_what_is_ours(&plan.environment),
            }
        };
        let mut mounts = Mounts::with_room_for(plan.mounts.len(), root, chroot.mask_proc);
        // A closure always has a new pid namespace, so it must accept the proc of another. Without
        // a new pid namespace the caller's proc is the right one.
        mounts.shows_others_proc = owner == Owner::Caller || !plan.namespaces.has(Namespace::Pid);
        mounts.opens_terminal = plan.opens_terminal();
        Inside {
            plan,
            verbose: chroot.verbose.warning_on(&supervisor),
            owner,
            command: command(&asked.words),
            fallback: command(&asked.fallback),
            mounts,
            root: OnceCell::new(),
            entered: false,
            started: None,
            proc: None,
            rights: capabilities(),
            new_user_namespace: false,
            outside: Outside::NamespaceRoot,
            is_root_nobodys: false,
            needed: None,
            private: None,
            taken_root: None,
            alone: None,
            standard: Standard::new(),
            shares_memory: false,
            needs_fork: false,
            to_close: [owner == Owner::Program; 3],
            tells_execution: owner == Owner::Program || asked.status_descriptor.is_some(),
            supervisor,
            signals,
            caller_mask: SignalSet::ALL,
            caller: Caller::default(),
            jobs: match owner {
                Owner::Supervisor => JobControl::without_terminal(),
                Owner::Program if chroot.new_session || asked.own_group => {
                    JobControl::without_terminal()
                }
                Owner::Program | Owner::Caller => JobControl {
                    job: Job::Shared,
                    terminal: None,
                },
            },
            pty: None,
            callers: None,
        }
    }

    /// Forks, and runs the plan in the child. Returns the child, and its user namespace if the
    /// files it makes do not belong to the caller.
    ///
    /// # Safety
    ///
    /// As for [`fork`]: `self` is all that the child uses.
    pub(crate) unsafe fn launch(&mut self, to_inside: BorrowedFd) -> Result<Launched, Error> {
        let chroot = self.plan.chroot;
        let namespaces = self.plan.namespaces;
        if let MapUsers::Private(users) = chroot.map_users {
            self.private = Some(Range::take(users)?);
        }
        // SAFETY: the caller's promise.
        let forked = match unsafe { self.fork(Cloning::Clone3) } {
            // SAFETY: as above.
            Err(Errno::EPERM) => unsafe { self.fork(Cloning::Clone) },
            forked => forked,
        };
        let pid1 = match forked.map_err(|errno| namespaces.refused(errno))? {
            Fork::Parent(pid1) => pid1,
            Fork::Child => self.run(to_inside),
        };
        let mapped = match (&self.private, self.new_user_namespace) {
            // The files that it makes belong to us, so we may remove them.
            (Some(_), _) => self.pass_mapped(&pid1, to_inside).map(|()| None),
            (None, true) => {
                let (map, mask) = (chroot.map_users, self.caller_mask);
                map.map_from_outside(&pid1, self.caller, to_inside, mask)
            }
            (None, false) => Ok(None),
        };
        let user_namespace = mapped.inspect_err(|_| end_unmapped(&pid1))?;
        Ok(Launched {
            pid1,
            parent: None,
            user_namespace,
            ids: self.private.as_mut().and_then(Range::take_name),
        })
    }

    /// Forks into the new namespaces, inside a new user namespace if they need one.
    ///
    /// # Safety
    ///
    /// As for [`Inside::launch`].
    unsafe fn fork(&mut self, cloning: Cloning) -> Result<Fork, Errno> {
        let namespaces = self.plan.namespaces;
        let is_supervisor = self.owner == Owner::Supervisor;
        self.new_user_namespace = false;
        let mut protected = Ok(());
        let make = |flags| {
            if is_supervisor {
                // The child inherits this: no process inside may trace it or us.
                protected = set_dumpable(0);
                protected?;
            }
            // SAFETY: the child allocates nothing; `self` is all it needs.
            unsafe { fork(flags, cloning) }
        };
        let made = namespaces.make(self.rights, make);
        protected?;
        match made {
            Err(Errno::EPERM) if namespaces.may_have_user() => {
                self.new_user_namespace = true;
                self.caller = Caller::with(self.rights);
                if is_supervisor {
                    // Only root may write the id maps of a process that is not dumpable.
                    set_dumpable(1)?;
                }
                // SAFETY: as above.
                unsafe { fork(namespaces.flags() | CLONE_NEWUSER, cloning) }
            }
            forked => forked,
        }
    }
}

/// A launched process inside.
pub(crate) struct Launched {
    pub(crate) pid1: Process,
    /// Its parent, if that is not this process.
    pub(crate) parent: Option<Parent>,
    pub(crate) user_namespace: Option<UserNamespace>,
    /// The lock on its ids, if it has its own.
    pub(crate) ids: Option<LockName>,
}

/// Waits until the command is executed, there is an error, or pid 1 has ended. After a failure of
/// this wait it is killed.
pub(crate) fn await_execution(pid1: &Process, inside: BorrowedFd, heard: &mut Heard) {
    let mut ended = false;
    while !ended && !heard.has_executed() && heard.error.is_none() {
        let pid1_ended = pid1.pidfd().map_or(Poll::none(), Poll::new);
        let mut ready = [pid1_ended, Poll::new(inside)];
        if let Err(errno) = poll(&mut ready, None) {
            heard.error = Some(Error::new(Step::Wait, b"pid 1", errno));
            let _ = pid1.send(SIGKILL);
        }
        let nothing_comes = heard.listen(inside);
        ended = nothing_comes || ready[0].is_ready();
    }
}

/// Returns an error of [`Step::Prepare`], for failures before there is an object to name.
pub(crate) fn prepare(errno: Errno) -> Error {
    Error::new(Step::Prepare, b"", errno)
}
