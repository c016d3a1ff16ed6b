//! A terminal of the command's own, between the command and the caller's terminal.
//!
//! A command can push input into its terminal (`ioctl(TIOCSTI)`) and change its settings. With its
//! own terminal, neither reaches the caller's shell.

use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::sys::poll::Poll;
use crate::sys::process::{group, id};
use crate::sys::tty::{
    Settings, foreground, make_controlling, open_pty, set_settings, set_size_of, settings,
};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::tty::jobs::{Job, JobControl};
use crate::tty::terminal::Terminal;

const STANDARD: [BorrowedFd<'static>; 3] =
    [BorrowedFd::STDIN, BorrowedFd::STDOUT, BorrowedFd::STDERR];

/// The caller's terminal, which the command's replaces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callers {
    /// Which of the standard descriptors refer to it.
    replaced: [bool; 3],
}

/// Both ends of the command's terminal.
#[derive(Debug)]
pub(crate) struct Pty {
    callers: Callers,
    pub(crate) master: OwnedFd,
    pub(crate) slave: OwnedFd,
}

impl Callers {
    /// Returns `None` if no standard descriptor is a terminal: there is nothing to protect then.
    pub(crate) fn look() -> Option<Callers> {
        let replaced = STANDARD.map(|standard| settings(standard).is_ok());
        replaced.contains(&true).then_some(Callers { replaced })
    }

    fn descriptor(self) -> BorrowedFd<'static> {
        let mut standard = STANDARD.into_iter().zip(self.replaced);
        let callers = standard.find(|(_, replaced)| *replaced);
        callers.map_or(BorrowedFd::STDIN, |(standard, _)| standard)
    }

    /// Opens a terminal like the caller's in the host's devpts, before the fork.
    pub(crate) fn open_on_host(self) -> Result<Pty, Error> {
        self.open(BorrowedFd::CWD, c"/dev/ptmx")
    }

    /// Opens one in the run's own devpts, in pid 1. Only such a terminal has a name in the new
    /// root.
    pub(crate) fn open_in(self, devpts: BorrowedFd) -> Result<Pty, Error> {
        self.open(devpts, c"ptmx")
    }

    fn open(self, directory: BorrowedFd, ptmx: &CStr) -> Result<Pty, Error> {
        let open = || {
            let (master, slave) = open_pty(directory, ptmx)?;
            let pty = Pty {
                callers: self,
                master: master.above_standard()?,
                slave: slave.above_standard()?,
            };
            set_settings(pty.slave.borrow(), &settings(self.descriptor())?)?;
            // The caller's terminal may have no size.
            let _ = set_size_of(self.descriptor(), pty.master.borrow());
            Ok(pty)
        };
        open().map_err(|errno| Error::new(Step::Pty, b"", errno))
    }

    /// Returns the relay between the two, in the supervisor.
    pub(crate) fn relay(self, master: OwnedFd) -> Relay {
        Relay {
            caller: self.descriptor(),
            input: self.replaced[0].then_some(BorrowedFd::STDIN),
            master,
            before: None,
            pending: vec![0; 4096],
            written: vec![0; 4096],
            from: 0,
            to: 0,
            open: true,
        }
    }
}

impl Pty {
    /// Makes it the controlling terminal of our session, in pid 1, in the place of the caller's.
    /// Gives it to the command's user, as login(1) does. Without a group it keeps that of its
    /// devpts.
    pub(crate) fn enter(&self, owner: Option<(u32, Option<u32>)>) -> Result<JobControl, Error> {
        let failed = |errno| Error::new(Step::Pty, b"", errno);
        if let Some((user, group)) = owner {
            // Its owner may have no id in a user namespace. The command can then use it by its
            // standard descriptors, but not by its name.
            let _ = fs::fchown(self.slave.borrow(), user, group.unwrap_or(u32::MAX));
            let _ = fs::fchmod(self.slave.borrow(), 0o620);
        }
        make_controlling(self.slave.borrow()).map_err(failed)?;
        for (standard, replaced) in STANDARD.into_iter().zip(self.callers.replaced) {
            if replaced {
                fs::make_standard(self.slave.borrow(), standard).map_err(failed)?;
            }
        }
        Ok(JobControl {
            job: Job::Own { foreground: true },
            terminal: Some(Terminal {
                descriptor: self.callers.descriptor(),
                group: id(),
            }),
        })
    }

    /// Returns the relay for a terminal that the supervisor has opened.
    pub(crate) fn relay(self) -> Relay {
        self.callers.relay(self.master)
    }
}

/// The relay between the caller's terminal and the command's.
pub(crate) struct Relay {
    caller: BorrowedFd<'static>,
    input: Option<BorrowedFd<'static>>,
    master: OwnedFd,
    /// The caller's settings, as long as keys go to the command.
    before: Option<Settings>,
    /// Typed input for which the command's terminal had no room yet.
    pending: Vec<u8>,
    /// A buffer for the command's output.
    written: Vec<u8>,
    from: usize,
    to: usize,
    /// Some process still has the command's side open.
    open: bool,
}

impl Relay {
    /// Passes on every key unchanged, if we have the foreground.
    pub(crate) fn take_keys(&mut self) {
        self.resize();
        // A terminal that is not the controlling terminal of a session has no foreground.
        let is_ours = foreground(self.caller).map_or(true, |foreground| foreground == group());
        if self.before.is_none() && is_ours {
            if let Ok(before) = settings(self.caller) {
                if set_settings(self.caller, &before.raw()).is_ok() {
                    self.before = Some(before);
                }
            }
        }
    }

    /// Restores the settings of the terminal.
    pub(crate) fn give_keys_back(&mut self) {
        if let Some(before) = self.before.take() {
            let _ = set_settings(self.caller, &before);
        }
    }

    /// Copies the size of the window.
    pub(crate) fn resize(&self) {
        let _ = set_size_of(self.caller, self.master.borrow());
    }

    /// Returns the descriptors to wait for: the caller's keys, and the command's terminal.
    pub(crate) fn polls(&self) -> [Poll; 2] {
        let keys = match (self.input, &self.before) {
            (Some(input), Some(_)) if self.from == self.to => Poll::new(input),
            _ => Poll::none(),
        };
        let master = self.master.borrow();
        let command = match (self.open, self.from == self.to) {
            (false, _) => Poll::none(),
            (true, true) => Poll::new(master),
            (true, false) => Poll::for_both(master),
        };
        [keys, command]
    }

    /// Passes on available input and output. Waits only until the caller's terminal takes the
    /// output.
    pub(crate) fn pass_on(&mut self, keys: bool) {
        if let (true, Some(input)) = (keys, self.input) {
            match fs::read(input, &mut self.pending) {
                Ok(length @ 1..) => (self.from, self.to) = (0, length),
                // It was closed, or is no longer ours.
                _ => self.input = None,
            }
        }
        if let Some(typed @ [_, ..]) = self.pending.get(self.from..self.to) {
            if let Ok(length) = fs::write(self.master.borrow(), typed) {
                self.from += length;
            }
        }
        match fs::read(self.master.borrow(), &mut self.written) {
            Ok(length @ 1..) => {
                let _ = fs::write_all(self.caller, &self.written[..length]);
            }
            Err(Errno::EAGAIN) => {}
            _ => self.open = false,
        }
    }

    /// Passes on the remaining output, after everything inside has ended.
    pub(crate) fn finish(&mut self) {
        while self.open {
            match fs::read(self.master.borrow(), &mut self.written) {
                Ok(length @ 1..) => {
                    let _ = fs::write_all(self.caller, &self.written[..length]);
                }
                _ => self.open = false,
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.give_keys_back();
    }
}
