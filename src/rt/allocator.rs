//! An allocator for a program that reads its arguments, makes its plan and runs it: memory is
//! taken, and given back by the end of the process. Who does the same again and again for as long as
//! it waits gives it back by itself, all since a mark.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};

use crate::sys::memory::{Marked, map, unmap};

use super::end;

pub(crate) struct Bump {
    next: Cell<usize>,
    /// The piece that is being used.
    piece: Cell<Piece>,
    /// Memory is used again, and may hold anything.
    was_given_back: Cell<bool>,
    /// Enough for most runs: pages that are not touched cost nothing, and no call is needed for them.
    /// The first page is that of the fields above.
    first: UnsafeCell<[u8; 256 * 1024]>,
}

/// A mapping, which begins with the piece that was used before it.
#[derive(Clone, Copy)]
struct Piece {
    start: usize,
    end: usize,
}

// SAFETY: the binary has one thread.
unsafe impl Sync for Bump {}

#[global_allocator]
pub(crate) static ALLOCATOR: Bump = Bump {
    next: Cell::new(0),
    piece: Cell::new(Piece { start: 0, end: 0 }),
    was_given_back: Cell::new(false),
    first: UnsafeCell::new([0; 256 * 1024]),
};

/// How much is asked of the kernel at once; pages that are not touched cost nothing.
const CHUNK: usize = 256 * 1024;

// SAFETY: each block is its own, aligned, inside a mapping that stays as long as the block.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let aligned = |address: usize| address.next_multiple_of(layout.align());
        if self.next.get() == 0 {
            let start = self.first.get() as usize;
            let end = start + size_of_val(&self.first);
            self.piece.set(Piece { start, end });
            self.next.set(start);
        }
        let mut start = aligned(self.next.get());
        if start + layout.size() > self.piece.get().end {
            let length = CHUNK.max(size_of::<Piece>() + layout.size() + layout.align());
            let chunk = match map(length) {
                Ok(chunk) => chunk,
                Err(errno) => {
                    let (name, words) = errno.describe();
                    end(&["cannot get memory: ", words, " (", name, ")\n"])
                }
            };
            // SAFETY: the mapping is new, and has room for it.
            unsafe { chunk.cast::<Piece>().write(self.piece.get()) };
            let start_of_chunk = chunk as usize;
            self.piece.set(Piece {
                start: start_of_chunk,
                end: start_of_chunk + length,
            });
            start = aligned(start_of_chunk + size_of::<Piece>());
        }
        self.next.set(start + layout.size());
        start as *mut u8
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let block = unsafe { self.alloc(layout) };
        if self.was_given_back.get() {
            // SAFETY: the block is new and as large as that.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        // Else it is as the kernel gave it: zeros, in pages that nobody has touched.
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size <= layout.size() {
            return block;
        }
        let end = block as usize + layout.size();
        if end == self.next.get() && block as usize + size <= self.piece.get().end {
            // The last block grows where it is.
            self.next.set(block as usize + size);
            return block;
        }
        // SAFETY: the caller's promise; the new block overlaps no other.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            new.copy_from_nonoverlapping(block, layout.size());
            new
        }
    }
}

impl Marked for Bump {
    fn mark(&self) -> usize {
        self.next.get()
    }

    unsafe fn give_back(&self, mark: usize) {
        let mut piece = self.piece.get();
        while !(piece.start..=piece.end).contains(&mark) {
            // SAFETY: the piece begins with the one before it, and nothing in it is in use.
            unsafe {
                let before = *(piece.start as *const Piece);
                unmap(piece.start as *mut u8, piece.end - piece.start);
                piece = before;
            }
        }
        self.piece.set(piece);
        self.next.set(mark);
        self.was_given_back.set(true);
    }
}
