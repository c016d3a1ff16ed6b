//! A path in a mapping of its own, since a forked child of a program with threads must not allocate.

use core::ffi::CStr;

use crate::sys::Errno;
use crate::sys::memory::Page;

/// The kernel's limit on the length of a path, with its NUL.
pub(crate) const PATH_MAX: usize = 4096;

/// A path of at most [`PATH_MAX`] bytes. Its memory is mapped only when something is stored, since most
/// buffers stay empty and each would take a page of the stack.
pub(crate) struct PathBuffer {
    page: Option<Page<[u8; PATH_MAX]>>,
    length: usize,
}

impl PathBuffer {
    pub(crate) const fn new() -> PathBuffer {
        PathBuffer {
            page: None,
            length: 0,
        }
    }

    /// Returns the whole buffer, for a system call that fills it.
    pub(crate) fn room(&mut self) -> Result<&mut [u8; PATH_MAX], Errno> {
        let page = match self.page.take() {
            Some(page) => page,
            None => Page::zeros()?,
        };
        Ok(self.page.insert(page))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.page {
            Some(page) => &page[..self.length],
            None => b"",
        }
    }

    /// Returns the path up to the first NUL.
    pub(crate) fn as_c_str(&self) -> &CStr {
        // The buffer always ends in a NUL: `push` leaves room for one and `truncate` writes one.
        let page = self.page.as_ref().map(|page| &page[..]);
        CStr::from_bytes_until_nul(page.unwrap_or_default()).unwrap_or(c"")
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let (start, end) = (self.length, self.length + bytes.len());
        if end >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let room = self.room()?;
        room[start..end].copy_from_slice(bytes);
        room[end] = 0;
        self.length = end;
        Ok(())
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        if let Some(page) = &mut self.page {
            page[self.length] = 0;
        }
    }

    /// Appends `/name`.
    pub(crate) fn push_component(&mut self, name: &[u8]) -> Result<(), Errno> {
        self.push(b"/")?;
        self.push(name)
    }
}

/// Splits a path at the last `/`.
pub(crate) fn split_last(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}
