//! Signals: blocking them, reading them from a descriptor, sending them.

use core::mem::{MaybeUninit, size_of};

use linux_raw_sys::general as raw;
use sc::nr;

use super::{BorrowedFd, Errno, OwnedFd, abi, check, done};

pub use linux_raw_sys::general::{
    SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSEGV,
    SIGSTOP, SIGSYS, SIGTERM, SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH,
};

/// A set of signals: bit N-1 is signal N. It can hold all 64, including the two that libc reserves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignalSet(u64);

impl SignalSet {
    /// Every signal. A fault of this process kills it even if the signal is blocked.
    pub const ALL: SignalSet = SignalSet(!0);

    /// Returns the set of these signals.
    pub fn of(signals: &[u32]) -> SignalSet {
        SignalSet(signals.iter().fold(0, |set, signal| set | bit(*signal)))
    }

    /// Every signal except those that a fault raises, which must still kill this process.
    pub const BUT_FAULTS: SignalSet = SignalSet(
        !(bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGFPE) | bit(SIGTRAP) | bit(SIGSYS)),
    );
}

const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// `rt_sigprocmask(2)`: blocks exactly the signals in `set` in this thread. Returns the previous set.
pub fn sigprocmask(set: SignalSet) -> Result<SignalSet, Errno> {
    let mut before = 0u64;
    // SAFETY: both sets have the size given.
    done(unsafe {
        sc::syscall4(
            nr::RT_SIGPROCMASK,
            raw::SIG_SETMASK as usize,
            &raw const set.0 as usize,
            &raw mut before as usize,
            abi::SIGSET_SIZE,
        )
    })?;
    Ok(SignalSet(before))
}

/// `rt_sigaction(2)`: resets SIGCHLD to its default, so that children stay until they are reaped, or
/// ignores it, so that the kernel reaps them.
pub fn set_sigchld(ignored: bool) {
    set_action(SIGCHLD, ignored);
}

/// `rt_sigaction(2)`: resets a signal to its default action.
pub fn set_default(signal: u32) {
    set_action(signal, false);
}

/// `rt_sigaction(2)`: resets every signal that has a handler, like `CLONE_CLEAR_SIGHAND` for a new
/// process. Ignored signals stay ignored.
pub(super) fn clear_handlers() {
    for signal in 1..=64 {
        let mut action = MaybeUninit::<raw::kernel_sigaction>::zeroed();
        // SAFETY: the kernel fills the struct, whose first word is the handler.
        let handler = unsafe {
            sc::syscall4(
                nr::RT_SIGACTION,
                signal as usize,
                0,
                action.as_mut_ptr() as usize,
                abi::SIGSET_SIZE,
            );
            action.as_ptr().cast::<usize>().read()
        };
        // Neither SIG_DFL nor SIG_IGN.
        if handler > 1 {
            set_default(signal);
        }
    }
}

fn set_action(signal: u32, ignored: bool) {
    let mut action = MaybeUninit::<raw::kernel_sigaction>::zeroed();
    // SAFETY: the first word is the handler: 0 is SIG_DFL and 1 is SIG_IGN, with no flags and an empty
    // mask. No function is installed.
    unsafe {
        action
            .as_mut_ptr()
            .cast::<usize>()
            .write(usize::from(ignored));
        sc::syscall4(
            nr::RT_SIGACTION,
            signal as usize,
            action.as_ptr() as usize,
            0,
            abi::SIGSET_SIZE,
        );
    }
}

/// `signalfd4(2)`: returns a descriptor from which the blocked signals in `set` are read. Each process
/// reads its own signals, also through an inherited descriptor.
pub fn signalfd(set: SignalSet) -> Result<OwnedFd, Errno> {
    // SAFETY: the set has the size given.
    let fd = unsafe {
        sc::syscall4(
            nr::SIGNALFD4,
            usize::MAX,
            &raw const set.0 as usize,
            abi::SIGSET_SIZE,
            abi::SFD_CLOEXEC,
        )
    };
    check(fd).map(OwnedFd::new)
}

/// One signal, as read from a signalfd.
#[derive(Clone, Copy, Debug)]
pub struct Signal {
    /// The signal's number.
    pub number: u32,
    /// The process that sent it.
    pub sender: i32,
    /// Whether the kernel sent it (a terminal's key, a hang-up) and not a process.
    pub from_kernel: bool,
}

/// `read(2)` of one signal; waits if there is none.
pub fn read(signals: BorrowedFd) -> Result<Signal, Errno> {
    let mut info = MaybeUninit::<abi::SignalfdSiginfo>::zeroed();
    // SAFETY: the kernel writes at most the struct's size.
    let count = check(unsafe {
        sc::syscall3(
            nr::READ,
            signals.raw(),
            info.as_mut_ptr() as usize,
            size_of::<abi::SignalfdSiginfo>(),
        )
    })?;
    debug_assert_eq!(count, size_of::<abi::SignalfdSiginfo>());
    // SAFETY: the struct is plain integers, so zeroes, and what the kernel wrote, are valid.
    let info = unsafe { info.assume_init() };
    Ok(Signal {
        number: info.signo,
        sender: info.pid as i32,
        from_kernel: info.code > 0,
    })
}

/// `kill(2)`: sends a signal to a process, to a group (negative), or to all except this process (-1).
/// Signal 0 only checks whether the target exists.
#[inline(never)]
pub fn kill(pid: i32, signal: u32) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall2(nr::KILL, pid as usize, signal as usize) })
}

/// `pidfd_send_signal(2)`, Linux 5.1.
pub fn send(pidfd: BorrowedFd, signal: u32) -> Result<(), Errno> {
    // SAFETY: a null siginfo makes the kernel fill it as kill(2) does.
    done(unsafe { sc::syscall4(nr::PIDFD_SEND_SIGNAL, pidfd.raw(), signal as usize, 0, 0) })
}
