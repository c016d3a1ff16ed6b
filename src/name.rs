//! A path or name as the kernel takes it: any bytes but NUL.

use alloc::ffi::CString;
use core::ffi::CStr;

/// A C string that remembers whether what it was made from held a NUL, so that builders need not
/// fail: the run does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Name {
    text: CString,
    held_nul: bool,
}

impl Name {
    /// Takes the bytes up to the first NUL.
    pub(crate) fn new(bytes: &[u8]) -> Name {
        match CString::new(bytes) {
            Ok(text) => Name {
                text,
                held_nul: false,
            },
            Err(error) => {
                let end = error.nul_position();
                Name {
                    text: CString::new(&bytes[..end]).unwrap_or_default(),
                    held_nul: true,
                }
            }
        }
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
