//! A private copy of a file, in memory.
//!
//! The copy is made in a tmpfs on top of our root, where no name in NEWROOT leads, and bound from
//! there. In an overlay it is an ordinary file instead.

use core::ffi::CStr;

use crate::error::Step;
use crate::mount::Planned;
use crate::mount::attach::{Mounts, State};
use crate::mount::bind::{self, Bind, move_classic};
use crate::mount::overlay::{MEMORY, MEMORY_FLAGS};
use crate::mount::pivot::ON_TOP_OF_ROOT;
use crate::mount::remount::attributes;
use crate::mount::resolve::{CName, open_landing};
use crate::sys::mount::{MNT_DETACH, mount, umount};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::path::split_last;

/// The path of the file of [`beside`]: `..` of the root leads to the mount on top of it.
pub(crate) const COPY: &CStr = c"/../copy";

/// Calls `attach` while a tmpfs that holds one file is on top of our root. A bind of the file stays
/// afterwards.
pub(crate) fn beside(
    contents: &[u8],
    attach: impl FnOnce() -> Result<OwnedFd, Errno>,
) -> Result<OwnedFd, Errno> {
    mount(MEMORY, c"/", MEMORY, MEMORY_FLAGS, c"mode=755")?;
    let attached = fs::openat(BorrowedFd::CWD, ON_TOP_OF_ROOT, fs::O_PATH, 0)
        .and_then(|top| write_new(top.borrow(), c"copy", contents))
        .and_then(|()| attach());
    // If it stayed, the mounts that follow would go below it.
    let removed = umount(ON_TOP_OF_ROOT, MNT_DETACH);
    attached.and_then(|attached| removed.map(|()| attached))
}

/// Attaches a copy to a mount point. Without the newer calls this works only where `/proc` is the
/// host's, because mount(2) names the mount point as a path in it.
pub(crate) fn attach(
    contents: &[u8],
    flags: u32,
    point: BorrowedFd,
    has_hosts_proc: bool,
) -> Result<OwnedFd, Errno> {
    beside(contents, || {
        let taken = bind::take(BorrowedFd::CWD, COPY, false, attributes(flags));
        match taken.map_err(|(_, errno)| errno)? {
            tree @ Bind::Tree { .. } => {
                tree.attach(has_hosts_proc.then_some(COPY), false, flags, point)
            }
            Bind::Classic { .. } if !has_hosts_proc => Err(Errno::ENOSYS),
            Bind::Classic { .. } => move_classic(COPY, (COPY, COPY), false, flags, point),
        }
    })
}

impl Mounts {
    /// Puts a copy into an overlay while nothing is mounted there yet, unless it belongs in a mount
    /// of the plan.
    pub(super) fn put_copy(
        &mut self,
        root: BorrowedFd,
        index: usize,
        planned: &Planned,
    ) -> Result<(), (Step, Errno)> {
        if self.points.parent(index).is_some() {
            return Ok(());
        }
        let contents = planned.contents.as_deref().unwrap_or_default();
        let (above, name) = split_last(self.points.landing(index));
        let put = open_landing(root, above)
            .and_then(|above| put(above.borrow(), CName::new(name)?.as_c_str(), contents));
        self.states[index] = State::Attached(None);
        put.map_err(|errno| (Step::Mount, errno))
    }
}

/// Puts the copy into the overlay itself, as an ordinary file that may be replaced.
fn put(directory: BorrowedFd, name: &CStr, contents: &[u8]) -> Result<(), Errno> {
    match fs::unlinkat(directory, name, false) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    write_new(directory, name, contents)
}

fn write_new(directory: BorrowedFd, name: &CStr, contents: &[u8]) -> Result<(), Errno> {
    let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW;
    let file = fs::openat(directory, name, flags, 0o644)?;
    fs::fchmod(file.borrow(), 0o644)?;
    fs::write_all(file.borrow(), contents)
}
