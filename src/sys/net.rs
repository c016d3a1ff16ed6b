//! Sockets between our own processes.

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
