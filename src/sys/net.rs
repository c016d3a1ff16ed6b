//! Sockets: between rootlet's own processes, from the kernel (device events), and for network devices.

use core::mem::size_of;

use linux_raw_sys::{ioctl, net as raw};
use sc::nr;

use super::{BorrowedFd, Errno, OwnedFd, abi, check, done};

/// `socketpair(2)`: returns two connected Unix sockets that keep message boundaries, close-on-exec.
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

/// `sendto(2)` of one message, without SIGPIPE if the other end is closed. Repeated after EINTR: then
/// nothing was sent.
pub fn send(socket: BorrowedFd, message: &[u8]) -> Result<(), Errno> {
    loop {
        // SAFETY: the kernel reads at most `message.len()` bytes of the slice.
        let sent = done(unsafe {
            sc::syscall6(
                nr::SENDTO,
                socket.raw(),
                message.as_ptr() as usize,
                message.len(),
                raw::MSG_NOSIGNAL as usize,
                0,
                0,
            )
        });
        if sent != Err(Errno::EINTR) {
            return sent;
        }
    }
}

/// `recvfrom(2)` of one message, without waiting: EAGAIN if there is none, 0 if the other end is closed.
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

/// `socket(2)` and `bind(2)`: returns a socket with the kernel's events of devices
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
        // The multicast group of the kernel's own messages.
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

/// An IPv4 address or mask.
pub type Address = [u8; 4];

/// `socket(2)`: returns a socket for the requests about network devices below.
pub fn devices() -> Result<OwnedFd, Errno> {
    // SAFETY: no memory is passed.
    check(unsafe {
        sc::syscall3(
            nr::SOCKET,
            raw::AF_INET as usize,
            abi::SOCK_DGRAM | abi::SOCK_CLOEXEC,
            0,
        )
    })
    .map(OwnedFd::new)
}

/// `ioctl(SIOCSIFADDR)` and `ioctl(SIOCSIFNETMASK)`, `netdevice(7)`.
pub fn set_address(
    socket: BorrowedFd,
    device: &[u8],
    address: Address,
    mask: Address,
) -> Result<(), Errno> {
    for (request, address) in [(ioctl::SIOCSIFADDR, address), (ioctl::SIOCSIFNETMASK, mask)] {
        let value = abi::socket_address(address);
        ask(socket, request, &abi::DeviceRequest::new(device, value))?;
    }
    Ok(())
}

/// `ioctl(SIOCSIFFLAGS)`: brings a device up.
pub fn set_up(socket: BorrowedFd, device: &[u8]) -> Result<(), Errno> {
    let mut value = [0; 24];
    let flags = (raw::net_device_flags::IFF_UP as u16).to_ne_bytes();
    value[..2].copy_from_slice(&flags);
    let request = abi::DeviceRequest::new(device, value);
    ask(socket, ioctl::SIOCSIFFLAGS, &request)
}

/// `ioctl(SIOCADDRT)`: adds a default route.
pub fn add_default_route(socket: BorrowedFd, gateway: Address) -> Result<(), Errno> {
    let [any, gateway] = [[0; 4], gateway].map(abi::socket_address);
    let head = |address: [u8; 24]| [0, 8].map(|at| word(&address, at));
    let mut route = abi::Route::default();
    route.destination = head(any);
    route.gateway = head(gateway);
    route.mask = head(any);
    route.flags = abi::ROUTE_UP_BY_GATEWAY;
    // SAFETY: the kernel reads a `struct rtentry`, whose pointer to a device's name is null.
    done(unsafe {
        sc::syscall3(
            nr::IOCTL,
            socket.raw(),
            ioctl::SIOCADDRT as usize,
            &raw const route as usize,
        )
    })
}

fn word(bytes: &[u8; 24], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(word)
}

fn ask(socket: BorrowedFd, request: u32, about: &abi::DeviceRequest) -> Result<(), Errno> {
    // SAFETY: the kernel reads a `struct ifreq`.
    done(unsafe {
        sc::syscall3(
            nr::IOCTL,
            socket.raw(),
            request as usize,
            &raw const *about as usize,
        )
    })
}

/// `setsockopt(SO_PASSCRED)`: makes the kernel add the sender to each message received here.
pub fn learn_senders(socket: BorrowedFd) -> Result<(), Errno> {
    let on = 1i32;
    // SAFETY: the kernel reads one int.
    done(unsafe {
        sc::syscall5(
            nr::SETSOCKOPT,
            socket.raw(),
            raw::SOL_SOCKET as usize,
            raw::SO_PASSCRED as usize,
            &raw const on as usize,
            size_of::<i32>(),
        )
    })
}

