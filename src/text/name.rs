//! A path or name as the kernel takes it: any bytes but NUL.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

/// A C string that remembers whether what it was made from held a NUL, so that builders need not
/// fail: the run does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Name {
    /// With the NUL at its end.
    text: Box<[u8]>,
    held_nul: bool,
}

impl Name {
    /// Takes the bytes up to the first NUL.
    pub(crate) fn new(bytes: &[u8]) -> Name {
        Name::joined(&[bytes])
    }

    /// Takes the bytes of all parts up to the first NUL.
    #[inline(never)]
    pub(crate) fn joined(parts: &[&[u8]]) -> Name {
        let length = parts.iter().map(|part| part.len()).sum();
        let mut text = Vec::with_capacity(length + 1);
        for part in parts {
            text.extend_from_slice(part);
        }
        let end = text.iter().position(|byte| *byte == 0);
        text.truncate(end.unwrap_or(length));
        text.push(0);
        Name {
            text: text.into_boxed_slice(),
            held_nul: end.is_some(),
        }
    }

    #[inline(never)]
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.text).unwrap_or(c"")
    }

    #[inline(never)]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.text[..] {
            [bytes @ .., _] => bytes,
            [] => b"",
        }
    }

    pub(crate) fn held_nul(&self) -> bool {
        self.held_nul
    }
}
