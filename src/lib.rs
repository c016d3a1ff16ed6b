//! rootlet puts a process into a new root directory and looks after it there.
//!
//! [`Chroot`] describes a new root and its mounts. [`Chroot::command`] returns a [`Command`], which is run
//! like one of std. The command line `rootlet run` is made of these two. [`Chroot::read`] and similar
//! functions access files of a root without a process. [`Init`] is the pid 1 of a container, and [`boot`]
//! the `/init` of an initramfs. [`Mount`] describes one mount, [`Error`] a failure, and [`ExitStatus`] how
//! the command ended.
//!
//! The library needs neither std nor libc, and allocates with the program's allocator. It prints nothing:
//! [`Child::warnings`] returns what was left out and what could not be removed. A new root is entered with
//! `pivot_root(2)`, and the old one is detached. From Linux 7.0 root enters a mount namespace that never had
//! an old root. Every mount point is looked up by file descriptor inside the new root, so no symbolic link
//! leads out of it.
//!
//! # Features
//!
//! Both are off by default, and only add.
//!
//! - `std`: paths and words from `OsStr` and `Path`; [`Stdio`] from `File`, `OwnedFd` and pipes;
//!   `AsFd` for [`Child`] and its pipes, which are `Read` and `Write`; `io::Error` from [`Error`];
//!   `std::process::ExitStatus` and `ExitCode` from [`ExitStatus`]; descriptors of the program for a
//!   command, safely.
//! - `call`: `Chroot::call`, a closure in the new root, with the caller's memory.
//!
//! The roles `run`, `init` and `boot` are for the binary.
//!
//! # Examples
//!
//! A command that is waited for, like `std::process::Command::status`. There are [`Command::output`] and
//! [`Command::spawn`] too:
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
//! use rootlet::{Chroot, Mount};
//!
//! # let (root, data) = ("/", "/tmp");
//! let mut root = Chroot::new(root);
//! root.mount(Mount::bind(data).to("/tmp").read_only())
//!     .hostname("build.example.org");
//! let status = root
//!     .command("sh")
//!     .args(["-c", "exit 3"])
//!     .env("PATH", "/usr/bin:/bin")
//!     .status()?;
//! assert_eq!(status.code(), Some(3));
//! # Ok::<(), rootlet::Error>(())
//! ```
//!
//! The files of a root, without a process:
//!
//! ```
//! use rootlet::Chroot;
//!
//! # let root = "/";
//! let names = Chroot::new(root).read_dir("/etc")?;
//! assert!(names.iter().any(|entry| entry.name == b"passwd"));
//! # Ok::<(), rootlet::Error>(())
//! ```
//!
//! | `std::process` | hakoniwa 1 | rootlet |
//! | --- | --- | --- |
//! | `Command::new` | `Container::new().rootfs(…)`, `command` | `Chroot::new(…)`, `command` |
//! | `arg`, `args` | `arg`, `args` | `arg`, `args`, `arg0` |
//! | `env`, `envs`, `env_clear`, `env_remove`; inherits | `env`, `envs`; empty | `env`, `envs`, `env_clear`, `env_remove`; empty |
//! | `current_dir` | `current_dir` | `current_dir`, `keep_current_dir` |
//! | `stdin`, `stdout`, `stderr` | `stdin`, `stdout`, `stderr` | the same, [`Stdio`] from what std has |
//! | `spawn`, `status`, `output` | `spawn`, `status`, `output` | `spawn`, `status`, `output`, [`Command::foreground`] |
//! | `Child::wait`, `try_wait`, `wait_with_output` | `wait`, `wait_with_output`, `Command::wait_timeout` | the same, and `wait_timeout` |
//! | `Child::kill`, `id` | `kill`, `id` | `kill`, `id`, `signal`, `detach`; killed when it is dropped |
//! | pidfd: `linux_pidfd`, nightly | | `AsFd` |
//! | `process_group`, `pre_exec` | | [`Command::new_process_group`], [`Command::pre_exec`] |
//! | `uid`, `gid`, `groups` | `uidmap`, `gidmap` | [`Chroot::user`], [`Chroot::groups`], [`Chroot::map_users`] |
//! | `io::Error` | `hakoniwa::Error` | [`Error`], with [`ErrorKind`] |
//!
//! The examples of pychroot's README, and the same with rootlet. Code that runs inside the root needs the
//! feature `call`:
//!
//! ```python
//! with Chroot('/path/to/chroot'):
//!     names = os.listdir('/etc')
//! ```
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
//! use rootlet::Chroot;
//!
//! # let root = "/";
//! let mut names = Vec::new();
//! # #[cfg(feature = "call")]
//! // SAFETY: the closure keeps no descriptor and no lock, and ends no process.
//! unsafe {
//!     Chroot::new(root).call(|| {
//!         for entry in std::fs::read_dir("/etc").unwrap() {
//!             names.push(entry.unwrap().file_name());
//!         }
//!     })
//! }?;
//! # names.push(std::ffi::OsString::new());
//! # Ok::<(), rootlet::Error>(())
//! ```
//!
//! A mount in addition to the default ones:
//!
//! ```sh-session
//! $ pychroot -R /home/user ~/chroot
//! ```
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
//! use rootlet::{Chroot, Mount};
//!
//! # let (home, root) = ("/usr", "/");
//! let status = Chroot::new(root)
//!     .mount(Mount::bind(home).recursive())
//!     .command("true")
//!     .status()?;
//! # assert!(status.success());
//! # Ok::<(), rootlet::Error>(())
//! ```
//!
//! pychroot loses values that are assigned inside. rootlet keeps them, since a call shares the caller's
//! memory:
//!
//! ```python
//! with Chroot('/path/to/chroot'):
//!     answer = 42
//! print(answer)  # NameError
//! ```
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
//! use rootlet::Chroot;
//!
//! # let root = "/";
//! let mut answer = 0;
//! # #[cfg(not(feature = "call"))]
//! # { answer = 42; }
//! # #[cfg(feature = "call")]
//! // SAFETY: as above.
//! unsafe { Chroot::new(root).call(|| answer = 42) }?;
//! assert_eq!(answer, 42);
//! # Ok::<(), rootlet::Error>(())
//! ```
//!
//! | pychroot | rootlet |
//! | --- | --- |
//! | `Chroot(path)` | `Chroot::new(path)` |
//! | `with chroot: …` | `unsafe { chroot.call(\|\| …) }`, or a command: `status`, `output`, `spawn` |
//! | `mountpoints={'/src': {}}` | `.mount(Mount::bind("/src"))` |
//! | `{'/src:/dest': {'recursive': True, 'readonly': True}}` | `.mount(Mount::bind("/src").to("/dest").recursive().read_only())` |
//! | `{'tmpfs:/tmp': {}}` | `.mount(Mount::file_system("tmpfs", "/tmp"))` |
//! | `{'$NAME:/dest': {'optional': True}}` | `Mount::parse(b"$NAME:/dest:optional", environment)` |
//! | `mountpoints=None` | `.no_mounts()` |
//! | `Chroot.default_mounts` | `Mount::defaults()` |
//! | `hostname='host.domain'` | `.hostname("host.domain")`: the domain name too |
//! | `skip_chdir=True` | `.keep_current_dir()` |
//! | `log=…` | `.verbose()` |
//! | `ChrootError`, `ChrootMountError` | [`Error`]: the step, its object, `kind()`, `errno()`, and the exit `status()` for it |
//!
//! # Kernel calls
//!
//! Every feature works from Linux 5.10 on, except where the table says otherwise. Each newer call has a
//! fallback. A call that protects falls back only after ENOSYS, never after EPERM. Other calls fall back
//! after any error.
//!
//! | call | since | for | without it |
//! | --- | --- | --- | --- |
//! | `clone3(2)` with `CLONE_NEW*`, `CLONE_PIDFD` | 5.3 | the process inside | `clone(2)`; without a pidfd, its pid and its socket |
//! | `open_tree(2)`, `move_mount(2)` | 5.2 | binds | `mount(2)` on `/proc/self/fd/N` |
//! | `mount_setattr(2)`, MOUNT_ATTR_IDMAP | 5.12 | [`Chroot::private_users`] | none: an error |
//! | `mount_setattr(2)` | 5.12 | flags of binds | a remount of each mount, by `/proc/self/mountinfo` |
//! | `mount(2)` | | file systems, propagation | |
//! | `openat2(2)` with `RESOLVE_IN_ROOT` | 5.6 | mount points | a walk, name by name |
//! | `open_tree(2)` with `OPEN_TREE_NAMESPACE`, `setns(2)` | 7.0 | root's mount namespace, with NEWROOT's mounts alone | a copy of the caller's, `pivot_root(2)`, `umount2(2)` |
//! | `pivot_root(2)`, `umount2(2)` | | entering the root | |
//! | `setns(2)` with a pidfd | 5.8 | leaving a chroot that the caller is in | `/proc/self/ns/mnt`, where `pidfd_open(2)` is missing |
//! | `keyctl(2)` | | a command with fewer rights than the caller | no keys: nothing to leave |
//! | `flock(2)` | | mount points made for a run | |
//! | `close_range(2)` | 5.9 | inherited descriptors | `close(2)` of each |
//! | `move_mount(2)` of `/dev`, `/proc`, `/sys` and `/run` | 5.2 | entering the real root from an initramfs | `MS_MOVE` |
//! | `pivot_root(2)` in an initramfs | 7.0 | the same | its files deleted, `MS_MOVE`, `chroot(2)` |
//! | `finit_module(2)`, compressed | 5.17 | modules of an initramfs | only uncompressed ones |
//! | `signalfd4(2)`, `ppoll(2)` | | signals and ends | |
//! | `waitid(2)` of a pidfd, `pidfd_send_signal(2)` | 5.4 | the process inside | `waitid(2)` and `kill(2)` by its pid |
//! | `clone(2)` with `CLONE_PIDFD`, `ioctl(PIDFD_GET_INFO)` | 6.15 | orphans of an [`Init`] that is pid 1 | `waitid(2)` |
//! | `prctl(PR_SET_CHILD_SUBREAPER)` | 3.4 | orphans of an [`Init`] that is not pid 1, and of a run that shares its caller's pid namespace | another process reaps them |
//!
//! Section 2 of the Linux manual has a page for each call. `mount_namespaces(7)`, `pid_namespaces(7)` and
//! `user_namespaces(7)` explain how namespaces affect each other.

