//! `Child`: a command that runs while its caller does other things.

use alloc::vec::Vec;
use core::fmt;

use crate::chroot::plan::Plan;
use crate::error::{Error, Step};
use crate::process::channel::Order;
use crate::process::namespace::Namespace;
use crate::run::launch::Launched;
use crate::run::supervisor::Heard;
use crate::sys::poll::{Poll, poll};
use crate::sys::signal::{SIGKILL, SIGSTOP};
use crate::sys::{Errno, ExitStatus, OwnedFd, Process};
use crate::text::name::Name;
use crate::user::id_map::UserNamespace;

/// A command in a new root that [`Chroot::spawn`](crate::Chroot::spawn) has started, with the pid 1 around it.
///
/// A root does not outlive its owner: **when a `Child` is dropped, all that runs inside is killed**,
/// waited for, and the mount points that were made for it are removed. The same, but for the
/// waiting, happens when the program ends, however it does. [`Child::detach`] is the way to let it
/// live on.
///
/// It holds up to three descriptors, all close-on-exec. The end of the command raises no SIGCHLD and is
/// not seen by a `wait(2)` for other children.
///
/// ```
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
    pid1: Process,
    inside: OwnedFd,
    heard: Heard,
    /// Where its mount points are, and where the mounts go.
    new_root: OwnedFd,
    targets: Vec<Name>,
    user_namespace: Option<UserNamespace>,
    has_pid_namespace: bool,
    ended: Option<Result<ExitStatus, Error>>,
    detached: bool,
}

impl Child {
    pub(crate) fn new(launched: Launched, inside: OwnedFd, plan: Plan) -> Child {
        Child {
            pid1: launched.pid1,
            inside,
            heard: Heard::default(),
            targets: plan.targets().map(Name::new).collect(),
            has_pid_namespace: plan.chroot.namespaces.has(Namespace::Pid),
            new_root: plan.new_root,
            user_namespace: launched.user_namespace,
            ended: None,
            detached: false,
        }
    }

    /// Waits until all that was running inside has ended, or may have: see [`Child::has_ended`].
    pub(crate) fn poll(&self) -> Poll {
        Poll::new(self.pid1.pidfd().unwrap_or(self.inside.borrow()))
    }

    /// Has it, now that [`Child::poll`] is ready? Without a pidfd it has when pid 1 has closed its end
    /// of the socket.
    pub(crate) fn has_ended(&mut self) -> bool {
        let nothing_comes = self.heard.listen(self.inside.borrow());
        self.pid1.pidfd().is_some() || nothing_comes
    }

    /// Waits until the command was executed, or for the error that kept it from that.
    pub(crate) fn wait_until_executed(&mut self) -> Result<(), Error> {
        loop {
            let mut ready = [self.poll(), Poll::new(self.inside.borrow())];
            poll(&mut ready, None).map_err(|errno| Error::new(Step::Wait, b"pid 1", errno))?;
            let [may_have_ended, _] = ready.map(|poll| poll.is_ready());
            let pid1_ended = self.has_ended() && may_have_ended;
            // Of a command that could not be executed pid 1 says the same, but the error first.
            if self.heard.executed && self.heard.error.is_none() {
                return Ok(());
            }
            if pid1_ended || self.heard.error.is_some() {
                self.wait()?;
                let why = "the process inside was killed";
                return Err(Error::because(Step::Prepare, b"", why));
            }
        }
    }

    /// Waits until the command and all else that was running inside has ended, and gives the
    /// command's status. Asked again, it gives the same.
    ///
    /// Mount points that were made for the run are removed now; one that could not be removed is no
    /// error, but a line on standard error. Waiting is one `waitid(2)`, of a pidfd (Linux 5.4) or, where
    /// that is refused, of the pid, without a limit of time, begun again after a signal.
    ///
    /// # Errors
    ///
    /// What kept pid 1 from looking after the command. ECHILD if the program has taken its status
    /// itself, by a `waitpid(-1, …, __WALL)`.
    pub fn wait(&mut self) -> Result<ExitStatus, Error> {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let failed = |errno| Error::new(Step::Wait, b"pid 1", errno);
        let ended = self.pid1.wait().map_err(failed)?;
        self.heard.listen(self.inside.borrow());
        let removed = self.heard.remove_left(
            self.new_root.borrow(),
            self.targets.iter().map(Name::bytes),
            ended,
            self.user_namespace.as_ref(),
        );
        removed.unwrap_or_else(|error| error.print());
        let result = match self.heard.error.take() {
            Some(error) => Err(error),
            None => Ok(self.heard.status(ended)),
        };
        self.ended.insert(result).clone()
    }

