//! The kernel's interface, typed: each function is one system call that returns `Result<_, Errno>`.
//!
//! All `unsafe` code for system calls is in this folder. It is not part of the library's public
//! interface.
//!
//! A newer call may be missing (ENOSYS), and a seccomp filter or an emulator may answer it with any
//! error. If the call protects (openat2, mount_setattr, dropping rights), only ENOSYS selects the
//! fallback, which is equally strict; any other error ends the run. If the call is a convenience
//! (pidfds, close_range, the subreaper), every error selects the fallback.

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
pub mod reaper;
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

/// Decodes the return value of a system call: a value, or an errno, which is in `-4095..=-1`.
fn check(value: usize) -> Result<usize, Errno> {
    if value > usize::MAX - 4095 {
        Err(Errno::from_kernel(value))
    } else {
        Ok(value)
    }
}

/// Like [`check`], for calls whose value has no meaning.
fn done(value: usize) -> Result<(), Errno> {
    check(value).map(drop)
}
