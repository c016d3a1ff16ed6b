//! The controlling terminal.

use linux_raw_sys::ioctl as raw;
use sc::nr;

use super::{BorrowedFd, Errno, done};

/// `tcgetpgrp(3)`: the foreground process group of our controlling terminal, ENOTTY when the
/// descriptor is not that. A group outside our pid namespace is 0.
pub fn foreground(terminal: BorrowedFd) -> Result<i32, Errno> {
    let mut group = 0i32;
    // SAFETY: the kernel writes one int.
    done(unsafe {
        sc::syscall3(
            nr::IOCTL,
            terminal.raw(),
            raw::TIOCGPGRP as usize,
            &raw mut group as usize,
        )
    })?;
    Ok(group)
}

/// `tcsetpgrp(3)`: makes a process group of our session the foreground one. SIGTTOU has to be
/// blocked when the caller is in the background.
pub fn set_foreground(terminal: BorrowedFd, group: i32) -> Result<(), Errno> {
    // SAFETY: the kernel reads one int.
    done(unsafe {
        sc::syscall3(
            nr::IOCTL,
            terminal.raw(),
            raw::TIOCSPGRP as usize,
            &raw const group as usize,
        )
    })
}
