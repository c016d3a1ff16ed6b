//! Which namespaces, and what is set up in them.

use crate::error::{Error, Line, Step};
use crate::sys::process::{
    CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS, Fork, fork,
    setdomainname, sethostname,
};
use crate::sys::{BorrowedFd, Errno, fs};

/// The namespaces of every run.
pub(crate) const NAMESPACES: u32 = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID;

/// Forks into new mount, UTS, IPC and pid namespaces; where that is not permitted, into a new
/// user namespace as well. Says, in the child too, whether there is a new user namespace.
///
/// # Safety
///
/// As for [`fork`].
pub(crate) unsafe fn fork_into_namespaces() -> Result<(Fork, bool), Errno> {
    // SAFETY: the caller's promise.
    match unsafe { fork(NAMESPACES) } {
        // SAFETY: the caller's promise.
        Err(Errno::EPERM) => Ok((unsafe { fork(NAMESPACES | CLONE_NEWUSER) }?, true)),
        result => Ok((result?, false)),
    }
}

/// In a new user namespace, makes the caller's user and group 0. Setting groups has to be denied
/// for that (user_namespaces(7)): dropping a group could give a right that the group is denied.
pub(crate) fn map_to_root((user, group): (u32, u32)) -> Result<(), Error<'static>> {
    write_file(c"/proc/self/setgroups", b"deny")?;
    for (file, id) in [
        (c"/proc/self/uid_map", user),
        (c"/proc/self/gid_map", group),
    ] {
        let mut map = Line::new();
        map.push(b"0 ");
        map.push_number(id);
        map.push(b" 1\n");
        write_file(file, map.bytes())?;
    }
    Ok(())
}

/// Are we in a user namespace, and not in the one that the kernel has started with, whose number
/// is fixed? Without proc it is taken for that.
pub(crate) fn in_user_namespace() -> bool {
    let mut name = [0; 32];
    fs::readlink_at(BorrowedFd::CWD, c"/proc/self/ns/user", &mut name)
        .is_ok_and(|length| &name[..length] != b"user:[4026531837]")
}

fn write_file(path: &'static core::ffi::CStr, text: &[u8]) -> Result<(), Error<'static>> {
    fs::openat(BorrowedFd::CWD, path, fs::O_WRONLY, 0)
        .and_then(|file| fs::write_all(file.borrow(), text))
        .map_err(|errno| Error::new(Step::MapIds, path.to_bytes(), errno))
}

/// Sets the host name; of one with dots the part before the first, and the rest as the domain
/// name, as `hostname` and `dnsdomainname` show them.
pub(crate) fn set_names(name: &[u8]) -> Result<(), Error<'_>> {
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
