//! Signals: blocked, read from a descriptor, sent.

use core::mem::{MaybeUninit, size_of};

use linux_raw_sys::general as raw;
use sc::nr;

use super::{BorrowedFd, Errno, OwnedFd, abi, check, done};

pub use linux_raw_sys::general::{
    SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSEGV,
    SIGSTOP, SIGSYS, SIGTERM, SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH,
};

/// A set of signals, bit N-1 for signal N: all 64, with the two that libc keeps to itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignalSet(u64);

impl SignalSet {
    /// Every signal. A fault of our own kills us even when its signal is blocked.
    pub const ALL: SignalSet = SignalSet(!0);

    /// These signals.
    pub fn of(signals: &[u32]) -> SignalSet {
        SignalSet(signals.iter().fold(0, |set, signal| set | bit(*signal)))
    }

    /// Every signal but the ones a fault of our own raises, which must still kill us.
    pub const BUT_FAULTS: SignalSet = SignalSet(
        !(bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGFPE) | bit(SIGTRAP) | bit(SIGSYS)),
    );
}

const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// `rt_sigprocmask(2)`: makes `set` the blocked signals of this thread, and gives the set before.
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

/// `rt_sigaction(2)`: gives SIGCHLD its default, so that children wait to be reaped; or ignores
/// it, so that the kernel reaps them.
pub fn set_sigchld(ignored: bool) {
    set_action(SIGCHLD, ignored);
}

/// `rt_sigaction(2)`: gives a signal its default.
pub fn set_default(signal: u32) {
    set_action(signal, false);
}

/// `rt_sigaction(2)`: gives every signal that has a handler its default, as `CLONE_CLEAR_SIGHAND`
/// does for a new process. What is ignored stays so.
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
    // SAFETY: all zero is SIG_DFL with no flags and an empty mask, and a first word of 1 is
    // SIG_IGN: the handler stands first. No handler is installed.
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

/// `signalfd4(2)`: a descriptor that the signals of `set`, when blocked, are read from. Each
/// process reads its own signals there, also through an inherited descriptor.
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
    /// Which.
    pub number: u32,
    /// The process that sent it.
    pub sender: i32,
    /// Sent by the kernel (a terminal's key, a hang-up), not by a process.
    pub from_kernel: bool,
}

/// Reads one signal; waits when there is none.
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

/// `kill(2)`: sends a signal to a process, to a group (negative), or to all but us (-1). Signal 0
/// only asks whether someone is there.
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
