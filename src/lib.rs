//! rootlet puts a process into a new root directory and looks after it there.
//!
//! [`Chroot`] describes a run: the root, the mounts it shows, the command. It is what the command
//! line `rootlet run` is made of. [`Init`] is pid 1 alone, [`boot`] an initramfs. [`Mount`] describes
//! one mount, [`Error`] what could not be done,
//! [`ExitStatus`] how the command ended.
//!
//! The library needs no std and no libc; it allocates with the program's allocator. A new root is
//! entered with `pivot_root(2)`, the old one is detached, and every mount point is looked up by
//! file descriptor inside the new root, so that no symbolic link leads out of it.
//!
//! # Kernel calls
//!
//! Linux 5.10 is enough for everything. A newer call that is missing (ENOSYS, never EPERM) is done
//! without:
//!
//! | call | since | for | without it |
//! | --- | --- | --- | --- |
//! | `clone3(2)` with `CLONE_NEW*`, `CLONE_PIDFD` | 5.3 | the process inside | `clone(2)` |
//! | `open_tree(2)`, `move_mount(2)` | 5.2 | binds | `mount(2)` on `/proc/self/fd/N` |
//! | `mount_setattr(2)` | 5.12 | flags of binds | a remount of each mount, by `/proc/self/mountinfo` |
//! | `mount(2)` | | file systems, propagation | |
//! | `openat2(2)` with `RESOLVE_IN_ROOT` | 5.6 | mount points | a walk, name by name |
//! | `pivot_root(2)`, `umount2(2)` | | entering the root | |
//! | `setns(2)` with a pidfd | 5.8 | leaving a chroot that the caller is in | |
//! | `flock(2)` | | mount points made for a run | |
//! | `close_range(2)` | 5.9 | inherited descriptors | `close(2)` of each |
//! | `move_mount(2)` of `/dev`, `/proc`, `/sys` and `/run` | 5.2 | entering the real root from an initramfs | |
//! | `pivot_root(2)` in an initramfs | 7.0 | the same | its files deleted, `MS_MOVE`, `chroot(2)` |
//! | `finit_module(2)`, compressed | 5.17 | modules of an initramfs | only uncompressed ones |
//! | `signalfd4(2)`, `ppoll(2)`, `waitid(2)`, `pidfd_send_signal(2)` | 5.1 | signals and ends | |
//!
//! Each is described in its page of the Linux manual, section 2; `mount_namespaces(7)`,
//! `pid_namespaces(7)` and `user_namespaces(7)` say what they do to each other.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod boot;
mod call;
mod child;
mod chroot;
mod cmdline;
mod directory;
mod error;
mod exec;
mod files;
mod init;
mod inside;
mod jobs;
mod message;
mod mount;
mod name;
mod namespace;
mod pid1;
mod plan;
mod root;
mod run;
mod spawn;
mod stdio;
mod supervisor;
#[doc(hidden)]
pub mod sys;
mod terminal;

pub use boot::boot;
pub use child::Child;
pub use chroot::Chroot;
pub use error::Error;
#[doc(hidden)]
pub use error::Step;
pub use init::Init;
pub use mount::Mount;
pub use pid1::{Event, Habits};
pub use spawn::Output;
pub use stdio::Stdio;
pub use sys::process::ExitStatus;
