//! Processes that share our memory: `clone3(2)` and `clone(2)` with `CLONE_VM`.
//!
//! The child must not return on the parent's stack frame, so the call is assembly: the child continues
//! in another function, on its own stack or below the parent's.

use core::arch::asm;
use core::ffi::c_void;
use core::mem::{MaybeUninit, size_of};

use linux_raw_sys::general as raw;
use sc::nr;

use super::process::{exit, pidfd_open};
use super::{Errno, OwnedFd, Process, check, done};

/// A stack with a guard below it that must not be touched: an overflow is a fault, and does not write to
/// other memory.
#[derive(Debug)]
pub struct Stack {
    start: usize,
    length: usize,
}

/// The size of the guard: the largest page of the machines that rootlet runs on.
const GUARD: usize = 64 * 1024;

impl Stack {
    /// Sufficient for the deepest of our calls, also in a build without optimization.
    pub const FOR_PID_1: usize = 512 * 1024;

    /// `mmap(2)` of a stack of this many bytes, a multiple of 64 KiB. Unused pages take no memory.
    pub fn new(length: usize) -> Result<Stack, Errno> {
        let length = length + GUARD;
        let flags = raw::MAP_PRIVATE | raw::MAP_ANONYMOUS | raw::MAP_NORESERVE | raw::MAP_STACK;
        // SAFETY: a new anonymous mapping touches no memory that is in use.
        let start = check(unsafe {
            sc::syscall6(
                nr::MMAP,
                0,
                length,
                (raw::PROT_READ | raw::PROT_WRITE) as usize,
                flags as usize,
                usize::MAX,
                0,
            )
        })?;
        let stack = Stack { start, length };
        // SAFETY: the pages are new, and nothing uses them yet.
        done(unsafe { sc::syscall3(nr::MPROTECT, start, GUARD, raw::PROT_NONE as usize) })?;
        Ok(stack)
    }

    fn top(&self) -> usize {
        self.start + self.length
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the process that ran on it has ended, as `start` requires.
        let _ = unsafe { sc::syscall2(nr::MUNMAP, self.start, self.length) };
    }
}

/// The function that a process runs, which returns the status it exits with.
pub type Body<'a> = &'a mut dyn FnMut() -> u8;

/// Starts a process in new `namespaces` (`CLONE_NEW*`) that shares our memory, but neither descriptors
/// nor signal handlers. `signal` (SIGCHLD or 0) is sent at its end.
///
/// Its signal handlers are reset if the kernel can do that (`CLONE_CLEAR_SIGHAND`, Linux 5.5). If
/// `clone3(2)` is missing, it has copies of our handlers.
///
/// # Safety
///
/// `body`, all that it borrows, and the stack stay in place until the process has ended, and nothing else
/// uses meanwhile what it changes. The process has the thread-local storage of the calling thread, which
/// must therefore do nothing but system calls meanwhile.
pub unsafe fn start(
    namespaces: u32,
    signal: u32,
    stack: &Stack,
    body: &mut Body,
) -> Result<Process, Errno> {
    let mut pidfd = -1i32;
    let flags = namespaces | raw::CLONE_VM;
    let mut arguments = MaybeUninit::<raw::clone_args>::zeroed();
    // SAFETY: the struct is plain integers.
    let arguments = unsafe { arguments.assume_init_mut() };
    arguments.flags = u64::from(flags | raw::CLONE_PIDFD) | raw::CLONE_CLEAR_SIGHAND;
    arguments.exit_signal = u64::from(signal);
    arguments.pidfd = &raw mut pidfd as u64;
    arguments.stack = stack.start as u64;
    arguments.stack_size = stack.length as u64;
    let entry = (enter as extern "C" fn(*mut c_void) -> !) as usize;
    let argument = &raw mut *body as usize;
    let clone3 = [
        &raw const *arguments as usize,
        size_of::<raw::clone_args>(),
        0,
    ];
    // SAFETY: the child starts on the stack in `enter`, which does not return; the rest is the
    // caller's promise.
    let mut pid = check(unsafe { clone(nr::CLONE3, clone3, entry, argument) });
    // The same fallback as in `fork`.
    let is_refused = matches!(pid, Err(Errno::ENOSYS | Errno::EINVAL | Errno::EPERM));
    if is_refused && namespaces & raw::CLONE_NEWTIME == 0 {
        let mut clone2 = |flag: u32| {
            pidfd = -1;
            let flags = (flags | flag | signal) as usize;
            let clone2 = [flags, stack.top(), &raw mut pidfd as usize];
            // SAFETY: as above; the arguments whose order differs between architectures are zero.
            check(unsafe { clone(nr::CLONE, clone2, entry, argument) })
        };
        pid = clone2(raw::CLONE_PIDFD).or_else(|_| clone2(0));
    }
    Ok(Process::new(pid?, pidfd))
}

