//! The console, which the kernel opens for the first process where it can.

use crate::boot::sysfs::read_attribute;
use crate::sys::{BorrowedFd, OwnedFd, fs, tty};
use crate::text::name::Name;

const STANDARD: [BorrowedFd<'static>; 3] =
    [BorrowedFd::STDIN, BorrowedFd::STDOUT, BorrowedFd::STDERR];

/// Opens it where the kernel could not: an initramfs need not hold a `/dev/console`.
pub(super) fn open() {
    if STANDARD.iter().any(|standard| fs::stat(*standard).is_err()) {
        open_again();
    }
    let _ = fs::open_standard_descriptors();
}

/// Opens the one of the root that is ours now, since the old one keeps its file system busy.
pub(super) fn open_again() {
    if let Some(console) = open_console() {
        let number = console.number();
        for standard in STANDARD {
            if standard.number() != number {
                let _ = fs::make_standard(console.borrow(), standard);
            }
        }
        if number <= 2 {
            // It is one of the three now, and stays.
            core::mem::forget(console);
        }
    }
}

fn open_console() -> Option<OwnedFd> {
    let flags = fs::O_RDWR | fs::O_NOCTTY;
    fs::openat(BorrowedFd::CWD, c"/dev/console", flags, 0).ok()
}

/// The terminal behind the console: that can be a session's, the console itself cannot.
pub(super) fn open_terminal() -> Option<OwnedFd> {
    let active = read_attribute(&[b"/sys/class/tty/console/active"]);
    let last = active.split(|byte| *byte == b' ').next_back()?;
    let path = Name::joined(&[b"/dev/", last]);
    let flags = fs::O_RDWR | fs::O_NOCTTY;
    fs::openat(BorrowedFd::CWD, path.as_c_str(), flags, 0).ok()
}

/// Waits until what was said on it is out.
pub(super) fn drain() {
    if let Some(console) = open_console() {
        let _ = tty::drain(console.borrow());
    }
}
