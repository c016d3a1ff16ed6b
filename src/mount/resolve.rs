//! A path inside a root, by file descriptor: whatever symbolic links the root holds, and whoever
//! changes them meanwhile, the result lies inside the root.

use core::ffi::CStr;

use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::path::{PathBuffer, split_first};

/// As many symbolic links on one path as the kernel follows.
const SYMLINKS_MAX: usize = 40;

/// Opens what `path` means inside `root`, for use as a mount target (`O_PATH`): every symbolic
/// link is followed, an absolute one and `..` stop at the root, one of proc's magic links is ELOOP.
///
/// `openat2(2)` does it where there is one; only its ENOSYS (Linux before 5.6, a seccomp filter)
/// selects the walk. Its EAGAIN says that a rename was going on, and it is asked again.
pub(crate) fn resolve(root: BorrowedFd, path: &CStr) -> Result<OwnedFd, Errno> {
    const RESTRICTIONS: u32 = fs::RESOLVE_IN_ROOT | fs::RESOLVE_NO_MAGICLINKS;
    for _ in 0..128 {
        match fs::openat2(root, path, fs::O_PATH, RESTRICTIONS) {
            Err(Errno::EAGAIN) => {}
            Err(Errno::ENOSYS) => break,
            result => return result,
        }
    }
    walk(root, path)?.found.ok_or(Errno::ENOENT)
}

/// Where a path leads inside a root.
pub(crate) struct Landing {
    /// The path without symbolic links, `.` and `..`: `/run/resolv.conf`; empty for the root.
    pub(crate) path: PathBuffer,
    /// How much of it is there already.
    pub(crate) existing: usize,
    /// What is there, when all of it is.
    pub(crate) found: Option<OwnedFd>,
}

/// Finds where `path` leads inside `root`, also when its end, or the end of a dangling link on
/// the way, is missing.
///
/// Each step opens one name without following it, and `..` goes back along the names that were
/// walked, never through the kernel's `..`: a directory that is moved away meanwhile cannot lead
/// out of the root.
pub(crate) fn walk(root: BorrowedFd, path: &CStr) -> Result<Landing, Errno> {
    let mut landing = PathBuffer::new();
    let mut pending = PathBuffer::new();
    pending.push(path.to_bytes())?;
    let mut here = open_walked(root, b"")?;
    let mut symlinks = 0;
    loop {
        let (name, rest) = split_first(pending.bytes());
        match name {
            b"" => {
                return Ok(Landing {
                    existing: landing.bytes().len(),
                    path: landing,
                    found: Some(here),
                });
            }
            b"." => {}
            b".." => {
                landing.pop_component();
                here = open_walked(root, landing.bytes())?;
            }
            name => {
                let before = landing.bytes().len();
                landing.push_component(name)?;
                let mut c_name = PathBuffer::new();
                c_name.push(name)?;
                let next = fs::openat(
                    here.borrow(),
                    c_name.as_c_str(),
                    fs::O_PATH | fs::O_NOFOLLOW,
                    0,
                );
                let next = match next {
                    Err(Errno::ENOENT) => return missing(landing, before, rest),
                    next => next?,
                };
                if fs::stat(next.borrow())?.is_symlink() {
                    symlinks += 1;
                    if symlinks > SYMLINKS_MAX
                        || fs::statfs(next.borrow())?.0 == fs::PROC_SUPER_MAGIC
                    {
                        return Err(Errno::ELOOP);
                    }
                    landing.truncate(before);
                    let mut target = PathBuffer::new();
                    let room = target.room()?;
                    let length = fs::readlink(next.borrow(), room)?;
                    let target = &room[..length];
                    if target.first() == Some(&b'/') {
                        landing.truncate(0);
                        here = open_walked(root, b"")?;
                    }
                    let mut followed = PathBuffer::new();
                    followed.push(target)?;
                    followed.push(rest)?;
                    pending = followed;
                    continue;
                }
                here = next;
            }
        }
        let mut remaining = PathBuffer::new();
        remaining.push(rest)?;
        pending = remaining;
    }
}

/// The landing of a path whose last walked component, and `rest` after it, are not there.
fn missing(mut path: PathBuffer, existing: usize, mut rest: &[u8]) -> Result<Landing, Errno> {
    loop {
        let (name, after) = split_first(rest);
        rest = after;
        match name {
            b"" => {
                return Ok(Landing {
                    path,
                    existing,
                    found: None,
                });
            }
            b"." => {}
            b".." => return Err(Errno::ENOENT),
            name => path.push_component(name)?,
        }
    }
}

