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

/// `ioctl(TIOCNOTTY)`: gives up our controlling terminal; when we lead the session, its foreground
/// group gets SIGHUP and SIGCONT.
pub fn leave(terminal: BorrowedFd) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall3(nr::IOCTL, terminal.raw(), raw::TIOCNOTTY as usize, 0) })
}

/// `ioctl(TIOCSCTTY)`: makes it the controlling terminal of the session that we lead.
pub fn make_controlling(terminal: BorrowedFd) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall3(nr::IOCTL, terminal.raw(), raw::TIOCSCTTY as usize, 0) })
}

/// `tcdrain(3)`: waits until all that was written has been sent.
pub fn drain(terminal: BorrowedFd) -> Result<(), Errno> {
    // SAFETY: no memory is passed; any argument but 0 sends no break.
    done(unsafe { sc::syscall3(nr::IOCTL, terminal.raw(), raw::TCSBRK as usize, 1) })
}

/// `ioctl(TIOCSWINSZ)`.
pub fn set_size(terminal: BorrowedFd, rows: u16, columns: u16) -> Result<(), Errno> {
    let size = [rows, columns, 0, 0];
    // SAFETY: the kernel reads a `struct winsize`: four shorts.
    done(unsafe {
        sc::syscall3(
            nr::IOCTL,
            terminal.raw(),
            raw::TIOCSWINSZ as usize,
            size.as_ptr() as usize,
        )
    })
}
