//! A path or name as the kernel takes it: any bytes except NUL, with a NUL at the end.

use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt;

/// A C string that remembers whether its source held a NUL. Builders never fail; the run reports it.
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
        // One more for the NUL, so that `CString::new` does not allocate again.
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
    /// Writes the name as text.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        String::from_utf8_lossy(self.bytes()).fmt(formatter)
    }
}
