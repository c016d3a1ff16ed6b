//! Kernel interface values that `linux-raw-sys` does not carry, or carries as another type.

/// `AT_FDCWD` of `<linux/fcntl.h>`.
pub(super) const AT_FDCWD: i32 = -100;

/// `SOCK_SEQPACKET`, `SOCK_CLOEXEC` of the kernel's `<linux/net.h>`.
pub(super) const SOCK_SEQPACKET: usize = 5;
pub(super) const SOCK_CLOEXEC: usize = 0o2000000;

/// `SFD_CLOEXEC` of `<linux/signalfd.h>`.
pub(super) const SFD_CLOEXEC: usize = 0o2000000;

/// `struct signalfd_siginfo` of `<linux/signalfd.h>`: the fields used here, then the rest.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct SignalfdSiginfo {
    pub(super) signo: u32,
    pub(super) errno: i32,
    pub(super) code: i32,
    pub(super) pid: u32,
    pub(super) rest: [u64; 14],
}

/// The size of the kernel's signal set, which is not libc's `sigset_t`.
pub(super) const SIGSET_SIZE: usize = 8;
