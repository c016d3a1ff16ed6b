//! Processes: fork, wait, exit, namespaces and limits.

use core::mem::{MaybeUninit, size_of};

use linux_raw_sys::{general as raw, prctl};
use sc::nr;

use super::signal::clear_handlers;
use super::{BorrowedFd, Errno, OwnedFd, Process, abi, check, done};

pub use super::exit_status::ExitStatus;

pub use linux_raw_sys::general::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWTIME,
    CLONE_NEWUSER, CLONE_NEWUTS,
};

/// Which side of a fork we are on.
pub enum Fork {
    /// In the caller.
    Parent(Process),
    /// In the child.
    Child,
}

/// The call that makes a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cloning {
    /// `clone3(2)`, Linux 5.3, or `clone(2)` if that is missing.
    Clone3,
    /// Only `clone(2)`. A filter may answer `clone3(2)` with EPERM, which is also the kernel's answer to
    /// a caller without the right to make namespaces.
    Clone,
}

/// Forks this process into new `namespaces` (`CLONE_NEW*`).
///
/// The child has no signal handlers (`CLONE_CLEAR_SIGHAND`, Linux 5.5), because those of the program
/// are not written for the child. Ignored signals stay ignored.
///
/// The end of the child sends no signal to the parent. A SIGCHLD handler of the program is not called,
/// and the child's status is kept even if the program ignores SIGCHLD.
///
/// # Safety
///
/// When this process has other threads, the child may only do what is async-signal-safe: allocate
/// nothing, take no lock.
pub unsafe fn fork(namespaces: u32, cloning: Cloning) -> Result<Fork, Errno> {
    let mut pidfd = -1i32;
    let mut result = Err(Errno::EPERM);
    if cloning == Cloning::Clone3 {
        let mut arguments = MaybeUninit::<raw::clone_args>::zeroed();
        // SAFETY: the struct is plain integers; without CLONE_VM the child continues on its own copy
        // of this stack, so returning from here twice is sound.
        result = unsafe {
            let arguments = arguments.assume_init_mut();
            arguments.flags = u64::from(namespaces | raw::CLONE_PIDFD) | raw::CLONE_CLEAR_SIGHAND;
            arguments.pidfd = &raw mut pidfd as u64;
            check(sc::syscall2(
                nr::CLONE3,
                &raw const *arguments as usize,
                size_of::<raw::clone_args>(),
            ))
        };
    }
    let is_refused = match result {
        Err(Errno::ENOSYS | Errno::EINVAL) => true,
        // Without namespaces the kernel never answers EPERM, so a filter did.
        Err(Errno::EPERM) => cloning == Cloning::Clone || namespaces == 0,
        _ => false,
    };
    // clone(2) has no CLONE_NEWTIME: that bit is part of the signal's number there.
    if is_refused && namespaces & CLONE_NEWTIME == 0 {
        let mut clone = |flag: u32| {
            // A failed call may have written a number.
            pidfd = -1;
            let flags = (namespaces | flag) as usize;
            // SAFETY: as above; the arguments whose order differs between architectures are zero.
            check(unsafe { sc::syscall5(nr::CLONE, flags, 0, &raw mut pidfd as usize, 0, 0) })
        };
        result = clone(raw::CLONE_PIDFD).or_else(|_| clone(0));
        if result == Ok(0) {
            clear_handlers();
        }
    }
    Ok(match result? {
        0 => Fork::Child,
        pid => Fork::Parent(Process::new(pid, pidfd)),
    })
}

/// `exit_group(2)`.
pub fn exit(status: u8) -> ! {
    loop {
        // SAFETY: no memory is passed.
        unsafe { sc::syscall1(nr::EXIT_GROUP, status as usize) };
    }
}

/// The result of [`wait`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waited {
    /// There are no children.
    NoChildren,
    /// No child has ended or stopped.
    Nothing,
    /// A child ended, and was reaped.
    Ended(i32, ExitStatus),
    /// A child was stopped by this signal.
    Stopped(i32, u32),
}

/// Selects the processes that [`wait`] waits for.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// Any child that has ended, or that a signal has stopped. Does not wait.
    AnyNow,
    /// Any child, until it has ended.
    Any,
    /// The child behind a pidfd (Linux 5.4), until it has ended.
    Pidfd(BorrowedFd<'a>),
    /// The child with this pid, until it has ended.
    Pid(i32),
}

