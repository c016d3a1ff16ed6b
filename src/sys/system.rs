//! The machine: its modules, its end.

use core::ffi::CStr;

use sc::nr;

use super::{BorrowedFd, Errno, abi, done};

/// `finit_module(2)`; of a compressed file since Linux 5.17, where the kernel was built for that.
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
    /// It is switched off.
    PowerOff,
    /// It starts again.
    Restart,
    /// It stops, and stays on.
    Halt,
}

/// `reboot(2)`: does not return where it succeeds. In a pid namespace of its own it ends that.
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
