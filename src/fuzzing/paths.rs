//! The walk along a path, with the kernel's own resolution as the oracle.

use std::ffi::CString;
use std::path::PathBuf;
use std::prelude::rust_2024::*;
use std::{env, format, process};

use crate::mount::resolve::{
    Bound, NAME_MAX, Next, PATH_MAX, PENDING_MAX, Walk, open_landing, resolve, split_first,
};
use crate::sys::fs::{self, Identity};
use crate::sys::{BorrowedFd, Errno, OwnedFd};

/// Takes a description of a root, a line for each file: `d PATH` is a directory, `f PATH` a file, and
/// `l PATH TARGET` a symbolic link. `w PATH` is a path to walk.
pub fn paths(text: &[u8]) {
    for path in text.split(|byte| *byte == b'\n').take(20) {
        split_holds(path);
    }
    let outside = Directory::new();
    let (above, top) = (open(&outside.0), c"root");
    // The same names exist outside, where an escape would find them.
    for name in [top, c"a", c"b"] {
        fs::mkdirat(above.borrow(), name, 0o755).unwrap();
    }
    let root = open(&outside.0.join("root"));
    let mut wanted = Vec::new();
    for line in text.split(|byte| *byte == b'\n').take(40) {
        let words: Vec<&[u8]> = line.splitn(3, |byte| *byte == b' ').collect();
        match words[..] {
            [b"d", path] => make(root.borrow(), path, &|above, name| {
                fs::mkdirat(above, name, 0o755)
            }),
            [b"f", path] => make(root.borrow(), path, &|above, name| {
                let flags = fs::O_WRONLY | fs::O_CREAT | fs::O_EXCL;
                fs::openat(above, name, flags, 0o644).map(drop)
            }),
            [b"l", path, target] => {
                if let Ok(target) = CString::new(target) {
                    make(root.borrow(), path, &|above, name| {
                        fs::symlinkat(&target, above, name)
                    });
                }
            }
            [b"w", path] => wanted.extend(CString::new(path)),
            _ => {}
        }
    }
    // No target of a link is longer than the text.
    for path in wanted.iter().filter(|path| !path.is_empty()) {
        agrees(root.borrow(), path, text.len());
    }
}

/// A directory that is removed with all that is in it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        let path = env::temp_dir().join(format!("rootlet-paths-{}", process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn open(path: &std::path::Path) -> OwnedFd {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    fs::openat(BorrowedFd::CWD, &path, fs::O_PATH | fs::O_DIRECTORY, 0).unwrap()
}

/// Makes a file with a path that has no link on the way; the kernel refuses any other.
fn make(
    root: BorrowedFd,
    path: &[u8],
    make: &dyn Fn(BorrowedFd, &std::ffi::CStr) -> Result<(), Errno>,
) {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let (above, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&b"."[..], path),
    };
    let (Ok(above), Ok(name)) = (CString::new(above), CString::new(name)) else {
        return;
    };
    if matches!(name.as_bytes(), b"" | b"." | b"..") {
        return;
    }
    let beneath = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_SYMLINKS;
    if let Ok(above) = fs::openat2(root, &above, fs::O_PATH | fs::O_DIRECTORY, beneath) {
        let _ = make(above.borrow(), &name);
    }
}

/// The walk and `openat2(2)` find the same file, or fail with the same errno, if the walk has room.
fn agrees(root: BorrowedFd, path: &std::ffi::CStr, longest_target: usize) {
    let kernel = |restriction| loop {
        match fs::openat2(
            root,
            path,
            fs::O_PATH,
            restriction | fs::RESOLVE_NO_MAGICLINKS,
        ) {
            // Another process renames a file somewhere in the system.
            Err(Errno::EAGAIN) => {}
            result => break result.map(|found| identity(found.borrow())),
        }
    };
    let bytes = path.to_bytes();
    let in_root = kernel(fs::RESOLVE_IN_ROOT);
    let Some(walked) = walk(root, bytes, Bound::InRoot, longest_target) else {
        return;
    };
    let found = walked
        .clone()
        .and_then(|(found, _)| found.ok_or(Errno::ENOENT));
    assert_eq!(found, in_root);
    let resolved = resolve(root, path).map(|found| identity(found.borrow()));
    assert_eq!(resolved, in_root);
    let beneath = match bytes.starts_with(b"/") {
        true => None,
        false => walk(root, bytes, Bound::Beneath, longest_target),
    };
    if let Some(walked) = beneath {
        let found = walked.and_then(|(found, _)| found.ok_or(Errno::ENOENT));
        assert_eq!(found, kernel(fs::RESOLVE_BENEATH));
    }
    // The landing is plain, and leads to the same file.
    if let Ok((found, landing)) = walked {
        let mut names = landing.split(|byte| *byte == b'/');
        assert_eq!(names.next(), Some(&b""[..]));
        assert!(names.all(|name| !matches!(name, b"" | b"." | b"..")));
        let opened = open_landing(root, &landing).map(|opened| identity(opened.borrow()));
        assert_eq!(opened, found.ok_or(Errno::ENOENT));
    }
}

fn identity(file: BorrowedFd) -> Identity {
    fs::stat(file).unwrap().identity()
}

/// The file, or `None` for a missing one, and the landing.
type Walked = (Option<Identity>, Vec<u8>);

/// Returns `None` if there was no room for the links' targets or the landing, which the kernel keeps
/// without such a limit.
fn walk(
    root: BorrowedFd,
    path: &[u8],
    bound: Bound,
    longest_target: usize,
) -> Option<Result<Walked, Errno>> {
    let mut walk = Walk::new();
    let walked = walk
        .begin(path, bound)
        .and_then(|()| walk_to_end(&mut walk, root));
    let has_room = walk.rest().len() + longest_target < PENDING_MAX
        && walk.landing().len() + 1 + NAME_MAX < PATH_MAX;
    (has_room || walked != Err(Errno::ENAMETOOLONG)).then_some(walked)
}

fn walk_to_end(walk: &mut Walk, root: BorrowedFd) -> Result<Walked, Errno> {
    loop {
        match walk.next(root)? {
            Next::End => return Ok((Some(identity(walk.here(root))), walk.landing().to_vec())),
            Next::Missing => {
                let mut landing = Vec::new();
                walk.push_missing(&mut landing)?;
                return Ok((None, landing));
            }
            Next::Entered(_) | Next::Redirected => {}
        }
    }
}

/// The components of a path are those between its slashes.
fn split_holds(path: &[u8]) {
    let (mut rest, mut names) = (path, Vec::new());
    loop {
        let (name, after) = split_first(rest);
        if name.is_empty() {
            break;
        }
        names.push(name);
        rest = after;
    }
    let all = path.split(|byte| *byte == b'/');
    assert!(names.into_iter().eq(all.filter(|name| !name.is_empty())));
}
