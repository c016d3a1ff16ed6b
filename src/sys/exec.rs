//! `execve(2)`, and the arrays of strings that it takes.

use alloc::vec::Vec;
use core::ffi::{CStr, c_char};
use core::marker::PhantomData;

use sc::nr;

use super::Errno;

/// An array of C strings for execve(2): pointers, with a null at the end.
pub struct StringArray<'a> {
    pointers: Vec<*const c_char>,
    strings: PhantomData<&'a CStr>,
}

impl<'a> StringArray<'a> {
    /// Makes an array of these strings.
    pub fn new(strings: &mut dyn Iterator<Item = &'a CStr>) -> StringArray<'a> {
        let mut pointers = Vec::new();
        for string in strings {
            pointers.push(string.as_ptr());
        }
        pointers.push(core::ptr::null());
        StringArray {
            pointers,
            strings: PhantomData,
        }
    }

    /// Replaces the string at an index, if there is one.
    pub fn replace(&mut self, index: usize, string: &'a CStr) {
        if index + 1 < self.pointers.len() {
            self.pointers[index] = string.as_ptr();
        }
    }

    /// Removes the string at an index, if there is one.
    pub fn remove(&mut self, index: usize) {
        if index + 1 < self.pointers.len() {
            self.pointers.remove(index);
        }
    }

    /// Calls `with` while the string at an index is replaced by another. Does not allocate.
    pub fn replaced<R>(
        &mut self,
        index: usize,
        string: &CStr,
        with: impl FnOnce(&StringArray) -> R,
    ) -> R {
        assert!(index + 1 < self.pointers.len(), "the null stays");
        let before = core::mem::replace(&mut self.pointers[index], string.as_ptr());
        let result = with(self);
        self.pointers[index] = before;
        result
    }
}

/// `execve(2)`: returns only when it fails.
pub fn execve(path: &CStr, arguments: &StringArray, environment: &StringArray) -> Errno {
    // SAFETY: a C string and two arrays of C strings that outlive the call.
    let value = unsafe {
        sc::syscall3(
            nr::EXECVE,
            path.as_ptr() as usize,
            arguments.pointers.as_ptr() as usize,
            environment.pointers.as_ptr() as usize,
        )
    };
    Errno::from_kernel(value)
}
