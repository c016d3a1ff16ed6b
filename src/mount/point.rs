//! Mount points: where each mount of a plan goes, found before anything is mounted.
//!
//! All targets are looked up in the pristine tree of NEWROOT, once each, and held as descriptors from
//! then on. Where one leads below the landing of an earlier mount of the plan, no file of NEWROOT is
//! asked any more: it is looked up inside that mount's own descriptor when that has been attached
//! ([`crate::mount::attach`]). So no link that a mount hides or uncovers, and nobody who renames
//! meanwhile, can lead a mount or something that is made for it out of NEWROOT.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::forget;
use core::ops::Range;

use crate::error::Step;
use crate::mount::resolve::{Bound, CName, Next, Walk, openat2, split_first};
use crate::mount::stub::{Refused, Stubs, is_marked};
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

/// Where a mount of the plan goes.
struct Point {
    landing: Range<usize>,
    /// The earlier mount that it lies in, and where, from its top.
    parent: Option<usize>,
    rest: Range<usize>,
    place: Place,
    /// Was it, or will it be, made for the run?
    is_made: bool,
}

enum Place {
    /// In its parent, or nowhere yet.
    Later,
    Descriptor(OwnedFd),
    Stub(usize),
}

/// The mount points of a plan, one for each of its mounts.
pub(crate) struct Points {
    points: Vec<Option<Point>>,
    /// Landings and what is below them, each with a NUL after it.
    paths: Vec<u8>,
    walk: Walk,
    pub(crate) stubs: Stubs,
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
    /// Room is made now, since finding them after a fork must not allocate.
    pub(crate) fn with_room_for(mounts: usize) -> Points {
        let mut points = Vec::with_capacity(mounts);
        points.resize_with(mounts, || None);
        Points {
            points,
            paths: Vec::with_capacity((mounts + 1) * 2 * 4096),
            walk: Walk::new(),
            stubs: Stubs::with_room_for(mounts),
        }
    }

    fn get(&self, mount: usize) -> Option<&Point> {
        self.points.get(mount)?.as_ref()
    }

    /// The earlier mount that this one lies in.
    pub(crate) fn parent(&self, mount: usize) -> Option<usize> {
        self.get(mount)?.parent
    }

    /// Was the mount point made for the run, or would it be?
    pub(crate) fn is_made(&self, mount: usize) -> bool {
        self.get(mount).is_some_and(|point| point.is_made)
    }

    /// The landing of a mount: a path without links, below NEWROOT.
    pub(crate) fn landing(&self, mount: usize) -> &[u8] {
        let point = self.get(mount);
        point.map_or(b"", |point| self.path(&point.landing))
    }

    /// Where in its parent a mount goes; empty for the parent's top.
    pub(crate) fn rest(&self, mount: usize) -> &CStr {
        let start = self.get(mount).map_or(0, |point| point.rest.start);
        let rest = self.paths.get(start..).unwrap_or_default();
        CStr::from_bytes_until_nul(rest).unwrap_or_default()
    }

