//! Mounts attached into a root: source, mount point, options, in that order, all by descriptor.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::{Error, Step, Verbose, say_left_out};
use crate::mount::copy::{COPY, Memory, put_in_overlay};
use crate::mount::pivot::ON_TOP_OF_ROOT;
use crate::mount::remount::set_flags_of_attached;
use crate::mount::resolve::resolve;
use crate::mount::{Mount, Source, devices, stub};
use crate::sys::mount::{
    MNT_DETACH, MOUNT_ATTR_RDONLY, MS_BIND, MS_MOVE, MS_REC, mount, mount_setattr, move_mount,
    open_tree, umount,
};
use crate::sys::process::{OpenFiles, open_files_limit, set_open_files_limit};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::name::Name;
use crate::text::short::Short;

/// How often a mount point may vanish under us: each time, another run has just removed its stub.
const ATTEMPTS: usize = 1000;

/// What is to be undone after the run.
pub(crate) struct Attached {
    /// A share in each mount point that is a stub, held as long as the run lives.
    pub(crate) shares: Vec<OwnedFd>,
    pub(crate) made_stubs: bool,
    /// The root is an overlay.
    pub(crate) in_overlay: bool,
    mounted: Vec<Mounted>,
    /// The limit that the command is to have again.
    pub(crate) open_files: Option<OpenFiles>,
}

/// One of the mounts that was not left out.
struct Mounted {
    index: usize,
    /// Its identity, or 0 as long as nobody has asked for it.
    id: u64,
}

impl Attached {
    /// Room is made now, since the child that fills it must not allocate.
    pub(crate) fn with_room_for(mounts: &[Mount]) -> Attached {
        Attached {
            shares: Vec::with_capacity(mounts.len()),
            made_stubs: false,
            in_overlay: false,
            mounted: Vec::with_capacity(mounts.len()),
            open_files: None,
        }
    }

    /// Allows as many shares as the caller may ask for; false where that has been done.
    fn allow_more_files(&mut self) -> bool {
        let limit = open_files_limit();
        self.open_files.is_none() && {
            self.open_files = Some(limit);
            set_open_files_limit([limit[1]; 2]).is_ok()
        }
    }
}

