//! The parent of a reaper: a process that waits for it, and ends as it has ended.
//!
//! execve(2) makes SIGCHLD the signal that a process sends at its end. A program that was the
//! reaper's parent would get that signal, its wait(2) for any child would find the reaper, and if it
//! ignored SIGCHLD the status would be lost. The parent comes between the two: it shares the
//! program's memory, where it needs a few kilobytes of stack, and sends no signal. If it is killed,
//! so is pid 1.

use core::iter;
use core::mem::ManuallyDrop;

use crate::process::channel::Order;
use crate::process::descriptors::close_from;
use crate::sys::net::{receive, receive_with_more, send, send_with_descriptor, socketpair};
use crate::sys::poll::{Poll, poll};
use crate::sys::process::{Waited, Who, exit, id, wait};
use crate::sys::shared::{Body, Stack, start};
use crate::sys::signal::{self, SIGKILL, kill, set_sigchld};
use crate::sys::{BorrowedFd, Errno, ExitStatus, OwnedFd, Process, fs};

const STACK: usize = 64 * 1024;

/// A parent that has not ended.
pub(crate) struct Parent {
    process: Process,
    /// The socket to it.
    orders: Option<OwnedFd>,
    /// Freed after its end.
    stack: Option<ManuallyDrop<Stack>>,
}

impl Parent {
    /// Starts a parent, and `pid1` in new `namespaces` (`CLONE_NEW*`) as its child. `pid1` must
    /// wait for [`Order::Mapped`] on its socket, whose other end is `to_inside`, before it does
    /// anything.
    ///
    /// # Safety
    ///
    /// As for [`start`], until `pid1` has ended or executed a program.
    pub(crate) unsafe fn start(
        namespaces: u32,
        stack_of_pid1: &Stack,
        pid1: &mut Body,
        to_inside: BorrowedFd,
    ) -> Result<(Parent, Process), Errno> {
        let stack = Stack::new(STACK)?;
        let (ours, its) = socketpair()?;
        let mut refused = Errno::EAGAIN;
        let mut body = || {
            // If the program ignores SIGCHLD, we inherit that and the kernel would reap.
            set_sigchld(false);
            // SAFETY: the caller's promise.
            let pid1 = match unsafe { start(namespaces, 0, stack_of_pid1, pid1) } {
                Ok(pid1) => pid1,
                Err(errno) => {
                    refused = errno;
                    return 125;
                }
            };
            // The caller goes on when it has the message, and `its` is gone. From then on this
            // process uses only what is on its own stack.
            let (orders, message) = (its.lend_for_good(), pid1.id.to_ne_bytes());
            let pidfd = pid1.pidfd().ok_or(Errno::ENOSYS);
            match pidfd.and_then(|pidfd| send_with_descriptor(orders, &message, pidfd)) {
                Ok(()) => wait_for(pid1.id, orders),
                Err(errno) => refused = errno,
            }
            let _ = pid1.send(SIGKILL);
            let _ = pid1.wait();
            125
        };
        let mut body: Body = &mut body;
        // SAFETY: the stack stays until the process has ended; `body` stays until it has sent its
        // message or ended, which is waited for.
        let process = unsafe { start(0, 0, &stack, &mut body) }?;
        drop(its);
        let mut message = [0; 4];
        let ended = process.pidfd().map_or(Poll::none(), Poll::new);
        let mut ready = [Poll::new(ours.borrow()), ended];
        while poll(&mut ready, None).is_err() {}
        let received = receive_with_more(ours.borrow(), &mut message);
        let mut parent = Parent {
            process,
            orders: Some(ours),
            stack: Some(ManuallyDrop::new(stack)),
        };
        if let Ok(Some(pidfd)) = received.map(|received| received.descriptor) {
            let pid1 = Process::with_pidfd(i32::from_ne_bytes(message), pidfd);
            return match Order::Mapped.send(to_inside) {
                Ok(()) => Ok((parent, pid1)),
                Err(errno) => {
                    let _ = pid1.send(SIGKILL);
                    let _ = parent.wait(&pid1);
                    Err(errno)
                }
            };
        }
        // A pid 1 that is there ends by this order, and the parent after it. Both have copies of the
        // other end.
        let _ = Order::End.send(to_inside);
        if let Some(orders) = &parent.orders {
            let _ = send(orders.borrow(), &[WAIT]);
            while poll(&mut [Poll::for_hangup(orders.borrow())], None).is_err() {}
        }
        let _ = parent.end();
        Err(refused)
    }

    /// Waits until `pid1` has ended, and returns how. Nobody else has its pid until then. After a
    /// failure of the wait it can be repeated; ECHILD means that both have ended.
    pub(crate) fn wait(&mut self, pid1: &Process) -> Result<ExitStatus, Errno> {
        let sent = |orders: &OwnedFd| send(orders.borrow(), &[WAIT]).is_ok();
        // It takes the end of the socket for the end of the program.
        self.orders = self.orders.take().filter(sent);
        let ended = self.end();
        match ended {
            Ok(status) if status.code().is_some() => return ended,
            Ok(_) | Err(Errno::ECHILD) => {}
            Err(_) => return ended,
        }
        // If the parent was killed, so is pid 1, but not at once, and not if that was too early.
        if let Some(pidfd) = pid1.pidfd() {
            let _ = signal::send(pidfd, SIGKILL);
            poll(&mut [Poll::new(pidfd)], None)?;
        }
        let mut errno = [0; 2];
        let orders = self.orders.as_ref();
        match orders.map(|orders| receive(orders.borrow(), &mut errno)) {
            Some(Ok(2)) => Err(Errno::from_number(u16::from_ne_bytes(errno).into())),
            _ => ended,
        }
    }

    /// Ends it. pid 1 must have stopped to depend on it.
    pub(crate) fn leave(mut self) -> Result<(), Errno> {
        let orders = self.orders.as_ref();
        if orders.is_none_or(|orders| send(orders.borrow(), &[LEAVE]).is_err()) {
            self.process.send(SIGKILL)?;
        }
        self.end().map(drop)
    }

    /// Waits for its end, after which nothing uses the stack.
    fn end(&mut self) -> Result<ExitStatus, Errno> {
        let ended = self.process.wait();
        // ECHILD: somebody else has waited for it.
        if let Ok(_) | Err(Errno::ECHILD) = ended {
            self.stack.take().map(ManuallyDrop::into_inner);
        }
        ended
    }
}

/// Order: wait for pid 1. It is not reaped before, so that its pid stays its own.
const WAIT: u8 = b'W';
/// Order: end without waiting.
const LEAVE: u8 = b'L';

/// Waits for the order, or the end of the program, and then for the child. Ends as it has ended.
fn wait_for(child: i32, orders: BorrowedFd) -> ! {
    // The program must see when others have closed a descriptor, and its directory must be free.
    let _ = close_from(0, &mut iter::once(orders), &[]);
    let _ = fs::chdir(c"/");
    let _ = poll(&mut [Poll::new(orders)], None);
    let mut order = [0];
    let received = receive(orders, &mut order);
    if received == Ok(1) && order == [LEAVE] {
        exit(0);
    }
    let ended = loop {
        match wait(Who::Pid(child)) {
            Ok(Waited::Ended(_, status)) => break Some(status),
            Ok(_) => {}
            Err(errno) => {
                let _ = send(orders, &(errno.number() as u16).to_ne_bytes());
                break None;
            }
        }
    };
    match ended.and_then(|ended| ended.code()) {
        Some(code) => exit(code as u8),
        None => {
            let _ = kill(id(), SIGKILL);
            exit(125)
        }
    }
}
