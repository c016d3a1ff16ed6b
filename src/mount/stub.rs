//! Temporary mount points: made in NEWROOT for a run, removed after it.
//!
//! Two runs in one root must never take a mount from each other: removing a directory on which
//! another mount namespace has something mounted detaches that mount without a word. So a temporary
//! mount point, a *stub*, carries a mark ([`crate::mount::mark`]) and its users a lock
//! ([`crate::mount::lock`]), and there is no state anywhere else:
//!
//! - A stub has its mark from the instant in which it has its name. Where a mode is given as it is
//!   asked for, mkdir(2) and open(2) do that; but a default ACL, the caller's mask for new files or the
//!   file system may take bits from it. So the first one in a directory is made under another name
//!   ([`Companion`]), its mode is read back and, if need be, set, and then it is renamed.
//! - Whoever mounts on a stub holds a shared `flock(2)` on it, whether it made it or found it.
//! - Whoever gets an exclusive lock on a stub is alone with it and may remove it
//!   ([`crate::mount::removal`]). A run that comes just then finds that the stub is gone, and begins to
//!   look for its mount point anew.
//! - Where the file system refuses locks, the run that made a stub removes it, and a second run that
//!   finds it refuses to mount there.
//!
//! A stub directory in which the command has made something is kept, and becomes an ordinary one. A
//! stub that was left because every process of its run was killed at once is a stub of the next run
//! that mounts there, and is removed with it.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::forget;
use core::ops::Range;

use crate::mount::lock::{lock_shared, open_to_lock};
use crate::mount::make::{Directory, Place, Refused, Shared, gone, make_aside, make_marked};
use crate::mount::mark::{Companion, is_marked};
use crate::mount::removal::{Record, remove};
use crate::mount::resolve::CName;
use crate::sys::fs::Stat;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// How many stubs one mount point may need, with the directories above it.
pub(crate) const STUBS_MAX: usize = 64;

/// The directory that a stub is in.
enum Parent {
    Root,
    /// Another stub.
    Stub(usize),
    Descriptor(OwnedFd),
    /// That of an earlier stub.
    SameAs(usize),
}

struct Stub {
    parent: Parent,
    /// The landing of the parent, and the name in it, in the text of [`Stubs`].
    above: Range<usize>,
    name: Range<usize>,
    is_directory: bool,
    file: Shared,
}

/// The stubs of a run, made and found.
///
/// Nothing is allocated after [`Stubs::with_room_for`], since they are found after a fork.
pub(crate) struct Stubs {
    stubs: Vec<Stub>,
    text: Vec<u8>,
    most: usize,
}

impl Stubs {
    pub(crate) fn with_room_for(mounts: usize) -> Stubs {
        let most = STUBS_MAX + 2 * mounts;
        Stubs {
            stubs: Vec::with_capacity(most),
            text: Vec::with_capacity((mounts + 1) * 4096),
            most,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stubs.is_empty()
    }

    /// The mount point that is this stub.
    pub(crate) fn point(&self, stub: usize) -> BorrowedFd<'_> {
        self.stubs[stub].file.file.borrow()
    }

    /// Makes a directory or a file, and takes a share in it.
    pub(crate) fn make(&mut self, place: Place) -> Result<usize, Refused> {
        // Before there is anything that could be left behind.
        let parent = self.remember_parent(&place).map_err(Refused::Make)?;
        let directory = match place.parent {
            Directory::Found(directory) => directory,
            Directory::Stub(stub) => self.point(stub),
        };
        let made = match self.keeps_modes_in(place.above) {
            true => make_marked(directory, &place),
            false => make_aside(directory, &place),
        };
        match made {
            Ok(made) => Ok(self.remember(parent, &place, made)),
            Err(Refused::Vanished) => {
                // Should that be because modes are no longer kept here.
                let stubs = self.stubs.iter_mut();
                stubs.for_each(|stub| stub.file.kept_its_mode = false);
                Err(Refused::Vanished)
            }
            Err(refused) => Err(refused),
        }
    }

    /// Takes a share in a stub that was found.
    pub(crate) fn share_found(&mut self, place: Place, found: &Stat) -> Result<usize, Refused> {
        let known = |stub: &Stub| stub.file.identity == found.identity();
        if let Some(known) = self.stubs.iter().position(known) {
            return Ok(known);
        }
        let parent = self.remember_parent(&place).map_err(Refused::Lock)?;
        let Directory::Found(directory) = place.parent else {
            return Err(Refused::Vanished);
        };
        let file =
            open_to_lock(directory, place.name, place.is_directory).map_err(
                |errno| match errno {
                    Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR | Errno::ENXIO => {
                        Refused::Vanished
                    }
                    errno => Refused::Lock(errno),
                },
            )?;
        lock_shared(file.borrow(), place.watched).map_err(Refused::Lock)?;
        let stat = fs::stat(file.borrow()).map_err(gone)?;
        // Whoever removed it was faster than the lock, or made it an ordinary one.
        let now = fs::stat_at(directory, place.name).map_err(gone)?;
        let has_companion = !is_marked(found);
        let is_marked = match has_companion {
            true => Companion::of(place.name)
                .is_there(directory)
                .map_err(gone)?,
            false => is_marked(&stat),
        };
        if now.identity() != stat.identity() || !is_marked {
            return Err(Refused::Vanished);
        }
        let shared = Shared {
            file,
            identity: stat.identity(),
            is_locked: true,
            has_companion,
            kept_its_mode: false,
        };
        Ok(self.remember(parent, &place, shared))
    }