/// `waitid(2)`, for children of every kind (`__WALL`).
pub fn wait(who: Who) -> Result<Waited, Errno> {
    let (kind, id, options) = match who {
        Who::AnyNow => (raw::P_ALL, 0, raw::WSTOPPED | raw::WNOHANG),
        Who::Any => (raw::P_ALL, 0, 0),
        Who::Pidfd(pidfd) => (raw::P_PIDFD, pidfd.raw(), 0),
        Who::Pid(pid) => (raw::P_PID, pid as usize, 0),
    };
    let options = options | raw::WEXITED | raw::__WALL;
    let mut info = MaybeUninit::<raw::siginfo_t>::zeroed();
    loop {
        // SAFETY: the kernel fills a siginfo_t.
        let waited = done(unsafe {
            sc::syscall5(
                nr::WAITID,
                kind as usize,
                id,
                info.as_mut_ptr() as usize,
                options as usize,
                0,
            )
        });
        match waited {
            Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) if kind == raw::P_ALL => return Ok(Waited::NoChildren),
            Err(errno) => return Err(errno),
            Ok(()) => break,
        }
    }
    // SAFETY: the struct is plain integers; waitid fills the SIGCHLD member of the union, or
    // leaves the zeroes.
    let (code, pid, status) = unsafe {
        let info = info.assume_init_ref().__bindgen_anon_1.__bindgen_anon_1;
        let child = info._sifields._sigchld;
        (info.si_code as u32, child._pid, child._status)
    };
    Ok(match code {
        _ if pid == 0 => Waited::Nothing,
        raw::CLD_EXITED => Waited::Ended(pid, ExitStatus::exited(status as u8)),
        raw::CLD_KILLED | raw::CLD_DUMPED => {
            let signal = status as u8;
            Waited::Ended(pid, ExitStatus::killed_by(signal))
        }
        _ => Waited::Stopped(pid, status as u32),
    })
}

/// Returns whether the kernel knows [`reaped_status`], the status of a reaped child from its pidfd.
///
/// This cannot be tried before a child has ended. `PIDFD_SELF_THREAD_GROUP` came with the same release,
/// Linux 6.15, and `pidfd_send_signal(2)` with signal 0 shows whether it is known.
pub fn can_tell_reaped_status() -> bool {
    // SAFETY: no memory is passed.
    let known = unsafe {
        let itself = raw::PIDFD_SELF_THREAD_GROUP as isize as usize;
        sc::syscall4(nr::PIDFD_SEND_SIGNAL, itself, 0, 0, 0)
    };
    known == 0
}

/// `ioctl(PIDFD_GET_INFO)` with `PIDFD_INFO_EXIT`, Linux 6.15 (`<linux/pidfd.h>`): returns how a reaped
/// child ended.
pub fn reaped_status(pidfd: BorrowedFd) -> Result<ExitStatus, Errno> {
    let mut info = abi::PidfdInfo {
        mask: abi::PIDFD_INFO_EXIT,
        ..abi::PidfdInfo::default()
    };
    // SAFETY: the struct has the size that is part of the request's number.
    done(unsafe {
        sc::syscall3(
            nr::IOCTL,
            pidfd.raw(),
            abi::PIDFD_GET_INFO,
            &raw mut info as usize,
        )
    })?;
    if info.mask & abi::PIDFD_INFO_EXIT == 0 {
        return Err(Errno::ENODATA);
    }
    // The encoding of wait(2).
    Ok(match info.exit_code & 0x7f {
        0 => ExitStatus::exited((info.exit_code >> 8) as u8),
        signal => {
            let signal = signal as u8;
            ExitStatus::killed_by(signal)
        }
    })
}

/// Returns whether [`reaped_status`] works for this child, which is not reaped yet. A filter may refuse
/// the request, with any error.
pub fn answers_for_status(pidfd: BorrowedFd) -> bool {
    matches!(reaped_status(pidfd), Ok(_) | Err(Errno::ENODATA))
}

/// `prctl(PR_SET_CHILD_SUBREAPER)`: orphaned descendants become our children.
pub fn become_subreaper() -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe {
        sc::syscall5(
            nr::PRCTL,
            prctl::PR_SET_CHILD_SUBREAPER as usize,
            1,
            0,
            0,
            0,
        )
    })
}

/// `prctl(PR_GET_CHILD_SUBREAPER)`.
pub fn is_subreaper() -> bool {
    let mut is = 0i32;
    // SAFETY: the kernel writes one int.
    let result = done(unsafe {
        let get = prctl::PR_GET_CHILD_SUBREAPER as usize;
        sc::syscall5(nr::PRCTL, get, &raw mut is as usize, 0, 0, 0)
    });
    result.is_ok() && is == 1
}

/// `prctl(PR_GET_SECCOMP)`: returns whether a seccomp filter is in force.
pub fn is_filtered() -> bool {
    // SAFETY: no memory is passed.
    let mode = unsafe { sc::syscall5(nr::PRCTL, prctl::PR_GET_SECCOMP as usize, 0, 0, 0, 0) };
    mode == abi::SECCOMP_MODE_FILTER
}

