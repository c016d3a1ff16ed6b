//! What a file is, and the file system that it is on.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use linux_raw_sys::general as raw;
use sc::nr;

use super::{BorrowedFd, Errno, done};

/// What `statx(2)` tells, as far as rootlet asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    mode: u32,
    inode: u64,
    device: (u32, u32),
    /// Which device it is, major and minor number, if it is one.
    pub special: (u32, u32),
    /// Whose it is.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// How many names it has; 0 when it was removed.
    pub links: u32,
    /// The size of a plain file, in bytes.
    pub size: u64,
    /// May nobody change it (`chattr +i`)?
    pub is_immutable: bool,
    /// It is not the top of the mount that it was reached through (Linux 5.8, else false).
    pub is_below_top: bool,
    /// The identity of the mount it was reached through (Linux 5.8, else 0).
    pub mount_id: u64,
}

impl Stat {
    /// Is it a directory?
    pub fn is_directory(&self) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFDIR
    }

    /// Is it a symbolic link?
    pub fn is_symlink(&self) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFLNK
    }

    /// Is it a block device?
    pub fn is_block_device(&self) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFBLK
    }

    /// Is it a character device?
    pub fn is_character_device(&self) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFCHR
    }

    /// Is it a pipe, with or without a name?
    pub fn is_pipe(&self) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFIFO
    }

    /// Is it a plain file?
    pub fn is_file(&self) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFREG
    }

    /// What stays the same as long as the file exists: the numbers of its inode and device.
    pub fn identity(&self) -> Identity {
        let (major, minor) = self.device;
        [self.inode, u64::from(major) << 32 | u64::from(minor)]
    }

    /// Its number on its file system; of a pidfd (Linux 6.9), the process's.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Are both the same file or directory, under whatever name?
    pub fn is_same_file(&self, other: &Stat) -> bool {
        (self.inode, self.device) == (other.inode, other.device)
    }

    /// Are both on the same file system?
    pub fn is_on_same_device(&self, other: &Stat) -> bool {
        self.device == other.device
    }

    /// The permissions with set-id and sticky bits.
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }
}

/// The major number of `/dev/null` and its like (null(4)), none of which is a terminal.
pub const MEM_MAJOR: u32 = 1;

/// See [`Stat::identity`].
pub type Identity = [u64; 2];

/// `statx(2)` of what the descriptor refers to.
pub fn stat(fd: BorrowedFd) -> Result<Stat, Errno> {
    statx(fd, c"", raw::AT_EMPTY_PATH)
}

/// `statx(2)` of a name in a directory; a final symbolic link is not followed.
pub fn stat_at(dir: BorrowedFd, name: &CStr) -> Result<Stat, Errno> {
    statx(dir, name, raw::AT_SYMLINK_NOFOLLOW)
}

fn statx(dir: BorrowedFd, path: &CStr, flags: u32) -> Result<Stat, Errno> {
    let mut buffer = MaybeUninit::<raw::statx>::zeroed();
    // SAFETY: the path is a C string, the buffer has the size of the struct the kernel fills.
    done(unsafe {
        sc::syscall5(
            nr::STATX,
            dir.raw(),
            path.as_ptr() as usize,
            flags as usize,
            (raw::STATX_TYPE
                | raw::STATX_UID
                | raw::STATX_GID
                | raw::STATX_MODE
                | raw::STATX_NLINK
                | raw::STATX_INO
                | raw::STATX_SIZE
                | raw::STATX_MNT_ID) as usize,
            buffer.as_mut_ptr() as usize,
        )
    })?;
    // SAFETY: the struct is plain integers, so zeroes, and what the kernel wrote, are valid.
    let buffer = unsafe { buffer.assume_init() };
    Ok(Stat {
        mode: u32::from(buffer.stx_mode),
        inode: buffer.stx_ino,
        device: (buffer.stx_dev_major, buffer.stx_dev_minor),
        special: (buffer.stx_rdev_major, buffer.stx_rdev_minor),
        user: buffer.stx_uid,
        group: buffer.stx_gid,
        links: buffer.stx_nlink,
        size: buffer.stx_size,
        is_immutable: buffer.stx_attributes & u64::from(raw::STATX_ATTR_IMMUTABLE) != 0,
        is_below_top: buffer.stx_attributes_mask
            & !buffer.stx_attributes
            & u64::from(raw::STATX_ATTR_MOUNT_ROOT)
            != 0,
        mount_id: buffer.stx_mnt_id,
    })
}

/// The file system number of proc, whose symbolic links may lead anywhere.
pub const PROC_SUPER_MAGIC: u64 = raw::PROC_SUPER_MAGIC as u64;

/// The file system number of sysfs.
pub const SYSFS_MAGIC: u64 = raw::SYSFS_MAGIC as u64;

/// The file system number of the control groups of version 2.
pub const CGROUP2_SUPER_MAGIC: u64 = raw::CGROUP2_SUPER_MAGIC as u64;

/// The type of the file system and the mount's `ST_*` flags, by `fstatfs(2)`.
pub fn statfs(fd: BorrowedFd) -> Result<(u64, u64), Errno> {
    let mut buffer = MaybeUninit::<raw::statfs64>::zeroed();
    // SAFETY: the buffer has the size of the struct that the kernel fills.
    done(unsafe { sc::syscall2(nr::FSTATFS, fd.raw(), buffer.as_mut_ptr() as usize) })?;
    // SAFETY: the struct is plain integers, so zeroes, and what the kernel wrote, are valid.
    let buffer = unsafe { buffer.assume_init() };
    Ok((buffer.f_type as u64, buffer.f_flags as u64))
}
