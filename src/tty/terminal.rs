//! The terminal that we were started on, and who has its foreground.

use crate::sys::process::id;
use crate::sys::signal::kill;
use crate::sys::{BorrowedFd, Errno, tty};

/// The controlling terminal, if one of the standard descriptors is it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    pub(crate) descriptor: BorrowedFd<'static>,
    /// Our own process group.
    pub(crate) group: i32,
}

impl Terminal {
    /// Does our group have the foreground? One outside our pid namespace is 0, whichever it is.
    pub(crate) fn is_ours(&self) -> bool {
        self.group != 0 && tty::foreground(self.descriptor) == Ok(self.group)
    }

    /// Takes the foreground.
    pub(crate) fn take(&self) {
        // A terminal that is gone takes nobody's keys.
        let _ = tty::set_foreground(self.descriptor, self.group);
    }

    /// Takes the foreground from a group that has ended with the run; a living one keeps it.
    pub(crate) fn take_from_the_dead(&self) {
        if let Ok(foreground) = tty::foreground(self.descriptor) {
            if foreground != self.group && kill(-foreground, 0) == Err(Errno::ESRCH) {
                self.take();
            }
        }
    }

    /// Are there others in our group: a script, `make`, `sudo`?
    pub(crate) fn group_has_others(&self) -> bool {
        self.group != id()
    }
}
