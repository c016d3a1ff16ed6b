//! A path inside a root, by file descriptor: whatever symbolic links the root holds, and whoever
//! changes them meanwhile, the result lies inside the root.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::sys::fs::Stat;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// As many symbolic links on one path as the kernel follows.
const SYMLINKS_MAX: usize = 40;
/// The kernel takes no longer path (with its NUL), and a link holds no longer one.
pub(crate) const PATH_MAX: usize = 4096;
/// A path and the links on it, of which each puts its target in front of what is left.
const PENDING_MAX: usize = 2 * PATH_MAX;
/// How deep a walk goes. Each directory on the way is a descriptor, for `..`.
const DEPTH_MAX: usize = 128;
/// Most file systems have names of 255 bytes, squashfs of 256.
pub(crate) const NAME_MAX: usize = 256;

/// A name as the kernel takes it, on the stack.
pub(crate) struct CName([u8; NAME_MAX + 1]);

impl CName {
    /// Fails with ENAMETOOLONG.
    pub(crate) fn new(name: &[u8]) -> Result<CName, Errno> {
        let mut bytes = [0; NAME_MAX + 1];
        match bytes.get_mut(..name.len()) {
            Some(room) if name.len() <= NAME_MAX => room.copy_from_slice(name),
            _ => return Err(Errno::ENAMETOOLONG),
        }
        Ok(CName(bytes))
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// `openat2(2)`, asked again while its EAGAIN says that a rename was going on.
pub(crate) fn openat2(
    root: BorrowedFd,
    path: &CStr,
    flags: u32,
    resolve: u32,
) -> Result<OwnedFd, Errno> {
    let mut result = Err(Errno::EAGAIN);
    for _ in 0..128 {
        result = fs::openat2(root, path, flags, resolve);
        if !matches!(result, Err(Errno::EAGAIN)) {
            break;
        }
    }
    result
}

/// What `..` above the top and an absolute link mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The top itself, as in a root.
    InRoot,
    /// EXDEV.
    Beneath,
}

/// What the next name of a path led to.
pub(crate) enum Next {
    /// Nothing is left to walk.
    End,
    /// There is no such name; [`Walk::name`] says which.
    Missing,
    /// A directory or, as the last name, anything but a symbolic link.
    Entered(Stat),
    /// A symbolic link or `..`: [`Walk::landing`] and [`Walk::rest`] have changed.
    Redirected,
}

/// A walk along a path, name by name.
///
/// Each step opens one name without following it (`openat(2)`, `O_PATH | O_NOFOLLOW`). `..` goes
/// back to the descriptor that the walk came from, never through the kernel's `..`: a directory
/// that is moved away meanwhile cannot lead out of the root.
///
/// The work is linear in the lengths of the path and of the links on it. Nothing is allocated after
/// [`Walk::new`], since there are walks after a fork.
pub(crate) struct Walk {
    bound: Bound,
    /// Where the walk has come to: a path without links, `.` and `..`, empty for the root.
    landing: Vec<u8>,
    /// What is left of the path stands at the end of this buffer, so that a link's target can be
    /// put in front of it.
    pending: Vec<u8>,
    start: usize,
    /// The directories on the way, each with the length of the landing above it.
    entered: Vec<(OwnedFd, usize)>,
    name: CName,
    symlinks: usize,
}

impl Walk {
    pub(crate) fn new() -> Walk {
        Walk {
            bound: Bound::InRoot,
            landing: Vec::with_capacity(PATH_MAX),
            pending: alloc::vec![0; PENDING_MAX],
            start: PENDING_MAX,
            entered: Vec::with_capacity(DEPTH_MAX),
            name: CName([0; NAME_MAX + 1]),
            symlinks: 0,
        }
    }

    /// Begins at the root.
    pub(crate) fn begin(&mut self, path: &[u8], bound: Bound) -> Result<(), Errno> {
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        self.bound = bound;
        self.landing.clear();
        self.entered.clear();
        self.start = PENDING_MAX;
        self.symlinks = 0;
        self.prepend(path)
    }

    /// The path that has been walked, without links: `/run/resolv.conf`; empty for the root.
    pub(crate) fn landing(&self) -> &[u8] {
        &self.landing
    }

    /// What is left to walk.
    pub(crate) fn rest(&self) -> &[u8] {
        self.pending.get(self.start..).unwrap_or_default()
    }

