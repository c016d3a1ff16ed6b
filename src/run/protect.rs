//! While a closure shares the program's memory, nobody may look into it.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::sys::process::sched_yield;
use crate::sys::shared::{dumpable, set_dumpable};

/// How many calls are under way.
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// What to go back to after the last.
static DUMPABLE_BEFORE: AtomicUsize = AtomicUsize::new(0);
/// Held for one or two system calls.
///
/// For an atomic exchange on aarch64 compilers call a function that asks libc what the processor can
/// do. Our binary, which has no libc, calls no closure: inlined, none of this is in it.
static LOCK: AtomicBool = AtomicBool::new(false);

/// Until [`unprotect_memory`] nothing inside may trace a process that has our memory: each pid 1
/// sees to that when it is set up.
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
    // Wait for a limited time: a process with a closure that calls in turn may have been killed in here.
    for _ in 0..1_000_000 {
        if !LOCK.swap(true, Ordering::Acquire) {
            break;
        }
        sched_yield();
    }
    with();
    LOCK.store(false, Ordering::Release);
}
