//! Memory from mmap(2), and the memory that holds a program's arguments and environment.
//!
//! A mapping can be made in a forked child of a program with threads, where the allocator must not be
//! used: another thread may have held its lock.

use alloc::alloc::{alloc_zeroed, handle_alloc_error};
use core::alloc::Layout;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use linux_raw_sys::general as raw;
use sc::nr;

use super::fs::{O_RDONLY, openat, read};
use super::{BorrowedFd, Errno, check, split};

/// `mmap(2)`: returns `length` bytes of private memory, readable and writable, all zero.
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

/// `munmap(2)`.
///
/// # Safety
///
/// It is a mapping of this length, and nothing in it is used from now on.
#[allow(dead_code, reason = "the binary uses it")]
pub unsafe fn unmap(start: *mut u8, length: usize) {
    // SAFETY: the caller's promise.
    unsafe { sc::syscall2(nr::MUNMAP, start as usize, length) };
}

/// An allocator that does not free single blocks, but can free all blocks since a mark.
pub trait Marked {
    /// Returns a mark for this moment.
    fn mark(&self) -> usize;

    /// Frees everything that was allocated since the mark.
    ///
    /// # Safety
    ///
    /// None of it is in use.
    unsafe fn give_back(&self, mark: usize);
}

/// For an allocator that frees single blocks: there is nothing to do.
impl Marked for () {
    fn mark(&self) -> usize {
        0
    }

    unsafe fn give_back(&self, _: usize) {}
}

/// A value in a mapping of its own, like a `Box` that needs no allocator.
pub struct Page<T>(NonNull<T>);

// SAFETY: it owns its value, like a box.
unsafe impl<T: Send> Send for Page<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Page<T> {}

impl<T> Page<T> {
    /// Moves the value into a new mapping. If no mapping can be made, the value goes to the allocator's
    /// memory and is never freed there: the error about missing memory needs a place too.
    pub fn new(value: T) -> Page<T> {
        const { assert!(align_of::<T>() <= OFFSET) };
        let address = zeroed(size_of::<T>()).cast();
        // SAFETY: the memory is new, as long as the value, and aligned as a page or to `OFFSET`.
        unsafe { address.write(value) };
        Page(address)
    }
}

impl<T> Page<T> {
    /// Keeps the value until the process ends.
    pub fn leak(self) -> &'static T
    where
        T: 'static,
    {
        let page = core::mem::ManuallyDrop::new(self);
        // SAFETY: the value was written in `new`, and is never dropped.
        unsafe { &*page.0.as_ptr() }
    }
}

/// A value and two texts, each cut off at the length of the longest path.
pub struct Noted<T> {
    /// The value.
    pub value: T,
    /// The end of each text in `bytes`.
    ends: [usize; 2],
    /// The texts. Unused pages take no memory.
    bytes: [u8; 2 * TEXT_MAX],
}

/// The longest path.
const TEXT_MAX: usize = 4096;

impl<T> Noted<T> {
    /// Returns the texts.
    pub fn texts(&self) -> [&[u8]; 2] {
        let [first, second] = self.ends;
        [&self.bytes[..first], &self.bytes[first..second]]
    }
}

impl<T: Copy> Page<Noted<T>> {
    /// Moves the value and the texts into a new mapping, or like [`Page::new`] into the allocator's memory.
    pub fn noted(value: T, texts: [&[u8]; 2]) -> Page<Noted<T>> {
        const { assert!(align_of::<Noted<T>>() <= OFFSET) };
        let address: NonNull<Noted<T>> = zeroed(size_of::<Noted<T>>()).cast();
        // SAFETY: the memory is new, as long as the value, and aligned as a page or to `OFFSET`. It is
        // zero, which is valid for the numbers and bytes.
        let mut page = unsafe {
            (&raw mut (*address.as_ptr()).value).write(value);
            Page(address)
        };
        let noted = &mut *page;
        let mut end = 0;
        for (text, its_end) in texts.into_iter().zip(&mut noted.ends) {
            let text = &text[..text.len().min(TEXT_MAX)];
            noted.bytes[end..end + text.len()].copy_from_slice(text);
            end += text.len();
            *its_end = end;
        }
        page
    }
}

impl<T: Copy> Clone for Page<Noted<T>> {
    fn clone(&self) -> Page<Noted<T>> {
        Page::noted(self.value, self.texts())
    }
}

impl<T: PartialEq> PartialEq for Noted<T> {
    fn eq(&self, other: &Noted<T>) -> bool {
        self.value == other.value && self.texts() == other.texts()
    }
}

impl<T: Eq> Eq for Noted<T> {}

/// The offset of an allocation in a page. It distinguishes allocations from mappings, which start at a
/// page.
const OFFSET: usize = 64;

/// Returns zeroed memory: a new mapping or, if none can be made, memory from the allocator.
fn zeroed(size: usize) -> NonNull<u8> {
    let mapped = map(size).ok().and_then(NonNull::new);
    mapped.unwrap_or_else(|| unaligned(size))
}

