//! Enters the real root from the initramfs, and frees the memory of the initramfs.
//!
//! Before Linux 7.0 the initramfs is the root of the mount namespace, which `pivot_root(2)` cannot
//! replace (EINVAL). Its files are then deleted, except under an overlay, and the new root is moved
//! over it.

use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::mount::resolve::resolve;
use crate::sys::fs::Stat;
use crate::sys::mount::{MNT_DETACH, MS_MOVE, mount, move_mount_at, pivot_root, umount};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// Makes the mount at `new_root` the root, with `/dev`, `/proc`, `/sys` and `/run` moved there,
/// and frees the initramfs, unless the new root uses its files.
pub(super) fn switch_root(new_root: &CStr, uses_initramfs: bool) -> Result<(), Error> {
    let failed = |errno| Error::new(Step::PivotRoot, b"", errno);
    let initramfs = open_directory(c"/").map_err(failed)?;
    let root = open_directory(new_root).map_err(failed)?;
    for path in [c"/dev", c"/proc", c"/sys", c"/run"] {
        move_into(root.borrow(), path)?;
    }
    fs::fchdir(root.borrow()).map_err(failed)?;
    // From Linux 7.0 the initramfs is mounted on top of the namespace's root, so this works.
    match pivot_root(c".", c".") {
        Ok(()) => umount(c".", MNT_DETACH),
        Err(Errno::EINVAL) => {
            if !uses_initramfs {
                delete_all(initramfs.borrow()).map_err(failed)?;
            }
            mount(c".", c"/", c"", MS_MOVE, c"").and_then(|()| fs::chroot(c"."))
        }
        Err(errno) => Err(errno),
    }
    .and_then(|()| fs::chdir(c"/"))
    .map_err(failed)
}

fn open_directory(path: &CStr) -> Result<OwnedFd, Errno> {
    fs::openat(BorrowedFd::CWD, path, fs::O_RDONLY | fs::O_DIRECTORY, 0)
}

/// Moves a mount into the new root, or unmounts it if the new root has no directory for it.
fn move_into(root: BorrowedFd, path: &CStr) -> Result<(), Error> {
    let moved = match resolve(root, path) {
        Ok(target) => match move_mount_at(path, target.borrow()) {
            Err(Errno::ENOSYS) => {
                fs::fchdir(target.borrow()).and_then(|()| mount(path, c".", c"", MS_MOVE, c""))
            }
            moved => moved,
        },
        Err(Errno::ENOENT | Errno::ENOTDIR) => umount(path, MNT_DETACH),
        Err(errno) => Err(errno),
    };
    moved.map_err(|errno| Error::new(Step::MoveMount, path.to_bytes(), errno))
}

/// Deletes all files of the initramfs, to free their memory. Other file systems, such as the new root,
/// are not entered.
fn delete_all(initramfs: BorrowedFd) -> Result<(), Errno> {
    let top = fs::stat(initramfs)?;
    delete_below(initramfs, &top)
}

fn delete_below(directory: BorrowedFd, top: &Stat) -> Result<(), Errno> {
    // A file that cannot be deleted only costs memory, so no error stops this.
    fs::visit_names(directory, &mut |name| {
        let mut path = crate::text::path::PathBuffer::new();
        if path.push(name).is_err() {
            return true;
        }
        let name = path.as_c_str();
        if fs::unlinkat(directory, name, false) == Err(Errno::EISDIR) {
            let flags = fs::O_RDONLY | fs::O_DIRECTORY | fs::O_NOFOLLOW;
            if let Ok(below) = fs::openat(directory, name, flags, 0) {
                // Another device means that something is mounted on the directory.
                if fs::stat(below.borrow()).is_ok_and(|stat| stat.is_on_same_device(top)) {
                    let _ = delete_below(below.borrow(), top);
                    let _ = fs::unlinkat(directory, name, true);
                }
            }
        }
        true
    })
}
