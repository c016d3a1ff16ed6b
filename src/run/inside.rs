//! The process inside: mounts, enter, pid 1.
//!
//! It executes its part of the plan in order, starts the command, and is its pid 1. It is not
//! dumpable from before the command exists: no process inside may trace it, read its memory or
//! environment, or take a descriptor of it (ptrace(2), *Ptrace access mode checking*).

use core::cell::OnceCell;
use core::convert::Infallible;

use crate::chroot::plan::{Action, Plan};
use crate::error::{Error, Step};
use crate::mount::attach::Mounts;
use crate::mount::overlay::attach_overlay;
use crate::mount::pivot::{
    ON_TOP_OF_ROOT, Outside, attach_new_root, detach_old_root, enter, make_slave,
};
use crate::mount::remount;
use crate::pid1::{Above, End, Orders, Pid1, Process, Reaping, end_others, kill_all};
use crate::process::channel::{self, Report};
use crate::process::cwd::{WorkingDirectory, keep_current_directory};
use crate::process::descriptors::{close_all_but, close_given, close_standard};
use crate::process::exec::Command;
use crate::process::namespace::{
    Namespace, bring_loopback_up, in_user_namespace, open_proc, set_names,
};
use crate::process::stdio::Standard;
use crate::run::launch::{Owner, prepare};
use crate::sys::memory::wipe_own_words;
use crate::sys::mount::{MNT_DETACH, UMOUNT_NOFOLLOW, umount};
use crate::sys::poll::{Poll, poll};
use crate::sys::process::{
    CLONE_NEWNS, become_subreaper, exit, id, lead_group, lead_session, parent,
    set_open_files_limit, set_parent_death_signal, unshare,
};
use crate::sys::shared::{Body, set_dumpable, start_command};
use crate::sys::signal::{
    SIGCONT, SIGKILL, SIGPIPE, SignalSet, set_blocked, set_default, set_sigchld,
};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::path::PathBuffer;
use crate::tty::jobs::{Job, JobControl};
use crate::tty::pty::Pty;
use crate::user::capability::clear_inheritable;

/// All that the process inside needs, made before the fork: it allocates nothing itself, since
/// another thread of the program might have held the allocator's lock at the fork.
pub(crate) struct Inside<'a> {
    pub(crate) plan: &'a Plan<'a>,
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
    pub(crate) new_user_namespace: bool,
    pub(crate) standard: Standard,
    pub(crate) supervisor: OwnedFd,
    pub(crate) signals: OwnedFd,
    pub(crate) caller_mask: SignalSet,
    pub(crate) caller: (u32, u32),
    pub(crate) jobs: JobControl,
    pub(crate) pty: Option<Pty>,
}

impl<'a> Inside<'a> {
    /// The whole life of pid 1. `to_inside` is the number of the supervisor's end of the socket, which
    /// this process must not keep open.
    pub(crate) fn run(&mut self, to_inside: BorrowedFd) -> ! {
        // SAFETY: this process never uses it; the supervisor has its own.
        let _ = unsafe { fs::close(to_inside.number() as u32) };
        let mut kept = PathBuffer::new();
        let end = self
            .enter_new_root(&mut kept)
            .and_then(|()| self.leave_caller())
            .and_then(|()| {
                self.plan
                    .chroot
                    .leave_session_keyring(self.new_user_namespace)
            })
            .and_then(|()| self.set_up())
            .and_then(|()| self.run_command(&kept));
        exit(self.conclude(end))
    }

    /// For the supervisor, after the fork: closes what is the child's alone, and gives back what
    /// both use.
    pub(crate) fn leave_to_the_child(self) -> (OwnedFd, Option<Pty>) {
        (self.signals, self.pty)
    }

