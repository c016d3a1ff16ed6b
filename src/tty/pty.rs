//! A terminal of the command's own, between it and the caller's: what a command pushes into its
//! terminal's input, or makes of its settings, reaches nobody else.

use alloc::vec;
use alloc::vec::Vec;

use crate::error::{Error, Step};
use crate::sys::poll::Poll;
use crate::sys::process::{group, id, lead_session};
use crate::sys::tty::{
    Settings, foreground, make_controlling, open_pty, set_settings, set_size_of, settings,
};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::tty::jobs::{Job, JobControl};
use crate::tty::terminal::Terminal;

const STANDARD: [BorrowedFd<'static>; 3] =
    [BorrowedFd::STDIN, BorrowedFd::STDOUT, BorrowedFd::STDERR];

/// Both ends, before the fork.
#[derive(Debug)]
pub(crate) struct Pty {
    master: OwnedFd,
    slave: OwnedFd,
    /// Which of the standard descriptors are the caller's terminal.
    replaced: [bool; 3],
}

impl Pty {
    /// For the terminal that is one of the standard descriptors; where none is, there is nothing to
    /// keep from the command.
    pub(crate) fn open() -> Result<Option<Pty>, Error<'static>> {
        let terminals = STANDARD.map(|standard| settings(standard).ok());
        let replaced = terminals.each_ref().map(Option::is_some);
        let Some(settings) = terminals.into_iter().flatten().next() else {
            return Ok(None);
        };
        let failed = |errno| Error::new(Step::Pty, b"", errno);
        let (master, slave) = open_pty().map_err(failed)?;
        let pty = Pty {
            master: master.above_standard().map_err(failed)?,
            slave: slave.above_standard().map_err(failed)?,
            replaced,
        };
        set_settings(pty.slave.borrow(), &settings).map_err(failed)?;
        // It may have none.
        let _ = set_size_of(pty.caller(), pty.master.borrow());
        Ok(Some(pty))
    }

    fn caller(&self) -> BorrowedFd<'static> {
        let mut standard = STANDARD.into_iter().zip(self.replaced);
        let caller = standard.find(|(_, replaced)| *replaced);
        caller.map_or(BorrowedFd::STDIN, |(standard, _)| standard)
    }

    /// In pid 1: makes it the terminal of a session of ours, in the place of the caller's.
    pub(crate) fn enter(&self) -> Result<JobControl, Error<'static>> {
        let failed = |errno| Error::new(Step::Pty, b"", errno);
        lead_session().map_err(failed)?;
        make_controlling(self.slave.borrow()).map_err(failed)?;
        for (standard, replaced) in STANDARD.into_iter().zip(self.replaced) {
            if replaced {
                fs::make_standard(self.slave.borrow(), standard).map_err(failed)?;
            }
        }
        Ok(JobControl {
            job: Job::Own { foreground: true },
            terminal: Some(Terminal {
                descriptor: self.caller(),
                group: id(),
            }),
        })
    }

    /// In the supervisor: passes on between the two.
    pub(crate) fn relay(self) -> Relay {
        Relay {
            caller: self.caller(),
            input: self.replaced[0].then_some(BorrowedFd::STDIN),
            master: self.master,
            before: None,
            pending: vec![0; 4096],
            written: vec![0; 4096],
            from: 0,
            to: 0,
            open: true,
        }
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
