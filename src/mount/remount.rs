//! The flags of mounts that are attached: by `mount_setattr(2)`, and where that is missing (Linux
//! before 5.12) by a remount of each mount.
//!
//! A tree that is to be read-only becomes private too: as a slave of the host's it would receive what
//! the host mounts there later, and that could be written.

use crate::mount::resolve::open_landing;
use crate::sys::mount::{
    Attributes, MOUNT_ATTR_RDONLY, MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY,
    MS_REC, MS_REMOUNT, mount as mount_call, mount_setattr,
};
use crate::sys::{BorrowedFd, Errno, fs};
use crate::text::path::PathBuffer;
use crate::text::short::Short;

/// What a bind with these flags is to have.
pub(crate) fn attributes(flags: u32) -> Attributes {
    let is_read_only = flags & MOUNT_ATTR_RDONLY != 0;
    Attributes {
        set: flags,
        clear: 0,
        propagation: if is_read_only { MS_PRIVATE } else { 0 },
    }
}

/// Makes every mount below the top of `root` read-only and private, the top itself private alone:
/// mount points have still to be made there.
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

/// Undoes [`protect`], to remove the mount points that were made there.
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

/// Remounts an attached mount, and with `recursive` those below it, with these flags. `top` is its
/// own descriptor. Nothing runs in this mount namespace yet, so nobody meets it without them.
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

/// A remount replaces all flags, so those that the mount has are given again: a user namespace
/// may not take away any that are not its own. The times of access are kept when none is named.
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

/// Each mount below `top` has a line in mountinfo with a path below that of `top`. Others may have
/// such a path too, so what is found there from `top` has to be the mount that the line names.
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

/// Takes the identity and the path of a mount.
pub(crate) type Visit<'a> = dyn FnMut(u64, &[u8]) -> Result<(), Errno> + 'a;

/// Calls `visit` for each mount that is below our root.
pub(crate) fn visit_mounts(visit: &mut Visit) -> Result<(), Errno> {
    let mountinfo = fs::openat(BorrowedFd::CWD, c"/proc/self/mountinfo", fs::O_RDONLY, 0)?;
    let mut lines = Lines::new(mountinfo.borrow());
    while let Some((id, path)) = lines.next()? {
        visit(id, path.bytes())?;
    }
    Ok(())
}

/// The mounts of a mountinfo file: identity and path, the first and the fifth field.
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
                // Space, tab, newline and backslash are three octal digits.
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
