//! Limits on a closure in a new root, which end it from outside.

use alloc::vec::Vec;
use core::cell::Cell;
use core::time::Duration;

use crate::chroot::Chroot;
use crate::error::kind::{CANCELED, TIMED_OUT};
use crate::error::{Error, Step};
use crate::process::channel::Order;
use crate::run::launch::prepare;
use crate::sys::poll::{Poll, end_of, poll};
use crate::sys::signal::{SignalSet, signalfd};
use crate::sys::{BorrowedFd, Errno, ExitStatus, OwnedFd, Process};

/// Limits that end a call before its closure returns: [`Chroot::call_within`].
#[derive(Clone, Debug, Default)]
pub struct Limits {
    time: Option<Duration>,
    signals: Vec<u32>,
}

impl Limits {
    /// Sets no limit: the closure runs as long as it takes.
    pub fn new() -> Limits {
        Limits::default()
    }

    /// Ends the call after this time, with [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut).
    pub fn timeout(&mut self, limit: Duration) -> &mut Limits {
        self.time = Some(limit);
        self
    }

    /// Ends the call when this signal arrives, with
    /// [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted). It must be sent to the calling
    /// thread, or to the program while all other threads block it. The program handles the signal
    /// itself, as soon as the call is over. A number that is no signal is ignored.
    pub fn signal(&mut self, number: i32) -> &mut Limits {
        if let 1..=64 = number {
            self.signals.push(number as u32);
        }
        self
    }

    /// Starts the time and opens a descriptor for the signals.
    pub(super) fn begin(&self) -> Result<Begun, Error> {
        let set = SignalSet::of(&self.signals);
        let signals = (!self.signals.is_empty()).then(|| signalfd(set));
        Ok(Begun {
            until: self.time.map(end_of),
            signals: signals.transpose().map_err(prepare)?,
            reached: Cell::new(None),
        })
    }
}

/// The limits of a call in progress.
pub(super) struct Begun {
    until: Option<u64>,
    /// The signals that end it. They are blocked and stay pending.
    signals: Option<OwnedFd>,
    reached: Cell<Option<&'static str>>,
}

impl Begun {
    /// Waits for a process, and makes pid 1 end when a limit is reached.
    pub(super) fn wait(&self, process: &Process, pid1: BorrowedFd) -> Result<ExitStatus, Errno> {
        if self.until.is_some() || self.signals.is_some() {
            let signals = self.signals.as_ref().map(OwnedFd::borrow);
            let end = process.pidfd().map_or(Poll::for_hangup(pid1), Poll::new);
            let mut ready = [end, signals.map_or(Poll::none(), Poll::new)];
            let in_time = poll(&mut ready, self.until)?;
            if !ready[0].is_ready() {
                let why = if in_time { CANCELED } else { TIMED_OUT };
                self.reached.set(Some(why));
                let _ = Order::End.send(pid1);
            }
        }
        process.wait()
    }

    /// Returns the error of the limit that was reached.
    pub(super) fn error(&self) -> Option<Error> {
        let reached = self.reached.get()?;
        Some(Error::because(Step::Call, b"", reached))
    }
}

impl Chroot {
    /// Calls a closure as [`Chroot::call`] does, for at most this time.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// use std::time::Duration;
    ///
    /// use rootlet::{Chroot, ErrorKind};
    ///
    /// let sleep = || std::thread::sleep(Duration::from_secs(1000));
    /// // SAFETY: it holds no lock and owns nothing when it is ended.
    /// let error = unsafe { Chroot::new("/").call_timeout(Duration::from_millis(50), sleep) };
    /// assert_eq!(error.unwrap_err().kind(), ErrorKind::TimedOut);
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Chroot::call`], and [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Safety
    ///
    /// As for [`Chroot::call`]. The time may run out at any moment, and data that the closure could
    /// change is then left as it was at that moment.
    pub unsafe fn call_timeout<R>(
        &self,
        limit: Duration,
        closure: impl FnOnce() -> R,
    ) -> Result<R, Error> {
        // SAFETY: the caller's promise.
        unsafe { self.call_within(Limits::new().timeout(limit), closure) }
    }
}
