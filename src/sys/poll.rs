//! Waits for descriptors, with an optional time limit.

use core::mem::MaybeUninit;
use core::time::Duration;

use linux_raw_sys::general as raw;
use sc::nr;

use super::{BorrowedFd, Errno, check};

/// A descriptor to wait for, and the result.
#[repr(transparent)]
pub struct Poll(raw::pollfd);

impl Poll {
    /// Waits for something to read, or for the other end to go away.
    pub fn new(fd: BorrowedFd) -> Poll {
        Poll(raw::pollfd {
            fd: fd.number(),
            events: raw::POLLIN as i16,
            revents: 0,
        })
    }

    /// Waits for something to read, and for room to write.
    pub fn for_both(fd: BorrowedFd) -> Poll {
        Poll(raw::pollfd {
            fd: fd.number(),
            events: (raw::POLLIN | raw::POLLOUT) as i16,
            revents: 0,
        })
    }

    /// Waits for nothing.
    pub fn none() -> Poll {
        Poll(raw::pollfd {
            fd: -1,
            events: 0,
            revents: 0,
        })
    }

    /// Waits only for the other end to go away, or the process behind a pidfd to be reaped
    /// (Linux 6.9).
    pub fn for_hangup(fd: BorrowedFd) -> Poll {
        Poll(raw::pollfd {
            fd: fd.number(),
            events: 0,
            revents: 0,
        })
    }

    /// Returns whether the descriptor is ready.
    pub fn is_ready(&self) -> bool {
        self.0.revents != 0
    }
}

/// `ppoll(2)`: waits until one of the descriptors is ready. With `until`, waits at most until [`clock`]
/// reaches that time, and then returns false.
pub fn poll(descriptors: &mut [Poll], until: Option<u64>) -> Result<bool, Errno> {
    loop {
        let mut left = until.map(|until| {
            let left = until.saturating_sub(clock());
            raw::__kernel_timespec {
                tv_sec: (left / NANOSECONDS) as i64,
                tv_nsec: (left % NANOSECONDS) as i64,
            }
        });
        let timeout = left
            .as_mut()
            .map_or(core::ptr::null_mut(), |left| &raw mut *left);
        // SAFETY: `Poll` is a pollfd; the kernel writes into the given number of them, and into
        // `left`, which is not used afterwards.
        let ready = check(unsafe {
            sc::syscall5(
                nr::PPOLL,
                descriptors.as_mut_ptr() as usize,
                descriptors.len(),
                timeout as usize,
                0,
                0,
            )
        });
        if ready != Err(Errno::EINTR) {
            return ready.map(|count| count > 0);
        }
    }
}

/// One second, in the unit of [`clock`].
pub const NANOSECONDS: u64 = 1_000_000_000;

/// `clock_gettime(2)` of the monotonic clock, in nanoseconds.
pub fn clock() -> u64 {
    let mut now = MaybeUninit::<raw::__kernel_timespec>::zeroed();
    // SAFETY: the kernel fills the struct, which is plain integers.
    let now = unsafe {
        sc::syscall2(
            nr::CLOCK_GETTIME,
            raw::CLOCK_MONOTONIC as usize,
            now.as_mut_ptr() as usize,
        );
        now.assume_init()
    };
    now.tv_sec as u64 * NANOSECONDS + now.tv_nsec as u64
}

/// Returns the time at which this duration from now has passed.
pub fn end_of(limit: Duration) -> u64 {
    clock().saturating_add(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX))
}
