//! `Chroot::call`: a closure in a new root that shares the caller's memory.
//!
//! pid 1 and the closure run in processes made with `CLONE_VM`, each on its own stack, while the
//! calling thread waits. Both have ended when the call returns: no process may keep the caller's
//! memory.

use alloc::vec::Vec;
use core::cell::Cell;
use core::mem::forget;
use core::sync::atomic::{AtomicU8, Ordering};

use crate::chroot::Chroot;
use crate::chroot::command::Command;
use crate::error::{Error, Step};
use crate::pid1::descendants::kill_all;
use crate::pid1::{Above, End, Orders, Pid1, Reaping};
use crate::process::namespace::Namespace;
use crate::run::holder::{Failed, start_in_user_namespace, to_wait};
use crate::run::inside::Inside;
use crate::run::launch::{Owner, prepare};
use crate::run::limits::Limits;
use crate::run::protect::{protect_memory, unprotect_memory};
use crate::run::supervisor::Heard;
use crate::sys::net::socketpair;
use crate::sys::process::{exit, set_pdeathsig, setsid};
use crate::sys::shared::{Body, Stack, set_dumpable, start};
use crate::sys::signal::{SIGCHLD, SIGKILL, SignalSet, set_sigchld, signalfd, sigprocmask};
use crate::sys::{Errno, fs};
use crate::text::path::PathBuffer;
use crate::user::capability::Capabilities;
use crate::user::id_map::MapUsers;
use crate::user::maps::Caller;

/// The usual stack size of a program's first thread.
const STACK_OF_CLOSURE: usize = 8 * 1024 * 1024;

/// The progress of the closure.
const RUNNING: u8 = 0;
const RETURNED: u8 = 1;
const PANICKED: u8 = 2;

impl Chroot {
    /// Calls a closure in the new root and the new namespaces, and returns its result. The closure
    /// shares the caller's memory: values that it assigns to captured variables are there
    /// afterwards. It may allocate, read files, start processes and wait for them. Other threads go
    /// on meanwhile; the calling one waits, with its signals blocked. The environment, descriptors,
    /// user and rights that this `Chroot` has for a command do not apply.
    ///
    /// The closure runs in its own process, made by `clone3(2)` with `CLONE_VM` (Linux 5.3), on a
    /// stack of 8 MiB with a guard below it, beside a pid 1 that reaps. It starts in the `Chroot`'s
    /// directory, with the caller's signal mask and no signal handlers. It has copies of the
    /// caller's descriptors: opening or closing one has no effect on the caller's. Processes that
    /// it leaves running are killed when it returns.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// use rootlet::Chroot;
    ///
    /// let mut names = Vec::new();
    /// // SAFETY: the closure keeps the rules below.
    /// let count = unsafe {
    ///     Chroot::new("/").call(|| {
    ///         names.extend(std::fs::read_dir("/proc/1/task").unwrap().map(|entry| entry.unwrap().file_name()));
    ///         names.len()
    ///     })
    /// }?;
    /// assert_eq!((count, &names), (1, &vec!["1".into()]));
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Every reason that keeps the closure from running, as for [`Command::spawn`]; or how it ended
    /// without returning: it panicked, a signal killed it, it ended its process.
    ///
    /// # Safety
    ///
    /// The caller must make sure of this:
    ///
    /// - After an `Err`, data that the closure could change is left as it was at that moment. A
    ///   `Vec` may have been in the middle of growing, and a lock may be held indefinitely, even
    ///   the allocator's. If a closure may be killed, end the program soon after that.
    /// - The closure has the thread-local storage of the calling thread, but is another process.
    ///   `getpid(2)` and `gettid(2)` return other numbers, and differ from values that a C library
    ///   or a crate has stored there (a cached pid, the owner of a recursive or robust mutex, a
    ///   random number generator that watches for forks). The closure must not end the process in a
    ///   way that runs destructors of the program (`std::process::exit`; `_exit` is as good as a
    ///   signal). It must not start threads, nor leave data bound to a process in thread-local
    ///   storage.
    /// - The area of restartable sequences (`rseq(2)`) that the C library has registered for the
    ///   calling thread is not the closure's: the kernel writes into it for that thread alone. Code
    ///   that relies on it, such as `sched_getcpu(3)` and some allocators, sees the number of a
    ///   processor on which the thread was. An allocator that takes the number for more than a hint
    ///   must not be used inside.
    /// - A lock that another thread holds is released by that thread, because all threads go on;
    ///   this includes the allocator's. A lock that the closure holds when it is ended (a signal, a
    ///   limit, `_exit`) stays locked indefinitely, and so does every thread that waits for it.
    /// - A panic that leaves the closure is reported as an error, but the calling thread counts as
    ///   panicking from then on. Catch it inside, with `std::panic::catch_unwind`, if it may occur.
    /// - A descriptor that the closure opens is not open for the caller, even if it is assigned to
    ///   a captured variable. A descriptor that it closes is closed twice if its owner drops it
    ///   afterwards. Borrow a captured file, do not move it in, and do not return one that was
    ///   opened inside.
    /// - The program may end in any way while a call of another thread is in progress: that ends
    ///   the call.
    ///
    /// A process that can write to the closure's memory can write to the caller's. As long as a
    /// call is in progress, neither can be traced or dumps core (`PR_SET_DUMPABLE`): a process
    /// inside would need `CAP_SYS_PTRACE` in the caller's user namespace, which root's processes
    /// have and those in a new user namespace do not have. As a side effect, a program that is not
    /// root cannot open its own `/proc/self/fd` meanwhile. The out-of-memory killer ends all
    /// processes that share the memory, including the caller.
    pub unsafe fn call<R>(&self, closure: impl FnOnce() -> R) -> Result<R, Error> {
        // SAFETY: the caller's promise.
        unsafe { self.call_within(&Limits::new(), closure) }
    }

