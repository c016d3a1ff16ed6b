//! Mount points that are made for a run and removed after it.
//!
//! Two runs in one root must never take a mount from each other: removing a directory on which
//! another mount namespace has something mounted detaches that mount without a word. So a stub
//! carries a mark and its users a lock, and there is no state anywhere else:
//!
//! - The mark is the stub's mode, because a mode is what `mkdir(2)` and `open(2)` give a file in
//!   the same instant as its name. Nobody else makes an empty directory with mode 1715 or an empty
//!   file with mode 1404, so a mount point that was there before is never taken for a stub.
//! - Whoever mounts on a stub holds a shared `flock(2)` on it, whether it made it or found it.
//! - Whoever gets an exclusive lock on a stub is alone with it and may remove it. A run that
//!   comes just then waits for the lock, finds that the stub is gone when it mounts (ENOENT), and
//!   makes a new one.
//!
//! A stub directory in which the command has made something is kept, and becomes an ordinary one.
//! A stub that was left because every process of its run was killed at once is a stub of the next
//! run that mounts there, and is removed with it.

use core::ffi::CStr;

use crate::mount::resolve::{open_walked, walk};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::path::{PathBuffer, split_first, split_last};

const DIRECTORY_MODE: u32 = 0o1715;
const FILE_MODE: u32 = 0o1404;

/// Is this a stub, of ours or of another run?
pub(crate) fn is_stub(stat: &fs::Stat) -> bool {
    // A directory made in a set-group-id directory inherits that bit.
    let permissions = stat.permissions() & !0o2000;
    (stat.is_directory() && permissions == DIRECTORY_MODE)
        || (stat.is_file() && permissions == FILE_MODE && stat.size == 0)
}

/// Makes what is missing of `path` inside `root`, and a `directory` or a file at its end. Another
/// run may be faster or just be removing the same: that is no error, so resolve the path anew.
///
/// `is_outside` is asked for each directory on the way; where it says so of the last one, nothing
/// is made, which is EXDEV.
pub(crate) fn make(
    root: BorrowedFd,
    path: &CStr,
    directory: bool,
    mut is_outside: impl FnMut(BorrowedFd) -> Result<bool, Errno>,
) -> Result<(), Errno> {
    let landing = walk(root, path)?;
    if landing.found.is_some() {
        return Ok(());
    }
    let (existing, mut rest) = landing.path.bytes().split_at(landing.existing);

    let mut here = open_walked(root, b"")?;
    let mut walked = existing;
    loop {
        let outside = is_outside(here.borrow())?;
        let (name, after) = split_first(walked);
        if name.is_empty() {
            if outside {
                return Err(Errno::EXDEV);
            }
            break;
        }
        here = match open_walked(here.borrow(), name) {
            // It was a stub, and its run has just ended.
            Err(Errno::ENOENT) => return Ok(()),
            next => next?,
        };
        walked = after;
    }

    let umask = fs::umask(0);
    let result = loop {
        let (name, after) = split_first(rest);
        if name.is_empty() {
            break Ok(());
        }
        let mut c_name = PathBuffer::new();
        let made = c_name.push(name).and_then(|()| {
            if directory || !after.is_empty() {
                fs::mkdirat(here.borrow(), c_name.as_c_str(), DIRECTORY_MODE)
            } else {
                let flags = fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW;
                fs::openat(here.borrow(), c_name.as_c_str(), flags, FILE_MODE).map(drop)
            }
        });
        match made {
            Ok(()) | Err(Errno::EEXIST) => {}
            // The directory we are in was removed under us.
            Err(Errno::ENOENT) => break Ok(()),
            Err(errno) => break Err(errno),
        }
        rest = after;
        if !rest.is_empty() {
            here = match open_walked(here.borrow(), name) {
                Ok(next) => next,
                Err(Errno::ENOENT) => break Ok(()),
                Err(errno) => break Err(errno),
            };
        }
    };
    fs::umask(umask);
    result
}