/// Starts a process that executes a program, and sends SIGCHLD at its end. Returns its pid and, with
/// `wants_pidfd` and if the kernel makes one, a pidfd. SIGCHLD must have its default action, so that the
/// pid stays the child's until we have waited for it.
///
/// Like with `vfork(2)`, the child shares our memory on this stack, and we wait until it executes the
/// program or exits. With `may_stop` it gets a copy of the memory instead, like from `fork(2)`: a child
/// that a key on a terminal stops before that, or one that executes nothing, would block us.
///
/// # Safety
///
/// This process has no other thread, and `body` drops nothing that is used after it.
pub unsafe fn start_command(
    may_stop: bool,
    wants_pidfd: bool,
    body: &mut Body,
) -> Result<(i32, Option<OwnedFd>), Errno> {
    let mut pidfd = -1i32;
    let shared = match may_stop {
        true => 0,
        false => raw::CLONE_VM | raw::CLONE_VFORK,
    };
    let entry = (enter as extern "C" fn(*mut c_void) -> !) as usize;
    let argument = &raw mut *body as usize;
    let mut start = |flag: u32| {
        // A failed call may have written a number.
        pidfd = -1;
        let flags = shared | flag | raw::SIGCHLD;
        let clone2 = [flags as usize, 0, &raw mut pidfd as usize];
        // SAFETY: the child continues below the used part of this stack. If the memory is shared, we
        // wait until the child does not use it any more.
        check(unsafe { clone(nr::CLONE, clone2, entry, argument) })
    };
    let pid = match wants_pidfd {
        // A pidfd protects nothing, so every error selects the fallback: EPERM from a seccomp profile
        // that is older than the flag, EINVAL from qemu-user.
        true => start(raw::CLONE_PIDFD).or_else(|_| start(0)),
        false => start(0),
    }? as i32;
    let pidfd = match pidfd {
        // A kernel without the flag (before Linux 5.2) ignores it.
        -1 if wants_pidfd => pidfd_open(pid).ok(),
        -1 => None,
        pidfd => Some(OwnedFd::new(pidfd as usize)),
    };
    Ok((pid, pidfd))
}

/// Runs the body in the new process, and exits with its status.
extern "C" fn enter(body: *mut c_void) -> ! {
    // SAFETY: `start` passes a pointer to a `Body`, which stays as long as this process.
    let body = unsafe { &mut *body.cast::<Body>() };
    exit(body())
}

/// Makes a system call after which the new process continues in `entry`, on its own stack.
///
/// # Safety
///
/// The system call is a clone with valid arguments, and `entry` is an `extern "C" fn(argument)` that does
/// not return.
unsafe fn clone(
    number: usize,
    [first, second, third]: [usize; 3],
    entry: usize,
    argument: usize,
) -> usize {
    let value: usize;
    // SAFETY: the caller's promise. The child has the same registers except for the stack pointer, and
    // uses only registers here.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            // No frame and no return address: a walk of the stack, for a panic's backtrace, ends here.
            "xor ebp, ebp",
            "and rsp, -16",
            "mov rdi, r13",
            "push 0",
            "jmp r12",
            "2:",
            inlateout("rax") number => value,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") 0,
            in("r8") 0,
            in("r12") entry,
            in("r13") argument,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x21",
            "br x20",
            "2:",
            inlateout("x0") first => value,
            in("x1") second,
            in("x2") third,
            in("x3") 0,
            in("x4") 0,
            in("x8") number,
            in("x20") entry,
            in("x21") argument,
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "riscv64")]
    unsafe {
        asm!(
            "ecall",
            "bnez a0, 2f",
            "mv s0, zero",
            "mv ra, zero",
            "mv a0, s3",
            "jr s2",
            "2:",
            inlateout("a0") first => value,
            in("a1") second,
            in("a2") third,
            in("a3") 0,
            in("a4") 0,
            in("a7") number,
            in("s2") entry,
            in("s3") argument,
        );
    }
    value
}

/// `prctl(PR_GET_DUMPABLE)`: returns whether other processes can trace this one, and whether it dumps core.
pub fn dumpable() -> Result<usize, Errno> {
    let get = linux_raw_sys::prctl::PR_GET_DUMPABLE as usize;
    // SAFETY: no memory is passed.
    check(unsafe { sc::syscall5(nr::PRCTL, get, 0, 0, 0, 0) })
}

/// `prctl(PR_SET_DUMPABLE)`, for all processes that share this memory, with a value of [`dumpable`].
pub fn set_dumpable(dumpable: usize) -> Result<(), Errno> {
    let set = linux_raw_sys::prctl::PR_SET_DUMPABLE as usize;
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall5(nr::PRCTL, set, dumpable, 0, 0, 0) })
}
