//! A path or name as the kernel takes it: any bytes but NUL.

use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt;

/// A C string that remembers whether what it was made from held a NUL, so that builders need not
/// fail: the run does.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name {
    text: CString,
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
        let length: usize = parts.iter().map(|part| part.len()).sum();
        // And for the NUL at the end.
        let mut text = Vec::with_capacity(length + 1);
        for part in parts {
            text.extend_from_slice(part);
        }
        let (text, held_nul) = match CString::new(text) {
            Ok(text) => (text, false),
            Err(error) => {
                let end = error.nul_position();
                let mut text = error.into_vec();
                text.truncate(end);
                (CString::new(text).unwrap_or_default(), true)
            }
        };
        Name { text, held_nul }
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        &self.text
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    pub(crate) fn held_nul(&self) -> bool {
        self.held_nul
    }
}

impl fmt::Debug for Name {
    /// As text.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        String::from_utf8_lossy(self.bytes()).fmt(formatter)
    }
}
