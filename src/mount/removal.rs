//! Temporary mount points are removed as what they are remembered as: by the directory that they were
//! made in, their name there, and their identity.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::mount::lock::{has_no_locks, lock_exclusive, open_to_lock, pause};
use crate::mount::mark::{Companion, Held, Marks, is_bare, is_marked};
use crate::mount::resolve::{Bound, CName, Next, Walk, open_landing};
use crate::sys::fs::{Identity, Lock, Stat};
use crate::sys::{BorrowedFd, Errno, fs};
use crate::text::path::split_last;

/// A stub as it is told of and removed.
pub(crate) struct Record<'a> {
    /// The landing of its directory: a path without links, empty for the root.
    pub(crate) above: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) identity: Identity,
    pub(crate) is_directory: bool,
    pub(crate) has_companion: bool,
    pub(crate) is_locked: bool,
}

/// Removes the stub of a record, from outside of the run: its directory is found again without
/// following a link. What is not that stub any more stays, and that is no error.
pub(crate) fn remove_recorded(root: BorrowedFd, record: &Record) -> Result<(), Errno> {
    let name = CName::new(record.name)?;
    let opened = open_landing(root, record.above).and_then(|parent| {
        let file = open_to_lock(parent.borrow(), name.as_c_str(), record.is_directory)?;
        Ok((parent, file))
    });
    let (parent, file) = match opened {
        Ok(opened) => opened,
        // Somebody renamed or removed it, or what is there now is no stub.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENXIO) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let stat = fs::stat(file.borrow())?;
    let identity = stat.identity();
    if record.is_locked && !Marks::default().keeps_modes(file.borrow(), &stat) {
        await_release(parent.borrow(), name.as_c_str(), file.borrow());
    }
    // Where modes are not kept, an inode's number may not be either, once nobody has it open: then
    // the companion alone tells.
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

/// A server hears of the files that an ended process had open after others know of its end
/// (FUSE_RELEASE is sent in the background), so its lock may last a moment longer.
fn await_release(parent: BorrowedFd, name: &CStr, file: BorrowedFd) {
    for _ in 0..20 {
        match lock_exclusive(parent, name, file) {
            Err(Errno::EAGAIN) if pause(&[]).is_ok() => {}
            _ => return,
        }
    }
}

/// Removes the stubs on the way to a target and at its end, the last one first, as far as no run uses
/// them: for a run whose pid 1 was killed before it could report what it had made.
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
            // What leads nowhere has no mount point.
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

/// Removes a stub that `file` has open, if no other run uses it.
pub(crate) fn remove(parent: BorrowedFd, file: BorrowedFd, record: &Record) -> Result<(), Errno> {
    let name = CName::new(record.name)?;
    let name = name.as_c_str();
    loop {
        let _writable = match record.is_locked.then(|| lock_exclusive(parent, name, file)) {
            // Another run uses it.
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
        // Without the companion it is somebody's own, or another run is just at it.
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
        // With another mode, or with something in it, somebody has made it their own.
        if !is_stub {
            return remove_companion();
        }
        match fs::unlinkat(parent, name, record.is_directory) {
            Ok(()) | Err(Errno::ENOENT) => return remove_companion(),
            Err(Errno::ENOTEMPTY) => {}
            Err(errno) => return Err(errno),
        }
        if !holds_only_stubs(file)? {
            // The command has made it its own. From now on it is an ordinary directory.
            let made = fs::fchmod(file, 0o755 | now.permissions() & 0o2000);
            return match record.has_companion {
                true => remove_companion(),
                false => made,
            };
        }
        // Whoever emptied it while we held the lock was refused the lock and leaves it to us, so
        // look again after letting go.
        if record.is_locked {
            fs::flock(file, Lock::Unlock)?;
        }
        if !is_empty(parent, name)? {
            return Ok(());
        }
    }
}

/// As [`Companion::hold`]. Another run may be looking whether it was left behind: after a moment it
/// sees the stub, and lets go.
fn hold(companion: &Companion, parent: BorrowedFd, has_locks: bool) -> Result<Held, Errno> {
    for _ in 0..3 {
        match companion.hold(parent, has_locks) {
            Ok(
                Held::Used
                | Held::Ours {
                    is_directory: true, ..
                },
            ) => pause(&[])?,
            // Directories may have locks where files have none. That of the stub is enough.
            Err(errno) if has_no_locks(errno) => return companion.hold(parent, false),
            held => return held,
        }
    }
    Ok(Held::Used)
}

/// What is mounted on a stub, and hides it from us, is taken for one.
fn holds_only_stubs(directory: BorrowedFd) -> Result<bool, Errno> {
    // A descriptor of its own, which begins with the first name each time.
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
    let mut only_stubs = true;
    fs::visit_names(listed, &mut |name| {
        only_stubs = match CName::new(name).and_then(|name| is_stub(name.as_c_str())) {
            Ok(is_stub) => is_stub,
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
