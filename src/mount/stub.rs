//! Temporary mount points: made in NEWROOT for a run, removed after it.
//!
//! Two runs in one root must never take a mount from each other: removing a directory on which
//! another mount namespace has something mounted detaches that mount without a word. So a temporary
//! mount point, a *stub*, carries a mark and its users a lock, and there is no state anywhere else:
//!
//! - The mark is the stub's mode, because a mode is what `mkdir(2)` and `open(2)` give a file in
//!   the same instant as its name. Nobody else makes an empty directory with mode 1715 or an empty
//!   file with mode 1404. Whether the file system kept the mode is checked; a default ACL takes bits
//!   away, which `fchmod(2)` gives back.
//! - Where a file system gives all files one mode (vfat, some FUSE servers), the mark is a companion:
//!   for `dev` an empty file `.dev.rootlet` beside it, made before the stub and removed after it.
//! - Whoever mounts on a stub holds a shared `flock(2)` on it, whether it made it or found it.
//! - Whoever gets an exclusive lock on a stub is alone with it and may remove it. A run that
//!   comes just then finds that the stub is gone, and begins to look for its mount point anew.
//! - Where the file system refuses locks, the run that made a stub removes it, and a second run that
//!   finds it refuses to mount there.
//!
//! A stub is removed as what it is remembered as: the directory it was made in, by descriptor, its
//! name there, and its identity. A stub directory in which the command has made something is kept,
//! and becomes an ordinary one. A stub that was left because every process of its run was killed at
//! once is a stub of the next run that mounts there, and is removed with it.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::forget;
use core::ops::Range;

use crate::mount::resolve::{Bound, CName, NAME_MAX, Next, Walk, open_landing};
use crate::sys::fs::{Identity, Lock, Stat};
use crate::sys::poll::{NANOSECONDS, Poll, clock, poll};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::path::split_last;

const DIRECTORY_MODE: u32 = 0o1715;
const FILE_MODE: u32 = 0o1404;

/// How long somebody else's lock is waited for. Whoever removes a stub holds it for microseconds.
const PATIENCE: u64 = 3 * NANOSECONDS;
const BETWEEN_TRIES: u64 = NANOSECONDS / 200;

/// How many stubs one mount point may need, with the directories above it.
pub(crate) const STUBS_MAX: usize = 64;

/// Has it the mode of a stub, of ours or of another run?
pub(crate) fn is_marked(stat: &Stat) -> bool {
    // A directory made in a set-group-id directory inherits that bit.
    let permissions = stat.permissions() & !0o2000;
    (stat.is_directory() && permissions == DIRECTORY_MODE)
        || (stat.is_file() && permissions == FILE_MODE && stat.size == 0)
}

/// By what a stub is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Mode,
    Companion,
}

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
    identity: Identity,
    is_directory: bool,
    mark: Mark,
    /// The lock, and the mount point: one descriptor for both, since a second one of this run would
    /// refuse the first its exclusive lock.
    file: OwnedFd,
    is_locked: bool,
}

/// The stubs of a run, made and found.
///
/// Nothing is allocated after [`Stubs::with_room_for`], since they are found after a fork.
pub(crate) struct Stubs {
    stubs: Vec<Stub>,
    text: Vec<u8>,
    /// The last device that was asked about, and whether files keep their modes there.
    keeps_modes: Option<(u64, bool)>,
    umask: Option<u32>,
    most: usize,
}

/// Why a stub cannot be had.
pub(crate) enum Refused {
    /// It vanished: the mount point is to be looked for again.
    Vanished,
    /// It cannot be made.
    Make(Errno),
    /// Somebody holds a lock on it, or there are no locks.
    Lock(Errno),
}

impl Stubs {
    pub(crate) fn with_room_for(mounts: usize) -> Stubs {
        let most = STUBS_MAX + 2 * mounts;
        Stubs {
            stubs: Vec::with_capacity(most),
            text: Vec::with_capacity((mounts + 1) * 4096),
            keeps_modes: None,
            umask: None,
            most,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stubs.is_empty()
    }

    /// The mount point that is this stub.
    pub(crate) fn point(&self, stub: usize) -> BorrowedFd<'_> {
        self.stubs[stub].file.borrow()
    }

    /// Is what was found in `parent` a stub, of another run or of an earlier one? Where modes are
    /// not kept, its companion tells.
    pub(crate) fn is_stub(&mut self, parent: BorrowedFd, name: &CStr, found: &Stat) -> bool {
        if is_marked(found) {
            return true;
        }
        let device = found.identity()[1];
        let keeps_modes = match self.keeps_modes {
            Some((known, keeps_modes)) if known == device => keeps_modes,
            _ => {
                let keeps_modes = keeps_modes(parent);
                self.keeps_modes = Some((device, keeps_modes));
                keeps_modes
            }
        };
        !keeps_modes
            && Companion::of(name)
                .is_ok_and(|companion| fs::stat_at(parent, companion.0.as_c_str()).is_ok())
    }

