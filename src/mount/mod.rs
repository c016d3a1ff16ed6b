//! The mounts of a new root: how one is described, and the default set.
//!
//! The modules below take the sources, find the mount points and attach the mounts.
//! [`crate::mount::attach`] has their order and [`crate::mount::point`] the rule that keeps every
//! mount inside NEWROOT.

pub(crate) mod alone;
pub(crate) mod attach;
mod bind;
mod copy;
mod devices;
mod file_system;
pub(crate) mod find;
pub(crate) mod hosts;
pub(crate) mod idmap;
mod lock;
mod make;
mod mark;
pub(crate) mod mask;
mod nested;
pub(crate) mod overlay;
pub(crate) mod pivot;
pub(crate) mod point;
pub(crate) mod remount;
pub(crate) mod removal;
pub(crate) mod resolve;
pub(crate) mod spec;
pub(crate) mod stub;
pub(crate) mod sysfs;
mod terminals;
mod upper;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::sys::mount::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY,
};
use crate::sys::{Errno, split};
use crate::text::bytes::AsBytes;
use crate::text::name::Name;

/// One mount of the new root.
///
/// It is attached with `open_tree(2)`, `mount_setattr(2)` and `move_mount(2)` (Linux 5.2 and 5.12),
/// or with `mount(2)` where those are missing. A new file system is always mounted with `mount(2)`.
/// The target is looked up inside the new root. A missing mount point is created for the run and
/// removed afterwards.
///
/// ```
/// use rootlet::Mount;
///
/// let sources = Mount::bind("/home/me/src").to("/src").read_only();
/// let scratch = Mount::file_system("tmpfs", "/tmp").data("size=64m").no_suid().no_device();
/// assert_ne!(sources, scratch);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    pub(crate) source: Source,
    pub(crate) target: Name,
    /// A hash of the target's components. It makes most comparisons of two targets cheap.
    target_sum: u32,
    pub(crate) recursive: bool,
    /// `MS_*` flags.
    pub(crate) flags: u32,
    pub(crate) optional: bool,
    pub(crate) data: Name,
    /// The device of a new file system, where it is not the name of the type.
    pub(crate) device: Option<Name>,
    /// Bind the host's file system of this type where a new one is not allowed.
    pub(crate) host_instead: bool,
    /// Bind the host's, and mount a new one only where the host has none.
    pub(crate) host_first: bool,
    /// Make the usual devices in it.
    pub(crate) devices: bool,
    /// It comes from the default set, not from the caller.
    pub(crate) by_default: bool,
    /// With private users, the files keep their owners on the host.
    pub(crate) keeps_owners: bool,
    /// Leave it out where our user namespace is the one that owns the host's mounts.
    pub(crate) is_for_user_namespace: bool,
}

/// A mount of a plan, with facts about its source from before the run.
pub(crate) struct Planned<'a> {
    pub(crate) mount: Cow<'a, Mount>,
    /// The source as an absolute path, and the target where it follows from the source.
    pub(crate) source: Option<Name>,
    pub(crate) target: Option<Name>,
    /// The contents of a copy.
    pub(crate) contents: Result<Vec<u8>, Errno>,
}

impl<'a> Planned<'a> {
    pub(crate) fn new(mount: Cow<'a, Mount>) -> Planned<'a> {
        Planned {
            mount,
            source: None,
            target: None,
            contents: Ok(Vec::new()),
        }
    }

    #[inline(never)]
    pub(crate) fn source(&self) -> &Name {
        let source = self.source.as_ref();
        source.unwrap_or_else(|| self.mount.source.name())
    }

    /// Returns whether the mount is left out silently where it has no mount point in the host's
    /// `/dev`, in a new sysfs or in NEWROOT.
    pub(crate) fn is_needless(&self) -> bool {
        let target = self.mount.target.bytes();
        let is_extra = target.starts_with(b"/sys/") || target == hosts::PATH.as_bytes();
        self.mount.is_for_user_namespace || self.mount.by_default && is_extra
    }

    #[inline(never)]
    pub(crate) fn target(&self) -> &Name {
        self.target.as_ref().unwrap_or(&self.mount.target)
    }
}

/// The source of a mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    Path(Name),
    /// A new file system of this type.
    FileSystem(Name),
    /// A copy, in memory, of this file of the host.
    Copy(Name),
    /// The command's own terminal, which has no path until it is opened. The name is for messages.
    Terminal(Name),
}

