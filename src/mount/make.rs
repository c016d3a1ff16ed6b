//! How a temporary mount point is made, so that it has its mark from the instant in which it has its
//! name, and a share in it is taken.

use core::ffi::CStr;

use crate::mount::lock::{has_no_locks, lock_shared, open_to_lock, pause};
use crate::mount::mark::{Companion, DIRECTORY_MODE, FILE_MODE, is_marked};
use crate::sys::fs::{Identity, Stat};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// A stub that this run uses.
pub(crate) struct Shared {
    /// The lock, and the mount point: one descriptor for both, since a second one of this run would
    /// refuse the first its exclusive lock.
    pub(crate) file: OwnedFd,
    pub(crate) identity: Identity,
    pub(crate) is_locked: bool,
    pub(crate) has_companion: bool,
    /// It is a directory that was given its mode as this was asked for. Then so is all that is made
    /// beside it and in it, a file too, of which fewer bits are asked for.
    pub(crate) kept_its_mode: bool,
}

/// Where a stub is made or was found.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The directory, and its landing.
    pub(crate) parent: Directory<'a>,
    pub(crate) above: &'a [u8],
    pub(crate) name: &'a CStr,
    pub(crate) is_directory: bool,
    /// What ends the wait for somebody else's lock.
    pub(crate) watched: &'a [BorrowedFd<'a>],
}

#[derive(Clone, Copy)]
pub(crate) enum Directory<'a> {
    Found(BorrowedFd<'a>),
    Stub(usize),
}

/// Why a stub cannot be had.
pub(crate) enum Refused {
    /// It vanished: the mount point is to be looked for again.
    Vanished,
    /// It cannot be made.
    Make(Errno),
    /// Somebody holds a lock on it, or there are no locks.
    Lock(Errno),
}

/// Makes a stub where modes are kept: it has its mark at once.
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

/// Makes a stub under the name of its companion, marks it, and gives it its own name. Where it cannot
/// be marked or renamed, its mark is to be the companion.
pub(crate) fn make_aside(parent: BorrowedFd, place: &Place) -> Result<Shared, Refused> {
    let companion = Companion::of(place.name);
    let (file, is_locked, mut stat) = create_aside(parent, place, &companion, place.is_directory)?;
    let kept_its_mode = is_marked(&stat);
    if !kept_its_mode {
        let mode = match place.is_directory {
            true => DIRECTORY_MODE,
            false => FILE_MODE,
        };
        // A default ACL took bits from the mode that we asked for. It never takes the
        // sticky bit: an inode without it may be another program's, swapped in after our mkdir(2).
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
            // NFS and many a FUSE server do not know the flag.
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
    // mkdir(2) gives no descriptor, so what was opened may by now be another run's: a companion is a
    // file, which O_EXCL makes one run's alone.
    fs::unlinkat(parent, companion.name(), true).map_err(vanished_or_not)?;
    let (file, ..) = create_aside(parent, place, &companion, false)?;
    make_beside(parent, place, &companion, file)
}

/// Makes something under the name of the companion, and locks it.
fn create_aside(
    parent: BorrowedFd,
    place: &Place,
    companion: &Companion,
    is_directory: bool,
) -> Result<(OwnedFd, bool, Stat), Refused> {
    let file = match create(parent, companion.name(), is_directory) {
        Err(Errno::EEXIST) => {
            // Another run is making it, unless it does so for longer than a moment.
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

/// Makes a stub whose mark is its companion, which this run has made and holds until then.
fn make_beside(
    parent: BorrowedFd,
    place: &Place,
    companion: &Companion,
    _held: OwnedFd,
) -> Result<Shared, Refused> {
    let file = create(parent, place.name, place.is_directory).map_err(|errno| {
        // What has the name has it from somebody else, and is no stub.
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

/// Makes a directory or a file and opens it to be locked.
fn create(parent: BorrowedFd, name: &CStr, is_directory: bool) -> Result<OwnedFd, Errno> {
    if !is_directory {
        let flags = fs::O_RDONLY | fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW;
        return fs::openat(parent, name, flags, FILE_MODE);
    }
    fs::mkdirat(parent, name, DIRECTORY_MODE)?;
    match open_to_lock(parent, name, true) {
        // A mask for new files such as 0777 takes the right from us.
        Err(Errno::EACCES) => {
            fs::unlinkat(parent, name, true)?;
            let umask = fs::umask(0);
            let made = fs::mkdirat(parent, name, DIRECTORY_MODE);
            fs::umask(umask);
            made.and_then(|()| open_to_lock(parent, name, true))
        }
        Err(errno) if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {
            // Nobody would remove it.
            let _ = fs::unlinkat(parent, name, true);
            Err(errno)
        }
        opened => opened,
    }
}

/// Takes the share of the run that made it, and says what was made; false without locks, when this
/// run removes it in any case. Where that fails nothing is left.
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
        let stat = fs::stat(file).map_err(gone)?;
        match stat.links {
            // Another run took it for one that was left behind before we had the lock.
            0 => Err(Refused::Vanished),
            _ => Ok((is_locked, stat)),
        }
    });
    made.inspect_err(|_| remove_made(parent, name, file))
}

/// Removes what was made and is not yet remembered, unless something else has its name by now.
fn remove_made(parent: BorrowedFd, name: &CStr, file: BorrowedFd) {
    if let (Ok(now), Ok(made)) = (fs::stat_at(parent, name), fs::stat(file)) {
        if now.identity() == made.identity() {
            let _ = fs::unlinkat(parent, name, now.is_directory());
        }
    }
}

/// Another run was faster, with a directory or a file; or it has just removed the directory that we
/// are in.
fn vanished_or_not(errno: Errno) -> Refused {
    match errno {
        Errno::EEXIST | Errno::ENOENT | Errno::ENOTDIR | Errno::EISDIR | Errno::ELOOP => {
            Refused::Vanished
        }
        errno => Refused::Make(errno),
    }
}

/// It was removed, or cannot be looked at.
pub(crate) fn gone(errno: Errno) -> Refused {
    match errno {
        Errno::ENOENT | Errno::ESTALE => Refused::Vanished,
        errno => Refused::Lock(errno),
    }
}
