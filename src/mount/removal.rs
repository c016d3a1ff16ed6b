//! Removal of temporary mount points: each one by its directory, its name there and its identity.
//!
//! Nothing else is ever removed. An object with another identity, mode or content belongs to
//! somebody else and stays. The exclusive lock keeps the removal apart from another run that is
//! about to mount there.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::mount::lock::{has_no_locks, lock_exclusive, open_to_lock, pause};
use crate::mount::mark::{Companion, Held, Marks, is_bare, is_marked};
use crate::mount::resolve::{Bound, CName, Next, Walk, open_landing};
use crate::sys::fs::{Identity, Lock, Stat};
use crate::sys::{BorrowedFd, Errno, fs};
use crate::text::path::split_last;

/// A temporary mount point as it is reported to the supervisor and removed.
pub(crate) struct Record<'a> {
    /// The landing of its directory, empty for the root.
    pub(crate) above: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) identity: Identity,
    pub(crate) is_directory: bool,
    pub(crate) has_companion: bool,
    pub(crate) is_locked: bool,
}

/// Removes a recorded temporary mount point from outside the run, finding its directory again
/// without following a link. Succeeds without removing anything if it is no longer that mount
/// point.
pub(crate) fn remove_recorded(root: BorrowedFd, record: &Record) -> Result<(), Errno> {
    let name = CName::new(record.name)?;
    let opened = open_landing(root, record.above).and_then(|parent| {
        let file = open_to_lock(parent.borrow(), name.as_c_str(), record.is_directory)?;
        Ok((parent, file))
    });
    let (parent, file) = match opened {
        Ok(opened) => opened,
        // Somebody renamed or removed it, or another object has its name.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENXIO) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let stat = fs::stat(file.borrow())?;
    let identity = stat.identity();
    if record.is_locked && !Marks::default().keeps_modes(file.borrow(), &stat) {
        await_release(parent.borrow(), name.as_c_str(), file.borrow());
    }
    // Where a file system does not keep modes, it may also change the inode number of a file that
    // nobody has open. The companion is then the only proof.
    match identity == record.identity || record.has_companion {
        true => remove(
            parent.borrow(),
            file.borrow(),
            &Record {
                identity,
                ..*record
            },
        ),
        false => Ok(()),
    }
}

/// Waits a moment until a server has released the lock of a process that has ended. FUSE_RELEASE is
/// sent in the background, so the lock may outlive the process.
fn await_release(parent: BorrowedFd, name: &CStr, file: BorrowedFd) {
    for _ in 0..20 {
        match lock_exclusive(parent, name, file) {
            Err(Errno::EAGAIN) if pause(&[]).is_ok() => {}
            _ => return,
        }
    }
}

/// Removes the unused temporary mount points on the way to a target and at its end, the last one
/// first. This serves a run whose pid 1 was killed before it could report its mount points.
pub(crate) fn sweep(root: BorrowedFd, target: &[u8]) -> Result<(), Errno> {
    let (mut walk, mut marks) = (Walk::new(), Marks::default());
    let mut landings: Vec<(Vec<u8>, Stat)> = Vec::new();
    walk.begin(target, Bound::InRoot)?;
    loop {
        match walk.next(root) {
            Ok(Next::Entered(stat)) => {
                let (above, here) = (walk.above(root), walk.here(root));
                if let Ok(true) = marks.is_stub(above, walk.name(), here, &stat) {
                    landings.push((walk.landing().to_vec(), stat));
                }
            }
            Ok(Next::Redirected) => {}
            Ok(Next::Missing) => {
                let companion = Companion::of(walk.name());
                let _ = companion.remove_stale(walk.here(root), walk.name());
                break;
            }
            // A path that leads nowhere has no mount point.
            Ok(Next::End) | Err(_) => break,
        }
    }
    for (landing, stat) in landings.iter().rev() {
        let (above, name) = split_last(landing);
        remove_recorded(
            root,
            &Record {
                above,
                name,
                identity: stat.identity(),
                is_directory: stat.is_directory(),
                has_companion: !is_marked(stat),
                is_locked: true,
            },
        )?;
    }
    Ok(())
}

/// How often an empty directory may be refused as not empty. Each other run that uses it may cause that
/// once; a file system that hides files may do it indefinitely.
const REFUSALS_MAX: usize = 100;

/// Removes a temporary mount point that `file` has open, if no other run uses it.
pub(crate) fn remove(parent: BorrowedFd, file: BorrowedFd, record: &Record) -> Result<(), Errno> {
    let name = CName::new(record.name)?;
    let name = name.as_c_str();
    for _ in 0..REFUSALS_MAX {
        let _writable = match record.is_locked.then(|| lock_exclusive(parent, name, file)) {
            Some(Err(Errno::EAGAIN)) => return Ok(()),
            Some(locked) => locked?,
            None => None,
        };
        let companion = Companion::of(name);
        let held = match record.has_companion {
            true => Some(hold(&companion, parent, record.is_locked)?),
            false => None,
        };
        let remove_companion = || match &held {
            Some(_) => companion.remove(parent),
            None => Ok(()),
        };
        // Without a companion it is an ordinary file, or another run is removing it now.
        if let Some(Held::Gone | Held::Used) = held {
            return Ok(());
        }
        let now = match fs::stat_at(parent, name) {
            Err(Errno::ENOENT) => return remove_companion(),
            now => now?,
        };
        let is_stub = match record.has_companion {
            true => is_bare(&now),
            false => is_marked(&now),
        };
        if now.identity() != record.identity {
            // A mount that could not be detached covers it in this mount namespace.
            return match now.mount_id == fs::stat(file)?.mount_id {
                true => Ok(()),
                false => Err(Errno::EBUSY),
            };
        }
        // It has another mode or has contents: somebody uses it as an ordinary file or directory.
        if !is_stub {
            return remove_companion();
        }
        match fs::unlinkat(parent, name, record.is_directory) {
            Ok(()) | Err(Errno::ENOENT) => return remove_companion(),
            Err(Errno::ENOTEMPTY) => {}
            Err(errno) => return Err(errno),
        }
        if !holds_only_stubs(file)? {
            // The command has created something in it. Make it an ordinary directory.
            let made = fs::fchmod(file, 0o755 | now.permissions() & 0o2000);
            return match record.has_companion {
                true => remove_companion(),
                false => made,
            };
        }
        // Another run that emptied it meanwhile could not get the lock and left the removal to us,
        // so look again after releasing the lock.
        if record.is_locked {
            fs::flock(file, Lock::Unlock)?;
        }
        if !is_empty(parent, name)? {
            return Ok(());
        }
    }
    Err(Errno::ENOTEMPTY)
}

/// Calls [`Companion::hold`] again for a moment while the companion is in use. Another run may have
/// locked it to check whether it is stale; that run releases it as soon as it sees the mount point.
fn hold(companion: &Companion, parent: BorrowedFd, has_locks: bool) -> Result<Held, Errno> {
    for _ in 0..3 {
        match companion.hold(parent, has_locks) {
            Ok(
                Held::Used
                | Held::Ours {
                    is_directory: true, ..
                },
            ) => pause(&[])?,
            // A file system may have locks for directories and none for files. The lock on the
            // mount point itself is sufficient.
            Err(errno) if has_no_locks(errno) => return companion.hold(parent, false),
            held => return held,
        }
    }
    Ok(Held::Used)
}

/// Returns whether a directory holds only temporary mount points. A name with something mounted on
/// it counts as one, because the mount hides the directory below it.
fn holds_only_stubs(directory: BorrowedFd) -> Result<bool, Errno> {
    // A separate open file description: it lists from the first name each time.
    let listed = fs::openat(directory, c".", fs::O_RDONLY | fs::O_DIRECTORY, 0)?;
    let listed = listed.borrow();
    let (mount_id, mut marks) = (fs::stat(directory)?.mount_id, Marks::default());
    let mut is_stub = |name: &CStr| {
        let stat = fs::stat_at(listed, name)?;
        let is_companion = Companion::is_name(name.to_bytes()) && is_bare(&stat);
        match is_companion || stat.mount_id != mount_id {
            true => Ok(true),
            false => marks.is_stub(listed, name, listed, &stat),
        }
    };
    let mut only_stubs = Ok(true);
    fs::visit_names(listed, &mut |name| {
        only_stubs = match CName::new(name).and_then(|name| is_stub(name.as_c_str())) {
            Err(Errno::ENOENT) => Ok(true),
            is_stub => is_stub,
        };
        only_stubs == Ok(true)
    })?;
    only_stubs
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
