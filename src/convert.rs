//! The feature `std`: conversions from and to the types of std.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process;

use crate::chroot::command::Command;
use crate::chroot::files::{DirEntry, RootFile};
use crate::error::Error;
use crate::error::kind::ErrorKind;
use crate::process::stdio::Stdio;
use crate::run::child::Child;
use crate::run::foreground::Foreground;
use crate::run::pipes::{ChildStderr, ChildStdin, ChildStdout};
use crate::sys::{self, Errno, ExitStatus};
use crate::text::bytes::as_bytes;

as_bytes! {
    OsStr: text => OsStrExt::as_bytes(text);
    OsString: text => OsStrExt::as_bytes(text.as_os_str());
    Path: path => OsStrExt::as_bytes(path.as_os_str());
    PathBuf: path => OsStrExt::as_bytes(path.as_os_str());
}

/// Takes a descriptor of std's.
fn owned(descriptor: OwnedFd) -> sys::OwnedFd {
    // SAFETY: it is open, and std does not close it any more.
    unsafe { sys::OwnedFd::from_raw(descriptor.into_raw_fd()) }
}

/// Passes a descriptor to std.
fn given_up(descriptor: sys::OwnedFd) -> OwnedFd {
    // SAFETY: it is open, and we do not close it any more.
    unsafe { OwnedFd::from_raw_fd(descriptor.into_raw()) }
}

/// Lends a descriptor as a type of std.
fn lent(descriptor: sys::BorrowedFd<'_>) -> BorrowedFd<'_> {
    // SAFETY: it is open for as long as it is lent.
    unsafe { BorrowedFd::borrow_raw(descriptor.number()) }
}

macro_rules! into_stdio {
    ($($type:ty)*) => {
        $(impl From<$type> for Stdio {
            fn from(descriptor: $type) -> Stdio {
                Stdio::given(owned(descriptor.into()))
            }
        })*
    };
}

into_stdio! {
    RootFile
    File
    OwnedFd
    process::ChildStdin
    process::ChildStdout
    process::ChildStderr
    ChildStdin
    ChildStdout
    ChildStderr
}

impl From<io::Stdout> for Stdio {
    fn from(_: io::Stdout) -> Stdio {
        Stdio::ours(sys::BorrowedFd::STDOUT)
    }
}

impl From<io::Stderr> for Stdio {
    fn from(_: io::Stderr) -> Stdio {
        Stdio::ours(sys::BorrowedFd::STDERR)
    }
}

macro_rules! descriptor {
    ($($type:ty)*) => {
        $(
            impl AsFd for $type {
                fn as_fd(&self) -> BorrowedFd<'_> {
                    lent(self.0.borrow())
                }
            }

            impl AsRawFd for $type {
                fn as_raw_fd(&self) -> RawFd {
                    self.0.number()
                }
            }

            impl From<$type> for OwnedFd {
                fn from(pipe: $type) -> OwnedFd {
                    given_up(pipe.0)
                }
            }
        )*
    };
}

descriptor! {
    RootFile
    ChildStdin
    ChildStdout
    ChildStderr
}

impl From<RootFile> for File {
    fn from(file: RootFile) -> File {
        OwnedFd::from(file).into()
    }
}

impl DirEntry {
    /// Returns the name as a type of std.
    pub fn file_name(&self) -> &OsStr {
        OsStr::from_bytes(&self.name)
    }
}

fn kernels(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.number())
}

impl io::Write for ChildStdin {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_bytes(bytes).map_err(kernels)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Read for ChildStdout {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_bytes(buffer).map_err(kernels)
    }
}

impl io::Read for ChildStderr {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_bytes(buffer).map_err(kernels)
    }
}

/// Returns a descriptor that becomes readable when the command has ended, for tokio's `AsyncFd` or
/// `poll(2)`. It is a pidfd, or if the kernel makes none (before Linux 5.3, or with a seccomp filter) a
/// socket. Call [`Child::try_wait`] when it is readable.
///
/// # Panics
///
/// Panics if the child has been waited for: its descriptors are closed then.
#[allow(
    clippy::expect_used,
    reason = "the trait has no way to return an error"
)]
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let descriptor = self.descriptor();
        lent(descriptor.expect("the child was already waited for"))
    }
}

