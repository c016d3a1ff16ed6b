//! The kernel's error numbers, their names and their descriptions.

use core::fmt;
use core::num::NonZeroU32;

use linux_raw_sys::errno as raw;

/// An error number of the kernel, `errno(3)`: the source of an [`Error`](crate::Error).
///
/// ```
/// use std::error::Error;
///
/// use rootlet::{Chroot, Errno};
///
/// let error = Chroot::new("/no/such/root").command("true").status().unwrap_err();
/// let source = error.source().unwrap();
/// assert_eq!(source.downcast_ref::<Errno>(), Some(&Errno::ENOENT));
/// assert_eq!(source.to_string(), "No such file or directory (ENOENT)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(NonZeroU32);

impl Errno {
    /// Takes the return value of a system call, in `-4095..=-1`.
    pub(super) fn from_kernel(value: usize) -> Errno {
        Errno::from_number(value.wrapping_neg() as i32)
    }

    /// Takes the positive number, which is how errors travel between rootlet's processes.
    pub(crate) fn from_number(number: i32) -> Errno {
        Errno(NonZeroU32::new(number as u32).unwrap_or(NonZeroU32::MAX))
    }

    /// Returns the positive number.
    pub fn number(self) -> i32 {
        self.0.get() as i32
    }

    /// Returns the name and the description. Rare errors have no description, and unknown numbers
    /// neither.
    pub(crate) fn describe(self) -> (&'static str, &'static str) {
        let number = self.0.get() as usize;
        // Internal to the kernel, but some drivers return it to programs.
        if number == 524 {
            return ("ENOTSUPP", "");
        }
        let Some(index) = number.checked_sub(first_of(number)) else {
            return ("", "");
        };
        super::line(LINES, index, b' ')
    }
}

/// Returns what to subtract from the number for its index in the table, which starts at 1 and has no lines
/// for 41 and 58: these numbers do not exist.
const fn first_of(number: usize) -> usize {
    match number {
        41 | 58 => usize::MAX,
        ..=40 => 1,
        42..=57 => 2,
        59.. => 3,
    }
}

impl fmt::Display for Errno {
    /// Formats the description and the name: `No such file or directory (ENOENT)`.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self.describe() {
            ("", _) => write!(formatter, "error {}", self.number()),
            (name, "") => formatter.write_str(name),
            (name, words) => write!(formatter, "{words} ({name})"),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self.describe() {
            ("", _) => write!(formatter, "Errno({})", self.number()),
            (name, _) => formatter.write_str(name),
        }
    }
}

impl core::error::Error for Errno {}

