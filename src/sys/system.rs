//! Calls that change the whole machine: modules, block devices, reboot.

use core::ffi::CStr;

use sc::nr;

use linux_raw_sys::ioctl as raw;

use super::{BorrowedFd, Errno, abi, check, done, fs};

/// `finit_module(2)`. A compressed file needs Linux 5.17, and a kernel built for that compression.
pub fn load_module(file: BorrowedFd, parameters: &CStr, compressed: bool) -> Result<(), Errno> {
    let flags = match compressed {
        true => abi::MODULE_INIT_COMPRESSED_FILE,
        false => 0,
    };
    // SAFETY: the parameters are a C string that outlives the call.
    done(unsafe {
        sc::syscall3(
            nr::FINIT_MODULE,
            file.raw(),
            parameters.as_ptr() as usize,
            flags,
        )
    })
}

/// How the machine ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The machine is switched off.
    PowerOff,
    /// The machine restarts.
    Restart,
    /// The machine stops, and stays on.
    Halt,
}

/// `reboot(2)`: returns only if it fails. In another pid namespace than the first it ends that namespace.
pub fn reboot(ending: Ending) -> Result<(), Errno> {
    let [magic, magic2] = abi::REBOOT_MAGIC;
    let command = match ending {
        Ending::PowerOff => abi::REBOOT_POWER_OFF,
        Ending::Restart => abi::REBOOT_RESTART,
        Ending::Halt => abi::REBOOT_HALT,
    };
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall4(nr::REBOOT, magic, magic2, command, 0) })
}

/// `BTRFS_IOC_DEVICES_READY` of `ioctl_btrfs(2)`: registers a device with btrfs, and returns whether all
/// devices of its file system are registered now.
pub fn btrfs_is_complete(device: &[u8]) -> Result<bool, Errno> {
    let control = fs::openat(BorrowedFd::CWD, c"/dev/btrfs-control", fs::O_RDONLY, 0)?;
    // `struct btrfs_ioctl_vol_args` of `<linux/btrfs.h>`: an unused descriptor, and a path.
    let mut arguments = [0u8; 4096];
    for (to, from) in arguments.iter_mut().skip(8).take(4087).zip(device) {
        *to = *from;
    }
    // SAFETY: the kernel reads the arguments, which have the size in the request's number and a NUL at
    // their end.
    check(unsafe {
        sc::syscall3(
            nr::IOCTL,
            control.borrow().raw(),
            raw::BTRFS_IOC_DEVICES_READY as usize,
            arguments.as_ptr() as usize,
        )
    })
    .map(|missing| missing == 0)
}

/// `BLKROSET`: makes a block device read-only or writable. Returns whether it was read-only before.
pub fn set_read_only(device: BorrowedFd, read_only: bool) -> Result<bool, Errno> {
    let [mut before, now] = [0, i32::from(read_only)];
    for (request, value) in [
        (raw::BLKROGET, &raw mut before),
        (raw::BLKROSET, &raw const now as *mut i32),
    ] {
        // SAFETY: both requests take the address of an int; the first writes it.
        done(unsafe { sc::syscall3(nr::IOCTL, device.raw(), request as usize, value as usize) })?;
    }
    Ok(before != 0)
}