#![no_std]
// A failure is an error with its step, never a panic: the process may be pid 1, or be between two roots.
// Messages go through one function, and processes end in one.
#![cfg_attr(
    not(test),
    deny(
        clippy::exit,
        clippy::expect_used,
        clippy::panic,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

extern crate alloc;
#[cfg(any(test, fuzzing, feature = "std"))]
extern crate std;

mod boot;
mod chroot;
// The parsers that only the binary has, for the fuzzers.
#[cfg(any(test, fuzzing))]
#[allow(dead_code, reason = "the binary uses the rest")]
mod cli {
    pub(crate) mod jobserver;
    pub(crate) mod parse;
    pub(crate) mod signal;
    mod usage;
    pub(crate) mod words;
}
#[cfg(feature = "std")]
mod convert;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod mount;
mod pid1;
mod process;
mod run;
mod sys;
mod text;
mod tty;
mod user;

pub use boot::boot;
pub use chroot::Chroot;
pub use chroot::command::Command;
pub use chroot::files::{DirEntry, FileKind, Metadata, RootFile};
pub use error::Error;
pub use error::kind::ErrorKind;
pub use mount::Mount;
pub use pid1::init::Init;
pub use pid1::observer::{Event, Habits};
pub use process::namespace::Namespace;
pub use process::stdio::Stdio;
pub use run::child::Child;
pub use run::foreground::Foreground;
#[cfg(feature = "call")]
pub use run::limits::Limits;
pub use run::pipes::{ChildStderr, ChildStdin, ChildStdout};
pub use run::spawn::Output;
pub use sys::{Errno, ExitStatus};
pub use text::bytes::AsBytes;
pub use user::capability::Capabilities;
pub use user::id_map::MapUsers;
pub use user::private::PrivateUsers;
