//! The command: started by pid 1, with everything that its process does before it executes.

use core::convert::Infallible;
use core::mem::forget;

use crate::chroot::plan::Action;
use crate::error::{Error, Step};
use crate::pid1::descendants::end_others;
use crate::pid1::{Above, End, Orders, Pid1, Reaping};
use crate::process::channel::{self, Report};
use crate::process::cwd::WorkingDirectory;
use crate::process::descriptors::{close_given, close_standard};
use crate::run::inside::Inside;
use crate::run::launch::{Owner, prepare};
use crate::sys::poll::{Poll, poll};
use crate::sys::process::{
    become_subreaper, exit, id, parent, set_open_files_limit, set_pdeathsig, setpgid, setsid,
};
use crate::sys::shared::{Body, start_command};
use crate::sys::signal::{SIGKILL, SIGPIPE, set_default, set_sigchld, sigprocmask};
use crate::sys::{OwnedFd, fs};
use crate::text::path::PathBuffer;
use crate::tty::jobs::Job;

impl<'a> Inside<'a> {
    /// Starts the command and becomes its pid 1. Returns how it ended.
    pub(crate) fn run_command(&mut self, kept: &PathBuffer) -> Result<End, Error> {
        let chroot = self.plan.chroot;
        self.say(Step::Execute, self.command.name());
        // Leave the caller's process group: its signals, and the terminal's, are not for us. When a
        // process ends whose parent is in another group of the same session, the kernel may take its
        // group for orphaned at that moment, and if a member is stopped, it sends SIGHUP to the whole
        // group. So a command with its own process group must not be in the caller's for even a
        // moment after that, and where it stays in the caller's, we leave the session too.
        let shared = self.jobs.job == Job::Shared;
        if !shared {
            let _ = setpgid();
        }
        // If the caller ignores SIGCHLD, we inherit that and the kernel would reap.
        set_sigchld(false);
        let reaper = match self.is_pid1() {
            true => None,
            false => {
                if let Err(errno) = become_subreaper() {
                    self.verbose.warn(&Error::new(Step::Subreaper, b"", errno));
                }
                Some(id())
            }
        };
        // A process that unshares its user namespace must not share our memory.
        let forks = self.jobs.terminal.is_some() || self.locks_mounts();
        // A process that shares our memory has executed the command, or failed, when the call
        // returns.
        let until_executed = match self.tells_execution && forks {
            true => Some(fs::pipe(fs::O_CLOEXEC).map_err(prepare)?),
            false => None,
        };
        let mut command = || {
            let error = self.become_command(kept, reaper);
            self.verbose.failed(self.supervisor.borrow(), &error);
            error.status()
        };
        // SAFETY: this process has one thread, and the command's process drops none of its values.
        let (pid, pidfd) = unsafe { start_command(forks, true, &mut (&mut command as Body)) }
            .map_err(|errno| Error::new(Step::Fork, self.command.name(), errno))?;
        self.started = Some(pid);
        self.proc = None;
        if shared {
            let _ = setsid();
        }
        // A reader of the command's output must see when the command has closed it.
        self.standard.clear();
        close_standard(&self.to_close);
        close_given(&self.plan.command.kept_descriptors);
        let supervisor = self.supervisor.borrow();
        if let Some((executed, writer)) = until_executed {
            drop(writer);
            // The command's execution closes the pipe, and so does its failure. If the supervisor
            // ends first, the loop sees it.
            let mut ready = [executed.borrow(), supervisor].map(Poll::for_hangup);
            poll(&mut ready, None).map_err(prepare)?;
        }
        if self.tells_execution {
            channel::send_execution(supervisor).map_err(prepare)?;
        }
        let above = match self.owner {
            Owner::Program => Above::Owner(Some(supervisor)),
            _ => Above::Supervisor(supervisor),
        };
        let mut pid1 = Pid1 {
            signals: self.signals.borrow(),
            above,
            command: Some(pid),
            // Times of children that the kernel reaps are missing in the caller's times(2) and
            // getrusage(2).
            reaping: Reaping::ByUs(pidfd.as_ref().map(OwnedFd::borrow)),
            own_group: !shared,
            terminal: self.jobs.terminal,
            orders: Orders {
                grace: chroot.grace,
                ..Orders::plain()
            },
            has_reported: false,
        };
        let end = pid1.run()?;
        if let (End::Command(_), 1..) = (end, chroot.grace) {
            end_others(self.signals.borrow(), pid1.socket(), chroot.grace, pid)
                .map_err(|errno| Error::new(Step::Wait, b"the command's descendants", errno))?;
        }
        // The kernel closes it when this process ends.
        forget(pidfd);
        Ok(end)
    }

