//! The process inside: mounts, enter, pid 1.
//!
//! It executes its part of the plan in order, starts the command, and is its pid 1. It is not
//! dumpable from before the command exists: no process inside may trace it, read its memory or
//! environment, or take a descriptor of it (ptrace(2), *Ptrace access mode checking*).

use core::cell::OnceCell;

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

/// All that the process inside needs, made before the fork: it allocates nothing itself, since
/// another thread of the program might have held the allocator's lock at the fork.
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
    /// The host's proc, where the command's own user namespace needs it.
    pub(crate) proc: Option<OwnedFd>,
    /// The caller's capabilities.
    pub(crate) rights: Result<CapabilitySets, Errno>,
    pub(crate) new_user_namespace: bool,
    pub(crate) outside: Outside,
    /// The host's root is nobody's in our user namespace: others have mounted what is there.
    pub(crate) is_root_nobodys: bool,
    /// What was opened to find that out.
    pub(crate) needed: Option<[OwnedFd; 2]>,
    /// The ids of a run with private users; pid 1 holds their lock.
    pub(crate) private: Option<Range>,
    /// NEWROOT's mounts, where they were taken outside.
    pub(crate) taken_root: Option<OwnedFd>,
    /// NEWROOT's mounts in a mount namespace that holds nothing else.
    pub(crate) alone: Option<Alone>,
    pub(crate) standard: Standard,
    /// Which of our own standard descriptors pid 1 closes when the command has them.
    pub(crate) to_close: [bool; 3],
    /// Somebody waits for the command's execution.
    pub(crate) tells_execution: bool,
    pub(crate) supervisor: OwnedFd,
    pub(crate) signals: OwnedFd,
    pub(crate) caller_mask: SignalSet,
    /// Who makes a new user namespace.
    pub(crate) caller: Caller,
    pub(crate) jobs: JobControl,
    pub(crate) pty: Option<Pty>,
    /// The caller's terminal, where the command's is to be opened in here.
    pub(crate) callers: Option<Callers>,
}

impl<'a> Inside<'a> {
    /// The whole life of pid 1. `to_inside` is the number of the supervisor's end of the socket, which
    /// this process must not keep open.
    pub(crate) fn run(&mut self, to_inside: BorrowedFd) -> ! {
        // While it is open here too, the socket does not report the end of the supervisor. A
        // supervisor that is our parent until it ends is reported by PR_SET_PDEATHSIG instead, but not
        // yet to one that waits for its ids.
        let map = self.plan.chroot.map_users;
        if self.owner != Owner::Supervisor || map.is_made_outside(self.caller) {
            // SAFETY: this process never uses it; the supervisor has its own.
            let _ = unsafe { fs::close(to_inside.number() as u32) };
        }
        let mut kept = PathBuffer::new();
        let end = self
            .enter_new_root(&mut kept)
            .and_then(|()| self.leave_caller())
            .and_then(|()| {
                self.plan
                    .chroot
                    .leave_session_keyring(self.new_user_namespace, self.verbose)
            })
            .and_then(|()| self.set_up())
            .and_then(|()| self.run_command(&kept));
        exit(self.conclude(end))
    }

    /// For the supervisor, after the fork: closes what is the child's alone, and gives what both use,
    /// and the child's end of the socket, which may stay open until there is time to close it.
    pub(crate) fn leave_to_the_child(self) -> (OwnedFd, OwnedFd, Option<Pty>) {
        (self.signals, self.supervisor, self.pty)
    }

    /// Becomes user 0 where there is a new user namespace, and lets nobody inside look at us.
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
                // The maps of a process that is not dumpable are root's to write.
                set_dumpable(1).map_err(prepare)?;
            }
            if self.private.is_some() {
                self.receive_mapped()?;
            }
            let map = chroot.map_users;
            map.map(self.caller, self.supervisor.borrow())?;
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

    /// Tells the supervisor how it ended, and cleans up; gives the exit status of pid 1.
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
                channel::send_error(self.supervisor.borrow(), &error);
                error.status()
            }
        };
        self.end_descendants();
        self.clean_up();
        status
    }

    /// Executes pid 1's part of the plan: mounts, enter.
    pub(crate) fn set_up(&mut self) -> Result<(), Error> {
        if !self.new_user_namespace {
            // In a new one they are empty.
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
                // What is taken from the host is made a slave one by one.
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
                // The supervisor's, and the command's.
                _ => {}
            }
        }
        // The supervisor has the one end, and the standard descriptors are the other.
        self.pty = None;
        Ok(())
    }

    /// Opens the command's terminal in the run's own devpts, where it has a name in the new root, and
    /// makes it ours.
    fn open_terminal(&mut self, devpts: usize) -> Result<(), Error> {
        let plan = self.plan;
        let Some(callers) = self.callers else {
            return Ok(());
        };
        let failed = |errno| Error::new(Step::Pty, b"", errno);
        let pty = match self.mounts.attached(devpts) {
            Some(devpts) => callers.open_in(devpts)?,
            // It was left out.
            None => callers.open_on_host()?,
        };
        self.jobs = pty.enter(plan.identity.terminal_owner())?;
        channel::send_terminal(self.supervisor.borrow(), pty.master.borrow()).map_err(failed)?;
        self.mounts
            .take_terminal(pty.slave.borrow(), &plan.mounts)?;
        self.pty = Some(pty);
        Ok(())
    }

    /// Does the host's devpts belong to another user namespace than ours?
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

    /// Tells the supervisor which mount points are to be removed, should we be killed.
    fn record_mount_points(&mut self) -> Result<(), Error> {
        if self.plan.chroot.mask_proc {
            if let Some(root) = self.root.get() {
                self.mounts.find_own(root.borrow());
            }
        }
        let stubs = &self.mounts.points.stubs;
        if self.owner == Owner::Supervisor {
            // We end with the supervisor, also while we are stopped, traced or busy; the socket tells
            // us too. But who is killed removes nothing: with stubs, a stopped process that goes on
            // sees that it is alone.
            let signal = if stubs.is_empty() { SIGKILL } else { SIGCONT };
            set_pdeathsig(signal).map_err(prepare)?;
        }
        if stubs.is_empty() {
            return Ok(());
        }
        channel::send_records(self.supervisor.borrow(), stubs.records()).map_err(prepare)
    }

    /// Where there is no pid namespace that would end with us: kills what the command has left.
    fn end_descendants(&self) {
        if let (Some(command), false) = (self.started, self.is_pid1()) {
            // What cannot be waited for is not ours.
            let _ = end_others(self.signals.borrow(), None, 0, command);
        }
    }

    /// Has the run a pid namespace of its own?
    pub(crate) fn is_pid1(&self) -> bool {
        self.plan.namespaces.has(Namespace::Pid)
    }

    /// Removes the stubs, whether or not the supervisor still lives. It does the same when this
    /// process is killed first.
    pub(super) fn clean_up(&mut self) {
        let Some(root) = self.root.get() else { return };
        let stubs = &self.mounts.points.stubs;
        if stubs.is_empty() || self.plan.chroot.overlay.is_some() {
            return;
        }
        // A mount must not be taken from under a process that lives.
        if self.is_pid1() {
            kill_all();
        }
        if self.plan.chroot.read_only {
            // If not, the supervisor sees that they are still there.
            let _ = remount::unprotect(root.borrow());
        }
        // What has something mounted on it in this mount namespace cannot be removed. All at once is
        // one wait of the kernel's instead of one for each; in a user namespace the root is locked.
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
        // Where something is still mounted, the supervisor sees what is below when we are gone.
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
