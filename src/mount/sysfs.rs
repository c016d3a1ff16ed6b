//! `/sys`: the caller's, with all that is mounted there (control groups, EFI variables, tracing).
//!
//! Which network devices it shows depends on where it was mounted, so a network namespace of the run's
//! own has a new one, and in it what the caller has mounted in its own.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::Step;
use crate::mount::attach::{Host, Mounts};
use crate::mount::bind::{self, Bind};
use crate::mount::remount::{attributes, remount, visit_mounts};
use crate::mount::{Mount, Planned};
use crate::process::namespace::{Namespace, Namespaces};
use crate::sys::mount::{Attributes, MOUNT_ATTR_RDONLY, MS_RDONLY, MS_SLAVE, mount_setattr};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// By way of what every sysfs has: an empty directory is none.
const SYSFS: &CStr = c"/sys/kernel/..";

/// Takes the caller's, if there is one. Read-only is the sysfs alone: a control group that was
/// delegated to the caller stays its own.
pub(super) fn take(host: Host, in_user_namespace: bool) -> Result<Option<Bind>, (Step, Errno)> {
    let propagation = match host {
        // As any bind there.
        Host::Here => MS_SLAVE,
        _ => 0,
    };
    let slave = Attributes {
        propagation,
        ..Attributes::default()
    };
    let Ok(mut bind) = bind::take(BorrowedFd::CWD, SYSFS, true, slave) else {
        return Ok(None);
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

/// Attaches it. Where one of the newer calls was missing, it is made read-only now.
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
    /// Has the run's `/sys` this mount already, since the kernel allowed no new one?
    pub(super) fn is_shown_already(&self, index: usize, planned: &Planned) -> bool {
        let top = self.points.parent(index).and_then(|sys| self.attached(sys));
        let (Some(top), Some(place)) = (top, self.points.place(index)) else {
            return false;
        };
        let ids = [top, place].map(|fd| fs::stat(fd).map(|stat| stat.mount_id));
        planned.is_needless() && ids[0] != ids[1]
    }
}

/// Does the caller have one?
pub(crate) fn is_there() -> bool {
    fs::openat(BorrowedFd::CWD, SYSFS, fs::O_PATH, 0).is_ok()
}

/// What goes into the run's `/sys` beside what the caller's own shows: for a new one what is mounted in
/// the caller's, and for control groups seen from another root a new view.
pub(crate) fn additions(namespaces: Namespaces) -> Vec<Mount> {
    let mut additions: Vec<Mount> = Vec::new();
    if namespaces.has(Namespace::Network) {
        // Without proc nobody knows them.
        let _ = visit_mounts(&mut |_, path| {
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
    }
    if namespaces.has(Namespace::Cgroup) && has_cgroup2() {
        additions.push(Mount::cgroups().optional());
    }
    additions
        .iter_mut()
        .for_each(|mount| mount.by_default = true);
    additions
}

impl Mount {
    /// The control groups as they are seen from the run's own root of them.
    fn cgroups() -> Mount {
        let cgroups = Mount::file_system("cgroup2", "/sys/fs/cgroup");
        cgroups.no_suid().no_device().no_exec()
    }
}

fn has_cgroup2() -> bool {
    let top = fs::openat(BorrowedFd::CWD, c"/sys/fs/cgroup", fs::O_PATH, 0);
    let kind = top.and_then(|top| fs::statfs(top.borrow()));
    kind.is_ok_and(|(kind, _)| kind == fs::CGROUP2_SUPER_MAGIC)
}
