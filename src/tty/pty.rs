//! A terminal of the command's own, between it and the caller's: what a command pushes into its
//! terminal's input, or makes of its settings, reaches nobody else.

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

/// The caller's terminal, whose place the command's takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callers {
    /// Which of the standard descriptors are it.
    replaced: [bool; 3],
}

/// The command's terminal, both ends.
#[derive(Debug)]
pub(crate) struct Pty {
    callers: Callers,
    pub(crate) master: OwnedFd,
    pub(crate) slave: OwnedFd,
}

impl Callers {
    /// Where no standard descriptor is a terminal, there is nothing to keep from the command.
    pub(crate) fn look() -> Option<Callers> {
        let replaced = STANDARD.map(|standard| settings(standard).is_ok());
        replaced.contains(&true).then_some(Callers { replaced })
    }

    fn descriptor(self) -> BorrowedFd<'static> {
        let mut standard = STANDARD.into_iter().zip(self.replaced);
        let callers = standard.find(|(_, replaced)| *replaced);
        callers.map_or(BorrowedFd::STDIN, |(standard, _)| standard)
    }

    /// Opens a terminal like the caller's, in the host's devpts, before the fork.
    pub(crate) fn open_on_host(self) -> Result<Pty, Error> {
        self.open(BorrowedFd::CWD, c"/dev/ptmx")
    }

    /// Opens one in a devpts of the run's own, in pid 1: only there has it a name in the new root.
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
            // It may have none.
            let _ = set_size_of(self.descriptor(), pty.master.borrow());
            Ok(pty)
        };
        open().map_err(|errno| Error::new(Step::Pty, b"", errno))
    }

    /// In the supervisor: passes on between the two.
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
    /// In pid 1: makes it the terminal of the session that we lead, in the place of the caller's, and
    /// gives it to the command's user, as login(1) does. Without a group it keeps that of its devpts.
    pub(crate) fn enter(&self, owner: Option<(u32, Option<u32>)>) -> Result<JobControl, Error> {
        let failed = |errno| Error::new(Step::Pty, b"", errno);
        if let Some((user, group)) = owner {
            // In a user namespace it may be nobody's of that. Then the command can use it by its
            // standard descriptors, and not by its name.
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

    /// In the supervisor, where it was opened there.
    pub(crate) fn relay(self) -> Relay {
        self.callers.relay(self.master)
    }
}

/// Between the caller's terminal and the command's.
pub(crate) struct Relay {
    caller: BorrowedFd<'static>,
    input: Option<BorrowedFd<'static>>,
    master: OwnedFd,
    /// The caller's settings, while the keys are the command's.
    before: Option<Settings>,
    /// What was typed, and the command's terminal had no room for yet.
    pending: Vec<u8>,
    /// Room for what the command writes.
    written: Vec<u8>,
    from: usize,
    to: usize,
    /// The command's side has not been closed by all.
    open: bool,
}

impl Relay {
    /// Hands every key on as it is, if we have the foreground.
    pub(crate) fn take_keys(&mut self) {
        self.resize();
        // One that is nobody's controlling terminal has no foreground.
        let is_ours = foreground(self.caller).map_or(true, |foreground| foreground == group());
        if self.before.is_none() && is_ours {
            if let Ok(before) = settings(self.caller) {
                if set_settings(self.caller, &before.raw()).is_ok() {
                    self.before = Some(before);
                }
            }
        }
    }

    /// Gives the terminal back as it was.
    pub(crate) fn give_keys_back(&mut self) {
        if let Some(before) = self.before.take() {
            let _ = set_settings(self.caller, &before);
        }
    }

    /// The window has another size.
    pub(crate) fn resize(&self) {
        let _ = set_size_of(self.caller, self.master.borrow());
    }

    /// What to wait for: the caller's keys, and the command's terminal.
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

    /// Passes on what there is; does not wait, but for the caller's terminal to take it.
    pub(crate) fn pass_on(&mut self, keys: bool) {
        if let (true, Some(input)) = (keys, self.input) {
            match fs::read(input, &mut self.pending) {
                Ok(length @ 1..) => (self.from, self.to) = (0, length),
                // It is gone, or ours no more.
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

    /// The rest, when all that ran inside has ended.
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
