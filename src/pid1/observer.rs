//! Events of an init, and the trait that receives them.

use crate::error::Error;
use crate::sys::process::ExitStatus;

/// An event in the life of an [`Init`](crate::Init), for messages to a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The command was started, with this pid.
    Started(i32),
    /// The command leads its own session. Its own process reports this.
    LeadsSession,
    /// A signal arrived that the kernel sends when a terminal changes hands; it is not passed on.
    HandOver(i32),
    /// Orphans will not become our children.
    CannotReap,
    /// A signal arrived.
    Received(i32),
    /// This signal was sent on.
    Forwarded(i32),
    /// This signal will not be sent on.
    NotForwarded(i32),
    /// The first number is a signal that could not be sent, the second the reason (errno(3)): EPERM
    /// if the command belongs to another user and we lack CAP_KILL.
    NotSent(i32, i32),
    /// An orphan was reaped.
    Reaped(i32, ExitStatus),
    /// The command has ended.
    Ended(i32, ExitStatus),
}

/// The messages of an init, and its exit status when it fails.
pub trait Habits {
    /// Receives an event.
    fn event(&self, event: Event) {
        let _ = event;
    }

    /// Returns whether each orphan is reported ([`Event::Reaped`]). If not, the kernel may reap
    /// them.
    fn wants_orphans(&self) -> bool {
        false
    }

    /// Returns whether more than errors is reported. If not, a failure to send a signal is reported
    /// once.
    fn is_verbose(&self) -> bool {
        true
    }

    /// Reports that the command could not be run, and returns the exit status.
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
