//! Bind mounts: a directory or file of the host, shown in the new root.
//!
//! A tree is taken with `open_tree(2)`, gets its flags while it is detached, and is attached to its
//! mount point by descriptor. Where a seccomp filter refuses those calls with ENOSYS, the source is
//! bound on top of our root, where no name in NEWROOT leads. It gets its flags there and is then
//! moved.

use core::ffi::CStr;

use crate::error::Step;
use crate::mount::copy::{self, COPY};
use crate::mount::pivot::ON_TOP_OF_ROOT;
use crate::mount::remount::{attributes, remount};
use crate::sys::mount::{
    Attributes, MNT_DETACH, MOUNT_ATTR_RDONLY, MS_BIND, MS_MOVE, MS_REC, mount, mount_setattr,
    move_mount, open_tree, umount,
};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::short::Short;

/// A bind mount before it is attached.
pub(crate) enum Bind {
    Tree {
        tree: OwnedFd,
        /// False where the flags are still to be set: Linux before 5.12 cannot set them on a
        /// detached tree.
        flags_are_set: bool,
    },
    /// It will be made by `mount(2)`, from a file or a directory.
    Classic { is_directory: bool },
}

/// Takes the source of a bind: `path`, or `directory` itself if the path is empty.
pub(crate) fn take(
    directory: BorrowedFd,
    path: &CStr,
    recursive: bool,
    attributes: Attributes,
) -> Result<Bind, (Step, Errno)> {
    let open = |errno| (Step::OpenSource, errno);
    match open_tree(directory, path, recursive) {
        Ok(tree) => {
            let flags_are_set = match attributes == Attributes::default() {
                true => true,
                false => match mount_setattr(tree.borrow(), attributes, recursive) {
                    Err(Errno::ENOSYS) => false,
                    result => result
                        .map(|()| true)
                        .map_err(|errno| (Step::MountOptions, errno))?,
                },
            };
            Ok(Bind::Tree {
                tree,
                flags_are_set,
            })
        }
        Err(Errno::ENOSYS) => {
            // Report a missing source now rather than at the mount.
            let source = match path.is_empty() {
                true => fs::stat(directory),
                false => fs::openat(directory, path, fs::O_PATH, 0)
                    .and_then(|source| fs::stat(source.borrow())),
            };
            let is_directory = source.map_err(open)?.is_directory();
            Ok(Bind::Classic { is_directory })
        }
        Err(errno) => Err(open(errno)),
    }
}

impl Bind {
    /// Returns whether it already has the attributes that it was taken with.
    pub(crate) fn has_attributes(&self) -> bool {
        matches!(
            self,
            Bind::Tree {
                flags_are_set: true,
                ..
            }
        )
    }

    pub(crate) fn is_directory(&self) -> Result<bool, Errno> {
        match self {
            Bind::Tree { tree, .. } => Ok(fs::stat(tree.borrow())?.is_directory()),
            Bind::Classic { is_directory } => Ok(*is_directory),
        }
    }

    /// Attaches it to a mount point, and returns its own descriptor. `source`, `recursive` and
    /// `flags` are the ones it was taken with. `source` is `None` where no path leads to it any
    /// more.
    pub(crate) fn attach(
        self,
        source: Option<&CStr>,
        recursive: bool,
        flags: u32,
        point: BorrowedFd,
    ) -> Result<OwnedFd, Errno> {
        let Bind::Tree {
            tree,
            flags_are_set,
        } = self
        else {
            return self.attach_classic(source, recursive, flags, point);
        };
        match move_mount(tree.borrow(), point) {
            Err(Errno::ENOSYS) if source.is_some() => {
                let is_directory = fs::stat(tree.borrow())?.is_directory();
                let classic = Bind::Classic { is_directory };
                return classic.attach_classic(source, recursive, flags, point);
            }
            // mount(2) says ENOTDIR for a file on a directory or the reverse; move_mount(2) says
            // EINVAL.
            Err(Errno::EINVAL)
                if fs::stat(tree.borrow())?.is_directory() != fs::stat(point)?.is_directory() =>
            {
                return Err(Errno::ENOTDIR);
            }
            result => result?,
        }
        if !flags_are_set {
            remount(tree.borrow(), flags, recursive)?;
        }
        Ok(tree)
    }

    fn attach_classic(
        &self,
        source: Option<&CStr>,
        recursive: bool,
        flags: u32,
        point: BorrowedFd,
    ) -> Result<OwnedFd, Errno> {
        let source = source.ok_or(Errno::ENOSYS)?;
        if self.is_directory()? != fs::stat(point)?.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        let bind = |place| move_classic(source, place, recursive, flags, point);
        match self.is_directory()? {
            true => bind((c"/", ON_TOP_OF_ROOT)),
            // A file cannot be mounted on the root, so it is bound on a file in memory.
            false => copy::beside(b"", || bind((COPY, COPY))),
        }
    }
}

/// Binds `source` at a place where no name in NEWROOT leads, sets its flags there, and moves it to
/// its mount point. `place` is the path to bind at, and `bound` the path of the mount once it is
/// there.
pub(crate) fn move_classic(
    source: &CStr,
    (place, bound): (&CStr, &CStr),
    recursive: bool,
    flags: u32,
    point: BorrowedFd,
) -> Result<OwnedFd, Errno> {
    let bind = if recursive { MS_BIND | MS_REC } else { MS_BIND };
    mount(source, place, c"", bind, c"")?;
    let moved = fs::openat(BorrowedFd::CWD, bound, fs::O_PATH, 0).and_then(|top| {
        if flags != 0 {
            remount(top.borrow(), flags, recursive)?;
        }
        let point = Short::in_proc(point);
        mount(bound, point.as_c_str(), c"", MS_MOVE, c"")?;
        Ok(top)
    });
    if moved.is_err() {
        let _ = umount(bound, MNT_DETACH);
    }
    moved
}

/// Binds a file of the host.
pub(crate) fn bind_file(source: &CStr, point: BorrowedFd) -> Result<(), Errno> {
    let taken = take(BorrowedFd::CWD, source, false, attributes(0)).map_err(|(_, errno)| errno)?;
    taken.attach(Some(source), false, 0, point).map(drop)
}

/// Binds a file or directory on itself, read-only, with all mounts below it.
pub(crate) fn bind_read_only(found: BorrowedFd) -> Result<(), Errno> {
    let source = Short::in_proc(found);
    let flags = MOUNT_ATTR_RDONLY;
    let taken = take(found, c"", true, attributes(flags)).map_err(|(_, errno)| errno)?;
    let attached = taken.attach(Some(source.as_c_str()), true, flags, found);
    attached.map(drop)
}
