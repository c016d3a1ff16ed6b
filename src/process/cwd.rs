//! The directory in which the command starts.

use crate::error::{Error, Step};
use crate::sys::{BorrowedFd, Errno, fs};
use crate::text::name::Name;
use crate::text::path::PathBuffer;

/// The directory in which the command starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum WorkingDirectory {
    /// This path in the new root.
    Path(Name),
    /// The caller's directory.
    Kept,
}

/// Stores the caller's directory as a path in the new root, and changes to the new root.
pub(crate) fn keep_current_directory(
    new_root: BorrowedFd,
    kept: &mut PathBuffer,
) -> Result<(), Error> {
    let unknown = |errno| Error::new(Step::WorkingDirectory, b"", errno);
    let mut current = PathBuffer::new();
    current_directory(&mut current).map_err(unknown)?;
    fs::fchdir(new_root).map_err(unknown)?;
    let mut above = PathBuffer::new();
    current_directory(&mut above).map_err(unknown)?;
    let below = match current.bytes().strip_prefix(above.bytes()) {
        Some(below) if below.is_empty() || below[0] == b'/' => below,
        _ => current.bytes(),
    };
    kept.push(if below.is_empty() { b"/" } else { below })
        .map_err(unknown)
}

/// Appends the path of the current directory. `getcwd(2)` begins it with "(unreachable)" if it is
/// outside our root; that is ENOENT here.
pub(crate) fn current_directory(path: &mut PathBuffer) -> Result<(), Errno> {
    let mut buffer = PathBuffer::new();
    let buffer = buffer.room()?;
    let length = fs::getcwd(buffer)?;
    match &buffer[..length.saturating_sub(1)] {
        absolute @ [b'/', ..] => path.push(absolute),
        _ => Err(Errno::ENOENT),
    }
}