    /// Like [`Child::wait`], without waiting: `None` while the command runs. It is one `ppoll(2)`
    /// then.
    ///
    /// # Errors
    ///
    /// As for [`Child::wait`].
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        if self.ended.is_none() {
            let ready = poll(&mut [self.poll()], Some(0));
            let ready = ready.map_err(|errno| Error::new(Step::Wait, b"pid 1", errno))?;
            if !ready || !self.has_ended() {
                return Ok(None);
            }
        }
        self.wait().map(Some)
    }

    /// The pid of the pid 1 inside, in the caller's pid namespace.
    ///
    /// It passes on to the command every signal that is sent to it, but for SIGKILL, which ends all
    /// that runs inside, SIGSTOP, which stops it alone, and SIGCHLD. It is nobody else's until
    /// [`Child::wait`] or [`Child::try_wait`] has given the status, or the `Child` is dropped.
    pub fn id(&self) -> u32 {
        self.pid1.id as u32
    }

    /// Sends a signal to the command, by way of pid 1: the kernel's number, 1 to 64. SIGSTOP stops
    /// the command and SIGCONT continues it; SIGKILL is [`Child::kill`].
    ///
    /// `pidfd_send_signal(2)`, Linux 5.1, or `kill(2)` where that is refused.
    ///
    /// # Errors
    ///
    /// ESRCH when the command has ended and was waited for, EINVAL for a number that is no signal,
    /// EPERM when the caller has given up the right to.
    pub fn signal(&self, number: u8) -> Result<(), Error> {
        let number = u32::from(number);
        let sent = match self.ended {
            Some(_) => Err(Errno::ESRCH),
            None if number == SIGSTOP => Order::Stop.send(self.inside.borrow()),
            // The kernel would kill that one alone.
            None if number == SIGKILL && !self.has_pid_namespace => {
                Order::End.send(self.inside.borrow())
            }
            None => self.pid1.send(number),
        };
        sent.map_err(|errno| match errno {
            // pid 1 has closed its end.
            Errno::EPIPE => Errno::ESRCH,
            errno => errno,
        })
        .map_err(|errno| Error::new(Step::Signal, b"the command", errno))
    }

    /// Kills all that runs inside; to have its status, [wait](Child::wait). That it has ended
    /// already is no error.
    ///
    /// SIGKILL for pid 1, by `pidfd_send_signal(2)` (Linux 5.1): the kernel kills the others of its
    /// pid namespace with it.
    ///
    /// # Errors
    ///
    /// EPERM when the caller has given up the right to.
    pub fn kill(&mut self) -> Result<(), Error> {
        match self.signal(SIGKILL as u8) {
            Err(error) if error.errno() != Some(Errno::ESRCH.number()) => Err(error),
            _ => Ok(()),
        }
    }

    /// Lets the command live on, without this `Child` and after the program's end. The pid 1 inside
    /// still ends with the command, and removes the mount points that were made for it.
    ///
    /// Nobody learns the status. While the program runs, it is the parent: a pid 1 that has ended
    /// stays in the process table as a zombie until the program ends too, or waits for
    /// [the pid](Child::id) by `waitpid(2)` with `__WALL`.
    ///
    /// # Errors
    ///
    /// What kept pid 1 from being told (ENOMEM); the command is killed then.
    pub fn detach(mut self) -> Result<(), Error> {
        match Order::Detach.send(self.inside.borrow()) {
            Ok(()) => self.detached = true,
            // It ends, or has ended: nothing is left to live on.
            Err(Errno::EPIPE) => {}
            Err(errno) => return Err(Error::new(Step::Detach, b"the command", errno)),
        }
        Ok(())
    }
}

impl Drop for Child {
    /// Kills all that runs inside, waits for its end, and removes the mount points that were made
    /// for it; unless the command was detached, or has ended.
    fn drop(&mut self) {
        if self.detached || self.ended.is_some() {
            return;
        }
        if self.kill().is_err() {
            // We lost the right to signal it. But pid 1 ends by itself when it hears that nobody is there.
            let _ = Order::End.send(self.inside.borrow());
        }
        let _ = self.wait();
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("Child")
            .field("id", &self.pid1.id)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