    /// The same of a mount point that is there, whose directory is not at hand: false where only that
    /// could tell.
    pub(crate) fn keeps_modes(&mut self, point: BorrowedFd, found: &Stat) -> bool {
        let device = found.identity()[1];
        match self.keeps_modes {
            Some((known, keeps_modes)) if known == device => keeps_modes,
            _ => {
                let keeps_modes = keeps_modes(point);
                self.keeps_modes = Some((device, keeps_modes));
                keeps_modes
            }
        }
    }

    /// Makes a directory or a file in `parent`, whose landing is `above`, and takes a share in it.
    pub(crate) fn make(
        &mut self,
        parent: BorrowedFd,
        above: &[u8],
        name: &CStr,
        is_directory: bool,
        watched: &[BorrowedFd],
    ) -> Result<usize, Refused> {
        // What is made is remembered.
        if !self.has_room_for(above, name) {
            return Err(Refused::Make(Errno::ENAMETOOLONG));
        }
        // The mode is the mark, whatever the caller's mask.
        self.umask.get_or_insert_with(|| fs::umask(0));
        let mark = self.mark_in(parent, name).map_err(Refused::Make)?;
        let made = match is_directory {
            true => fs::mkdirat(parent, name, DIRECTORY_MODE).map(|()| None),
            false => {
                let flags = fs::O_RDONLY | fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW;
                fs::openat(parent, name, flags, FILE_MODE).map(Some)
            }
        };
        let file = match made {
            Ok(file) => file,
            // Another run was faster; or it has just removed the directory that we are in.
            Err(Errno::EEXIST | Errno::ENOENT) => return Err(Refused::Vanished),
            Err(errno) => {
                if mark == Mark::Companion {
                    let _ = Companion::of(name).and_then(|companion| companion.remove(parent));
                }
                return Err(Refused::Make(errno));
            }
        };
        self.share(parent, above, name, is_directory, mark, file, true, watched)
    }

    /// Takes a share in a stub that was found in `parent`.
    pub(crate) fn share_found(
        &mut self,
        parent: BorrowedFd,
        above: &[u8],
        name: &CStr,
        found: &Stat,
        watched: &[BorrowedFd],
    ) -> Result<usize, Refused> {
        let known = |stub: &Stub| stub.identity == found.identity();
        if let Some(known) = self.stubs.iter().position(known) {
            return Ok(known);
        }
        let mark = match is_marked(found) {
            true => Mark::Mode,
            false => Mark::Companion,
        };
        self.share(
            parent,
            above,
            name,
            found.is_directory(),
            mark,
            None,
            false,
            watched,
        )
    }

