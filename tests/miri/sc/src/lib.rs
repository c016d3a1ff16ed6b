//! System calls for tests under Miri, as calls of the C library where Miri knows them: memory, files that
//! are open, and the time. Any other call fails with ENOSYS.
//!
//! A mapping is an allocation, so that Miri finds accesses outside of it, uses after munmap(2), and leaks.

#![no_std]

extern crate alloc;

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use core::ffi::{c_int, c_void};
use core::ptr::with_exposed_provenance_mut as pointer;

/// The numbers of the calls, from build.rs.
pub mod nr {
    include!(concat!(env!("OUT_DIR"), "/nr.rs"));
}

const ENOMEM: usize = 12;
const ENOSYS: usize = 38;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
    fn clock_gettime(clock: c_int, time: *mut c_void) -> c_int;
    fn close(number: c_int) -> c_int;
    fn getpid() -> c_int;
    fn open(path: *const c_void, flags: c_int, ...) -> c_int;
    fn pipe2(ends: *mut c_int, flags: c_int) -> c_int;
    fn pread64(number: c_int, bytes: *mut c_void, length: usize, offset: i64) -> isize;
    fn read(number: c_int, bytes: *mut c_void, length: usize) -> isize;
    fn write(number: c_int, bytes: *const c_void, length: usize) -> isize;
}

/// Calls the C library.
///
/// # Safety
///
/// As for the system call.
pub unsafe fn syscall6(
    number: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    _: usize,
    _: usize,
) -> usize {
    // SAFETY: the caller's promise.
    let result = unsafe {
        match number {
            nr::MMAP => return map(b),
            nr::MUNMAP => {
                dealloc(pointer(a), page_layout(b));
                return 0;
            }
            nr::CLOCK_GETTIME => clock_gettime(a as c_int, pointer(b)) as isize,
            nr::CLOSE => close(a as c_int) as isize,
            nr::GETPID => getpid() as isize,
            // Only absolute paths: the directory has no meaning then.
            nr::OPENAT if *pointer::<u8>(b) == b'/' => {
                open(pointer(b), c as c_int, d as c_int) as isize
            }
            nr::PIPE2 => pipe2(pointer(a), b as c_int) as isize,
            nr::PREAD64 => pread64(a as c_int, pointer(b), c, d as i64),
            nr::READ => read(a as c_int, pointer(b), c),
            nr::WRITE => write(a as c_int, pointer(b), c),
            _ => return ENOSYS.wrapping_neg(),
        }
    };
    match result {
        // SAFETY: the pointer is this thread's own.
        -1 => (unsafe { *__errno_location() } as usize).wrapping_neg(),
        result => result as usize,
    }
}

fn page_layout(length: usize) -> Layout {
    Layout::from_size_align(length, 4096).unwrap()
}

/// Returns zeroed memory that begins at a page.
fn map(length: usize) -> usize {
    // SAFETY: the length of a mapping is not 0.
    match unsafe { alloc_zeroed(page_layout(length)) } {
        start if start.is_null() => ENOMEM.wrapping_neg(),
        start => start.expose_provenance(),
    }
}

macro_rules! fewer {
    ($($name:ident($($argument:ident)*) $($zero:literal)*;)*) => {
        $(
            /// Calls the C library.
            ///
            /// # Safety
            ///
            /// As for the system call.
            pub unsafe fn $name(number: usize, $($argument: usize),*) -> usize {
                // SAFETY: the caller's promise.
                unsafe { syscall6(number, $($argument,)* $($zero),*) }
            }
        )*
    };
}

fewer! {
    syscall0() 0 0 0 0 0 0;
    syscall1(a) 0 0 0 0 0;
    syscall2(a b) 0 0 0 0;
    syscall3(a b c) 0 0 0;
    syscall4(a b c d) 0 0;
    syscall5(a b c d e) 0;
}