/// Attaches the mounts in order.
pub(crate) fn attach_all<'a>(
    root: BorrowedFd,
    mounts: &'a [Mount],
    attached: &mut Attached,
    verbose: Verbose,
) -> Result<(), Error<'a>> {
    for (index, mount) in mounts.iter().enumerate() {
        let mut result = attach(root, mount, mounts, attached, verbose);
        if result.as_ref().is_err_and(Error::is_of_too_many_files) && attached.allow_more_files() {
            result = attach(root, mount, mounts, attached, verbose);
        }
        match result {
            Ok(()) => attached.mounted.push(Mounted { index, id: 0 }),
            Err(error) if mount.optional => {
                if verbose.is_on() || !error.is_missing_source() {
                    say_left_out(&error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn attach<'a>(
    root: BorrowedFd,
    mount: &'a Mount,
    mounts: &[Mount],
    attached: &mut Attached,
    verbose: Verbose,
) -> Result<(), Error<'a>> {
    let (source, target) = (mount.source.name(), &mount.target);
    let failed = |errno| Error::between(Step::Mount, source.bytes(), target.bytes(), errno);
    // Until the copy is in its place.
    let _memory = match &mount.source {
        Source::Copy(path) => {
            let contents = match &mount.contents {
                Ok(contents) => contents,
                Err(errno) => return Err(Error::new(Step::OpenSource, path.bytes(), *errno)),
            };
            let put = || put_in_overlay(root, target.as_c_str(), contents);
            let put = match attached.in_overlay.then(put) {
                Some(Err(Errno::ENOENT)) => {
                    make_mount_point(root, mount, mounts, &mut attached.mounted, verbose)?;
                    Some(put())
                }
                put => put,
            };
            match put {
                Some(Ok(())) => return Ok(()),
                None | Some(Err(Errno::EXDEV)) => {}
                Some(Err(errno)) => return Err(failed(errno)),
            }
            Some(Memory::holding(contents).map_err(failed)?)
        }
        _ => None,
    };
    let prepared = prepare(mount)?;
    for _ in 0..ATTEMPTS {
        let point = match resolve(root, target.as_c_str()) {
            Ok(point) => point,
            Err(Errno::ENOENT) => {
                attached.made_stubs = true;
                make_mount_point(root, mount, mounts, &mut attached.mounted, verbose)?;
                continue;
            }
            Err(errno) => return Err(Error::new(Step::OpenTarget, target.bytes(), errno)),
        };
        let share = match share_if_stub(root, target, &point) {
            Ok(share) => share,
            // The stub has just been removed, or replaced.
            Err(Errno::ENOENT) => continue,
            Err(errno) => return Err(Error::new(Step::LockMountPoint, target.bytes(), errno)),
        };
        verbose.say(Step::Mount, source.bytes(), target.bytes());
        let put = match mount.devices {
            true => {
                put_by_way_of_root(mount, point.borrow()).map(|dev| (Unset::NOTHING, Some(dev)))
            }
            false => prepared
                .put(mount, point.borrow(), verbose)
                .map(|unset| (unset, None)),
        };
        match put {
            Ok((unset, dev)) => {
                attached.made_stubs |= share.is_some();
                attached.shares.extend(share);
                if unset.flags != 0 {
                    unset
                        .set(root, target.as_c_str())
                        .map_err(|errno| Error::new(Step::MountOptions, target.bytes(), errno))?;
                }
                if let Some(dev) = dev {
                    devices::make(dev.borrow())
                        .map_err(|errno| Error::new(Step::MakeDevices, target.bytes(), errno))?;
                }
                return Ok(());
            }
            // The mount point was removed after it was found.
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    Err(Error::new(Step::OpenTarget, target.bytes(), Errno::ENOENT))
}

/// What is to be attached.
enum Prepared {
    /// A tree that is attached nowhere yet, with its flags set or not.
    Tree { tree: OwnedFd, flags_are_set: bool },
    /// A bind by `mount(2)`.
    ClassicBind,
    /// A new file system, always by `mount(2)` in the target directory: that is one call, where
    /// the newer way needs five, it names no path that could lead elsewhere, and every kernel
    /// has it.
    FileSystem,
}

fn prepare(mount: &Mount) -> Result<Prepared, Error<'_>> {
    let path = match &mount.source {
        Source::FileSystem(_) => return Ok(Prepared::FileSystem),
        Source::Path(path) => path.as_c_str(),
        Source::Copy(_) => COPY,
    };
    bind(path, mount.recursive, mount.flags)
}

/// A copy of what is at a path of the host, with `flags` set before anyone can see it.
fn bind(path: &CStr, recursive: bool, flags: u32) -> Result<Prepared, Error<'_>> {
    match open_tree(BorrowedFd::CWD, path, recursive) {
        Ok(tree) => set_flags(tree, recursive, flags)
            .map_err(|errno| Error::new(Step::MountOptions, path.to_bytes(), errno)),
        Err(Errno::ENOSYS) => {
            // So that a missing source is told as that, and not as a missing mount point.
            fs::openat(BorrowedFd::CWD, path, fs::O_PATH, 0)
                .map_err(|errno| Error::new(Step::OpenSource, path.to_bytes(), errno))?;
            Ok(Prepared::ClassicBind)
        }
        Err(errno) => Err(Error::new(Step::OpenSource, path.to_bytes(), errno)),
    }
}

/// Linux before 5.12 cannot set flags on a tree that is attached nowhere.
fn set_flags(tree: OwnedFd, recursive: bool, flags: u32) -> Result<Prepared, Errno> {
    let flags_are_set = match flags {
        0 => true,
        flags => match mount_setattr(tree.borrow(), flags, 0, recursive) {
            Err(Errno::ENOSYS) => false,
            result => result.map(|()| true)?,
        },
    };
    Ok(Prepared::Tree {
        tree,
        flags_are_set,
    })
}

impl Prepared {
    /// Puts it on the mount point.
    fn put(&self, mount: &Mount, point: BorrowedFd, verbose: Verbose) -> Result<Unset<'_>, Errno> {
        let unset = Unset {
            flags: mount.flags,
            recursive: mount.recursive,
            tree: None,
        };
        match self {
            Prepared::FileSystem => match new_file_system(mount, point) {
                Err(Errno::EPERM) if mount.host_instead => host_file_system(mount, point, verbose),
                // The very same file system is mounted there already: the host's sysfs, in a run
                // whose root is the host's. Only the flags are missing.
                Err(Errno::EBUSY) => Ok(unset),
                result => result.map(|()| Unset::NOTHING),
            },
            bind => {
                let source = match &mount.source {
                    Source::Copy(_) => COPY,
                    source => source.name().as_c_str(),
                };
                bind.put_bind(source, unset, point)
            }
        }
    }

    /// Puts what [`bind`] prepared for `source` on the mount point.
    fn put_bind<'a>(
        &'a self,
        source: &CStr,
        unset: Unset<'a>,
        point: BorrowedFd,
    ) -> Result<Unset<'a>, Errno> {
        if let Prepared::Tree {
            tree,
            flags_are_set,
        } = self
        {
            match move_mount(tree.borrow(), point) {
                Err(Errno::ENOSYS) => {}
                // For a file on a directory, or the other way round, mount(2) says ENOTDIR.
                Err(Errno::EINVAL)
                    if fs::stat(tree.borrow())?.is_directory()
                        != fs::stat(point)?.is_directory() =>
                {
                    return Err(Errno::ENOTDIR);
                }
                result if *flags_are_set => return result.map(|()| Unset::NOTHING),
                result => {
                    let tree = Some(tree.borrow());
                    return result.map(|()| Unset { tree, ..unset });
                }
            }
        }
        classic_bind(source, unset.recursive, point)?;
        Ok(unset)
    }
}

