//! A child process, by its pidfd or by its pid.

use super::process::{Waited, Who, pidfd_open, wait};
use super::{BorrowedFd, Errno, ExitStatus, OwnedFd, signal};

/// A child that nobody has waited for yet, so that its pid cannot belong to another process.
///
/// Without a pidfd, and if a filter refuses the calls that take one, the pid is used.
#[derive(Debug)]
pub struct Process {
    /// The child's pid.
    pub id: i32,
    pidfd: Option<OwnedFd>,
}

impl Process {
    /// Takes the results of a clone: the pid, and the pidfd, or -1 from kernels and emulators that do not
    /// know `CLONE_PIDFD`.
    pub(super) fn new(id: usize, pidfd: i32) -> Process {
        let id = id as i32;
        let pidfd = match pidfd {
            -1 => pidfd_open(id).ok(),
            pidfd => Some(OwnedFd::new(pidfd as usize)),
        };
        Process { id, pidfd }
    }

    /// Takes a child of another process, which cannot be waited for, by its pid and its pidfd.
    pub fn with_pidfd(id: i32, pidfd: OwnedFd) -> Process {
        let pidfd = Some(pidfd);
        Process { id, pidfd }
    }

    /// Returns the child's pidfd, if there is one.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(OwnedFd::borrow)
    }

    /// `pidfd_send_signal(2)`, Linux 5.1, else `kill(2)`. ESRCH if the child has already been reaped.
    pub fn send(&self, number: u32) -> Result<(), Errno> {
        match self.pidfd().map(|pidfd| signal::send(pidfd, number)) {
            Some(sent @ (Ok(()) | Err(Errno::ESRCH))) => sent,
            _ => signal::kill(self.id, number),
        }
    }

    /// `waitid(2)`: waits until the child has ended, by its pidfd (Linux 5.4), else by its pid.
    pub fn wait(&self) -> Result<ExitStatus, Errno> {
        let waited = match self.pidfd().map(|pidfd| wait(Who::Pidfd(pidfd))) {
            Some(waited @ (Ok(_) | Err(Errno::ECHILD))) => waited,
            _ => wait(Who::Pid(self.id)),
        };
        match waited? {
            Waited::Ended(_, status) => Ok(status),
            _ => Err(Errno::ECHILD),
        }
    }
}
