//! Flags of attached mounts, set by `mount_setattr(2)`, or where that is missing (Linux before
//! 5.12) by a remount of each mount.
//!
//! A tree that becomes read-only becomes private too. A slave of the host's would receive mounts
//! that the host makes there later, and those would be writable.

use crate::mount::resolve::open_landing;
use crate::sys::mount::{
    Attributes, MOUNT_ATTR_RDONLY, MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY,
    MS_REC, MS_REMOUNT, mount as mount_call, mount_setattr,
};
use crate::sys::{BorrowedFd, Errno, fs};
use crate::text::path::PathBuffer;
use crate::text::short::Short;

/// Returns the attributes of a bind with these flags.
pub(crate) fn attributes(flags: u32) -> Attributes {
    let is_read_only = flags & MOUNT_ATTR_RDONLY != 0;
    Attributes {
        set: flags,
        clear: 0,
        propagation: if is_read_only { MS_PRIVATE } else { 0 },
    }
}

/// Makes every mount below the top of `root` read-only and private. The top itself becomes only
/// private, because mount points have still to be made there.
pub(crate) fn protect_below(root: BorrowedFd) -> Result<(), Errno> {
    let was_writable = fs::statfs(root)?.1 as u32 & MS_RDONLY == 0;
    match mount_setattr(root, attributes(MOUNT_ATTR_RDONLY), true) {
        Err(Errno::ENOSYS) => {
            make_private(root)?;
            return set_flags_below(root, MS_RDONLY);
        }
        result => result?,
    }
    match was_writable {
        true => unprotect(root),
        false => Ok(()),
    }
}

/// Makes the top of `root` read-only.
pub(crate) fn protect(root: BorrowedFd) -> Result<(), Errno> {
    match mount_setattr(root, attributes(MOUNT_ATTR_RDONLY), false) {
        Err(Errno::ENOSYS) => change_flags(root, MS_RDONLY, 0),
        result => result,
    }
}

/// Reverts [`protect`], in order to remove the mount points that were made there.
pub(crate) fn unprotect(root: BorrowedFd) -> Result<(), Errno> {
    let attributes = Attributes {
        clear: MOUNT_ATTR_RDONLY,
        ..Attributes::default()
    };
    match mount_setattr(root, attributes, false) {
        Err(Errno::ENOSYS) => change_flags(root, 0, MS_RDONLY),
        result => result,
    }
}

/// Sets these flags on an attached mount and, if `recursive`, on those below it. `top` is the
/// mount's own descriptor. Nothing runs in this mount namespace yet, so no process sees it without
/// them.
pub(crate) fn remount(top: BorrowedFd, flags: u32, recursive: bool) -> Result<(), Errno> {
    if flags & MS_RDONLY != 0 {
        make_private(top)?;
    }
    change_flags(top, flags, 0)?;
    match recursive {
        true => set_flags_below(top, flags),
        false => Ok(()),
    }
}

fn make_private(top: BorrowedFd) -> Result<(), Errno> {
    let path = Short::in_proc(top);
    mount_call(c"", path.as_c_str(), c"", MS_REC | MS_PRIVATE, c"")
}

/// Sets and clears flags of one mount. A remount replaces all flags, so the present ones are given
/// again: a user namespace may not clear flags that it did not set. The kernel keeps the atime
/// setting if the flags name none.
pub(crate) fn change_flags(mounted: BorrowedFd, set: u32, clear: u32) -> Result<(), Errno> {
    const KEPT: u32 = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    let before = fs::statfs(mounted)?.1 as u32 & KEPT;
    let flags = MS_REMOUNT | MS_BIND | (before & !clear) | set;
    if fs::stat(mounted)?.is_directory() {
        match fs::fchdir(mounted) {
            // It can be remounted, but not entered.
            Err(Errno::EACCES) => {}
            Err(errno) => return Err(errno),
            Ok(()) => return mount_call(c"", c".", c"", flags, c""),
        }
    }
    let path = Short::in_proc(mounted);
    mount_call(c"", path.as_c_str(), c"", flags, c"")
}

/// Sets flags on the mounts below `top`. Each has a line in mountinfo with a path below that of
/// `top`. Other mounts may have such a path too, so the path is looked up from `top` and the result
/// compared with the mount of that line.
fn set_flags_below(top: BorrowedFd, flags: u32) -> Result<(), Errno> {
    let id = fs::stat(top)?.mount_id;
    let mut top_path = PathBuffer::new();
    visit_mounts(&mut |mount, path| {
        if mount == id {
            top_path.truncate(0);
            top_path.push(path)?;
        }
        Ok(())
    })?;
    let top_path = match top_path.bytes() {
        b"/" => b"",
        path => path,
    };
    visit_mounts(&mut |mount, path| {
        let rest = path.strip_prefix(top_path).unwrap_or_default();
        if rest.len() < 2 || rest[0] != b'/' {
            return Ok(());
        }
        match open_landing(top, rest) {
            Ok(mounted) if fs::stat(mounted.borrow())?.mount_id == mount => {
                change_flags(mounted.borrow(), flags, 0)
            }
            Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EACCES) => Ok(()),
            Err(errno) => Err(errno),
        }
    })
}

/// Takes the id and the path of a mount.
pub(crate) type Visit<'a> = dyn FnMut(u64, &[u8]) -> Result<(), Errno> + 'a;

/// Calls `visit` for each mount below our root.
pub(crate) fn visit_mounts(visit: &mut Visit) -> Result<(), Errno> {
    let mountinfo = fs::openat(BorrowedFd::CWD, c"/proc/self/mountinfo", fs::O_RDONLY, 0)?;
    let mut lines = Lines::new(mountinfo.borrow());
    while let Some((id, path)) = lines.next()? {
        visit(id, path.bytes())?;
    }
    Ok(())
}

/// The lines of a mountinfo file: id and path, which are the first and the fifth field.
pub(crate) struct Lines<'a> {
    file: BorrowedFd<'a>,
    buffer: [u8; 4096],
    start: usize,
    end: usize,
}

impl Lines<'_> {
    pub(crate) fn new(file: BorrowedFd) -> Lines {
        Lines {
            file,
            buffer: [0; 4096],
            start: 0,
            end: 0,
        }
    }

    fn next_byte(&mut self) -> Result<Option<u8>, Errno> {
        if self.start == self.end {
            self.end = fs::read(self.file, &mut self.buffer)?;
            self.start = 0;
        }
        let byte = self.buffer[..self.end].get(self.start).copied();
        self.start += 1;
        Ok(byte)
    }

    pub(crate) fn next(&mut self) -> Result<Option<(u64, PathBuffer)>, Errno> {
        let (mut id, mut path, mut field) = (0u64, PathBuffer::new(), 1);
        while let Some(byte) = self.next_byte()? {
            match (field, byte) {
                (_, b'\n') => return Ok(Some((id, path))),
                (_, b' ') => field += 1,
                (1, digit) => {
                    id = id
                        .wrapping_mul(10)
                        .wrapping_add(u64::from(digit.wrapping_sub(b'0')));
                }
                // mountinfo escapes space, tab, newline and backslash as three octal digits.
                (5, b'\\') => {
                    let mut value = 0u8;
                    for _ in 0..3 {
                        let digit = self.next_byte()?.unwrap_or(b'0').wrapping_sub(b'0');
                        value = value.wrapping_mul(8).wrapping_add(digit);
                    }
                    path.push(&[value])?;
                }
                (5, byte) => path.push(&[byte])?,
                _ => {}
            }
        }
        Ok(None)
    }
}