    /// Calls a closure as [`Chroot::call`] does, until one of these limits is reached.
    ///
    /// # Errors
    ///
    /// As for [`Chroot::call`], and the limit that was reached.
    ///
    /// # Safety
    ///
    /// As for [`Chroot::call_timeout`].
    pub unsafe fn call_within<R>(
        &self,
        limits: &Limits,
        closure: impl FnOnce() -> R,
    ) -> Result<R, Error> {
        // SAFETY: the caller's promise.
        unsafe { self.call_with_warnings(limits, &mut Vec::new(), closure) }
    }

    /// Calls a closure as [`Chroot::call_within`] does, and adds deviations from the request that
    /// are not errors to `warnings`, as [`Child::warnings`](crate::Child::warnings) has them: a
    /// default or optional mount that was left out or replaced by the caller's, a mount point that
    /// could not be removed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// use rootlet::{Chroot, Limits, Mount};
    ///
    /// let mut root = Chroot::new("/");
    /// root.mount(Mount::file_system("no-such-type", "/mnt").optional());
    /// let mut warnings = Vec::new();
    /// // SAFETY: the closure only returns a number.
    /// let seven = unsafe { root.call_with_warnings(&Limits::new(), &mut warnings, || 7) }?;
    /// let warning = warnings[0].to_string();
    /// assert!(seven == 7 && warning.starts_with("cannot mount no-such-type on /mnt"), "{warning}");
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Chroot::call_within`].
    ///
    /// # Safety
    ///
    /// As for [`Chroot::call`].
    pub unsafe fn call_with_warnings<R>(
        &self,
        limits: &Limits,
        warnings: &mut Vec<Error>,
        closure: impl FnOnce() -> R,
    ) -> Result<R, Error> {
        let mut closure = Some(closure);
        let mut returned = None;
        let mut body = || {
            if let Some(closure) = closure.take() {
                returned = Some(closure());
            }
        };
        // SAFETY: the caller's promise; `body` stays until the call is over.
        unsafe { self.call_body(limits, warnings, &mut body) }
            .map_err(|error| self.look_for_cause(error))?;
        returned.ok_or_else(|| Error::because(Step::Call, b"", ENDED_EARLY))
    }

    /// # Safety
    ///
    /// As for [`Chroot::call`].
    #[inline]
    unsafe fn call_body(
        &self,
        limits: &Limits,
        warnings: &mut Vec<Error>,
        body: &mut dyn FnMut(),
    ) -> Result<(), Error> {
        let namespaces = self.namespaces;
        if !namespaces.has(Namespace::Pid) {
            let why = "a closure needs a pid namespace of its own";
            return Err(Error::because(Step::Call, b"", why));
        }
        // A process that can write to the caller's memory has, in effect, the caller's rights.
        let less = self.dropped_capabilities != Capabilities::NONE || self.no_new_privileges;
        if less || self.user.is_some() || self.groups.is_some() {
            let why = "a closure cannot change its user or drop rights";
            return Err(Error::because(Step::Call, b"", why));
        }
        let map_users = self.map_users;
        if let MapUsers::Auto | MapUsers::Private(_) = map_users {
            let why = "a closure cannot have a range of users";
            return Err(Error::because(Step::Call, b"", why));
        }
        let command = Command::in_root(self.clone());
        let mut plan = command.compile()?;
        plan.move_above_standard().map_err(prepare)?;
        let stack_of_pid1 = Stack::new(Stack::FOR_PID_1).map_err(prepare)?;
        let stack_of_closure = Stack::new(STACK_OF_CLOSURE).map_err(prepare)?;
        let (to_supervisor, to_inside) = socketpair().map_err(prepare)?;
        // A signal handler in this thread would use the same memory as the closure.
        let user_namespace = Cell::new(false);
        let caller_mask = sigprocmask(SignalSet::BUT_FAULTS).map_err(prepare)?;
        let unblocked = |error| {
            let _ = sigprocmask(caller_mask);
            error
        };
        let signals = signalfd(SignalSet::BUT_FAULTS).map_err(|errno| unblocked(prepare(errno)))?;
        let mut inside = Inside::new(&plan, Owner::Caller, to_supervisor, signals);
        let rights = inside.rights;
        inside.caller_mask = caller_mask;
        let state = AtomicU8::new(RUNNING);
        let peer = to_inside.number() as u32;

        let limits = match limits.begin() {
            Ok(limits) => limits,
            Err(error) => return Err(unblocked(error)),
        };
        protect_memory();
        let ended = {
            let mut pid1 = || {
                // The process that started us has to wait for us: we are on a stack of the
                // caller's.
                let _ = set_pdeathsig(SIGKILL);
                // SAFETY: this process never uses it; it would not see the caller's end otherwise.
                let _ = unsafe { fs::close(peer) };
                // In a new user namespace the ids are mapped already.
                inside.new_user_namespace = user_namespace.get();
                let mut kept = PathBuffer::new();
                let end = inside
                    .enter_new_root(&mut kept)
                    .and_then(|()| inside.set_up())
                    .and_then(|()| inside.run_closure(&kept, &stack_of_closure, &state, body));
                inside.conclude(end)
            };
            let mut pid1: Body = &mut pid1;
            // SAFETY: `pid1` and its stack stay until it has ended, which is waited for, and until
            // then this thread does nothing but system calls.
            let make = |flags| unsafe { start(flags, 0, &stack_of_pid1, &mut pid1) };
            match namespaces.make(rights, make) {
                Ok(pid1) => limits.wait(&pid1, to_inside.borrow()).map_err(to_wait),
                Err(Errno::EPERM) if namespaces.may_have_user() => {
                    user_namespace.set(true);
                    // SAFETY: as above.
                    unsafe {
                        start_in_user_namespace(
                            namespaces,
                            (map_users, Caller::with(rights)),
                            &stack_of_pid1,
                            &mut pid1,
                            (&limits, to_inside.borrow()),
                        )
                    }
                }
                Err(errno) => Err(Failed::ToStart(namespaces.refused(errno))),
            }
        };
        unprotect_memory();
        let _ = sigprocmask(caller_mask);
        inside.abandon();

        let ended = match ended {
            Ok(ended) => ended,
            Err(Failed::ToStart(error)) => return Err(error),
            Err(Failed::ToWait(error)) => {
                // The stacks may still be in use.
                forget((stack_of_pid1, stack_of_closure));
                return Err(error);
            }
        };
        let mut heard = Heard::default();
        heard.listen(to_inside.borrow());
        let root = plan.new_root.borrow();
        let removed = heard.remove_left(root, plan.targets(), Some(ended), None);
        warnings.append(&mut heard.warnings);
        // A mount point that could not be removed is no reason to lose the closure's result.
        warnings.extend(removed.err());
        if let Some(error) = heard.error.take() {
            return Err(error);
        }
        let state = state.into_inner();
        if let (true, Some(error)) = (state != RETURNED, limits.error()) {
            return Err(error);
        }
        match (state, heard.status(ended).signal()) {
            (RETURNED, _) => Ok(()),
            (PANICKED, _) => Err(Error::because(Step::Call, b"", "it panicked")),
            (_, Some(signal)) => Err(Error::signal(Step::Call, signal as u8)),
            (_, None) => Err(Error::because(Step::Call, b"", ENDED_EARLY)),
        }
    }
}

const ENDED_EARLY: &str = "it ended its process";

impl<'a> Inside<'a> {
    /// Starts the process of the closure, in pid 1, and becomes its pid 1. Returns how it ended.
    fn run_closure(
        &mut self,
        kept: &PathBuffer,
        stack: &Stack,
        state: &AtomicU8,
        closure: &mut dyn FnMut(),
    ) -> Result<End, Error> {
        let failed = |errno| Error::new(Step::Fork, b"the closure", errno);
        // From now on a process inside could inspect us.
        set_dumpable(0).map_err(failed)?;
        set_sigchld(false);
        let mut body = || match self.become_closure(kept) {
            Ok(()) => {
                let unwinding = Unwinding(state);
                closure();
                forget(unwinding);
                state.store(RETURNED, Ordering::Release);
                0
            }
            Err(error) => {
                self.verbose.failed(self.supervisor.borrow(), &error);
                error.status()
            }
        };
        let mut body: Body = &mut body;
        // SAFETY: `body` and the stack stay until this process ends, and that one with it.
        let closure = unsafe { start(0, SIGCHLD, stack, &mut body) }.map_err(failed)?;
        // As for a command that shares the caller's process group.
        let _ = setsid();
        let end = Pid1 {
            signals: self.signals.borrow(),
            above: Above::Supervisor(self.supervisor.borrow()),
            command: Some(closure.id),
            reaping: Reaping::ByUs(None),
            own_group: false,
            terminal: None,
            orders: Orders::plain(),
            has_reported: false,
        }
        .run();
        if !matches!(end, Ok(End::Command(_))) {
            // It uses the memory on this stack.
            kill_all();
        }
        end
    }

    /// Prepares the closure's process.
    fn become_closure(&self, kept: &PathBuffer) -> Result<(), Error> {
        set_sigchld(false);
        self.change_directory(kept)?;
        self.give_back()?;
        let root = self.root.get().map(|root| root.number());
        let ours = [self.supervisor.number(), self.signals.number()];
        let ours = ours.into_iter().chain(root).map(|number| number as u32);
        let stubs = &self.mounts.points.stubs;
        let next = |after: Option<u32>| stubs.next_descriptor(after.map_or(0, |after| after + 1));
        let of_stubs = core::iter::successors(next(None), |last| next(Some(*last)));
        for number in ours.chain(of_stubs) {
            // SAFETY: they are pid 1's, and this process has copies that it does not use.
            let _ = unsafe { fs::close(number) };
        }
        Ok(())
    }
}

/// Reports a panic. It is dropped when the panic leaves the closure: nothing of the caller is above
/// it on this stack.
struct Unwinding<'a>(&'a AtomicU8);

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        self.0.store(PANICKED, Ordering::Release);
        exit(101)
    }
}
