//! Locks on temporary mount points, by `flock(2)`.
//!
//! No lock is waited for indefinitely: a watched descriptor that becomes ready (a signal, the end
//! of the supervisor) or a deadline ends the wait.

use core::ffi::CStr;

use crate::sys::fs::Lock;
use crate::sys::poll::{NANOSECONDS, Poll, clock, poll};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// How long to wait for another run's lock. A run that removes a mount point holds it for
/// microseconds.
const PATIENCE: u64 = 3 * NANOSECONDS;
const BETWEEN_TRIES: u64 = NANOSECONDS / 200;

/// Returns whether this error of flock(2) means that the file system has no locks.
pub(crate) fn has_no_locks(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EBADF | Errno::ENOSYS | Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::EINVAL
    )
}

/// Takes a shared lock. Waits for it until one of the `watched` descriptors is ready, or for three
/// seconds.
pub(crate) fn lock_shared(file: BorrowedFd, watched: &[BorrowedFd]) -> Result<(), Errno> {
    let mut deadline = None;
    loop {
        match fs::flock(file, Lock::TryShared) {
            Err(Errno::EAGAIN) => {}
            result => return result,
        }
        if clock() >= *deadline.get_or_insert_with(|| clock() + PATIENCE) {
            return Err(Errno::EAGAIN);
        }
        pause(watched)?;
    }
}

/// Waits a moment. Fails with EINTR if one of the `watched` descriptors becomes ready.
pub(crate) fn pause(watched: &[BorrowedFd]) -> Result<(), Errno> {
    let mut ready = [Poll::none(), Poll::none()];
    for (poll, watched) in ready.iter_mut().zip(watched) {
        *poll = Poll::new(*watched);
    }
    match poll(&mut ready, Some(clock() + BETWEEN_TRIES))? {
        true => Err(Errno::EINTR),
        false => Ok(()),
    }
}

/// Opens a file or directory in order to lock it.
pub(crate) fn open_to_lock(
    parent: BorrowedFd,
    name: &CStr,
    is_directory: bool,
) -> Result<OwnedFd, Errno> {
    // O_NONBLOCK keeps open(2) from waiting if the name is a FIFO by now.
    let flags = fs::O_RDONLY | fs::O_NOFOLLOW | fs::O_NONBLOCK;
    let directory = if is_directory { fs::O_DIRECTORY } else { 0 };
    fs::openat(parent, name, flags | directory, 0)
}

/// Takes the exclusive lock. Fails with EAGAIN where another process has a lock.
///
/// NFS grants it only to a descriptor that is open for writing, and while one is open the mount
/// cannot be made read-only. Such a descriptor is therefore opened for the lock alone, and
/// returned.
pub(crate) fn lock_exclusive(
    parent: BorrowedFd,
    name: &CStr,
    file: BorrowedFd,
) -> Result<Option<OwnedFd>, Errno> {
    match fs::flock(file, Lock::TryExclusive) {
        Err(Errno::EBADF) => {}
        result => return result.map(|()| None),
    }
    let open = || {
        fs::openat(
            parent,
            name,
            fs::O_RDWR | fs::O_NOFOLLOW | fs::O_NONBLOCK,
            0,
        )
    };
    let writable = match open() {
        // The file is ours, but we may only read it. The mark allows for this bit.
        Err(Errno::EACCES) => {
            let mode = fs::stat(file)?.permissions();
            fs::fchmod(file, mode | 0o200)?;
            open()
        }
        opened => opened,
    };
    let writable = match writable {
        Err(Errno::EISDIR) if fs::stat(file)?.is_directory() => Err(Errno::EBADF),
        // Another object may have the name by now.
        Err(Errno::EISDIR | Errno::ENOENT | Errno::ELOOP | Errno::ENXIO) => Err(Errno::EAGAIN),
        opened => opened,
    }?;
    if fs::stat(writable.borrow())?.identity() != fs::stat(file)?.identity() {
        return Err(Errno::EAGAIN);
    }
    fs::flock(file, Lock::Unlock)?;
    fs::flock(writable.borrow(), Lock::TryExclusive)?;
    Ok(Some(writable))
}
