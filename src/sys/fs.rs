//! Files and directories, by descriptor.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::size_of;

use linux_raw_sys::general as raw;
use sc::nr;

use super::{BorrowedFd, Errno, OwnedFd, abi, check, done, split};

pub use super::fd::open_standard_descriptors;
pub use super::stat::{
    CGROUP2_SUPER_MAGIC, Identity, MEM_MAJOR, PROC_SUPER_MAGIC, SYSFS_MAGIC, Stat, stat, stat_at,
    statfs,
};

pub use linux_raw_sys::general::{
    O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY,
    O_RDWR, O_WRONLY, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS,
};

/// `openat(2)`; the descriptor is always close-on-exec.
#[inline(never)]
pub fn openat(dir: BorrowedFd, path: &CStr, flags: u32, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = (flags | raw::O_CLOEXEC) as usize;
    // SAFETY: the path is a C string that outlives the call.
    let fd = unsafe {
        sc::syscall4(
            nr::OPENAT,
            dir.raw(),
            path.as_ptr() as usize,
            flags,
            mode as usize,
        )
    };
    check(fd).map(OwnedFd::new)
}

/// `openat2(2)`, Linux 5.6; the descriptor is always close-on-exec.
#[inline(never)]
pub fn openat2(dir: BorrowedFd, path: &CStr, flags: u32, resolve: u32) -> Result<OwnedFd, Errno> {
    let how = raw::open_how {
        flags: u64::from(flags | raw::O_CLOEXEC),
        mode: 0,
        resolve: u64::from(resolve),
    };
    // SAFETY: the path is a C string, `how` a struct of the size given; both outlive the call.
    let fd = unsafe {
        sc::syscall4(
            nr::OPENAT2,
            dir.raw(),
            path.as_ptr() as usize,
            &raw const how as usize,
            size_of::<raw::open_how>(),
        )
    };
    check(fd).map(OwnedFd::new)
}

/// `mkdirat(2)`.
pub fn mkdirat(dir: BorrowedFd, name: &CStr, mode: u32) -> Result<(), Errno> {
    // SAFETY: the name is a C string that outlives the call.
    done(unsafe {
        sc::syscall3(
            nr::MKDIRAT,
            dir.raw(),
            name.as_ptr() as usize,
            mode as usize,
        )
    })
}

/// `mknodat(2)` of a character device.
pub fn mknodat(
    dir: BorrowedFd,
    name: &CStr,
    mode: u32,
    major: u32,
    minor: u32,
) -> Result<(), Errno> {
    // SAFETY: the name is a C string that outlives the call. Numbers below 256 need no more bits.
    done(unsafe {
        sc::syscall4(
            nr::MKNODAT,
            dir.raw(),
            name.as_ptr() as usize,
            (raw::S_IFCHR | mode) as usize,
            (major << 8 | minor) as usize,
        )
    })
}

/// `symlinkat(2)`.
pub fn symlinkat(target: &CStr, dir: BorrowedFd, name: &CStr) -> Result<(), Errno> {
    // SAFETY: both are C strings that outlive the call.
    done(unsafe {
        sc::syscall3(
            nr::SYMLINKAT,
            target.as_ptr() as usize,
            dir.raw(),
            name.as_ptr() as usize,
        )
    })
}

/// `unlinkat(2)`: removes an empty directory, or anything else.
#[inline(never)]
pub fn unlinkat(dir: BorrowedFd, name: &CStr, directory: bool) -> Result<(), Errno> {
    let flags = if directory { raw::AT_REMOVEDIR } else { 0 };
    // SAFETY: the name is a C string that outlives the call.
    done(unsafe {
        sc::syscall3(
            nr::UNLINKAT,
            dir.raw(),
            name.as_ptr() as usize,
            flags as usize,
        )
    })
}

/// `renameat2(2)` with `RENAME_NOREPLACE`, within a directory.
pub fn rename_noreplace(dir: BorrowedFd, from: &CStr, to: &CStr) -> Result<(), Errno> {
    // SAFETY: both are C strings that outlive the call.
    done(unsafe {
        sc::syscall5(
            nr::RENAMEAT2,
            dir.raw(),
            from.as_ptr() as usize,
            dir.raw(),
            to.as_ptr() as usize,
            raw::RENAME_NOREPLACE as usize,
        )
    })
}

/// `fchmod(2)`.
#[inline(never)]
pub fn fchmod(file: BorrowedFd, mode: u32) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall2(nr::FCHMOD, file.raw(), mode as usize) })
}

/// `fchown(2)`.
pub fn fchown(file: BorrowedFd, user: u32, group: u32) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall3(nr::FCHOWN, file.raw(), user as usize, group as usize) })
}

/// `openat(2)` and `read(2)`: returns the content of a file.
pub fn read_all(path: &CStr) -> Result<Vec<u8>, Errno> {
    let file = openat(BorrowedFd::CWD, path, O_RDONLY, 0)?;
    read_to_end(file.borrow(), usize::MAX)
}

