//! Inherited descriptors.

use crate::error::{Error, Step};
use crate::sys::{BorrowedFd, Errno, fs, process};

/// Closes every descriptor but the standard ones and `ours`, of which there may be ten.
pub(crate) fn close_all_but<'a>(
    ours: impl IntoIterator<Item = BorrowedFd<'a>>,
) -> Result<(), Error<'static>> {
    close_all_but_given(&mut ours.into_iter(), &[])
}

/// The same, without what the command was given by number.
pub(crate) fn close_all_but_given<'a>(
    ours: &mut dyn Iterator<Item = BorrowedFd<'a>>,
    given: &[u32],
) -> Result<(), Error<'static>> {
    let mut kept = [u32::MAX; 10];
    for (number, ours) in kept.iter_mut().zip(ours) {
        *number = ours.number() as u32;
    }
    close_others(&kept, given)
}

fn close_others(ours: &[u32], given: &[u32]) -> Result<(), Error<'static>> {
    let failed = |errno| Error::new(Step::CloseFiles, b"", errno);
    let kept = || ours.iter().chain(given).copied();
    let mut first = 3;
    loop {
        // The next that is kept, or u32::MAX after the last: that is no descriptor.
        let next = kept().filter(|number| *number >= first).min();
        let next = next.unwrap_or(u32::MAX);
        if first < next {
            // SAFETY: of what this process owns, only `ours` is used from now on.
            let closed = unsafe { fs::close_range(first, next - 1) };
            match closed {
                Err(Errno::ENOSYS) => return close_one_by_one(ours, given).map_err(failed),
                result => result.map_err(failed)?,
            }
        }
        if next == u32::MAX {
            return Ok(());
        }
        first = next + 1;
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
fn close_one_by_one(ours: &[u32], given: &[u32]) -> Result<(), Errno> {
    let close = |number: u32| {
        if number > 2 && !ours.contains(&number) && !given.contains(&number) {
            // SAFETY: of what this process owns, only `ours` is used from now on.
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
