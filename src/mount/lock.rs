//! Locks on temporary mount points: never waited for without an eye on what ends the wait.

use core::ffi::CStr;

use crate::sys::fs::Lock;
use crate::sys::poll::{NANOSECONDS, Poll, clock, poll};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// How long somebody else's lock is waited for. Whoever removes a stub holds it for microseconds.
const PATIENCE: u64 = 3 * NANOSECONDS;
const BETWEEN_TRIES: u64 = NANOSECONDS / 200;

/// Does flock(2) fail because the file system has no locks?
pub(crate) fn has_no_locks(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EBADF | Errno::ENOSYS | Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::EINVAL
    )
}

/// Takes a shared lock, which is waited for as long as nothing comes from what is watched.
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

/// Waits for a moment; EINTR where something comes from what is watched.
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

/// Opens what is to be locked.
pub(crate) fn open_to_lock(
    parent: BorrowedFd,
    name: &CStr,
    is_directory: bool,
) -> Result<OwnedFd, Errno> {
    // Should it have become a FIFO, O_NONBLOCK keeps open(2) from waiting.
    let flags = fs::O_RDONLY | fs::O_NOFOLLOW | fs::O_NONBLOCK;
    let directory = if is_directory { fs::O_DIRECTORY } else { 0 };
    fs::openat(parent, name, flags | directory, 0)
}

/// Takes the exclusive lock; EAGAIN where somebody else has one.
///
/// NFS gives it only to those who have the file open for writing, and while one has, the mount cannot
/// be made read-only: so such a descriptor is opened for the lock alone.
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
        // Ours, but only to be read. The mark allows for this bit.
        Err(Errno::EACCES) => {
            let mode = fs::stat(file)?.permissions();
            fs::fchmod(file, mode | 0o200)?;
            open()
        }
        opened => opened,
    };
    let writable = match writable {
        Err(Errno::EISDIR) if fs::stat(file)?.is_directory() => Err(Errno::EBADF),
        // The name may by now be another's.
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
