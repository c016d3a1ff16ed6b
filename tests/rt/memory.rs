//! Checks the entry point and the memory functions of src/rt against plain loops.
//!
//! This is a program without libc, because in a test harness these functions would replace libc's.
//! Its exit status is the number of the check that failed. It is compiled without optimization,
//! which would turn the plain loops into calls of memcpy and memset.

#![no_std]
#![no_main]

#[cfg_attr(target_arch = "x86_64", path = "../../src/rt/x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "../../src/rt/aarch64.rs")]
#[cfg_attr(target_arch = "riscv64", path = "../../src/rt/riscv64.rs")]
mod arch;

mod start {
    /// `stack` is laid out by the kernel: argc, argv, null, environment, null.
    pub unsafe extern "C" fn enter(stack: *const usize) -> ! {
        #[repr(align(16))]
        struct Aligned(#[allow(dead_code)] u8);
        let local = Aligned(0);
        let address = core::hint::black_box(&raw const local) as usize;
        // SAFETY: the program is started with one argument, its name.
        let started = unsafe { *stack == 1 && *stack.add(1) != 0 && *stack.add(2) == 0 };
        super::exit(if address % 16 != 0 || !started {
            1
        } else {
            super::checks()
        })
    }
}

unsafe extern "C" {
    fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8;
    fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8;
    fn memset(to: *mut u8, byte: i32, length: usize) -> *mut u8;
    fn memcmp(a: *const u8, b: *const u8, length: usize) -> i32;
    fn bcmp(a: *const u8, b: *const u8, length: usize) -> i32;
    fn strlen(text: *const u8) -> usize;
}

const SIZE: usize = 24;

/// Bytes that differ from each other, some with the sign bit.
fn bytes() -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    let mut at = 0;
    while at < SIZE {
        bytes[at] = (at as u8).wrapping_mul(23).wrapping_add(1);
        at += 1;
    }
    bytes
}

/// Compares byte by byte, without the functions under test.
fn same(a: &[u8; SIZE], b: &[u8; SIZE]) -> bool {
    let mut at = 0;
    while at < SIZE && a[at] == b[at] {
        at += 1;
    }
    at == SIZE
}

fn checks() -> i32 {
    let mut length = 0;
    while length <= SIZE / 2 {
        let mut to = 0;
        while to < SIZE / 2 {
            let mut from = 0;
            while from < SIZE / 2 {
                let failed = copies(to, from, length);
                if failed != 0 {
                    return failed;
                }
                from += 1;
            }
            let failed = fills(to, length);
            if failed != 0 {
                return failed;
            }
            to += 1;
        }
        let failed = comparisons(length);
        if failed != 0 {
            return failed;
        }
        length += 1;
    }
    0
}

fn copies(to: usize, from: usize, length: usize) -> i32 {
    let source = bytes();
    let mut expected = bytes();
    let mut at = 0;
    while at < length {
        expected[to + at] = source[from + at];
        at += 1;
    }
    // SAFETY: `to + length` and `from + length` are inside, and memcpy's sides are two arrays.
    unsafe {
        let mut copied = bytes();
        let target = (&raw mut copied).cast::<u8>().add(to);
        let origin = (&raw const source).cast::<u8>().add(from);
        if memcpy(target, origin, length) != target || !same(&copied, &expected) {
            return 2;
        }
        let mut moved = bytes();
        let start = (&raw mut moved).cast::<u8>();
        if memmove(start.add(to), start.add(from), length) != start.add(to)
            || !same(&moved, &expected)
        {
            return 3;
        }
    }
    0
}

fn fills(to: usize, length: usize) -> i32 {
    let mut expected = bytes();
    let mut at = 0;
    while at < length {
        expected[to + at] = 0xa5;
        at += 1;
    }
    let mut filled = bytes();
    // SAFETY: `to + length` is inside.
    unsafe {
        let target = (&raw mut filled).cast::<u8>().add(to);
        // Only the low byte counts.
        if memset(target, 0x3a5, length) != target || !same(&filled, &expected) {
            return 4;
        }
    }
    0
}

fn comparisons(length: usize) -> i32 {
    let a = bytes();
    let pointer = (&raw const a).cast::<u8>();
    let mut differs = 0;
    while differs < SIZE {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut b = bytes();
            b[differs] = byte;
            // Bytes after the first difference must not count.
            if differs + 1 < SIZE {
                b[differs + 1] = !byte;
            }
            let mut first = 0;
            while first < length && a[first] == b[first] {
                first += 1;
            }
            let expected = if first == length {
                0
            } else if a[first] < b[first] {
                -1
            } else {
                1
            };
            let other = (&raw const b).cast::<u8>();
            // SAFETY: both have more bytes than `length`.
            let (order, unequal) =
                unsafe { (memcmp(pointer, other, length), bcmp(pointer, other, length)) };
            if order.signum() != expected {
                return 5;
            }
            if (unequal != 0) != (expected != 0) {
                return 6;
            }
        }
        differs += 1;
    }
    let mut text = [0xff_u8; SIZE];
    text[length] = 0;
    // SAFETY: it ends inside.
    if unsafe { strlen((&raw const text).cast()) } != length {
        return 7;
    }
    0
}

fn exit(status: i32) -> ! {
    // SAFETY: exit_group(2).
    unsafe {
        #[cfg(target_arch = "x86_64")]
        core::arch::asm!("syscall", in("rax") 231, in("rdi") status, options(noreturn));
        #[cfg(target_arch = "aarch64")]
        core::arch::asm!("svc 0", in("x8") 94, in("x0") status, options(noreturn));
        #[cfg(target_arch = "riscv64")]
        core::arch::asm!("ecall", in("a7") 94, in("a0") status, options(noreturn));
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(8)
}

#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
