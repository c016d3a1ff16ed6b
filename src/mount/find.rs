//! Lookup of mount points before anything is mounted. Missing ones are made.
//!
//! A plain target takes one openat2(2). A walk, name by name, finds every other target, a missing
//! one, and one that may be the temporary mount point of another run.

use core::ffi::CStr;

use crate::error::Step;
use crate::mount::make::{self, Directory, Refused};
use crate::mount::mark::is_marked;
use crate::mount::point::{Place, Points, keep, parent_of};
use crate::mount::resolve::{Bound, CName, NAME_MAX, Next, PATH_MAX, openat2, split_first};
use crate::sys::fs::Stat;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// How often a mount point may vanish: each time, another run has just removed it.
const ATTEMPTS: usize = 1000;

/// The treatment of a missing mount point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Only find where it would be.
    Left,
    /// Make it for the duration of the run.
    Stub,
    /// Make an ordinary directory or file: the overlay that holds it is discarded after the run.
    Made,
}

/// The reason why there is no mount point: the step and the kernel's error.
pub(crate) type NotFound = (Step, Errno);

/// The target of a lookup.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) target: &'a CStr,
    /// Returns whether a missing mount point is made as a directory. It is called only then.
    pub(crate) is_directory: &'a dyn Fn() -> Result<bool, Errno>,
    pub(crate) missing: Missing,
    /// Descriptors whose readiness ends the wait for another run's lock.
    pub(crate) watched: &'a [BorrowedFd<'a>],
}

impl Points {
    /// Finds the place of a mount in the pristine tree of `root`, and makes missing parts.
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
                // The walk locks a marked one and looks up the companion of any other.
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

    /// Fails with `None` where another run has just removed a temporary mount point.
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
                    // `..` or an absolute link has led the walk out of the temporary mount point
                    // again.
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
                            // A directory of mode 1715 on the way which we may pass but not open.
                            // It belongs to somebody else and stays.
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
                    // A missing directory has no `..` yet.
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

    /// Makes the missing name that the walk has met, and continues the walk there.
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

    /// Makes the missing name that the walk has met and all names after it. A directory that was
    /// just made has no links to follow.
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

/// Makes an ordinary directory or file, unless it exists, and opens it.
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

/// Returns the target as a landing, if its text is one: absolute, without `.`, `..` and extra
/// slashes.
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

/// Opens a plain target if it exists and has no link on the way; one system call tells both.
/// Returns `None` where a walk has to decide. Only the errors that mean this, and ENOSYS, select
/// the walk. For a single name the walk is as cheap.
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
        Err(Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR | Errno::ENOSYS) => Ok(None),
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
