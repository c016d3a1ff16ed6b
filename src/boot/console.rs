//! The console. The kernel opens it as descriptors 0, 1 and 2 of the first process if the initramfs has
//! a `/dev/console`.

use crate::boot::sysfs::read_attribute;
use crate::sys::{BorrowedFd, OwnedFd, fs, tty};
use crate::text::name::Name;

const STANDARD: [BorrowedFd<'static>; 3] =
    [BorrowedFd::STDIN, BorrowedFd::STDOUT, BorrowedFd::STDERR];

/// Opens the console if the kernel could not, because the initramfs has no `/dev/console`.
pub(super) fn open() {
    if STANDARD.iter().any(|standard| fs::stat(*standard).is_err()) {
        open_again();
    }
    let _ = fs::open_standard_descriptors();
}

/// Opens the console of the current root: a descriptor of the old root keeps its file system busy.
pub(super) fn open_again() {
    if let Some(console) = open_console() {
        let number = console.number();
        for standard in STANDARD {
            if standard.number() != number {
                let _ = fs::make_standard(console.borrow(), standard);
            }
        }
        if number <= 2 {
            // It is itself one of the three standard descriptors and stays open.
            core::mem::forget(console);
        }
    }
}

fn open_console() -> Option<OwnedFd> {
    let flags = fs::O_RDWR | fs::O_NOCTTY;
    fs::openat(BorrowedFd::CWD, c"/dev/console", flags, 0).ok()
}

/// Opens the terminal behind the console: `/dev/console` itself cannot be a controlling terminal.
pub(super) fn open_terminal() -> Option<OwnedFd> {
    let active = read_attribute(&[b"/sys/class/tty/console/active"]);
    let last = active.split(|byte| *byte == b' ').next_back()?;
    let path = Name::joined(&[b"/dev/", last]);
    let flags = fs::O_RDWR | fs::O_NOCTTY;
    fs::openat(BorrowedFd::CWD, path.as_c_str(), flags, 0).ok()
}

/// Waits until all output to the console has been transmitted.
pub(super) fn drain() {
    if let Some(console) = open_console() {
        let _ = tty::drain(console.borrow());
    }
}
