//! From the initramfs into the real root.

use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::mount::resolve::resolve;
use crate::sys::fs::Stat;
use crate::sys::mount::{MNT_DETACH, MS_MOVE, mount, move_mount_at, pivot_root, umount};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// Makes the mount at `new_root` the root, with `/dev`, `/proc`, `/sys` and `/run` moved there,
/// and frees the initramfs.
pub(super) fn switch_root(new_root: &CStr) -> Result<(), Error> {
    let failed = |errno| Error::new(Step::PivotRoot, b"", errno);
    let initramfs = open_directory(c"/").map_err(failed)?;
    let root = open_directory(new_root).map_err(failed)?;
    for path in [c"/dev", c"/proc", c"/sys", c"/run"] {
        move_into(root.borrow(), path)?;
    }
    fs::fchdir(root.borrow()).map_err(failed)?;
    // Possible with an initramfs since Linux 7.0, where its root is not the namespace's.
    match pivot_root(c".", c".") {
        Ok(()) => umount(c".", MNT_DETACH),
        Err(Errno::EINVAL) => {
            delete_all(initramfs.borrow()).map_err(failed)?;
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

/// Where the new root has no directory for it, it goes with the initramfs.
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

/// Deletes what is in the initramfs's root, to give its memory back; other file systems, such as
/// the new root, are not entered.
fn delete_all(initramfs: BorrowedFd) -> Result<(), Errno> {
    let top = fs::stat(initramfs)?;
    delete_below(initramfs, &top)
}

fn delete_below(directory: BorrowedFd, top: &Stat) -> Result<(), Errno> {
    // What is left is only memory, so nothing ends this.
    fs::visit_names(directory, &mut |name| {
        let mut path = crate::text::path::PathBuffer::new();
        if path.push(name).is_err() {
            return true;
        }
        let name = path.as_c_str();
        if fs::unlinkat(directory, name, false) == Err(Errno::EISDIR) {
            let flags = fs::O_RDONLY | fs::O_DIRECTORY | fs::O_NOFOLLOW;
            if let Ok(below) = fs::openat(directory, name, flags, 0) {
                // What is mounted on the directory shows here.
                if fs::stat(below.borrow()).is_ok_and(|stat| stat.is_on_same_device(top)) {
                    let _ = delete_below(below.borrow(), top);
                    let _ = fs::unlinkat(directory, name, true);
                }
            }
        }
        true
    })
}
