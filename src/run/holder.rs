//! A call in a new user namespace, which needs a process besides those that share the caller's
//! memory: the holder of the namespace.

use core::mem::forget;

use crate::error::{Error, Step};
use crate::process::channel::{self, Report, send_readiness};
use crate::process::descriptors::close_all_but_these;
use crate::process::namespace::Namespaces;
use crate::run::launch::prepare;
use crate::run::limits::Begun;
use crate::sys::net::{receive, socketpair};
use crate::sys::poll::{Poll, poll};
use crate::sys::process::{CLONE_NEWUSER, Cloning, ExitStatus, Fork, exit, fork};
use crate::sys::shared::{Body, Stack, set_dumpable, start};
use crate::sys::signal::SignalSet;
use crate::sys::{BorrowedFd, Errno, fs};
use crate::user::id_map::{MapUsers, UserNamespace, end_unmapped};
use crate::user::maps::Caller;

/// The reason why there is no status of a process that shares our memory.
pub(super) enum Failed {
    ToStart(Error),
    /// The process may still run, on its stack.
    ToWait(Error),
}

pub(super) fn to_wait(errno: Errno) -> Failed {
    Failed::ToWait(Error::new(Step::Wait, b"pid 1", errno))
}

/// Starts `pid1` in a new user namespace too, for an ordinary user. A process whose memory cannot
/// be traced may not write its own id maps. A process with its own memory therefore makes the
/// namespace, and one with ours enters it to start `pid1` there. `peer` is our end of the socket to
/// pid 1.
///
/// # Safety
///
/// As for [`start`]; it has ended when this returns.
pub(super) unsafe fn start_in_user_namespace(
    namespaces: Namespaces,
    (map_users, caller): (MapUsers, Caller),
    stack_of_pid1: &Stack,
    pid1: &mut Body,
    (limits, peer): (&Begun, BorrowedFd),
) -> Result<ExitStatus, Failed> {
    let failed = |errno| Failed::ToStart(namespaces.refused(errno));
    let stack = Stack::new(Stack::FOR_PID_1).map_err(failed)?;
    let (ours, holders) = socketpair().map_err(failed)?;
    let mut message = channel::Buffer::zeros().map_err(failed)?;
    // SAFETY: the child allocates nothing.
    let make = |cloning| unsafe { fork(CLONE_NEWUSER, cloning) };
    // As in `Inside::launch`.
    let made = make(Cloning::Clone3).or_else(|errno| match errno {
        Errno::EPERM => make(Cloning::Clone),
        errno => Err(errno),
    });
    let holder = match made.map_err(failed)? {
        Fork::Parent(holder) => holder,
        Fork::Child => {
            // It must not hold a descriptor by which others see that we are gone.
            let mapped = close_all_but_these([holders.borrow()]).and_then(|()| {
                // Only root may write the id maps of a process that is not dumpable. This memory is
                // a copy.
                let _ = set_dumpable(1);
                map_users.map(caller, holders.borrow())?;
                send_readiness(holders.borrow()).map_err(prepare)
            });
            // It waits until it has been entered, or nobody will enter it any more. It has the host's
            // root and mounts, so it must be gone before a process inside could inspect it.
            let waited = mapped
                .and_then(|()| poll(&mut [Poll::new(holders.borrow())], None).map_err(prepare));
            if let Err(error) = waited {
                let _ = channel::send_error(holders.borrow(), &error);
            }
            exit(0)
        }
    };
    drop(holders);
    let mapped = map_users.map_from_outside(&holder, caller, ours.borrow(), SignalSet::ALL);
    if let Err(error) = mapped {
        end_unmapped(&holder);
        return Err(Failed::ToStart(error));
    }
    let _ = poll(&mut [Poll::new(ours.borrow())], None);
    let length = receive(ours.borrow(), &mut *message).unwrap_or(0);
    let started = match Report::parse(&message[..length]) {
        Some(Report::Failed(error)) => Err(Failed::ToStart(error)),
        _ => {
            let mut refused = None;
            let mut enter = || {
                // SAFETY: this process does not use it, and must not keep it open.
                let _ = unsafe { fs::close(peer.number() as u32) };
                let released = UserNamespace::enter_that_of(&holder)
                    .and_then(|()| send_readiness(ours.borrow()));
                if released.is_ok() {
                    // The holder closes its end as it ends.
                    let _ = poll(&mut [Poll::for_hangup(ours.borrow())], None);
                }
                // SAFETY: as above.
                let _ = unsafe { fs::close(ours.number() as u32) };
                // SAFETY: the caller's promise; this process waits for that one.
                let pid1 = released
                    .and_then(|()| unsafe { start(namespaces.flags(), 0, stack_of_pid1, pid1) });
                match pid1 {
                    Ok(pid1) => match pid1.wait() {
                        Ok(status) => status.shell(),
                        Err(_) => 125,
                    },
                    Err(errno) => {
                        refused = Some(errno);
                        125
                    }
                }
            };
            let mut enter: Body = &mut enter;
            // SAFETY: the stack and `enter` stay until it has ended, which is waited for.
            let started = unsafe { start(0, 0, &stack, &mut enter) }.map_err(failed);
            let status = started.and_then(|process| limits.wait(&process, peer).map_err(to_wait));
            match refused {
                Some(errno) => {
                    let length = receive(ours.borrow(), &mut *message).unwrap_or(0);
                    match Report::parse(&message[..length]) {
                        Some(Report::Failed(error)) => Err(Failed::ToStart(error)),
                        _ => Err(failed(errno)),
                    }
                }
                None => status,
            }
        }
    };
    drop(ours);
    let _ = holder.wait();
    if let Err(Failed::ToWait(_)) = &started {
        forget(stack);
    }
    started
}
