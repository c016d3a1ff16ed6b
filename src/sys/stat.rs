//! The status of a file, and of the file system that it is on.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use linux_raw_sys::general as raw;
use sc::nr;

use super::{BorrowedFd, Errno, done};

/// The fields of `statx(2)` that rootlet uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    mode: u32,
    inode: u64,
    device: (u32, u32),
    /// The major and minor number, if the file is a device.
    pub special: (u32, u32),
    /// The owner.
    pub user: u32,
    /// The group.
    pub group: u32,
    /// The number of links; 0 if the file was removed.
    pub links: u32,
    /// The size of a plain file, in bytes.
    pub size: u64,
    /// The file is immutable (`chattr +i`).
    pub is_immutable: bool,
    /// The file is not the root of the mount that it was reached through (Linux 5.8, else false).
    pub is_below_top: bool,
    /// The id of the mount that it was reached through (Linux 5.8, else 0).
    pub mount_id: u64,
}

impl Stat {
    /// Returns whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFDIR
    }

    /// Returns whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFLNK
    }

    /// Returns whether it is a block device.
    pub fn is_block_device(&self) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFBLK
    }

    /// Returns whether it is a character device.
    pub fn is_character_device(&self) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFCHR
    }

    /// Returns whether it is a pipe or a FIFO.
    pub fn is_pipe(&self) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFIFO
    }

    /// Returns whether it is a plain file.
    pub fn is_file(&self) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFREG
    }

    /// Returns the numbers of the inode and the device, which stay the same as long as the file exists.
    pub fn identity(&self) -> Identity {
        let (major, minor) = self.device;
        [self.inode, u64::from(major) << 32 | u64::from(minor)]
    }

    /// Returns the inode number. For a pidfd it identifies the process (Linux 6.9).
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Returns whether both are the same file or directory, under any name.
    pub fn is_same_file(&self, other: &Stat) -> bool {
        (self.inode, self.device) == (other.inode, other.device)
    }

    /// Returns whether both are on the same device.
    pub fn is_on_same_device(&self, other: &Stat) -> bool {
        self.device == other.device
    }

    /// Returns the permissions, with the set-id and sticky bits.
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }
}

/// The major number of `/dev/null` and similar devices (null(4)). No terminal has it.
pub const MEM_MAJOR: u32 = 1;

/// See [`Stat::identity`].
pub type Identity = [u64; 2];

/// `statx(2)` of a descriptor's file.
pub fn stat(fd: BorrowedFd) -> Result<Stat, Errno> {
    statx(fd, c"", raw::AT_EMPTY_PATH)
}

/// `statx(2)` of a name in a directory, without following a final symbolic link.
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

/// The file system type of proc, whose magic links may lead anywhere.
pub const PROC_SUPER_MAGIC: u64 = raw::PROC_SUPER_MAGIC as u64;

/// The file system type of sysfs.
pub const SYSFS_MAGIC: u64 = raw::SYSFS_MAGIC as u64;

/// The file system type of control groups, version 2.
pub const CGROUP2_SUPER_MAGIC: u64 = raw::CGROUP2_SUPER_MAGIC as u64;

/// `fstatfs(2)`: returns the type of the file system and the mount's `ST_*` flags.
pub fn statfs(fd: BorrowedFd) -> Result<(u64, u64), Errno> {
    let mut buffer = MaybeUninit::<raw::statfs64>::zeroed();
    // SAFETY: the buffer has the size of the struct that the kernel fills.
    done(unsafe { sc::syscall2(nr::FSTATFS, fd.raw(), buffer.as_mut_ptr() as usize) })?;
    // SAFETY: the struct is plain integers, so zeroes, and what the kernel wrote, are valid.
    let buffer = unsafe { buffer.assume_init() };
    Ok((buffer.f_type as u64, buffer.f_flags as u64))
}
