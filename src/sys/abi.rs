//! Constants and structs of the kernel's interface that `linux-raw-sys` lacks, or has as another type.

/// A buffer that the kernel fills with structs of words. Not every machine writes a word at any address.
#[repr(C, align(8))]
pub(super) struct Words<const LENGTH: usize>(pub(super) [u8; LENGTH]);

/// `AT_FDCWD` of `<linux/fcntl.h>`.
pub(super) const AT_FDCWD: i32 = -100;

/// From `<linux/keyctl.h>`.
pub(super) const KEYCTL_JOIN_SESSION_KEYRING: usize = 1;

/// `SOCK_SEQPACKET`, `SOCK_CLOEXEC` of the kernel's `<linux/net.h>`.
pub(super) const SOCK_SEQPACKET: usize = 5;
pub(super) const SOCK_CLOEXEC: usize = 0o2000000;

pub(super) const SOCK_DGRAM: usize = 2;

/// `AF_NETLINK` of `<linux/socket.h>`; the address and protocol of `<linux/netlink.h>`.
pub(super) const AF_NETLINK: usize = 16;
pub(super) const NETLINK_KOBJECT_UEVENT: usize = 15;
#[repr(C)]
pub(super) struct SockaddrNl {
    pub(super) family: u16,
    pub(super) pad: u16,
    pub(super) port: u32,
    pub(super) groups: u32,
}

/// `struct ifreq` of `<linux/if.h>`.
#[repr(C)]
pub(super) struct DeviceRequest {
    name: [u8; 16],
    value: [u8; 24],
}

impl DeviceRequest {
    /// Makes a request. A name that is too long is cut off, so no device matches it.
    pub(super) fn new(device: &[u8], value: [u8; 24]) -> DeviceRequest {
        let mut name = [0; 16];
        for (to, from) in name.iter_mut().take(15).zip(device) {
            *to = *from;
        }
        DeviceRequest { name, value }
    }
}

/// Returns a `struct sockaddr_in` of `<linux/in.h>`, padded to 24 bytes.
pub(super) fn socket_address(address: [u8; 4]) -> [u8; 24] {
    let mut socket_address = [0; 24];
    socket_address[..2].copy_from_slice(&2u16.to_ne_bytes());
    socket_address[4..8].copy_from_slice(&address);
    socket_address
}

/// `struct rtentry` of `<linux/route.h>`: each address is a `struct sockaddr`.
#[repr(C)]
#[derive(Default)]
pub(super) struct Route {
    pad: u64,
    pub(super) destination: [u64; 2],
    pub(super) gateway: [u64; 2],
    pub(super) mask: [u64; 2],
    pub(super) flags: u64,
    rest: [u64; 7],
}
/// `RTF_UP | RTF_GATEWAY`, a short with padding after it.
pub(super) const ROUTE_UP_BY_GATEWAY: u64 = 3;

/// Values of `<linux/reboot.h>` and `<linux/module.h>`.
pub(super) const REBOOT_MAGIC: [usize; 2] = [0xfee1_dead, 672_274_793];
pub(super) const REBOOT_RESTART: usize = 0x0123_4567;
pub(super) const REBOOT_HALT: usize = 0xcdef_0123;
pub(super) const REBOOT_POWER_OFF: usize = 0x4321_fedc;
pub(super) const MODULE_INIT_COMPRESSED_FILE: usize = 4;

/// `SFD_CLOEXEC` of `<linux/signalfd.h>`.
pub(super) const SFD_CLOEXEC: usize = 0o2000000;

/// `struct signalfd_siginfo` of `<linux/signalfd.h>`: the fields used here, then the rest.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct SignalfdSiginfo {
    pub(super) signo: u32,
    pub(super) errno: i32,
    pub(super) code: i32,
    pub(super) pid: u32,
    pub(super) rest: [u64; 14],
}

/// The size of the kernel's signal set, which is not libc's `sigset_t`.
pub(super) const SIGSET_SIZE: usize = 8;

/// From `<linux/seccomp.h>`.
pub(super) const SECCOMP_MODE_FILTER: usize = 2;

/// `struct pidfd_info` of `<linux/pidfd.h>` as of Linux 6.15, and the request that fills it: the
/// number holds the size, `_IOWR(0xFF, 11, struct pidfd_info)`.
#[repr(C)]
#[derive(Default)]
pub(super) struct PidfdInfo {
    pub(super) mask: u64,
    pub(super) cgroup: u64,
    pub(super) ids: [u32; 11],
    pub(super) exit_code: i32,
}
pub(super) const PIDFD_INFO_EXIT: u64 = 1 << 3;
pub(super) const PIDFD_GET_INFO: usize = 3 << 30 | size_of::<PidfdInfo>() << 16 | 0xFF << 8 | 11;

/// `struct msghdr` of the kernel's `<linux/socket.h>` (`user_msghdr`).
#[repr(C)]
#[derive(Default)]
pub(super) struct Message {
    pub(super) name: usize,
    pub(super) name_length: u32,
    pub(super) parts: usize,
    pub(super) count: usize,
    pub(super) control: usize,
    pub(super) control_length: usize,
    pub(super) flags: u32,
}

/// `struct cmsghdr` of the same header, with one descriptor.
#[repr(C)]
pub(super) struct Rights {
    pub(super) length: usize,
    pub(super) level: i32,
    pub(super) kind: i32,
    pub(super) descriptor: i32,
}
pub(super) const SCM_RIGHTS: i32 = 1;
pub(super) const SCM_CREDENTIALS: i32 = 2;

/// `<linux/landlock.h>`, Linux 5.13.
pub const LANDLOCK_CREATE_RULESET_VERSION: usize = 1;
