//! seccomp filters that fail a system call with an error, as the profile of a container engine does
//! for calls newer than the profile.

use std::io::{Error, Result};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A system call, or only those of its calls in which one argument equals a number or has its bits
/// set.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    number: usize,
    argument: Option<(u32, u16, u32)>,
}

// Constants from <linux/bpf_common.h> and <linux/seccomp.h>.
const LOAD: u16 = 0x20;
const IS: u16 = 0x15;
const HOLDS: u16 = 0x45;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const SET_MODE_FILTER: usize = 1;

pub const fn whole(number: usize) -> Call {
    let argument = None;
    Call { number, argument }
}

const fn with(number: usize, index: u32, test: u16, value: u32) -> Call {
    let argument = Some((index, test, value));
    Call { number, argument }
}

pub const CLONE3: Call = whole(sc::nr::CLONE3);
pub const CLONE: Call = whole(sc::nr::CLONE);
pub const UNSHARE: Call = whole(sc::nr::UNSHARE);
pub const MOUNT: Call = whole(sc::nr::MOUNT);
pub const MOVE_MOUNT: Call = whole(sc::nr::MOVE_MOUNT);
pub const PIVOT_ROOT: Call = whole(sc::nr::PIVOT_ROOT);
pub const WAITID_PIDFD: Call = with(sc::nr::WAITID, 0, IS, 3);
pub const CLOSE_RANGE: Call = whole(sc::nr::CLOSE_RANGE);
pub const PIDFD_SEND_SIGNAL: Call = whole(sc::nr::PIDFD_SEND_SIGNAL);
pub const PIDFD_OPEN: Call = whole(sc::nr::PIDFD_OPEN);
pub const CLONE_PIDFD: Call = with(sc::nr::CLONE, 0, HOLDS, 0x1000);
pub const PIDFD_GET_INFO: Call = with(sc::nr::IOCTL, 1, IS, 0xc040_ff0b);
pub const PR_SET_CHILD_SUBREAPER: Call = with(sc::nr::PRCTL, 0, IS, 36);
pub const PR_GET_CHILD_SUBREAPER: Call = with(sc::nr::PRCTL, 0, IS, 37);
pub const PRLIMIT64: Call = whole(sc::nr::PRLIMIT64);

/// `struct sock_filter`: code, instructions to skip if true, instructions to skip if false,
/// operand.
#[repr(C)]
struct Instruction(u16, u8, u8, u32);

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Makes each of the calls fail with this error, in a command and in all its descendants.
pub fn answer(command: &mut Command, errno: i32, calls: &[Call]) {
    let mut filter = Vec::new();
    for call in calls {
        let test = call.argument.map_or(0, |_| 2);
        filter.push(Instruction(LOAD, 0, 0, 0));
        filter.push(Instruction(IS, 0, 1 + test, call.number as u32));
        if let Some((index, test, value)) = call.argument {
            // The lower half of the argument on a little-endian machine.
            filter.push(Instruction(LOAD, 0, 0, 16 + 8 * index));
            filter.push(Instruction(test, 0, 1, value));
        }
        filter.push(Instruction(RETURN, 0, 0, ERRNO | errno as u32));
    }
    filter.push(Instruction(RETURN, 0, 0, ALLOW));
    // SAFETY: only system calls are made.
    unsafe { command.pre_exec(move || install(&filter)) };
}

fn install(filter: &[Instruction]) -> Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    let program = Program {
        length: filter.len() as u16,
        instructions: filter.as_ptr(),
    };
    // SAFETY: the program is laid out as a sock_fprog, and stays until the kernel has read it.
    let installed = unsafe {
        sc::syscall3(
            sc::nr::SECCOMP,
            SET_MODE_FILTER,
            0,
            &raw const program as usize,
        )
    };
    match installed {
        0 => Ok(()),
        errno => Err(Error::from_raw_os_error(-(errno as i32))),
    }
}
