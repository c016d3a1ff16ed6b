//! `Child`: a command that runs while its caller does other things.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::chroot::plan::Plan;
use crate::error::{Error, Step};
use crate::process::channel::Order;
use crate::process::namespace::Namespace;
use crate::process::stdio::Ends;
use crate::run::launch::Launched;
use crate::run::parent::Parent;
use crate::run::pipes::{ChildStderr, ChildStdin, ChildStdout};
use crate::run::spawn::{Output, collect};
use crate::run::supervisor::Heard;
use crate::sys::poll::{Poll, end_of, poll};
use crate::sys::signal::{SIGCONT, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
use crate::sys::{BorrowedFd, Errno, ExitStatus, OwnedFd, Process};
use crate::text::name::Name;
use crate::user::id_map::UserNamespace;
use crate::user::private::LockName;

/// A command in a new root, started by [`Command::spawn`](crate::Command::spawn), with its pid 1.
///
/// A root does not outlive its owner: **dropping a `Child` kills everything that runs inside**,
/// waits for its end, and removes the mount points that were made for it. When the program ends, in
/// any way, the same happens, except for the waiting. [`Child::detach`] lets the command live on.
///
/// A `Child` holds up to five descriptors and those of its pipes, all close-on-exec, until the
/// command has been waited for. The end of the command raises no SIGCHLD, and a `wait(2)` for other
/// children does not see it. With the feature `std`, `AsFd` returns its pidfd, which becomes
/// readable when the command has ended; tokio's `AsyncFd` can use it.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// use rootlet::Chroot;
///
/// let mut child = Chroot::new("/").command("sleep").args(["60"]).spawn()?;
/// assert_eq!(child.try_wait()?, None);
/// child.signal(15)?;
/// assert_eq!(child.wait()?.signal(), Some(15));
/// # Ok::<(), rootlet::Error>(())
/// ```
#[must_use = "a command is killed when its `Child` is dropped"]
pub struct Child {
    /// The pipe to standard input, if it is [piped](crate::Stdio::piped). [`Child::wait`] closes
    /// it.
    pub stdin: Option<ChildStdin>,
    /// The pipe from standard output, if it is piped.
    pub stdout: Option<ChildStdout>,
    /// The pipe from standard error, if it is piped.
    pub stderr: Option<ChildStderr>,
    id: i32,
    /// The resources held until the command has been waited for.
    running: Option<Running>,
    warnings: Vec<Error>,
    ended: Option<Result<ExitStatus, Error>>,
    detached: bool,
}

/// pid 1 and the connection to it.
struct Running {
    pid1: Process,
    /// The process to wait for, if pid 1 is not our own child.
    parent: Option<Parent>,
    inside: OwnedFd,
    heard: Heard,
    /// The new root, which holds the mount points, and the targets of the mounts.
    new_root: OwnedFd,
    targets: Vec<Name>,
    user_namespace: Option<UserNamespace>,
    /// Dropped after pid 1 has ended.
    _ids: Option<LockName>,
    has_pid_namespace: bool,
}

impl Running {
    /// Returns a poll that is ready once everything inside has ended, or may have: see
    /// [`Running::has_ended`].
    fn poll(&self) -> Poll {
        Poll::new(self.pid1.pidfd().unwrap_or(self.inside.borrow()))
    }

    /// Returns whether it has ended, after [`Running::poll`] is ready. Without a pidfd it has ended
    /// when pid 1 has closed its end of the socket.
    fn has_ended(&mut self) -> bool {
        let nothing_comes = self.heard.listen(self.inside.borrow());
        self.pid1.pidfd().is_some() || nothing_comes
    }

    fn send(&self, number: u32) -> Result<(), Errno> {
        let sent = match number {
            // The kernel keeps the order of stops and continuations for one process. A SIGSTOP would
            // stop pid 1 itself, so all of them come over the socket, which keeps their order.
            SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU | SIGCONT => {
                Order::Signal(number as u8).send(self.inside.borrow())
            }
            // Without a pid namespace the kernel would kill pid 1 alone.
            SIGKILL if !self.has_pid_namespace => Order::End.send(self.inside.borrow()),
            _ => self.pid1.send(number),
        };
        match sent {
            // It has ended, and like every process takes signals until it is waited for.
            Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            sent => sent,
        }
    }

    /// Ends pid 1's parent, once pid 1 does not end with it any more.
    fn leave_parent(&mut self) -> Result<(), Errno> {
        let Some(parent) = self.parent.take() else {
            return Ok(());
        };
        let inside = self.inside.borrow();
        while !self.heard.listen(inside) && !self.heard.took {
            poll(&mut [Poll::new(inside)], None)?;
        }
        parent.leave()
    }

    /// Waits for pid 1, and removes the mount points that it has left. The wait can be repeated
    /// after an errno.
    fn wait(&mut self, warnings: &mut Vec<Error>) -> Result<Result<ExitStatus, Error>, Errno> {
        let ended = match &mut self.parent {
            Some(parent) => parent.wait(&self.pid1),
            None => self.pid1.wait(),
        };
        let ended = match ended {
            // The program has reaped it. Nobody knows how it has ended, and what it has removed.
            Err(Errno::ECHILD) => None,
            ended => Some(ended?),
        };
        self.heard.listen(self.inside.borrow());
        let removed = self.heard.remove_left(
            self.new_root.borrow(),
            self.targets.iter().map(Name::bytes),
            ended,
            self.user_namespace.as_ref(),
        );
        warnings.append(&mut self.heard.warnings);
        warnings.extend(removed.err());
        Ok(match (self.heard.error.take(), ended) {
            (Some(error), _) => Err(error),
            (None, Some(ended)) => Ok(self.heard.status(ended)),
            (None, None) => Err(failed(Errno::ECHILD)),
        })
    }
}

fn failed(errno: Errno) -> Error {
    Error::new(Step::Wait, b"pid 1", errno)
}

impl Child {
    pub(crate) fn new(launched: Launched, inside: OwnedFd, heard: Heard, plan: Plan) -> Child {
        Child {
            stdin: None,
            stdout: None,
            stderr: None,
            id: launched.pid1.id,
            running: Some(Running {
                pid1: launched.pid1,
                parent: launched.parent,
                inside,
                heard,
                targets: plan.targets().map(Name::new).collect(),
                has_pid_namespace: plan.namespaces.has(Namespace::Pid),
                new_root: plan.new_root,
                user_namespace: launched.user_namespace,
                _ids: launched.ids,
            }),
            warnings: Vec::new(),
            ended: None,
            detached: false,
        }
    }

    /// Adds the other ends of its pipes, and the warnings from the start.
    pub(crate) fn with(mut self, ends: Ends, warnings: Vec<Error>) -> Child {
        let [stdin, stdout, stderr] = ends;
        self.stdin = stdin.map(ChildStdin);
        self.stdout = stdout.map(ChildStdout);
        self.stderr = stderr.map(ChildStderr);
        self.warnings = warnings;
        self
    }

    /// Returns the poll of [`Running::poll`], or none once it has been waited for.
    pub(crate) fn poll(&self) -> Poll {
        self.running.as_ref().map_or(Poll::none(), Running::poll)
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.running.as_mut().is_none_or(Running::has_ended)
    }

    /// Returns the descriptor that becomes readable when it has ended.
    #[allow(dead_code, reason = "it needs a type of std")]
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        let running = self.running.as_ref()?;
        Some(running.pid1.pidfd().unwrap_or(running.inside.borrow()))
    }

    /// Returns the error that prevented the execution, after
    /// [`await_execution`](crate::run::launch::await_execution).
    pub(crate) fn check_execution(&mut self) -> Result<(), Error> {
        let executed = |running: &Running| running.heard.has_executed();
        if self.running.as_ref().is_some_and(executed) {
            return Ok(());
        }
        self.wait()?;
        Err(Error::killed_inside())
    }

    /// Waits until the command and all other processes inside have ended, and returns the command's
    /// status. Further calls return the same.
    ///
    /// The pipe to standard input is closed first, so that a command that reads to its end does
    /// end. The descriptors are closed, and mount points removed that pid 1 could not remove
    /// at its end. One that stays is no error but one of the [`Child::warnings`].
    /// Waiting is one `waitid(2)` on a pidfd (Linux 5.4) or, where that is refused, on the pid. It
    /// has no timeout and is restarted after a signal.
    ///
    /// # Errors
    ///
    /// The reason that kept pid 1 from looking after the command. ECHILD if the program has already
    /// reaped pid 1 with `waitpid(-1, …, __WALL)`.
    pub fn wait(&mut self) -> Result<ExitStatus, Error> {
        self.stdin = None;
        if let Some(running) = &mut self.running {
            let ended = running.wait(&mut self.warnings).map_err(failed)?;
            self.running = None;
            self.ended = Some(ended);
        }
        match &self.ended {
            Some(ended) => ended.clone(),
            None => Err(failed(Errno::ECHILD)),
        }
    }

    /// Returns the status like [`Child::wait`], without waiting: `None` while the command runs.
    /// This costs one `ppoll(2)` then. The pipe to standard input stays open.
    ///
    /// # Errors
    ///
    /// As for [`Child::wait`].
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.wait_until(0)
    }

    /// Waits like [`Child::wait`], for at most this time. Returns `None` if the command is still
    /// running. The pipe to standard input stays open.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// use std::time::Duration;
    ///
    /// let mut child = rootlet::Chroot::new("/").command("sleep").arg("60").spawn()?;
    /// if child.wait_timeout(Duration::from_millis(20))?.is_none() {
    ///     child.kill()?;
    /// }
    /// assert_eq!(child.wait()?.signal(), Some(9));
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Child::wait`].
    pub fn wait_timeout(&mut self, limit: Duration) -> Result<Option<ExitStatus>, Error> {
        self.wait_until(end_of(limit))
    }

    fn wait_until(&mut self, end: u64) -> Result<Option<ExitStatus>, Error> {
        while let Some(running) = &mut self.running {
            if !poll(&mut [running.poll()], Some(end)).map_err(failed)? {
                return Ok(None);
            }
            if running.has_ended() {
                let stdin = self.stdin.take();
                let ended = self.wait();
                self.stdin = stdin;
                return ended.map(Some);
            }
        }
        self.wait().map(Some)
    }

    /// Waits, and collects the command's standard output and standard error, each if it is piped
    /// and was not taken.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// use rootlet::{Chroot, Stdio};
    ///
    /// let mut command = Chroot::new("/").command("cat");
    /// let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    /// child.stdin.take().unwrap().write_bytes(b"passed on").unwrap();
    /// assert_eq!(child.wait_with_output()?.stdout, b"passed on");
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Child::wait`], and a failure to read the output.
    pub fn wait_with_output(mut self) -> Result<Output, Error> {
        self.stdin = None;
        let pipes = [
            self.stdout.take().map(|pipe| pipe.0),
            self.stderr.take().map(|pipe| pipe.0),
        ];
        let [stdout, stderr] =
            collect(pipes, &mut self).map_err(|errno| Error::new(Step::ReadOutput, b"", errno))?;
        let status = self.wait()?;
        Ok(Output {
            status,
            stdout,
            stderr,
            warnings: core::mem::take(&mut self.warnings),
        })
    }

    /// Returns deviations from the request that are not errors: an optional mount that was left out
    /// although its source exists, a mount point that could not be removed, a signal that could not
    /// be sent on. They are not printed. The list is complete when the command has been waited for.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// use rootlet::{Chroot, Mount};
    ///
    /// let mut root = Chroot::new("/");
    /// root.mount(Mount::file_system("no-such-type", "/mnt").optional());
    /// let mut child = root.command("true").spawn()?;
    /// assert!(child.wait()?.success());
    /// let warning = child.warnings()[0].to_string();
    /// assert!(warning.starts_with("cannot mount no-such-type on /mnt"), "{warning}");
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    pub fn warnings(&self) -> &[Error] {
        match &self.running {
            Some(running) => &running.heard.warnings,
            None => &self.warnings,
        }
    }

    /// Returns the pid of the pid 1 inside, as the caller's pid namespace numbers it.
    ///
    /// pid 1 passes every signal that is sent to it on to the command, with three exceptions:
    /// SIGKILL ends everything inside, SIGSTOP stops pid 1 alone, and SIGCHLD is its own. The
    /// number is not reused until [`Child::wait`] or [`Child::try_wait`] has returned the status,
    /// or the `Child` is dropped.
    pub fn id(&self) -> u32 {
        self.id as u32
    }

    /// Sends a signal to the command, through pid 1. `number` is the kernel's, 1 to 64. SIGSTOP
    /// stops the command and SIGCONT continues it, in the order in which they are sent; SIGKILL is
    /// [`Child::kill`].
    ///
    /// It uses `pidfd_send_signal(2)`, Linux 5.1, or `kill(2)` where that is refused. A signal
    /// to stop or continue is a message to pid 1 instead. Sending it blocks while pid 1 is itself
    /// stopped and hundreds of messages wait for it.
    ///
    /// # Errors
    ///
    /// ESRCH if the command has ended and was waited for, EINVAL for a number that is no signal,
    /// EPERM if the caller has given up the right to signal it.
    pub fn signal(&self, number: i32) -> Result<(), Error> {
        let sent = match (&self.running, u32::try_from(number)) {
            (_, Err(_)) => Err(Errno::EINVAL),
            (None, _) => Err(Errno::ESRCH),
            (Some(running), Ok(number)) => running.send(number),
        };
        sent.map_err(|errno| Error::new(Step::Signal, b"the command", errno))
    }

    /// Kills everything that runs inside. Use [`Child::wait`] to get the status. If it has already
    /// ended, this is no error.
    ///
    /// pid 1 gets SIGKILL by `pidfd_send_signal(2)` (Linux 5.1), and the kernel kills the others of
    /// its pid namespace with it.
    ///
    /// # Errors
    ///
    /// EPERM if the caller has given up the right to signal it.
    pub fn kill(&mut self) -> Result<(), Error> {
        match self.signal(SIGKILL as i32) {
            Err(error) if error.errno() != Some(Errno::ESRCH.number()) => Err(error),
            _ => Ok(()),
        }
    }

    /// Lets the command live on, without this `Child` and after the program's end. The pid 1 inside
    /// still ends with the command, and removes the mount points that were made for it.
    ///
    /// Nobody learns the status. The parent of pid 1 is from then on the nearest subreaper above the
    /// program, usually the init of the machine, which reaps it. Where pid 1 is a copy of the program
    /// (see [`Command::spawn`](crate::Command::spawn)), the program stays its parent: a pid 1 that has
    /// ended stays a zombie until the program ends too, or waits for [the pid](Child::id) with
    /// `waitpid(2)` and `__WALL`.
    ///
    /// # Errors
    ///
    /// ENOMEM if pid 1 could not be informed; the command is then killed.
    pub fn detach(mut self) -> Result<(), Error> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        match Order::Detach.send(running.inside.borrow()) {
            Ok(()) => {
                self.detached = true;
                running.leave_parent().map_err(failed)?;
            }
            // It ends, or has ended: nothing is left to live on.
            Err(Errno::EPIPE | Errno::ECONNRESET) => {}
            Err(errno) => return Err(Error::new(Step::Detach, b"the command", errno)),
        }
        Ok(())
    }
}

impl Drop for Child {
    /// Kills everything inside, waits for its end, and removes the mount points that were made for
    /// it, unless the command was detached or has ended.
    fn drop(&mut self) {
        if self.detached || self.running.is_none() {
            return;
        }
        if self.kill().is_err() {
            if let Some(running) = &self.running {
                // We lost the right to signal it. pid 1 ends by itself when told over the socket.
                let _ = Order::End.send(running.inside.borrow());
            }
        }
        let _ = self.wait();
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("Child")
            .field("id", &self.id)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
