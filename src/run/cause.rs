//! The cause of a failure, where the errno alone does not tell it.
//!
//! The kernel gives the same EPERM or EINVAL for many reasons. After a failure each possible cause
//! is checked, and a hint is added only if the check finds it.

use core::ffi::CStr;

use crate::chroot::Chroot;
use crate::error::{Error, Step};
use crate::mount::remount::visit_mounts;
use crate::mount::resolve::open_landing;
use crate::process::namespace::in_user_namespace;
use crate::sys::credentials::{
    CAP_SETFCAP, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, capabilities, has_landlock,
    has_no_new_privileges,
};
use crate::sys::process::{effective_ids, is_filtered};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, split};
use crate::text::name::Name;
use crate::text::number::number;
use crate::text::short::Short;

/// A failed step, and the run it belongs to.
struct Failed<'a> {
    chroot: &'a Chroot,
    step: Step,
    errno: Option<Errno>,
    object: &'a [u8],
}

/// A cause: the failures it explains, its check, and the hint.
struct Cause {
    of: &'static [Step],
    /// `None` stands for the failure of another program.
    with: &'static [Option<Errno>],
    check: fn(&Failed) -> bool,
    words: &'static str,
}

const EPERM: Option<Errno> = Some(Errno::EPERM);
const EACCES: Option<Errno> = Some(Errno::EACCES);
const EINVAL: Option<Errno> = Some(Errno::EINVAL);

/// Steps that need a right which a process may have only in its own user namespace.
const OF_RIGHTS: &[Step] = &[
    Step::Namespaces,
    Step::MapIds,
    Step::Propagation,
    Step::CloneRoot,
    Step::Mount,
    Step::Overlay,
    Step::PivotRoot,
];

