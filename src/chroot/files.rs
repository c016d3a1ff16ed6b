//! Access to files of the new root without starting a process.
//!
//! Every path is resolved inside the root, so that a symbolic link cannot lead to a file of the
//! host.

use alloc::vec::Vec;

use crate::chroot::Chroot;
use crate::error::{Error, Step};
use crate::mount::resolve::{Bound, CName, Next, Walk};
use crate::sys::fs::Stat;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::bytes::AsBytes;
use crate::user::accounts::open_plain;

/// A file of a new root, opened by [`Chroot::open`] or [`Chroot::create`]. With the feature `std`
/// it converts to a `File` or an `OwnedFd`.
#[derive(Debug)]
pub struct RootFile(pub(crate) OwnedFd);

/// The type of the file that a [`Metadata`] or a [`DirEntry`] describes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a FIFO or a socket.
    Other,
}

/// Facts about a file, from `fstatat(2)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Metadata {
    /// The type of the file.
    pub kind: FileKind,
    /// The permissions, with the set-user-ID, set-group-ID and sticky bits.
    pub mode: u32,
    /// The size in bytes.
    pub len: u64,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// An entry of a directory, from [`Chroot::read_dir`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DirEntry {
    /// The name: any bytes except NUL and `/`.
    pub name: Vec<u8>,
    /// The type of the file. A symbolic link is not followed.
    pub kind: FileKind,
}

/// Files of the new root as it is on the host, without the mounts of this `Chroot` and without a
/// process. Each path is walked by descriptor inside the root: no symbolic link, no `..` and no
/// rename in the meantime leads out of it. Only plain files are opened, because a FIFO could block
/// the program and opening a device could act on it.
///
/// ```
/// # let directory = std::env::temp_dir().join(format!("rootlet-files-{}", std::process::id()));
/// # std::fs::create_dir_all(directory.join("etc"))?;
/// # let path = directory.to_str().unwrap();
/// use rootlet::{Chroot, FileKind};
///
/// let root = Chroot::new(path);
/// root.write("/etc/hostname", "build\n")?;
/// // It would be the host's in a program that joins the paths.
/// std::os::unix::fs::symlink("/etc/hostname", directory.join("link"))?;
/// assert_eq!(root.read("/link")?, b"build\n");
/// assert_eq!(root.metadata("/link")?.len, 6);
/// let names = root.read_dir("/etc")?;
/// assert_eq!((&names[0].name[..], names[0].kind), (&b"hostname"[..], FileKind::File));
/// # std::fs::remove_dir_all(directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Chroot {
    /// Opens a plain file for reading.
    ///
    /// # Errors
    ///
    /// EINVAL for a file that is not plain, ELOOP for a magic link of proc, ESTALE if another
    /// process put another file in its place meanwhile, and otherwise the kernel's.
    pub fn open(&self, path: impl AsBytes) -> Result<RootFile, Error> {
        self.at(path.as_bytes(), Step::OpenInRoot, |walk, root| {
            walk_on(walk, root)?;
            open_plain(walk, root, fs::O_RDONLY).map(RootFile)
        })
    }

    /// Opens a plain file for reading and writing, and empties it. A missing file is created with
    /// mode 666 less the umask.
    ///
    /// # Errors
    ///
    /// As for [`Chroot::open`]. The directories on the way must exist.
    pub fn create(&self, path: impl AsBytes) -> Result<RootFile, Error> {
        self.at(path.as_bytes(), Step::OpenInRoot, create)
    }

    /// Returns the contents of a plain file.
    ///
    /// # Errors
    ///
    /// As for [`Chroot::open`].
    pub fn read(&self, path: impl AsBytes) -> Result<Vec<u8>, Error> {
        self.at(path.as_bytes(), Step::ReadInRoot, |walk, root| {
            walk_on(walk, root)?;
            let file = open_plain(walk, root, fs::O_RDONLY)?;
            let mut all = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                match fs::read(file.borrow(), &mut buffer)? {
                    0 => return Ok(all),
                    length => all.extend_from_slice(&buffer[..length]),
                }
            }
        })
    }

    /// Writes these bytes as the whole contents of a plain file, which is opened as by
    /// [`Chroot::create`].
    ///
    /// # Errors
    ///
    /// As for [`Chroot::create`].
    pub fn write(&self, path: impl AsBytes, contents: impl AsBytes) -> Result<(), Error> {
        self.at(path.as_bytes(), Step::WriteInRoot, |walk, root| {
            let file = create(walk, root)?;
            fs::write_all(file.0.borrow(), contents.as_bytes())
        })
    }

    /// Returns the facts about a file. Symbolic links are followed inside the root.
    ///
    /// # Errors
    ///
    /// The kernel's, and ELOOP for a magic link of proc.
    pub fn metadata(&self, path: impl AsBytes) -> Result<Metadata, Error> {
        self.at(path.as_bytes(), Step::OpenInRoot, |walk, root| {
            walk_on(walk, root)?;
            let stat = fs::stat(walk.here(root))?;
            Ok(Metadata {
                kind: kind(&stat),
                mode: stat.permissions(),
                len: stat.size,
                uid: stat.user,
                gid: stat.group,
            })
        })
    }

    /// Returns the entries of a directory without `.` and `..`, in no particular order.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn read_dir(&self, path: impl AsBytes) -> Result<Vec<DirEntry>, Error> {
        self.at(path.as_bytes(), Step::ReadInRoot, |walk, root| {
            walk_on(walk, root)?;
            let flags = fs::O_RDONLY | fs::O_DIRECTORY;
            let directory = fs::openat(walk.here(root), c".", flags, 0)?;
            let mut entries = Vec::new();
            let mut failed = Ok(());
            fs::visit_names(directory.borrow(), &mut |name| {
                let stat = CName::new(name)
                    .and_then(|name| fs::stat_at(directory.borrow(), name.as_c_str()));
                match stat {
                    Ok(stat) => entries.push(DirEntry {
                        name: name.to_vec(),
                        kind: kind(&stat),
                    }),
                    // Another process has just removed it.
                    Err(Errno::ENOENT) => {}
                    Err(errno) => failed = Err(errno),
                }
                failed.is_ok()
            })?;
            failed.map(|()| entries)
        })
    }

    fn at<T>(
        &self,
        path: &[u8],
        step: Step,
        mut with: impl FnMut(&mut Walk, BorrowedFd) -> Result<T, Errno>,
    ) -> Result<T, Error> {
        self.check_names()?;
        if path.contains(&0) {
            let why = "it contains a NUL byte";
            return Err(Error::because(Step::TakeName, path, why));
        }
        let root = self.open_new_root()?;
        let mut walk = Walk::new();
        walk.begin(path, Bound::InRoot)
            .and_then(|()| with(&mut walk, root.borrow()))
            .map_err(|errno| Error::new(step, path, errno))
    }
}

