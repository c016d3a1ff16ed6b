//! The process inside, from the fork to its end.
//!
//! It executes its part of the plan in order, starts the command, and becomes its pid 1. It is not
//! dumpable from before the command exists: no process inside may trace it, read its memory or
//! environment, or take a descriptor from it (ptrace(2), *Ptrace access mode checking*).
//!
//! All memory is allocated before the fork. Another thread of the program may hold the allocator's
//! lock at that moment, and nobody would release it here.

use core::cell::OnceCell;
use core::mem::forget;

use crate::chroot::plan::{Action, Plan};
use crate::error::{Error, Step, Verbose};
use crate::mount::alone::Alone;
use crate::mount::attach::{Host, Mounts};
use crate::mount::overlay::attach_overlay;
use crate::mount::pivot::{
    ON_TOP_OF_ROOT, Outside, attach_new_root, detach_old_root, enter, make_slave,
};
use crate::mount::remount;
use crate::pid1::End;
use crate::pid1::descendants::{end_others, kill_all};
use crate::process::channel::{self, Report};
use crate::process::exec::Command;
use crate::process::namespace::{Namespace, bring_loopback_up, in_user_namespace, set_names};
use crate::process::stdio::Standard;
use crate::run::launch::{Owner, prepare};
use crate::sys::credentials::CapabilitySets;
use crate::sys::memory::{wipe_own_words, wipe_words_of_copy};
use crate::sys::mount::{MNT_DETACH, UMOUNT_NOFOLLOW, umount};
use crate::sys::process::{exit, set_pdeathsig, setsid};
use crate::sys::shared::set_dumpable;
use crate::sys::signal::{SIGCONT, SIGKILL, SignalSet};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::path::PathBuffer;
use crate::tty::jobs::JobControl;
use crate::tty::pty::{Callers, Pty};
use crate::user::capability::clear_inheritable;
use crate::user::maps::{Caller, open_proc};
use crate::user::private::Range;

/// Everything that the process inside needs, made before the fork because it may not allocate.
pub(crate) struct Inside<'a> {
    pub(crate) plan: &'a Plan<'a>,
    pub(crate) verbose: Verbose,
    pub(crate) owner: Owner,
    pub(crate) command: Command<'a>,
    pub(crate) fallback: Command<'a>,
    pub(crate) mounts: Mounts,
    /// The new root's mounts, once they are attached.
    pub(crate) root: OnceCell<OwnedFd>,
    /// The new root is our root.
    pub(crate) entered: bool,
    /// The command's pid, once it has been started.
    pub(crate) started: Option<i32>,
    /// The host's proc, if the command gets its own user namespace.
    pub(crate) proc: Option<OwnedFd>,
    /// The caller's capabilities.
    pub(crate) rights: Result<CapabilitySets, Errno>,
    pub(crate) new_user_namespace: bool,
    pub(crate) outside: Outside,
    /// The owner of the host's root has no id in our user namespace, so its mounts belong to
    /// another one.
    pub(crate) is_root_nobodys: bool,
    /// The descriptors that were opened to find this out.
    pub(crate) needed: Option<[OwnedFd; 2]>,
    /// The ids of a run with private users; pid 1 holds their lock.
    pub(crate) private: Option<Range>,
    /// NEWROOT's mounts, if they were taken outside.
    pub(crate) taken_root: Option<OwnedFd>,
    /// NEWROOT's mounts in a mount namespace that holds nothing else.
    pub(crate) alone: Option<Alone>,
    pub(crate) standard: Standard,
    /// pid 1 shares the program's memory: see [`crate::run::reaper`].
    pub(crate) shares_memory: bool,
    /// It could not be replaced by the reaper.
    pub(crate) needs_fork: bool,
    /// Which of our own standard descriptors pid 1 closes once the command has them.
    pub(crate) to_close: [bool; 3],
    /// The execution of the command is reported.
    pub(crate) tells_execution: bool,
    pub(crate) supervisor: OwnedFd,
    pub(crate) signals: OwnedFd,
    pub(crate) caller_mask: SignalSet,
    /// The caller who makes a new user namespace.
    pub(crate) caller: Caller,
    pub(crate) jobs: JobControl,
    pub(crate) pty: Option<Pty>,
    /// The caller's terminal, if the command's terminal is opened in here.
    pub(crate) callers: Option<Callers>,
}

