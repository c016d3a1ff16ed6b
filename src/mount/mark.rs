//! The mark of a temporary mount point, by which another run recognises it.
//!
//! The mark is the mode: nobody else makes an empty directory with mode 1715 or an empty file with
//! mode 1404. Where a file system does not keep modes (vfat, some FUSE servers), the mark is a
//! *companion*: an empty file `.dev.rootlet` beside `dev`.

use core::ffi::CStr;

use crate::mount::lock::{lock_exclusive, open_to_lock};
use crate::sys::fs::Stat;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

pub(crate) const DIRECTORY_MODE: u32 = 0o1715;
pub(crate) const FILE_MODE: u32 = 0o1404;

/// The mode of a marked directory, and the bits that may differ: it inherits the set-group-id bit
/// from its parent.
pub(crate) const DIRECTORY: (u32, u32) = (DIRECTORY_MODE, 0o2000);
/// The mode of a marked file, and the bits that may differ: `lock_exclusive` may have to make it
/// writable.
pub(crate) const FILE: (u32, u32) = (FILE_MODE, 0o200);

/// Returns whether this is the mode of a temporary mount point, whichever run made it.
pub(crate) fn is_marked(stat: &Stat) -> bool {
    let has = |(mode, may_differ): (u32, u32)| stat.permissions() & !may_differ == mode;
    (stat.is_directory() && has(DIRECTORY)) || (stat.is_file() && has(FILE) && stat.size == 0)
}

/// Returns whether the mark may be a companion. rmdir(2) will tell whether a directory is empty.
pub(crate) fn is_bare(stat: &Stat) -> bool {
    stat.is_directory() || stat.is_file() && stat.size == 0
}

/// Tells temporary mount points from other files. It remembers, for the last device it was asked
/// about, whether files keep their modes there.
#[derive(Default)]
pub(crate) struct Marks {
    keeps_modes: Option<(u64, bool)>,
}

impl Marks {
    /// Returns whether the file found in `above` is a temporary mount point of another or an
    /// earlier run. Where modes are not kept, the companion decides. Fails with ENOENT if the file
    /// is gone by now.
    pub(crate) fn is_stub(
        &mut self,
        above: BorrowedFd,
        name: &CStr,
        here: BorrowedFd,
        found: &Stat,
    ) -> Result<bool, Errno> {
        if is_marked(found) || self.keeps_modes(here, found) {
            return Ok(is_marked(found));
        }
        if Companion::of(name).is_there(above)? {
            return Ok(true);
        }
        // The companion is removed last, so the mount point may have gone between the two lookups.
        match fs::stat_at(above, name)?.identity() == found.identity() {
            true => Ok(false),
            false => Err(Errno::ENOENT),
        }
    }

    /// Returns whether the file system keeps modes, so that a file without the mark is certainly
    /// not a temporary mount point.
    pub(crate) fn keeps_modes(&mut self, file: BorrowedFd, found: &Stat) -> bool {
        let device = found.identity()[1];
        match self.keeps_modes {
            Some((known, keeps_modes)) if known == device => keeps_modes,
            _ => {
                let keeps_modes = keeps_modes(file);
                self.keeps_modes = Some((device, keeps_modes));
                keeps_modes
            }
        }
    }
}

/// Returns whether this type of file system always keeps modes. On any other type the companion is
/// looked up. The numbers are from `<linux/magic.h>` and the kernel's `fs/`.
fn keeps_modes(file: BorrowedFd) -> bool {
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683e;
    const F2FS: u64 = 0xf2f5_2010;
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    const OVERLAYFS: u64 = 0x794c_7630;
    const SQUASHFS: u64 = 0x7371_7368;
    const EROFS: u64 = 0xe0f5_e1e2;
    const SURE: [u64; 9] = [
        EXT, XFS, BTRFS, F2FS, TMPFS, RAMFS, OVERLAYFS, SQUASHFS, EROFS,
    ];
    fs::statfs(file).is_ok_and(|(kind, _)| SURE.contains(&kind))
}