/// Returns the same descriptor as [`AsFd`], or -1 if the child has been waited for: an event loop asks for
/// the number once more to deregister it, after the kernel has already done so.
impl AsRawFd for Child {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor()
            .map_or(-1, |descriptor| descriptor.number())
    }
}

impl Command {
    /// Passes a descriptor to the command, under the same number. It stays close-on-exec in the program,
    /// and is closed with the [`Command`].
    ///
    /// A descriptor of a directory is a way out of the new root.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// use std::io::Read;
    /// use std::os::fd::AsRawFd;
    ///
    /// use rootlet::Chroot;
    ///
    /// let (mut reader, writer) = std::io::pipe()?;
    /// let script = format!("echo done >/proc/self/fd/{}", writer.as_raw_fd());
    /// let mut command = Chroot::new("/").command("sh");
    /// assert!(command.args(["-c", &script]).keep_fd(writer).status()?.success());
    /// drop(command);
    /// let mut written = String::new();
    /// reader.read_to_string(&mut written)?;
    /// assert_eq!(written, "done\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep_fd(&mut self, descriptor: impl Into<OwnedFd>) -> &mut Command {
        self.keep_owned(owned(descriptor.into()));
        self
    }
}

impl<'a> Foreground<'a> {
    /// Reports the progress of the run on this descriptor: see [`Foreground::status_raw_fd`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// use std::io::Read;
    ///
    /// let (mut reader, writer) = std::io::pipe()?;
    /// let mut command = rootlet::Chroot::new("/").command("true");
    /// command.foreground().status_fd(&writer).run()?;
    /// drop(writer);
    /// let mut told = String::new();
    /// reader.read_to_string(&mut told)?;
    /// assert!(told.ends_with("{\"exit-code\":0}\n"), "{told}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn status_fd(&mut self, descriptor: &'a impl AsFd) -> &mut Self {
        let number = descriptor.as_fd().as_raw_fd();
        // SAFETY: it is borrowed for as long as this lives.
        unsafe { self.status_raw_fd(number) }
    }
}

impl From<Error> for io::Error {
    /// Converts to the kind of the kernel's reason, with the [`Error`] inside.
    ///
    /// ```
    /// fn run() -> std::io::Result<()> {
    ///     rootlet::Chroot::new("/no/such/root").command("true").status()?;
    ///     Ok(())
    /// }
    /// let error = run().unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    /// assert!(error.get_ref().unwrap().is::<rootlet::Error>());
    /// ```
    fn from(error: Error) -> io::Error {
        let kind = match (error.errno(), error.kind()) {
            (Some(errno), _) => io::Error::from_raw_os_error(errno).kind(),
            (None, ErrorKind::InvalidInput) => io::ErrorKind::InvalidInput,
            (None, ErrorKind::TimedOut) => io::ErrorKind::TimedOut,
            (None, ErrorKind::Interrupted) => io::ErrorKind::Interrupted,
            (None, _) => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> io::Error {
        kernels(errno)
    }
}

impl From<ExitStatus> for process::ExitStatus {
    /// ```
    /// use std::os::unix::process::ExitStatusExt;
    ///
    /// let status: std::process::ExitStatus = rootlet::ExitStatus::exited(3).into();
    /// assert_eq!(status.code(), Some(3));
    /// let status: std::process::ExitStatus = rootlet::ExitStatus::signaled(15).unwrap().into();
    /// assert_eq!(status.signal(), Some(15));
    /// ```
    fn from(status: ExitStatus) -> process::ExitStatus {
        // The encoding of wait(2).
        process::ExitStatus::from_raw(match (status.code(), status.signal()) {
            (Some(code), _) => code << 8,
            (None, signal) => signal.unwrap_or_default(),
        })
    }
}

impl From<ExitStatus> for process::ExitCode {
    /// Converts to a shell's `$?`: the exit code, or 128 plus the signal's number.
    fn from(status: ExitStatus) -> process::ExitCode {
        process::ExitCode::from(status.shell())
    }
}

impl process::Termination for ExitStatus {
    fn report(self) -> process::ExitCode {
        self.into()
    }
}
