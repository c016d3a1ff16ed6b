//! The log of steps, for `--verbose`, and what is no error but has to be told.

use crate::error::{Error, Step, say_left_out};
use crate::process::channel;
use crate::sys::poll::{NANOSECONDS, clock};
use crate::sys::{BorrowedFd, OwnedFd};
use crate::text::line::Line;

/// What is said of a run, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verbose {
    /// Since when steps are said on standard error, for `--verbose`.
    start: Option<u64>,
    /// The socket on which warnings go to the supervisor; without it they are printed.
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

    /// With warnings sent on this socket, for whoever prints nothing on the standard error of a program.
    pub(crate) fn warning_on(self, supervisor: &OwnedFd) -> Verbose {
        Verbose {
            supervisor: Some(supervisor.lend_for_good()),
            ..self
        }
    }

    /// Tells what was left out of the run, and why.
    pub(crate) fn left_out(self, error: &Error) {
        match self.supervisor {
            Some(supervisor) => channel::send_warning(supervisor, error),
            None => say_left_out(error),
        }
    }

    /// Tells what was not as asked for.
    pub(crate) fn warn(self, error: &Error) {
        match self.supervisor {
            Some(supervisor) => channel::send_warning(supervisor, error),
            None => error.print(),
        }
    }

    /// Tells what is shown, or shared, instead of something of the run's own.
    pub(crate) fn instead(self, step: Step) {
        self.warn(&Error::instead(step));
    }

    /// Says what is being done, and how many seconds after the start.
    pub(crate) fn say(self, step: Step, object: &[u8], place: &[u8]) {
        let Some(start) = self.start else { return };
        let time = clock() - start;
        let mut line = Line::new();
        line.push(b"rootlet: [");
        line.push_number((time / NANOSECONDS) as u32);
        // Seven digits, of which the first is no more than a place for the dot.
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
