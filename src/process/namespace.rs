//! Namespaces of a run, and their set-up.

use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::sys::credentials::{CAP_SYS_ADMIN, CapabilitySets, capabilities};
use crate::sys::process::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWUSER,
    CLONE_NEWUTS, setdomainname, sethostname,
};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, net};

/// A type of namespace (`namespaces(7)`) that a run can have for itself or share with its caller.
/// It always has its own mount namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Namespace {
    /// Network devices, addresses, ports (`network_namespaces(7)`). A new one has only the loopback
    /// device, which is brought up.
    Network,
    /// System V IPC and POSIX message queues (`ipc_namespaces(7)`).
    Ipc,
    /// Host name and domain name (`uts_namespaces(7)`).
    Uts,
    /// Process numbers (`pid_namespaces(7)`).
    Pid,
    /// The root of the paths in `/proc/self/cgroup` (`cgroup_namespaces(7)`).
    Cgroup,
    /// The clocks that count from boot (`time_namespaces(7)`, Linux 5.6).
    Time,
    /// Users, groups and capabilities (`user_namespaces(7)`). By default there is a new one if the
    /// others need it.
    User,
}

impl Namespace {
    /// All types.
    pub const ALL: [Namespace; 7] = [
        Namespace::Network,
        Namespace::Ipc,
        Namespace::Uts,
        Namespace::Pid,
        Namespace::Cgroup,
        Namespace::Time,
        Namespace::User,
    ];

    /// Returns the name of the type in `/proc/self/ns`.
    pub fn name(self) -> &'static str {
        match self {
            Namespace::Network => "net",
            Namespace::Ipc => "ipc",
            Namespace::Uts => "uts",
            Namespace::Pid => "pid",
            Namespace::Cgroup => "cgroup",
            Namespace::Time => "time",
            Namespace::User => "user",
        }
    }

    fn path(self) -> &'static CStr {
        match self {
            Namespace::Network => c"/proc/self/ns/net",
            Namespace::Ipc => c"/proc/self/ns/ipc",
            Namespace::Uts => c"/proc/self/ns/uts",
            Namespace::Pid => c"/proc/self/ns/pid",
            Namespace::Cgroup => c"/proc/self/ns/cgroup",
            Namespace::Time => c"/proc/self/ns/time",
            Namespace::User => c"/proc/self/ns/user",
        }
    }

    fn flag(self) -> u32 {
        match self {
            Namespace::Network => CLONE_NEWNET,
            Namespace::Ipc => CLONE_NEWIPC,
            Namespace::Uts => CLONE_NEWUTS,
            Namespace::Pid => CLONE_NEWPID,
            Namespace::Cgroup => CLONE_NEWCGROUP,
            Namespace::Time => CLONE_NEWTIME,
            Namespace::User => CLONE_NEWUSER,
        }
    }
}

/// The namespaces that a run has for itself, except the mount namespace. The process inside makes
/// that one itself, once NEWROOT is its current directory: `unshare(2)` moves the current directory
/// into the new mount namespace, but no descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Namespaces {
    /// `CLONE_NEW*`, except the user namespace.
    flags: u32,
    /// Those that were asked for explicitly.
    asked: u32,
    /// Whether there is a new user namespace. `None`: if the others need it.
    user: Option<bool>,
}

impl Namespaces {
    /// The namespaces of a run without options.
    pub(crate) const DEFAULT: Namespaces = Namespaces {
        flags: CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID,
        asked: 0,
        user: None,
    };

    pub(crate) fn set(&mut self, namespace: Namespace, own: bool) {
        match (namespace, own) {
            (Namespace::User, own) => self.user = Some(own),
            (namespace, true) => {
                self.flags |= namespace.flag();
                self.asked |= namespace.flag();
            }
            (namespace, false) => self.flags &= !namespace.flag(),
        }
    }

    /// Shares the pid namespace, unless a new one was asked for. Returns false if nothing changes.
    pub(crate) fn share_pid(&mut self) -> bool {
        let may_share = self.flags & !self.asked & CLONE_NEWPID != 0;
        if may_share {
            self.flags &= !CLONE_NEWPID;
        }
        may_share
    }