/// Opens a directory by a path that was walked before and holds no links: one name after the
/// other, none followed. ENOTDIR when one has become a link since.
pub(crate) fn open_walked(root: BorrowedFd, walked: &[u8]) -> Result<OwnedFd, Errno> {
    const DIRECTORY: u32 = fs::O_PATH | fs::O_NOFOLLOW | fs::O_DIRECTORY;
    let mut here = fs::openat(root, c".", DIRECTORY, 0)?;
    let mut rest = walked;
    loop {
        let (name, after) = split_first(rest);
        if name.is_empty() {
            return Ok(here);
        }
        let mut c_name = PathBuffer::new();
        c_name.push(name)?;
        here = fs::openat(here.borrow(), c_name.as_c_str(), DIRECTORY, 0)?;
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::unix::fs::symlink;
    use std::prelude::rust_2024::*;
    use std::{fs as std_fs, vec};

    use proptest::prelude::*;

    use super::*;

    fn open(path: &std::path::Path) -> OwnedFd {
        let path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        fs::openat(BorrowedFd::CWD, &path, fs::O_PATH | fs::O_DIRECTORY, 0).unwrap()
    }

    /// How many; an emulated machine needs ten times as long for each.
    fn cases() -> u32 {
        match std::env::var_os("ROOTLET_TEST_EMULATED") {
            Some(_) => 50,
            None => 2000,
        }
    }

    /// A relative or absolute path of a few names that often exist.
    fn path() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec!["a", "b", "c", "link", "..", ".", ""]);
        (any::<bool>(), prop::collection::vec(name, 1..7))
            .prop_map(|(absolute, names)| {
                ["", "/"][usize::from(absolute)].to_owned() + &names.join("/")
            })
            .prop_filter("an empty path is no link target", |path| !path.is_empty())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(cases()))]

        /// The walk and the kernel agree on every path in every tree.
        #[test]
        fn the_walk_is_as_strict_as_openat2(
            directories in prop::collection::vec(path(), 0..6),
            links in prop::collection::vec((path(), path()), 0..8),
            wanted in path(),
        ) {
            let outside = tempfile::tempdir().unwrap();
            let top = outside.path().join("root");
            std_fs::create_dir(&top).unwrap();
            // A name that is there outside: an escape would find it.
            std_fs::create_dir(outside.path().join("a")).unwrap();
            for path in &directories {
                let inside: Vec<&str> = path.split('/').filter(|name| *name != "..").collect();
                let _ = std_fs::create_dir_all(top.join(inside.join("/").trim_start_matches('/')));
            }
            for (path, target) in &links {
                let inside: Vec<&str> = path.split('/').filter(|name| *name != "..").collect();
                let link = top.join(inside.join("/").trim_matches('/'));
                // An earlier link may lead to the host's own directories.
                let above = link.parent().and_then(|above| above.canonicalize().ok());
                if above.is_some_and(|above| above.starts_with(outside.path())) {
                    let _ = symlink(target, link);
                }
            }
            let root = open(&top);
            let wanted = CString::new(wanted).unwrap();
            let restrictions = fs::RESOLVE_IN_ROOT | fs::RESOLVE_NO_MAGICLINKS;
            let kernel = loop {
                match fs::openat2(root.borrow(), &wanted, fs::O_PATH, restrictions) {
                    // Someone renames something, anywhere in the system.
                    Err(Errno::EAGAIN) => {}
                    result => break result,
                }
            };
            let kernel = kernel.and_then(|found| fs::stat(found.borrow()));
            let walked = walk(root.borrow(), &wanted);
            let found = walked
                .as_ref()
                .map_err(|errno| *errno)
                .and_then(|landing| landing.found.as_ref().ok_or(Errno::ENOENT))
                .and_then(|found| fs::stat(found.borrow()));
            prop_assert_eq!(found, kernel);
            if let Ok(landing) = &walked {
                // The landing is a plain path: taken as it stands it leads to the same.
                let text = std::str::from_utf8(landing.path.bytes()).unwrap();
                prop_assert!(text.split('/').skip(1).all(|name| !["", ".", ".."].contains(&name)));
                let plain = std_fs::canonicalize(top.join(text.trim_start_matches('/')));
                match &landing.found {
                    Some(_) => prop_assert_eq!(plain.unwrap(), top.join(text.trim_start_matches('/'))),
                    None => prop_assert!(plain.is_err()),
                }
            }
        }
    }

    #[test]
    fn a_magic_link_leads_nowhere() {
        let root = open(std::path::Path::new("/"));
        for path in [c"/proc/self/root", c"/proc/self/cwd/x", c"/proc/self/fd/0"] {
            assert_eq!(resolve(root.borrow(), path).unwrap_err(), Errno::ELOOP);
            assert_eq!(walk(root.borrow(), path).err(), Some(Errno::ELOOP));
        }
    }

    #[test]
    fn too_many_links_and_too_long_paths_are_errors() {
        let directory = tempfile::tempdir().unwrap();
        symlink("loop", directory.path().join("loop")).unwrap();
        let root = open(directory.path());
        assert_eq!(walk(root.borrow(), c"loop").err(), Some(Errno::ELOOP));
        let long = CString::new(vec![b'/'; 4096]).unwrap();
        assert_eq!(walk(root.borrow(), &long).err(), Some(Errno::ENAMETOOLONG));
        // Most file systems have names of 255 bytes, squashfs of 256.
        let name = CString::new(vec![b'n'; 257]).unwrap();
        assert_eq!(walk(root.borrow(), &name).err(), Some(Errno::ENAMETOOLONG));
    }

    #[test]
    fn what_is_missing_is_told_from_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        std_fs::create_dir_all(directory.path().join("a/b")).unwrap();
        symlink("/a/./missing/deep", directory.path().join("link")).unwrap();
        let root = open(directory.path());
        let landing = walk(root.borrow(), c"link/er//x/.").unwrap();
        assert_eq!(landing.path.bytes(), b"/a/missing/deep/er/x");
        assert_eq!(landing.existing, 2);
        // What is above something missing is not known.
        assert_eq!(walk(root.borrow(), c"link/../x").err(), Some(Errno::ENOENT));
    }
}