/// Walks to the end of a path that must exist.
fn walk_on(walk: &mut Walk, root: BorrowedFd) -> Result<(), Errno> {
    loop {
        match walk.next(root)? {
            Next::End => return Ok(()),
            Next::Missing => return Err(Errno::ENOENT),
            Next::Entered(_) | Next::Redirected => {}
        }
    }
}

fn create(walk: &mut Walk, root: BorrowedFd) -> Result<RootFile, Errno> {
    loop {
        match walk.next(root)? {
            Next::End => {
                let file = open_plain(walk, root, fs::O_RDWR)?;
                fs::ftruncate(file.borrow(), 0)?;
                return Ok(RootFile(file));
            }
            Next::Missing if walk.is_last() => {
                let flags = fs::O_RDWR | fs::O_CREAT | fs::O_EXCL | fs::O_NOFOLLOW;
                let made = fs::openat(walk.here(root), walk.name(), flags, 0o666);
                return made.map(RootFile);
            }
            Next::Missing => return Err(Errno::ENOENT),
            Next::Entered(_) | Next::Redirected => {}
        }
    }
}

fn kind(stat: &Stat) -> FileKind {
    match stat {
        _ if stat.is_file() => FileKind::File,
        _ if stat.is_directory() => FileKind::Directory,
        _ if stat.is_symlink() => FileKind::Symlink,
        _ => FileKind::Other,
    }
}
