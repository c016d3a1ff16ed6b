//! Temporary mount points: made in NEWROOT for a run and removed afterwards. A [`Stub`] is one of
//! them.
//!
//! Two runs in one root must never take a mount from each other. The kernel makes that easy to get
//! wrong: removing a directory silently detaches all mounts that other mount namespaces have there.
//! A temporary mount point therefore carries a mark ([`crate::mount::mark`]), and its users hold a
//! lock ([`crate::mount::lock`]). There is no other state:
//!
//! - A temporary mount point has its mark from the moment it has its name. mkdir(2) and open(2) do
//!   that where a new file gets exactly the mode that they ask for. A default ACL, the umask or the
//!   file system may clear bits, so the first one in a directory is made under another name
//!   ([`Companion`]). Its mode is read back, corrected if necessary, and then it is renamed.
//! - Every run that mounts on one holds a shared `flock(2)` on it, whether it made or found it.
//! - A run that gets the exclusive lock is its only user and may remove it
//!   ([`crate::mount::removal`]). A run that arrives at that moment finds it gone and starts its
//!   lookup again.
//! - Where the file system has no locks, the run that made the mount point removes it, and a second
//!   run that finds it refuses to mount there.
//!
//! A directory in which the command has created something is kept and becomes an ordinary
//! directory. A mount point that stayed behind because all processes of its run were killed at once
//! is adopted by the next run that mounts there, and removed with that run.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::forget;
use core::ops::Range;

use crate::mount::lock::{lock_shared, open_to_lock};
use crate::mount::make::{Directory, Place, Refused, Shared, gone, make_aside, make_marked};
use crate::mount::mark::{Companion, DIRECTORY, FILE, is_marked};
use crate::mount::removal::{Record, remove};
use crate::mount::resolve::CName;
use crate::sys::fs::Stat;
use crate::sys::reaper::MountPoint;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// How many temporary mount points one target may need, including the directories above it.
pub(crate) const STUBS_MAX: usize = 64;

/// The directory that holds a temporary mount point.
enum Parent {
    Root,
    /// Another temporary mount point.
    Stub(usize),
    Descriptor(OwnedFd),
    /// The directory of an earlier one.
    SameAs(usize),
}

struct Stub {
    parent: Parent,
    /// The landing of the parent and the name in it, as ranges of `Stubs::text`.
    above: Range<usize>,
    name: Range<usize>,
    is_directory: bool,
    file: Shared,
}

/// The temporary mount points that a run has made or found.
///
/// Nothing is allocated after [`Stubs::with_room_for`], because they are found after a fork.
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

    /// Returns the descriptor to mount on.
    pub(crate) fn point(&self, stub: usize) -> BorrowedFd<'_> {
        self.stubs[stub].file.file.borrow()
    }

    /// Makes a directory or a file, and locks it shared.
    pub(crate) fn make(&mut self, place: Place) -> Result<usize, Refused> {
        // This may fail, so it comes before anything is made.
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
                // The cause may be that this file system no longer keeps modes: check again.
                let stubs = self.stubs.iter_mut();
                stubs.for_each(|stub| stub.file.kept_its_mode = false);
                Err(Refused::Vanished)
            }
            Err(refused) => Err(refused),
        }
    }

    /// Locks a temporary mount point that was found.
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
        // Another run may have removed it before we had the lock, or made it an ordinary directory.
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

    /// Returns whether a directory that was made in `above`, or `above` itself, got exactly the
    /// mode that was asked for.
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
        // The previous one often has the same parent.
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

    /// Returns how to find the parent again. Fails also where the reserved memory is used up.
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

    /// Returns the records that the supervisor needs to remove them if this process is killed.
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

    /// Calls `unmount` with the directory and the name of each one, the last one first.
    pub(crate) fn for_each(&self, root: BorrowedFd, unmount: &mut dyn FnMut(BorrowedFd, &CStr)) {
        for stub in self.stubs.iter().rev() {
            if let Ok(name) = CName::new(self.text(&stub.name)) {
                unmount(self.parent(root, stub), name.as_c_str());
            }
        }
    }

    /// Calls `with` with each one, the last one first, or with `None` if its mark is a companion or it
    /// could not be locked.
    pub(crate) fn for_each_point(
        &self,
        root: BorrowedFd,
        with: &mut dyn FnMut(Option<MountPoint>),
    ) {
        for stub in self.stubs.iter().rev() {
            let (permissions, may_differ) = match stub.is_directory {
                true => DIRECTORY,
                false => FILE,
            };
            let name = CName::new(self.text(&stub.name));
            let is_plain = stub.file.is_locked && !stub.file.has_companion;
            with(match (&name, is_plain) {
                (Ok(name), true) => Some(MountPoint {
                    parent: self.parent(root, stub),
                    name: name.as_c_str(),
                    file: stub.file.file.borrow(),
                    identity: stub.file.identity,
                    is_directory: stub.is_directory,
                    permissions,
                    may_differ,
                }),
                _ => None,
            });
        }
    }

    /// Removes those that no other run uses. Nothing may be mounted on them in this mount namespace
    /// any more. Tries all of them, and returns the first failure with its name.
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

    /// Returns the smallest of their descriptors that is at least `first`.
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

    /// Forgets all of them, after they were removed, for another attempt at the plan.
    pub(crate) fn start_over(&mut self) {
        self.stubs.clear();
        self.text.clear();
    }

    /// Forgets the descriptors without closing them, because they belong to another process.
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

/// Returns whether `above` is the landing of `name` in `its_above`.
fn is_child(above: &[u8], its_above: &[u8], name: &[u8]) -> bool {
    let rest = above.strip_prefix(its_above);
    rest.and_then(|rest| rest.strip_prefix(b"/")) == Some(name)
}
