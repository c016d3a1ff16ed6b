//! Protection of the program's memory while a closure shares it.
//!
//! A process inside that could trace the closure's process, or pid 1, could write to the program's
//! memory. All three share one dumpable flag with that memory, so it is cleared for all calls
//! together and restored after the last.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::sys::process::sched_yield;
use crate::sys::shared::{dumpable, set_dumpable};

/// The number of calls in progress.
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// The value to restore after the last call.
static DUMPABLE_BEFORE: AtomicUsize = AtomicUsize::new(0);
/// Held for one or two system calls.
///
/// For an atomic exchange on aarch64, compilers call a function that asks libc about the processor.
/// Our binary has no libc. It calls no closure, and inlining removes all of this from it.
static LOCK: AtomicBool = AtomicBool::new(false);

/// Saves the dumpable flag until [`unprotect_memory`]. Each pid 1 clears it during its set-up, so
/// that no process inside may trace a process that has our memory.
#[inline]
pub(super) fn protect_memory() {
    locked(|| {
        if CALLS.fetch_add(1, Ordering::Relaxed) == 0 {
            DUMPABLE_BEFORE.store(dumpable().unwrap_or(0), Ordering::Relaxed);
        }
    });
}

#[inline]
pub(super) fn unprotect_memory() {
    locked(|| {
        if CALLS.fetch_sub(1, Ordering::Relaxed) == 1 {
            let _ = set_dumpable(DUMPABLE_BEFORE.load(Ordering::Relaxed));
        }
    });
}

fn locked(with: impl FnOnce()) {
    // The wait is limited: a process whose closure calls in turn may have been killed while it held
    // the lock.
    for _ in 0..1_000_000 {
        if !LOCK.swap(true, Ordering::Acquire) {
            break;
        }
        sched_yield();
    }
    with();
    LOCK.store(false, Ordering::Release);
}