/// The flags that an attached mount, and with `recursive` those below it, have yet to get.
struct Unset<'a> {
    flags: u32,
    recursive: bool,
    /// The mount, where it is known: its path may lead to another by now.
    tree: Option<BorrowedFd<'a>>,
}

impl Unset<'static> {
    const NOTHING: Unset<'static> = Unset {
        flags: 0,
        recursive: false,
        tree: None,
    };
}

impl Unset<'_> {
    /// Gives them to what was attached at `target`.
    fn set(&self, root: BorrowedFd, target: &CStr) -> Result<(), Errno> {
        set_flags_of_attached(root, target, self.tree, self.flags, self.recursive)
    }
}

fn new_file_system(new: &Mount, point: BorrowedFd) -> Result<(), Errno> {
    fs::fchdir(point)?;
    new_file_system_at(new, c".")
}

/// Mounts it on top of our root, and moves it from there: the descriptor that is given is of the
/// new file system, wherever others have moved its mount point in the meantime.
fn put_by_way_of_root(new: &Mount, point: BorrowedFd) -> Result<OwnedFd, Errno> {
    fs::fchdir(point)?;
    new_file_system_at(new, c"/")?;
    let moved = fs::openat(BorrowedFd::CWD, ON_TOP_OF_ROOT, fs::O_PATH, 0).and_then(|top| {
        mount(ON_TOP_OF_ROOT, c".", c"", MS_MOVE, c"")?;
        Ok(top)
    });
    if moved.is_err() {
        let _ = umount(ON_TOP_OF_ROOT, MNT_DETACH);
    }
    moved
}

fn new_file_system_at(new: &Mount, target: &CStr) -> Result<(), Errno> {
    let kind = new.source.name();
    let device = new.device.as_ref().unwrap_or(kind).as_c_str();
    mount(
        device,
        target,
        kind.as_c_str(),
        new.flags,
        new.data.as_c_str(),
    )
}

/// A user namespace may not have a new sysfs without a network namespace of its own, nor a new
/// proc where parts of the host's are covered: what the host has at that path is shown then. It
/// is bound with all below it, which may not be uncovered either; a sysfs read-only.
fn host_file_system(
    mount: &Mount,
    point: BorrowedFd,
    verbose: Verbose,
) -> Result<Unset<'static>, Errno> {
    let kind = mount.source.name().bytes();
    verbose.say(Step::BindInstead, kind, mount.target.bytes());
    let mut flags = mount.flags;
    if mount.source.name().bytes() == b"sysfs" {
        flags |= MOUNT_ATTR_RDONLY;
    }
    let unset = Unset {
        flags,
        recursive: true,
        tree: None,
    };
    let source = mount.target.as_c_str();
    let prepared = bind(source, true, flags).map_err(refused)?;
    let unset = prepared.put_bind(source, unset, point)?;
    Ok(Unset {
        tree: None,
        ..unset
    })
}

