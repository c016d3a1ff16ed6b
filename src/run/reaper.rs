//! A spawn by root: pid 1 is set up in the program's memory and then replaced by the
//! [reaper](crate::sys::reaper).
//!
//! fork(2) copies the page tables of all memory in use, which takes 33 ms for each GiB. Two
//! processes made with `CLONE_VM` copy nothing: pid 1, and the one that becomes the command. The
//! command's process waits until pid 1 has executed the reaper, which cannot be traced from inside
//! and has no memory of the program. From then on no process inside can reach that memory.
//!
//! The calling thread waits until the command is executed, because the two processes use its stack
//! and the program's heap.

use crate::error::{Error, Step};
use crate::pid1::End;
use crate::pid1::descendants::kill_all;
use crate::process::channel::{self, Order};
use crate::process::descriptors::close_standard;
use crate::process::namespace::Namespace;
use crate::run::inside::Inside;
use crate::run::launch::{Launched, await_execution, prepare};
use crate::run::parent::Parent;
use crate::run::protect::{protect_memory, unprotect_memory};
use crate::run::supervisor::Heard;
use crate::sys::poll::{Poll, poll};
use crate::sys::process::{effective_ids, set_pdeathsig, setsid};
use crate::sys::reaper::{Descriptors, Memory, Reaper};
use crate::sys::shared::{Body, Stack, start};
use crate::sys::signal::{SIGCHLD, SIGKILL, set_sigchld, sigprocmask};
use crate::sys::{BorrowedFd, Errno, Process, fs};
use crate::text::path::PathBuffer;
use crate::user::id_map::MapUsers;

/// The run cannot have a reaper. Nothing of the attempt is left.
pub(super) struct NeedsFork;

impl<'a> Inside<'a> {
    /// Returns whether the reaper can be pid 1. It has no parts for a terminal, a group of its own
    /// and the time to end. Executing it takes the rights of every user but 0. And a process in a
    /// new user namespace that executes a program belongs to that namespace, so that a command with
    /// all rights there could trace it.
    pub(super) fn may_have_reaper(&self) -> bool {
        let (chroot, command) = (self.plan.chroot, self.plan.command);
        self.plan.namespaces.has(Namespace::Pid)
            && effective_ids().0 == 0
            && !matches!(chroot.map_users, MapUsers::Private(_))
            && chroot.grace == 0
            && !chroot.new_session
            && !command.own_group
            && !command.pty
            && command.hooks.is_empty()
            && command.kept_descriptors.is_empty()
            && command.status_descriptor.is_none()
    }

    /// Launches the run, and waits until the command is executed or the run has ended. `heard` gets
    /// the reports so far.
    ///
    /// # Safety
    ///
    /// [`Inside::may_have_reaper`].
    pub(super) unsafe fn launch_reaper(
        &mut self,
        to_inside: BorrowedFd,
        heard: &mut Heard,
    ) -> Result<Launched, NeedsFork> {
        let namespaces = self.plan.namespaces;
        let caller_mask = self.caller_mask;
        let needs_fork = |_: Errno| NeedsFork;
        let stack_of_pid1 = Stack::new(Stack::FOR_PID_1).map_err(needs_fork)?;
        let stack_of_command = Stack::new(Stack::FOR_PID_1).map_err(needs_fork)?;
        self.shares_memory = true;
        let mut launch = |inside: &mut Inside, flags| {
            let mut pid1 = || inside.become_reaper(to_inside, &stack_of_command);
            let mut pid1: Body = &mut pid1;
            // SAFETY: `pid1` and the stacks stay until nothing uses them, which is waited for below.
            // Until then this thread makes only system calls.
            let started = unsafe { Parent::start(flags, &stack_of_pid1, &mut pid1, to_inside) };
            let (parent, pid1) = started?;
            let _ = sigprocmask(caller_mask);
            await_execution(&pid1, to_inside, heard);
            if !heard.has_executed() {
                await_end(&pid1);
            }
            Ok((parent, pid1))
        };
        // A process of the command's changes its ids, and with them the flag of this memory.
        protect_memory();
        let made = namespaces.make(self.rights, |flags| launch(self, flags));
        unprotect_memory();
        self.abandon();
        let (mut parent, pid1) = made.map_err(needs_fork)?;
        if self.needs_fork || heard.unprotected {
            let _ = parent.wait(&pid1);
            return Err(NeedsFork);
        }
        Ok(Launched {
            pid1,
            parent: Some(parent),
            user_namespace: None,
            ids: None,
        })
    }

