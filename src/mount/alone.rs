//! NEWROOT's mounts in a mount namespace that holds nothing else (Linux 7.0).
//!
//! Neither the host's mount table nor a `pivot_root(2)` costs anything then, and there is no old root
//! to detach.

use crate::error::Error;
use crate::mount::{Planned, Source};
use crate::sys::mount::{Attributes, MS_SLAVE, mount_setattr, open_tree_namespace};
use crate::sys::process::{CLONE_NEWNS, setns};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// The new namespace, and the way back to the host's.
pub(crate) struct Alone {
    namespace: OwnedFd,
    host: OwnedFd,
    host_root: OwnedFd,
}

impl Alone {
    /// `None` where the kernel is older, a filter refuses the call, or there is no `/proc`.
    pub(crate) fn of(new_root: BorrowedFd) -> Option<Alone> {
        let open = |path, flags| fs::openat(BorrowedFd::CWD, path, flags, 0).ok();
        Some(Alone {
            namespace: open_tree_namespace(new_root).ok()?,
            host: open(c"/proc/self/ns/mnt", fs::O_RDONLY)?,
            host_root: open(c"/", fs::O_PATH | fs::O_DIRECTORY)?,
        })
    }

    /// Makes it our mount namespace.
    pub(crate) fn enter(&self) -> Result<(), Errno> {
        setns(self.namespace.borrow(), CLONE_NEWNS)
    }

    /// Its root, once it was entered. The mounts are peers of the host's until they are slaves: what is
    /// mounted here would appear there.
    pub(crate) fn root(&self) -> Result<OwnedFd, Errno> {
        let root = fs::openat(BorrowedFd::CWD, c"/", fs::O_PATH | fs::O_DIRECTORY, 0)?;
        // Not by mount(2), so that it is known that there is this call: what stands in for it needs
        // the host's /proc.
        let slave = Attributes {
            propagation: MS_SLAVE,
            ..Attributes::default()
        };
        mount_setattr(root.borrow(), slave, true)?;
        Ok(root)
    }

    /// Makes the host's our mount namespace again, and the caller's root ours.
    pub(crate) fn leave(&self) -> Result<(), Errno> {
        setns(self.host.borrow(), CLONE_NEWNS)?;
        fs::fchdir(self.host_root.borrow())?;
        fs::chroot(c".")
    }
}

/// Could what was not mounted in NEWROOT's own mount namespace be mounted in a copy of the host's? The
/// kernel may lack the call, and it attaches no tree in which a mount namespace is pinned that is older
/// than ours (`unshare --mount=FILE`, snapd): a copy of the host's has left that out. Nodes in /dev that
/// we may not make are the host's, and so is a proc.
pub(super) fn needs_copy(planned: &Planned, error: &Error) -> bool {
    let mount = &planned.mount;
    let may_change: &[Errno] = match &mount.source {
        Source::FileSystem(_) if mount.devices || mount.host_instead => &[Errno::EPERM],
        Source::FileSystem(_) | Source::Terminal(_) => &[],
        Source::Path(_) | Source::Copy(_) => &[Errno::ENOSYS, Errno::ELOOP],
    };
    let changes = |errno: &Errno| error.errno() == Some(errno.number());
    may_change.iter().any(changes)
}
