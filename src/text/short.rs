//! A short text on the stack, such as a number or a path in proc.

use core::ffi::CStr;

use crate::sys::BorrowedFd;

/// A text of at most 63 bytes, more than its uses need; the rest is cut off.
pub(crate) struct Short {
    bytes: [u8; 64],
    length: usize,
}

impl Short {
    pub(crate) fn new() -> Short {
        Short {
            bytes: [0; 64],
            length: 0,
        }
    }

    /// Returns the path in proc of a descriptor.
    pub(crate) fn in_proc(descriptor: BorrowedFd) -> Short {
        Short::in_number(descriptor.number())
    }

    /// Returns the path in proc of a descriptor, by its number.
    pub(crate) fn in_number(descriptor: i32) -> Short {
        let mut path = Short::new();
        path.push(b"/proc/self/fd/");
        path.push_number(descriptor as u32);
        path
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // The last byte stays a NUL.
        for (to, from) in self.bytes[self.length..63].iter_mut().zip(bytes) {
            *to = *from;
            self.length += 1;
        }
    }

    pub(crate) fn push_number(&mut self, number: impl Into<u64>) {
        self.push_digits(number.into());
    }

    fn push_digits(&mut self, number: u64) {
        if number > 9 {
            self.push_digits(number / 10);
        }
        self.push(&[b'0' + (number % 10) as u8]);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}
