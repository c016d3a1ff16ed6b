//! Memory.

use linux_raw_sys::general as raw;
use sc::nr;

use super::{Errno, check};

/// `mmap(2)` of `length` bytes that are ours alone, readable and writable, all zero.
pub fn map(length: usize) -> Result<*mut u8, Errno> {
    // SAFETY: a new anonymous mapping touches no memory that is in use.
    check(unsafe {
        sc::syscall6(
            nr::MMAP,
            0,
            length,
            (raw::PROT_READ | raw::PROT_WRITE) as usize,
            (raw::MAP_PRIVATE | raw::MAP_ANONYMOUS) as usize,
            usize::MAX,
            0,
        )
    })
    .map(|address| address as *mut u8)
}