/// `prctl(PR_SET_PDEATHSIG)`: sets the signal that this process receives when its parent ends.
pub fn set_pdeathsig(signal: u32) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe {
        let set = prctl::PR_SET_PDEATHSIG as usize;
        sc::syscall5(nr::PRCTL, set, signal as usize, 0, 0, 0)
    })
}

/// `sched_yield(2)`.
#[cfg_attr(not(feature = "call"), allow(dead_code))]
pub fn sched_yield() {
    // SAFETY: no memory is passed.
    unsafe { sc::syscall0(nr::SCHED_YIELD) };
}

/// `setsid(2)`.
pub fn setsid() -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall0(nr::SETSID) })
}

/// `pidfd_open(2)`, Linux 5.3.
pub fn pidfd_open(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: no memory is passed.
    check(unsafe { sc::syscall2(nr::PIDFD_OPEN, pid as usize, 0) }).map(OwnedFd::new)
}

/// `setns(2)` with a pidfd, Linux 5.8: enters namespaces (`CLONE_NEW*`) of that process.
pub fn setns(pidfd: BorrowedFd, namespaces: u32) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall2(nr::SETNS, pidfd.raw(), namespaces as usize) })
}

/// `unshare(2)`: moves this process into new namespaces (`CLONE_NEW*`).
pub fn unshare(namespaces: u32) -> Result<(), Errno> {
    // SAFETY: no memory is passed; without CLONE_FILES and CLONE_FS nothing else is unshared.
    done(unsafe { sc::syscall1(nr::UNSHARE, namespaces as usize) })
}

/// `setpgid(2)`: makes the caller the leader of a new process group.
pub fn setpgid() -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall2(nr::SETPGID, 0, 0) })
}

/// `getpgid(2)` of the caller.
pub fn group() -> i32 {
    // SAFETY: no memory is passed; it cannot fail.
    (unsafe { sc::syscall1(nr::GETPGID, 0) }) as i32
}

/// `getsid(2)`. The argument 0 is the caller. The result 0 is a session outside of our pid namespace.
pub fn session(pid: i32) -> Result<i32, Errno> {
    // SAFETY: no memory is passed.
    check(unsafe { sc::syscall1(nr::GETSID, pid as usize) }).map(|session| session as i32)
}

/// Returns whether this is the first process of the machine, not just of a pid namespace. On a machine
/// process 2 is a kernel thread (kthreadd), in session 0. In a pid namespace it is our child, or missing.
pub fn is_first_of_machine() -> bool {
    id() == 1 && session(2) == Ok(0)
}

/// `getpid(2)`.
pub fn id() -> i32 {
    // SAFETY: no memory is passed; it cannot fail.
    (unsafe { sc::syscall0(nr::GETPID) }) as i32
}

/// `getppid(2)`.
pub fn parent() -> i32 {
    // SAFETY: no memory is passed; it cannot fail.
    (unsafe { sc::syscall0(nr::GETPPID) }) as i32
}

/// `geteuid(2)` and `getegid(2)`.
pub fn effective_ids() -> (u32, u32) {
    // SAFETY: no memory is passed; they cannot fail.
    unsafe {
        (
            sc::syscall0(nr::GETEUID) as u32,
            sc::syscall0(nr::GETEGID) as u32,
        )
    }
}

/// `sethostname(2)`.
pub fn sethostname(name: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads `name.len()` bytes.
    done(unsafe { sc::syscall2(nr::SETHOSTNAME, name.as_ptr() as usize, name.len()) })
}

/// `setdomainname(2)`.
pub fn setdomainname(name: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads `name.len()` bytes.
    done(unsafe { sc::syscall2(nr::SETDOMAINNAME, name.as_ptr() as usize, name.len()) })
}

/// The soft and the hard limit on open files.
pub type OpenFiles = [u64; 2];

/// `prlimit64(2)`: returns `RLIMIT_NOFILE`.
pub fn open_files_limit() -> Result<OpenFiles, Errno> {
    let mut limit = [0; 2];
    // SAFETY: the array is laid out as the struct of two integers that the kernel fills.
    unsafe { limit_open_files(0, limit.as_mut_ptr() as usize) }?;
    Ok(limit)
}

/// `prlimit64(2)`: sets `RLIMIT_NOFILE`. Open descriptors stay open.
pub fn set_open_files_limit(limit: OpenFiles) -> Result<(), Errno> {
    // SAFETY: as above, but the kernel reads the array.
    unsafe { limit_open_files(limit.as_ptr() as usize, 0) }
}

/// # Safety
///
/// Each is 0 or the address of an [`OpenFiles`].
unsafe fn limit_open_files(new: usize, old: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    done(unsafe { sc::syscall4(nr::PRLIMIT64, 0, raw::RLIMIT_NOFILE as usize, new, old) })
}
