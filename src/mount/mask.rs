//! Masks over the parts of proc and sysfs that let a root user control or read the whole machine.
//!
//! The list is that of the container runtimes. Each mask is placed by the mount's own descriptor,
//! so neither a link nor another mount in front can redirect it.

use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::mount::bind::{bind_file, bind_read_only};
use crate::mount::resolve::open_landing;
use crate::sys::mount::{MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, mount};
use crate::sys::{BorrowedFd, Errno, fs};

/// Paths that become read-only.
pub(crate) const READ_ONLY: [&CStr; 5] = [
    c"/proc/bus",
    c"/proc/fs",
    c"/proc/irq",
    c"/proc/sys",
    c"/proc/sysrq-trigger",
];

/// Paths that are covered: a file by `/dev/null`, a directory by an empty one.
pub(crate) const COVERED: [&CStr; 11] = [
    c"/proc/acpi",
    c"/proc/asound",
    c"/proc/kcore",
    c"/proc/keys",
    c"/proc/latency_stats",
    c"/proc/sched_debug",
    c"/proc/scsi",
    c"/proc/timer_list",
    c"/proc/timer_stats",
    c"/sys/devices/virtual/powercap",
    c"/sys/firmware",
];

/// Returns the paths that lie in a file system of this type, `proc` or `sysfs`, each with its path
/// below the top of that file system.
fn paths_in(
    paths: &'static [&CStr],
    kind: u64,
) -> impl Iterator<Item = (&'static [u8], &'static [u8])> {
    let top: &[u8] = match kind {
        fs::PROC_SUPER_MAGIC => b"/proc",
        fs::SYSFS_MAGIC => b"/sys",
        _ => b"/none",
    };
    paths.iter().filter_map(move |path| {
        let path = path.to_bytes();
        Some((path, path.strip_prefix(top)?))
    })
}

/// Masks the paths that exist in a mount, if it shows proc or sysfs.
pub(crate) fn mask(top: BorrowedFd) -> Result<(), Error> {
    let kind = fs::statfs(top)
        .map_err(|errno| Error::new(Step::Mask, b"/proc", errno))?
        .0;
    type Mask = fn(BorrowedFd) -> Result<(), Errno>;
    let each = |paths: &'static [&'static CStr], mask: Mask| {
        for (path, below) in paths_in(paths, kind) {
            let masked = match open_landing(top, below) {
                // This kernel does not have it.
                Err(Errno::ENOENT | Errno::ENOTDIR) => continue,
                found => found.and_then(|found| mask(found.borrow())),
            };
            masked.map_err(|errno| Error::new(Step::Mask, path, errno))?;
        }
        Ok(())
    };
    each(&READ_ONLY, bind_read_only)?;
    each(&COVERED, cover)
}

fn cover(found: BorrowedFd) -> Result<(), Errno> {
    if !fs::stat(found)?.is_directory() {
        return bind_file(c"/dev/null", found);
    }
    fs::fchdir(found)?;
    let flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    mount(c"tmpfs", c".", c"tmpfs", flags, c"mode=755,nr_inodes=1")
}