impl<'a> Inside<'a> {
    /// Runs pid 1 from beginning to end. `to_inside` is the supervisor's end of the socket, which
    /// this process must not keep open.
    pub(crate) fn run(&mut self, to_inside: BorrowedFd) -> ! {
        // While this process holds that end too, the socket does not report the end of the
        // supervisor. PR_SET_PDEATHSIG reports it instead if the supervisor stays our parent, which
        // saves the call. A child that waits for its ids has not set that yet.
        let map = self.plan.chroot.map_users;
        if self.owner != Owner::Supervisor || map.is_made_outside(self.caller) {
            // SAFETY: this process never uses it; the supervisor has its own.
            let _ = unsafe { fs::close(to_inside.number() as u32) };
        }
        let mut kept = PathBuffer::new();
        let end = self
            .reach_new_root(&mut kept)
            .and_then(|()| self.run_command(&kept));
        exit(self.conclude(end))
    }

    /// Sets up everything that the command's process does not do itself.
    pub(super) fn reach_new_root(&mut self, kept: &mut PathBuffer) -> Result<(), Error> {
        self.enter_new_root(kept)?;
        self.leave_caller()?;
        self.plan
            .chroot
            .leave_session_keyring(self.new_user_namespace, self.verbose)?;
        self.set_up()
    }

    /// Closes, in the supervisor after the fork, the descriptors that only the child uses. Returns
    /// those that both use, and the child's end of the socket, which may be closed later.
    pub(crate) fn leave_to_the_child(self) -> (OwnedFd, OwnedFd, Option<Pty>) {
        (self.signals, self.supervisor, self.pty)
    }

    /// Becomes user 0 in a new user namespace, and protects this process from others inside.
    fn leave_caller(&mut self) -> Result<(), Error> {
        let chroot = self.plan.chroot;
        if self.owner == Owner::Program {
            // Open 0, 1 and 2 first, so that ours cannot land there.
            fs::open_standard_descriptors().map_err(prepare)?;
        }
        if self.pty.is_some() || self.callers.is_some() {
            setsid().map_err(prepare)?;
        }
        if let Some(pty) = self.pty.take() {
            self.jobs = pty.enter(self.plan.identity.host_terminal_owner())?;
        }
        if self.new_user_namespace {
            if self.owner == Owner::Program {
                // Only root may write the id maps of a process that is not dumpable.
                set_dumpable(1).map_err(prepare)?;
            }
            if self.private.is_some() {
                self.receive_mapped()?;
            }
            let map = chroot.map_users;
            map.map(self.caller, self.supervisor.borrow())?;
        }
        if self.shares_memory {
            // Nobody is inside before the reaper has protected itself.
            return Ok(());
        }
        let inherits_it = self.owner == Owner::Supervisor && !self.new_user_namespace;
        if !inherits_it {
            set_dumpable(0).map_err(prepare)?;
        }
        match self.owner {
            // SAFETY: this process is a copy of the program, and uses nothing of it but the plan.
            Owner::Program => unsafe { wipe_words_of_copy() },
            _ => wipe_own_words(),
        }
        Ok(())
    }

    /// Forgets the descriptors of a pid 1 that shared this memory. Their numbers mean others here.
    #[cfg_attr(not(feature = "call"), allow(dead_code))]
    pub(super) fn abandon(&mut self) {
        self.mounts.abandon();
        self.mounts.points.stubs.abandon();
        forget(self.root.take());
        forget(self.needed.take());
        forget(self.alone.take());
        forget(self.taken_root.take());
        forget(self.proc.take());
    }

    /// Reports the end to the supervisor, cleans up, and returns the exit status of pid 1.
    pub(crate) fn conclude(&mut self, end: Result<End, Error>) -> u8 {
        let status = match end {
            Ok(End::Command(status)) => {
                if let Some(signal) = status.signal() {
                    self.report(Report::Killed(signal as u8));
                }
                status.shell()
            }
            Ok(End::Told) => 125,
            Err(error) => {
                if self.owner == Owner::Supervisor && error.is_of_own_proc() {
                    let given = self.plan.command.kept_descriptors.iter().copied();
                    [0, 1].into_iter().chain(given).for_each(|number| {
                        channel::give_back(self.supervisor.borrow(), number);
                    });
                }
                self.verbose.failed(self.supervisor.borrow(), &error);
                error.status()
            }
        };
        self.end_descendants();
        self.clean_up();
        status
    }

    /// Executes pid 1's part of the plan, up to the new root.
    pub(crate) fn set_up(&mut self) -> Result<(), Error> {
        if !self.new_user_namespace {
            // A new user namespace clears them.
            let cleared = self.rights.and_then(clear_inheritable);
            cleared.map_err(prepare)?;
        }
        match self.execute_plan() {
            Err(_) if self.mounts.needs_copy => {
                self.go_back()?;
                self.execute_plan()
            }
            done => done,
        }
    }