/// `read(2)`: returns the rest of a file; EFBIG if that is more than `most` bytes.
pub fn read_to_end(fd: BorrowedFd, most: usize) -> Result<Vec<u8>, Errno> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match read(fd, &mut buffer)? {
            0 => return Ok(all),
            length => all.extend(&buffer[..length]),
        }
        if all.len() > most {
            return Err(Errno::EFBIG);
        }
    }
}

/// `faccessat(2)`: returns whether the path exists.
pub fn is_there(path: &CStr) -> bool {
    // SAFETY: the path is a C string that outlives the call.
    let found = unsafe {
        sc::syscall3(
            nr::FACCESSAT,
            BorrowedFd::CWD.raw(),
            path.as_ptr() as usize,
            0,
        )
    };
    found == 0
}

/// `readlinkat(2)` of a name in a directory.
pub fn readlink_at(dir: BorrowedFd, name: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the name is a C string; the kernel writes at most `buffer.len()` bytes into the
    // buffer.
    check(unsafe {
        sc::syscall4(
            nr::READLINKAT,
            dir.raw(),
            name.as_ptr() as usize,
            buffer.as_mut_ptr() as usize,
            buffer.len(),
        )
    })
}

/// `readlinkat(2)` of the link that `link` was opened as with `O_PATH | O_NOFOLLOW`.
pub fn readlink(link: BorrowedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    readlink_at(link, c"", buffer)
}

/// An operation of `flock(2)`.
#[derive(Clone, Copy, Debug)]
pub enum Lock {
    /// Take it shared; EAGAIN at once if another holds it exclusively.
    TryShared,
    /// Take it exclusively; EAGAIN at once if another holds it.
    TryExclusive,
    /// Release it.
    Unlock,
}

/// `ftruncate(2)`.
#[allow(dead_code, reason = "the library uses it")]
pub fn ftruncate(file: BorrowedFd, length: usize) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall2(nr::FTRUNCATE, file.raw(), length) })
}

/// `flock(2)`.
#[inline(never)]
pub fn flock(fd: BorrowedFd, lock: Lock) -> Result<(), Errno> {
    let operation = match lock {
        Lock::TryShared => raw::LOCK_SH | raw::LOCK_NB,
        Lock::TryExclusive => raw::LOCK_EX | raw::LOCK_NB,
        Lock::Unlock => raw::LOCK_UN,
    };
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall2(nr::FLOCK, fd.raw(), operation as usize) })
}

/// `getdents64(2)`: calls `visit` with each name in a directory except `.` and `..`, until it returns
/// false.
pub fn visit_names(dir: BorrowedFd, visit: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), Errno> {
    let abi::Words(buffer) = &mut abi::Words([0; 2048]);
    loop {
        // SAFETY: the kernel writes at most `buffer.len()` bytes into the buffer.
        let length = check(unsafe {
            sc::syscall3(
                nr::GETDENTS64,
                dir.raw(),
                buffer.as_mut_ptr() as usize,
                buffer.len(),
            )
        })?;
        let mut entries = buffer.get(..length).unwrap_or_default();
        if entries.is_empty() {
            return Ok(());
        }
        // In `struct linux_dirent64` the length is at 16, and the name with its NUL at 19.
        while let [low, high, ..] = *entries.get(16..).unwrap_or_default() {
            let length = usize::from(u16::from_ne_bytes([low, high]));
            let Some((entry, rest)) = entries.split_at_checked(length) else {
                break;
            };
            entries = rest;
            let name = entry.get(19..).unwrap_or_default();
            let name = split(name, 0).next().unwrap_or_default();
            if name != b"." && name != b".." && !visit(name) {
                return Ok(());
            }
        }
    }
}

/// `read(2)`, repeated after EINTR.
pub fn read(fd: BorrowedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        // SAFETY: the kernel writes at most `buffer.len()` bytes into the buffer.
        let count = check(unsafe {
            sc::syscall3(
                nr::READ,
                fd.raw(),
                buffer.as_mut_ptr() as usize,
                buffer.len(),
            )
        });
        if count != Err(Errno::EINTR) {
            return count;
        }
    }
}