impl Source {
    pub(crate) fn name(&self) -> &Name {
        match self {
            Source::Path(name)
            | Source::FileSystem(name)
            | Source::Copy(name)
            | Source::Terminal(name) => name,
        }
    }
}

impl Mount {
    /// Binds a directory or file of the host, without the mounts below it, at the same path in the
    /// new root. A relative path is taken from the current directory when the run begins.
    pub fn bind(source: impl AsBytes) -> Mount {
        let source = source.as_bytes();
        Mount::new(Source::Path(Name::new(source)), source)
    }

    /// Shows a private copy of a file of the host, made when the run begins. The command may write
    /// to it; the changes are discarded after the run.
    ///
    /// Over an [overlay](crate::Chroot::overlay) the copy is an ordinary file, which may also be
    /// replaced by a rename. Elsewhere it is a mount on the file, and replacing it fails with
    /// EBUSY.
    pub fn copy(source: impl AsBytes) -> Mount {
        let source = source.as_bytes();
        Mount::new(Source::Copy(Name::new(source)), source)
    }

    /// Shows the command's own terminal as `/dev/console`.
    pub(crate) fn console() -> Mount {
        let terminal = Source::Terminal(Name::new(b"the command's terminal"));
        Mount::new(terminal, b"/dev/console").optional()
    }

    /// Returns whether this is the run's own devpts in its usual place.
    pub(crate) fn is_devpts(&self) -> bool {
        matches!(&self.source, Source::FileSystem(kind) if kind.bytes() == b"devpts")
            && self.has_target_of(&Mount::bind("/dev/pts"))
    }

    /// Mounts a new file system of this type (`tmpfs`, `proc`, …) at the target.
    pub fn file_system(kind: impl AsBytes, target: impl AsBytes) -> Mount {
        Mount::new(
            Source::FileSystem(Name::new(kind.as_bytes())),
            target.as_bytes(),
        )
    }

    fn new(source: Source, target: &[u8]) -> Mount {
        let target = Name::new(target);
        Mount {
            source,
            target_sum: sum(target.bytes()),
            target,
            recursive: false,
            flags: 0,
            optional: false,
            data: Name::new(b""),
            device: None,
            host_instead: false,
            host_first: false,
            devices: false,
            by_default: false,
            keeps_owners: false,
            is_for_user_namespace: false,
        }
    }

    /// Sets the path in the new root. A relative path is taken from the new root.
    pub fn to(mut self, target: impl AsBytes) -> Mount {
        self.set_target(Name::new(target.as_bytes()));
        self
    }

    /// Binds the mounts below the source as well.
    pub fn recursive(mut self) -> Mount {
        self.recursive = true;
        self
    }

    /// Makes the mount read-only, and with [`Mount::recursive`] the mounts below it as well. Real
    /// root inside can undo this by a remount, unless
    /// [`drop_capabilities`](crate::Chroot::drop_capabilities) takes `sys_admin` and `sys_ptrace`.
    pub fn read_only(mut self) -> Mount {
        self.flags |= MOUNT_ATTR_RDONLY;
        self
    }

    /// Ignores set-user-id and set-group-id bits and file capabilities.
    pub fn no_suid(mut self) -> Mount {
        self.flags |= MOUNT_ATTR_NOSUID;
        self
    }

    /// Denies access to devices.
    pub fn no_device(mut self) -> Mount {
        self.flags |= MOUNT_ATTR_NODEV;
        self
    }

    /// Denies the execution of programs.
    pub fn no_exec(mut self) -> Mount {
        self.flags |= MOUNT_ATTR_NOEXEC;
        self
    }

    /// Keeps the owners that the files have on the host, with
    /// [`Chroot::private_users`](crate::Chroot::private_users). Nobody inside is one of these
    /// owners. Without this, a file that belongs to user 0 on the host belongs to user 0 inside,
    /// and the reverse.
    pub fn no_id_map(mut self) -> Mount {
        self.keeps_owners = true;
        self
    }

