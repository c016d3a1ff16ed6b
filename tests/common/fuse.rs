//! A FUSE server that passes through a directory, minus features that some file systems lack.
//!
//! It speaks the kernel's protocol itself (`<linux/fuse.h>`), because FUSE libraries cannot refuse
//! locks, renames and modes in the ways that are needed here.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FlockOperation, Gid, Mode, OFlags, RenameFlags, Uid, chmod, chown, chownat,
    flock, mkdirat, openat, readlinkat, renameat_with, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

/// The features and defects of the file system.
#[derive(Clone, Copy, Default, Debug)]
pub struct Behaviour {
    /// All files have this mode, and chmod(2) has no effect.
    pub mode: Option<u32>,
    pub loses_sticky: bool,
    pub locks: Locks,
    /// rename(2) supports no flags, as with an old server.
    pub no_rename_flags: bool,
    /// Creating a directory whose name is this one fails with ENOSPC.
    pub full_at: Option<&'static str>,
}

/// How locks of files behave. The kernel itself handles those of directories here, as on NFS.
#[derive(Clone, Copy, Default, Debug)]
pub enum Locks {
    #[default]
    Local,
    /// As on NFSv4, an exclusive lock needs a descriptor open for writing.
    ExclusiveForWriters,
    Refused(i32),
}

const ROOT: u64 = 1;
const FLOCK_LOCKS: u32 = 1 << 10;
const ATTR_SIZE: usize = 88;

struct Server {
    device: File,
    behaviour: Behaviour,
    /// Files by inode number. Holding them open keeps the number from being reused while the kernel
    /// knows it.
    nodes: HashMap<u64, Node>,
    handles: HashMap<u64, Handle>,
    next_handle: u64,
}

struct Node {
    file: OwnedFd,
    /// How often the kernel has looked it up, less what it has forgotten.
    lookups: u64,
}

struct Handle {
    file: File,
    is_writable: bool,
}

type Reply = Result<Vec<u8>, Errno>;

fn node(file: OwnedFd) -> Node {
    Node { file, lookups: 0 }
}

/// Mounts `from` at `at`, in the mount namespace of this thread. The server ends with the mount.
pub fn mount_fuse(from: &Path, at: &Path, behaviour: Behaviour) {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let device = openat(CWD, "/dev/fuse", flags, Mode::empty()).unwrap();
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions\0",
        device.as_raw_fd()
    );
    let options = CStr::from_bytes_with_nul(options.as_bytes()).unwrap();
    mount("test", at, "fuse", MountFlags::empty(), options).unwrap();
    let top = openat(CWD, from, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let mut server = Server {
        device: File::from(device),
        behaviour,
        nodes: HashMap::from([(ROOT, node(top))]),
        handles: HashMap::new(),
        next_handle: 1,
    };
    std::thread::spawn(move || server.serve());
}

/// Returns the number at an offset, in the byte order of the machine.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn name_at(bytes: &[u8], at: usize) -> &CStr {
    CStr::from_bytes_until_nul(&bytes[at..]).unwrap()
}

/// Returns an entry that the kernel may cache for a second. Without the cache, the kernel looks the
/// name up again each time. If another process creates or renames it at that moment, the kernel
/// drops the name together with the mounts on it.
fn entry_of(inode: u64) -> Vec<u8> {
    let mut entry = vec![0; 40 + ATTR_SIZE];
    entry[..8].copy_from_slice(&inode.to_ne_bytes());
    entry[16..24].copy_from_slice(&1u64.to_ne_bytes());
    entry
}

impl Server {
    fn serve(&mut self) {
        let mut buffer = vec![0; 1 << 20];
        // Reading fails once the file system is unmounted.
        while let Ok(length) = self.device.read(&mut buffer) {
            let request = &buffer[..length];
            let (opcode, node) = (u32_at(request, 4), u64_at(request, 16));
            // FORGET, INTERRUPT and BATCH_FORGET have no answer.
            match opcode {
                2 => self.forget(node, u64_at(request, 40)),
                36 => {}
                42 => {
                    let (count, pairs) = (u32_at(request, 40) as usize, &request[48..]);
                    for pair in pairs.chunks(16).take(count) {
                        self.forget(u64_at(pair, 0), u64_at(pair, 8));
                    }
                }
                _ => self.reply(request),
            }
        }
    }

    fn reply(&mut self, request: &[u8]) {
        let (opcode, unique, node) = (u32_at(request, 4), u64_at(request, 8), u64_at(request, 16));
        let owner = (u32_at(request, 24), u32_at(request, 28));
        let reply = self.answer(opcode, node, owner, &request[40..]);
        let (error, body) = match reply {
            Ok(body) => (0, body),
            Err(errno) => (-errno.raw_os_error(), Vec::new()),
        };
        let mut answer = Vec::new();
        answer.extend((16 + body.len() as u32).to_ne_bytes());
        answer.extend(error.to_ne_bytes());
        answer.extend(unique.to_ne_bytes());
        answer.extend(body);
        // Writing fails if the request was interrupted, because its caller no longer waits.
        let _ = self.device.write(&answer);
    }