    /// Was a directory made here, or is this one, that was given the mode that was asked for?
    fn keeps_modes_in(&self, above: &[u8]) -> bool {
        self.stubs.iter().any(|stub| {
            let its_above = self.text(&stub.above);
            stub.file.kept_its_mode
                && (above == its_above || is_child(above, its_above, self.text(&stub.name)))
        })
    }

    fn text(&self, range: &Range<usize>) -> &[u8] {
        self.text.get(range.clone()).unwrap_or_default()
    }

    fn remember(&mut self, parent: Parent, place: &Place, file: Shared) -> usize {
        let (above, name) = (place.above, place.name.to_bytes());
        // The landing of the stub before is often that of the directory above.
        let start = match self.stubs.last() {
            Some(last) if self.text.get(last.above.start..) == Some(above) => last.above.start,
            _ => {
                let start = self.text.len();
                self.text.extend_from_slice(above);
                start
            }
        };
        let middle = self.text.len();
        self.text.push(b'/');
        self.text.extend_from_slice(name);
        self.stubs.push(Stub {
            parent,
            above: start..middle,
            name: middle + 1..self.text.len(),
            is_directory: place.is_directory,
            file,
        });
        self.stubs.len() - 1
    }

    /// Fails also where there is no room to remember the stub.
    fn remember_parent(&self, place: &Place) -> Result<Parent, Errno> {
        let above = place.above;
        let room = self.text.capacity() - self.text.len();
        if self.stubs.len() == self.most || room < above.len() + 1 + place.name.count_bytes() {
            return Err(Errno::ENAMETOOLONG);
        }
        let directory = match place.parent {
            Directory::Stub(stub) => return Ok(Parent::Stub(stub)),
            Directory::Found(_) if above.is_empty() => return Ok(Parent::Root),
            Directory::Found(directory) => directory,
        };
        for (index, stub) in self.stubs.iter().enumerate().rev() {
            let (its_above, name) = (self.text(&stub.above), self.text(&stub.name));
            if its_above == above {
                return Ok(match stub.parent {
                    Parent::Stub(parent) => Parent::Stub(parent),
                    Parent::SameAs(other) => Parent::SameAs(other),
                    _ => Parent::SameAs(index),
                });
            }
            if is_child(above, its_above, name) {
                return Ok(Parent::Stub(index));
            }
        }
        fs::duplicate(directory.number()).map(Parent::Descriptor)
    }

    /// What the supervisor has to know to remove them where this process is killed.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.stubs.iter().map(|stub| self.record(stub))
    }

    fn record<'a>(&'a self, stub: &'a Stub) -> Record<'a> {
        Record {
            above: self.text(&stub.above),
            name: self.text(&stub.name),
            identity: stub.file.identity,
            is_directory: stub.is_directory,
            has_companion: stub.file.has_companion,
            is_locked: stub.file.is_locked,
        }
    }

    fn parent<'a>(&'a self, root: BorrowedFd<'a>, stub: &'a Stub) -> BorrowedFd<'a> {
        match &stub.parent {
            Parent::Root => root,
            Parent::Descriptor(parent) => parent.borrow(),
            Parent::Stub(index) => self.point(*index),
            Parent::SameAs(index) => match self.stubs.get(*index).map(|stub| &stub.parent) {
                Some(Parent::Descriptor(parent)) => parent.borrow(),
                _ => root,
            },
        }
    }

    /// Calls `unmount` with the directory and the name of each stub, the last one first.
    pub(crate) fn for_each(&self, root: BorrowedFd, unmount: &mut dyn FnMut(BorrowedFd, &CStr)) {
        for stub in self.stubs.iter().rev() {
            if let Ok(name) = CName::new(self.text(&stub.name)) {
                unmount(self.parent(root, stub), name.as_c_str());
            }
        }
    }

    /// Removes them, as far as no other run uses them. Nothing may be mounted on them in this mount
    /// namespace any more. The first failure, with the name, after all have been tried.
    pub(crate) fn remove(&self, root: BorrowedFd) -> Result<(), (&[u8], Errno)> {
        let mut result = Ok(());
        for stub in self.stubs.iter().rev() {
            let record = self.record(stub);
            let removed = remove(self.parent(root, stub), stub.file.file.borrow(), &record);
            if let Err(errno) = removed {
                result = result.and(Err((record.name, errno)));
            }
        }
        result
    }

    /// The smallest descriptor of these that is not below `first`.
    pub(crate) fn next_descriptor(&self, first: u32) -> Option<u32> {
        let numbers = self.stubs.iter().flat_map(|stub| {
            let parent = match &stub.parent {
                Parent::Descriptor(parent) => Some(parent.number() as u32),
                _ => None,
            };
            [Some(stub.file.file.number() as u32), parent]
        });
        numbers.flatten().filter(|number| *number >= first).min()
    }

    /// Forgets those that were made, and removed again, for another run of the plan.
    pub(crate) fn start_over(&mut self) {
        self.stubs.clear();
        self.text.clear();
    }

    /// Forgets the descriptors, which are another process's.
    #[cfg_attr(not(feature = "call"), allow(dead_code))]
    pub(crate) fn abandon(&mut self) {
        for stub in self.stubs.drain(..) {
            forget(stub.file.file);
            if let Parent::Descriptor(parent) = stub.parent {
                forget(parent);
            }
        }
    }
}

/// Is the landing `above` that of `name` in `its_above`?
fn is_child(above: &[u8], its_above: &[u8], name: &[u8]) -> bool {
    let rest = above.strip_prefix(its_above);
    rest.and_then(|rest| rest.strip_prefix(b"/")) == Some(name)
}