    /// The descriptor of a mount point in NEWROOT itself.
    pub(crate) fn place(&self, mount: usize) -> Option<BorrowedFd<'_>> {
        match &self.get(mount)?.place {
            Place::Later => None,
            Place::Descriptor(place) => Some(place.borrow()),
            Place::Stub(stub) => Some(self.stubs.point(*stub)),
        }
    }

    /// Says where in an earlier mount this one goes, which is attached by now.
    pub(crate) fn set_place(&mut self, mount: usize, place: OwnedFd) {
        if let Some(Some(point)) = self.points.get_mut(mount) {
            point.place = Place::Descriptor(place);
        }
    }

    /// Forgets a mount that is left out: no other lies in it.
    pub(crate) fn leave_out(&mut self, mount: usize) {
        self.points[mount] = None;
    }

    /// Does another mount of the plan lie in this one?
    pub(crate) fn is_parent(&self, mount: usize) -> bool {
        let mut points = self.points.iter().flatten();
        points.any(|point| point.parent == Some(mount))
    }

    /// The last mount that has been found, of those before `mount`, that shows what is at this landing.
    fn cover_of(&self, mount: usize, landing: &[u8]) -> Option<usize> {
        let earlier = self.points.get(..mount).unwrap_or_default();
        earlier.iter().rposition(|point| {
            point
                .as_ref()
                .is_some_and(|point| is_below(landing, self.path(&point.landing)))
        })
    }

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
            if let Some((found, stat)) = open_plain(root, wanted.target).map_err(open)? {
                let is_stub = is_marked(&stat) || !self.stubs.keeps_modes(found.borrow(), &stat);
                if !is_stub {
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
            match self.walk.next(root).map_err(open)? {
                Next::Redirected => {}
                Next::Entered(stat) => {
                    let (above, name) = (self.walk.above(root), self.walk.name());
                    let is_stub =
                        wanted.missing != Missing::Made && self.stubs.is_stub(above, name, &stat);
                    stub = None;
                    is_made = is_stub;
                    if is_stub && wanted.missing == Missing::Stub {
                        let landing = parent_of(self.walk.landing());
                        let shared =
                            self.stubs
                                .share_found(above, landing, name, &stat, wanted.watched);
                        stub = match shared {
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
                Next::Missing => {
                    // Nothing is known of what is above something missing.
                    if has_dot_dot(self.walk.rest()) {
                        return Err(Some((Step::MakeMountPoint, Errno::ENOENT)));
                    }
                    is_made = true;
                    let is_directory = match self.walk.is_last() {
                        true => (wanted.is_directory)().map_err(open)?,
                        false => true,
                    };
                    stub = self.make(root, is_directory, wanted)?;
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
    fn make(
        &mut self,
        root: BorrowedFd,
        is_directory: bool,
        wanted: Wanted,
    ) -> Result<Option<usize>, Option<NotFound>> {
        let failed = |errno| Some((Step::MakeMountPoint, errno));
        let (here, name) = (self.walk.here(root), self.walk.name());
        if wanted.missing == Missing::Made {
            let made = make_plain(here, name, is_directory).map_err(failed)?;
            self.walk.enter_made(made).map_err(failed)?;
            return Ok(None);
        }
        let landing = self.walk.landing();
        let made = self
            .stubs
            .make(here, landing, name, is_directory, wanted.watched);
        let stub = made.map_err(refused_as)?;
        // Of a stub that is a mount point one descriptor is enough; to go on, the walk needs its own.
        if !self.walk.is_last() {
            let again = fs::openat(here, name, fs::O_PATH | fs::O_NOFOLLOW | fs::O_DIRECTORY, 0);
            let again = again.map_err(|errno| match errno {
                Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR => None,
                errno => failed(errno),
            })?;
            self.walk.enter_made(again).map_err(failed)?;
        } else {
            self.walk.end_at_made().map_err(failed)?;
        }
        Ok(Some(stub))
    }

    fn set(&mut self, mount: usize, landing: Range<usize>, place: Place, is_made: bool) {
        self.points[mount] = Some(Point {
            landing,
            parent: None,
            rest: 0..0,
            place,
            is_made,
        });
    }

    /// For a target that is plain text below the landing of an earlier mount.
    fn set_nested(&mut self, mount: usize, parent: usize, plain: &[u8]) -> Result<(), Errno> {
        let above = self.points[parent]
            .as_ref()
            .map_or(0, |point| point.landing.len());
        let landing = keep(&mut self.paths, plain)?;
        let start = (landing.start + above + 1).min(landing.end);
        self.points[mount] = Some(Point {
            rest: start..landing.end,
            landing,
            parent: Some(parent),
            place: Place::Later,
            is_made: false,
        });
        Ok(())
    }

    /// For a walk that has come to the landing of an earlier mount, or into it: what is left of the
    /// path belongs to that.
    fn set_nested_at_walk(&mut self, mount: usize, parent: usize) -> Result<(), Errno> {
        let top = self.points[parent]
            .as_ref()
            .map_or(0..0, |point| point.landing.clone());
        let walked = self.walk.landing().get(top.len()..).unwrap_or_default();
        let rest = self.walk.rest();
        let room = self.paths.capacity() - self.paths.len();
        if room < 2 * (top.len() + walked.len() + rest.len() + 3) {
            return Err(Errno::ENAMETOOLONG);
        }
        // As it is to be looked up.
        let start = self.paths.len();
        self.paths
            .extend_from_slice(walked.get(1..).unwrap_or_default());
        if !walked.is_empty() {
            self.paths.push(b'/');
        }
        let (name, after) = split_first(rest);
        self.paths.extend_from_slice(name);
        self.paths.extend_from_slice(after);
        let rest_of_it = start..self.paths.len();
        self.paths.push(0);
        // As others may lie in it: without `.` and `..`.
        let start = self.paths.len();
        self.paths.extend_from_within(top.clone());
        let mut position = rest_of_it.start;
        loop {
            let left = self.paths.get(position..rest_of_it.end).unwrap_or_default();
            let (name, after) = split_first(left);
            let end = rest_of_it.end - after.len();
            let name = end - name.len()..end;
            position = end;
            match self.paths.get(name.clone()).unwrap_or_default() {
                b"" => break,
                b"." => {}
                b".." => {
                    let landing = self.paths.get(start..).unwrap_or_default();
                    let length = parent_of(landing).len().max(top.len());
                    self.paths.truncate(start + length);
                }
                _ => {
                    self.paths.push(b'/');
                    self.paths.extend_from_within(name);
                }
            }
        }
        let landing = start..self.paths.len();
        self.paths.push(0);
        // Another mount may lie in that one, on the way: then it is the parent. Where `..` leads is for
        // the parent to say.
        let (parent, rest) = match has_dot_dot(self.path(&rest_of_it)) {
            true => (parent, rest_of_it),
            false => {
                let parent = self.cover_of(mount, self.path(&landing)).unwrap_or(parent);
                let above = self.get(parent).map_or(0, |point| point.landing.len());
                let start = (landing.start + above + 1).min(landing.end);
                (parent, start..landing.end)
            }
        };
        self.points[mount] = Some(Point {
            landing,
            parent: Some(parent),
            rest,
            place: Place::Later,
            is_made: false,
        });
        Ok(())
    }

    fn path(&self, range: &Range<usize>) -> &[u8] {
        self.paths.get(range.clone()).unwrap_or_default()
    }

    /// Closes the descriptors, but not those of the stubs.
    pub(crate) fn close(&mut self) {
        self.points.clear();
    }

    /// Forgets the descriptors, but not those of the stubs.
    pub(crate) fn abandon(&mut self) {
        self.walk.abandon();
        for point in self.points.drain(..).flatten() {
            if let Place::Descriptor(place) = point.place {
                forget(place);
            }
        }
    }
}

/// Appends a path, in room that is there already.
fn keep(paths: &mut Vec<u8>, path: &[u8]) -> Result<Range<usize>, Errno> {
    let start = paths.len();
    if paths.capacity() - start < path.len() + 1 {
        return Err(Errno::ENAMETOOLONG);
    }
    paths.extend_from_slice(path);
    paths.push(0);
    Ok(start..start + path.len())
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
/// is for a walk to find out: only what says that, and ENOSYS, selects it.
fn open_plain(root: BorrowedFd, target: &CStr) -> Result<Option<(OwnedFd, Stat)>, Errno> {
    const RESTRICTIONS: u32 = fs::RESOLVE_IN_ROOT | fs::RESOLVE_NO_SYMLINKS;
    let (name, after) = split_first(target.to_bytes());
    let found = match after {
        // One name needs no more than this.
        b"" => fs::openat(
            root,
            CName::new(name)?.as_c_str(),
            fs::O_PATH | fs::O_NOFOLLOW,
            0,
        ),
        _ => openat2(root, target, fs::O_PATH, RESTRICTIONS),
    };
    let found = match found {
        Err(Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR | Errno::ENOSYS | Errno::EAGAIN) => {
            return Ok(None);
        }
        found => found?,
    };
    let stat = fs::stat(found.borrow())?;
    Ok((!stat.is_symlink()).then_some((found, stat)))
}

fn has_dot_dot(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|name| name == b"..")
}

/// A landing without its last name.
fn parent_of(landing: &[u8]) -> &[u8] {
    let slash = landing.iter().rposition(|byte| *byte == b'/');
    landing.get(..slash.unwrap_or(0)).unwrap_or_default()
}

fn is_below(path: &[u8], other: &[u8]) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
