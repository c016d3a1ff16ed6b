//! Inherited descriptors.

use crate::error::{Error, Step};
use crate::sys::{BorrowedFd, Errno, fs, process};

/// Closes every descriptor but the standard ones and these, of which there may be ten.
pub(crate) fn close_all_but_these<'a>(
    ours: impl IntoIterator<Item = BorrowedFd<'a>>,
) -> Result<(), Error<'static>> {
    let mut kept = [u32::MAX; 10];
    for (number, ours) in kept.iter_mut().zip(ours) {
        *number = ours.number() as u32;
    }
    close_all_but(&|first| kept.into_iter().filter(|number| *number >= first).min())
}

/// Closes every descriptor but the standard ones and those that are kept: `next` gives the smallest of
/// them that is not below a number.
pub(crate) fn close_all_but(next: &dyn Fn(u32) -> Option<u32>) -> Result<(), Error<'static>> {
    let failed = |errno| Error::new(Step::CloseFiles, b"", errno);
    let mut first = 3;
    loop {
        // u32::MAX, which is no descriptor, comes after the last.
        let kept = next(first).unwrap_or(u32::MAX);
        if first < kept {
            // SAFETY: of what this process owns, only what is kept is used from now on.
            let closed = unsafe { fs::close_range(first, kept - 1) };
            match closed {
                Err(Errno::ENOSYS) => return close_one_by_one(next).map_err(failed),
                result => result.map_err(failed)?,
            }
        }
        if kept == u32::MAX {
            return Ok(());
        }
        first = kept + 1;
    }
}

/// Closes the standard descriptors.
pub(crate) fn close_standard() {
    for number in 0..=2 {
        // SAFETY: a standard descriptor is nobody's own.
        let _ = unsafe { fs::close(number) };
    }
}

/// For pid 1: closes what the command alone is to have.
pub(crate) fn close_given(given: &[u32]) {
    for number in given.iter().filter(|number| **number > 2) {
        // SAFETY: it was the caller's, and is nobody's own here.
        let _ = unsafe { fs::close(*number) };
    }
}

/// Where `close_range(2)` is missing.
fn close_one_by_one(next: &dyn Fn(u32) -> Option<u32>) -> Result<(), Errno> {
    let close = |number: u32| {
        if number > 2 && next(number) != Some(number) {
            // SAFETY: of what this process owns, only what is kept is used from now on.
            let _ = unsafe { fs::close(number) };
        }
    };
    let flags = fs::O_RDONLY | fs::O_DIRECTORY;
    let Ok(open) = fs::openat(BorrowedFd::CWD, c"/proc/self/fd", flags, 0) else {
        (0..process::open_files_limit()[1]).for_each(|number| close(number as u32));
        return Ok(());
    };
    fs::visit_names(open.borrow(), &mut |name| {
        let number = name.iter().fold(0, |number, digit| {
            number * 10 + u32::from(digit.wrapping_sub(b'0'))
        });
        if number != open.number() as u32 {
            close(number);
        }
        true
    })
}
