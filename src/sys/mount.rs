//! Mounts: the newer calls on descriptors, and the older ones on paths.

use core::ffi::CStr;
use core::mem::size_of;

use linux_raw_sys::general as raw;
use sc::nr;

use super::{BorrowedFd, Errno, OwnedFd, check, done};

pub use linux_raw_sys::general::{
    MNT_DETACH, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MS_BIND,
    MS_DIRSYNC, MS_I_VERSION, MS_LAZYTIME, MS_MANDLOCK, MS_MOVE, MS_NOATIME, MS_NODEV,
    MS_NODIRATIME, MS_NOEXEC, MS_NOSUID, MS_NOSYMFOLLOW, MS_PRIVATE, MS_RDONLY, MS_REC,
    MS_RELATIME, MS_REMOUNT, MS_SILENT, MS_SLAVE, MS_STRICTATIME, MS_SYNCHRONOUS, UMOUNT_NOFOLLOW,
};

/// `open_tree(2)` with `OPEN_TREE_CLONE`, Linux 5.2: returns a detached copy of the mount at `path`, with
/// `recursive` including the mounts below it. An empty path is `dir` itself.
pub fn open_tree(dir: BorrowedFd, path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    let flags = tree_flags(path, recursive);
    // SAFETY: the path is a C string that outlives the call.
    let fd = unsafe { sc::syscall3(nr::OPEN_TREE, dir.raw(), path.as_ptr() as usize, flags) };
    check(fd).map(OwnedFd::new)
}

/// `open_tree(2)` with `OPEN_TREE_NAMESPACE`, Linux 7.0: returns a new mount namespace, for `setns(2)`.
/// It holds only a copy of the mounts at `directory`, as its root. Mount namespaces that are pinned
/// there are left out.
pub fn open_tree_namespace(directory: BorrowedFd) -> Result<OwnedFd, Errno> {
    // include/uapi/linux/mount.h
    const OPEN_TREE_NAMESPACE: u32 = 2;
    let flags = OPEN_TREE_NAMESPACE | raw::O_CLOEXEC | raw::AT_RECURSIVE | raw::AT_EMPTY_PATH;
    let path = c"".as_ptr() as usize;
    // SAFETY: the path is a C string that outlives the call.
    let fd = unsafe { sc::syscall3(nr::OPEN_TREE, directory.raw(), path, flags as usize) };
    check(fd).map(OwnedFd::new)
}

fn tree_flags(path: &CStr, recursive: bool) -> usize {
    let mut flags = raw::OPEN_TREE_CLONE | raw::O_CLOEXEC;
    if recursive {
        flags |= raw::AT_RECURSIVE;
    }
    if path.is_empty() {
        flags |= raw::AT_EMPTY_PATH;
    }
    flags as usize
}

/// `move_mount(2)`, Linux 5.2: attaches a tree to `target`.
pub fn move_mount(tree: BorrowedFd, target: BorrowedFd) -> Result<(), Errno> {
    attach(tree, target, c"", raw::MOVE_MOUNT_T_EMPTY_PATH)
}

/// `move_mount(2)`, Linux 5.2: attaches a tree on top of the caller's root.
pub fn move_mount_to_root(tree: BorrowedFd) -> Result<(), Errno> {
    attach(tree, BorrowedFd::CWD, c"/", 0)
}

/// `move_mount(2)`, Linux 5.2: moves the mount at a path to `target`.
pub fn move_mount_at(path: &CStr, target: BorrowedFd) -> Result<(), Errno> {
    let flags = raw::MOVE_MOUNT_T_EMPTY_PATH;
    move_between(BorrowedFd::CWD, path, target, c"", flags)
}

fn attach(tree: BorrowedFd, dir: BorrowedFd, path: &CStr, flags: u32) -> Result<(), Errno> {
    let flags = flags | raw::MOVE_MOUNT_F_EMPTY_PATH;
    move_between(tree, c"", dir, path, flags)
}

fn move_between(
    from: BorrowedFd,
    from_path: &CStr,
    to: BorrowedFd,
    to_path: &CStr,
    flags: u32,
) -> Result<(), Errno> {
    // SAFETY: both paths are C strings that outlive the call.
    done(unsafe {
        sc::syscall5(
            nr::MOVE_MOUNT,
            from.raw(),
            from_path.as_ptr() as usize,
            to.raw(),
            to_path.as_ptr() as usize,
            flags as usize,
        )
    })
}

