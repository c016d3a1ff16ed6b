//! Which namespaces, and what is set up in them.

use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::sys::credentials::{CAP_SYS_ADMIN, CapabilitySets, capabilities};
use crate::sys::process::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWUSER,
    CLONE_NEWUTS, setdomainname, sethostname,
};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, net};

/// A type of namespace (`namespaces(7)`) that a run can have of its own or share with its caller.
/// A mount namespace of its own it always has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Namespace {
    /// Network devices, addresses, ports (`network_namespaces(7)`). A new one has only the
    /// loopback device, which is brought up.
    Network,
    /// System V IPC and POSIX message queues (`ipc_namespaces(7)`).
    Ipc,
    /// Host name and domain name (`uts_namespaces(7)`).
    Uts,
    /// Process numbers (`pid_namespaces(7)`).
    Pid,
    /// The root of what `/proc/self/cgroup` shows (`cgroup_namespaces(7)`).
    Cgroup,
    /// The clocks since the machine's start (`time_namespaces(7)`, Linux 5.6).
    Time,
    /// Users, groups and capabilities (`user_namespaces(7)`). Unless it is asked for or ruled out,
    /// there is a new one where the others need it.
    User,
}

impl Namespace {
    /// All of them.
    pub const ALL: [Namespace; 7] = [
        Namespace::Network,
        Namespace::Ipc,
        Namespace::Uts,
        Namespace::Pid,
        Namespace::Cgroup,
        Namespace::Time,
        Namespace::User,
    ];

    /// Its name in `/proc/self/ns`.
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

/// Which namespaces a run has of its own, beside the mount namespace. That is made by the process
/// inside, once it is in NEWROOT: of a directory that was entered before the kernel makes a copy in
/// the new namespace, and of a descriptor it does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Namespaces {
    /// `CLONE_NEW*`, but for that of the user namespace.
    flags: u32,
    /// Those of them that were asked for.
    asked: u32,
    /// Is there to be a new user namespace? `None`: where the others need it.
    user: Option<bool>,
}

impl Namespaces {
    /// Those of a run that asks for nothing else.
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

    /// Shares the pid namespace, unless one was asked for; false where nothing changes.
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

    /// What is not as in a run that asks for nothing else: is it of its own?
    pub(crate) fn changed(self) -> impl Iterator<Item = (Namespace, bool)> {
        let changed = move |namespace: &Namespace| match namespace {
            Namespace::User => self.user.is_some(),
            namespace => self.has(*namespace) != Namespaces::DEFAULT.has(*namespace),
        };
        let namespaces = Namespace::ALL.into_iter().filter(changed);
        namespaces.map(move |namespace| (namespace, self.has(namespace)))
    }

    /// The flags, `CLONE_NEW*`, without that of the user namespace.
    pub(crate) fn flags(self) -> u32 {
        self.flags
    }

    /// Makes a process in them, by `make`, which takes the flags; but not in a new user namespace:
    /// EPERM where there is to be one, or the caller, with these `rights`, needs one.
    pub(crate) fn make<T>(
        self,
        rights: Result<CapabilitySets, Errno>,
        make: impl FnOnce(u32) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let has_right = rights.map(|sets| sets.has(CAP_SYS_ADMIN));
        match self.user {
            Some(true) => Err(Errno::EPERM),
            // The mount namespace needs the right too, where no other asks for it.
            _ if self.flags == 0 && has_right != Ok(true) => Err(Errno::EPERM),
            None if has_right == Ok(false) => Err(Errno::EPERM),
            _ => make(self.flags),
        }
    }

    /// Is there going to be a new user namespace? A filter or a limit may have another answer.
    pub(crate) fn need_user(self) -> bool {
        self.user.unwrap_or_else(|| {
            let has_right = capabilities().map(|sets| sets.has(CAP_SYS_ADMIN));
            has_right != Ok(true)
        })
    }

    /// May there be a new user namespace where the others are not permitted?
    pub(crate) fn may_have_user(self) -> bool {
        self.user != Some(false)
    }

    /// The error for namespaces that could not be made: where the kernel lacks one, with its name.
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

/// Brings up the loopback device, as every network namespace needs it.
pub(crate) fn bring_loopback_up() -> Result<(), Error> {
    net::devices()
        .and_then(|devices: OwnedFd| net::set_up(devices.borrow(), b"lo"))
        .map_err(|errno| Error::new(Step::Network, b"lo", errno))
}

/// Are we in a user namespace, and not in the one that the kernel has started with, whose number
/// is fixed? Without proc it is taken for that.
pub(crate) fn in_user_namespace() -> bool {
    let mut name = [0; 32];
    fs::readlink_at(BorrowedFd::CWD, c"/proc/self/ns/user", &mut name)
        .is_ok_and(|length| &name[..length] != b"user:[4026531837]")
}

/// Sets the host name; of one with dots the part before the first, and the rest as the domain
/// name, as `hostname` and `dnsdomainname` show them.
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
