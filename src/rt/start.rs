//! From the kernel's stack to `main`.

use core::ffi::{CStr, c_char};

use crate::sys::credentials::{capabilities, is_ambient};
use crate::sys::memory::set_own_words;
use crate::sys::process::exit;
use crate::sys::{BorrowedFd, fs::write_all};

/// The words of the command line and the environment, as execve(2) was given them.
pub(crate) struct Words(*const *const c_char);

impl Iterator for Words {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        // SAFETY: the pointer walks an array that ends in a null, and stops there; the strings
        // are the kernel's, on the stack above everything, and stay.
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
with file capabilities, since whoever starts it would have its rights: chmod ug-s, setcap -r\n";

/// Called by `rootlet_start` with the stack as the kernel left it: argc, argv, null, environment, null,
/// auxiliary vector.
///
/// # Safety
///
/// `stack` points there.
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
    // SAFETY: as above; the words are ours to write, and nobody reads them after the run has begun.
    unsafe { remember_words(arguments.cast(), environment.cast()) };
    if has_file_rights {
        // The status says it too, where standard error is closed.
        let _ = write_all(BorrowedFd::STDERR, REFUSAL);
        exit(125)
    }
    exit(crate::main(
        Words(arguments.cast()),
        Words(environment.cast()),
    ))
}

/// Says where the arguments after the first and the environment are: the kernel lays their strings out
/// in this order, one after the other.
///
/// # Safety
///
/// Both are such arrays as the kernel makes.
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

/// Did this file give its rights to whoever has executed it?
///
/// Security modules set AT_SECURE as well, when executing a file changes their label, as it may for
/// the first process of a container: that gives no rights, so the reason is looked for.
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

/// Has a user other than root capabilities that are not ambient, and so come from the file? One that
/// has any clears the ambient set.
fn has_file_capabilities() -> bool {
    match capabilities() {
        Ok(sets) => sets.permitted != 0 && !is_ambient(sets.permitted.trailing_zeros()),
        Err(_) => true,
    }
}