    /// Sets up the new root and becomes the reaper. Returns only if that fails, with the status to
    /// exit with.
    fn become_reaper(&mut self, to_inside: BorrowedFd, stack_of_command: &Stack) -> u8 {
        let _ = set_pdeathsig(SIGKILL);
        // SAFETY: this process never uses it; it would not see the program's end otherwise.
        let _ = unsafe { fs::close(to_inside.number() as u32) };
        if Order::wait_for_map(self.supervisor.borrow()) != Ok(true) {
            self.needs_fork = true;
            return 125;
        }
        let mut kept = PathBuffer::new();
        let end = self
            .reach_new_root(&mut kept)
            .and_then(|()| self.start_command_and_reaper(&kept, stack_of_command));
        self.conclude(end)
    }

    fn start_command_and_reaper(
        &mut self,
        kept: &PathBuffer,
        stack_of_command: &Stack,
    ) -> Result<End, Error> {
        self.say(Step::Execute, self.command.name());
        let (executed, _its_end) = fs::pipe(fs::O_CLOEXEC).map_err(prepare)?;
        let (its_go, go) = fs::pipe(fs::O_CLOEXEC).map_err(prepare)?;
        let mut memory = Memory::new();
        let mut reaper = Reaper::new(
            &mut memory,
            Descriptors {
                signals: self.signals.lend_for_good(),
                socket: self.supervisor.lend_for_good(),
                executed: executed.borrow(),
                go: go.borrow(),
            },
            channel::WORDS,
        );
        if !self.add_mount_points(&mut reaper) {
            self.needs_fork = true;
            return Ok(End::Told);
        }
        // If the caller ignores SIGCHLD, we inherit that and the kernel would reap.
        set_sigchld(false);
        let copy_of_go = go.borrow().number() as u32;
        let mut command = || {
            // SAFETY: this process does not use its copy, and waits until there is no other.
            let _ = unsafe { fs::close(copy_of_go) };
            let _ = fs::read(its_go.borrow(), &mut [0]);
            let error = self.become_command(kept, None);
            self.verbose.failed(self.supervisor.borrow(), &error);
            error.status()
        };
        let mut command: Body = &mut command;
        // SAFETY: `command` and its stack stay until the calling thread knows that the command was
        // executed, or until all processes inside have ended. This process uses from now on only
        // what the other one does not change.
        let command = unsafe { start(0, SIGCHLD, stack_of_command, &mut command) };
        if let Ok(command) = command {
            // As in `run_command`: the command was started in the caller's process group.
            let _ = setsid();
            // A reader of the command's output must see when the command has closed it.
            close_standard(&self.to_close);
            // The kernel or a filter may refuse to execute a file in memory.
            let _ = reaper.execute(command.id);
        }
        kill_all();
        self.needs_fork = true;
        Ok(End::Told)
    }

    /// Adds the mount points that the reaper has to remove. Returns false if it cannot.
    fn add_mount_points(&self, reaper: &mut Reaper) -> bool {
        let chroot = self.plan.chroot;
        let stubs = &self.mounts.points.stubs;
        // Those of an overlay are in memory that goes with the run.
        if stubs.is_empty() || chroot.overlay.is_some() {
            return true;
        }
        let Some(root) = self.root.get() else {
            return false;
        };
        let mut added = !chroot.read_only;
        stubs.for_each_point(root.borrow(), &mut |point| {
            added &= point.is_some_and(|point| reaper.add(&point).is_ok());
        });
        added
    }
}

/// Waits until all processes inside have ended. They may use this memory until then.
fn await_end(pid1: &Process) {
    let ended = || pid1.pidfd().map_or(Poll::none(), Poll::new);
    while poll(&mut [ended()], None).is_err() {
        let _ = pid1.send(SIGKILL);
    }
}
