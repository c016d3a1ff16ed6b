//! Many runs at once, many in a row, many mounts, long command lines, and too little of everything.

mod at_once;
mod binds;
mod bursts;
mod host_mounts;
mod in_a_row;
mod shortage;
mod words;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::common::{self, Root, host_mounts};
use crate::until;

/// Returns whether there is time for the full numbers. The ordinary tests use smaller ones.
fn in_full() -> bool {
    until() > Instant::now() + Duration::from_secs(30)
}

/// Returns how many rounds to run: an emulated machine also does all of them if there is time.
fn rounds(number: usize) -> usize {
    match in_full() {
        true => number,
        false => common::rounds(number),
    }
}

/// Lets one test of this kind run at a time: they measure the machine.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs it in a thread with its own mount namespace, which the processes that it starts share. Only
/// root can.
fn in_own_mounts<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    let own = || {
        // SAFETY: nothing relies on this thread sharing its current directory and umask with
        // others.
        unsafe { unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }.unwrap();
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).unwrap();
        body()
    };
    let ended = std::thread::scope(|scope| scope.spawn(own).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Returns the mounts of this thread's mount namespace.
fn own_mounts() -> String {
    std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap()
}

/// Fails if something is mounted on the host below the root. Mounts elsewhere do not count.
#[track_caller]
fn assert_no_mount_of(root: &Root) {
    let mounts = host_mounts();
    assert!(!mounts.contains(root.name()), "{mounts}");
}

/// Returns the median, in milliseconds.
fn median(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    format!("{:.2} ms", times[times.len() / 2].as_secs_f64() * 1000.0)
}
