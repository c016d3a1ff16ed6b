//! Terminals: foreground, settings, size, and pseudo-terminals.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use linux_raw_sys::general::{self, termios};
use linux_raw_sys::ioctl as raw;
use sc::nr;

use super::{BorrowedFd, Errno, OwnedFd, check, done, fs};

/// `tcgetpgrp(3)`: returns the foreground process group of our controlling terminal; ENOTTY if the
/// descriptor is not that terminal. A group outside our pid namespace is 0.
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

/// `tcsetpgrp(3)`: makes a process group of our session the foreground group. If the caller is in the
/// background, SIGTTOU must be blocked.
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

/// `ioctl(TIOCNOTTY)`: gives up our controlling terminal. If we lead the session, its foreground group
/// receives SIGHUP and SIGCONT.
pub fn leave(terminal: BorrowedFd) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall3(nr::IOCTL, terminal.raw(), raw::TIOCNOTTY as usize, 0) })
}

/// `ioctl(TIOCSCTTY)`: makes this the controlling terminal of the session that we lead.
pub fn make_controlling(terminal: BorrowedFd) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall3(nr::IOCTL, terminal.raw(), raw::TIOCSCTTY as usize, 0) })
}

/// `tcdrain(3)`: waits until all output has been transmitted.
pub fn drain(terminal: BorrowedFd) -> Result<(), Errno> {
    // SAFETY: no memory is passed. A nonzero argument sends no break.
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

/// A terminal's settings, `termios(3)`.
#[derive(Clone, Copy, Debug)]
pub struct Settings(termios);

impl Settings {
    /// Returns the settings of `cfmakeraw(3)`: each key is read as it is typed, without echo, and output is
    /// not changed.
    pub fn raw(mut self) -> Settings {
        let settings = &mut self.0;
        settings.c_iflag &= !(general::IGNBRK
            | general::BRKINT
            | general::PARMRK
            | general::ISTRIP
            | general::INLCR
            | general::IGNCR
            | general::ICRNL
            | general::IXON);
        settings.c_oflag &= !general::OPOST;
        settings.c_lflag &=
            !(general::ECHO | general::ECHONL | general::ICANON | general::ISIG | general::IEXTEN);
        settings.c_cflag = settings.c_cflag & !(general::CSIZE | general::PARENB) | general::CS8;
        settings.c_cc[general::VMIN as usize] = 1;
        settings.c_cc[general::VTIME as usize] = 0;
        self
    }
}

/// `tcgetattr(3)`; ENOTTY if the descriptor is not a terminal.
pub fn settings(terminal: BorrowedFd) -> Result<Settings, Errno> {
    let mut settings = MaybeUninit::<termios>::zeroed();
    // SAFETY: the kernel fills the struct, which is plain integers.
    unsafe {
        done(sc::syscall3(
            nr::IOCTL,
            terminal.raw(),
            raw::TCGETS as usize,
            settings.as_mut_ptr() as usize,
        ))?;
        Ok(Settings(settings.assume_init()))
    }
}

/// `tcsetattr(3)` with TCSADRAIN: changes the settings after all output was transmitted. If the caller
/// is in the background, SIGTTOU must be blocked.
pub fn set_settings(terminal: BorrowedFd, settings: &Settings) -> Result<(), Errno> {
    // SAFETY: the kernel reads the struct.
    done(unsafe {
        sc::syscall3(
            nr::IOCTL,
            terminal.raw(),
            raw::TCSETSW as usize,
            &raw const settings.0 as usize,
        )
    })
}

/// `ioctl(TIOCGWINSZ)`, `ioctl(TIOCSWINSZ)`: gives the size of one terminal to the other.
pub fn set_size_of(terminal: BorrowedFd, other: BorrowedFd) -> Result<(), Errno> {
    let mut size = [0u16; 4];
    // SAFETY: the kernel fills, and then reads, a `struct winsize`: four shorts.
    unsafe {
        for (request, terminal) in [(raw::TIOCGWINSZ, terminal), (raw::TIOCSWINSZ, other)] {
            done(sc::syscall3(
                nr::IOCTL,
                terminal.raw(),
                request as usize,
                size.as_mut_ptr() as usize,
            ))?;
        }
    }
    Ok(())
}

/// Makes a pseudo-terminal, `pty(7)`, from this ptmx. Returns the master, which does not block, and the
/// terminal, which is opened without a path (`ioctl(TIOCGPTPEER)`, Linux 4.13).
pub fn open_pty(directory: BorrowedFd, ptmx: &CStr) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = fs::O_RDWR | fs::O_NOCTTY;
    let master = fs::openat(directory, ptmx, flags | fs::O_NONBLOCK, 0)?;
    let unlocked = 0i32;
    // SAFETY: the kernel reads one int; the other call passes no memory.
    unsafe {
        let fd = master.borrow().raw();
        done(sc::syscall3(
            nr::IOCTL,
            fd,
            raw::TIOCSPTLCK as usize,
            &raw const unlocked as usize,
        ))?;
        let flags = (flags | fs::O_CLOEXEC) as usize;
        let slave = sc::syscall3(nr::IOCTL, fd, raw::TIOCGPTPEER as usize, flags);
        Ok((master, OwnedFd::new(check(slave)?)))
    }
}
