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
use crate::run::launch::{Owner, prepare};
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
    /// Two processes are added: pid 1 of the new pid namespace, and the command. The first is a
    /// copy of the program that makes system calls only, takes no lock and allocates nothing. Its
    /// memory is shared until one of the two writes to it. No signal handler of the program runs in
    /// it: it is made by `clone3(2)` with `CLONE_CLEAR_SIGHAND` (Linux 5.5), while the signals of
    /// the calling thread are blocked for a moment. If clone3 fails with ENOSYS, it is made by
    /// `clone(2)`, and the handlers are reset by `rt_sigaction(2)`.
    ///
    /// The page tables are copied at once, so a program that uses gigabytes waits for that: some 40
    /// ms with 1 GiB that was written to, and 4 ms with 1 MiB, on a machine where std needs 2 ms. The end
    /// of the copy takes as long again.
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
        let mut plan = self.compile()?;
        plan.namespaces = namespaces;
        plan.move_above_standard().map_err(prepare)?;
        let (supervisor, to_inside) = net::socketpair().map_err(prepare)?;
        let signals = signalfd(SignalSet::ALL).map_err(prepare)?;
        let supervisor = supervisor.above_standard().map_err(prepare)?;
        let signals = signals.above_standard().map_err(prepare)?;
        let mut inside = Inside::new(&plan, Owner::Program, supervisor, signals);
        inside.standard = take(standard);

        // They stay blocked until the child reads them from its signalfd.
        let caller_mask = sigprocmask(SignalSet::ALL).map_err(prepare)?;
        inside.caller_mask = caller_mask;
        // SAFETY: the child allocates nothing; `inside` is all it needs.
        let launched = unsafe { inside.launch(to_inside.borrow()) };
        let _ = sigprocmask(caller_mask);
        // Only the command should have these, unless there is a second attempt.
        let given = take(&mut inside.standard);
        // These are the child's alone.
        drop(inside);
        let mut child = Child::new(launched?, to_inside, plan);
        let executed = child.wait_until_executed();
        if executed.is_err() {
            *standard = given;
        }
        executed.map(|()| child)
    }
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
