//! Making a temporary mount point: it has its mark from the moment it has its name, and its maker
//! holds a shared lock on it.

use core::ffi::CStr;

use crate::mount::lock::{has_no_locks, lock_shared, open_to_lock, pause};
use crate::mount::mark::{Companion, DIRECTORY_MODE, FILE_MODE, is_marked};
use crate::sys::fs::{Identity, Stat};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// A temporary mount point that this run uses.
pub(crate) struct Shared {
    /// The mount point and its lock, in one descriptor. A second open file description of this run
    /// would keep the first from getting the exclusive lock.
    pub(crate) file: OwnedFd,
    pub(crate) identity: Identity,
    pub(crate) is_locked: bool,
    pub(crate) has_companion: bool,
    /// It is a directory that got exactly the mode we asked for. Everything made beside it or in it
    /// will get its mode too, files included, because their mode is a subset of the directory's.
    pub(crate) kept_its_mode: bool,
}

/// The place where a temporary mount point is made or was found.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The directory and its landing.
    pub(crate) parent: Directory<'a>,
    pub(crate) above: &'a [u8],
    pub(crate) name: &'a CStr,
    pub(crate) is_directory: bool,
    /// Descriptors whose readiness ends the wait for another run's lock.
    pub(crate) watched: &'a [BorrowedFd<'a>],
}

#[derive(Clone, Copy)]
pub(crate) enum Directory<'a> {
    Found(BorrowedFd<'a>),
    Stub(usize),
}

/// The reason why there is no temporary mount point.
pub(crate) enum Refused {
    /// It vanished: look up the mount point again.
    Vanished,
    /// It cannot be made.
    Make(Errno),
    /// Another process holds a lock on it, or there are no locks.
    Lock(Errno),
}

/// Makes a temporary mount point where modes are kept, so that it has its mark at once.
pub(crate) fn make_marked(parent: BorrowedFd, place: &Place) -> Result<Shared, Refused> {
    let file = create(parent, place.name, place.is_directory).map_err(vanished_or_not)?;
    let (is_locked, stat) = lock_made(parent, place.name, file.borrow(), place)?;
    if !is_marked(&stat) {
        remove_made(parent, place.name, file.borrow());
        return Err(Refused::Vanished);
    }
    Ok(Shared {
        file,
        identity: stat.identity(),
        is_locked,
        has_companion: false,
        kept_its_mode: place.is_directory,
    })
}

/// Makes a temporary mount point under the name of its companion, marks it and renames it. Where it
/// cannot be marked or renamed, the companion becomes its mark.
pub(crate) fn make_aside(parent: BorrowedFd, place: &Place) -> Result<Shared, Refused> {
    let companion = Companion::of(place.name);
    let (file, is_locked, mut stat) = create_aside(parent, place, &companion, place.is_directory)?;
    let kept_its_mode = is_marked(&stat);
    if !kept_its_mode {
        let mode = match place.is_directory {
            true => DIRECTORY_MODE,
            false => FILE_MODE,
        };
        // A default ACL cleared bits of the mode that we asked for. It never clears the sticky bit:
        // an inode without it may belong to another program that swapped it in after our mkdir(2).
        let permissions = stat.permissions() & !0o2000;
        if permissions & !mode == 0 && permissions & 0o1000 == mode & 0o1000 {
            let _ = fs::fchmod(file.borrow(), mode);
        }
        stat = fs::stat(file.borrow()).map_err(|errno| {
            remove_made(parent, companion.name(), file.borrow());
            gone(errno)
        })?;
    }
    if is_marked(&stat) {
        match fs::rename_noreplace(parent, companion.name(), place.name) {
            Ok(()) => {
                return Ok(Shared {
                    file,
                    identity: stat.identity(),
                    is_locked,
                    has_companion: false,
                    kept_its_mode: kept_its_mode && place.is_directory,
                });
            }
            Err(Errno::ENOENT) => return Err(Refused::Vanished),
            Err(Errno::EEXIST) => {
                let _ = fs::unlinkat(parent, companion.name(), place.is_directory);
                return Err(Refused::Vanished);
            }
            // NFS and many FUSE servers do not support RENAME_NOREPLACE.
            Err(_) if kept_its_mode => {
                fs::unlinkat(parent, companion.name(), place.is_directory)
                    .map_err(vanished_or_not)?;
                return make_marked(parent, place);
            }
            Err(_) => {}
        }
    }
    if !place.is_directory {
        return make_beside(parent, place, &companion, file);
    }
    // mkdir(2) returns no descriptor, so the directory we opened may by now belong to another run.
    // The companion is a file instead, which O_EXCL gives to one run alone.
    fs::unlinkat(parent, companion.name(), true).map_err(vanished_or_not)?;
    let (file, ..) = create_aside(parent, place, &companion, false)?;
    make_beside(parent, place, &companion, file)
}