    /// Executes the command's part of the plan. Returns only when the command cannot be executed.
    pub(super) fn become_command(&mut self, kept: &PathBuffer, reaper: Option<i32>) -> Error {
        let Err(error) = self.prepare_command(kept, reaper);
        if error.status() == 127 && !self.plan.command.fallback.is_empty() {
            return self.fallback.execute();
        }
        error
    }

    fn prepare_command(
        &mut self,
        kept: &PathBuffer,
        reaper: Option<i32>,
    ) -> Result<Infallible, Error> {
        let (plan, chroot) = (self.plan, self.plan.chroot);
        // A command with its own terminal is already in its own session.
        match chroot.new_session && self.jobs.terminal.is_none() {
            // A new process leads no group, so the kernel allows this.
            true => setsid().map_err(|errno| Error::new(Step::Prepare, b"", errno))?,
            false => self.jobs.lead_command(),
        }
        for (given, number) in &self.standard {
            fs::make_standard(given.borrow(), *number)
                .map_err(|errno| Error::new(Step::StandardDescriptor, b"", errno))?;
        }
        for number in &plan.command.kept_descriptors {
            fs::keep_for_command(*number)
                .map_err(|errno| Error::new(Step::StandardDescriptor, b"a descriptor", errno))?;
        }
        if self.owner == Owner::Program {
            // Rust programs ignore it.
            set_default(SIGPIPE);
        }
        if let Some(proc) = &self.proc {
            chroot
                .map_users
                .lock_mounts(proc.borrow(), self.caller, plan.namespaces)?;
        }
        plan.identity.assume(chroot)?;
        self.change_directory(kept)?;
        self.give_back()?;
        if let Some(reaper) = reaper {
            // No pid namespace ends us with the reaper. Every change of ids or rights clears this
            // signal, so it comes after them.
            let _ = set_pdeathsig(SIGKILL);
            if parent() != reaper {
                exit(125);
            }
        }
        if plan.command.status_descriptor.is_some() {
            self.report(Report::WillBeCommand);
        }
        for hook in &plan.command.hooks {
            hook().map_err(|errno| Error::new(Step::Hook, b"Command::pre_exec", errno))?;
        }
        Err(self.command.execute())
    }

    /// Restores the caller's limit on open files and signal mask for the command.
    pub(crate) fn give_back(&self) -> Result<(), Error> {
        if let Some(limit) = self.mounts.open_files {
            set_open_files_limit(limit).map_err(prepare)?;
        }
        match sigprocmask(self.caller_mask) {
            Ok(_) => Ok(()),
            Err(errno) => Err(prepare(errno)),
        }
    }

    /// Changes to the directory in which the command starts.
    pub(crate) fn change_directory(&self, kept: &PathBuffer) -> Result<(), Error> {
        let directory = match &self.plan.chroot.directory {
            WorkingDirectory::Path(path) => path.as_c_str(),
            WorkingDirectory::Kept => kept.as_c_str(),
        };
        if directory != c"/" {
            if let Err(errno) = fs::chdir(directory) {
                let shown = match &self.plan.chroot.directory {
                    WorkingDirectory::Path(path) => path.bytes(),
                    WorkingDirectory::Kept => b"of the caller",
                };
                return Err(Error::new(Step::ChangeDirectory, shown, errno));
            }
        }
        Ok(())
    }

    /// Returns whether the command gets its own user namespace below ours. The kernel then locks
    /// the mounts that it inherits (mount_namespaces(7), *Restrictions on mount namespaces*): the
    /// command cannot make a read-only mount writable or uncover a mask.
    pub(crate) fn locks_mounts(&self) -> bool {
        // A closure shares the caller's memory, which a process in another user namespace may not.
        let is_command = self.owner != Owner::Caller;
        is_command && self.new_user_namespace && self.plan.actions.contains(&Action::LockMounts)
    }
}
