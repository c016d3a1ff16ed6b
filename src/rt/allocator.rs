//! An allocator for a program that reads its arguments, makes its plan and runs it: memory is
//! taken, and given back by the end of the process.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;

use rootlet::sys::memory::map;

use super::end;

struct Bump {
    next: Cell<usize>,
    end: Cell<usize>,
}

// SAFETY: the binary has one thread.
unsafe impl Sync for Bump {}

#[global_allocator]
static ALLOCATOR: Bump = Bump {
    next: Cell::new(0),
    end: Cell::new(0),
};

/// How much is asked of the kernel at once; pages that are not touched cost nothing.
const CHUNK: usize = 256 * 1024;

// SAFETY: each block is its own, aligned, inside a mapping that stays.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let aligned = |address: usize| address.next_multiple_of(layout.align());
        let mut start = aligned(self.next.get());
        if start + layout.size() > self.end.get() {
            let length = CHUNK.max(layout.size() + layout.align());
            let chunk = match map(length) {
                Ok(chunk) => chunk,
                Err(errno) => {
                    let (name, words) = errno.describe();
                    end(&["cannot get memory: ", words, " (", name, ")\n"])
                }
            };
            self.end.set(chunk as usize + length);
            start = aligned(chunk as usize);
        }
        self.next.set(start + layout.size());
        start as *mut u8
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