/// Returns zeroed memory from the allocator that does not start at a page.
fn unaligned(size: usize) -> NonNull<u8> {
    let layout = Layout::from_size_align(size + OFFSET, OFFSET).unwrap_or(Layout::new::<u8>());
    // SAFETY: the size is not zero.
    let start = unsafe { alloc_zeroed(layout) };
    let Some(start) = NonNull::new(start) else {
        handle_alloc_error(layout);
    };
    match start.addr().get() % 4096 {
        // SAFETY: the allocation is larger by `OFFSET`.
        0 => unsafe { start.add(OFFSET) },
        _ => start,
    }
}

/// A type for which all bytes zero are a valid value.
///
/// # Safety
///
/// All bytes zero are a valid value of the type.
#[allow(dead_code, reason = "it is a bound")]
pub unsafe trait Integer {}
// SAFETY: every pattern of bits is a value.
unsafe impl Integer for u8 {}
// SAFETY: as above.
unsafe impl Integer for i32 {}

impl<T: Integer, const LENGTH: usize> Page<[T; LENGTH]> {
    /// Returns zeros. A page of them takes memory only when it is touched.
    pub fn zeros() -> Result<Page<[T; LENGTH]>, Errno> {
        let address = map(size_of::<[T; LENGTH]>())?.cast();
        // The kernel maps nothing at 0.
        NonNull::new(address).map(Page).ok_or(Errno::ENOMEM)
    }

    /// Returns zeros, if no mapping can be made in the allocator's memory as [`Page::new`] does.
    pub fn zeros_in_any_memory() -> Page<[T; LENGTH]> {
        const { assert!(align_of::<T>() <= OFFSET) };
        Page(zeroed(size_of::<[T; LENGTH]>()).cast())
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
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Page<T> {
    fn drop(&mut self) {
        // SAFETY: this owns the value and its mapping, and nothing uses them after this.
        unsafe {
            self.0.drop_in_place();
            if self.0.addr().get() % 4096 == 0 {
                sc::syscall2(nr::MUNMAP, self.0.as_ptr() as usize, size_of::<T>());
            }
        }
    }
}

impl<T: PartialEq> PartialEq for Page<T> {
    fn eq(&self, other: &Page<T>) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Page<T> {}

/// The start and the length of this program's arguments, without the first, and its environment.
static OWN_WORDS: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

/// Sets the place of this program's words, for [`wipe_own_words`].
///
/// # Safety
///
/// The memory is writable for as long as the program runs, and nothing reads the words after they are
/// wiped.
#[allow(dead_code, reason = "the binary uses it")]
pub unsafe fn set_own_words(start: usize, length: usize) {
    OWN_WORDS[0].store(start, Ordering::Relaxed);
    OWN_WORDS[1].store(length, Ordering::Relaxed);
}

/// Overwrites the arguments and the environment in this process's memory, if their place was set. The
/// kernel shows that memory in `/proc/PID/cmdline` and `environ`.
pub fn wipe_own_words() {
    let [start, length] = [0, 1].map(|index| OWN_WORDS[index].load(Ordering::Relaxed));
    if length > 0 {
        // SAFETY: the promise of the caller of `set_own_words`.
        unsafe { core::ptr::write_bytes(start as *mut u8, 0, length) };
    }
}

/// Overwrites them in a forked copy of another program, whose place is in `/proc/self/stat`
/// (proc_pid_stat(5), *arg_start* to *env_end*). Without proc they stay.
///
/// # Safety
///
/// This process does not share its memory, and reads neither from now on.
pub unsafe fn wipe_words_of_copy() {
    let mut text = [0; 1024];
    let stat = openat(BorrowedFd::CWD, c"/proc/self/stat", O_RDONLY, 0);
    let Ok(length) = stat.and_then(|stat| read(stat.borrow(), &mut text)) else {
        return;
    };
    // The name, in parentheses, may contain any bytes. The third field follows it.
    let text = text.get(..length).unwrap_or_default();
    let name = text.iter().rposition(|byte| *byte == b')').unwrap_or(0);
    let fields = split(text.get(name + 1..).unwrap_or_default(), b' ').skip(1);
    let mut numbers = [0usize; 4];
    for (number, field) in numbers.iter_mut().zip(fields.skip(48 - 3)) {
        let digits = field.iter().filter(|byte| byte.is_ascii_digit());
        *number = digits.fold(0, |number: usize, digit| {
            number
                .wrapping_mul(10)
                .wrapping_add(usize::from(digit - b'0'))
        });
    }
    let [arguments, _, _, end] = numbers;
    if arguments != 0 && end > arguments {
        // SAFETY: the range is the kernel's; the rest is the caller's promise.
        unsafe { core::ptr::write_bytes(arguments as *mut u8, 0, end - arguments) };
    }
}
