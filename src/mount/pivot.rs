//! Entering the new root: its mounts are attached on top of our root, `pivot_root(2)` makes them
//! the root of the mount namespace, and the old root is unmounted, not just hidden.
//!
//! No mount made here reaches the host: the whole mount namespace is a slave, also the part above a
//! chroot that the caller runs in.

use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::sys::mount::{
    MNT_DETACH, MS_BIND, MS_REC, MS_SLAVE, mount, move_mount_to_root, open_tree, pivot_root, umount,
};
use crate::sys::process::{CLONE_NEWNS, pidfd_open, setns};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, process};

/// The position of the caller's root in the mount namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outside {
    /// It is the root of the mount namespace.
    NamespaceRoot,
    /// It is a chroot: there is more above it, which must not stay reachable.
    Chroot,
}

/// The facts about the caller's root.
pub(crate) struct Found {
    pub(crate) outside: Outside,
    /// Its owner has no id in our user namespace.
    pub(crate) is_nobodys: bool,
    /// The descriptors that were opened to find this out.
    pub(crate) needed: [OwnedFd; 2],
}

/// The id that the kernel shows for an owner without an id here (`kernel.overflowuid`).
const NOBODY: u32 = 65534;

/// Returns whether the caller's root is the root of its mount namespace, and its owner. `setns(2)`
/// into our own mount namespace (by pidfd: Linux 5.8) changes our root to that of the namespace.
/// The current directory is lost.
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

/// Makes the mounts of this new mount namespace slaves: mounts still arrive from the host, and none
/// go back.
///
/// This includes the mounts above a chroot that the caller runs in. Detaching the old root would
/// otherwise unmount those on the host too.
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

/// Makes our root and all mounts below it slaves of the mounts that they are copies of.
fn make_all_slaves() -> Result<(), Error> {
    mount(c"", c"/", c"", MS_REC | MS_SLAVE, c"")
        .map_err(|errno| Error::new(Step::Propagation, b"", errno))
}

/// Makes the namespace's root our root and current directory. Returns whether `root`, which was our
/// root, is another one, and its owner. `pid` is ours.
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

/// The mount on top of our root. `..` of the root is the root itself, and there the kernel does go
/// up to the mount on top of it, unlike at the start of a path.
pub(crate) const ON_TOP_OF_ROOT: &CStr = c"/..";

/// Attaches a copy of the current directory, with all mounts below it, on top of our root, and
/// returns a descriptor for it. Paths keep their meaning, because a path starts below the mount on
/// top of the root.
///
/// If a tree was already taken, it is attached instead of the copy.
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

/// Makes the current directory, the top of the tree that [`attach_new_root`] attached, the root of
/// this mount namespace. The old root then lies on top of it. In a chroot `new_root` is a
/// descriptor of the same directory.
pub(crate) fn enter(new_root: Option<BorrowedFd>, outside: Outside) -> Result<(), Error> {
    let failed = |errno| Error::new(Step::PivotRoot, b"", errno);
    if let (Outside::Chroot, Some(new_root)) = (outside, new_root) {
        climb(new_root, process::id()).map_err(failed)?;
        fs::fchdir(new_root).map_err(failed)?;
    }
    // With `.` as both, put_old lies on top of the new root, where umount2 finds it (pivot_root(2),
    // NOTES).
    pivot_root(c".", c".").map_err(failed)
}

/// Detaches the old root with all mounts there. No path leads to it any more, not even for a root
/// user's `chroot(2)` and `..`. Where the new root is an overlay, its tmpfs lies between the two
/// and is detached too.
pub(crate) fn detach_old_root(outside: Outside, is_overlay: bool) -> Result<(), Error> {
    let detach =
        || umount(c".", MNT_DETACH).map_err(|errno| Error::new(Step::DetachOldRoot, b"", errno));
    // If the old root is the namespace's own, the tmpfs is still on top of it. In a chroot it is
    // somewhere below, and goes with the rest.
    if is_overlay && outside == Outside::NamespaceRoot {
        detach()?;
    }
    detach()
}