    #[allow(clippy::too_many_arguments, reason = "what is known of one stub")]
    fn share(
        &mut self,
        parent: BorrowedFd,
        above: &[u8],
        name: &CStr,
        is_directory: bool,
        mark: Mark,
        file: Option<OwnedFd>,
        is_made: bool,
        watched: &[BorrowedFd],
    ) -> Result<usize, Refused> {
        let file = match file {
            Some(file) => file,
            None => open_stub(parent, name, is_directory)?,
        };
        let is_locked = match lock_shared(file.borrow(), watched) {
            Ok(()) => true,
            // Without locks whoever made it removes it.
            Err(errno) if is_made && has_no_locks(errno) => false,
            Err(errno) => return Err(Refused::Lock(errno)),
        };
        let mut stat = fs::stat(file.borrow()).map_err(Refused::Lock)?;
        // Whoever removed it was faster than the lock.
        if stat.links == 0 {
            return Err(Refused::Vanished);
        }
        if mark == Mark::Mode && !is_marked(&stat) {
            if !is_made {
                return Err(Refused::Vanished);
            }
            let mode = if is_directory {
                DIRECTORY_MODE
            } else {
                FILE_MODE
            };
            // A default ACL took bits from the mode that we asked for. It takes no sticky bit; what
            // lacks that may be somebody's own that was put in the place of ours.
            let permissions = stat.permissions() & !0o2000;
            if permissions & !mode == 0 && permissions & 0o1000 != 0 {
                let _ = fs::fchmod(file.borrow(), mode);
            }
            stat = fs::stat(file.borrow()).map_err(Refused::Lock)?;
        }
        let mark = match is_marked(&stat) {
            true => mark,
            // A file system that we did not know for this.
            false => match Companion::of(name).and_then(|companion| companion.make(parent)) {
                Ok(_) => Mark::Companion,
                Err(_) => mark,
            },
        };
        if !self.has_room_for(above, name) {
            return Err(Refused::Make(Errno::ENAMETOOLONG));
        }
        let parent = self.remember_parent(parent, above).map_err(Refused::Lock)?;
        let name = name.to_bytes();
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
            identity: stat.identity(),
            is_directory,
            mark,
            file,
            is_locked,
        });
        Ok(self.stubs.len() - 1)
    }

    fn has_room_for(&self, above: &[u8], name: &CStr) -> bool {
        let room = self.text.capacity() - self.text.len();
        self.stubs.len() < self.most && above.len() + 1 + name.count_bytes() <= room
    }

    /// How a stub in this directory is to be marked. A companion is made here, before the stub.
    fn mark_in(&mut self, parent: BorrowedFd, name: &CStr) -> Result<Mark, Errno> {
        let stat = fs::stat(parent)?;
        if self.keeps_modes(parent, &stat) {
            return Ok(Mark::Mode);
        }
        // It may keep them after all, as many a FUSE server does.
        let companion = Companion::of(name)?;
        let made = companion.make(parent)?;
        if made.is_some_and(|made| is_marked(&made)) {
            companion.remove(parent)?;
            return Ok(Mark::Mode);
        }
        Ok(Mark::Companion)
    }

    fn remember_parent(&self, parent: BorrowedFd, above: &[u8]) -> Result<Parent, Errno> {
        if above.is_empty() {
            return Ok(Parent::Root);
        }
        let text = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        for (index, stub) in self.stubs.iter().enumerate().rev() {
            let (its_above, name) = (text(&stub.above), text(&stub.name));
            if its_above == above {
                return Ok(match stub.parent {
                    Parent::Stub(parent) => Parent::Stub(parent),
                    Parent::SameAs(other) => Parent::SameAs(other),
                    _ => Parent::SameAs(index),
                });
            }
            let is_it = above
                .strip_prefix(its_above)
                .and_then(|rest| rest.strip_prefix(b"/"));
            if is_it == Some(name) {
                return Ok(Parent::Stub(index));
            }
        }
        fs::duplicate(parent.number()).map(Parent::Descriptor)
    }

    /// Gives the caller's mask for new files back.
    pub(crate) fn restore_umask(&mut self) {
        if let Some(umask) = self.umask.take() {
            fs::umask(umask);
        }
    }

    /// What the supervisor has to know to remove them where this process is killed.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.stubs.iter().map(|stub| self.record(stub))
    }

    fn record<'a>(&'a self, stub: &'a Stub) -> Record<'a> {
        Record {
            above: self.text.get(stub.above.clone()).unwrap_or_default(),
            name: self.text.get(stub.name.clone()).unwrap_or_default(),
            identity: stub.identity,
            is_directory: stub.is_directory,
            has_companion: stub.mark == Mark::Companion,
            is_locked: stub.is_locked,
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
            let name = self.text.get(stub.name.clone()).unwrap_or_default();
            if let Ok(name) = CName::new(name) {
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
            let removed = remove(self.parent(root, stub), stub.file.borrow(), &record);
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
            [Some(stub.file.number() as u32), parent]
        });
        numbers.flatten().filter(|number| *number >= first).min()
    }

    /// Forgets the descriptors, which are another process's.
    pub(crate) fn abandon(&mut self) {
        for stub in self.stubs.drain(..) {
            forget(stub.file);
            if let Parent::Descriptor(parent) = stub.parent {
                forget(parent);
            }
        }
    }
}

/// A stub as it is told of and removed.
pub(crate) struct Record<'a> {
    /// The landing of its directory: a path without links, empty for the root.
    pub(crate) above: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) identity: Identity,
    pub(crate) is_directory: bool,
    pub(crate) has_companion: bool,
    pub(crate) is_locked: bool,
}

