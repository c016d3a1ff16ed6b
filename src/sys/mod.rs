//! The kernel, typed: each function is one system call that returns `Result<_, Errno>`.
//!
//! Everything `unsafe` about talking to the kernel is in this folder. It is not part of the
//! library's public interface.
//!
//! A newer call may be missing (ENOSYS), and a seccomp filter or an emulator may answer it with any
//! error. Where the call protects (openat2, mount_setattr, what takes rights away), only ENOSYS
//! selects another way, which is as strict; any other error ends the run. Where it is a comfort
//! (pidfds, close_range, the subreaper), every error does.

mod abi;
mod child;
pub mod credentials;
mod errno;
pub mod exec;
mod exit_status;
mod fd;
pub mod fs;
pub mod memory;
pub mod mount;
pub mod net;
pub mod poll;
pub mod process;
pub mod shared;
pub mod signal;
mod split;
mod stat;
pub mod system;
pub mod tty;

pub use child::Process;
pub use errno::Errno;
pub use exit_status::ExitStatus;
pub use fd::{BorrowedFd, OwnedFd};
pub use split::{line, split};

/// What a system call returned: a value, or an errno as the kernel encodes it (`-4095..=-1`).
fn check(value: usize) -> Result<usize, Errno> {
    if value > usize::MAX - 4095 {
        Err(Errno::from_kernel(value))
    } else {
        Ok(value)
    }
}

/// Like [`check`], for the calls whose value says nothing.
fn done(value: usize) -> Result<(), Errno> {
    check(value).map(drop)
}
