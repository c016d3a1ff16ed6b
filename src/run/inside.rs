//! The process inside: mounts, enter, pid 1.

use core::cell::OnceCell;
use core::ffi::CStr;

use crate::chroot::Chroot;
use crate::error::{Error, Step};
use crate::mount::attach::{Attached, attach_all};
use crate::mount::mask::mask;
use crate::mount::overlay::attach_overlay;
use crate::mount::pivot::{ON_TOP_OF_ROOT, attach_new_root, detach_old_root, enter, make_slave};
use crate::mount::resolve::walk;
use crate::mount::{read_only, stub};
use crate::pid1::descendants::{end_others, kill_all};
use crate::pid1::{Above, End, Orders, Pid1, Reaping};
use crate::process::channel;
use crate::process::cwd::{WorkingDirectory, keep_current_directory};
use crate::process::descriptors::{close_all_but_given, close_given, close_standard};
use crate::process::exec::Command;
use crate::process::namespace::{Namespace, bring_loopback_up, in_user_namespace, set_names};
use crate::process::stdio::Standard;
use crate::sys::mount::{MNT_DETACH, umount};
use crate::sys::poll::{Poll, poll};
use crate::sys::process::{
    become_subreaper, exit, id, lead_group, lead_session, parent, set_open_files_limit,
    set_parent_death_signal,
};
use crate::sys::shared::{Body, start_command};
use crate::sys::signal::{SIGKILL, SIGPIPE, SignalSet, set_blocked, set_default, set_sigchld};
use crate::sys::{Errno, OwnedFd, fs, net};
use crate::text::path::PathBuffer;
use crate::tty::jobs::{Job, JobControl};
use crate::tty::pty::Pty;
use crate::user::capability::clear_inheritable;
use crate::user::identity::Identity;

/// All that the process inside needs, made before the fork: it allocates nothing itself, since
/// another thread of the program might have held the allocator's lock at the fork.
pub(crate) struct Inside<'a> {
    pub(crate) chroot: &'a Chroot,
    pub(crate) command: Command<'a>,
    pub(crate) fallback: Command<'a>,
    pub(crate) identity: Identity,
    pub(crate) attached: Attached,
    /// The new root's mounts, once they are attached.
    pub(crate) root: OnceCell<OwnedFd>,
    /// The new root is our root.
    pub(crate) entered: bool,
    /// The command's pid, once it has been started.
    pub(crate) started: Option<i32>,
    pub(crate) standard: Standard,
    /// The supervisor is a program that has other things to do: it is told when the command was
    /// executed, and pid 1 keeps none of its descriptors.
    pub(crate) for_owner: bool,
    pub(crate) supervisor: OwnedFd,
    pub(crate) signals: OwnedFd,
    pub(crate) caller_mask: SignalSet,
    pub(crate) caller: (u32, u32),
    pub(crate) jobs: JobControl,
    pub(crate) pty: Option<Pty>,
}

impl<'a> Inside<'a> {
    /// The whole life of pid 1.
    pub(crate) fn run(mut self, new_user_namespace: bool) -> ! {
        let end = self
            .leave_caller(new_user_namespace)
            .and_then(|()| self.set_up(new_user_namespace))
            .and_then(|kept| self.run_command(&kept));
        exit(self.conclude(end))
    }