/// Removes the stub of a record, from outside of the run: its directory is found again without
/// following a link. What is not that stub any more stays, and that is no error.
pub(crate) fn remove_recorded(root: BorrowedFd, record: &Record) -> Result<(), Errno> {
    let name = CName::new(record.name)?;
    let opened = open_landing(root, record.above).and_then(|parent| {
        let file = open_to_lock(parent.borrow(), name.as_c_str(), record.is_directory)?;
        Ok((parent, file))
    });
    match opened {
        Ok((parent, file)) => {
            if fs::stat(file.borrow())?.identity() != record.identity {
                return Ok(());
            }
            remove(parent.borrow(), file.borrow(), record)
        }
        // Somebody renamed or removed it, or what is there now is no stub.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENXIO) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Removes the stubs on the way to a target and at its end, the last one first, as far as no run uses
/// them: for a run whose pid 1 was killed before it could report what it had made.
pub(crate) fn sweep(root: BorrowedFd, target: &[u8]) -> Result<(), Errno> {
    let mut walk = Walk::new();
    let mut landings: Vec<(Vec<u8>, Stat)> = Vec::new();
    walk.begin(target, Bound::InRoot)?;
    loop {
        match walk.next(root) {
            Ok(Next::Entered(stat)) if is_marked(&stat) => {
                landings.push((walk.landing().to_vec(), stat));
            }
            Ok(Next::Entered(_) | Next::Redirected) => {}
            // What leads nowhere has no mount point.
            Ok(Next::End | Next::Missing) | Err(_) => break,
        }
    }
    for (landing, stat) in landings.iter().rev() {
        let (above, name) = split_last(landing);
        remove_recorded(
            root,
            &Record {
                above,
                name,
                identity: stat.identity(),
                is_directory: stat.is_directory(),
                has_companion: false,
                is_locked: true,
            },
        )?;
    }
    Ok(())
}

fn remove(parent: BorrowedFd, file: BorrowedFd, record: &Record) -> Result<(), Errno> {
    let name = CName::new(record.name)?;
    let name = name.as_c_str();
    loop {
        let _writable = match record.is_locked.then(|| lock_exclusive(parent, name, file)) {
            // Another run uses it.
            Some(Err(Errno::EAGAIN)) => return Ok(()),
            Some(locked) => locked?,
            None => None,
        };
        let now = match fs::stat_at(parent, name) {
            Err(Errno::ENOENT) => return remove_companion(parent, name, record),
            now => now?,
        };
        // With another mode, or with something in it, somebody has made it their own.
        let is_bare = record.has_companion && (record.is_directory || now.size == 0);
        if now.identity() != record.identity || !(is_bare || is_marked(&now)) {
            return Ok(());
        }
        match fs::unlinkat(parent, name, record.is_directory) {
            Ok(()) | Err(Errno::ENOENT) => return remove_companion(parent, name, record),
            Err(Errno::ENOTEMPTY) => {}
            Err(errno) => return Err(errno),
        }
        if !holds_only_stubs(file)? {
            // The command has made it its own. From now on it is an ordinary directory.
            if is_marked(&now) {
                fs::fchmod(file, 0o755)?;
            }
            return remove_companion(parent, name, record);
        }
        // Whoever emptied it while we held the lock was refused the lock and leaves it to us, so
        // look again after letting go.
        if record.is_locked {
            fs::flock(file, Lock::Unlock)?;
        }
        if !is_empty(parent, name)? {
            return Ok(());
        }
    }
}

fn remove_companion(parent: BorrowedFd, name: &CStr, record: &Record) -> Result<(), Errno> {
    match record.has_companion {
        true => Companion::of(name)?.remove(parent),
        false => Ok(()),
    }
}

/// The file that marks a stub where its mode cannot.
struct Companion(CName);

impl Companion {
    fn of(name: &CStr) -> Result<Companion, Errno> {
        let (name, mut text) = (name.to_bytes(), [0; NAME_MAX]);
        let length = name.len() + 9;
        let room = text.get_mut(..length).ok_or(Errno::ENAMETOOLONG)?;
        room[0] = b'.';
        room[1..=name.len()].copy_from_slice(name);
        room[name.len() + 1..].copy_from_slice(b".rootlet");
        CName::new(room).map(Companion)
    }

    /// Gives what the file system made of it; `None` where it was there.
    fn make(&self, parent: BorrowedFd) -> Result<Option<Stat>, Errno> {
        let flags = fs::O_RDONLY | fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW;
        match fs::openat(parent, self.0.as_c_str(), flags, FILE_MODE) {
            Ok(file) => fs::stat(file.borrow()).map(Some),
            Err(Errno::EEXIST) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn remove(&self, parent: BorrowedFd) -> Result<(), Errno> {
        match fs::unlinkat(parent, self.0.as_c_str(), false) {
            Err(Errno::ENOENT) => Ok(()),
            result => result,
        }
    }
}

/// Does this file system keep the mode that a file is made with? The numbers of those that may not
/// are from `<linux/magic.h>` and the kernel's `fs/`.
fn keeps_modes(file: BorrowedFd) -> bool {
    const MSDOS: u64 = 0x4d44;
    const EXFAT: u64 = 0x2011_bab0;
    const NTFS3: u64 = 0x7366_746e;
    const FUSE: u64 = 0x6573_5546;
    const V9FS: u64 = 0x0102_1997;
    const SMB: u64 = 0xff53_4d42;
    const SMB2: u64 = 0xfe53_4d42;
    const HFS: u64 = 0x4244;
    const UNSURE: [u64; 8] = [MSDOS, EXFAT, NTFS3, FUSE, V9FS, SMB, SMB2, HFS];
    fs::statfs(file).is_ok_and(|(kind, _)| !UNSURE.contains(&kind))
}

/// A refusal of flock(2) that comes from the file system.
fn has_no_locks(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EBADF | Errno::ENOSYS | Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::EINVAL
    )
}

/// Takes a shared lock, which is waited for as long as nothing comes from what is watched.
fn lock_shared(file: BorrowedFd, watched: &[BorrowedFd]) -> Result<(), Errno> {
    let mut deadline = None;
    loop {
        match fs::flock(file, Lock::TryShared) {
            Err(Errno::EAGAIN) => {}
            result => return result,
        }
        let now = clock();
        if now >= *deadline.get_or_insert(now + PATIENCE) {
            return Err(Errno::EAGAIN);
        }
        let mut ready = [Poll::none(), Poll::none()];
        for (poll, watched) in ready.iter_mut().zip(watched) {
            *poll = Poll::new(*watched);
        }
        if poll(&mut ready, Some(now + BETWEEN_TRIES))? {
            return Err(Errno::EINTR);
        }
    }
}

/// Opens a stub as [`open_to_lock`] does.
fn open_stub(parent: BorrowedFd, name: &CStr, is_directory: bool) -> Result<OwnedFd, Refused> {
    match open_to_lock(parent, name, is_directory) {
        Err(Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR | Errno::ENXIO) => Err(Refused::Vanished),
        result => result.map_err(Refused::Lock),
    }
}

fn open_to_lock(parent: BorrowedFd, name: &CStr, is_directory: bool) -> Result<OwnedFd, Errno> {
    // Should it have become a FIFO, O_NONBLOCK keeps open(2) from waiting.
    let flags = fs::O_RDONLY | fs::O_NOFOLLOW | fs::O_NONBLOCK;
    let directory = if is_directory { fs::O_DIRECTORY } else { 0 };
    fs::openat(parent, name, flags | directory, 0)
}

/// Takes the exclusive lock. NFS gives it only to those who have the file open for writing, and while
/// one has, the mount cannot be made read-only: so such a descriptor is opened for the lock alone.
fn lock_exclusive(
    parent: BorrowedFd,
    name: &CStr,
    file: BorrowedFd,
) -> Result<Option<OwnedFd>, Errno> {
    match fs::flock(file, Lock::TryExclusive) {
        Err(Errno::EBADF) => {}
        result => return result.map(|()| None),
    }
    let flags = fs::O_RDWR | fs::O_NOFOLLOW | fs::O_NONBLOCK;
    let writable = fs::openat(parent, name, flags, 0)?;
    fs::flock(file, Lock::Unlock)?;
    fs::flock(writable.borrow(), Lock::TryExclusive)?;
    Ok(Some(writable))
}

/// What is mounted on a stub, and hides it from us, is taken for one.
fn holds_only_stubs(directory: BorrowedFd) -> Result<bool, Errno> {
    let mount_id = fs::stat(directory)?.mount_id;
    let mut only_stubs = true;
    fs::visit_names(directory, &mut |name| {
        only_stubs = match CName::new(name) {
            Ok(name) => match fs::stat_at(directory, name.as_c_str()) {
                Ok(stat) => {
                    is_marked(&stat)
                        || stat.mount_id != mount_id
                        || name.as_c_str().to_bytes().ends_with(b".rootlet")
                        || Companion::of(name.as_c_str()).is_ok_and(|companion| {
                            fs::stat_at(directory, companion.0.as_c_str()).is_ok()
                        })
                }
                Err(errno) => errno == Errno::ENOENT,
            },
            Err(_) => false,
        };
        only_stubs
    })?;
    Ok(only_stubs)
}

fn is_empty(parent: BorrowedFd, name: &CStr) -> Result<bool, Errno> {
    let flags = fs::O_RDONLY | fs::O_NOFOLLOW | fs::O_DIRECTORY;
    let directory = match fs::openat(parent, name, flags, 0) {
        Err(Errno::ENOENT) => return Ok(true),
        directory => directory?,
    };
    let mut empty = true;
    fs::visit_names(directory.borrow(), &mut |_| {
        empty = false;
        false
    })?;
    Ok(empty)
}
