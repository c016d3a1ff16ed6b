//! Starts `main` from the stack that the kernel prepared, and refuses rights from the program's file.

use core::ffi::{CStr, c_char};

use crate::sys::credentials::{capabilities, is_ambient};
use crate::sys::memory::set_own_words;
use crate::sys::process::exit;
use crate::sys::{BorrowedFd, fs::write_all};

/// An iterator over the arguments or the environment on the kernel's stack.
pub(crate) struct Words(*const *const c_char);

impl Iterator for Words {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        // SAFETY: the pointer walks an array that ends in a null, and stops there. The kernel's strings
        // are at the top of the stack, and stay.
        unsafe {
            let word = *self.0;
            if word.is_null() {
                return None;
            }
            self.0 = self.0.add(1);
            Some(CStr::from_ptr(word).to_bytes())
        }
    }
}

/// Entries of the auxiliary vector (`<linux/auxvec.h>`).
const AT_NULL: usize = 0;
const AT_UID: usize = 11;
const AT_EUID: usize = 12;
const AT_GID: usize = 13;
const AT_EGID: usize = 14;
const AT_SECURE: usize = 23;

const REFUSAL: &[u8] = b"rootlet: refuses to run as a set-user-ID or set-group-ID program or one \
with file capabilities, since every user who starts it would get these rights: chmod ug-s, setcap -r\n";

/// Runs `main`. `rootlet_start` calls it with the stack as the kernel left it: argc, argv, null,
/// environment, null, auxiliary vector.
///
/// # Safety
///
/// `stack` points to that stack.
pub(super) unsafe extern "C" fn enter(stack: *const usize) -> ! {
    // SAFETY: the layout is the kernel's promise (Documentation/x86/…, psABI: initial stack).
    let (arguments, environment, has_file_rights) = unsafe {
        let arguments = stack.add(1);
        let environment = arguments.add(*stack + 1);
        let mut end = environment;
        while *end != 0 {
            end = end.add(1);
        }
        (arguments, environment, has_file_rights(end.add(1).cast()))
    };
    // SAFETY: as above. The words are in writable memory, and nothing reads them after the run has begun.
    unsafe { remember_words(arguments.cast(), environment.cast()) };
    if has_file_rights {
        // Standard error may be closed; the status reports the failure too.
        let _ = write_all(BorrowedFd::STDERR, REFUSAL);
        exit(125)
    }
    exit(crate::main(
        Words(arguments.cast()),
        Words(environment.cast()),
    ))
}

/// Stores the place of the arguments after the first and of the environment. The kernel puts their strings
/// one after the other, in this order.
///
/// # Safety
///
/// Both are the kernel's arrays.
unsafe fn remember_words(arguments: *const *const c_char, environment: *const *const c_char) {
    let last = Words(environment).last();
    let last = last.or_else(|| Words(arguments).last());
    let (Some(first), Some(last)) = (Words(arguments).next(), last) else {
        return;
    };
    let start = first.as_ptr_range().end.addr() + 1;
    let end = last.as_ptr_range().end.addr();
    // SAFETY: the caller's promise.
    unsafe { set_own_words(start, end.saturating_sub(start)) };
}

/// Returns whether the program's file gave rights to this process.
///
/// AT_SECURE alone does not prove it. Security modules set it too, if executing a file changes the
/// process's label, which may happen to the first process of a container.
///
/// # Safety
///
/// `vector` is the auxiliary vector.
unsafe fn has_file_rights(mut vector: *const [usize; 2]) -> bool {
    let mut values = [0; AT_SECURE + 1];
    loop {
        // SAFETY: the vector ends with AT_NULL.
        let [kind, value] = unsafe { *vector };
        if kind == AT_NULL {
            break;
        }
        if let Some(slot) = values.get_mut(kind) {
            *slot = value;
        }
        // SAFETY: as above.
        vector = unsafe { vector.add(1) };
    }
    values[AT_SECURE] != 0
        && (values[AT_UID] != values[AT_EUID]
            || values[AT_GID] != values[AT_EGID]
            || values[AT_UID] != 0 && has_file_capabilities())
}

/// Returns whether a user other than root has capabilities that are not ambient, and thus come from the
/// file. A file with capabilities clears the ambient set.
fn has_file_capabilities() -> bool {
    match capabilities() {
        Ok(sets) => sets.permitted != 0 && !is_ambient(sets.permitted.trailing_zeros()),
        Err(_) => true,
    }
}