    /// Goes to NEWROOT by its descriptor, then into a mount namespace of our own: the kernel makes
    /// the current directory one of the new namespace, but no descriptor. Gives the caller's directory
    /// where it is to be kept.
    pub(crate) fn enter_new_root(&self, kept: &mut PathBuffer) -> Result<(), Error<'a>> {
        let (plan, chroot) = (self.plan, self.plan.chroot);
        let new_root = plan.new_root.borrow();
        let entered = match chroot.directory {
            WorkingDirectory::Kept => keep_current_directory(new_root, kept)?,
            WorkingDirectory::Path(_) => fs::fchdir(new_root),
        };
        entered.map_err(|errno| Error::new(Step::OpenRoot, chroot.new_root.bytes(), errno))?;
        unshare(CLONE_NEWNS).map_err(|errno| Error::new(Step::Namespaces, b"", errno))
    }

    /// Becomes user 0 where there is a new user namespace, and lets nobody inside look at us.
    fn leave_caller(&mut self) -> Result<(), Error<'a>> {
        if self.owner == Owner::Program {
            // Open 0, 1 and 2 first, so that no descriptor of ours can land there.
            fs::open_standard_descriptors().map_err(prepare)?;
        }
        if let Some(pty) = self.pty.take() {
            self.jobs = pty.enter()?;
        }
        if self.new_user_namespace {
            // The maps of a process that is not dumpable are root's to write.
            set_dumpable(1).map_err(prepare)?;
            let map = self.plan.chroot.map_users;
            map.map(self.caller, self.supervisor.borrow())?;
        }
        set_dumpable(0).map_err(prepare)?;
        if self.owner == Owner::Supervisor {
            // Also while we are stopped, traced or busy. The socket tells us too.
            set_parent_death_signal(SIGKILL).map_err(prepare)?;
        }
        wipe_own_words();
        Ok(())
    }

    /// Closes what only the caller and the mounts needed: nothing but the standard descriptors reaches
    /// the command, and nothing else keeps files busy. While the host's proc is still there: where
    /// close_range(2) is missing, it lists what is open.
    fn close_others(&mut self) -> Result<(), Error<'a>> {
        if self.owner == Owner::Caller {
            // The closure has the caller's descriptors.
            self.mounts.close();
            return Ok(());
        }
        self.mounts.abandon();
        let given = &self.plan.chroot.kept_descriptors;
        let ours = [&self.supervisor, &self.signals].into_iter();
        let ours = ours.chain(self.standard.iter().map(|(given, _)| given));
        let ours = ours.chain(&self.proc).chain(self.root.get());
        let ours = ours.map(|ours| ours.number() as u32);
        let stubs = &self.mounts.points.stubs;
        close_all_but(&|first| {
            let kept = ours.clone().chain(given.iter().copied());
            let kept = kept.filter(|number| *number >= first).min();
            kept.into_iter().chain(stubs.next_descriptor(first)).min()
        })
    }

    /// Tells the supervisor how it ended, and cleans up; gives the exit status of pid 1.
    pub(crate) fn conclude(&mut self, end: Result<End, Error>) -> u8 {
        let status = match end {
            Ok(End::Command(status)) => {
                if let Some(signal) = status.signal() {
                    self.report(Report::Killed(signal));
                }
                status.shell()
            }
            Ok(End::Told) => 125,
            Err(error) => {
                channel::send_error(self.supervisor.borrow(), &error);
                error.status()
            }
        };
        self.end_descendants();
        self.clean_up();
        status
    }

    /// Executes pid 1's part of the plan: mounts, enter.
    pub(crate) fn set_up(&mut self) -> Result<(), Error<'a>> {
        let (plan, chroot) = (self.plan, self.plan.chroot);
        let new_root = &chroot.new_root;
        let protect = |errno| Error::new(Step::ReadOnlyRoot, new_root.bytes(), errno);
        if !self.new_user_namespace {
            // In a new one they are empty.
            clear_inheritable().map_err(prepare)?;
        }
        let mut outside = Outside::NamespaceRoot;
        for action in &plan.actions {
            match action {
                Action::LoopbackUp => bring_loopback_up()?,
                Action::Propagation => outside = make_slave(self.new_user_namespace)?,
                Action::NewRoot if chroot.overlay.is_some() => {}
                Action::NewRoot => {
                    let root = attach_new_root();
                    self.set_root(
                        root.map_err(|errno| Error::new(Step::CloneRoot, new_root.bytes(), errno))?,
                    );
                }
                Action::Overlay => {
                    self.say(Step::Overlay, new_root.bytes());
                    if let Some(memory) = &chroot.overlay {
                        let in_namespace = self.new_user_namespace || in_user_namespace();
                        self.set_root(attach_overlay(new_root, memory, in_namespace)?);
                    }
                }
                Action::ReadOnlyBelow => {
                    remount::protect_below(self.root()?).map_err(protect)?;
                }
                Action::TakeSource(index) => {
                    let planned = &plan.mounts[*index];
                    self.mounts.take_source(*index, planned, chroot.verbose)?;
                }
                Action::FindMountPoint(index) => self.find_mount_point(*index)?,
                Action::RecordMountPoints => self.record_mount_points()?,
                Action::Attach(index) => {
                    self.mounts.attach(*index, &plan.mounts, chroot.verbose)?;
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
                    self.close_others()?;
                    self.say(Step::PivotRoot, b"");
                    enter(self.root()?, outside)?;
                    self.entered = true;
                }
                Action::DetachOldRoot => {
                    detach_old_root(outside, chroot.overlay.is_some())?;
                    if self.mounts.points.stubs.is_empty() {
                        self.root = OnceCell::new();
                    }
                }
                // The supervisor's, and the command's.
                _ => {}
            }
        }
        Ok(())
    }

    fn set_root(&mut self, root: OwnedFd) {
        let _ = self.root.set(root);
    }

    fn root(&self) -> Result<BorrowedFd<'_>, Error<'a>> {
        let root = self.root.get().map(OwnedFd::borrow);
        root.ok_or_else(|| prepare(Errno::EBADF))
    }

    fn find_mount_point(&mut self, index: usize) -> Result<(), Error<'a>> {
        let plan = self.plan;
        let root = self.root.get().map(OwnedFd::borrow);
        let root = root.ok_or_else(|| prepare(Errno::EBADF))?;
        let watched = [self.signals.borrow(), self.supervisor.borrow()];
        let verbose = plan.chroot.verbose;
        self.mounts
            .find(root, index, &plan.mounts[index], &watched, verbose)
    }

    /// Tells the supervisor which mount points are to be removed, should we be killed.
    fn record_mount_points(&mut self) -> Result<(), Error<'a>> {
        if self.plan.chroot.mask_proc {
            if let Some(root) = self.root.get() {
                self.mounts.find_own(root.borrow());
            }
        }
        let stubs = &self.mounts.points.stubs;
        if stubs.is_empty() {
            return Ok(());
        }
        if self.owner == Owner::Supervisor {
            // Who is killed removes nothing. A stopped process that goes on sees that it is alone.
            set_parent_death_signal(SIGCONT).map_err(prepare)?;
        }
        channel::send_records(self.supervisor.borrow(), stubs.records()).map_err(prepare)
    }

    /// Has the command a user namespace of its own, below ours? Then the kernel locks the mounts that
    /// it inherits (mount_namespaces(7), *Restrictions on mount namespaces*): it cannot make writable
    /// what is read-only, nor uncover what is masked.
    fn locks_mounts(&self) -> bool {
        // A closure shares the caller's memory, which it could not as one of another namespace.
        let is_command = self.owner != Owner::Caller;
        is_command && self.new_user_namespace && self.plan.actions.contains(&Action::LockMounts)
    }

    /// pid 1.
    fn run_command(&mut self, kept: &PathBuffer) -> Result<End, Error<'a>> {
        let chroot = self.plan.chroot;
        self.say(Step::Execute, self.command.name());
        // Out of the caller's group: its signals, and the terminal's, are not for us. A command with
        // a group of its own must not be in the caller's for a moment after that: when a process
        // ends whose parent is in another group, the kernel takes its group for orphaned just then,
        // and if one of that is stopped, hangs up on them all.
        let shared = self.jobs.job == Job::Shared;
        if !shared {
            let _ = lead_group();
        }
        // The caller may ignore it, and the kernel would reap.
        set_sigchld(false);
        let reaper = match self.is_pid1() {
            true => None,
            false => {
                become_subreaper().map_err(prepare)?;
                Some(id())
            }
        };
        let told = self.owner == Owner::Program || chroot.status_descriptor.is_some();
        let until_executed = match told {
            true => Some(fs::pipe(fs::O_CLOEXEC).map_err(prepare)?),
            false => None,
        };
        // A process that makes itself a user namespace must not share our memory.
        let forks = self.jobs.terminal.is_some() || self.locks_mounts();
        let mut command = || {
            let error = self.become_command(kept, reaper);
            channel::send_error(self.supervisor.borrow(), &error);
            error.status()
        };
        // SAFETY: this process has one thread, and the command's drops nothing of ours.
        let (pid, pidfd) = unsafe { start_command(forks, &mut (&mut command as Body)) }
            .map_err(|errno| Error::new(Step::Fork, self.command.name(), errno))?;
        self.started = Some(pid);
        self.proc = None;
        if shared {
            let _ = lead_group();
        }
        // Whoever reads from the command is to see that it has closed them.
        self.standard.clear();
        close_given(&chroot.kept_descriptors);
        let supervisor = self.supervisor.borrow();
        let above = match until_executed {
            Some((executed, writer)) => {
                drop(writer);
                if self.owner == Owner::Program {
                    close_standard();
                }
                // The command's execution closes the pipe, and so does its failure. Should the
                // supervisor go first, the loop sees it.
                let mut ready = [executed.borrow(), supervisor].map(Poll::for_hangup);
                poll(&mut ready, None).map_err(prepare)?;
                drop(executed);
                self.report(Report::Executed);
                match self.owner {
                    Owner::Program => Above::Owner(Some(supervisor)),
                    _ => Above::Supervisor(supervisor),
                }
            }
            None => Above::Supervisor(supervisor),
        };
        let mut pid1 = Pid1 {
            signals: self.signals.borrow(),
            above,
            command: Some(Process {
                pid,
                pidfd: pidfd.borrow(),
            }),
            // What the kernel reaps is lost to the caller's times(2) and getrusage(2).
            reaping: Reaping::ByUs,
            own_group: !shared,
            terminal: self.jobs.terminal,
            orders: Orders {
                grace: chroot.grace,
                ..Orders::plain()
            },
        };
        let end = pid1.run()?;
        if let (End::Command(_), 1..) = (end, chroot.grace) {
            end_others(self.signals.borrow(), pid1.socket(), chroot.grace, pid)
                .map_err(|errno| Error::new(Step::Wait, b"what the command left", errno))?;
        }
        Ok(end)
    }

    /// Executes the command's part of the plan. Returns only when the command cannot be executed.
    fn become_command(&mut self, kept: &PathBuffer, reaper: Option<i32>) -> Error<'a> {
        let Err(error) = self.prepare_command(kept, reaper);
        if error.status() == 127 && !self.plan.chroot.fallback.is_empty() {
            return self.fallback.execute();
        }
        error
    }

    fn prepare_command(
        &mut self,
        kept: &PathBuffer,
        reaper: Option<i32>,
    ) -> Result<Infallible, Error<'a>> {
        let (plan, chroot) = (self.plan, self.plan.chroot);
        // On a terminal of its own it is in a session of its own already.
        match chroot.new_session && self.jobs.terminal.is_none() {
            // A process just made leads no group, so it may.
            true => drop(lead_session()),
            false => self.jobs.lead_command(),
        }
        for (given, number) in &self.standard {
            fs::make_standard(given.borrow(), *number)
                .map_err(|errno| Error::new(Step::StandardDescriptor, b"", errno))?;
        }
        for number in &chroot.kept_descriptors {
            fs::keep_for_command(*number)
                .map_err(|errno| Error::new(Step::StandardDescriptor, b"a descriptor", errno))?;
        }
        if self.owner == Owner::Program {
            // Rust's programs ignore it.
            set_default(SIGPIPE);
        }
        if let Some(proc) = &self.proc {
            chroot
                .map_users
                .lock_mounts(proc.borrow(), self.caller, chroot.namespaces)?;
        }
        plan.identity.assume(chroot)?;
        self.change_directory(kept)?;
        self.give_back()?;
        if let Some(reaper) = reaper {
            // No kernel ends us with it. What changes rights has been done, which would undo this.
            let _ = set_parent_death_signal(SIGKILL);
            if parent() != reaper {
                exit(125);
            }
        }
        if chroot.status_descriptor.is_some() {
            self.report(Report::WillBeCommand);
        }
        Err(self.command.execute())
    }

    /// Gives the command what is the caller's: the limit on open files and the signal mask.
    pub(crate) fn give_back(&self) -> Result<(), Error<'static>> {
        if let Some(limit) = self.mounts.open_files {
            // To lower it is always allowed.
            let _ = set_open_files_limit(limit);
        }
        match set_blocked(self.caller_mask) {
            Ok(_) => Ok(()),
            Err(errno) => Err(Error::new(Step::Prepare, b"", errno)),
        }
    }

    /// Where the command starts.
    pub(crate) fn change_directory(&self, kept: &PathBuffer) -> Result<(), Error<'a>> {
        let directory = match &self.plan.chroot.directory {
            WorkingDirectory::Path(path) => path.as_c_str(),
            WorkingDirectory::Kept => kept.as_c_str(),
        };
        if directory != c"/" {
            if let Err(errno) = fs::chdir(directory) {
                let shown = match &self.plan.chroot.directory {
                    WorkingDirectory::Path(path) => path.bytes(),
                    WorkingDirectory::Kept => b"that the caller is in",
                };
                return Err(Error::new(Step::ChangeDirectory, shown, errno));
            }
        }
        Ok(())
    }

    /// Where there is no pid namespace that would end with us: kills what the command has left.
    fn end_descendants(&self) {
        if let (Some(command), false) = (self.started, self.is_pid1()) {
            // What cannot be waited for is not ours.
            let _ = end_others(self.signals.borrow(), None, 0, command);
        }
    }

    /// Has the run a pid namespace of its own?
    fn is_pid1(&self) -> bool {
        self.plan.chroot.namespaces.has(Namespace::Pid)
    }

    /// Removes the stubs, whether or not the supervisor still lives. It does the same when this
    /// process is killed first.
    fn clean_up(&mut self) {
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
        if stubs.remove(root.borrow()).is_ok() {
            self.report(Report::Clean);
        }
    }

    fn say(&self, step: Step, object: &[u8]) {
        self.plan.chroot.verbose.say(step, object, b"");
    }

    fn report(&self, report: Report) {
        report.send(self.supervisor.borrow());
    }
}
