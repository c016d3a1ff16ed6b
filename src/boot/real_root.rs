//! The file system that `root=` names, mounted.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::boot::cmdline::CommandLine;
use crate::boot::device;
use crate::boot::events::Events;
use crate::boot::parts;
use crate::error::{Error, Step};
use crate::mount::{Mount, overlay};
use crate::sys::mount::{MNT_DETACH, MS_RDONLY, mount as mount_at, umount};
use crate::sys::poll::{NANOSECONDS, clock, poll};
use crate::sys::{BorrowedFd, Errno, fs, split};
use crate::text::name::Name;
use crate::text::number::number;

/// Where it is mounted in the initramfs.
pub(super) const NEW_ROOT: &CStr = c"/new_root";

/// What is below, and what is above, where writes are not to reach it.
const LOWER: &CStr = c"/lower";
const UPPER: &CStr = c"/upper";

/// Mounts it on [`NEW_ROOT`], as `rootfstype=`, `rootflags=`, `ro`, `rw` and `rootlet.overlay` say.
pub(super) fn mount(
    line: &CommandLine,
    root: &[u8],
    events: &Events,
) -> Result<(), Error<'static>> {
    if let Some(seconds) = line.value(b"rootdelay").and_then(number) {
        device::say(&[b"rootdelay: waiting before the root is mounted"]);
        let _ = poll(&mut [], Some(clock() + u64::from(seconds) * NANOSECONDS));
    }
    let overlay = line.value(b"rootlet.overlay");
    let writable = line.last_of(&[b"ro", b"rw"]) == Some(b"rw");
    let place = match overlay {
        Some(_) => LOWER,
        None => NEW_ROOT,
    };
    make_directory(place)?;
    let root = Root::find(line, root, events)?;
    root.mount(line, place, writable && overlay.is_none())?;
    match overlay {
        Some(size) => cover(size),
        None => Ok(()),
    }
}

/// What is mounted, and the types to try.
struct Root {
    source: Name,
    types: Vec<Vec<u8>>,
}

impl Root {
    fn find(line: &CommandLine, root: &[u8], events: &Events) -> Result<Root, Error<'static>> {
        for kind in [&b"virtiofs"[..], b"9p"] {
            let tag = root
                .strip_prefix(kind)
                .and_then(|rest| rest.strip_prefix(b":"));
            if let Some(tag) = tag {
                return Ok(Root {
                    source: Name::new(tag),
                    types: Vec::from([Vec::from(kind)]),
                });
            }
        }
        let known = FileSystems::read()?;
        let mut types = parts(line.value(b"rootfstype").unwrap_or_default(), b',');
        types.retain(|kind| !kind.is_empty());
        if types
            .first()
            .is_some_and(|kind| known.needs_no_device(kind))
        {
            let source = Name::new(root);
            return Ok(Root { source, types });
        }
        let device = device::find(line, root, events)?;
        if types.is_empty() {
            types = match &device.superblock {
                Some(superblock) => Vec::from([Vec::from(superblock.file_system)]),
                None => known.with_device(),
            };
        }
        Ok(Root {
            source: device.path,
            types,
        })
    }

    fn mount(
        &self,
        line: &CommandLine,
        place: &CStr,
        writable: bool,
    ) -> Result<(), Error<'static>> {
        let mut failed = Error::because(Step::MountAs, self.source.bytes(), "no type is known");
        for kind in &self.types {
            let flags = line.value(b"rootflags").unwrap_or_default();
            let mut options = Mount::file_system(kind, "").options(flags);
            if kind == b"9p" && !has_option(flags, b"trans") {
                options = options.options(b"trans=virtio,version=9p2000.L");
            }
            if !writable {
                options = options.read_only();
            }
            let once = |flags| {
                let kind = options.source.name().as_c_str();
                mount_at(
                    self.source.as_c_str(),
                    place,
                    kind,
                    flags,
                    options.data.as_c_str(),
                )
            };
            let errno = match once(options.flags) {
                // As the kernel does: what cannot be written is mounted to be read.
                Err(Errno::EACCES | Errno::EROFS) => once(options.flags | MS_RDONLY),
                result => result,
            };
            match errno {
                Ok(()) => return Ok(()),
                Err(errno) => {
                    failed = Error::between(Step::MountAs, self.source.bytes(), kind, errno)
                        .into_owned();
                }
            }
        }
        Err(failed)
    }
}

/// Is there `name=` among the options?
fn has_option(options: &[u8], name: &[u8]) -> bool {
    let mut options = split(options, b',');
    options.any(|option| split(option, b'=').next() == Some(name))
}

/// What the kernel knows, from `/proc/filesystems`.
struct FileSystems(Vec<u8>);

impl FileSystems {
    fn read() -> Result<FileSystems, Error<'static>> {
        let file = c"/proc/filesystems";
        let text = fs::read_all(file)
            .map_err(|errno| Error::new(Step::ReadFile, file.to_bytes(), errno))?;
        Ok(FileSystems(text))
    }

    fn needs_no_device(&self, kind: &[u8]) -> bool {
        let mut lines = split(&self.0, b'\n');
        lines.any(|line| line.strip_prefix(b"nodev\t") == Some(kind))
    }

    fn with_device(&self) -> Vec<Vec<u8>> {
        let mut kinds = Vec::new();
        for line in split(&self.0, b'\n') {
            if let Some(kind) = line.strip_prefix(b"\t") {
                kinds.push(Vec::from(kind));
            }
        }
        kinds
    }
}

/// Covers what is on [`LOWER`] with a tmpfs of a size, on [`NEW_ROOT`].
fn cover(size: &[u8]) -> Result<(), Error<'static>> {
    make_directory(UPPER)?;
    make_directory(NEW_ROOT)?;
    let failed = |kind: &'static [u8]| {
        move |errno| Error::between(Step::Mount, kind, NEW_ROOT.to_bytes(), errno)
    };
    let options = overlay::memory_options(size);
    let (memory, flags) = (overlay::MEMORY, overlay::MEMORY_FLAGS);
    mount_at(memory, UPPER, memory, flags, options.as_c_str()).map_err(failed(b"tmpfs"))?;
    let failed = failed(b"overlay");
    let open = |path| fs::openat(BorrowedFd::CWD, path, fs::O_PATH | fs::O_DIRECTORY, 0);
    let (memory, lower) = (open(UPPER).map_err(failed)?, open(LOWER).map_err(failed)?);
    let options = c"lowerdir=/lower,upperdir=upper,workdir=work";
    overlay::mount_overlay(memory.borrow(), lower.borrow(), options, NEW_ROOT).map_err(failed)?;
    fs::chdir(c"/").map_err(failed)?;
    // The overlay has mounts of its own of both.
    for path in [UPPER, LOWER] {
        umount(path, MNT_DETACH).map_err(failed)?;
    }
    Ok(())
}

fn make_directory(path: &CStr) -> Result<(), Error<'static>> {
    match fs::mkdirat(BorrowedFd::CWD, path, 0o755) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(Error::new(Step::MakeMountPoint, path.to_bytes(), errno).into_owned()),
    }
}