/// `pread64(2)` until the buffer is full; EOVERFLOW if the file ends before.
pub fn read_exact_at(fd: BorrowedFd, buffer: &mut [u8], offset: u64) -> Result<(), Errno> {
    let mut done = 0;
    while let Some(rest @ [_, ..]) = buffer.get_mut(done..) {
        // SAFETY: the kernel writes at most `rest.len()` bytes into the buffer.
        let count = check(unsafe {
            sc::syscall4(
                nr::PREAD64,
                fd.raw(),
                rest.as_mut_ptr() as usize,
                rest.len(),
                (offset + done as u64) as usize,
            )
        });
        match count {
            Ok(0) => return Err(Errno::EOVERFLOW),
            Ok(count) => done += count,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// `splice(2)`: moves at most `length` bytes between two descriptors, one of them a pipe. Returns how many.
pub fn splice(from: BorrowedFd, to: BorrowedFd, length: usize) -> Result<usize, Errno> {
    // SAFETY: the only pointers are null, for the current offsets.
    check(unsafe { sc::syscall6(nr::SPLICE, from.raw(), 0, to.raw(), 0, length, 0) })
}

/// `write(2)`: returns the number of bytes written.
#[inline(never)]
pub fn write(fd: BorrowedFd, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads at most `bytes.len()` bytes of the slice.
    check(unsafe { sc::syscall3(nr::WRITE, fd.raw(), bytes.as_ptr() as usize, bytes.len()) })
}

/// `write(2)` until all is written.
pub fn write_all(fd: BorrowedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// `chdir(2)`.
#[inline(never)]
pub fn chdir(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the path is a C string that outlives the call.
    done(unsafe { sc::syscall1(nr::CHDIR, path.as_ptr() as usize) })
}

/// `fchdir(2)`.
#[inline(never)]
pub fn fchdir(dir: BorrowedFd) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall1(nr::FCHDIR, dir.raw()) })
}

/// `chroot(2)`.
pub fn chroot(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the path is a C string that outlives the call.
    done(unsafe { sc::syscall1(nr::CHROOT, path.as_ptr() as usize) })
}

/// `getcwd(2)`: writes the path with its NUL to `buffer`. Returns its length with the NUL.
pub fn getcwd(buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into the buffer.
    check(unsafe { sc::syscall2(nr::GETCWD, buffer.as_mut_ptr() as usize, buffer.len()) })
}

/// `umask(2)`: sets the mask. Returns the previous one.
pub fn umask(mask: u32) -> u32 {
    // SAFETY: no memory is passed.
    (unsafe { sc::syscall1(nr::UMASK, mask as usize) }) as u32
}

/// `dup3(2)`: makes the standard descriptor `number` a duplicate of `fd`, inherited by commands.
pub fn make_standard(fd: BorrowedFd, number: BorrowedFd<'static>) -> Result<(), Errno> {
    // SAFETY: no memory is passed; no `OwnedFd` owns a standard descriptor.
    done(unsafe { sc::syscall3(nr::DUP3, fd.raw(), number.raw(), 0) })
}

/// `dup3(2)`: gives a descriptor this number, inherited by commands.
///
/// # Safety
///
/// The descriptor that has the number now is closed, so no `OwnedFd` may own it.
pub unsafe fn make_number(fd: OwnedFd, number: u32) -> Result<(), Errno> {
    if fd.number() as u32 == number {
        core::mem::forget(fd);
        return keep_for_command(number);
    }
    // SAFETY: no memory is passed; the rest is the caller's promise.
    done(unsafe { sc::syscall3(nr::DUP3, fd.borrow().raw(), number as usize, 0) })
}

/// `sync(2)`.
pub fn sync() {
    // SAFETY: no memory is passed.
    unsafe { sc::syscall0(nr::SYNC) };
}

/// `pipe2(2)` with these flags (`O_CLOEXEC`): returns the reading and the writing end.
pub fn pipe(flags: u32) -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [0i32; 2];
    // SAFETY: the kernel writes two ints into the array.
    done(unsafe { sc::syscall2(nr::PIPE2, ends.as_mut_ptr() as usize, flags as usize) })?;
    Ok((
        OwnedFd::new(ends[0] as usize),
        OwnedFd::new(ends[1] as usize),
    ))
}

/// `fcntl(F_DUPFD_CLOEXEC)`: returns a duplicate of a descriptor, above the standard ones and
/// close-on-exec.
pub fn duplicate(number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: no memory is passed, and the descriptor is not changed.
    check(unsafe { sc::syscall3(nr::FCNTL, number as usize, raw::F_DUPFD_CLOEXEC as usize, 3) })
        .map(OwnedFd::new)
}

/// `close_range(2)`, Linux 5.9: closes every descriptor from `first` to `last`.
///
/// # Safety
///
/// No owned descriptor that is still used is in the range.
pub unsafe fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: no memory is passed; the descriptors are the caller's promise.
    done(unsafe { sc::syscall3(nr::CLOSE_RANGE, first as usize, last as usize, 0) })
}

/// `close(2)` of a descriptor by its number.
///
/// # Safety
///
/// No owned descriptor that is still used has the number.
pub unsafe fn close(number: u32) -> Result<(), Errno> {
    // SAFETY: no memory is passed; the descriptor is the caller's promise.
    done(unsafe { sc::syscall1(nr::CLOSE, number as usize) })
}

/// `fcntl(F_GETFD)`: fails if the descriptor is not open.
pub fn is_open(number: u32) -> Result<(), Errno> {
    // SAFETY: no memory is passed, and the descriptor is not changed.
    done(unsafe { sc::syscall3(nr::FCNTL, number as usize, raw::F_GETFD as usize, 0) })
}

/// `fcntl(F_SETFD)`: clears close-on-exec, so that commands inherit the descriptor.
pub fn keep_for_command(number: u32) -> Result<(), Errno> {
    // SAFETY: no memory is passed, and no descriptor is closed.
    done(unsafe { sc::syscall3(nr::FCNTL, number as usize, raw::F_SETFD as usize, 0) })
}
