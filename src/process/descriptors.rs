//! Inherited descriptors.

use crate::error::{Error, Step};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, process};
use crate::text::number::number;

/// No descriptor has this number or a greater one. qemu-user takes no greater one for the last of a
/// range.
const NONE: u32 = 1 << 31;

/// As many descriptors as a process can have by default (`fs.nr_open`). Some engines set a limit of
/// a billion; to try as many numbers takes minutes.
const MOST: u64 = 1 << 20;

/// The number of our own descriptors that are kept.
const MOST_OURS: usize = 16;

/// Closes every descriptor but the standard ones and `ours`.
pub(crate) fn close_all_but_these<'a>(
    ours: impl IntoIterator<Item = BorrowedFd<'a>>,
) -> Result<(), Error> {
    close_from(3, &mut ours.into_iter(), &[])
}

/// Closes every descriptor from `first` on but `ours` and `given`.
pub(crate) fn close_from<'a>(
    first: u32,
    ours: &mut dyn Iterator<Item = BorrowedFd<'a>>,
    given: &[u32],
) -> Result<(), Error> {
    let mut kept = [NONE; MOST_OURS];
    for (number, ours) in kept.iter_mut().zip(ours) {
        *number = ours.number() as u32;
    }
    close_others(first, true, &|first| {
        let kept = kept.iter().chain(given).copied();
        kept.filter(|number| *number >= first).min()
    })
}

/// Closes every descriptor but the standard ones and those that are kept: `next` gives the smallest of
/// them that is not below a number. What is open is asked of `/proc` only where that is the host's.
pub(crate) fn close_all_but(
    has_hosts_proc: bool,
    next: &dyn Fn(u32) -> Option<u32>,
) -> Result<(), Error> {
    close_others(3, has_hosts_proc, next)
}

/// Whatever `close_range(2)` answers (EPERM from a seccomp profile that is older, EINVAL), they are
/// closed one by one then, which is as strict.
fn close_others(
    mut first: u32,
    has_hosts_proc: bool,
    next: &dyn Fn(u32) -> Option<u32>,
) -> Result<(), Error> {
    while first < NONE {
        let kept = next(first).unwrap_or(NONE).min(NONE);
        if first < kept {
            // SAFETY: of what this process owns, only what is kept is used from now on.
            let closed = unsafe { fs::close_range(first, kept - 1) };
            if closed.is_err() {
                return close_one_by_one(first, has_hosts_proc, next)
                    .map_err(|errno| Error::new(Step::CloseFiles, b"", errno));
            }
        }
        first = kept + 1;
    }
    Ok(())
}

/// Without `close_range(2)`.
fn close_one_by_one(
    first: u32,
    has_hosts_proc: bool,
    next: &dyn Fn(u32) -> Option<u32>,
) -> Result<(), Errno> {
    let close = |number: u32| {
        if number >= first && next(number) != Some(number) {
            // SAFETY: of what this process owns, only what is kept is used from now on.
            let _ = unsafe { fs::close(number) };
        }
    };
    let flags = fs::O_RDONLY | fs::O_DIRECTORY;
    let open = match has_hosts_proc {
        true => fs::openat(BorrowedFd::CWD, c"/proc/self/fd", flags, 0),
        false => Err(Errno::ENOENT),
    };
    let Ok(open) = open else {
        // Without a limit, or where it cannot be read, as many as there can be.
        let limit = match process::open_files_limit()[1] {
            0 => MOST,
            limit => limit.min(MOST),
        };
        (0..limit).for_each(|number| close(number as u32));
        return Ok(());
    };
    fs::visit_names(open.borrow(), &mut |name| {
        match number(name) {
            Some(number) if number != open.number() as u32 => close(number),
            _ => {}
        }
        true
    })
}

/// Closes those of the standard descriptors for which that is true.
pub(crate) fn close_standard(which: &[bool]) {
    for (number, _) in (0..).zip(which).filter(|(_, closes)| **closes) {
        // SAFETY: a standard descriptor is nobody's own.
        let _ = unsafe { fs::close(number) };
    }
}

/// For the supervisor: what it has closed by [`close_standard`] or [`close_given`] has its number again.
pub(crate) fn take_back(descriptor: OwnedFd, number: u32, given: &[u32]) {
    if number > 1 && !given.contains(&number) {
        return;
    }
    // SAFETY: it was the caller's, and is nobody's own here.
    let _ = unsafe { fs::make_number(descriptor, number) };
}

/// For pid 1 and the supervisor: closes what the command alone is to have.
pub(crate) fn close_given(given: &[u32]) {
    for number in given.iter().filter(|number| **number > 2) {
        // SAFETY: it was the caller's, and is nobody's own here.
        let _ = unsafe { fs::close(*number) };
    }
}