/// A second name beside a temporary mount point. The mount point is made under it before it gets
/// its own name. Where a mode cannot be the mark, an empty file with this name is the mark.
///
/// The process that makes a mount point holds a shared lock on its companion. The process that
/// removes a companion holds the exclusive lock, and does so only when the mount point is gone or
/// when it holds that one's exclusive lock as well.
pub(crate) struct Companion([u8; 1 + LONGEST + 9]);

/// A longer name is cut, because ecryptfs allows only 143 bytes.
const LONGEST: usize = 130;

/// The result of [`Companion::hold`].
pub(crate) enum Held {
    /// It does not exist.
    Gone,
    /// Another run is making or removing its mount point.
    Used,
    /// It is ours, locked if the file system has locks.
    Ours {
        is_directory: bool,
        _locks: [Option<OwnedFd>; 2],
    },
}

impl Companion {
    pub(crate) fn of(name: &CStr) -> Companion {
        let name = name.to_bytes();
        let name = name.get(..LONGEST).unwrap_or(name);
        let all = b".".iter().chain(name).chain(b".rootlet");
        let mut text = [0; 1 + LONGEST + 9];
        text.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        Companion(text)
    }

    /// Returns whether this is the name of a companion.
    pub(crate) fn is_name(name: &[u8]) -> bool {
        name.starts_with(b".") && name.ends_with(b".rootlet")
    }

    pub(crate) fn name(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }

    /// Returns whether the companion exists and is a mark.
    pub(crate) fn is_there(&self, parent: BorrowedFd) -> Result<bool, Errno> {
        match fs::stat_at(parent, self.name()) {
            Ok(stat) => Ok(stat.is_file() && stat.size == 0),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Takes the companion, with its exclusive lock if there are locks.
    pub(crate) fn hold(&self, parent: BorrowedFd, has_locks: bool) -> Result<Held, Errno> {
        let found = match fs::stat_at(parent, self.name()) {
            Err(Errno::ENOENT) => return Ok(Held::Gone),
            found => found?,
        };
        if !is_bare(&found) {
            return Err(Errno::EEXIST);
        }
        if !has_locks {
            return Ok(Held::Ours {
                is_directory: found.is_directory(),
                _locks: [None, None],
            });
        }
        let file = match open_to_lock(parent, self.name(), found.is_directory()) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(Held::Used),
            file => file?,
        };
        let writable = match lock_exclusive(parent, self.name(), file.borrow()) {
            Err(Errno::EAGAIN) => return Ok(Held::Used),
            writable => writable?,
        };
        // Another file may have got the name between the lookup and the lock, even a directory
        // instead of a file.
        let (held, now) = (fs::stat(file.borrow())?, fs::stat_at(parent, self.name()));
        match now.is_ok_and(|now| now.identity() == held.identity()) && is_bare(&held) {
            false => Ok(Held::Used),
            true => Ok(Held::Ours {
                is_directory: held.is_directory(),
                _locks: [Some(file), writable],
            }),
        }
    }

    /// Removes the companion of a mount point, which must be a file.
    pub(crate) fn remove(&self, parent: BorrowedFd) -> Result<(), Errno> {
        match fs::unlinkat(parent, self.name(), false) {
            Err(Errno::ENOENT) => Ok(()),
            result => result,
        }
    }

    /// Removes a companion that a run left behind when it was killed while making the mount point:
    /// the mount point does not exist, and nobody holds a lock.
    pub(crate) fn remove_stale(&self, parent: BorrowedFd, name: &CStr) -> Result<(), Errno> {
        let is_missing = || matches!(fs::stat_at(parent, name), Err(Errno::ENOENT));
        if is_missing() {
            if let Held::Ours { is_directory, .. } = &self.hold(parent, true)? {
                if is_missing() {
                    return match fs::unlinkat(parent, self.name(), *is_directory) {
                        // Another object has got the name.
                        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EISDIR) => Ok(()),
                        result => result,
                    };
                }
            }
        }
        Ok(())
    }
}
