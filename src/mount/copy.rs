//! A private copy of a file, in memory.

use core::ffi::CStr;

use crate::mount::overlay::{MEMORY, MEMORY_FLAGS};
use crate::mount::pivot::ON_TOP_OF_ROOT;
use crate::mount::resolve::{open_walked, walk};
use crate::sys::mount::{MNT_DETACH, mount, umount};
use crate::sys::{BorrowedFd, Errno, fs};
use crate::text::path::{PathBuffer, split_last};

/// A tmpfs on top of the root, from which the copy is bound to its place. Dropped, only that stays.
pub(crate) struct Memory;

/// Where the copy is until then.
pub(crate) const COPY: &CStr = c"/../copy";

impl Memory {
    pub(crate) fn holding(contents: &[u8]) -> Result<Memory, Errno> {
        mount(MEMORY, c"/", MEMORY, MEMORY_FLAGS, c"mode=755")?;
        let memory = Memory;
        let top = fs::openat(BorrowedFd::CWD, ON_TOP_OF_ROOT, fs::O_PATH, 0)?;
        write_new(top.borrow(), c"copy", contents)?;
        Ok(memory)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = umount(ON_TOP_OF_ROOT, MNT_DETACH);
    }
}

/// Puts the copy into the root itself, which is an overlay: there it is a file like others. ENOENT
/// where its directory is missing; EXDEV where that is in another mount.
pub(crate) fn put_in_overlay(root: BorrowedFd, path: &CStr, contents: &[u8]) -> Result<(), Errno> {
    let landing = walk(root, path)?;
    let (above, name) = split_last(landing.path.bytes());
    let parent = open_walked(root, above)?;
    if fs::stat(parent.borrow())?.mount_id != fs::stat(root)?.mount_id {
        return Err(Errno::EXDEV);
    }
    let mut c_name = PathBuffer::new();
    c_name.push(name)?;
    match fs::unlinkat(parent.borrow(), c_name.as_c_str(), false) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    write_new(parent.borrow(), c_name.as_c_str(), contents)
}

fn write_new(directory: BorrowedFd, name: &CStr, contents: &[u8]) -> Result<(), Errno> {
    let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW;
    let file = fs::openat(directory, name, flags, 0o644)?;
    fs::fchmod(file.borrow(), 0o644)?;
    fs::write_all(file.borrow(), contents)
}
