//! The kernel's error numbers, their names and their words.

use core::num::NonZeroU32;

use linux_raw_sys::errno as raw;

/// Why the kernel refused, as `errno(3)` numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(NonZeroU32);

impl Errno {
    /// From a system call's return value in `-4095..=-1`.
    pub(super) fn from_kernel(value: usize) -> Errno {
        Errno::from_number(value.wrapping_neg() as i32)
    }

    /// From the positive number, as it travels between our own processes.
    pub fn from_number(number: i32) -> Errno {
        Errno(NonZeroU32::new(number as u32).unwrap_or(NonZeroU32::MAX))
    }

    /// The positive number.
    pub fn number(self) -> i32 {
        self.0.get() as i32
    }

    /// The name and the words of the number; both empty for one that is not in the table.
    pub fn describe(self) -> (&'static str, &'static str) {
        match NUMBERS
            .iter()
            .position(|number| u32::from(*number) == self.0.get())
        {
            Some(index) => super::line(LINES, index, b' '),
            None => ("", ""),
        }
    }
}

macro_rules! errno_table {
    ($($name:ident $words:literal)*) => {
        impl Errno {
            $(#[doc = $words] pub const $name: Errno = Errno(NonZeroU32::new(raw::$name).unwrap());)*
        }
        const NUMBERS: &[u16] = &[$(raw::$name as u16),*];
        // One text, since a table of references would be larger than it.
        const LINES: &str = concat!($(stringify!($name), " ", $words, "\n"),*);
    };
}

errno_table! {
    EPERM "Operation not permitted"
    ENOENT "No such file or directory"
    ESRCH "No such process"
    EINTR "Interrupted system call"
    EIO "Input/output error"
    ENXIO "No such device or address"
    E2BIG "Argument list too long"
    ENOEXEC "Exec format error"
    EBADF "Bad file descriptor"
    ECHILD "No child processes"
    EAGAIN "Resource temporarily unavailable"
    ENOMEM "Cannot allocate memory"
    EACCES "Permission denied"
    EFAULT "Bad address"
    ENOTBLK "Block device required"
    EBUSY "Device or resource busy"
    EEXIST "File exists"
    EXDEV "Invalid cross-device link"
    ENODEV "No such device"
    ENOTDIR "Not a directory"
    EISDIR "Is a directory"
    EINVAL "Invalid argument"
    ENFILE "Too many open files in system"
    EMFILE "Too many open files"
    ENOTTY "Inappropriate ioctl for device"
    ETXTBSY "Text file busy"
    EFBIG "File too large"
    ENOSPC "No space left on device"
    EROFS "Read-only file system"
    EMLINK "Too many links"
    EPIPE "Broken pipe"
    ENAMETOOLONG "File name too long"
    ENOLCK "No locks available"
    ENOSYS "Function not implemented"
    ENOTEMPTY "Directory not empty"
    ELOOP "Too many levels of symbolic links"
    ENODATA "No data available"
    EOVERFLOW "Value too large for defined data type"
    ELIBBAD "Accessing a corrupted shared library"
    EUSERS "Too many users"
    EOPNOTSUPP "Operation not supported"
    ENOBUFS "No buffer space available"
    ENOTCONN "Transport endpoint is not connected"
    ETIMEDOUT "Connection timed out"
    ESTALE "Stale file handle"
    EDQUOT "Disk quota exceeded"
}
