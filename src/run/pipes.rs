//! The caller's ends of the pipes of a spawned command.

use crate::sys::{Errno, OwnedFd, fs};

macro_rules! ends {
    ($($(#[doc = $doc:literal])* $name:ident)*) => {
        $(
            $(#[doc = $doc])*
            ///
            /// Dropping it closes it. With the feature `std` it can be read or written like the
            /// pipes of `std::process`, and converted to a [`Stdio`](crate::Stdio) or an
            /// `OwnedFd`.
            #[derive(Debug)]
            pub struct $name(pub(crate) OwnedFd);
        )*
    };
}

ends! {
    /// The write end of the pipe to a command's standard input:
    /// [`Child::stdin`](crate::Child::stdin).
    ChildStdin
    /// The read end of the pipe from a command's standard output:
    /// [`Child::stdout`](crate::Child::stdout).
    ChildStdout
    /// The read end of the pipe from a command's standard error:
    /// [`Child::stderr`](crate::Child::stderr).
    ChildStderr
}

impl ChildStdin {
    /// Writes with `write(2)` and returns the number of bytes written. A pipe without a reader
    /// fails with EPIPE and raises SIGPIPE, which Rust programs ignore.
    ///
    /// # Errors
    ///
    /// Those of `write(2)`.
    pub fn write_bytes(&self, bytes: &[u8]) -> Result<usize, Errno> {
        fs::write(self.0.borrow(), bytes)
    }
}

impl ChildStdout {
    /// Reads with `read(2)`: waits for bytes and returns their number, 0 at the end.
    ///
    /// # Errors
    ///
    /// Those of `read(2)`.
    pub fn read_bytes(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        fs::read(self.0.borrow(), buffer)
    }
}

impl ChildStderr {
    /// Reads with `read(2)`: waits for bytes and returns their number, 0 at the end.
    ///
    /// # Errors
    ///
    /// Those of `read(2)`.
    pub fn read_bytes(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        fs::read(self.0.borrow(), buffer)
    }
}
