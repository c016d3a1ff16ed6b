//! From the kernel's stack to `main`.

use core::ffi::{CStr, c_char};

use rootlet::sys::process::exit;

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

/// Called by `_start` with the stack as the kernel left it: argc, argv, null, environment, null.
///
/// # Safety
///
/// `stack` points there.
pub(super) unsafe extern "C" fn enter(stack: *const usize) -> ! {
    // SAFETY: the layout is the kernel's promise (Documentation/x86/…, psABI: initial stack).
    let (arguments, environment) = unsafe {
        let arguments = stack.add(1);
        (arguments, arguments.add(*stack + 1))
    };
    exit(crate::main(
        Words(arguments.cast()),
        Words(environment.cast()),
    ))
}
