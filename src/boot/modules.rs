//! Kernel modules that the initramfs brings.

use crate::boot::sysfs::read_optional;
use crate::error::{Error, Step};
use crate::sys::system::load_module;
use crate::sys::{BorrowedFd, Errno, fs, split};
use crate::text::name::Name;

/// Loads what `/rootlet/modules` lists: in each line a path, and parameters after a space. One
/// that cannot be loaded is told; what it was needed for will say if it is missed.
pub(super) fn load() -> Result<(), Error<'static>> {
    let list = read_optional(c"/rootlet/modules")?.unwrap_or_default();
    for (path, parameters) in modules(&list) {
        match load_one(path, &Name::new(parameters)) {
            // It is there already, or its device is not: the module is for others.
            Ok(()) | Err(Errno::EEXIST | Errno::ENODEV) => {}
            Err(errno) => Error::new(Step::LoadModule, path, errno).print(),
        }
    }
    Ok(())
}

/// Each module's path and parameters.
pub(crate) fn modules(list: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    split(list, b'\n').filter_map(|line| {
        let mut words = line.splitn(2, |byte| *byte == b' ');
        let path = words.next().unwrap_or_default();
        let is_none = path.is_empty() || path.starts_with(b"#");
        (!is_none).then_some((path, words.next().unwrap_or_default()))
    })
}

fn load_one(path: &[u8], parameters: &Name) -> Result<(), Errno> {
    let name = Name::new(path);
    let file = fs::openat(BorrowedFd::CWD, name.as_c_str(), fs::O_RDONLY, 0)?;
    load_module(
        file.borrow(),
        parameters.as_c_str(),
        !path.ends_with(b".ko"),
    )
}
