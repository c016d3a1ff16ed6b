//! Mount points: where each mount of a plan goes, found before anything is mounted.
//!
//! All targets are looked up in the pristine tree of NEWROOT, once each, and held as descriptors from
//! then on ([`crate::mount::find`]). Where one leads below the landing of an earlier mount of the plan, no file of NEWROOT is
//! asked any more: it is looked up inside that mount's own descriptor when that has been attached
//! ([`crate::mount::attach`]). So no link that a mount hides or uncovers, and nobody who renames
//! meanwhile, can lead a mount or something that is made for it out of NEWROOT.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::forget;
use core::ops::Range;

use crate::mount::find::has_dot_dot;
use crate::mount::mark::Marks;
use crate::mount::resolve::{Bound, Walk, split_first};
use crate::mount::stub::Stubs;
use crate::sys::{BorrowedFd, Errno, OwnedFd};

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

pub(super) enum Place {
    /// In its parent, or nowhere yet.
    Later,
    Descriptor(OwnedFd),
    Stub(usize),
}

/// The mount points of a plan, one for each of its mounts.
pub(crate) struct Points {
    points: Vec<Option<Point>>,
    /// Landings and what is below them, each with a NUL after it.
    pub(super) paths: Vec<u8>,
    pub(super) walk: Walk,
    pub(super) marks: Marks,
    pub(crate) stubs: Stubs,
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
            marks: Marks::default(),
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

    /// Begins the walk from its parent's top to where a mount goes.
    pub(super) fn begin_walk(&mut self, mount: usize) -> Result<(), Errno> {
        let rest = self.get(mount).map_or(0..0, |point| point.rest.clone());
        let rest = self.paths.get(rest).unwrap_or_default();
        self.walk.begin(rest, Bound::Beneath)
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
    pub(super) fn cover_of(&self, mount: usize, landing: &[u8]) -> Option<usize> {
        let earlier = self.points.get(..mount).unwrap_or_default();
        earlier.iter().rposition(|point| {
            point
                .as_ref()
                .is_some_and(|point| is_below(landing, self.path(&point.landing)))
        })
    }

    pub(super) fn set(&mut self, mount: usize, landing: Range<usize>, place: Place, is_made: bool) {
        self.points[mount] = Some(Point {
            landing,
            parent: None,
            rest: 0..0,
            place,
            is_made,
        });
    }

    /// For a target that is plain text below the landing of an earlier mount.
    pub(super) fn set_nested(
        &mut self,
        mount: usize,
        parent: usize,
        plain: &[u8],
    ) -> Result<(), Errno> {
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
    pub(super) fn set_nested_at_walk(&mut self, mount: usize, parent: usize) -> Result<(), Errno> {
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

    /// Forgets all mount points, for another run of the plan.
    pub(crate) fn start_over(&mut self) {
        self.points.iter_mut().for_each(|point| *point = None);
        self.paths.clear();
        self.stubs.start_over();
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
pub(super) fn keep(paths: &mut Vec<u8>, path: &[u8]) -> Result<Range<usize>, Errno> {
    let start = paths.len();
    if paths.capacity() - start < path.len() + 1 {
        return Err(Errno::ENAMETOOLONG);
    }
    paths.extend_from_slice(path);
    paths.push(0);
    Ok(start..start + path.len())
}

/// A landing without its last name.
pub(super) fn parent_of(landing: &[u8]) -> &[u8] {
    let slash = landing.iter().rposition(|byte| *byte == b'/');
    landing.get(..slash.unwrap_or(0)).unwrap_or_default()
}

fn is_below(path: &[u8], other: &[u8]) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
