//! Mount flags where `mount_setattr(2)` is missing (Linux before 5.12): each mount remounted.

use core::ffi::CStr;

use crate::mount::resolve::{resolve, walk};
use crate::sys::mount::{
    MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT, mount as mount_call,
};
use crate::sys::{BorrowedFd, Errno, fs};
use crate::text::path::PathBuffer;
use crate::text::short::Short;

/// Sets the flags of the mount that is attached at `target`, and with `recursive` of those below
/// it. Nothing of ours runs in this mount namespace yet, so nobody meets it without its flags.
/// `top` is that mount; where there was no descriptor for it, it is looked up.
pub(crate) fn set_flags_of_attached(
    root: BorrowedFd,
    target: &CStr,
    top: Option<BorrowedFd>,
    flags: u32,
    recursive: bool,
) -> Result<(), Errno> {
    match top {
        Some(top) => change_flags(top, flags, 0)?,
        None => change_flags(resolve(root, target)?.borrow(), flags, 0)?,
    }
    if recursive {
        set_flags_below(root, target, flags)?;
    }
    Ok(())
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

/// The paths of mountinfo are those of the caller's root, on top of which `root` is attached: a
/// line is about a mount inside `root` when that path, taken inside `root`, leads to the mount
/// that the line names.
pub(crate) fn set_flags_below(root: BorrowedFd, target: &CStr, flags: u32) -> Result<(), Errno> {
    let top = walk(root, target)?.path;
    let mountinfo = fs::openat(BorrowedFd::CWD, c"/proc/self/mountinfo", fs::O_RDONLY, 0)?;
    let mut lines = Lines::new(mountinfo.borrow());
    while let Some((id, path)) = lines.next()? {
        let below = path
            .bytes()
            .strip_prefix(top.bytes())
            .is_some_and(|rest| rest.len() > 1 && rest.starts_with(b"/"));
        if !below {
            continue;
        }
        match resolve(root, path.as_c_str()) {
            Ok(mounted) if fs::stat(mounted.borrow())?.mount_id == id => {
                change_flags(mounted.borrow(), flags, 0)?;
            }
            Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => {}
            Err(errno) => return Err(errno),
        }
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
