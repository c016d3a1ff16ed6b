//! `/sys`: the caller's, with all mounts in it (control groups, EFI variables, tracing).
//!
//! A sysfs shows the network devices of the network namespace in which it was mounted. A run with
//! its own network namespace therefore gets a new one, with the mounts that the caller has in its
//! own.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::mount::attach::{Host, Mounts};
use crate::mount::bind::{self, Bind};
use crate::mount::remount::{attributes, remount, visit_mounts};
use crate::mount::{Mount, Planned};
use crate::process::namespace::{Namespace, Namespaces};
use crate::sys::mount::{Attributes, MOUNT_ATTR_RDONLY, MS_RDONLY, MS_SLAVE, mount_setattr};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// A path that exists only in a sysfs, so that an empty directory is not taken for one.
const SYSFS: &CStr = c"/sys/kernel/..";

const MOUNTINFO: &[u8] = b"/proc/self/mountinfo";

/// Takes the caller's, if there is one. Only the sysfs itself becomes read-only: control groups
/// delegated to the caller stay writable.
pub(super) fn take(host: Host, in_user_namespace: bool) -> Result<Option<Bind>, (Step, Errno)> {
    let propagation = match host {
        // A bind taken in the host's mount namespace must not be a peer.
        Host::Here => MS_SLAVE,
        _ => 0,
    };
    let slave = Attributes {
        propagation,
        ..Attributes::default()
    };
    let mut bind = match bind::take(BorrowedFd::CWD, SYSFS, true, slave) {
        Err((_, Errno::ENOENT | Errno::ENOTDIR)) => return Ok(None),
        taken => taken?,
    };
    if host == Host::Here && !bind.has_attributes() {
        return Err((Step::MountOptions, Errno::ENOSYS));
    }
    if let (
        true,
        Bind::Tree {
            tree,
            flags_are_set,
        },
    ) = (in_user_namespace, &mut bind)
    {
        match mount_setattr(tree.borrow(), attributes(MOUNT_ATTR_RDONLY), false) {
            Err(Errno::ENOSYS) => *flags_are_set = false,
            result => result.map_err(|errno| (Step::MountOptions, errno))?,
        }
    }
    Ok(Some(bind))
}

/// Attaches it, and makes it read-only if a missing call has prevented that so far.
pub(super) fn attach(
    bind: Bind,
    path: Option<&CStr>,
    place: BorrowedFd,
    in_user_namespace: bool,
) -> Result<OwnedFd, Errno> {
    let top = bind.attach(path, true, 0, place)?;
    if in_user_namespace && fs::statfs(top.borrow())?.1 as u32 & MS_RDONLY == 0 {
        remount(top.borrow(), MOUNT_ATTR_RDONLY, false)?;
    }
    Ok(top)
}

impl Mounts {
    /// Returns whether the run's `/sys` already shows this mount, because the kernel refused a new
    /// sysfs.
    pub(super) fn is_shown_already(&self, index: usize, planned: &Planned) -> bool {
        let top = self.points.parent(index).and_then(|sys| self.attached(sys));
        let (Some(top), Some(place)) = (top, self.points.place(index)) else {
            return false;
        };
        let [top, place] = [top, place].map(|fd| fs::stat(fd).map(|stat| stat.mount_id));
        planned.is_needless() && matches!((top, place), (Ok(top), Ok(place)) if top != place)
    }
}

/// Returns whether the caller has one.
pub(crate) fn is_there() -> bool {
    fs::openat(BorrowedFd::CWD, SYSFS, fs::O_PATH, 0).is_ok()
}

/// Returns the mounts to add to the run's `/sys`: for a new sysfs the mounts in the caller's, and for
/// control groups seen from another root a new view.
pub(crate) fn additions(namespaces: Namespaces) -> Result<Vec<Mount>, Error> {
    let mut additions: Vec<Mount> = Vec::new();
    if namespaces.has(Namespace::Network) {
        let visited = visit_mounts(&mut |_, path| {
            let is_in = |above: &[u8]| {
                path.strip_prefix(above)
                    .is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
            };
            let mut others = additions.iter();
            let is_shown = others.any(|other| is_in(other.target.bytes()));
            if path != b"/sys" && is_in(b"/sys") && !is_shown {
                additions.push(Mount::bind(path).recursive().optional());
            }
            Ok(())
        });
        match visited {
            // Without proc they cannot be found.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(Error::new(Step::ReadFile, MOUNTINFO, errno)),
        }
    }
    if namespaces.has(Namespace::Cgroup) {
        match has_cgroup2() {
            Ok(true) => additions.push(Mount::cgroups().optional()),
            Ok(false) | Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => {}
            Err(errno) => return Err(Error::new(Step::ReadFile, CGROUPS.to_bytes(), errno)),
        }
    }
    additions
        .iter_mut()
        .for_each(|mount| mount.by_default = true);
    Ok(additions)
}

impl Mount {
    /// Mounts the control groups as seen from the run's own cgroup root.
    fn cgroups() -> Mount {
        let cgroups = Mount::file_system("cgroup2", "/sys/fs/cgroup");
        cgroups.no_suid().no_device().no_exec()
    }
}

const CGROUPS: &CStr = c"/sys/fs/cgroup";

fn has_cgroup2() -> Result<bool, Errno> {
    let top = fs::openat(BorrowedFd::CWD, CGROUPS, fs::O_PATH, 0)?;
    let (kind, _) = fs::statfs(top.borrow())?;
    Ok(kind == fs::CGROUP2_SUPER_MAGIC)
}
