//! `Command::spawn` and the calls built on it, for any program, with or without threads.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::take;

use crate::chroot::command::Command;
use crate::error::{Error, Step};
use crate::process::namespace::Namespaces;
use crate::process::stdio::{Ends, Standard, Stdio};
use crate::run::child::Child;
use crate::run::inside::Inside;
use crate::run::launch::{Owner, await_execution, prepare};
use crate::run::supervisor::Heard;
use crate::sys::poll::{Poll, poll};
use crate::sys::process::ExitStatus;
use crate::sys::signal::{SignalSet, signalfd, sigprocmask};
use crate::sys::{Errno, OwnedFd, fs, net};

/// The result of [`Command::output`] and [`Child::wait_with_output`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Output {
    /// How the command ended.
    pub status: ExitStatus,
    /// The bytes written to standard output; empty if [`Command::stdout`] sent it elsewhere.
    pub stdout: Vec<u8>,
    /// The bytes written to standard error; empty if [`Command::stderr`] sent it elsewhere.
    pub stderr: Vec<u8>,
    /// Mounts that were left out and mount points that could not be removed: [`Child::warnings`].
    pub warnings: Vec<Error>,
}

impl Command {
    /// Runs the command and waits for it: [`Command::spawn`], then [`Child::wait`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// use rootlet::Chroot;
    ///
    /// let status = Chroot::new("/").command("sh").args(["-c", "exit 3"]).status()?;
    /// assert_eq!(status.code(), Some(3));
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for both.
    pub fn status(&mut self) -> Result<ExitStatus, Error> {
        self.warnings.clear();
        let mut child = self.spawn()?;
        let status = child.wait();
        self.warnings.extend_from_slice(child.warnings());
        status
    }

    /// Returns the warnings of the last [`Command::status`], as [`Child::warnings`] has them.
    pub fn warnings(&self) -> &[Error] {
        &self.warnings
    }

    /// Starts the command and returns when it is executed.
    ///
    /// This works in any program, also in one with threads. The command stays in the caller's
    /// process group, as with `std::process::Command`. It has the signal mask of the calling
    /// thread, and ignores the signals that the program ignores, except SIGCHLD and SIGPIPE, which
    /// Rust programs ignore. It has its standard descriptors ([`Command::stdin`]) and no others.
    /// Processes that it leaves running are killed when it ends.
    ///
    /// Three processes are added: pid 1 of the new pid namespace, its parent, which waits for it, and
    /// the command. The program itself is not the parent of pid 1, so it gets no SIGCHLD. No process
    /// copies the program's memory. As with `vfork(2)`, the calling thread waits while pid 1 and the
    /// command's process use it (`clone3(2)` with `CLONE_VM`, Linux 5.3). They make system calls
    /// only, take no lock and allocate nothing, and no signal handler of the program runs in them.
    /// Before the command is executed, pid 1 executes a program of one page (`memfd_create(2)` and
    /// `execveat(2)`, Linux 3.19), and no longer has the program's memory. The parent keeps it,
    /// outside the new namespaces, and ends with pid 1. A spawn takes as long in a program that uses
    /// gigabytes as in a small one.
    ///
    /// In these cases pid 1 is a copy of the program instead, made as with `fork(2)`:
    ///
    /// - The caller is an ordinary user, whose command has all rights in its user namespace and
    ///   could trace the small program.
    /// - The small program has no part for it: a new session or process group,
    ///   [`Command::pre_exec`], kept descriptors, [`Chroot::grace`](crate::Chroot::grace), a new user
    ///   namespace, a shared pid namespace, and temporary mount points in a read-only root or on a
    ///   file system without modes.
    /// - The kernel or a filter refuses one of the calls.
    ///
    /// The page tables are copied then, which takes some 33 ms for each GiB in use, and as long again
    /// at the end.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// use rootlet::Chroot;
    ///
    /// let mut child = Chroot::new("/").command("true").spawn()?;
    /// // Other work, and then:
    /// assert!(child.wait()?.success());
    ///
    /// let error = Chroot::new("/").command("no-such-command").spawn().unwrap_err();
    /// assert_eq!(error.status(), 127);
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Every reason that keeps the command from running. [`Error::kind`] tells a command that does
    /// not exist or cannot be executed from other failures, and [`Error::status`] is the exit
    /// status for it. EAGAIN from a clone means that the limit on processes is reached. After an
    /// error nothing is left behind.
    pub fn spawn(&mut self) -> Result<Child, Error> {
        self.check_kept_descriptors()?;
        let inherit = || Stdio::inherit();
        self.spawn_with(self.open_standard([inherit(), inherit(), inherit()])?)
    }