/// The first match counts.
const CAUSES: &[Cause] = &[
    Cause {
        of: &[Step::MapUsers],
        with: &[None],
        check: |_| has_no_new_privileges(),
        words: "no_new_privs is set (setpriv --no-new-privs, NoNewPrivileges= of systemd, \
                no-new-privileges of docker run), so set-user-ID programs gain no rights: start \
                rootlet without it",
    },
    Cause {
        of: &[Step::Namespaces],
        with: &[EPERM],
        check: |failed| !failed.chroot.namespaces.may_have_user() && !has(CAP_SYS_ADMIN),
        words: "without CAP_SYS_ADMIN these need a new user namespace: leave out --share user",
    },
    Cause {
        of: &[Step::Namespaces],
        with: &[EPERM],
        check: |_| {
            let switch = setting(c"/proc/sys/kernel/unprivileged_userns_clone");
            switch == Some(0) && !has(CAP_SYS_ADMIN)
        },
        words: "only root may create user namespaces here: sysctl \
                kernel.unprivileged_userns_clone=1, or run as root",
    },
    Cause {
        of: &[Step::Namespaces],
        with: &[EPERM],
        check: |_| is_in_chroot(),
        words: "the kernel creates no user namespace in a chroot: run rootlet outside it, or as \
                root with CAP_SYS_ADMIN",
    },
    Cause {
        of: &[Step::MapIds],
        with: &[EPERM],
        check: |_| effective_ids().0 == 0 && !has(CAP_SETFCAP),
        words: "without CAP_SYS_ADMIN rootlet maps root in a user namespace, which needs \
                CAP_SETFCAP: \
                --cap-add SETFCAP (docker run, podman run), capabilities.add of Kubernetes",
    },
    Cause {
        of: OF_RIGHTS,
        with: &[EPERM, EACCES],
        check: |_| {
            let switch = setting(c"/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
            switch == Some(1) && !has(CAP_SYS_ADMIN)
        },
        words: "AppArmor denies user namespaces to programs without a profile: sysctl \
                kernel.apparmor_restrict_unprivileged_userns=0, or a profile with 'userns,' for \
                rootlet; not needed with CAP_SYS_ADMIN",
    },
    Cause {
        of: &[
            Step::OpenRoot,
            Step::CloneRoot,
            Step::Overlay,
            Step::OpenSource,
            Step::OpenTarget,
            Step::MakeMountPoint,
            Step::ReadOfRoot,
            Step::Execute,
        ],
        with: &[EACCES],
        check: |failed| match failed.step {
            Step::OpenSource => is_on_others_fuse(failed.object),
            _ => is_on_others_fuse(failed.chroot.new_root.bytes()),
        },
        words: "it is on a FUSE file system that another user has mounted: that user can allow \
                others with the option allow_other, if /etc/fuse.conf has user_allow_other",
    },
    Cause {
        of: &[Step::CloneRoot, Step::Overlay, Step::OpenSource],
        with: &[EINVAL],
        check: |failed| is_elsewhere(failed.object),
        words: "it is on a mount of another mount namespace, as /proc/PID/root is: enter that \
                namespace first (nsenter --mount --target PID rootlet ...)",
    },
    Cause {
        of: &[Step::OpenSource],
        with: &[EINVAL],
        check: |failed| !has(CAP_SYS_ADMIN) && has_mounts_below(failed.object),
        words: "an ordinary user cannot bind a directory without the mounts below it: use --rbind",
    },
    Cause {
        of: &[Step::Overlay],
        with: &[EINVAL],
        check: |failed| !has(CAP_SYS_ADMIN) && has_mounts_below(failed.object),
        words: "an ordinary user cannot put an overlay on a directory that has mounts below it",
    },
    Cause {
        of: &[Step::Overlay],
        with: &[EINVAL],
        check: |failed| is_of_type(failed.object, OVERLAYFS_SUPER_MAGIC),
        words: "NEWROOT is on an overlay of an overlay already, and the kernel stacks no more: copy it \
                to another file system",
    },
    Cause {
        of: &[Step::Overlay],
        with: &[EINVAL, EPERM],
        check: |_| !has(CAP_SYS_ADMIN) && is_older_than(5, 11),
        words: "an ordinary user's overlay needs Linux 5.11",
    },
    Cause {
        of: &[Step::MakeMountPoint, Step::OpenTarget],
        with: &[EACCES],
        check: |failed| failed.chroot.overlay.is_some() && !has(CAP_SYS_ADMIN),
        words: "this user lacks permission for a directory on the way, and an overlay gives none: \
                run as root",
    },
    Cause {
        of: &[Step::MakeMountPoint],
        with: &[Some(Errno::ENOSPC)],
        check: |failed| failed.chroot.overlay.is_some(),
        words: "the overlay's memory is full: see --overlay-size",
    },
    Cause {
        of: &[Step::MakeMountPoint],
        with: &[EPERM],
        check: is_immutable,
        words: "its parent directory is immutable: chattr -i, or create it beforehand",
    },
    Cause {
        of: &[Step::SetGroups, Step::SetGroup, Step::SetUser],
        with: &[EINVAL, EPERM],
        check: |_| !has(CAP_SETUID) || !has(CAP_SETGID),
        words: "an ordinary user's namespace has one user and one group: run as root, or with \
                --map-users auto if /etc/subuid has a range for you",
    },
    Cause {
        of: OF_RIGHTS,
        with: &[EPERM, EACCES],
        check: is_in_landlock,
        words: "this process is probably in a Landlock domain, which forbids mounts: run rootlet \
                outside that sandbox",
    },
    Cause {
        of: &[Step::Mount, Step::CloneRoot],
        with: &[EPERM],
        check: |_| !has(CAP_SYS_ADMIN) && !is_filtered(),
        words: "the kernel does not allow this in a user namespace: run as root, with \
                CAP_SYS_ADMIN",
    },
];

/// Returns the steps, the reasons and the hint of each cause.
#[cfg(all(test, in_clone))]
pub(crate) fn all()
-> impl Iterator<Item = (&'static [Step], &'static [Option<Errno>], &'static str)> {
    CAUSES
        .iter()
        .map(|cause| (cause.of, cause.with, cause.words))
}

const FUSE_SUPER_MAGIC: u64 = 0x6573_5546;
const OVERLAYFS_SUPER_MAGIC: u64 = 0x794c_7630;

impl Chroot {
    /// Adds a hint to the error if a cause is found.
    pub(crate) fn look_for_cause(&self, error: Error) -> Error {
        let (step, object, errno) = error.failed();
        let failed = Failed {
            chroot: self,
            step,
            errno,
            object,
        };
        let found = CAUSES.iter().find(|cause| {
            cause.of.contains(&step) && cause.with.contains(&failed.errno) && (cause.check)(&failed)
        });
        match found.map(|cause| cause.words) {
            Some(words) => error.with_hint(words),
            None => error,
        }
    }
}

fn has(capability: u32) -> bool {
    capabilities().is_ok_and(|sets| sets.has(capability))
}

/// Returns the number in a file of `/proc/sys`, or `None` if there is no such file.
fn setting(path: &CStr) -> Option<u32> {
    number(fs::read_all(path).ok()?.trim_ascii())
}

fn open(path: &[u8]) -> Result<OwnedFd, Errno> {
    fs::openat(BorrowedFd::CWD, Name::new(path).as_c_str(), fs::O_PATH, 0)
}

/// Returns whether our root is not the top of a mount. (A chroot into the top of a mount cannot be
/// recognised.)
fn is_in_chroot() -> bool {
    let root = open(b"/").and_then(|root| fs::stat(root.borrow()));
    root.is_ok_and(|root| root.is_below_top) || !is_listed(b"/")
}

/// Returns whether the mount that a path leads to is in our mount namespace.
fn is_listed(path: &[u8]) -> bool {
    let id = open(path).and_then(|place| fs::stat(place.borrow()));
    let Ok(id) = id.map(|stat| stat.mount_id) else {
        return true;
    };
    let mut found = id == 0;
    let visited = visit_mounts(&mut |mount, _| {
        found |= mount == id;
        Ok(())
    });
    found || visited.is_err()
}

fn is_elsewhere(path: &[u8]) -> bool {
    // In a chroot the list has only the mounts below it.
    !is_listed(path) && is_listed(b"/")
}

fn has_mounts_below(path: &[u8]) -> bool {
    let mut buffer = [0; 4096];
    let Ok(place) = open(path) else { return false };
    let link = Short::in_proc(place.borrow());
    let Ok(length) = fs::readlink_at(BorrowedFd::CWD, link.as_c_str(), &mut buffer) else {
        return false;
    };
    let top = match &buffer[..length] {
        b"/" => b"",
        top => top,
    };
    let mut found = false;
    let _ = visit_mounts(&mut |_, mount| {
        let rest = mount.strip_prefix(top).unwrap_or_default();
        found |= rest.len() > 1 && rest.starts_with(b"/");
        Ok(())
    });
    found
}

fn is_of_type(path: &[u8], file_system: u64) -> bool {
    open(path)
        .and_then(|place| fs::statfs(place.borrow()))
        .is_ok_and(|(found, _)| found == file_system)
}

/// Returns whether a path is on a FUSE file system of another user. The kernel lets us see only the
/// top of one, and of that only the file system type.
fn is_on_others_fuse(path: &[u8]) -> bool {
    let mut end = path.len();
    loop {
        let place = match &path[..end] {
            b"" if path.starts_with(b"/") => b"/",
            b"" => b".",
            place => place,
        };
        match open(place).and_then(|place| {
            let is_fuse = fs::statfs(place.borrow())?.0 == FUSE_SUPER_MAGIC;
            Ok(is_fuse && fs::stat(place.borrow()) == Err(Errno::EACCES))
        }) {
            Err(Errno::EACCES) if end > 0 => {}
            found => return found == Ok(true),
        }
        end = path[..end]
            .iter()
            .rposition(|byte| *byte == b'/')
            .unwrap_or(0);
    }
}

/// Returns whether the last existing directory on the way to the object, in NEWROOT, is immutable.
fn is_immutable(failed: &Failed) -> bool {
    let Ok(root) = open(failed.chroot.new_root.bytes()) else {
        return false;
    };
    let mut path = failed.object;
    while let Some(slash) = path.iter().rposition(|byte| *byte == b'/') {
        path = &path[..slash];
        if let Ok(directory) = open_landing(root.borrow(), path) {
            return fs::stat(directory.borrow()).is_ok_and(|stat| stat.is_immutable);
        }
    }
    false
}

fn is_older_than(major: u32, minor: u32) -> bool {
    let release = fs::read_all(c"/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = split(&release, b'.').map(number);
    match (numbers.next(), numbers.next()) {
        (Some(Some(found)), Some(Some(then))) => (found, then) < (major, minor),
        _ => false,
    }
}

/// Returns whether we are in a Landlock domain, which the kernel does not report. We conclude it if
/// the kernel has Landlock, nothing else here forbids mounts, and the failed step needs no right
/// that the process inside lacks.
fn is_in_landlock(failed: &Failed) -> bool {
    let needs_no_more = match (failed.step, failed.errno) {
        (Step::Propagation, _) | (Step::MapIds, EACCES) => true,
        (Step::Namespaces | Step::MapIds, _) => false,
        _ => has(CAP_SYS_ADMIN) && !in_user_namespace(),
    };
    let is_confined = |file: &CStr| {
        let label = fs::read_all(file).unwrap_or_default();
        !(label.is_empty() || label.starts_with(b"unconfined") || label.starts_with(b"kernel"))
    };
    needs_no_more
        && has_landlock()
        && !is_filtered()
        && !is_confined(c"/proc/self/attr/current")
        && !is_confined(c"/proc/self/attr/apparmor/current")
}
