//! The terminal that we were started on, and its foreground process group.

use crate::sys::process::id;
use crate::sys::signal::kill;
use crate::sys::{BorrowedFd, Errno, tty};

/// The controlling terminal, if one of the standard descriptors refers to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    pub(crate) descriptor: BorrowedFd<'static>,
    /// Our own process group.
    pub(crate) group: i32,
}

impl Terminal {
    /// Returns whether our group has the foreground. Every group outside our pid namespace has the
    /// number 0.
    pub(crate) fn is_ours(&self) -> bool {
        self.group != 0 && tty::foreground(self.descriptor) == Ok(self.group)
    }

    /// Takes the foreground for our group.
    pub(crate) fn take(&self) {
        // If the terminal is gone, there are no keys any more.
        let _ = tty::set_foreground(self.descriptor, self.group);
    }

    /// Takes the foreground from a group that has ended with the run. A living group keeps it.
    pub(crate) fn take_from_the_dead(&self) {
        if let Ok(foreground) = tty::foreground(self.descriptor) {
            if foreground != self.group && kill(-foreground, 0) == Err(Errno::ESRCH) {
                self.take();
            }
        }
    }

    /// Returns whether our group has other members, such as a script, `make` or `sudo`.
    pub(crate) fn group_has_others(&self) -> bool {
        self.group != id()
    }
}
