//! An allocator for a program that reads its arguments, makes its plan and runs it: memory is
//! taken, and given back by the end of the process. Who does the same again and again for as long as
//! it waits gives it back by itself, all since a mark.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};

use rootlet::sys::memory::{Marked, map, unmap};

use super::end;

pub(crate) struct Bump {
    next: Cell<usize>,
    /// The piece that is being used.
    piece: Cell<Piece>,
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
};

/// Enough for most runs: pages that are not touched cost nothing, and no call is needed for them.
#[repr(align(64))]
struct First(UnsafeCell<[u8; 256 * 1024]>);

// SAFETY: the binary has one thread.
unsafe impl Sync for First {}

static FIRST: First = First(UnsafeCell::new([0; 256 * 1024]));

/// How much is asked of the kernel at once; pages that are not touched cost nothing.
const CHUNK: usize = 256 * 1024;

// SAFETY: each block is its own, aligned, inside a mapping that stays as long as the block.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let aligned = |address: usize| address.next_multiple_of(layout.align());
        if self.next.get() == 0 {
            let start = FIRST.0.get() as usize;
            let end = start + size_of::<First>();
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
    }
}