    /// The name that [`Next::Missing`] is about.
    pub(crate) fn name(&self) -> &CStr {
        self.name.as_c_str()
    }

    /// The directory that the walk has come to.
    pub(crate) fn here<'a>(&'a self, root: BorrowedFd<'a>) -> BorrowedFd<'a> {
        self.entered.last().map_or(root, |(here, _)| here.borrow())
    }

    /// The directory above that.
    pub(crate) fn above<'a>(&'a self, root: BorrowedFd<'a>) -> BorrowedFd<'a> {
        let above = self.entered.len().checked_sub(2);
        let above = above.and_then(|index| self.entered.get(index));
        above.map_or(root, |(above, _)| above.borrow())
    }

    /// Gives away the descriptor that the walk has come to; `None` at the root.
    pub(crate) fn take(&mut self) -> Option<OwnedFd> {
        self.entered.pop().map(|(here, _)| here)
    }

    /// Is the name that comes next, or is missing, the last one?
    pub(crate) fn is_last(&self) -> bool {
        split_first(self.rest()).0.is_empty()
    }

    /// Walks to the next name.
    ///
    /// Fails with ELOOP for too many links and for one of proc's, which may lead anywhere, with
    /// ENOTDIR for a file on the way, with ENAMETOOLONG for what is too long or too deep, and as
    /// openat(2) does.
    pub(crate) fn next(&mut self, root: BorrowedFd) -> Result<Next, Errno> {
        let (name, rest) = split_first(self.rest());
        let (length, after) = (name.len(), rest.len());
        // A slash at the end asks for a directory too.
        let is_last = rest.is_empty();
        let name = match name {
            b"" => return Ok(Next::End),
            b"." => {
                self.start = PENDING_MAX - after;
                return Ok(Next::Redirected);
            }
            b".." => {
                self.start = PENDING_MAX - after;
                match self.entered.pop() {
                    Some((_, above)) => self.landing.truncate(above),
                    None if self.bound == Bound::Beneath => return Err(Errno::EXDEV),
                    None => {}
                }
                return Ok(Next::Redirected);
            }
            name => CName::new(name)?,
        };
        self.name = name;
        let flags = fs::O_PATH | fs::O_NOFOLLOW;
        let directory = if is_last { 0 } else { fs::O_DIRECTORY };
        let opened = fs::openat(self.here(root), self.name(), flags | directory, 0);
        let opened = match opened {
            Err(Errno::ENOENT) => {
                self.start = PENDING_MAX - after;
                return Ok(Next::Missing);
            }
            // A link, or a file.
            Err(Errno::ENOTDIR) => fs::openat(self.here(root), self.name(), flags, 0)?,
            opened => opened?,
        };
        let stat = fs::stat(opened.borrow())?;
        self.start = PENDING_MAX - after;
        if stat.is_symlink() {
            self.follow(opened.borrow())?;
            return Ok(Next::Redirected);
        }
        if !is_last && !stat.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        self.enter(opened, length)?;
        Ok(Next::Entered(stat))
    }

    /// Goes on in what was missing and has been made.
    pub(crate) fn enter_made(&mut self, made: OwnedFd) -> Result<(), Errno> {
        let length = self.name().count_bytes();
        self.enter(made, length)
    }

    fn enter(&mut self, opened: OwnedFd, length: usize) -> Result<(), Errno> {
        let above = self.landing.len();
        if self.entered.len() == DEPTH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        self.push_name(length)?;
        self.entered.push((opened, above));
        Ok(())
    }

    fn push_name(&mut self, length: usize) -> Result<(), Errno> {
        if self.landing.len() + 1 + length >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        self.landing.push(b'/');
        self.landing
            .extend_from_slice(self.name.as_c_str().to_bytes());
        Ok(())
    }

    fn follow(&mut self, link: BorrowedFd) -> Result<(), Errno> {
        self.symlinks += 1;
        if self.symlinks > SYMLINKS_MAX || fs::statfs(link)?.0 == fs::PROC_SUPER_MAGIC {
            return Err(Errno::ELOOP);
        }
        // Read to the front of the buffer, and moved to before what is left.
        let room = self.pending.get_mut(..self.start).unwrap_or_default();
        let room = match room.len() {
            PATH_MAX.. => &mut room[..PATH_MAX],
            _ => room,
        };
        let (length, room) = (fs::readlink(link, room)?, room.len());
        // One that fills its room may have been cut.
        if length == room {
            return Err(Errno::ENAMETOOLONG);
        }
        let is_absolute = self.pending.first() == Some(&b'/');
        self.start -= length;
        self.pending.copy_within(..length, self.start);
        if is_absolute {
            if self.bound == Bound::Beneath {
                return Err(Errno::EXDEV);
            }
            self.landing.clear();
            self.entered.clear();
        }
        Ok(())
    }