    /// Leaves the mount out when its source is missing or it cannot be mounted. A line on standard
    /// error reports it, unless only the source is missing.
    pub fn optional(mut self) -> Mount {
        self.optional = true;
        self
    }

    /// Sets the options of the file system itself, such as `size=64m,mode=700`.
    pub fn data(mut self, data: impl AsBytes) -> Mount {
        self.data = Name::new(data.as_bytes());
        self
    }

    /// Sets the device of a new file system: a block device, or the tag of a virtiofs or 9p share.
    pub fn device(mut self, device: impl AsBytes) -> Mount {
        self.device = Some(Name::new(device.as_bytes()));
        self
    }

    /// Returns the mounts that a [`Chroot`](crate::Chroot) has by default:
    ///
    /// - `/dev`, with all mounts below it;
    /// - `/sys`, with all mounts below it. In a new network namespace it is a new sysfs, with the
    ///   mounts that the host has in its own. In a user namespace the sysfs is read-only;
    /// - a new `/proc`;
    /// - a tmpfs on `/dev/shm`;
    /// - `/etc/resolv.conf` and `/etc/hosts`, read-only;
    /// - in a user namespace, a new devpts on `/dev/pts`: nobody there can change the owner of a
    ///   terminal of the host.
    pub fn defaults() -> Vec<Mount> {
        let restricted = |kind: &str, target: &str| Mount {
            flags: MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
            ..Mount::file_system(kind, target)
        };
        let kernels = |kind, target| {
            let mut mount = restricted(kind, target);
            mount.flags |= MOUNT_ATTR_NOEXEC;
            mount.host_instead = true;
            mount
        };
        let mut sys = kernels("sysfs", "/sys").recursive();
        sys.host_first = true;
        let mut defaults = Vec::from([
            Mount::bind("/dev").recursive(),
            Mount::own_terminals(),
            kernels("proc", "/proc"),
            sys,
            restricted("tmpfs", "/dev/shm").data("mode=1777").optional(),
            Mount::bind("/etc/resolv.conf").read_only().optional(),
            Mount::bind(hosts::PATH).read_only().optional(),
        ]);
        defaults
            .iter_mut()
            .for_each(|mount| mount.by_default = true);
        defaults
    }

    /// Returns the mounts of a minimal `/dev`: a tmpfs with null, zero, full, random, urandom and
    /// tty and links to the standard descriptors, a new devpts and a new tmpfs for shared memory.
    pub(crate) fn minimal_dev() -> [Mount; 3] {
        let new = |target: &str, options: &str| {
            Mount::file_system("tmpfs", target).options(options.as_bytes())
        };
        let mut dev = new("/dev", "nosuid,noexec,mode=755");
        dev.devices = true;
        let pts = Mount::file_system("devpts", "/dev/pts");
        [
            dev,
            pts.options(b"nosuid,noexec,newinstance,mode=620,ptmxmode=666"),
            new("/dev/shm", "nosuid,nodev,mode=1777"),
        ]
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.flags & MOUNT_ATTR_RDONLY != 0
    }

    /// Returns whether both have the same target. `/a//b/.` is the same as `/a/b`.
    pub(crate) fn has_target_of(&self, other: &Mount) -> bool {
        let [path, its] = [self, other].map(|mount| components(mount.target.bytes()));
        self.target_sum == other.target_sum && path.eq(its)
    }

    pub(crate) fn set_target(&mut self, target: Name) {
        self.target_sum = sum(target.bytes());
        self.target = target;
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(path, b'/').filter(|name| !matches!(*name, b"" | b"."))
}

fn sum(path: &[u8]) -> u32 {
    let add = |sum: u32, byte: &u8| sum.wrapping_mul(31).wrapping_add(u32::from(*byte));
    components(path).fold(0, |sum, name| name.iter().fold(add(sum, &b'/'), add))
}

/// Adds a mount to a set. It replaces a mount with the same target, so that the mounts below that
/// target stay after it; otherwise it goes to the end.
pub(crate) fn add(mounts: &mut Vec<Mount>, mount: Mount) {
    match mounts.iter_mut().find(|other| other.has_target_of(&mount)) {
        Some(other) => *other = mount,
        None => mounts.push(mount),
    }
}
