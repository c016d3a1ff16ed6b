//! Memory.

use alloc::alloc::handle_alloc_error;
use core::alloc::Layout;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

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

/// A value in a mapping of its own. Unlike the allocator's memory it can be had in a forked child
/// of a program with threads, one of which may have held the allocator's lock.
pub struct Page<T>(NonNull<T>);

// SAFETY: as a box, it owns its value.
unsafe impl<T: Send> Send for Page<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Page<T> {}

impl<T> Page<T> {
    /// Moves the value into a new mapping; like a box, it does not return when there is no memory.
    pub fn new(value: T) -> Page<T> {
        const { assert!(align_of::<T>() <= 4096) };
        let address = map(size_of::<T>()).ok().and_then(NonNull::new);
        let Some(address) = address.map(NonNull::cast::<T>) else {
            handle_alloc_error(Layout::new::<T>());
        };
        // SAFETY: the mapping is new, as long as the value, and begins where a page does.
        unsafe { address.write(value) };
        Page(address)
    }
}

impl<const LENGTH: usize> Page<[u8; LENGTH]> {
    /// Zeros, none of which takes memory before it is touched.
    pub fn zeros() -> Result<Page<[u8; LENGTH]>, Errno> {
        let address = map(LENGTH)?.cast();
        // The kernel maps nothing at 0.
        NonNull::new(address).map(Page).ok_or(Errno::ENOMEM)
    }
}

impl<T> Deref for Page<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value was written in `new`, and lives until `drop`.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for Page<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and it is borrowed from us alone.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Page<T> {
    fn drop(&mut self) {
        // SAFETY: the value and its mapping are ours alone, and nothing uses them after this.
        unsafe {
            self.0.drop_in_place();
            sc::syscall2(nr::MUNMAP, self.0.as_ptr() as usize, size_of::<T>());
        }
    }
}

impl<T: Clone> Clone for Page<T> {
    fn clone(&self) -> Page<T> {
        Page::new((**self).clone())
    }
}

impl<T: PartialEq> PartialEq for Page<T> {
    fn eq(&self, other: &Page<T>) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Page<T> {}

impl<T: fmt::Debug> fmt::Debug for Page<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        (**self).fmt(formatter)
    }
}
