//! Mounts the file system that `root=` names on [`NEW_ROOT`].
//!
//! With `rootlet.overlay` nothing is written to the device, not even by a replay of its journal: the
//! kernel replays a journal on a read-only mount too, so the block device itself is made read-only.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::boot::cmdline::CommandLine;
use crate::boot::device;
use crate::boot::events::Events;
use crate::error::{Error, Step};
use crate::mount::{Mount, overlay};
use crate::sys::mount::{MNT_DETACH, MS_RDONLY, mount as mount_at, umount};
use crate::sys::poll::{NANOSECONDS, clock, poll};
use crate::sys::system::set_read_only;
use crate::sys::{self, BorrowedFd, Errno, fs, split};
use crate::text::name::Name;
use crate::text::number::number;

/// The mount point in the initramfs.
pub(super) const NEW_ROOT: &CStr = c"/new_root";

/// The layers of `rootlet.overlay`: the file system itself, and the tmpfs that takes the writes.
const LOWER: &CStr = c"/lower";
const UPPER: &CStr = c"/upper";

/// Mounts `root`, following `rootfstype=`, `rootflags=`, `ro`, `rw` and `rootlet.overlay`.
pub(super) fn mount(line: &CommandLine, root: &[u8], events: &Events) -> Result<(), Error> {
    if let Some(seconds) = line.value(b"rootdelay").and_then(number) {
        device::say(&[b"rootdelay: waiting before mounting the root"]);
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
    // Mounting a file system read-only may still replay its journal. A read-only device prevents that.
    let device = fs::openat(BorrowedFd::CWD, root.source.as_c_str(), fs::O_RDONLY, 0);
    let device = device
        .ok()
        .filter(|device| overlay.is_some() && set_read_only(device.borrow(), true) == Ok(false));
    let mounted = root.mount(line, place, writable, overlay.is_some());
    if let Some(device) = device {
        let _ = set_read_only(device.borrow(), false);
    }
    mounted?;
    overlay.map_or(Ok(()), cover)
}

/// Returns whether files of the initramfs may be part of the root: the layers of an overlay.
pub(super) fn may_use_initramfs(line: &CommandLine) -> bool {
    line.value(b"rootfstype") == Some(b"overlay")
}

/// The source of the mount, and the types to try, separated by commas.
struct Root {
    source: Name,
    types: Vec<u8>,
}

impl Root {
    fn find(line: &CommandLine, root: &[u8], events: &Events) -> Result<Root, Error> {
        let of = |source, types| Root {
            source: Name::new(source),
            types: Vec::from(types),
        };
        for kind in [&b"virtiofs"[..], b"9p"] {
            let tag = root
                .strip_prefix(kind)
                .and_then(|rest| rest.strip_prefix(b":"));
            if let Some(tag) = tag {
                return Ok(of(tag, kind));
            }
        }
        let known = fs::read_all(c"/proc/filesystems")
            .map_err(|errno| Error::new(Step::ReadFile, b"/proc/filesystems", errno))?;
        let known = || split(&known, b'\n');
        let asked = match line.value(b"rootfstype") {
            None | Some(b"") => b"auto",
            Some(types) => types,
        };
        let first = split(asked, b',').next();
        if known().any(|line| line.strip_prefix(b"nodev\t") == first) {
            return Ok(of(root, asked));
        }
        let device = device::find(line, root, events)?;
        let mut types = Vec::new();
        let mut add = |kind: &[u8]| {
            types.extend_from_slice(if types.is_empty() { b"" } else { b"," });
            types.extend_from_slice(kind);
        };
        for kind in split(asked, b',') {
            match (kind, &device.superblock) {
                (b"auto", Some(superblock)) => add(superblock.kind.as_bytes()),
                (b"auto", None) => known()
                    .filter_map(|line| line.strip_prefix(b"\t"))
                    .for_each(&mut add),
                _ => add(kind),
            }
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
        as_it_is: bool,
    ) -> Result<(), Error> {
        let mut why = Errno::EINVAL;
        for kind in split(&self.types, b',') {
            let flags = line.value(b"rootflags").unwrap_or_default();
            let mut options = Mount::file_system(kind, "").options(flags);
            if kind == b"9p" && !has_option(flags, b"trans") {
                options = options.options(b"trans=virtio,version=9p2000.L");
            }
            if as_it_is || !writable {
                options = options.read_only();
            }
            if as_it_is {
                options = options.options(without_journal(kind));
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
            let result = match once(options.flags) {
                // The kernel also mounts a root read-only if it cannot be written.
                Err(Errno::EACCES | Errno::EROFS) => once(options.flags | MS_RDONLY),
                result => result,
            };
            match result {
                Ok(()) => return Ok(()),
                // EINVAL is how a file system refuses another's device: report the first other error.
                Err(errno) if why == Errno::EINVAL => why = errno,
                Err(_) => {}
            }
        }
        let (source, types) = (self.source.bytes(), &self.types);
        Err(Error::between(Step::MountAs, source, types, why))
    }
}

/// Returns the mount option that skips the journal, which a read-only device requires.
fn without_journal(kind: &[u8]) -> &'static [u8] {
    const OPTIONS: &str = "ext3 noload\next4 noload\nxfs norecovery\nf2fs norecovery\n\
        nilfs2 norecovery\nbtrfs rescue=nologreplay\nreiserfs nolog\nbcachefs nochanges\n";
    let mut lines = (0..8).map(|index| sys::line(OPTIONS, index, b' '));
    let line = lines.find(|(of, _)| of.as_bytes() == kind);
    line.unwrap_or_default().1.as_bytes()
}

/// Returns whether `name=` is among the options.
fn has_option(options: &[u8], name: &[u8]) -> bool {
    let mut options = split(options, b',');
    options.any(|option| split(option, b'=').next() == Some(name))
}

/// Mounts an overlay on [`NEW_ROOT`]: a tmpfs of this size over [`LOWER`].
fn cover(size: &[u8]) -> Result<(), Error> {
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
    overlay::mount_overlay(
        memory.borrow(),
        lower.borrow(),
        options,
        NEW_ROOT,
        &mut |_, _| {},
    )
    .map_err(failed)?;
    fs::chdir(c"/").map_err(failed)?;
    // The overlay keeps its own references to both.
    for path in [UPPER, LOWER] {
        umount(path, MNT_DETACH).map_err(failed)?;
    }
    Ok(())
}

fn make_directory(path: &CStr) -> Result<(), Error> {
    match fs::mkdirat(BorrowedFd::CWD, path, 0o755) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(Error::new(Step::MakeMountPoint, path.to_bytes(), errno)),
    }
}
