//! The log of steps, for `--verbose`, and warnings.

use crate::error::{Error, Step, say_left_out};
use crate::process::channel;
use crate::sys::poll::{NANOSECONDS, clock};
use crate::sys::{BorrowedFd, Errno, OwnedFd};
use crate::text::line::Line;

/// Where the log and the warnings of a run go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verbose {
    /// With `--verbose` the time of the run's start, by [`clock`]: steps are logged to standard error.
    start: Option<u64>,
    /// The socket on which warnings are sent to the supervisor. Without it they are printed.
    supervisor: Option<BorrowedFd<'static>>,
}

impl Verbose {
    pub(crate) const NOT: Verbose = Verbose {
        start: None,
        supervisor: None,
    };

    pub(crate) fn from_now() -> Verbose {
        Verbose {
            start: Some(clock()),
            supervisor: None,
        }
    }

    pub(crate) fn is_on(self) -> bool {
        self.start.is_some()
    }

    /// Sends warnings on this socket: the library prints nothing on its program's standard error.
    pub(crate) fn warning_on(self, supervisor: &OwnedFd) -> Verbose {
        Verbose {
            supervisor: Some(supervisor.lend_for_good()),
            ..self
        }
    }

    /// Reports what was left out of the run, and why.
    pub(crate) fn left_out(self, error: &Error) {
        match self.supervisor {
            Some(supervisor) => channel::send_warning(supervisor, error),
            None => say_left_out(error),
        }
    }

    /// Reports a warning.
    pub(crate) fn warn(self, error: &Error) {
        match self.supervisor {
            Some(supervisor) => channel::send_warning(supervisor, error),
            None => error.print(),
        }
    }

    /// Sends the error that ends the run to the supervisor. If there is no memory for the message, or a
    /// filter refuses it, the error is printed, except by the library.
    pub(crate) fn failed(self, supervisor: BorrowedFd, error: &Error) {
        match channel::send_error(supervisor, error) {
            // After the end of the supervisor nobody waits for it.
            Ok(()) | Err(Errno::EPIPE | Errno::ECONNRESET) => {}
            Err(_) if self.supervisor.is_some() => {}
            Err(_) => error.print(),
        }
    }

    /// Reports that something of the caller's is shown or shared instead of something new.
    pub(crate) fn instead(self, step: Step) {
        self.warn(&Error::instead(step));
    }

    /// Logs a step, with the seconds since the start, if `--verbose` was given.
    pub(crate) fn say(self, step: Step, object: &[u8], place: &[u8]) {
        let Some(start) = self.start else { return };
        let time = clock() - start;
        let mut line = Line::new();
        line.push(b"rootlet: [");
        line.push_number((time / NANOSECONDS) as u32);
        // Adding a million keeps the leading zeros of six digits; the first digit is cut off below.
        let mut fraction = Line::new();
        fraction.push_number((time % NANOSECONDS / 1000 + 1_000_000) as u32);
        line.push(b".");
        line.push(fraction.bytes().get(1..).unwrap_or_default());
        line.push(b"] ");
        line.push_step(step, object, place);
        line.push(b"\n");
        line.print();
    }
}
