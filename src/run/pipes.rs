//! The caller's ends of the pipes to a command that was spawned.

use crate::sys::{Errno, OwnedFd, fs};

macro_rules! ends {
    ($($(#[doc = $doc:literal])* $name:ident)*) => {
        $(
            $(#[doc = $doc])*
            ///
            /// It is closed when it is dropped. With the feature `std` it is read or written as
            /// a pipe of a child of std, and can become a [`Stdio`](crate::Stdio) or an `OwnedFd`.
            #[derive(Debug)]
            pub struct $name(pub(crate) OwnedFd);
        )*
    };
}

ends! {
    /// The writing end of a pipe to a command's standard input: [`Child::stdin`](crate::Child::stdin).
    ChildStdin
    /// The reading end of a pipe from a command's standard output: [`Child::stdout`](crate::Child::stdout).
    ChildStdout
    /// The reading end of a pipe from a command's standard error: [`Child::stderr`](crate::Child::stderr).
    ChildStderr
}

impl ChildStdin {
    /// `write(2)`: gives the number of bytes that were written. A pipe that nobody reads is EPIPE,
    /// and raises SIGPIPE, which Rust's programs ignore.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn write_bytes(&self, bytes: &[u8]) -> Result<usize, Errno> {
        fs::write(self.0.borrow(), bytes)
    }
}

impl ChildStdout {
    /// `read(2)`: waits for bytes and gives their number, 0 at the end.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn read_bytes(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        fs::read(self.0.borrow(), buffer)
    }
}

impl ChildStderr {
    /// `read(2)`: waits for bytes and gives their number, 0 at the end.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn read_bytes(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        fs::read(self.0.borrow(), buffer)
    }
}