    fn prepend(&mut self, path: &[u8]) -> Result<(), Errno> {
        let start = self.start.checked_sub(path.len());
        let start = start.ok_or(Errno::ENAMETOOLONG)?;
        self.pending
            .get_mut(start..self.start)
            .ok_or(Errno::ENAMETOOLONG)?
            .copy_from_slice(path);
        self.start = start;
        Ok(())
    }

    /// Appends the names that are left, `.` left out, to a landing whose end is missing: nothing is
    /// known of what is above something missing, so `..` is ENOENT.
    pub(crate) fn push_missing(&self, landing: &mut Vec<u8>) -> Result<(), Errno> {
        landing.extend_from_slice(&self.landing);
        landing.push(b'/');
        landing.extend_from_slice(self.name().to_bytes());
        let mut rest = self.rest();
        loop {
            let (name, after) = split_first(rest);
            rest = after;
            match name {
                b"" => return Ok(()),
                b"." => {}
                b".." => return Err(Errno::ENOENT),
                name => {
                    landing.push(b'/');
                    landing.extend_from_slice(name);
                }
            }
        }
    }

    /// Forgets the descriptors, which are another process's.
    pub(crate) fn abandon(&mut self) {
        self.entered
            .drain(..)
            .for_each(|(entered, _)| core::mem::forget(entered));
    }
}

/// Opens what `path` means inside `root`, with `O_PATH`: every symbolic link is followed, an absolute
/// one and `..` stop at the root, one of proc's magic links is ELOOP.
///
/// Only ENOSYS of `openat2(2)` (Linux before 5.6, a seccomp filter) selects the walk, which is as
/// strict.
pub(crate) fn resolve(root: BorrowedFd, path: &CStr) -> Result<OwnedFd, Errno> {
    const RESTRICTIONS: u32 = fs::RESOLVE_IN_ROOT | fs::RESOLVE_NO_MAGICLINKS;
    match openat2(root, path, fs::O_PATH, RESTRICTIONS) {
        Err(Errno::ENOSYS) => {}
        result => return result,
    }
    let mut walk = walk_to_end(root, path.to_bytes())?;
    match walk.take() {
        Some(found) => Ok(found),
        None => fs::openat(root, c".", fs::O_PATH, 0),
    }
}

/// Walks a path that is there.
pub(crate) fn walk_to_end(root: BorrowedFd, path: &[u8]) -> Result<Walk, Errno> {
    let mut walk = Walk::new();
    walk.begin(path, Bound::InRoot)?;
    loop {
        match walk.next(root)? {
            Next::End => return Ok(walk),
            Next::Missing => return Err(Errno::ENOENT),
            Next::Entered(_) | Next::Redirected => {}
        }
    }
}

/// Opens what is at a landing: one name after the other, none followed. ELOOP or ENOTDIR when one on
/// the way has become a link since.
pub(crate) fn open_landing(root: BorrowedFd, landing: &[u8]) -> Result<OwnedFd, Errno> {
    let mut here = fs::openat(root, c".", fs::O_PATH | fs::O_DIRECTORY, 0)?;
    let mut rest = landing;
    loop {
        let (name, after) = split_first(rest);
        if name.is_empty() {
            return Ok(here);
        }
        let directory = if after.is_empty() { 0 } else { fs::O_DIRECTORY };
        let flags = fs::O_PATH | fs::O_NOFOLLOW | directory;
        here = fs::openat(here.borrow(), CName::new(name)?.as_c_str(), flags, 0)?;
        rest = after;
    }
}

/// The first component of a path, and what follows it; the component is empty at the end.
pub(crate) fn split_first(path: &[u8]) -> (&[u8], &[u8]) {
    let is_name = |byte: &u8| *byte != b'/';
    let start = path.iter().position(is_name).unwrap_or(path.len());
    let path = &path[start..];
    let end = path.iter().position(|byte| *byte == b'/');
    path.split_at(end.unwrap_or(path.len()))
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

    /// Where a path leads, and whether that is there.
    fn landing_of(root: BorrowedFd, path: &[u8]) -> Result<(Vec<u8>, bool), Errno> {
        let mut walk = Walk::new();
        walk.begin(path, Bound::InRoot)?;
        loop {
            match walk.next(root)? {
                Next::End => return Ok((Vec::from(walk.landing()), true)),
                Next::Missing => {
                    let mut landing = Vec::new();
                    walk.push_missing(&mut landing)?;
                    return Ok((landing, false));
                }
                Next::Entered(_) | Next::Redirected => {}
            }
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
            let walked = landing_of(root.borrow(), wanted.to_bytes());
            let found = match &walked {
                Ok((_, true)) => {
                    let walk = walk_to_end(root.borrow(), wanted.to_bytes()).unwrap();
                    fs::stat(walk.here(root.borrow()))
                }
                Ok((_, false)) => Err(Errno::ENOENT),
                Err(errno) => Err(*errno),
            };
            prop_assert_eq!(found, kernel);
            if let Ok((landing, exists)) = &walked {
                // The landing is a plain path: taken as it stands it leads to the same.
                let text = std::str::from_utf8(landing).unwrap();
                prop_assert!(text.split('/').skip(1).all(|name| !["", ".", ".."].contains(&name)));
                let plain = std_fs::canonicalize(top.join(text.trim_start_matches('/')));
                match exists {
                    true => prop_assert_eq!(plain.unwrap(), top.join(text.trim_start_matches('/'))),
                    false => prop_assert!(plain.is_err()),
                }
            }
        }
    }

    #[test]
    fn a_magic_link_leads_nowhere() {
        let root = open(std::path::Path::new("/"));
        for path in [c"/proc/self/root", c"/proc/self/cwd/x", c"/proc/self/fd/0"] {
            assert_eq!(resolve(root.borrow(), path).unwrap_err(), Errno::ELOOP);
            assert_eq!(
                landing_of(root.borrow(), path.to_bytes()),
                Err(Errno::ELOOP)
            );
        }
    }

    #[test]
    fn too_many_links_and_too_long_paths_are_errors() {
        let directory = tempfile::tempdir().unwrap();
        symlink("loop", directory.path().join("loop")).unwrap();
        let root = open(directory.path());
        assert_eq!(landing_of(root.borrow(), b"loop"), Err(Errno::ELOOP));
        let long = vec![b'/'; 4096];
        assert_eq!(landing_of(root.borrow(), &long), Err(Errno::ENAMETOOLONG));
        // Most file systems have names of 255 bytes, squashfs of 256.
        let name = vec![b'n'; 257];
        assert_eq!(landing_of(root.borrow(), &name), Err(Errno::ENAMETOOLONG));
    }

    #[test]
    fn what_is_missing_is_told_from_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        std_fs::create_dir_all(directory.path().join("a/b")).unwrap();
        symlink("/a/./missing/deep", directory.path().join("link")).unwrap();
        let root = open(directory.path());
        let landing = landing_of(root.borrow(), b"link/er//x/.").unwrap();
        assert_eq!(landing, (Vec::from(b"/a/missing/deep/er/x"), false));
        // What is above something missing is not known.
        assert_eq!(landing_of(root.borrow(), b"link/../x"), Err(Errno::ENOENT));
    }

    /// Links that lead down a deep directory and up again, each through the next.
    #[test]
    fn a_path_costs_linear_work() {
        let directory = tempfile::tempdir().unwrap();
        let deep = vec!["d"; 100].join("/");
        std_fs::create_dir_all(directory.path().join(&deep)).unwrap();
        let (down, up) = (deep + "/", vec![".."; 100].join("/") + "/");
        for link in 0..39 {
            let target = format!("{}{}", (down.clone() + &up).repeat(7), link + 1);
            symlink(target, directory.path().join(link.to_string())).unwrap();
        }
        std_fs::create_dir(directory.path().join("39")).unwrap();
        let root = open(directory.path());
        let (begun, mut steps) = (std::time::Instant::now(), 0);
        let mut walk = Walk::new();
        walk.begin(b"0", Bound::InRoot).unwrap();
        while !matches!(walk.next(root.borrow()).unwrap(), Next::End) {
            steps += 1;
        }
        // Each step is at most four system calls.
        assert_eq!(
            (walk.landing(), steps),
            (&b"/39"[..], 39 * (7 * 200 + 1) + 1)
        );
        std::println!("{steps} steps in {:?}", begun.elapsed());
    }
}
