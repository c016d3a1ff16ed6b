//! File descriptors: owned ones close themselves, borrowed ones are only lent.

use core::marker::PhantomData;

use super::Errno;

/// A file descriptor that is closed when it goes out of scope.
#[derive(Debug)]
pub struct OwnedFd(i32);

/// A file descriptor that someone else closes, or the current working directory.
#[derive(Clone, Copy, Debug)]
pub struct BorrowedFd<'a>(i32, PhantomData<&'a OwnedFd>);

impl OwnedFd {
    /// Takes what a system call returned as a new descriptor.
    pub(super) fn new(value: usize) -> OwnedFd {
        OwnedFd(value as i32)
    }

    /// Lends the descriptor.
    pub fn borrow(&self) -> BorrowedFd<'_> {
        BorrowedFd(self.0, PhantomData)
    }

    /// Lends it to a process that keeps it open for as long as it uses it.
    pub fn lend_for_good(&self) -> BorrowedFd<'static> {
        BorrowedFd(self.0, PhantomData)
    }

    /// Takes a number that is ours from now on.
    ///
    /// # Safety
    ///
    /// It is open, and nobody else closes it.
    pub unsafe fn from_raw(number: i32) -> OwnedFd {
        OwnedFd(number)
    }

    /// Gives up the number, for who closes it.
    #[allow(dead_code, reason = "it needs a type of std")]
    pub fn into_raw(self) -> i32 {
        core::mem::ManuallyDrop::new(self).0
    }

    /// The number.
    pub fn number(&self) -> i32 {
        self.0
    }

    /// The same file above the standard descriptors, where a command cannot mistake it for one.
    pub fn above_standard(self) -> Result<OwnedFd, Errno> {
        match self.0 {
            0..=2 => super::fs::duplicate(self.0),
            _ => Ok(self),
        }
    }
}

impl Drop for OwnedFd {
    // Once, not wherever a descriptor is closed.
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: the number is ours alone, and nothing uses it after this.
        let _ = unsafe { sc::syscall1(sc::nr::CLOSE, self.0 as usize) };
    }
}

impl BorrowedFd<'static> {
    /// The current working directory, for the calls that take a directory and a path (`AT_FDCWD`).
    pub const CWD: BorrowedFd<'static> = BorrowedFd(super::abi::AT_FDCWD, PhantomData);
    /// Standard input.
    pub const STDIN: BorrowedFd<'static> = BorrowedFd(0, PhantomData);
    /// Standard output.
    pub const STDOUT: BorrowedFd<'static> = BorrowedFd(1, PhantomData);
    /// Standard error.
    pub const STDERR: BorrowedFd<'static> = BorrowedFd(2, PhantomData);
}

impl BorrowedFd<'_> {
    /// The descriptor as a system call's argument.
    pub(super) fn raw(self) -> usize {
        self.0 as usize
    }

    /// The number.
    pub fn number(self) -> i32 {
        self.0
    }
}

/// Opens descriptors 0, 1 and 2 where they are closed, so that ours cannot land there.
///
/// A closed one becomes the reading end of a pipe that nobody writes to: reading it meets the end
/// at once, and writing to it fails with EBADF, as it did before. No path is needed for that.
pub fn open_standard_descriptors() -> Result<(), Errno> {
    loop {
        let (reader, writer) = super::fs::pipe(0)?;
        if reader.number() > 2 {
            return Ok(());
        }
        drop(writer);
        core::mem::forget(reader);
    }
}
