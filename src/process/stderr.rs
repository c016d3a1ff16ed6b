//! Standard error of a process that must not hold a pipe open.

use core::ffi::CStr;

use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// Keeps this pipe only by its place in proc (`O_PATH`), so that its reader sees the end when the
/// command's processes have closed it; [`write_error`] opens it again. A pipe that cannot be opened
/// again stays as it is: without proc, or where it belongs to another user.
pub(crate) fn release() {
    if open(WRITE).is_ok() {
        let place = open(fs::O_PATH);
        let _ = place.and_then(|place| fs::make_standard(place.borrow(), BorrowedFd::STDERR));
    }
}

/// Writes to standard error, also where it was released. There is nowhere to report that it cannot
/// be written.
pub fn write_error(bytes: &[u8]) {
    if fs::write_all(BorrowedFd::STDERR, bytes) == Err(Errno::EBADF) {
        let _ = open(WRITE).and_then(|pipe| fs::write_all(pipe.borrow(), bytes));
    }
}

/// A pipe that nobody reads, or that is full, is no reason to wait.
const WRITE: u32 = fs::O_WRONLY | fs::O_NONBLOCK;

fn open(flags: u32) -> Result<OwnedFd, Errno> {
    const ITSELF: &CStr = c"/proc/self/fd/2";
    fs::openat(BorrowedFd::CWD, ITSELF, flags, 0)
}
