//! Resolving a path inside a root, by file descriptor.
//!
//! The result always lies inside the root. Symbolic links in the root and changes by other
//! processes cannot prevent that. `openat2(2)` guarantees this in the kernel (Linux 5.6). A walk
//! with one `openat(2)` for each name guarantees the same elsewhere, and also tells which name is
//! missing.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::sys::fs::Stat;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// The kernel follows at most this many symbolic links on one path.
const SYMLINKS_MAX: usize = 40;
/// The kernel's limit for a path, with its NUL, and for the target of a link.
pub(crate) const PATH_MAX: usize = 4096;
/// Room for a path and a link on it: each link puts its target in front of the rest of the path.
pub(crate) const PENDING_MAX: usize = 2 * PATH_MAX;
/// The greatest depth of a walk. Each directory on the way stays open, for `..`.
const DEPTH_MAX: usize = 128;
/// Most file systems have names of up to 255 bytes, squashfs up to 256.
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

/// Calls `openat2(2)` again if it fails with EAGAIN, which means that something in the system was renamed or
/// mounted meanwhile. If that does not end, fails with ENOSYS, which selects the walk.
pub(crate) fn openat2(
    root: BorrowedFd,
    path: &CStr,
    flags: u32,
    resolve: u32,
) -> Result<OwnedFd, Errno> {
    for _ in 0..128 {
        match fs::openat2(root, path, flags, resolve) {
            Err(Errno::EAGAIN) => {}
            result => return result,
        }
    }
    Err(Errno::ENOSYS)
}

/// The meaning of an absolute link, and of `..` at the top.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Both lead to the top, as in a root.
    InRoot,
    /// Both fail with EXDEV.
    Beneath,
}

/// The result of one step of a walk.
pub(crate) enum Next {
    /// The path is finished.
    End,
    /// There is no such name; [`Walk::name`] says which.
    Missing,
    /// A directory or, as the last name, any file but a symbolic link.
    Entered(Stat),
    /// A symbolic link, `.` or `..`: [`Walk::landing`] and [`Walk::rest`] have changed.
    Redirected,
}

/// A walk along a path, name by name.
///
/// Each step opens one name without following it (`openat(2)`, `O_PATH | O_NOFOLLOW`). `..` goes
/// back to the descriptor that the walk came from, never through the kernel's `..`. A directory
/// that is moved away meanwhile can therefore not lead out of the root.
///
/// The work is linear in the lengths of the path and of the links on it. Nothing is allocated after
/// [`Walk::new`], because there are walks after a fork.
pub(crate) struct Walk {
    bound: Bound,
    /// The directory reached so far: a path without links, `.` and `..`, empty for the root.
    landing: Vec<u8>,
    /// The rest of the path stands at the end of this buffer, so that a link's target can be put in
    /// front of it.
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

    /// Returns the path walked so far, without links, such as `/run/resolv.conf`; empty for the
    /// root.
    pub(crate) fn landing(&self) -> &[u8] {
        &self.landing
    }

    /// Returns the rest of the path.
    pub(crate) fn rest(&self) -> &[u8] {
        self.pending.get(self.start..).unwrap_or_default()
    }

    /// Returns the last name that the walk looked up, which [`Next::Missing`] is about.
    pub(crate) fn name(&self) -> &CStr {
        self.name.as_c_str()
    }

    /// Returns the directory that the walk has reached.
    pub(crate) fn here<'a>(&'a self, root: BorrowedFd<'a>) -> BorrowedFd<'a> {
        self.entered.last().map_or(root, |(here, _)| here.borrow())
    }

    /// Returns the directory above that.
    pub(crate) fn above<'a>(&'a self, root: BorrowedFd<'a>) -> BorrowedFd<'a> {
        let above = self.entered.len().checked_sub(2);
        let above = above.and_then(|index| self.entered.get(index));
        above.map_or(root, |(above, _)| above.borrow())
    }

    /// Hands over the descriptor that the walk has reached, or `None` at the root.
    pub(crate) fn take(&mut self) -> Option<OwnedFd> {
        self.entered.pop().map(|(here, _)| here)
    }

    /// Returns whether the name that comes next, or is missing, is the last one.
    pub(crate) fn is_last(&self) -> bool {
        split_first(self.rest()).0.is_empty()
    }

    /// Walks to the next name.
    ///
    /// Fails with ELOOP for too many links and for a magic link of proc, which may lead anywhere;
    /// with ENOTDIR for a file on the way; with ENAMETOOLONG for a path that is too long or too
    /// deep; with EXDEV for a way out of [`Bound::Beneath`]; and as openat(2) does.
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
            // It is a link or a file.
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

    /// Continues in a name that was missing and has been made.
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
        // Read the target to the start of the buffer, then move it in front of the rest of the
        // path.
        let room = self.pending.get_mut(..self.start).unwrap_or_default();
        let room = match room.len() {
            PATH_MAX.. => &mut room[..PATH_MAX],
            _ => room,
        };
        let (length, room) = (fs::readlink(link, room)?, room.len());
        // A target that fills its room may have been cut.
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

    /// Appends the landing of a missing target: the landing so far, and the remaining names without
    /// `.`. `..` fails with ENOENT, because a missing directory has none yet.
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

    /// Forgets the descriptors without closing them, because they belong to another process.
    pub(crate) fn abandon(&mut self) {
        self.entered
            .drain(..)
            .for_each(|(entered, _)| core::mem::forget(entered));
    }
}

/// Opens `path` inside `root`, with `O_PATH`. Every symbolic link is followed, an absolute one and
/// `..` stop at the root, and a magic link of proc fails with ELOOP.
///
/// Only ENOSYS from `openat2(2)` (Linux before 5.6, a seccomp filter) selects the walk, which is
/// just as strict.
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

/// Walks a path that must exist.
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

/// Opens a landing: one name after the other, without following links. Fails with ELOOP or ENOTDIR
/// if one on the way has become a link meanwhile.
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

/// Returns the first component of a path and the rest; the component is empty at the end.
pub(crate) fn split_first(path: &[u8]) -> (&[u8], &[u8]) {
    let is_name = |byte: &u8| *byte != b'/';
    let start = path.iter().position(is_name).unwrap_or(path.len());
    let path = &path[start..];
    let end = path.iter().position(|byte| *byte == b'/');
    path.split_at(end.unwrap_or(path.len()))
}

#[cfg(test)]
mod tests;
