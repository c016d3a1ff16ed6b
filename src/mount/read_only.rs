//! A root that cannot be written.
//!
//! It becomes so in two steps, before anything of ours runs in it: first all that is mounted below
//! the root's top, then, when mount points have been made and mounts attached, the top itself. So
//! what was attached stays as writable as it was asked for.

use crate::mount::remount;
use crate::sys::mount::{MOUNT_ATTR_RDONLY, MS_RDONLY, mount_setattr};
use crate::sys::{BorrowedFd, Errno, fs};

/// Makes every mount below the top of `root` read-only.
pub(crate) fn protect_below(root: BorrowedFd) -> Result<(), Errno> {
    let was_writable = fs::statfs(root)?.1 as u32 & MS_RDONLY == 0;
    match mount_setattr(root, MOUNT_ATTR_RDONLY, 0, true) {
        Err(Errno::ENOSYS) => return remount::set_flags_below(root, c"/", MS_RDONLY),
        result => result?,
    }
    match was_writable {
        true => unprotect(root),
        false => Ok(()),
    }
}

/// Makes the top of `root` read-only.
pub(crate) fn protect(root: BorrowedFd) -> Result<(), Errno> {
    match mount_setattr(root, MOUNT_ATTR_RDONLY, 0, false) {
        Err(Errno::ENOSYS) => remount::change_flags(root, MS_RDONLY, 0),
        result => result,
    }
}

/// Undoes [`protect`], to remove the mount points that were made there.
pub(crate) fn unprotect(root: BorrowedFd) -> Result<(), Errno> {
    match mount_setattr(root, 0, MOUNT_ATTR_RDONLY, false) {
        Err(Errno::ENOSYS) => remount::change_flags(root, 0, MS_RDONLY),
        result => result,
    }
}