/// Binds a file of the host.
pub(crate) fn bind_at(source: &CStr, point: BorrowedFd) -> Result<(), Errno> {
    bind(source, false, 0)
        .map_err(refused)?
        .put_bind(source, Unset::NOTHING, point)
        .map(|_| ())
}

/// Binds what is at a path inside `root` on itself, read-only, with all below it.
pub(crate) fn bind_read_only(
    root: BorrowedFd,
    path: &CStr,
    found: BorrowedFd,
) -> Result<(), Errno> {
    let unset = Unset {
        flags: MOUNT_ATTR_RDONLY,
        recursive: true,
        tree: None,
    };
    let source = Short::in_proc(found);
    let prepared = bind(source.as_c_str(), true, unset.flags).map_err(refused)?;
    let unset = prepared.put_bind(source.as_c_str(), unset, found)?;
    match unset.flags {
        0 => Ok(()),
        _ => unset.set(root, path),
    }
}

fn refused(error: Error) -> Errno {
    Errno::from_number(error.errno().unwrap_or_default())
}

/// `mount(2)` follows links in its target, so the target is named by its descriptor.
fn classic_bind(source: &CStr, recursive: bool, point: BorrowedFd) -> Result<(), Errno> {
    let target = Short::in_proc(point);
    let flags = if recursive { MS_BIND | MS_REC } else { MS_BIND };
    mount(source, target.as_c_str(), c"", flags, c"")
}

/// A share in the mount point if it is a stub; ENOENT when it is not there any more.
fn share_if_stub(
    root: BorrowedFd,
    target: &Name,
    point: &OwnedFd,
) -> Result<Option<OwnedFd>, Errno> {
    let stat = fs::stat(point.borrow())?;
    if !stub::is_stub(&stat) {
        return Ok(None);
    }
    match stub::share(root, target.as_c_str(), &stat)? {
        None => Err(Errno::ENOENT),
        share => Ok(share),
    }
}

/// Makes the mount point inside the root: never in a directory that an earlier mount shows from
/// the host.
fn make_mount_point<'a>(
    root: BorrowedFd,
    mount: &'a Mount,
    mounts: &[Mount],
    mounted: &mut [Mounted],
    verbose: Verbose,
) -> Result<(), Error<'a>> {
    let target = &mount.target;
    let failed = |errno| {
        let step = match errno {
            Errno::EXDEV => Step::MakeOutside,
            _ => Step::MakeMountPoint,
        };
        Error::new(step, target.bytes(), errno)
    };
    let directory = match &mount.source {
        Source::FileSystem(_) => true,
        Source::Copy(_) => false,
        Source::Path(path) => {
            let source = fs::openat(BorrowedFd::CWD, path.as_c_str(), fs::O_PATH, 0)
                .map_err(|errno| Error::new(Step::OpenSource, path.bytes(), errno))?;
            fs::stat(source.borrow()).map_err(failed)?.is_directory()
        }
    };
    verbose.say(Step::MakeMountPoint, target.bytes(), b"");
    let root_id = fs::stat(root).map_err(failed)?.mount_id;
    // Each is asked once, since there may be thousands.
    for earlier in mounted.iter_mut().filter(|earlier| earlier.id == 0) {
        let shown = mounts.get(earlier.index);
        if let Some(Ok(shown)) = shown.map(|mount| resolve(root, mount.target.as_c_str())) {
            earlier.id = fs::stat(shown.borrow()).map_err(failed)?.mount_id;
        }
    }
    // On the way from the root, into each mount of ours and out of it again: a directory in a
    // mount that is not ours belongs to whatever the one above it does.
    let mut outside = false;
    let is_outside = |directory: BorrowedFd| {
        let here = fs::stat(directory)?.mount_id;
        if here == root_id {
            outside = false;
        }
        for earlier in mounted.iter().filter(|earlier| earlier.id == here) {
            if let Some(earlier) = mounts.get(earlier.index) {
                let is_bind = matches!(earlier.source, Source::Path(_));
                outside = is_bind || earlier.host_instead;
            }
        }
        Ok(outside)
    };
    stub::make(root, target.as_c_str(), directory, is_outside).map_err(failed)
}
