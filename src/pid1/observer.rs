//! What is told of an init, and to whom.

use crate::error::Error;
use crate::sys::process::ExitStatus;

/// What a person may want to be told of an [`Init`](crate::Init).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The command was started, with this pid.
    Started(i32),
    /// The command leads a session of its own. Told by its own process.
    LeadsSession,
    /// A signal came that the kernel sends when a terminal changes hands; it is not passed on.
    HandOver(i32),
    /// Orphans will not become our children.
    CannotReap,
    /// A signal came.
    Received(i32),
    /// This signal was sent on.
    Forwarded(i32),
    /// This signal is not to be sent on.
    NotForwarded(i32),
    /// This signal could not be sent, for the reason with this number (errno(3)): EPERM where the
    /// command belongs to another user and we lack CAP_KILL.
    NotSent(i32, i32),
    /// An orphan was reaped.
    Reaped(i32, ExitStatus),
    /// The command has ended.
    Ended(i32, ExitStatus),
}

/// What an init says, and the status it ends with when it fails.
pub trait Habits {
    /// Something happened.
    fn event(&self, event: Event) {
        let _ = event;
    }

    /// Is each orphan to be told of ([`Event::Reaped`])? If not, the kernel may reap them.
    fn wants_orphans(&self) -> bool {
        false
    }

    /// Is more reported than errors? If not, a signal that could not be sent is reported once.
    fn is_verbose(&self) -> bool {
        true
    }

    /// The command could not be run: says so, and gives the exit status.
    fn failed(&self, error: &Error) -> u8 {
        error.print();
        error.status()
    }
}

/// Reports nothing: the supervisor of a run reads its socket.
pub(crate) struct Quiet;

impl Habits for Quiet {
    fn is_verbose(&self) -> bool {
        false
    }
}