    fn forget(&mut self, node: u64, lookups: u64) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.lookups = known.lookups.saturating_sub(lookups);
            if known.lookups == 0 {
                self.nodes.remove(&node);
            }
        }
    }

    fn answer(&mut self, opcode: u32, node: u64, owner: (u32, u32), body: &[u8]) -> Reply {
        match opcode {
            // The kernel may cache for a second that the name does not exist.
            1 => match self.entry(node, name_at(body, 0)) {
                Err(Errno::NOENT) => Ok(entry_of(0)),
                entry => entry,
            },
            3 => self.attributes(node),
            4 => self.set_attributes(node, body),
            5 => Ok(readlinkat(&self.nodes[&node].file, c"", Vec::new())?.into_bytes()),
            6 => {
                let name = name_at(body, 0);
                let target = name_at(body, name.count_bytes() + 1);
                symlinkat(target, &self.nodes[&node].file, name)?;
                self.entry(node, name)
            }
            9 => self.make_directory(node, owner, body),
            10 | 11 => {
                let flags = match opcode {
                    10 => AtFlags::empty(),
                    _ => AtFlags::REMOVEDIR,
                };
                unlinkat(&self.nodes[&node].file, name_at(body, 0), flags)?;
                Ok(Vec::new())
            }
            12 => self.rename(node, u64_at(body, 0), RenameFlags::empty(), &body[8..]),
            45 if self.behaviour.no_rename_flags => Err(Errno::NOSYS),
            45 => {
                let flags = RenameFlags::from_bits_retain(u32_at(body, 8));
                self.rename(node, u64_at(body, 0), flags, &body[16..])
            }
            14 | 27 => self.open(node, u32_at(body, 0)),
            15 => {
                let mut read = vec![0; u32_at(body, 16) as usize];
                let file = &self.handles[&u64_at(body, 0)].file;
                let length = file.read_at(&mut read, u64_at(body, 8)).unwrap();
                read.truncate(length);
                Ok(read)
            }
            16 => {
                let (at, length) = (u64_at(body, 8), u32_at(body, 16));
                let file = &self.handles[&u64_at(body, 0)].file;
                file.write_all_at(&body[40..40 + length as usize], at)
                    .unwrap();
                Ok([length.to_ne_bytes(), [0; 4]].concat())
            }
            17 => Ok(vec![0; 80]),
            18 | 29 => {
                self.handles.remove(&u64_at(body, 0));
                Ok(Vec::new())
            }
            25 => Ok(Vec::new()),
            26 => Ok(self.begin()),
            28 => self.list(node, body),
            // The waiting form, SETLKW (33), comes only for unlocking.
            32 | 33 => self.lock(body),
            35 => self.create(node, owner, body),
            _ => Err(Errno::NOSYS),
        }
    }

    /// Returns the version of the protocol, and whether this server handles locks.
    fn begin(&self) -> Vec<u8> {
        let flags = match self.behaviour.locks {
            Locks::Local => 0,
            _ => FLOCK_LOCKS,
        };
        let mut reply = vec![0; 64];
        for (at, number) in [(0, 7), (4, 31), (8, 0), (12, flags), (20, 1 << 17), (24, 1)] {
            reply[at..at + 4].copy_from_slice(&u32::to_ne_bytes(number));
        }
        reply
    }

    fn entry(&mut self, parent: u64, name: &CStr) -> Reply {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(&self.nodes[&parent].file, name, flags, Mode::empty())?;
        let inode = rustix::fs::fstat(&found)?.st_ino;
        let known = self.nodes.entry(inode).or_insert_with(|| node(found));
        known.lookups += 1;
        let mut reply = entry_of(inode);
        reply[40..].copy_from_slice(&self.attr(inode)?);
        Ok(reply)
    }

    fn attributes(&self, node: u64) -> Reply {
        Ok([vec![0; 16], self.attr(node)?].concat())
    }

    fn attr(&self, node: u64) -> Reply {
        let stat = statat(&self.nodes[&node].file, c"", AtFlags::EMPTY_PATH)?;
        let mut mode = stat.st_mode;
        if let Some(fixed) = self.behaviour.mode {
            mode = mode & !0o7777 | fixed;
        }
        if self.behaviour.loses_sticky {
            mode &= !0o1000;
        }
        let mut attr = Vec::new();
        for number in [
            stat.st_ino,
            stat.st_size as u64,
            stat.st_blocks as u64,
            0,
            0,
            0,
        ] {
            attr.extend(number.to_ne_bytes());
        }
        let links = stat.st_nlink as u32;
        for number in [0, 0, 0, mode, links, stat.st_uid, stat.st_gid, 0, 4096, 0] {
            attr.extend(number.to_ne_bytes());
        }
        assert_eq!(attr.len(), ATTR_SIZE);
        Ok(attr)
    }

    fn path(&self, node: u64) -> String {
        format!("/proc/self/fd/{}", self.nodes[&node].file.as_raw_fd())
    }

    fn set_attributes(&mut self, node: u64, body: &[u8]) -> Reply {
        let valid = u32_at(body, 0);
        if valid & 1 != 0 && self.behaviour.mode.is_none() {
            chmod(self.path(node), Mode::from_bits_retain(u32_at(body, 68)))?;
        }
        if valid & 6 != 0 {
            let (user, group) = (u32_at(body, 76), u32_at(body, 80));
            let user = (valid & 2 != 0).then(|| Uid::from_raw(user));
            let group = (valid & 4 != 0).then(|| Gid::from_raw(group));
            chown(self.path(node), user, group)?;
        }
        if valid & 8 != 0 {
            let file = File::options().write(true).open(self.path(node)).unwrap();
            file.set_len(u64_at(body, 16)).unwrap();
        }
        self.attributes(node)
    }

    /// Changes the owner of a new file to the caller, as the kernel would.
    fn give(&self, parent: u64, name: &CStr, owner: (u32, u32)) -> Result<(), Errno> {
        let (user, group) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        chownat(
            &self.nodes[&parent].file,
            name,
            Some(user),
            Some(group),
            flags,
        )
    }

    fn make_directory(&mut self, parent: u64, owner: (u32, u32), body: &[u8]) -> Reply {
        let (mode, name) = (Mode::from_bits_retain(u32_at(body, 0)), name_at(body, 8));
        if self
            .behaviour
            .full_at
            .is_some_and(|full| full == name.to_str().unwrap())
        {
            return Err(Errno::NOSPC);
        }
        mkdirat(&self.nodes[&parent].file, name, mode)?;
        self.give(parent, name, owner)?;
        self.entry(parent, name)
    }

    fn rename(&mut self, from: u64, to: u64, flags: RenameFlags, names: &[u8]) -> Reply {
        let old = name_at(names, 0);
        let new = name_at(names, old.count_bytes() + 1);
        renameat_with(
            &self.nodes[&from].file,
            old,
            &self.nodes[&to].file,
            new,
            flags,
        )?;
        Ok(Vec::new())
    }

    fn open(&mut self, node: u64, flags: u32) -> Reply {
        let flags = OFlags::from_bits_retain(flags) & !OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(CWD, self.path(node), flags, Mode::empty())?;
        Ok(self.handle(file, flags))
    }

    fn handle(&mut self, file: OwnedFd, flags: OFlags) -> Vec<u8> {
        let is_writable = flags.intersects(OFlags::WRONLY | OFlags::RDWR);
        let handle = Handle {
            file: File::from(file),
            is_writable,
        };
        self.next_handle += 1;
        self.handles.insert(self.next_handle, handle);
        [self.next_handle, 0].map(u64::to_ne_bytes).concat()
    }

    fn create(&mut self, parent: u64, owner: (u32, u32), body: &[u8]) -> Reply {
        let flags = OFlags::from_bits_retain(u32_at(body, 0)) | OFlags::CLOEXEC;
        let (mode, name) = (Mode::from_bits_retain(u32_at(body, 4)), name_at(body, 16));
        let file = openat(&self.nodes[&parent].file, name, flags, mode)?;
        self.give(parent, name, owner)?;
        let entry = self.entry(parent, name)?;
        Ok([entry, self.handle(file, flags)].concat())
    }

    fn list(&mut self, node: u64, body: &[u8]) -> Reply {
        let (from, room) = (u64_at(body, 8) as usize, u32_at(body, 16) as usize);
        let file = &self.handles[&u64_at(body, 0)].file;
        assert!(self.nodes.contains_key(&node));
        let mut reply: Vec<u8> = Vec::new();
        for (number, entry) in Dir::read_from(file.as_fd())?.enumerate().skip(from) {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if reply.len() + 32 + name.len() > room {
                break;
            }
            reply.extend(entry.ino().to_ne_bytes());
            reply.extend((number as u64 + 1).to_ne_bytes());
            reply.extend((name.len() as u32).to_ne_bytes());
            // DT_UNKNOWN.
            reply.extend([0; 4]);
            reply.extend(name);
            reply.resize(reply.len().next_multiple_of(8), 0);
        }
        Ok(reply)
    }

    fn lock(&mut self, body: &[u8]) -> Reply {
        let handle = &self.handles[&u64_at(body, 0)];
        let operation = match u32_at(body, 32) {
            0 => FlockOperation::NonBlockingLockShared,
            1 => FlockOperation::NonBlockingLockExclusive,
            _ => FlockOperation::NonBlockingUnlock,
        };
        match (self.behaviour.locks, operation) {
            (Locks::Refused(errno), _) => return Err(Errno::from_raw_os_error(errno)),
            (Locks::ExclusiveForWriters, FlockOperation::NonBlockingLockExclusive)
                if !handle.is_writable =>
            {
                return Err(Errno::BADF);
            }
            _ => flock(&handle.file, operation)?,
        }
        Ok(Vec::new())
    }
}
