//! A bump allocator for a program that parses its arguments, compiles its plan and runs it. Single blocks
//! are never freed; the end of the process frees everything.
//!
//! Code that repeats the same work while it waits frees all memory since a mark ([`Marked`]).

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};

use crate::sys::memory::{Marked, map, unmap};

use super::end;

pub(crate) struct Bump {
    next: Cell<usize>,
    /// The piece in use.
    piece: Cell<Piece>,
    /// Memory was freed and is used again, so it may not be zero.
    was_given_back: Cell<bool>,
    /// The first piece, in .bss: enough for most runs, without a system call. Untouched pages cost
    /// nothing. Its first page also holds the fields above.
    first: UnsafeCell<[u8; 256 * 1024]>,
}

/// A mapping. It begins with the [`Piece`] that was in use before.
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

/// The size of a new mapping. Untouched pages cost nothing.
const CHUNK: usize = 256 * 1024;

// SAFETY: blocks are aligned and do not overlap, inside mappings that stay as long as the blocks.
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
            // SAFETY: the mapping is new and large enough.
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
            // SAFETY: the block is new and has this size.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        // Otherwise the pages are untouched, and the kernel fills them with zeros.
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size <= layout.size() {
            return block;
        }
        let end = block as usize + layout.size();
        if end == self.next.get() && block as usize + size <= self.piece.get().end {
            // The last block grows in place.
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
            // SAFETY: a piece begins with the one before it, and nothing in this one is in use.
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