/// Takes a share in the stub at `path`, which `stub` is what was found there: the lock, held as
/// long as the descriptor is open. `None` when it is that stub no longer.
pub(crate) fn share(
    root: BorrowedFd,
    path: &CStr,
    stub: &fs::Stat,
) -> Result<Option<OwnedFd>, Errno> {
    let landing = walk(root, path)?;
    match open_to_lock(root, landing.path.bytes()) {
        Ok(Some((_, file))) => {
            fs::flock(file.borrow(), fs::Lock::Shared)?;
            Ok(fs::stat(file.borrow())?.is_same_file(stub).then_some(file))
        }
        Ok(None) | Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Removes the stub at `path` inside `root`, and the stubs above it, as far as no other run uses
/// them. What is not a stub, and what others still use, stays: that is no error. Nor is a path that
/// leads nowhere, where the run cannot have mounted anything either.
pub(crate) fn remove(root: BorrowedFd, path: &CStr) -> Result<(), Errno> {
    let landing = match walk(root, path) {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENAMETOOLONG) => return Ok(()),
        landing => landing?,
    };
    let mut path = landing.path;
    path.truncate(landing.existing);
    remove_upwards(root, path)
}

/// The same for a path that was walked.
pub(crate) fn remove_upwards(root: BorrowedFd, mut path: PathBuffer) -> Result<(), Errno> {
    while !path.bytes().is_empty() && remove_one(root, path.bytes())? {
        path.pop_component();
    }
    Ok(())
}

/// Removes one stub, whose path was walked; false when it has to stay.
pub(crate) fn remove_one(root: BorrowedFd, path: &[u8]) -> Result<bool, Errno> {
    loop {
        let (parent, file) = match open_to_lock(root, path) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(false),
            // Another run has removed it, and may have left what is above it to us.
            Err(Errno::ENOENT) => return Ok(true),
            // Not a directory or file that we could open: not a stub of ours.
            Err(Errno::EACCES | Errno::ELOOP | Errno::ENXIO | Errno::ENOTDIR) => return Ok(false),
            Err(errno) => return Err(errno),
        };
        let stat = fs::stat(file.borrow())?;
        if !is_stub(&stat) {
            return Ok(false);
        }
        match fs::flock(file.borrow(), fs::Lock::TryExclusive) {
            Err(Errno::EAGAIN) => return Ok(false),
            result => result?,
        }
        let mut name = PathBuffer::new();
        name.push(split_last(path).1)?;
        match fs::stat_at(parent.borrow(), name.as_c_str()) {
            Ok(now) if now.is_same_file(&stat) => {}
            Err(Errno::ENOENT) => return Ok(true),
            Ok(_) => return Ok(false),
            Err(errno) => return Err(errno),
        }
        match fs::unlinkat(parent.borrow(), name.as_c_str(), stat.is_directory()) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(true),
            Err(Errno::ENOTEMPTY) => {}
            Err(errno) => return Err(errno),
        }
        if !holds_only_stubs(file.borrow())? {
            // The command has made it its own. From now on it is an ordinary directory.
            fs::fchmod(file.borrow(), 0o755)?;
            return Ok(false);
        }
        // Whoever emptied it while we held the lock was refused the lock and leaves it to us, so
        // look again after letting go.
        drop(file);
        if !is_empty(parent.borrow(), name.as_c_str())? {
            return Ok(false);
        }
    }
}

/// The directory above a walked path, and the stub that the path leads to, open for `flock(2)`.
/// `None` when it is no stub: to open a device would be to use it.
fn open_to_lock(root: BorrowedFd, path: &[u8]) -> Result<Option<(OwnedFd, OwnedFd)>, Errno> {
    let (above, name) = split_last(path);
    let parent = open_walked(root, above)?;
    let mut c_name = PathBuffer::new();
    c_name.push(name)?;
    if !is_stub(&fs::stat_at(parent.borrow(), c_name.as_c_str())?) {
        return Ok(None);
    }
    // Should it have become a FIFO, O_NONBLOCK keeps open(2) from waiting.
    let flags = fs::O_RDONLY | fs::O_NOFOLLOW | fs::O_NONBLOCK;
    let file = fs::openat(parent.borrow(), c_name.as_c_str(), flags, 0)?;
    Ok(Some((parent, file)))
}

/// What is mounted on a stub, and hides it from us, is taken for one.
fn holds_only_stubs(directory: BorrowedFd) -> Result<bool, Errno> {
    let mount_id = fs::stat(directory)?.mount_id;
    let mut only_stubs = true;
    fs::visit_names(directory, &mut |name| {
        let mut c_name = PathBuffer::new();
        only_stubs = c_name.push(name).is_ok()
            && match fs::stat_at(directory, c_name.as_c_str()) {
                Ok(stat) => is_stub(&stat) || stat.mount_id != mount_id,
                Err(errno) => errno == Errno::ENOENT,
            };
        only_stubs
    })?;
    Ok(only_stubs)
}

fn is_empty(parent: BorrowedFd, name: &CStr) -> Result<bool, Errno> {
    let flags = fs::O_RDONLY | fs::O_NOFOLLOW | fs::O_DIRECTORY;
    let directory = match fs::openat(parent, name, flags, 0) {
        Err(Errno::ENOENT) => return Ok(true),
        directory => directory?,
    };
    let mut empty = true;
    fs::visit_names(directory.borrow(), &mut |_| {
        empty = false;
        false
    })?;
    Ok(empty)
}
