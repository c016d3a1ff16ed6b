//! rootlet puts a process into a new root directory and looks after it there.
//!
//! [`Chroot`] describes a run: the root, the mounts it shows, the command. It is what the command
//! line `rootlet run` is made of. [`Mount`] describes one mount, [`Error`] what could not be done,
//! [`ExitStatus`] how the command ended.
//!
//! The library needs no std and no libc; it allocates with the program's allocator. A new root is
//! entered with `pivot_root(2)`, the old one is detached, and every mount point is looked up by
//! file descriptor inside the new root, so that no symbolic link leads out of it. It wants Linux
//! 5.10 and uses newer calls where they are.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod chroot;
mod directory;
mod error;
mod exec;
mod inside;
mod message;
mod mount;
mod name;
mod namespace;
mod pid1;
mod plan;
mod root;
mod run;
mod supervisor;
#[doc(hidden)]
pub mod sys;
mod terminal;

pub use chroot::Chroot;
pub use error::Error;
#[doc(hidden)]
pub use error::Step;
pub use mount::Mount;
pub use sys::process::ExitStatus;