    fn execute_plan(&mut self) -> Result<(), Error> {
        let (plan, chroot) = (self.plan, self.plan.chroot);
        let new_root = &chroot.new_root;
        let protect = |errno| Error::new(Step::ReadOnlyRoot, new_root.bytes(), errno);
        self.mounts.in_user_namespace = self.new_user_namespace;
        for action in &plan.actions {
            match action {
                Action::LoopbackUp => bring_loopback_up()?,
                // In the host's mount namespace, each tree becomes a slave as it is taken.
                Action::Propagation if self.mounts.host == Host::Here => {}
                Action::Propagation => make_slave(self.outside)?,
                Action::NewRoot if chroot.overlay.is_some() => {}
                Action::NewRoot if self.mounts.host == Host::Here => self.enter_alone()?,
                Action::NewRoot => {
                    let root = attach_new_root(self.taken_root.take());
                    self.set_root(
                        root.map_err(|errno| Error::new(Step::CloneRoot, new_root.bytes(), errno))?,
                    );
                }
                Action::Overlay => {
                    self.say(Step::Overlay, new_root.bytes());
                    if let Some(memory) = &chroot.overlay {
                        let in_namespace = self.new_user_namespace || in_user_namespace();
                        let taken = self.taken_root.take();
                        let mut fill = |lower: BorrowedFd<'_>, upper: BorrowedFd<'_>| {
                            self.mounts.fill_upper(lower, upper, &plan.mounts);
                        };
                        let root =
                            attach_overlay(new_root, memory, in_namespace, taken, &mut fill)?;
                        self.set_root(root);
                    }
                }
                Action::ReadOnlyBelow => {
                    remount::protect_below(self.root()?).map_err(protect)?;
                }
                Action::TakeSource(index) => {
                    let planned = &plan.mounts[*index];
                    match planned.mount.is_for_user_namespace && !self.needs_own_terminals() {
                        true => self.mounts.leave_out(*index),
                        false => self.mounts.take_source(*index, planned, self.verbose)?,
                    }
                }
                Action::FindMountPoint(index) => self.find_mount_point(*index)?,
                Action::RecordMountPoints => self.record_mount_points()?,
                Action::Attach(index) => {
                    self.mounts.attach(*index, &plan.mounts, self.verbose)?;
                }
                Action::OpenTerminal(devpts) => self.open_terminal(*devpts)?,
                Action::ShowTerminal => {
                    if let (Some(terminal), false) = (self.jobs.terminal, plan.command.pty) {
                        let descriptor = terminal.descriptor;
                        self.mounts.show_callers_terminal(&plan.mounts, descriptor);
                    }
                }
                Action::Mask => self.mounts.mask()?,
                Action::ReadOnlyTop => {
                    self.say(Step::ReadOnlyRoot, new_root.bytes());
                    remount::protect(self.root()?).map_err(protect)?;
                }
                Action::HostName => {
                    if let Some(name) = &chroot.hostname {
                        self.say(Step::Hostname, name.bytes());
                        set_names(name.bytes())?;
                    }
                }
                Action::PivotRoot => {
                    if self.locks_mounts() {
                        self.proc = Some(open_proc()?);
                    }
                    self.say(Step::PivotRoot, b"");
                    fs::fchdir(self.root()?)
                        .map_err(|errno| Error::new(Step::PivotRoot, b"", errno))?;
                    self.close_others()?;
                    if !self.entered {
                        enter(self.root.get().map(OwnedFd::borrow), self.outside)?;
                        self.entered = true;
                    }
                }
                Action::DetachOldRoot if self.mounts.host == Host::Left => {}
                Action::DetachOldRoot => {
                    detach_old_root(self.outside, chroot.overlay.is_some())?;
                }
                // The supervisor and the command execute these.
                _ => {}
            }
        }
        // The supervisor has the master, and the slave is now one of our standard descriptors.
        self.pty = None;
        Ok(())
    }

