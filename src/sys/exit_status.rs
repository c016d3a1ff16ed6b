//! How a process ended.

use core::fmt;

/// How a process ended, as `waitid(2)` tells it.
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

    /// Of a process that exited with this status.
    pub const fn exited(code: u8) -> ExitStatus {
        ExitStatus(Ended::Exited(code))
    }

    /// Of a process that this signal killed, 1 to 64; `None` for any other number.
    pub const fn signaled(signal: i32) -> Option<ExitStatus> {
        match signal {
            1..=ExitStatus::SIGNAL_MAX => Some(ExitStatus(Ended::Signaled(signal as u8))),
            _ => None,
        }
    }

    /// As the kernel tells it.
    pub(super) fn killed_by(signal: u8) -> ExitStatus {
        ExitStatus(Ended::Signaled(
            signal.clamp(1, ExitStatus::SIGNAL_MAX as u8),
        ))
    }

    /// The exit status, if it exited.
    pub fn code(self) -> Option<i32> {
        match self.0 {
            Ended::Exited(code) => Some(code.into()),
            Ended::Signaled(_) => None,
        }
    }

    /// The signal that killed it, if one did.
    pub fn signal(self) -> Option<i32> {
        match self.0 {
            Ended::Exited(_) => None,
            Ended::Signaled(signal) => Some(signal.into()),
        }
    }

    /// Did it exit with status 0?
    pub fn success(self) -> bool {
        self.code() == Some(0)
    }

    /// As a shell says it in `$?`: the status itself, or 128 and the signal's number.
    pub fn shell(self) -> u8 {
        match self.0 {
            Ended::Exited(code) => code,
            Ended::Signaled(signal) => 128 + signal,
        }
    }
}

impl fmt::Display for ExitStatus {
    /// As the status of std: `exit status: 3`, `signal: 15`.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            Ended::Exited(code) => write!(formatter, "exit status: {code}"),
            Ended::Signaled(signal) => write!(formatter, "signal: {signal}"),
        }
    }
}
