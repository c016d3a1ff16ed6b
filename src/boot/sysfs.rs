//! Reads files of the initramfs, of proc and of sysfs.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::sys::{BorrowedFd, Errno, fs};
use crate::text::name::Name;

/// Reads a whole file; `None` if it does not exist.
pub(super) fn read_optional(path: &CStr) -> Result<Option<Vec<u8>>, Error> {
    match fs::read_all(path) {
        Ok(text) => Ok(Some(text)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(Error::new(Step::ReadFile, path.to_bytes(), errno)),
    }
}

/// Reads a whole file of sysfs, without the newline at its end; empty if it cannot be read.
pub(super) fn read_attribute(path: &[&[u8]]) -> Vec<u8> {
    let mut text = fs::read_all(Name::joined(path).as_c_str()).unwrap_or_default();
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    text
}

/// Returns the names in a directory, sorted; none if there is no such directory.
pub(super) fn names_in(directory: &CStr) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    let flags = fs::O_RDONLY | fs::O_DIRECTORY;
    if let Ok(directory) = fs::openat(BorrowedFd::CWD, directory, flags, 0) {
        let _ = fs::visit_names(directory.borrow(), &mut |name| {
            let place = names.iter().position(|other| &other[..] > name);
            names.insert(place.unwrap_or(names.len()), Vec::from(name));
            true
        });
    }
    names
}
