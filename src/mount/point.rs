//! Mount points: the place of each mount of a plan, found before anything is mounted.
//!
//! Every target is looked up once, in the pristine tree of NEWROOT, and held as a descriptor from
//! then on ([`crate::mount::find`]). The *landing* of a target is its resolved path: where it leads
//! in that tree, without links.
//!
//! A target whose landing lies below that of an earlier mount of the plan is not looked up in
//! NEWROOT. It is looked up inside the descriptor of that mount, its parent, once the parent is
//! attached ([`crate::mount::attach`]).
//!
//! No file in NEWROOT can therefore move a mount, or a file made for it, out of NEWROOT: neither a
//! link that a mount hides or uncovers, nor a rename during the run.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::forget;
use core::ops::Range;

use crate::mount::find::has_dot_dot;
use crate::mount::mark::Marks;
use crate::mount::resolve::{Bound, Walk, split_first};
use crate::mount::stub::Stubs;
use crate::sys::{BorrowedFd, Errno, OwnedFd};

/// The place of one mount of the plan.
struct Point {
    landing: Range<usize>,
    /// The earlier mount that this one lies in, and the path from the top of that mount.
    parent: Option<usize>,
    rest: Range<usize>,
    place: Place,
    /// The mount point was made for the run, or will be.
    is_made: bool,
}

pub(super) enum Place {
    /// Inside the parent, or nowhere yet.
    Later,
    Descriptor(OwnedFd),
    Stub(usize),
}

/// The mount points of a plan, one for each of its mounts.
pub(crate) struct Points {
    points: Vec<Option<Point>>,
    /// Landings and paths inside parents, each followed by a NUL.
    pub(super) paths: Vec<u8>,
    pub(super) walk: Walk,
    pub(super) marks: Marks,
    pub(crate) stubs: Stubs,
}

impl Points {
    /// Reserves memory now, because mount points are found after a fork, where nothing may
    /// allocate.
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

    /// Returns the earlier mount that this one lies in.
    pub(crate) fn parent(&self, mount: usize) -> Option<usize> {
        self.get(mount)?.parent
    }

    /// Returns whether the mount point was made for the run, or would be.
    pub(crate) fn is_made(&self, mount: usize) -> bool {
        self.get(mount).is_some_and(|point| point.is_made)
    }

    /// Returns the landing of a mount: a path below NEWROOT, without links.
    pub(crate) fn landing(&self, mount: usize) -> &[u8] {
        let point = self.get(mount);
        point.map_or(b"", |point| self.path(&point.landing))
    }

    /// Returns the path of a mount inside its parent, empty for the parent's top.
    pub(crate) fn rest(&self, mount: usize) -> &CStr {
        let start = self.get(mount).map_or(0, |point| point.rest.start);
        let rest = self.paths.get(start..).unwrap_or_default();
        CStr::from_bytes_until_nul(rest).unwrap_or_default()
    }

    /// Begins the walk from the parent's top to the place of a mount.
    pub(super) fn begin_walk(&mut self, mount: usize) -> Result<(), Errno> {
        let rest = self.get(mount).map_or(0..0, |point| point.rest.clone());
        let rest = self.paths.get(rest).unwrap_or_default();
        self.walk.begin(rest, Bound::Beneath)
    }

    /// Returns the descriptor of a mount point, if it is known by now.
    pub(crate) fn place(&self, mount: usize) -> Option<BorrowedFd<'_>> {
        match &self.get(mount)?.place {
            Place::Later => None,
            Place::Descriptor(place) => Some(place.borrow()),
            Place::Stub(stub) => Some(self.stubs.point(*stub)),
        }
    }

    /// Sets the mount point inside a parent, once the parent is attached.
    pub(crate) fn set_place(&mut self, mount: usize, place: OwnedFd) {
        if let Some(Some(point)) = self.points.get_mut(mount) {
            point.place = Place::Descriptor(place);
        }
    }

    /// Forgets a mount that is left out. No other mount may lie in it.
    pub(crate) fn leave_out(&mut self, mount: usize) {
        self.points[mount] = None;
    }

    /// Returns whether another mount of the plan lies in this one.
    pub(crate) fn is_parent(&self, mount: usize) -> bool {
        let mut points = self.points.iter().flatten();
        points.any(|point| point.parent == Some(mount))
    }

    /// Returns the last mount before `mount` that covers this landing.
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

    /// Sets the place of a target that is plain text below the landing of an earlier mount.
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

    /// Sets the place of a target whose walk has reached the landing of an earlier mount, or gone
    /// past it. The rest of the path belongs to that mount.
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
        // First the path that is looked up inside the parent.
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
        // Then the landing, without `.` and `..`, for later mounts that may lie below it.
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
        // A mount in between may lie in that parent: then it is the parent. A path with `..` stays
        // with the outer parent, because only a lookup there can tell where it leads.
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

    /// Closes the descriptors, except those of temporary mount points.
    pub(crate) fn close(&mut self) {
        self.points.clear();
    }

    /// Forgets all mount points, for another attempt at the plan.
    pub(crate) fn start_over(&mut self) {
        self.points.iter_mut().for_each(|point| *point = None);
        self.paths.clear();
        self.stubs.start_over();
    }

    /// Forgets the descriptors without closing them, except those of temporary mount points.
    pub(crate) fn abandon(&mut self) {
        self.walk.abandon();
        for point in self.points.drain(..).flatten() {
            if let Place::Descriptor(place) = point.place {
                forget(place);
            }
        }
    }
}

/// Appends a path to memory that is already reserved.
pub(super) fn keep(paths: &mut Vec<u8>, path: &[u8]) -> Result<Range<usize>, Errno> {
    let start = paths.len();
    if paths.capacity() - start < path.len() + 1 {
        return Err(Errno::ENAMETOOLONG);
    }
    paths.extend_from_slice(path);
    paths.push(0);
    Ok(start..start + path.len())
}

/// Returns a landing without its last name.
pub(super) fn parent_of(landing: &[u8]) -> &[u8] {
    let slash = landing.iter().rposition(|byte| *byte == b'/');
    landing.get(..slash.unwrap_or(0)).unwrap_or_default()
}

fn is_below(path: &[u8], other: &[u8]) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
