//! The exit status of a process.

use core::fmt;

/// How a process ended: with a status, or by a signal (`waitid(2)`).
///
/// ```
/// use rootlet::ExitStatus;
///
/// assert_eq!(ExitStatus::exited(3).code(), Some(3));
/// assert_eq!(ExitStatus::exited(3).to_string(), "exit status: 3");
/// let terminated = ExitStatus::signaled(15).unwrap();
/// assert_eq!((terminated.signal(), terminated.shell()), (Some(15), 143));
/// assert_eq!(terminated.to_string(), "signal: 15");
/// // There is no such signal.
/// assert_eq!(ExitStatus::signaled(87), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ExitStatus(Ended);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Ended {
    Exited(u8),
    /// 1 to 64.
    Signaled(u8),
}

impl ExitStatus {
    /// The kernel's last signal.
    const SIGNAL_MAX: i32 = 64;

    /// Returns the status of a process that exited with this code.
    pub const fn exited(code: u8) -> ExitStatus {
        ExitStatus(Ended::Exited(code))
    }

    /// Returns the status of a process that this signal killed. `None` for a number outside 1 to 64.
    pub const fn signaled(signal: i32) -> Option<ExitStatus> {
        match signal {
            1..=ExitStatus::SIGNAL_MAX => Some(ExitStatus(Ended::Signaled(signal as u8))),
            _ => None,
        }
    }

    /// Returns the status of a process that the kernel reports as killed by this signal.
    pub(super) fn killed_by(signal: u8) -> ExitStatus {
        ExitStatus(Ended::Signaled(
            signal.clamp(1, ExitStatus::SIGNAL_MAX as u8),
        ))
    }

    /// Returns the exit code, if the process exited.
    pub fn code(self) -> Option<i32> {
        match self.0 {
            Ended::Exited(code) => Some(code.into()),
            Ended::Signaled(_) => None,
        }
    }

    /// Returns the signal that killed the process, if one did.
    pub fn signal(self) -> Option<i32> {
        match self.0 {
            Ended::Exited(_) => None,
            Ended::Signaled(signal) => Some(signal.into()),
        }
    }

    /// Returns whether the process exited with code 0.
    pub fn success(self) -> bool {
        self.code() == Some(0)
    }

    /// Returns the status in the form of a shell's `$?`: the exit code, or 128 plus the signal's number.
    pub fn shell(self) -> u8 {
        match self.0 {
            Ended::Exited(code) => code,
            Ended::Signaled(signal) => 128 + signal,
        }
    }
}

impl fmt::Display for ExitStatus {
    /// Formats the status like std's: `exit status: 3`, `signal: 15`.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            Ended::Exited(code) => write!(formatter, "exit status: {code}"),
            Ended::Signaled(signal) => write!(formatter, "signal: {signal}"),
        }
    }
}
