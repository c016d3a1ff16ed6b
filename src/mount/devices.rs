//! A minimal `/dev`: the devices that every program may use, and no others.
//!
//! `CAP_MKNOD` in the initial user namespace is needed to make a device node. Without it the host's
//! nodes are bound instead.

use core::ffi::CStr;

use crate::mount::bind::bind_file;
use crate::sys::{BorrowedFd, Errno, fs};

/// Name, path on the host, major and minor number (`Documentation/admin-guide/devices.txt`).
const NODES: [(&CStr, &CStr, u32, u32); 6] = [
    (c"null", c"/dev/null", 1, 3),
    (c"zero", c"/dev/zero", 1, 5),
    (c"full", c"/dev/full", 1, 7),
    (c"random", c"/dev/random", 1, 8),
    (c"urandom", c"/dev/urandom", 1, 9),
    (c"tty", c"/dev/tty", 5, 0),
];

const LINKS: [(&CStr, &CStr); 5] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"ptmx", c"pts/ptmx"),
];

/// Makes the devices, the links and the mount points for devpts and shared memory in an empty file
/// system.
///
/// A caller without `CAP_MKNOD` (an ordinary user, a container) gets the host's nodes, if a path
/// still leads to them.
pub(crate) fn make(dev: BorrowedFd, has_host: bool) -> Result<(), Errno> {
    let umask = fs::umask(0);
    let made = make_all(dev, has_host);
    fs::umask(umask);
    made
}

fn make_all(dev: BorrowedFd, has_host: bool) -> Result<(), Errno> {
    for name in [c"pts", c"shm"] {
        fs::mkdirat(dev, name, 0o755)?;
    }
    for (name, target) in LINKS {
        fs::symlinkat(target, dev, name)?;
    }
    for (name, host, major, minor) in NODES {
        match fs::mknodat(dev, name, 0o666, major, minor) {
            Err(Errno::EPERM) if has_host => {
                let flags = fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW;
                let point = fs::openat(dev, name, flags, 0o666)?;
                bind_file(host, point.borrow())?;
            }
            result => result?,
        }
    }
    Ok(())
}
