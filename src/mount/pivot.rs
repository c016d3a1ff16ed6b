//! Becoming the root.

use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::sys::mount::{
    MNT_DETACH, MS_BIND, MS_REC, MS_SLAVE, mount, move_mount_to_root, open_tree, pivot_root, umount,
};
use crate::sys::process::{CLONE_NEWNS, pidfd_open, setns};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, process};

/// Where the caller's root lies in the mount namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outside {
    /// At the namespace's own root.
    NamespaceRoot,
    /// In a chroot: there is more above, which must not stay within reach.
    Chroot,
}

/// What is known of the caller's root.
pub(crate) struct Found {
    pub(crate) outside: Outside,
    /// It belongs to nobody of our user namespace.
    pub(crate) is_nobodys: bool,
    /// What was opened to find that out.
    pub(crate) needed: [OwnedFd; 2],
}

/// What the kernel shows of a user that has no number here (`kernel.overflowuid`).
const NOBODY: u32 = 65534;

/// Finds out whether the caller's root is that of its mount namespace, and with which descriptors.
/// `setns(2)` into our own mount namespace (by pidfd: Linux 5.8) sets the root to the namespace's. The
/// current directory is lost.
pub(crate) fn find_outside(pid: i32) -> Result<Found, Error> {
    let failed = |errno| Error::new(Step::Propagation, b"", errno);
    let root = fs::openat(BorrowedFd::CWD, c"/", fs::O_PATH | fs::O_DIRECTORY, 0);
    let root = root.map_err(failed)?;
    let (outside, namespace, user) = climb(root.borrow(), pid).map_err(|errno| match errno {
        Errno::ENOENT => Error::new(Step::Namespace, b"mnt", errno),
        errno => failed(errno),
    })?;
    if outside == Outside::Chroot {
        fs::fchdir(root.borrow()).map_err(failed)?;
        fs::chroot(c".").map_err(failed)?;
    }
    Ok(Found {
        outside,
        is_nobodys: user == NOBODY,
        needed: [root, namespace],
    })
}

/// Cuts the way from this (new) mount namespace back to the host's: mounts still flow in, nothing
/// flows out.
///
/// All of the namespace is meant, also what lies above a chroot that the caller runs in: when the
/// old root is detached, that would be unmounted on the host too.
pub(crate) fn make_slave(outside: Outside) -> Result<(), Error> {
    let failed = |errno| Error::new(Step::Propagation, b"", errno);
    if outside == Outside::NamespaceRoot {
        return make_all_slaves();
    }
    let root = fs::openat(BorrowedFd::CWD, c"/", fs::O_PATH | fs::O_DIRECTORY, 0);
    let root = root.map_err(failed)?;
    let current = fs::openat(BorrowedFd::CWD, c".", fs::O_PATH, 0).map_err(failed)?;
    climb(root.borrow(), process::id()).map_err(failed)?;
    make_all_slaves()?;
    fs::fchdir(root.borrow()).map_err(failed)?;
    fs::chroot(c".").map_err(failed)?;
    fs::fchdir(current.borrow()).map_err(failed)
}

/// Makes our root, and all that is mounted below it, slaves of what they are copies of.
fn make_all_slaves() -> Result<(), Error> {
    mount(c"", c"/", c"", MS_REC | MS_SLAVE, c"")
        .map_err(|errno| Error::new(Step::Propagation, b"", errno))
}

/// Makes the namespace's root our root and current directory, and says whether `root`, which
/// was ours, is another, and whose that is. `pid` is ours.
fn climb(root: BorrowedFd, pid: i32) -> Result<(Outside, OwnedFd, u32), Errno> {
    let before = fs::stat(root)?;
    let proc = || fs::openat(BorrowedFd::CWD, c"/proc/self/ns/mnt", fs::O_RDONLY, 0);
    let namespace = pidfd_open(pid).or_else(|_| proc())?;
    setns(namespace.borrow(), CLONE_NEWNS)?;
    let outside = match fs::stat_at(BorrowedFd::CWD, c"/")? == before {
        true => Outside::NamespaceRoot,
        false => Outside::Chroot,
    };
    Ok((outside, namespace, before.user))
}

/// What is mounted on our root: `..` of the root is the root, and there, unlike at the start of a
/// path, the kernel does go up to what is mounted on it.
pub(crate) const ON_TOP_OF_ROOT: &CStr = c"/..";

/// Attaches a copy of the current directory, with all that is mounted below it, on top of our root,
/// and gives a descriptor for it. Paths go on to mean what they did, since a path starts below what
/// is mounted on the root.
///
/// A tree that was taken already is attached instead of the copy.
pub(crate) fn attach_new_root(taken: Option<OwnedFd>) -> Result<OwnedFd, Errno> {
    if let Some(tree) = taken {
        return move_mount_to_root(tree.borrow()).map(|()| tree);
    }
    match open_tree(BorrowedFd::CWD, c".", true) {
        Ok(tree) => match move_mount_to_root(tree.borrow()) {
            Err(Errno::ENOSYS) => {}
            result => return result.map(|()| tree),
        },
        Err(Errno::ENOSYS) => {}
        Err(errno) => return Err(errno),
    }
    mount(c".", c"/", c"", MS_BIND | MS_REC, c"")?;
    let flags = fs::O_PATH | fs::O_DIRECTORY;
    fs::openat(BorrowedFd::CWD, ON_TOP_OF_ROOT, flags, 0)
}

/// Makes the current directory, which is the top of what [`attach_new_root`] attached, the root of this
/// mount namespace. The old one lies on top of it then. In a chroot `new_root` is the descriptor of
/// the same.
pub(crate) fn enter(new_root: Option<BorrowedFd>, outside: Outside) -> Result<(), Error> {
    let failed = |errno| Error::new(Step::PivotRoot, b"", errno);
    if let (Outside::Chroot, Some(new_root)) = (outside, new_root) {
        climb(new_root, process::id()).map_err(failed)?;
        fs::fchdir(new_root).map_err(failed)?;
    }
    // With `.` as both, put_old lies on top of the new root, where umount2 finds it
    // (pivot_root(2), NOTES).
    pivot_root(c".", c".").map_err(failed)
}

/// Detaches the old root with all that is mounted there: no path leads to it any more, not even for
/// a root user's `chroot(2)` and `..`. Where the new root is an overlay, its memory lies between
/// both.
pub(crate) fn detach_old_root(outside: Outside, is_overlay: bool) -> Result<(), Error> {
    let detach =
        || umount(c".", MNT_DETACH).map_err(|errno| Error::new(Step::DetachOldRoot, b"", errno));
    // On the old root itself the memory is still on top of it; in a chroot somewhere below.
    if is_overlay && outside == Outside::NamespaceRoot {
        detach()?;
    }
    detach()
}