/// Makes a directory or file under the name of the companion, and locks it.
fn create_aside(
    parent: BorrowedFd,
    place: &Place,
    companion: &Companion,
    is_directory: bool,
) -> Result<(OwnedFd, bool, Stat), Refused> {
    let file = match create(parent, companion.name(), is_directory) {
        Err(Errno::EEXIST) => {
            // Another run is making it. If it is still there after a moment, it may be stale.
            pause(place.watched).map_err(Refused::Lock)?;
            return Err(match companion.remove_stale(parent, place.name) {
                Ok(()) => Refused::Vanished,
                Err(errno) if has_no_locks(errno) => Refused::Lock(errno),
                Err(errno) => Refused::Make(errno),
            });
        }
        file => file.map_err(vanished_or_not)?,
    };
    let (is_locked, stat) = lock_made(parent, companion.name(), file.borrow(), place)?;
    Ok((file, is_locked, stat))
}

/// Makes a temporary mount point whose mark is its companion. This run has made the companion and
/// holds its lock until the mount point exists.
fn make_beside(
    parent: BorrowedFd,
    place: &Place,
    companion: &Companion,
    _held: OwnedFd,
) -> Result<Shared, Refused> {
    let file = create(parent, place.name, place.is_directory).map_err(|errno| {
        // The name belongs to somebody else's file.
        let _ = companion.remove(parent);
        vanished_or_not(errno)
    })?;
    let made = lock_made(parent, place.name, file.borrow(), place).and_then(|(is_locked, stat)| {
        let (identity, now) = (
            stat.identity(),
            fs::stat_at(parent, place.name).map_err(gone)?,
        );
        // Another run has removed it before we had the lock.
        match now.identity() == identity && companion.is_there(parent).map_err(gone)? {
            true => Ok((is_locked, identity)),
            false => Err(Refused::Vanished),
        }
    });
    let (is_locked, identity) = made.inspect_err(|refused| {
        if !matches!(refused, Refused::Vanished) {
            remove_made(parent, place.name, file.borrow());
            let _ = companion.remove(parent);
        }
    })?;
    Ok(Shared {
        file,
        identity,
        is_locked,
        has_companion: true,
        kept_its_mode: false,
    })
}

/// Makes a directory or a file, and opens it for locking.
fn create(parent: BorrowedFd, name: &CStr, is_directory: bool) -> Result<OwnedFd, Errno> {
    if !is_directory {
        let flags = fs::O_RDONLY | fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW;
        return fs::openat(parent, name, flags, FILE_MODE);
    }
    fs::mkdirat(parent, name, DIRECTORY_MODE)?;
    match open_to_lock(parent, name, true) {
        // A umask such as 0777 takes the right to read from the owner.
        Err(Errno::EACCES) => {
            fs::unlinkat(parent, name, true)?;
            let umask = fs::umask(0);
            let made = fs::mkdirat(parent, name, DIRECTORY_MODE);
            fs::umask(umask);
            made.and_then(|()| open_to_lock(parent, name, true))
        }
        Err(errno) if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {
            // Nobody else would remove it.
            let _ = fs::unlinkat(parent, name, true);
            Err(errno)
        }
        opened => opened,
    }
}

/// Takes the shared lock of the run that made it. Returns whether it is locked and its status:
/// false where the file system has no locks, and then this run removes it in any case. On failure
/// nothing is left behind.
fn lock_made(
    parent: BorrowedFd,
    name: &CStr,
    file: BorrowedFd,
    place: &Place,
) -> Result<(bool, Stat), Refused> {
    let is_locked = match lock_shared(file, place.watched) {
        Ok(()) => Ok(true),
        Err(errno) if has_no_locks(errno) => Ok(false),
        Err(errno) => Err(Refused::Lock(errno)),
    };
    let made = is_locked.and_then(|is_locked| {
        let stat = fs::stat(file).map_err(|errno| match has_no_locks(errno) {
            // The lock was no problem.
            true => Refused::Make(errno),
            false => gone(errno),
        })?;
        match stat.links {
            // Another run took it for a stale one and removed it before we had the lock.
            0 => Err(Refused::Vanished),
            _ => Ok((is_locked, stat)),
        }
    });
    made.inspect_err(|_| remove_made(parent, name, file))
}

/// Removes a file or directory that was made but is not yet recorded, unless another object has its
/// name by now.
fn remove_made(parent: BorrowedFd, name: &CStr, file: BorrowedFd) {
    let _ = match (fs::stat_at(parent, name), fs::stat(file)) {
        (Ok(now), Ok(made)) if now.identity() == made.identity() => {
            fs::unlinkat(parent, name, now.is_directory())
        }
        // A filter refuses statx(2), which nothing before needed. This removes an empty directory
        // only, and another run that is about to rename one of this name makes a new one.
        (Err(_), Err(_)) if Companion::is_name(name.to_bytes()) => fs::unlinkat(parent, name, true),
        _ => Ok(()),
    };
}

/// Sorts the errors of making: `Vanished` if another run was faster, with a directory or a file, or
/// has just removed the parent directory.
fn vanished_or_not(errno: Errno) -> Refused {
    match errno {
        Errno::EEXIST | Errno::ENOENT | Errno::ENOTDIR | Errno::EISDIR | Errno::ELOOP => {
            Refused::Vanished
        }
        errno => Refused::Make(errno),
    }
}

/// Sorts the errors of looking at it: `Vanished` if it was removed.
pub(crate) fn gone(errno: Errno) -> Refused {
    match errno {
        Errno::ENOENT | Errno::ESTALE => Refused::Vanished,
        errno => Refused::Lock(errno),
    }
}
