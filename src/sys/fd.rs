//! File descriptors: an owned one is closed when it is dropped, a borrowed one is not.

use core::marker::PhantomData;

use super::Errno;

/// A file descriptor that is closed when it goes out of scope.
#[derive(Debug)]
pub struct OwnedFd(i32);

/// A file descriptor that someone else closes, or the current working directory.
#[derive(Clone, Copy, Debug)]
pub struct BorrowedFd<'a>(i32, PhantomData<&'a OwnedFd>);

impl OwnedFd {
    /// Owns a new descriptor, which a system call returned.
    pub(super) fn new(value: usize) -> OwnedFd {
        OwnedFd(value as i32)
    }

    /// Lends the descriptor.
    pub fn borrow(&self) -> BorrowedFd<'_> {
        BorrowedFd(self.0, PhantomData)
    }

    /// Lends the descriptor for as long as the process lives. The caller must keep it open.
    pub fn lend_for_good(&self) -> BorrowedFd<'static> {
        BorrowedFd(self.0, PhantomData)
    }

    /// Owns the descriptor with this number.
    ///
    /// # Safety
    ///
    /// It is open, and nothing else closes it.
    pub unsafe fn from_raw(number: i32) -> OwnedFd {
        OwnedFd(number)
    }

    /// Returns the number, and leaves closing it to the caller.
    #[allow(dead_code, reason = "it needs a type of std")]
    pub fn into_raw(self) -> i32 {
        core::mem::ManuallyDrop::new(self).0
    }

    /// Returns the number.
    pub fn number(&self) -> i32 {
        self.0
    }

    /// Returns the descriptor, or if it is a standard one a duplicate above these, which a command cannot
    /// mistake for a standard one.
    pub fn above_standard(self) -> Result<OwnedFd, Errno> {
        match self.0 {
            0..=2 => super::fs::duplicate(self.0),
            _ => Ok(self),
        }
    }
}

impl Drop for OwnedFd {
    // Not inlined, since descriptors are closed in many places.
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: this owns the number, and nothing uses it after this.
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
    /// Returns the descriptor as an argument of a system call.
    pub(super) fn raw(self) -> usize {
        self.0 as usize
    }

    /// Returns the number.
    pub fn number(self) -> i32 {
        self.0
    }
}

/// Opens each of the descriptors 0, 1 and 2 that is closed, so that ours cannot land there.
///
/// It becomes the reading end of a pipe without a writer: reading returns end of file at once, and writing
/// fails with EBADF, like for a closed descriptor. A pipe needs no path, unlike `/dev/null`.
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
