//! Mount points are found, and made where they are missing, before anything is mounted.
//!
//! A plain target needs one look, with openat2(2). Any other, one that is missing, and one that may be
//! another run's temporary mount point, is walked to name by name.

use core::ffi::CStr;

use crate::error::Step;
use crate::mount::make::{self, Directory, Refused};
use crate::mount::mark::is_marked;
use crate::mount::point::{Place, Points, keep, parent_of};
use crate::mount::resolve::{Bound, CName, NAME_MAX, Next, PATH_MAX, openat2, split_first};
use crate::sys::fs::Stat;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// How often a mount point may vanish under us: each time, another run has just removed its stub.
const ATTEMPTS: usize = 1000;

/// What is done where a mount point is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing: only where it would be is found.
    Left,
    /// It is made for the time of the run.
    Stub,
    /// It is made as an ordinary directory or file: in an overlay, with which it goes.
    Made,
}

/// Why a mount point cannot be had: what was being done, and the kernel's reason.
pub(crate) type NotFound = (Step, Errno);

/// What is to be found.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) target: &'a CStr,
    /// Is a directory made where it is missing, or a file? Asked only then.
    pub(crate) is_directory: &'a dyn Fn() -> Result<bool, Errno>,
    pub(crate) missing: Missing,
    /// What ends the wait for somebody else's lock.
    pub(crate) watched: &'a [BorrowedFd<'a>],
}

impl Points {
    /// Finds where a mount goes, in the pristine tree of `root`, and makes what is missing.
    pub(crate) fn find(
        &mut self,
        root: BorrowedFd,
        mount: usize,
        wanted: Wanted,
    ) -> Result<(), NotFound> {
        let open = |errno| (Step::OpenTarget, errno);
        let target = wanted.target.to_bytes();
        if let Some(plain) = plain(target) {
            if let Some(parent) = self.cover_of(mount, plain) {
                return self.set_nested(mount, parent, plain).map_err(open);
            }
            if let Some((found, stat)) = open_plain(root, wanted.target, plain).map_err(open)? {
                // The walk takes a share in it, or looks for its companion in its directory.
                let may_be_stub =
                    is_marked(&stat) || !self.marks.keeps_modes(found.borrow(), &stat);
                if !may_be_stub {
                    let landing = keep(&mut self.paths, plain).map_err(open)?;
                    let place = Place::Descriptor(found);
                    self.set(mount, landing, place, false);
                    return Ok(());
                }
            }
        }
        for _ in 0..ATTEMPTS {
            match self.find_by_walk(root, mount, wanted) {
                Ok(()) => return Ok(()),
                Err(Some(not_found)) => return Err(not_found),
                Err(None) => {}
            }
        }
        Err(open(Errno::ENOENT))
    }

    /// Fails with `None` where another run has just removed a stub.
    fn find_by_walk(
        &mut self,
        root: BorrowedFd,
        mount: usize,
        wanted: Wanted,
    ) -> Result<(), Option<NotFound>> {
        let open = |errno| Some((Step::OpenTarget, errno));
        self.walk
            .begin(wanted.target.to_bytes(), Bound::InRoot)
            .map_err(open)?;
        let (mut stub, mut is_made) = (None, false);
        loop {
            let goes_up = split_first(self.walk.rest()).0 == b"..";
            let cover = match goes_up {
                true => None,
                false => self.cover_of(mount, self.walk.landing()),
            };
            if let Some(parent) = cover {
                return self.set_nested_at_walk(mount, parent).map_err(open);
            }
            let before = self.walk.landing().len();
            match self.walk.next(root).map_err(open)? {
                Next::Redirected => {
                    // By `..` or an absolute link the walk has left the stub again.
                    if self.walk.landing().len() != before {
                        (stub, is_made) = (None, false);
                    }
                }
                Next::Entered(stat) => {
                    let (above, name) = (self.walk.above(root), self.walk.name());
                    let here = self.walk.here(root);
                    let is_stub = wanted.missing != Missing::Made
                        && self.marks.is_stub(above, name, here, &stat).map_err(
                            |errno| match errno {
                                Errno::ENOENT => None,
                                errno => open(errno),
                            },
                        )?;
                    stub = None;
                    is_made = is_stub;
                    if is_stub && wanted.missing == Missing::Stub {
                        let place = make::Place {
                            parent: Directory::Found(above),
                            above: parent_of(self.walk.landing()),
                            name,
                            is_directory: stat.is_directory(),
                            watched: wanted.watched,
                        };
                        stub = match self.stubs.share_found(place, &stat) {
                            Ok(stub) => Some(stub),
                            // A directory of mode 1715 on the way that is not ours to open: it
                            // stays, and we may pass.
                            Err(Refused::Lock(Errno::EACCES)) => None,
                            Err(refused) => return Err(refused_as(refused)),
                        };
                    }
                }
                Next::Missing if wanted.missing == Missing::Left => {
                    let start = self.paths.len();
                    self.walk.push_missing(&mut self.paths).map_err(open)?;
                    let landing = start..self.paths.len();
                    self.set(mount, landing, Place::Later, true);
                    return Ok(());
                }
                Next::Missing if wanted.missing == Missing::Stub => {
                    return self.make_stubs(root, mount, wanted);
                }
                Next::Missing => {
                    // Nothing is known of what is above something missing.
                    if has_dot_dot(self.walk.rest()) {
                        return Err(Some((Step::MakeMountPoint, Errno::ENOENT)));
                    }
                    is_made = true;
                    self.make_plain(root, wanted).map_err(Some)?;
                }
                Next::End => break,
            }
        }
        if self.walk.landing().is_empty() {
            // The mount would hide NEWROOT itself.
            return Err(open(Errno::EBUSY));
        }
        let landing = keep(&mut self.paths, self.walk.landing()).map_err(open)?;
        let place = match stub {
            Some(stub) => Place::Stub(stub),
            None => match self.walk.take() {
                Some(found) => Place::Descriptor(found),
                None => return Err(open(Errno::EBUSY)),
            },
        };
        self.set(mount, landing, place, is_made);
        Ok(())
    }

