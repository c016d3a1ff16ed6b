//! Inherited descriptors: the command gets those it was given, and all others are closed.
//!
//! `close_range(2)` (Linux 5.9) closes them in a few calls. After any error they are closed one by
//! one, which costs more and has the same result.

use crate::error::{Error, Step};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, process};
use crate::text::number::number;

/// No descriptor has a number this large. qemu-user accepts no larger one as the end of a range.
const NONE: u32 = 1 << 31;

/// The default maximum of descriptors of a process (`fs.nr_open`). Some engines set a limit of a
/// billion, and trying that many numbers takes minutes.
const MOST: u64 = 1 << 20;

/// The maximum number of our own descriptors that stay open.
const MOST_OURS: usize = 16;

/// Closes every descriptor except the standard ones and `ours`.
pub(crate) fn close_all_but_these<'a>(
    ours: impl IntoIterator<Item = BorrowedFd<'a>>,
) -> Result<(), Error> {
    close_from(3, &mut ours.into_iter(), &[])
}

/// Closes every descriptor from `first` on, except `ours` and `given`.
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

/// Closes every descriptor except the standard ones and the kept ones. `next` returns the smallest
/// kept one that is at least a number. `/proc` is asked for open descriptors only if it is the
/// host's.
pub(crate) fn close_all_but(
    has_hosts_proc: bool,
    next: &dyn Fn(u32) -> Option<u32>,
) -> Result<(), Error> {
    close_others(3, has_hosts_proc, next)
}

/// Closes every descriptor that is not kept. If `close_range(2)` fails in any way (EPERM from an
/// old seccomp profile, EINVAL), they are closed one by one, which is as strict.
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

/// Closes them without `close_range(2)`.
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
        // If there is no limit, or it is unknown, try the default maximum.
        let limit = process::open_files_limit().map_or(MOST, |limit| limit[1].min(MOST));
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

/// Closes the standard descriptors that are marked true.
pub(crate) fn close_standard(which: &[bool]) {
    for (number, _) in (0..).zip(which).filter(|(_, closes)| **closes) {
        // SAFETY: no value of this process owns a standard descriptor.
        let _ = unsafe { fs::close(number) };
    }
}

/// Restores, in the supervisor, a descriptor that [`close_standard`] or [`close_given`] has closed,
/// with its number.
pub(crate) fn take_back(descriptor: OwnedFd, number: u32, given: &[u32]) {
    if number > 1 && !given.contains(&number) {
        return;
    }
    // SAFETY: it was the caller's, and no value of this process owns it.
    let _ = unsafe { fs::make_number(descriptor, number) };
}

/// Closes, in pid 1 and the supervisor, the descriptors that only the command should have.
pub(crate) fn close_given(given: &[u32]) {
    for number in given.iter().filter(|number| **number > 2) {
        // SAFETY: it was the caller's, and no value of this process owns it.
        let _ = unsafe { fs::close(*number) };
    }
}
