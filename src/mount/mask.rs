//! What proc and sysfs let a root user do to the whole machine, closed.

use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::mount::attach::{bind_at, bind_read_only};
use crate::mount::resolve::resolve;
use crate::sys::mount::{MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, mount};
use crate::sys::{BorrowedFd, Errno, fs};

/// What can be read, as the container runtimes leave it.
pub(crate) const READ_ONLY: [&CStr; 5] = [
    c"/proc/bus",
    c"/proc/fs",
    c"/proc/irq",
    c"/proc/sys",
    c"/proc/sysrq-trigger",
];

/// What is covered: a file by `/dev/null`, a directory by an empty one.
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

/// Masks what there is of these inside `root`.
pub(crate) fn mask(root: BorrowedFd) -> Result<(), Error<'static>> {
    type Mask = fn(BorrowedFd, &CStr, BorrowedFd) -> Result<(), Errno>;
    let each = |paths: &[&'static CStr], mask: Mask| {
        for path in paths {
            let masked = match resolve(root, path) {
                // Not in this kernel, or there is no such mount.
                Err(Errno::ENOENT | Errno::ENOTDIR) => continue,
                found => found.and_then(|found| mask(root, path, found.borrow())),
            };
            masked.map_err(|errno| Error::new(Step::Mask, path.to_bytes(), errno))?;
        }
        Ok(())
    };
    each(&READ_ONLY, bind_read_only)?;
    each(&COVERED, cover)
}

fn cover(_: BorrowedFd, _: &CStr, found: BorrowedFd) -> Result<(), Errno> {
    if !fs::stat(found)?.is_directory() {
        return bind_at(c"/dev/null", found);
    }
    fs::fchdir(found)?;
    let flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    mount(c"tmpfs", c".", c"tmpfs", flags, c"mode=755,nr_inodes=1")
}
