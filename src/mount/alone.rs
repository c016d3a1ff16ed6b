//! A mount namespace that holds NEWROOT's mounts and nothing else (`OPEN_TREE_NAMESPACE`, Linux
//! 7.0).
//!
//! It costs neither a copy of the host's mount table nor a `pivot_root(2)`, and there is no old
//! root to detach.

use crate::error::Error;
use crate::mount::{Planned, Source};
use crate::sys::mount::{Attributes, MS_SLAVE, mount_setattr, open_tree_namespace};
use crate::sys::process::{CLONE_NEWNS, setns};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// The new mount namespace, and the way back to the host's.
pub(crate) struct Alone {
    namespace: OwnedFd,
    host: OwnedFd,
    host_root: OwnedFd,
}

impl Alone {
    /// Makes the mount namespace. Returns `None` where the kernel is older, a filter refuses the
    /// call, or there is no `/proc`.
    pub(crate) fn of(new_root: BorrowedFd) -> Option<Alone> {
        let open = |path, flags| fs::openat(BorrowedFd::CWD, path, flags, 0).ok();
        Some(Alone {
            namespace: open_tree_namespace(new_root).ok()?,
            host: open(c"/proc/self/ns/mnt", fs::O_RDONLY)?,
            host_root: open(c"/", fs::O_PATH | fs::O_DIRECTORY)?,
        })
    }

    /// Enters the new mount namespace.
    pub(crate) fn enter(&self) -> Result<(), Errno> {
        setns(self.namespace.borrow(), CLONE_NEWNS)
    }

    /// Opens its root, once it is entered, and makes the mounts slaves. They begin as peers of the
    /// host's mounts, so a mount made here would appear on the host.
    pub(crate) fn root(&self) -> Result<OwnedFd, Errno> {
        let root = fs::openat(BorrowedFd::CWD, c"/", fs::O_PATH | fs::O_DIRECTORY, 0)?;
        // mount_setattr(2) rather than mount(2): if this call is missing we must know now, because
        // the fallback needs the host's /proc.
        let slave = Attributes {
            propagation: MS_SLAVE,
            ..Attributes::default()
        };
        mount_setattr(root.borrow(), slave, true)?;
        Ok(root)
    }

    /// Enters the host's mount namespace again, with the caller's root.
    pub(crate) fn leave(&self) -> Result<(), Errno> {
        setns(self.host.borrow(), CLONE_NEWNS)?;
        fs::fchdir(self.host_root.borrow())?;
        fs::chroot(c".")
    }
}

/// Returns whether a mount that failed in NEWROOT's own mount namespace may work in a copy of the
/// host's:
///
/// - The kernel may lack a call whose fallback needs the host's paths.
/// - The kernel does not attach a tree that pins a mount namespace older than ours (`unshare
///   --mount=FILE`, snapd). A copy of the host's mount namespace leaves that mount out.
/// - In the copy, device nodes that we may not make and a proc that we may not mount can be bound
///   from the host.
pub(super) fn needs_copy(planned: &Planned, error: &Error) -> bool {
    let mount = &planned.mount;
    let may_change: &[Errno] = match &mount.source {
        Source::FileSystem(_) if mount.host_first => &[Errno::EPERM, Errno::ENOSYS, Errno::ELOOP],
        Source::FileSystem(_) if mount.devices || mount.host_instead => &[Errno::EPERM],
        Source::FileSystem(_) | Source::Terminal(_) => &[],
        Source::Path(_) | Source::Copy(_) => &[Errno::ENOSYS, Errno::ELOOP],
    };
    let changes = |errno: &Errno| error.errno() == Some(errno.number());
    may_change.iter().any(changes)
}
