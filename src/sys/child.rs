//! A child process, by its pidfd or by its pid.

use super::process::{Waited, Who, pidfd_open, wait};
use super::{BorrowedFd, Errno, ExitStatus, OwnedFd, signal};

/// A child that nobody has waited for yet, so that its pid is not another's.
///
/// The pidfd is a comfort. Without it, and where a filter refuses the calls that take one, the pid
/// serves.
#[derive(Debug)]
pub struct Process {
    /// Its pid.
    pub id: i32,
    pidfd: Option<OwnedFd>,
}

impl Process {
    /// The child that a clone has made, and where that has put the pidfd: -1 if it has made none, as
    /// kernels and emulators do that do not know `CLONE_PIDFD`.
    pub(super) fn new(id: usize, pidfd: i32) -> Process {
        let id = id as i32;
        let pidfd = match pidfd {
            -1 => pidfd_open(id).ok(),
            pidfd => Some(OwnedFd::new(pidfd as usize)),
        };
        Process { id, pidfd }
    }

    /// Its pidfd, where there is one.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(OwnedFd::borrow)
    }

    /// `pidfd_send_signal(2)`, Linux 5.1, else `kill(2)`. ESRCH when somebody else has waited for it.
    pub fn send(&self, number: u32) -> Result<(), Errno> {
        match self.pidfd().map(|pidfd| signal::send(pidfd, number)) {
            Some(sent @ (Ok(()) | Err(Errno::ESRCH))) => sent,
            _ => signal::kill(self.id, number),
        }
    }

    /// `waitid(2)` until it has ended: by its pidfd (Linux 5.4), else by its pid.
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
