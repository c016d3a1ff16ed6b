//! How a process ended.

/// How a process ended, as `waitid(2)` tells it.
///
/// ```
/// use rootlet::ExitStatus;
///
/// assert_eq!(ExitStatus::exited(3).code(), Some(3));
/// assert_eq!(ExitStatus::signaled(15).unwrap().shell(), 143);
/// // There is no such signal.
/// assert_eq!(ExitStatus::signaled(87), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExitStatus(Ended);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    Exited(u8),
    /// 1 to 64.
    Signaled(u8),
}

impl ExitStatus {
    /// The kernel's last signal.
    const SIGNAL_MAX: u8 = 64;

    /// Of a process that exited with this status.
    pub const fn exited(code: u8) -> ExitStatus {
        ExitStatus(Ended::Exited(code))
    }

    /// Of a process that this signal killed, 1 to 64; `None` for any other number.
    pub const fn signaled(signal: u8) -> Option<ExitStatus> {
        match signal {
            1..=ExitStatus::SIGNAL_MAX => Some(ExitStatus(Ended::Signaled(signal))),
            _ => None,
        }
    }

    /// As the kernel tells it.
    pub(super) fn killed_by(signal: u8) -> ExitStatus {
        ExitStatus(Ended::Signaled(signal.clamp(1, ExitStatus::SIGNAL_MAX)))
    }

    /// The exit status, if it exited.
    pub fn code(self) -> Option<u8> {
        match self.0 {
            Ended::Exited(code) => Some(code),
            Ended::Signaled(_) => None,
        }
    }

    /// The signal that killed it, if one did.
    pub fn signal(self) -> Option<u8> {
        match self.0 {
            Ended::Exited(_) => None,
            Ended::Signaled(signal) => Some(signal),
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
