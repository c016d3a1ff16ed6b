//! Sockets between our own processes.

use core::mem::size_of;

use linux_raw_sys::net as raw;
use sc::nr;

use super::{BorrowedFd, Errno, OwnedFd, abi, check, done};

/// `socketpair(2)`: two connected Unix sockets that keep message boundaries, close-on-exec.
pub fn socketpair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [0i32; 2];
    // SAFETY: the kernel writes two ints into the array.
    done(unsafe {
        sc::syscall4(
            nr::SOCKETPAIR,
            raw::AF_UNIX as usize,
            abi::SOCK_SEQPACKET | abi::SOCK_CLOEXEC,
            0,
            ends.as_mut_ptr() as usize,
        )
    })?;
    Ok((
        OwnedFd::new(ends[0] as usize),
        OwnedFd::new(ends[1] as usize),
    ))
}

/// `sendto(2)` of one message, without SIGPIPE when nobody is left to read it.
pub fn send(socket: BorrowedFd, message: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads at most `message.len()` bytes of the slice.
    done(unsafe {
        sc::syscall6(
            nr::SENDTO,
            socket.raw(),
            message.as_ptr() as usize,
            message.len(),
            raw::MSG_NOSIGNAL as usize,
            0,
            0,
        )
    })
}

/// `recvfrom(2)` of one message, without waiting: EAGAIN when there is none, 0 when the other end
/// is closed.
pub fn receive(socket: BorrowedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into the buffer.
    check(unsafe {
        sc::syscall6(
            nr::RECVFROM,
            socket.raw(),
            buffer.as_mut_ptr() as usize,
            buffer.len(),
            raw::MSG_DONTWAIT as usize,
            0,
            0,
        )
    })
}

/// `socket(2)` and `bind(2)`: what the kernel says of devices that come and go
/// (`NETLINK_KOBJECT_UEVENT`, `netlink(7)`).
pub fn device_events() -> Result<OwnedFd, Errno> {
    // SAFETY: no memory is passed.
    let socket = check(unsafe {
        sc::syscall3(
            nr::SOCKET,
            abi::AF_NETLINK,
            abi::SOCK_DGRAM | abi::SOCK_CLOEXEC,
            abi::NETLINK_KOBJECT_UEVENT,
        )
    })
    .map(OwnedFd::new)?;
    let address = abi::SockaddrNl {
        family: abi::AF_NETLINK as u16,
        pad: 0,
        port: 0,
        // The kernel's own messages.
        groups: 1,
    };
    // SAFETY: the struct has the size given.
    done(unsafe {
        sc::syscall3(
            nr::BIND,
            socket.borrow().raw(),
            &raw const address as usize,
            size_of::<abi::SockaddrNl>(),
        )
    })?;
    Ok(socket)
}
