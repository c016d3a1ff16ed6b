//! `Stdio`: a standard descriptor of the command.

use alloc::vec::Vec;

use crate::error::{Error, Step};
use crate::sys::{BorrowedFd, OwnedFd, fs};
use crate::text::line::Line;

/// The three.
pub(crate) const STANDARD: [BorrowedFd<'static>; 3] =
    [BorrowedFd::STDIN, BorrowedFd::STDOUT, BorrowedFd::STDERR];

/// The command's standard descriptors that are not the caller's, each above those, with the one
/// whose place it takes.
pub(crate) type Standard = Vec<(OwnedFd, BorrowedFd<'static>)>;

/// What one of the command's standard descriptors is, for [`Chroot::stdin`](crate::Chroot::stdin),
/// `stdout` and `stderr`.
///
/// ```
/// use std::os::fd::AsRawFd;
///
/// use rootlet::{Chroot, Stdio};
///
/// let directory = std::env::temp_dir();
/// let log = directory.join(format!("log-{}", std::process::id()));
/// let file = std::fs::File::create(&log)?;
/// let status = Chroot::new("/")
///     .stdin(Stdio::null())
///     .stdout(Stdio::fd(file.as_raw_fd()))
///     .stderr(Stdio::inherit())
///     .command("echo")
///     .args(["done"])
///     .status()?;
/// assert!(status.success());
/// assert_eq!(std::fs::read_to_string(&log)?, "done\n");
/// # std::fs::remove_file(&log)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stdio(Kind);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Inherit,
    Null,
    Fd(i32),
}

impl Stdio {
    /// The caller's.
    pub fn inherit() -> Stdio {
        Stdio(Kind::Inherit)
    }

    /// The host's `/dev/null`: nothing to read, and what is written is gone.
    pub fn null() -> Stdio {
        Stdio(Kind::Null)
    }

    /// What this descriptor of the caller refers to.
    ///
    /// It is borrowed: it has to be open when the command is started (EBADF, if it is not) and may
    /// be closed as soon as [`Chroot::spawn`](crate::Chroot::spawn) has returned. Only the command
    /// goes on to hold it, so that the reader of a pipe sees its end when the command closes it.
    /// It is copied by `fcntl(F_DUPFD_CLOEXEC)`.
    pub fn fd(number: i32) -> Stdio {
        Stdio(Kind::Fd(number))
    }

    /// A descriptor for it above the standard ones; `None` where it is the caller's.
    pub(crate) fn open(self) -> Result<Option<OwnedFd>, Error> {
        match self.0 {
            Kind::Inherit => Ok(None),
            Kind::Null => {
                let null = fs::openat(BorrowedFd::CWD, c"/dev/null", fs::O_RDWR, 0);
                let null = null.and_then(OwnedFd::above_standard);
                let failed = |errno| Error::new(Step::StandardDescriptor, b"/dev/null", errno);
                null.map(Some).map_err(failed)
            }
            Kind::Fd(number) => {
                let duplicate = fs::duplicate(number);
                duplicate.map(Some).map_err(|errno| {
                    let mut line = Line::new();
                    line.push(b"descriptor ");
                    line.push(if number < 0 { b"-" } else { b"" });
                    line.push_number(number.unsigned_abs());
                    Error::new(Step::StandardDescriptor, line.bytes(), errno)
                })
            }
        }
    }
}