    /// Runs the command, waits for it, and collects its standard output and standard error, both at
    /// once and of any length. Standard input is [null](Stdio::null). Settings of
    /// [`Command::stdin`], [`Command::stdout`] and [`Command::stderr`] are kept.
    ///
    /// No other process can delay the end: the end of pid 1 is the end of everything inside.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// use rootlet::Chroot;
    ///
    /// let script = "echo to one; echo to the other >&2; exit 4";
    /// let output = Chroot::new("/").command("sh").args(["-c", script]).output()?;
    /// assert_eq!(output.status.code(), Some(4));
    /// assert_eq!(output.stdout, b"to one\n");
    /// assert_eq!(output.stderr, b"to the other\n");
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Command::spawn`] and [`Child::wait`].
    pub fn output(&mut self) -> Result<Output, Error> {
        self.check_kept_descriptors()?;
        let unset = [Stdio::null(), Stdio::piped(), Stdio::piped()];
        self.spawn_with(self.open_standard(unset)?)?
            .wait_with_output()
    }

    fn spawn_with(&self, (mut standard, ends): (Standard, Ends)) -> Result<Child, Error> {
        let mut namespaces = self.chroot.namespaces;
        let mut warnings = Vec::new();
        let spawned = match self.spawn_in(namespaces, &mut standard) {
            Err(error) if error.is_of_own_proc() && namespaces.share_pid() => {
                warnings.push(Error::instead(Step::SharePid));
                self.spawn_in(namespaces, &mut standard)
            }
            spawned => spawned,
        };
        match spawned {
            Ok(child) => Ok(child.with(ends, warnings)),
            Err(error) => Err(self.chroot.look_for_cause(error)),
        }
    }

    /// Makes one attempt. On failure `standard` stays open.
    // Not inlined: both attempts share one copy of the code.
    #[inline(never)]
    fn spawn_in(&self, namespaces: Namespaces, standard: &mut Standard) -> Result<Child, Error> {
        match self.spawn_by(Way::Reaper, namespaces, standard)? {
            Some(child) => Ok(child),
            None => self
                .spawn_by(Way::Fork, namespaces, standard)?
                .ok_or_else(|| prepare(Errno::EAGAIN)),
        }
    }

    /// Returns `None` if this way is closed.
    fn spawn_by(
        &self,
        way: Way,
        namespaces: Namespaces,
        standard: &mut Standard,
    ) -> Result<Option<Child>, Error> {
        let mut plan = self.compile()?;
        plan.namespaces = namespaces;
        plan.move_above_standard().map_err(prepare)?;
        let (supervisor, to_inside) = net::socketpair().map_err(prepare)?;
        let signals = signalfd(SignalSet::ALL).map_err(prepare)?;
        let supervisor = supervisor.above_standard().map_err(prepare)?;
        let signals = signals.above_standard().map_err(prepare)?;
        let mut inside = Inside::new(&plan, Owner::Program, supervisor, signals);
        if way == Way::Reaper && !inside.may_have_reaper() {
            return Ok(None);
        }
        inside.standard = take(standard);
        let mut heard = Heard::default();

        // They stay blocked until the child reads them from its signalfd.
        let caller_mask = sigprocmask(SignalSet::ALL).map_err(prepare)?;
        inside.caller_mask = caller_mask;
        let launched = match way {
            // SAFETY: `may_have_reaper` was asked.
            Way::Reaper => unsafe { inside.launch_reaper(to_inside.borrow(), &mut heard) }.map(Ok),
            // SAFETY: the child allocates nothing; `inside` is all it needs.
            Way::Fork => Ok(unsafe { inside.launch(to_inside.borrow()) }),
        };
        let _ = sigprocmask(caller_mask);
        // Only the command should have these, unless there is a second attempt.
        let given = take(&mut inside.standard);
        // These are the child's alone.
        drop(inside);
        let Ok(launched) = launched else {
            *standard = given;
            return Ok(None);
        };
        let launched = launched?;
        await_execution(&launched.pid1, to_inside.borrow(), &mut heard);
        let mut child = Child::new(launched, to_inside, heard, plan);
        let executed = child.check_execution();
        if executed.is_err() {
            *standard = given;
        }
        executed.map(|()| Some(child))
    }
}

/// How pid 1 is started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In the program's memory, to be replaced by the reaper.
    Reaper,
    /// With a copy of the program's memory.
    Fork,
}

/// Reads both to their ends, or until all processes inside have ended and nothing is left to read:
/// the write end of a pipe may have been passed to other processes.
pub(crate) fn collect(
    mut pipes: [Option<OwnedFd>; 2],
    child: &mut Child,
) -> Result<[Vec<u8>; 2], Errno> {
    /// The default capacity of a pipe.
    const AT_ONCE: usize = 65536;
    let mut collected = [Vec::new(), Vec::new()];
    let mut buffer = vec![0; AT_ONCE];
    loop {
        let [stdout, stderr] = &pipes;
        let [stdout, stderr] = [stdout, stderr].map(|pipe| match pipe {
            Some(pipe) => Poll::new(pipe.borrow()),
            None => Poll::none(),
        });
        let mut ready = [stdout, stderr, child.poll()];
        poll(&mut ready, None)?;
        let [stdout_ready, stderr_ready, may_have_ended] = ready.map(|poll| poll.is_ready());
        let all_ended = may_have_ended && child.has_ended();
        let readable = [stdout_ready, stderr_ready];
        if all_ended && readable == [false, false] {
            return Ok(collected);
        }
        for ((slot, readable), collected) in pipes.iter_mut().zip(readable).zip(&mut collected) {
            if let (true, Some(pipe)) = (readable, &slot) {
                match fs::read(pipe.borrow(), &mut buffer)? {
                    0 => *slot = None,
                    count => collected.extend_from_slice(&buffer[..count]),
                }
            }
        }
    }
}