    pub(crate) fn has(self, namespace: Namespace) -> bool {
        match namespace {
            Namespace::User => self.user == Some(true),
            namespace => self.flags & namespace.flag() != 0,
        }
    }

    /// Returns the types that differ from a run without options, each with whether it is new.
    pub(crate) fn changed(self) -> impl Iterator<Item = (Namespace, bool)> {
        let changed = move |namespace: &Namespace| match namespace {
            Namespace::User => self.user.is_some(),
            namespace => self.has(*namespace) != Namespaces::DEFAULT.has(*namespace),
        };
        let namespaces = Namespace::ALL.into_iter().filter(changed);
        namespaces.map(move |namespace| (namespace, self.has(namespace)))
    }

    /// Returns the flags, `CLONE_NEW*`, except that of the user namespace.
    pub(crate) fn flags(self) -> u32 {
        self.flags
    }

    /// Makes a process in these namespaces with `make`, which takes the flags, but not in a new
    /// user namespace. Fails with EPERM if there should be one, or if the caller needs one because
    /// of its `rights`.
    pub(crate) fn make<T>(
        self,
        rights: Result<CapabilitySets, Errno>,
        make: impl FnOnce(u32) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let has_right = rights.map(|sets| sets.has(CAP_SYS_ADMIN));
        match self.user {
            Some(true) => Err(Errno::EPERM),
            // Without other namespaces the mount namespace still needs the right.
            _ if self.flags == 0 && has_right != Ok(true) => Err(Errno::EPERM),
            None if has_right == Ok(false) => Err(Errno::EPERM),
            _ => make(self.flags),
        }
    }

    /// Returns whether there is going to be a new user namespace. At run time a seccomp filter or a
    /// limit may decide otherwise.
    pub(crate) fn need_user(self) -> bool {
        self.user.unwrap_or_else(|| {
            let has_right = capabilities().map(|sets| sets.has(CAP_SYS_ADMIN));
            has_right != Ok(true)
        })
    }

    /// Returns whether a new user namespace may be made if the other namespaces are not permitted.
    pub(crate) fn may_have_user(self) -> bool {
        self.user != Some(false)
    }

    /// Returns the error for namespaces that could not be made. If the kernel lacks one, it is
    /// named.
    pub(crate) fn refused(self, errno: Errno) -> Error {
        if let Errno::EINVAL | Errno::ENOSYS = errno {
            let asked = Namespace::ALL
                .iter()
                .filter(|namespace| self.has(**namespace));
            for namespace in asked {
                let file = fs::readlink_at(BorrowedFd::CWD, namespace.path(), &mut [0; 32]);
                if file == Err(Errno::ENOENT) {
                    return Error::new(Step::Namespace, namespace.name().as_bytes(), errno);
                }
            }
        }
        Error::new(Step::Namespaces, b"", errno)
    }
}

/// Brings up the loopback device, which every network namespace needs.
pub(crate) fn bring_loopback_up() -> Result<(), Error> {
    net::devices()
        .and_then(|devices: OwnedFd| net::set_up(devices.borrow(), b"lo"))
        .map_err(|errno| Error::new(Step::Network, b"lo", errno))
}

/// Returns whether we are in a user namespace other than the initial one, whose inode number is
/// fixed. Without proc the answer is no.
pub(crate) fn in_user_namespace() -> bool {
    let mut name = [0; 32];
    fs::readlink_at(BorrowedFd::CWD, c"/proc/self/ns/user", &mut name)
        .is_ok_and(|length| &name[..length] != b"user:[4026531837]")
}

/// Sets the host name. If the name has dots, the part before the first is the host name and the
/// rest the domain name, as `hostname` and `dnsdomainname` show them.
pub(crate) fn set_names(name: &[u8]) -> Result<(), Error> {
    let dot = name.iter().position(|byte| *byte == b'.');
    let (host, domain) = match dot {
        Some(dot) => (&name[..dot], Some(&name[dot + 1..])),
        None => (name, None),
    };
    sethostname(host).map_err(|errno| Error::new(Step::Hostname, host, errno))?;
    if let Some(domain) = domain {
        setdomainname(domain).map_err(|errno| Error::new(Step::Domainname, domain, errno))?;
    }
    Ok(())
}
