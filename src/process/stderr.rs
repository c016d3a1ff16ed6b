//! Standard error of a process that must not hold a pipe open.
//!
//! While pid 1 or the supervisor holds the write end of a pipe, its reader waits for them too. Both
//! therefore close it once the command has it, and open it again to report an error.

use core::ffi::CStr;

use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// Replaces a pipe on standard error by an `O_PATH` descriptor, so that its reader sees the end
/// when the command's processes have closed it. [`write_error`] opens it again. A pipe that cannot
/// be reopened, because there is no proc or it belongs to another user, stays open.
pub(crate) fn release() {
    if open(WRITE).is_ok() {
        let place = open(fs::O_PATH);
        let _ = place.and_then(|place| fs::make_standard(place.borrow(), BorrowedFd::STDERR));
    }
}

/// Writes to standard error, even if it was released. Errors are ignored, because there is nowhere
/// to report them.
pub fn write_error(bytes: &[u8]) {
    if fs::write_all(BorrowedFd::STDERR, bytes) == Err(Errno::EBADF) {
        let _ = open(WRITE).and_then(|pipe| fs::write_all(pipe.borrow(), bytes));
    }
}

/// A pipe that has no reader, or that is full, is no reason to wait.
const WRITE: u32 = fs::O_WRONLY | fs::O_NONBLOCK;

fn open(flags: u32) -> Result<OwnedFd, Errno> {
    const ITSELF: &CStr = c"/proc/self/fd/2";
    fs::openat(BorrowedFd::CWD, ITSELF, flags, 0)
}
