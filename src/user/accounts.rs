//! Users and groups of a root, from its own `/etc/passwd` and `/etc/group`.
//!
//! The owner of the root may have put anything there. Reading the files always ends soon, touches
//! nothing outside the root, and returns their contents or nothing.

use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::mount::resolve::{Walk, walk_to_end};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, split};
use crate::text::number::number;

pub(crate) const PASSWD: &CStr = c"/etc/passwd";
pub(crate) const GROUP: &CStr = c"/etc/group";

/// A limit that no real file reaches.
const LONGEST: usize = 16 << 20;

/// Returns the contents of the file, empty if it does not exist.
pub(crate) fn read(root: BorrowedFd, path: &'static CStr) -> Result<Vec<u8>, Error> {
    match open(root, path).and_then(|file| read_all(&file)) {
        Err(Errno::ENOENT) => Ok(Vec::new()),
        result => result.map_err(|errno| Error::new(Step::ReadOfRoot, path.to_bytes(), errno)),
    }
}

fn open(root: BorrowedFd, path: &CStr) -> Result<OwnedFd, Errno> {
    let walk = walk_to_end(root, path.to_bytes())?;
    open_plain(&walk, root, fs::O_RDONLY)
}

/// Opens the plain file that a walk has reached. Opening a FIFO could block indefinitely, and
/// opening a device could act on it.
pub(crate) fn open_plain(walk: &Walk, root: BorrowedFd, access: u32) -> Result<OwnedFd, Errno> {
    let found = fs::stat(walk.here(root))?;
    if !found.is_file() {
        return Err(Errno::EINVAL);
    }
    let flags = access | fs::O_NOFOLLOW | fs::O_NONBLOCK | fs::O_NOCTTY;
    let file = fs::openat(walk.above(root), walk.name(), flags, 0)?;
    // Another file may have taken its place just now.
    match fs::stat(file.borrow())?.is_same_file(&found) {
        true => Ok(file),
        false => Err(Errno::ESTALE),
    }
}

fn read_all(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let size = usize::try_from(fs::stat(file.borrow())?.size);
    let size = size
        .ok()
        .filter(|size| *size < LONGEST)
        .ok_or(Errno::EFBIG)?;
    // One byte more, to see the end of the file.
    let mut contents = vec![0; size + 1];
    let mut length = 0;
    loop {
        let rest = contents.get_mut(length..).unwrap_or_default();
        match fs::read(file.borrow(), rest)? {
            // It grows while it is read.
            _ if length > size => return Err(Errno::EFBIG),
            0 => {
                contents.truncate(length);
                return Ok(contents);
            }
            count => length += count,
        }
    }
}

/// A line of `/etc/passwd`, `passwd(5)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct User<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) id: u32,
    pub(crate) group: u32,
    pub(crate) home: &'a [u8],
    pub(crate) shell: &'a [u8],
}

/// Returns the users, without invalid lines.
pub(crate) fn users(passwd: &[u8]) -> impl Iterator<Item = User<'_>> {
    lines(passwd).filter_map(|line| {
        let mut fields = split(line, b':');
        let (name, _) = (name(fields.next()?)?, fields.next()?);
        let (id, group) = (id(fields.next()?)?, id(fields.next()?)?);
        let (_, home, shell) = (fields.next(), fields.next(), fields.next());
        Some(User {
            name,
            id,
            group,
            home: home.unwrap_or_default(),
            shell: shell.unwrap_or_default(),
        })
    })
}

/// Returns the groups in a file of the form `group(5)`: name, number, and members separated by
/// commas.
pub(crate) fn groups(group: &[u8]) -> impl Iterator<Item = (&[u8], u32, &[u8])> {
    lines(group).filter_map(|line| {
        let mut fields = split(line, b':');
        let (name, _) = (name(fields.next()?)?, fields.next()?);
        Some((name, id(fields.next()?)?, fields.next().unwrap_or_default()))
    })
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = split(file, b'\n');
    lines.filter(|line| !line.contains(&0))
}

/// Returns a name, but not a comment or a reference to a name service.
fn name(field: &[u8]) -> Option<&[u8]> {
    let none = matches!(field.first(), None | Some(b'#' | b'+' | b'-'));
    (!none).then_some(field)
}

/// Reads the number of a user or group. The largest number means "leave unchanged" to the kernel.
pub(crate) fn id(text: &[u8]) -> Option<u32> {
    number(text).filter(|id| *id != u32::MAX)
}

/// Returns whether the text has only digits. It is then a number, even if the file has such a name.
pub(crate) fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use std::prelude::rust_2024::*;

    use proptest::prelude::*;

    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n\
        # comment:x:1:1::/:\n+nis:x:1:1::/:\n-nis:x:1:1::/:\n::1:1::/:\n\
        short:x:2:3\nshorter:x:2\n\
        big:x:4294967295:1::/:\nbig:x:1:4294967295::/:\nbig:x:4294967296:1::/:\n\
        minus:x:-1:1::/:\nempty:x::1::/:\nplus:x:+1:1::/:\n\
        n\0l:x:1:1::/:\nhome:x:1:1::/h\0me:\n\
        0:x:5:5::/:\n\
        many:x:4294967294:007:a:/h:/s:more:and:more\n\
        last:x:6:7::/last:/bin/sh";

    #[test]
    fn only_well_formed_lines_are_users() {
        fn user<'a>(
            name: &'a [u8],
            id: u32,
            group: u32,
            home: &'a [u8],
            shell: &'a [u8],
        ) -> User<'a> {
            User {
                name,
                id,
                group,
                home,
                shell,
            }
        }
        let expected = [
            user(b"root", 0, 0, b"/root", b"/bin/bash"),
            user(b"short", 2, 3, b"", b""),
            user(b"0", 5, 5, b"/", b""),
            user(b"many", u32::MAX - 1, 7, b"/h", b"/s"),
            user(b"last", 6, 7, b"/last", b"/bin/sh"),
        ];
        assert_eq!(users(PASSWD).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_well_formed_lines_are_groups() {
        let file = b"a:x:1:x,y\nb:x:2\nc:x\n:x:3:x\nd:x:-1:x\n#e:x:4:x\nn\0:x:5:x\nf:x:6:";
        let found: Vec<_> = groups(file).collect();
        let expected: Vec<(&[u8], u32, &[u8])> =
            vec![(b"a", 1, b"x,y"), (b"b", 2, b""), (b"f", 6, b"")];
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(file in prop::collection::vec(prop::sample::select(b"\0ab:\n019,#+-".to_vec()), 0..200)) {
            for user in users(&file) {
                prop_assert!(user.id != u32::MAX && user.group != u32::MAX);
                prop_assert!(!user.name.is_empty() && !user.home.contains(&0));
            }
            groups(&file).for_each(drop);
        }
    }
}
