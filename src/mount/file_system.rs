//! New file systems: proc, sysfs, tmpfs and others.
//!
//! One is mounted by `mount(2)` with its mount point as the current directory. This is one call
//! where the newer way needs five, it names no path that could lead elsewhere, and every kernel has
//! it. Where the mount's own descriptor is needed, because another mount or a mask goes into it, it
//! is mounted on top of our root, opened there, and moved to its mount point.

use crate::error::{Error, Step, Verbose};
use crate::mount::Planned;
use crate::mount::attach::Mounts;
use crate::mount::bind;
use crate::mount::pivot::ON_TOP_OF_ROOT;
use crate::mount::remount::{attributes, change_flags};
use crate::sys::mount::{MNT_DETACH, MOUNT_ATTR_RDONLY, MS_MOVE, mount, umount};
use crate::sys::process::id;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::number::number;

/// The result of making a new file system.
pub(crate) enum New {
    /// It is attached. The descriptor is there if it was asked for.
    Attached(Option<OwnedFd>),
    /// The kernel does not allow a new one. Only EPERM of the mounting call itself means this.
    NotAllowed,
}

/// Mounts it on its mount point. Returns its descriptor if `is_needed`.
pub(crate) fn attach(new: &Planned, point: BorrowedFd, is_needed: bool) -> Result<New, Errno> {
    fs::fchdir(point)?;
    match mount_at(new, if is_needed { c"/" } else { c"." }) {
        Err(Errno::EPERM) => Ok(New::NotAllowed),
        // This very file system is already mounted there: the host's sysfs, in a run whose root is
        // the host's. Only the flags are missing.
        Err(Errno::EBUSY) => {
            change_flags(point, new.mount.flags, 0)?;
            Ok(New::Attached(None))
        }
        Err(errno) => Err(errno),
        Ok(()) if is_needed => move_from_root().map(|top| New::Attached(Some(top))),
        Ok(()) => Ok(New::Attached(None)),
    }
}

/// Moves the mount on top of our root to the current directory.
fn move_from_root() -> Result<OwnedFd, Errno> {
    let moved = fs::openat(BorrowedFd::CWD, ON_TOP_OF_ROOT, fs::O_PATH, 0).and_then(|top| {
        mount(ON_TOP_OF_ROOT, c".", c"", MS_MOVE, c"")?;
        Ok(top)
    });
    if moved.is_err() {
        let _ = umount(ON_TOP_OF_ROOT, MNT_DETACH);
    }
    moved
}

fn mount_at(new: &Planned, target: &core::ffi::CStr) -> Result<(), Errno> {
    let kind = new.source();
    let device = new.mount.device.as_ref().unwrap_or(kind).as_c_str();
    let (flags, data) = (new.mount.flags, new.mount.data.as_c_str());
    mount(device, target, kind.as_c_str(), flags, data)
}

impl Mounts {
    /// Binds the host's file system of this type, because a new one is not allowed. A user
    /// namespace may not mount a new sysfs unless it owns the network namespace, nor a new proc
    /// where parts of the host's are covered. A proc of another pid namespace is shown only where
    /// [`Mounts::shows_others_proc`] allows it: a program that looks for a process by number finds
    /// the wrong one there.
    pub(super) fn hosts_instead(
        &self,
        planned: &Planned,
        place: BorrowedFd,
        verbose: Verbose,
    ) -> Result<OwnedFd, Error> {
        let (kind, target) = (planned.source().bytes(), planned.target().bytes());
        let failed = |step, errno| Error::between(step, kind, target, errno);
        if kind == b"proc" && !is_own_proc().map_err(|errno| failed(Step::MountProc, errno))? {
            match self.shows_others_proc {
                true => verbose.instead(Step::OthersProc),
                false => return Err(failed(Step::MountProc, Errno::EPERM)),
            }
        }
        if kind == b"sysfs" {
            verbose.instead(Step::OthersSys);
        }
        verbose.say(Step::BindInstead, kind, target);
        bind_hosts(planned, place).map_err(|errno| failed(Step::Mount, errno))
    }
}

/// Binds the host's mount at that path, with all mounts below it, because a user namespace may not
/// uncover the directories that they hide. A sysfs becomes read-only.
fn bind_hosts(new: &Planned, point: BorrowedFd) -> Result<OwnedFd, Errno> {
    let read_only = match new.source().bytes() {
        b"sysfs" => MOUNT_ATTR_RDONLY,
        _ => 0,
    };
    let flags = new.mount.flags | read_only;
    let source = new.target().as_c_str();
    let taken = bind::take(BorrowedFd::CWD, source, true, attributes(flags));
    let taken = taken.map_err(|(_, errno)| errno)?;
    taken.attach(Some(source), true, flags, point)
}

/// Returns whether the host's proc is that of our pid namespace. Another one shows another number
/// for us, or none.
fn is_own_proc() -> Result<bool, Errno> {
    let mut name = [0; 16];
    match fs::readlink_at(BorrowedFd::CWD, c"/proc/self", &mut name) {
        Err(Errno::ENOENT) => Ok(false),
        length => Ok(number(&name[..length?]) == u32::try_from(id()).ok()),
    }
}