    /// Closes what only the caller needs, and makes its user 0 where there is a new user namespace.
    fn leave_caller(&mut self, new_user_namespace: bool) -> Result<(), Error<'a>> {
        if self.for_owner {
            // That none of ours takes the place of one that is closed.
            fs::open_standard_descriptors()
                .map_err(|errno| Error::new(Step::Prepare, b"", errno))?;
        }
        if let Some(pty) = self.pty.take() {
            self.jobs = pty.enter()?;
        }
        // Only the standard descriptors reach the command, and nothing else keeps files busy.
        let ours = [&self.supervisor, &self.signals].into_iter();
        let ours = ours.chain(self.standard.iter().map(|(given, _)| given));
        close_all_but_given(
            &mut ours.map(OwnedFd::borrow),
            &self.chroot.kept_descriptors,
        )?;
        match new_user_namespace {
            true => self
                .chroot
                .map_users
                .map(self.caller, self.supervisor.borrow()),
            false => Ok(()),
        }
    }

    /// Tells the supervisor how it ended, and cleans up; gives the exit status of pid 1.
    pub(crate) fn conclude(&mut self, end: Result<End, Error>) -> u8 {
        let status = match end {
            Ok(End::Command(status)) => {
                if let Some(signal) = status.signal() {
                    self.tell(&[channel::KILLED, signal]);
                }
                status.shell()
            }
            Ok(End::Told) => 125,
            Err(error) => {
                error.send(self.supervisor.borrow());
                error.status()
            }
        };
        self.end_descendants();
        self.clean_up();
        status
    }

    /// For the supervisor, after the fork: closes what is the child's alone, and gives back what
    /// both use.
    pub(crate) fn leave_to_the_child(self) -> (OwnedFd, Option<Pty>) {
        (self.signals, self.pty)
    }

    /// mounts, enter. Gives the caller's directory where it is to be kept.
    pub(crate) fn set_up(&mut self, new_user_namespace: bool) -> Result<PathBuffer, Error<'a>> {
        let chroot = self.chroot;
        let failed_to_protect =
            |errno| Error::new(Step::ReadOnlyRoot, chroot.new_root.bytes(), errno);
        if !new_user_namespace {
            // In a new one they are empty.
            clear_inheritable().map_err(|errno| Error::new(Step::Prepare, b"", errno))?;
        }
        if chroot.namespaces.has(Namespace::Network) {
            bring_loopback_up()?;
        }
        let outside = make_slave(new_user_namespace)?;
        let mut new_root = chroot.new_root.as_c_str();
        let mut kept = PathBuffer::new();
        if chroot.directory == WorkingDirectory::Kept {
            keep_current_directory(new_root, &mut kept)?;
            new_root = c".";
        }
        let root = match &chroot.overlay {
            None => attach_new_root(new_root)
                .map_err(|errno| Error::new(Step::CloneRoot, chroot.new_root.bytes(), errno)),
            Some(memory) => {
                self.say(Step::Overlay, chroot.new_root.bytes());
                attach_overlay(new_root, memory, new_user_namespace || in_user_namespace())
            }
        }?;
        let root = self.root.get_or_init(|| root).borrow();
        if chroot.read_only {
            read_only::protect_below(root).map_err(failed_to_protect)?;
        }
        self.attached.in_overlay = chroot.overlay.is_some();
        let attached = attach_all(root, &chroot.mounts, &mut self.attached, chroot.verbose);
        // In an overlay they are gone with it.
        self.attached.made_stubs &= chroot.overlay.is_none();
        if self.attached.made_stubs {
            self.tell(channel::STUBS);
        }
        attached?;
        if chroot.mask_proc {
            mask(root)?;
        }
        if chroot.read_only {
            self.say(Step::ReadOnlyRoot, chroot.new_root.bytes());
            read_only::protect(root).map_err(failed_to_protect)?;
        }
        if let Some(name) = &chroot.hostname {
            self.say(Step::Hostname, name.bytes());
            set_names(name.bytes())?;
        }
        self.say(Step::PivotRoot, b"");
        enter(root, outside)?;
        self.entered = true;
        detach_old_root(outside, chroot.overlay.is_some())?;
        Ok(kept)
    }

    /// pid 1.
    fn run_command(&mut self, kept: &PathBuffer) -> Result<End, Error<'a>> {
        let prepare = |errno| Error::new(Step::Prepare, b"", errno);
        self.say(Step::Execute, self.command.name());
        // Out of the caller's group: its signals, and the terminal's, are not for us. A command with
        // a group of its own must not be in the caller's for a moment after that: when a process
        // ends whose parent is in another group, the kernel takes its group for orphaned just then,
        // and if one of that is stopped, hangs up on them all.
        let shared = self.jobs.job == Job::Shared;
        if !shared {
            let _ = lead_group();
        }
        set_sigchld(false);
        let reaper = match self.is_pid1() {
            true => None,
            false => {
                become_subreaper().map_err(prepare)?;
                Some(id())
            }
        };
        let told = self.for_owner || self.chroot.status_descriptor.is_some();
        let until_executed = match told {
            true => Some(fs::pipe(fs::O_CLOEXEC).map_err(prepare)?),
            false => None,
        };
        let may_stop = self.jobs.terminal.is_some();
        let mut command = || {
            let error = self.become_command(kept, reaper);
            error.send(self.supervisor.borrow());
            error.status()
        };
        // SAFETY: this process has one thread, and the command's drops nothing of ours.
        let (pid, _) = unsafe { start_command(may_stop, false, &mut (&mut command as Body)) }
            .map_err(|errno| Error::new(Step::Fork, self.command.name(), errno))?;
        self.started = Some(pid);
        if shared {
            let _ = lead_group();
        }
        // Whoever reads from the command is to see that it has closed them.
        self.standard.clear();
        close_given(&self.chroot.kept_descriptors);
        let supervisor = self.supervisor.borrow();
        let above = match until_executed {
            Some((executed, writer)) => {
                drop(writer);
                if self.for_owner {
                    close_standard();
                }
                // The command's execution closes the pipe, and so does its failure. Should the
                // supervisor go first, the loop sees it.
                let mut ready = [executed.borrow(), supervisor].map(Poll::for_hangup);
                poll(&mut ready, None).map_err(prepare)?;
                drop(executed);
                self.tell(channel::EXECUTED);
                match self.for_owner {
                    true => Above::Owner(Some(supervisor)),
                    false => Above::Supervisor(supervisor),
                }
            }
            None => Above::Supervisor(supervisor),
        };
        let mut pid1 = Pid1 {
            signals: self.signals.borrow(),
            above,
            command: Some(pid),
            reaping: Reaping::ByUs,
            own_group: !shared,
            terminal: self.jobs.terminal,
            orders: Orders {
                grace: self.chroot.grace,
                ..Orders::plain()
            },
            has_reported: false,
        };
        let end = pid1.run()?;
        if let (End::Command(_), 1..) = (end, self.chroot.grace) {
            end_others(self.signals.borrow(), pid1.socket(), self.chroot.grace, pid)
                .map_err(|errno| Error::new(Step::Wait, b"what the command left", errno))?;
        }
        Ok(end)
    }

    /// Returns only when the command cannot be executed.
    fn become_command(&mut self, kept: &PathBuffer, reaper: Option<i32>) -> Error<'a> {
        set_sigchld(false);
        // On a terminal of its own it is in a session of its own already.
        match self.chroot.new_session && self.jobs.terminal.is_none() {
            // A process just made leads no group, so it may.
            true => drop(lead_session()),
            false => self.jobs.lead_command(),
        }
        for (given, number) in &self.standard {
            if let Err(errno) = fs::make_standard(given.borrow(), *number) {
                return Error::new(Step::StandardDescriptor, b"", errno);
            }
        }
        for number in &self.chroot.kept_descriptors {
            if let Err(errno) = fs::keep_for_command(*number) {
                return Error::new(Step::StandardDescriptor, b"a descriptor", errno);
            }
        }
        if self.for_owner {
            // Rust's programs ignore it.
            set_default(SIGPIPE);
        }
        if let Err(error) = self.identity.assume(self.chroot) {
            return error;
        }
        if let Err(error) = self.change_directory(kept) {
            return error;
        }
        if let Err(error) = self.give_back() {
            return error;
        }
        if let Some(reaper) = reaper {
            // No kernel ends us with it. What changes rights has been done, which would undo this.
            let _ = set_parent_death_signal(SIGKILL);
            if parent() != reaper {
                exit(125);
            }
        }
        if self.chroot.status_descriptor.is_some() {
            self.tell(channel::WILL_BE_COMMAND);
        }
        let error = self.command.execute();
        if error.status() == 127 && !self.chroot.fallback.is_empty() {
            return self.fallback.execute();
        }
        error
    }

    /// Gives the command what is the caller's: the limit on open files and the signal mask.
    pub(crate) fn give_back(&self) -> Result<(), Error<'static>> {
        if let Some(limit) = self.attached.open_files {
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
        let directory = match &self.chroot.directory {
            WorkingDirectory::Path(path) => path.as_c_str(),
            WorkingDirectory::Kept => kept.as_c_str(),
        };
        if directory != c"/" {
            if let Err(errno) = fs::chdir(directory) {
                let shown = match &self.chroot.directory {
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
        self.chroot.namespaces.has(Namespace::Pid)
    }

    /// Removes the stubs, whether or not the supervisor still lives. It does the same when this
    /// process is killed first.
    fn clean_up(&mut self) {
        let Some(root) = self.root.get() else { return };
        if !self.attached.made_stubs {
            return;
        }
        // A mount must not be taken from under a process that lives.
        if self.is_pid1() {
            kill_all();
        }
        self.attached.shares.clear();
        if self.chroot.read_only {
            // If not, the supervisor sees that they are still there.
            let _ = read_only::unprotect(root.borrow());
        }
        // A directory on which this mount namespace has something mounted cannot be removed.
        let mut bare = true;
        if self.entered {
            for mount in self.chroot.mounts.iter().rev() {
                // A link to the stub may lie in an earlier mount, so this is the time to follow it.
                let landing = walk(root.borrow(), mount.target.as_c_str());
                bare &= unmount_all(mount.target.as_c_str());
                let Ok(landing) = landing else { continue };
                // What could not be removed now is tried again below, and told; and what is above
                // it, which holds other mounts still, unless only a link leads there that will be
                // gone with an earlier mount.
                let _ = match landing.path.bytes() == mount.target.bytes() {
                    true => stub::remove_one(root.borrow(), landing.path.bytes()).map(drop),
                    false => stub::remove_upwards(root.borrow(), landing.path),
                };
            }
        } else {
            // More than once where a link to `/` has led one of the mounts onto the new root.
            bare = unmount_all(ON_TOP_OF_ROOT);
        }
        // Where something is still mounted, the supervisor sees what is below when we are gone.
        let removed = self.chroot.remove_stubs(root.borrow());
        if bare && removed.is_ok() {
            self.tell(channel::CLEAN);
        }
    }

    fn say(&self, step: Step, object: &[u8]) {
        self.chroot.verbose.say(step, object, b"");
    }

    /// A supervisor that is gone needs to be told nothing.
    fn tell(&self, message: &[u8]) {
        let _ = net::send(self.supervisor.borrow(), message);
    }
}

/// Unmounts as often as something is mounted there; false when that was refused.
fn unmount_all(path: &CStr) -> bool {
    loop {
        match umount(path, MNT_DETACH) {
            Ok(()) => {}
            Err(errno) => return !matches!(errno, Errno::EPERM | Errno::ENOMEM | Errno::EBUSY),
        }
    }
}