    /// Opens the command's terminal in the run's own devpts, where it has a name in the new root,
    /// and makes it ours.
    fn open_terminal(&mut self, devpts: usize) -> Result<(), Error> {
        let plan = self.plan;
        let Some(callers) = self.callers else {
            return Ok(());
        };
        let failed = |errno| Error::new(Step::Pty, b"", errno);
        let pty = match self.mounts.attached(devpts) {
            Some(devpts) => callers.open_in(devpts)?,
            // The devpts was left out.
            None => callers.open_on_host()?,
        };
        self.jobs = pty.enter(plan.identity.terminal_owner())?;
        channel::send_terminal(self.supervisor.borrow(), pty.master.borrow()).map_err(failed)?;
        self.mounts
            .take_terminal(pty.slave.borrow(), &plan.mounts)?;
        self.pty = Some(pty);
        Ok(())
    }

    /// Returns whether the host's devpts belongs to another user namespace than ours.
    fn needs_own_terminals(&self) -> bool {
        self.new_user_namespace || self.is_root_nobodys
    }

    pub(super) fn set_root(&mut self, root: OwnedFd) {
        let _ = self.root.set(root);
    }

    fn root(&self) -> Result<BorrowedFd<'_>, Error> {
        let root = self.root.get().map(OwnedFd::borrow);
        root.ok_or_else(|| prepare(Errno::EBADF))
    }

    fn find_mount_point(&mut self, index: usize) -> Result<(), Error> {
        let plan = self.plan;
        let root = self.root.get().map(OwnedFd::borrow);
        let root = root.ok_or_else(|| prepare(Errno::EBADF))?;
        let watched = [self.signals.borrow(), self.supervisor.borrow()];
        let verbose = self.verbose;
        self.mounts
            .find(root, index, &plan.mounts[index], &watched, verbose)
    }

    /// Reports to the supervisor which mount points to remove if we are killed.
    fn record_mount_points(&mut self) -> Result<(), Error> {
        if self.plan.chroot.mask_proc {
            if let Some(root) = self.root.get() {
                self.mounts.find_own(root.borrow());
            }
        }
        let stubs = &self.mounts.points.stubs;
        if self.owner == Owner::Supervisor {
            // The kernel sends this signal when the supervisor ends. SIGKILL ends us even if we are
            // stopped, traced or busy, but a killed process removes nothing. With mount points to
            // remove it is SIGCONT: a stopped process continues, and sees on the socket that the
            // supervisor is gone.
            let signal = if stubs.is_empty() { SIGKILL } else { SIGCONT };
            set_pdeathsig(signal).map_err(prepare)?;
        }
        if stubs.is_empty() {
            return Ok(());
        }
        channel::send_records(self.supervisor.borrow(), stubs.records()).map_err(prepare)
    }

    /// Kills the processes that the command has left, where no pid namespace ends them with us.
    fn end_descendants(&self) {
        if let (Some(command), false) = (self.started, self.is_pid1()) {
            // A process that we cannot wait for is not ours.
            let _ = end_others(self.signals.borrow(), None, 0, command);
        }
    }

    /// Returns whether the run has its own pid namespace.
    pub(crate) fn is_pid1(&self) -> bool {
        self.plan.namespaces.has(Namespace::Pid)
    }

    /// Removes the temporary mount points, whether or not the supervisor still lives. The
    /// supervisor does this if we are killed first.
    pub(super) fn clean_up(&mut self) {
        let Some(root) = self.root.get() else { return };
        let stubs = &self.mounts.points.stubs;
        if stubs.is_empty() || self.plan.chroot.overlay.is_some() {
            return;
        }
        // Kill first, because unmounting under a live process would take its files away.
        if self.is_pid1() {
            kill_all();
        }
        if self.plan.chroot.read_only {
            // If this fails, the supervisor finds them still there.
            let _ = remount::unprotect(root.borrow());
        }
        // A directory with a mount on it in this mount namespace cannot be removed. Detaching
        // everything at once costs one grace period of the kernel instead of one for each mount. It
        // fails in a user namespace, where the root is locked; then each mount is detached.
        let detached = match self.entered {
            true => umount(c"/", MNT_DETACH),
            false => umount(ON_TOP_OF_ROOT, MNT_DETACH),
        };
        if detached.is_err() {
            stubs.for_each(root.borrow(), &mut |directory, name| {
                if fs::fchdir(directory).is_ok() {
                    while umount(name, MNT_DETACH | UMOUNT_NOFOLLOW).is_ok() {}
                }
            });
        }
        // A mount that is left goes with this mount namespace. The supervisor then removes its
        // mount point.
        if stubs.remove(root.borrow()).is_err() {
            self.report(Report::Left);
        }
    }

    pub(crate) fn say(&self, step: Step, object: &[u8]) {
        self.verbose.say(step, object, b"");
    }

    pub(crate) fn report(&self, report: Report) {
        report.send(self.supervisor.borrow());
    }
}