/// `sendmsg(2)` of one message with a descriptor (`unix(7)`, SCM_RIGHTS).
pub fn send_with_descriptor(
    socket: BorrowedFd,
    message: &[u8],
    descriptor: BorrowedFd,
) -> Result<(), Errno> {
    let control = abi::Rights {
        length: 20,
        level: raw::SOL_SOCKET as i32,
        kind: abi::SCM_RIGHTS,
        descriptor: descriptor.number(),
    };
    let mut part = [message.as_ptr() as usize, message.len()];
    let message = abi::Message {
        parts: part.as_mut_ptr() as usize,
        count: 1,
        control: &raw const control as usize,
        control_length: size_of::<abi::Rights>(),
        ..abi::Message::default()
    };
    // SAFETY: the kernel reads the memory that the structs describe, which outlives the call.
    done(unsafe {
        sc::syscall3(
            nr::SENDMSG,
            socket.raw(),
            &raw const message as usize,
            raw::MSG_NOSIGNAL as usize,
        )
    })
}

/// A received message's length, sender and descriptor.
#[derive(Debug, Default)]
pub struct Received {
    /// The length of the message; 0 if the other end is closed.
    pub length: usize,
    /// The sender's pid in our pid namespace, after [`learn_senders`]; else 0.
    pub sender: i32,
    /// The descriptor in the message, if any.
    pub descriptor: Option<OwnedFd>,
}

/// `recvmsg(2)`: like [`receive`], with the sender and a descriptor.
pub fn receive_with_more(socket: BorrowedFd, buffer: &mut [u8]) -> Result<Received, Errno> {
    // Room for the credentials and one descriptor; the kernel drops further ones.
    let abi::Words(control) = &mut abi::Words([0; 56]);
    let mut part = [buffer.as_mut_ptr() as usize, buffer.len()];
    let mut message = abi::Message {
        parts: part.as_mut_ptr() as usize,
        count: 1,
        control: control.as_mut_ptr() as usize,
        control_length: control.len(),
        ..abi::Message::default()
    };
    // SAFETY: the kernel writes only to the memory that the structs describe, which outlives the call.
    let length = check(unsafe {
        sc::syscall3(
            nr::RECVMSG,
            socket.raw(),
            &raw mut message as usize,
            (raw::MSG_DONTWAIT | raw::MSG_CMSG_CLOEXEC) as usize,
        )
    })?;
    let mut received = Received {
        length,
        ..Received::default()
    };
    received.take_control(control.get(..message.control_length).unwrap_or_default());
    Ok(received)
}

impl Received {
    /// Takes the sender and the descriptor from the control messages. Each is a `struct cmsghdr`: length,
    /// level, kind, and then numbers.
    fn take_control(&mut self, mut rest: &[u8]) {
        while let Some((head, _)) = rest.split_first_chunk::<16>() {
            let length = head
                .first_chunk()
                .map_or(0, |length| usize::from_ne_bytes(*length));
            let kind = head
                .last_chunk()
                .map_or(0, |kind| i32::from_ne_bytes(*kind));
            let data = rest.get(16..length).unwrap_or_default();
            let mut numbers = data.chunks_exact(4).filter_map(<[u8]>::first_chunk);
            match kind {
                // The last descriptor is kept; the assignment closes the others.
                abi::SCM_RIGHTS => numbers.for_each(|number| {
                    let number = i32::from_ne_bytes(*number);
                    self.descriptor = Some(OwnedFd::new(number as usize));
                }),
                // `struct ucred` begins with the pid, which is 0 outside our pid namespace.
                abi::SCM_CREDENTIALS => {
                    self.sender = numbers.next().map_or(0, |pid| i32::from_ne_bytes(*pid));
                }
                _ => {}
            }
            rest = rest
                .get(length.next_multiple_of(8).max(16)..)
                .unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::prelude::rust_2024::*;

    use super::*;

    fn credentials(pid: i32) -> Vec<u8> {
        let [user, group] = [1000i32, 1000];
        let head = [1, abi::SCM_CREDENTIALS, pid, user, group].map(i32::to_ne_bytes);
        [&28usize.to_ne_bytes()[..], &head.concat(), &[0; 4]].concat()
    }

    #[test]
    fn a_sender_outside_the_pid_namespace_is_not_its_user() {
        for pid in [0, 7] {
            let mut received = Received::default();
            received.take_control(&credentials(pid));
            assert_eq!(received.sender, pid);
        }
    }
}
