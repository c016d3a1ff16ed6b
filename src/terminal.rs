//! The terminal that a run was started on, and who has its foreground.

use crate::sys::process::{group, id};
use crate::sys::signal::kill;
use crate::sys::{BorrowedFd, Errno, tty};

/// In which process group the command runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Job {
    /// In ours, which has the foreground, since we are a part of something larger there: a
    /// pipeline, a script whose output goes elsewhere. Keys reach all of it at once, and whoever
    /// else reads the terminal still may.
    Shared,
    /// In one of its own. A person's keys reach the command and not us, a signal sent to our
    /// group reaches us and, once, the command.
    Own {
        /// It gets the foreground, because we have it and are alone with the terminal.
        foreground: bool,
    },
}

/// The controlling terminal, if one of the standard descriptors is it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    pub(crate) descriptor: BorrowedFd<'static>,
    /// Our own process group.
    group: i32,
}

/// What the run is to the terminal, as things stand.
pub(crate) fn look() -> (Job, Option<Terminal>) {
    let standard = [BorrowedFd::STDIN, BorrowedFd::STDOUT, BorrowedFd::STDERR];
    let foregrounds = standard.map(|descriptor| (descriptor, tty::foreground(descriptor)));
    let Some((descriptor, Ok(foreground))) = foregrounds
        .into_iter()
        .find(|(_, foreground)| foreground.is_ok())
    else {
        return (Job::Own { foreground: false }, None);
    };
    let group = group();
    let terminal = Some(Terminal { descriptor, group });
    if foreground != group {
        return (Job::Own { foreground: false }, terminal);
    }
    let alone = foregrounds.iter().all(|(_, foreground)| foreground.is_ok());
    let job = if alone {
        Job::Own { foreground: true }
    } else {
        Job::Shared
    };
    (job, terminal)
}

impl Terminal {
    /// Does our group have the foreground?
    pub(crate) fn is_ours(&self) -> bool {
        tty::foreground(self.descriptor) == Ok(self.group)
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