    /// Makes the name that the walk has met as missing, and lets the walk go on there.
    fn make_plain(&mut self, root: BorrowedFd, wanted: Wanted) -> Result<(), NotFound> {
        let is_directory = match self.walk.is_last() {
            true => (wanted.is_directory)().map_err(|errno| (Step::OpenTarget, errno))?,
            false => true,
        };
        let (here, name) = (self.walk.here(root), self.walk.name());
        make_plain(here, name, is_directory)
            .and_then(|made| self.walk.enter_made(made))
            .map_err(|errno| (Step::MakeMountPoint, errno))
    }

    /// Makes the name that the walk has met as missing, and all that follow it: in what was just made
    /// there is nothing to be looked up.
    fn make_stubs(
        &mut self,
        root: BorrowedFd,
        mount: usize,
        wanted: Wanted,
    ) -> Result<(), Option<NotFound>> {
        let failed = |errno| Some((Step::MakeMountPoint, errno));
        let start = self.paths.len();
        let length = self.walk.landing().len() + NAME_MAX + self.walk.rest().len();
        if length >= PATH_MAX || self.paths.capacity() - start <= PATH_MAX {
            return Err(failed(Errno::ENAMETOOLONG));
        }
        let made = self.walk.push_missing(&mut self.paths).map_err(failed);
        let made = made.and_then(|()| {
            let landing = self.paths.get(start..).unwrap_or_default();
            let mut above = self.walk.landing().len();
            let mut parent = Directory::Found(self.walk.here(root));
            loop {
                let (name, after) = split_first(landing.get(above..).unwrap_or_default());
                let is_last = after.is_empty();
                let name = CName::new(name).map_err(failed)?;
                let place = make::Place {
                    parent,
                    above: landing.get(..above).unwrap_or_default(),
                    name: name.as_c_str(),
                    is_directory: match is_last {
                        true => (wanted.is_directory)()
                            .map_err(|errno| Some((Step::OpenTarget, errno)))?,
                        false => true,
                    },
                    watched: wanted.watched,
                };
                let stub = self.stubs.make(place).map_err(refused_as)?;
                if is_last {
                    return Ok(stub);
                }
                above = landing.len() - after.len();
                parent = Directory::Stub(stub);
            }
        });
        match made {
            Ok(stub) => {
                let landing = start..self.paths.len();
                self.paths.push(0);
                self.set(mount, landing, Place::Stub(stub), true);
                Ok(())
            }
            Err(not_made) => {
                self.paths.truncate(start);
                Err(not_made)
            }
        }
    }
}

fn refused_as(refused: Refused) -> Option<NotFound> {
    match refused {
        Refused::Vanished => None,
        Refused::Make(errno) => Some((Step::MakeMountPoint, errno)),
        Refused::Lock(errno) => Some((Step::LockMountPoint, errno)),
    }
}

/// Makes an ordinary directory or file and opens it; it may be there.
pub(crate) fn make_plain(
    parent: BorrowedFd,
    name: &CStr,
    is_directory: bool,
) -> Result<OwnedFd, Errno> {
    let made = match is_directory {
        true => fs::mkdirat(parent, name, 0o755),
        false => {
            let flags = fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW;
            fs::openat(parent, name, flags, 0o644).map(drop)
        }
    };
    match made {
        Ok(()) | Err(Errno::EEXIST) => fs::openat(parent, name, fs::O_PATH | fs::O_NOFOLLOW, 0),
        Err(errno) => Err(errno),
    }
}

/// A target that is a landing if there are no links: absolute, without `.`, `..` and needless slashes.
fn plain(target: &[u8]) -> Option<&[u8]> {
    let end = target.iter().rposition(|byte| *byte != b'/')? + 1;
    let path = target.get(..end)?;
    let names = path.strip_prefix(b"/")?.split(|byte| *byte == b'/');
    let mut is_plain = true;
    for name in names {
        is_plain &= !matches!(name, b"" | b"." | b"..");
    }
    is_plain.then_some(path)
}

/// Opens a plain target if it is there and no link is on the way; one system call tells both. `None`
/// is for a walk to find out: only what says that, and ENOSYS, selects it. For one name the walk needs
/// no more than this.
fn open_plain(
    root: BorrowedFd,
    target: &CStr,
    plain: &[u8],
) -> Result<Option<(OwnedFd, Stat)>, Errno> {
    const RESTRICTIONS: u32 = fs::RESOLVE_IN_ROOT | fs::RESOLVE_NO_SYMLINKS;
    if split_first(plain).1.is_empty() {
        return Ok(None);
    }
    match openat2(root, target, fs::O_PATH, RESTRICTIONS) {
        Err(Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR | Errno::ENOSYS | Errno::EAGAIN) => {
            Ok(None)
        }
        found => {
            let found = found?;
            let stat = fs::stat(found.borrow())?;
            Ok(Some((found, stat)))
        }
    }
}

pub(super) fn has_dot_dot(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|name| name == b"..")
}