/// Converts `MS_*` flags to `MOUNT_ATTR_*`.
fn attributes(flags: u32) -> u64 {
    const SAME: u32 = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    let others = [
        (MS_NOATIME, raw::MOUNT_ATTR_NOATIME),
        (MS_STRICTATIME, raw::MOUNT_ATTR_STRICTATIME),
        (MS_NODIRATIME, raw::MOUNT_ATTR_NODIRATIME),
        (MS_NOSYMFOLLOW, raw::MOUNT_ATTR_NOSYMFOLLOW),
    ];
    let mut attributes = flags & SAME;
    for (flag, attribute) in others {
        if flags & flag != 0 {
            attributes |= attribute;
        }
    }
    u64::from(attributes)
}

/// The changes that [`mount_setattr`] makes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Attributes {
    /// `MS_*` flags to set.
    pub set: u32,
    /// `MS_*` flags to clear.
    pub clear: u32,
    /// [`MS_PRIVATE`] or [`MS_SLAVE`], or 0 to leave the propagation as it is.
    pub propagation: u32,
}

impl Attributes {
    fn raw(self) -> raw::mount_attr {
        const TIMES: u32 = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;
        let times = match self.set & TIMES {
            0 => 0,
            _ => raw::MOUNT_ATTR__ATIME,
        };
        raw::mount_attr {
            attr_set: attributes(self.set),
            // A mount always has exactly one of the time flags, so the old one must be cleared.
            attr_clr: attributes(self.clear) | u64::from(times),
            propagation: u64::from(self.propagation),
            userns_fd: 0,
        }
    }
}

/// `mount_setattr(2)`, Linux 5.12: changes a mount, and with `recursive` the mounts below it too.
pub fn mount_setattr(
    tree: BorrowedFd,
    attributes: Attributes,
    recursive: bool,
) -> Result<(), Errno> {
    set_attributes(tree, &attributes.raw(), recursive)
}

/// `mount_setattr(2)` with MOUNT_ATTR_IDMAP, Linux 5.12: shows files with the ids of a user namespace, and
/// makes the mounts slaves of their originals. The tree must be detached, and the caller needs
/// CAP_SYS_ADMIN in the user namespace of the file system.
pub fn map_owners(
    tree: BorrowedFd,
    user_namespace: BorrowedFd,
    recursive: bool,
) -> Result<(), Errno> {
    let attributes = raw::mount_attr {
        attr_set: raw::MOUNT_ATTR_IDMAP.into(),
        attr_clr: 0,
        propagation: MS_SLAVE.into(),
        userns_fd: user_namespace.raw() as u64,
    };
    set_attributes(tree, &attributes, recursive)
}

fn set_attributes(
    tree: BorrowedFd,
    attributes: &raw::mount_attr,
    recursive: bool,
) -> Result<(), Errno> {
    let mut flags = raw::AT_EMPTY_PATH;
    if recursive {
        flags |= raw::AT_RECURSIVE;
    }
    // SAFETY: the path is a C string, the struct has the size given; both outlive the call.
    done(unsafe {
        sc::syscall5(
            nr::MOUNT_SETATTR,
            tree.raw(),
            c"".as_ptr() as usize,
            flags as usize,
            &raw const *attributes as usize,
            size_of::<raw::mount_attr>(),
        )
    })
}

/// `mount(2)`.
pub fn mount(
    source: &CStr,
    target: &CStr,
    file_system: &CStr,
    flags: u32,
    data: &CStr,
) -> Result<(), Errno> {
    // SAFETY: all four are C strings that outlive the call; file systems read text data only up
    // to the NUL.
    done(unsafe {
        sc::syscall5(
            nr::MOUNT,
            source.as_ptr() as usize,
            target.as_ptr() as usize,
            file_system.as_ptr() as usize,
            flags as usize,
            data.as_ptr() as usize,
        )
    })
}

/// `umount2(2)`.
pub fn umount(target: &CStr, flags: u32) -> Result<(), Errno> {
    // SAFETY: the path is a C string that outlives the call.
    done(unsafe { sc::syscall2(nr::UMOUNT2, target.as_ptr() as usize, flags as usize) })
}

/// `pivot_root(2)`.
pub fn pivot_root(new_root: &CStr, put_old: &CStr) -> Result<(), Errno> {
    // SAFETY: both are C strings that outlive the call.
    done(unsafe {
        sc::syscall2(
            nr::PIVOT_ROOT,
            new_root.as_ptr() as usize,
            put_old.as_ptr() as usize,
        )
    })
}