macro_rules! errno_table {
    ($($name:ident $words:literal)*) => {
        impl Errno {
            $(#[doc = concat!("`", stringify!($name), "` ", $words)]
            pub const $name: Errno = Errno(NonZeroU32::new(raw::$name).unwrap());)*
        }
        // One text, since a table of references would be larger.
        const LINES: &str = concat!($(stringify!($name), " ", $words, "\n"),*);
        const _: () = {
            let numbers = [$(raw::$name as usize),*];
            let mut index = 0;
            while index < numbers.len() {
                assert!(numbers[index] - first_of(numbers[index]) == index);
                index += 1;
            }
        };
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
    ESPIPE ""
    EROFS "Read-only file system"
    EMLINK "Too many links"
    EPIPE "Broken pipe"
    EDOM ""
    ERANGE "Numerical result out of range"
    EDEADLK ""
    ENAMETOOLONG "File name too long"
    ENOLCK "No locks available"
    ENOSYS "Function not implemented"
    ENOTEMPTY "Directory not empty"
    ELOOP "Too many levels of symbolic links"
    ENOMSG ""
    EIDRM ""
    ECHRNG ""
    EL2NSYNC ""
    EL3HLT ""
    EL3RST ""
    ELNRNG ""
    EUNATCH ""
    ENOCSI ""
    EL2HLT ""
    EBADE ""
    EBADR ""
    EXFULL ""
    ENOANO ""
    EBADRQC ""
    EBADSLT ""
    EBFONT ""
    ENOSTR ""
    ENODATA "No data available"
    ETIME ""
    ENOSR ""
    ENONET ""
    ENOPKG ""
    EREMOTE ""
    ENOLINK ""
    EADV ""
    ESRMNT ""
    ECOMM ""
    EPROTO ""
    EMULTIHOP ""
    EDOTDOT ""
    EBADMSG "Bad message"
    EOVERFLOW "Value too large for defined data type"
    ENOTUNIQ ""
    EBADFD ""
    EREMCHG ""
    ELIBACC ""
    ELIBBAD "Accessing a corrupted shared library"
    ELIBSCN ""
    ELIBMAX ""
    ELIBEXEC ""
    EILSEQ ""
    ERESTART ""
    ESTRPIPE ""
    EUSERS "Too many users"
    ENOTSOCK ""
    EDESTADDRREQ ""
    EMSGSIZE ""
    EPROTOTYPE ""
    ENOPROTOOPT ""
    EPROTONOSUPPORT ""
    ESOCKTNOSUPPORT ""
    EOPNOTSUPP "Operation not supported"
    EPFNOSUPPORT ""
    EAFNOSUPPORT ""
    EADDRINUSE ""
    EADDRNOTAVAIL ""
    ENETDOWN ""
    ENETUNREACH "Network is unreachable"
    ENETRESET ""
    ECONNABORTED ""
    ECONNRESET ""
    ENOBUFS "No buffer space available"
    EISCONN ""
    ENOTCONN "Transport endpoint is not connected"
    ESHUTDOWN ""
    ETOOMANYREFS ""
    ETIMEDOUT "Connection timed out"
    ECONNREFUSED ""
    EHOSTDOWN ""
    EHOSTUNREACH "No route to host"
    EALREADY ""
    EINPROGRESS ""
    ESTALE "Stale file handle"
    EUCLEAN "Structure needs cleaning"
    ENOTNAM ""
    ENAVAIL ""
    EISNAM ""
    EREMOTEIO "Remote I/O error"
    EDQUOT "Disk quota exceeded"
    ENOMEDIUM "No medium found"
    EMEDIUMTYPE ""
    ECANCELED ""
    ENOKEY "Required key not available"
    EKEYEXPIRED ""
    EKEYREVOKED ""
    EKEYREJECTED "Key was rejected by service"
    EOWNERDEAD ""
    ENOTRECOVERABLE ""
    ERFKILL ""
    EHWPOISON ""
}

#[cfg(all(test, in_clone))]
mod tests {
    use std::prelude::rust_2024::*;
    use std::process::Command;

    use super::*;

    /// The descriptions are those of libc, which perl prints.
    #[test]
    #[cfg_attr(miri, ignore = "it starts programs")]
    fn every_number_has_its_name() {
        let script =
            r#"for (sort keys %!) { $! = Errno->can($_)->(); printf "%d %s %s\n", $!, $_, $!; }"#;
        let mut perl = Command::new("perl");
        let output = perl
            .env("LC_ALL", "C")
            .args(["-MErrno", "-e", script])
            .output();
        let list = String::from_utf8(output.unwrap().stdout).unwrap();
        let mut named = 0;
        for line in list.lines() {
            let [number, name, words] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
            let (ours, our_words) = Errno::from_number(number.parse().unwrap()).describe();
            // These numbers have two names.
            if ["EWOULDBLOCK", "ENOTSUP", "EDEADLOCK"].contains(&name) {
                continue;
            }
            assert_eq!(ours, name, "{line}");
            assert!(our_words.is_empty() || our_words == words, "{line}");
            named += 1;
        }
        assert_eq!(named, 131, "{list}");
        assert_eq!(Errno::from_number(524).describe(), ("ENOTSUPP", ""));
        for none in [41, 58, 134, 4095] {
            assert_eq!(Errno::from_number(none).describe(), ("", ""));
        }
    }
}
