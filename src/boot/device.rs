//! Finds the block device that `root=` or a line of fstab names, and waits for it.
//!
//! Devices appear at any time during boot, so every look reads sysfs anew. The contents of a device are
//! known by its superblock ([`disk`](super::disk)). Members of RAID, LVM and the like are refused: a
//! file system that seems to be on one must not be mounted.

use alloc::vec::Vec;

use crate::boot::cmdline::CommandLine;
use crate::boot::disk::format;
use crate::boot::disk::partition::{Known, Partition};
use crate::boot::disk::superblock::Superblock;
use crate::boot::events::Events;
use crate::boot::sysfs::{names_in, read_attribute};
use crate::boot::wanted::{Tag, Wanted, device_number};
use crate::error::{Error, Step};
use crate::mount::{Mount, Source};
use crate::sys::fs::write_all;
use crate::sys::poll::{NANOSECONDS, clock};
use crate::sys::tty::settings;
use crate::sys::{BorrowedFd, OwnedFd, fs, split, system};
use crate::text::name::Name;
use crate::text::number::number;
use crate::text::path::split_last;

/// A device that was found.
pub(super) struct Device {
    /// Its path in /dev. For bcachefs all devices of the file system, separated by colons.
    pub(super) path: Name,
    pub(super) superblock: Option<Superblock>,
    /// Whether all devices of its file system were found.
    is_complete: bool,
}

/// How long to wait for a device, in seconds, without `rootwait`.
const PATIENCE: u64 = 10;

/// Finds the device, and waits for it as long as `rootwait` says, or ten seconds. Fails if it is a
/// member of a RAID or the like.
pub(super) fn find(line: &CommandLine, name: &[u8], events: &Events) -> Result<Device, Error> {
    let device = search(line, name, events)?;
    device.refuse_member(name)?;
    Ok(device)
}

/// Replaces the name of the device in a mount of fstab by its path, and the type `auto` by the type
/// found on it. An optional mount is not waited for.
pub(super) fn find_for(
    mount: &mut Mount,
    line: &CommandLine,
    events: &Events,
) -> Result<(), Error> {
    let Some(name) = &mount.device else {
        return Ok(());
    };
    let name = name.bytes();
    let wanted = Wanted::new(name);
    if !name.starts_with(b"/dev/") && !matches!(wanted, Wanted::Tag { .. }) {
        return Ok(());
    }
    let device = match mount.optional {
        false => search(line, name, events)?,
        true => match wanted.look() {
            Some(device) => device,
            None => return Ok(()),
        },
    };
    device.refuse_member(name)?;
    if let (b"auto", Some(superblock)) = (mount.source.name().bytes(), device.superblock) {
        mount.source = Source::FileSystem(Name::new(superblock.kind.as_bytes()));
    }
    mount.device = Some(device.path);
    Ok(())
}

fn search(line: &CommandLine, root: &[u8], events: &Events) -> Result<Device, Error> {
    let wanted = Wanted::new(root);
    let look = || wanted.look().filter(|device| device.is_complete);
    if let Some(device) = look() {
        return Ok(device);
    }
    say(&[b"waiting for the device ", root]);
    let seconds = match line.value(b"rootwait") {
        None => Some(PATIENCE),
        // As in the kernel, `rootwait` without a number waits indefinitely.
        Some(value) => number(value).map(u64::from),
    };
    let until = seconds.map(|seconds| clock() + seconds * NANOSECONDS);
    let is_terminal = settings(BorrowedFd::STDERR).is_ok();
    let start = clock();
    loop {
        // On a terminal the seconds are shown, on one line that is overwritten.
        let next = is_terminal.then(|| clock() + NANOSECONDS);
        let next = [until, next].into_iter().flatten().min();
        if let Some(device) = events.wait(next, look)? {
            return Ok(device);
        }
        if next == until {
            break;
        }
        show_seconds((clock() - start) / NANOSECONDS);
    }
    let mut why = "it did not appear in time";
    if let Some(device) = wanted.look() {
        let flags = line.value(b"rootflags").unwrap_or_default();
        // btrfs and bcachefs have the option `degraded`, and bcachefs also `very_degraded`.
        if split(flags, b',').any(|flag| flag.ends_with(b"degraded")) {
            return Ok(device);
        }
        why = "not all devices of its file system appeared in time";
    }
    let names = devices();
    let mut there = names.iter().filter(|name| !is_empty(name)).peekable();
    match there.peek() {
        Some(_) => say(&[b"block devices found:"]),
        None => say(&[b"no block device was found"]),
    }
    for name in there {
        describe(name, &names);
    }
    if let Wanted::Tag {
        tag: Tag::Uuid | Tag::Label,
        ..
    } = wanted
    {
        say(&[b"known file systems:", format::KNOWN.as_bytes()]);
    }
    Err(Error::because(Step::FindDevice, root, why))
}

/// Returns the names of all block devices.
fn devices() -> Vec<Vec<u8>> {
    names_in(c"/sys/class/block")
}

impl Wanted {
    fn look(&self) -> Option<Device> {
        let names = devices();
        let number = match self {
            Wanted::Path(path) => {
                let stat = fs::stat(open(path)?.borrow()).ok()?;
                Some(stat.is_block_device().then_some(stat.special)?)
            }
            Wanted::Number(number) => Some(*number),
            Wanted::Tag { .. } => None,
        };
        let mut name = names.iter().find(|name| match self {
            _ if is_empty(name) => false,
            Wanted::Tag { tag, value, .. } => tag.is(value, name, &names),
            _ => device_number(&attribute(name, b"dev")) == number,
        })?;
        if let Wanted::Tag {
            offset: offset @ (..=-1 | 1..),
            ..
        } = self
        {
            let wanted = partition_number(name)?.checked_add_signed(*offset);
            name = names.iter().find(|other| {
                disk_of(other) == disk_of(name) && partition_number(other) == wanted
            })?;
        }
        let superblock = superblock_of(name, &names);
        let mut device = Device {
            path: path_of(name),
            is_complete: true,
            superblock,
        };
        device.find_others(&names);
        Some(device)
    }
}

impl Tag {
    /// Returns whether the tag with this value names the device.
    fn is(self, value: &[u8], name: &[u8], names: &[Vec<u8>]) -> bool {
        let (uuid, label) = match self {
            Tag::Uuid | Tag::Label => match superblock_of(name, names) {
                Some(found) if found.is_file_system => (found.uuid, found.label),
                _ => return false,
            },
            Tag::PartUuid | Tag::PartLabel => match partition_of(name) {
                Some(found) => (found.uuid, found.label),
                None => return false,
            },
        };
        match self {
            Tag::Uuid | Tag::PartUuid => uuid.is_uuid(value),
            Tag::Label | Tag::PartLabel => label.is(value),
        }
    }
}

impl Device {
    /// Fails if the device is known to hold something other than a file system.
    fn refuse_member(&self, name: &[u8]) -> Result<(), Error> {
        match &self.superblock {
            Some(on) if !on.is_file_system => {
                say(&[b"on ", self.path.bytes(), b" is ", on.kind.as_bytes()]);
                let why = "it is part of a RAID array or a volume group, not a file system (wipefs \
                           removes a stale signature)";
                Err(Error::because(Step::FindDevice, name, why))
            }
            _ => Ok(()),
        }
    }

    /// Looks for the other devices of the file system. btrfs mounts only devices that were registered
    /// with it, so this registers them. bcachefs takes the list of its devices at the mount.
    fn find_others(&mut self, names: &[Vec<u8>]) {
        let Some(superblock) = self.superblock.as_ref().filter(|on| on.devices > 1) else {
            return;
        };
        let (mut count, mut paths) = (0, Vec::new());
        for name in names {
            let other = superblock_of(name, names);
            if !other.is_some_and(|on| on.kind == superblock.kind && on.uuid == superblock.uuid) {
                continue;
            }
            let path = path_of(name);
            self.is_complete = system::btrfs_is_complete(path.bytes()).unwrap_or(true);
            paths.extend_from_slice(if count == 0 { b"" } else { b":" });
            paths.extend_from_slice(path.bytes());
            count += 1;
        }
        if superblock.kind == "bcachefs" {
            self.path = Name::new(&paths);
            self.is_complete = count >= superblock.devices;
        }
    }
}

/// Returns the device's path in `/dev`; sysfs writes a slash in a name as `!`.
fn path_of(name: &[u8]) -> Name {
    let mut path = Vec::from(b"/dev/");
    path.extend(name.iter().map(|byte| match byte {
        b'!' => b'/',
        byte => *byte,
    }));
    Name::new(&path)
}

fn open(path: &Name) -> Option<OwnedFd> {
    // Without O_NONBLOCK, opening a drive without a disk can block.
    let flags = fs::O_RDONLY | fs::O_NONBLOCK;
    fs::openat(BorrowedFd::CWD, path.as_c_str(), flags, 0).ok()
}

/// Reads what is on a device.
///
/// If the whole disk is a member of a mirror, so is each of its partitions. The disk's own mark is then
/// behind all partitions: a mark inside the last partition belongs to that partition alone. Only hpt37x
/// firmware has its mark before the partitions. A mark of md there is older than the partition table.
fn superblock_of(name: &[u8], names: &[Vec<u8>]) -> Option<Superblock> {
    let found = read_superblock(name);
    if partition_number(name).is_some() {
        let disk = disk_of(name);
        let mark = read_superblock(&disk).filter(|mark| {
            let mut partitions = names
                .iter()
                .filter(|other| partition_number(other).is_some() && disk_of(other) == disk);
            !mark.is_file_system
                && (mark.kind == "hpt37x_raid_member"
                    || partitions.all(|other| mark.offset >= end_of(other)))
        });
        return mark.or(found);
    }
    found
}

fn end_of(partition: &[u8]) -> u64 {
    (sectors(partition, b"start") + sectors(partition, b"size")) * SECTOR
}

fn read_superblock(name: &[u8]) -> Option<Superblock> {
    let size = sectors(name, b"size") * SECTOR;
    Superblock::read(&mut reader(&open(&path_of(name))?), size)
}

/// Reads the device's entry in the partition table of its disk.
fn partition_of(name: &[u8]) -> Option<Partition> {
    let number = partition_number(name)?;
    let disk = disk_of(name);
    let block_size = self::number(&attribute(&disk, b"queue/logical_block_size")).unwrap_or(512);
    let known = Known {
        number,
        start: sectors(name, b"start") * SECTOR,
        disk_size: sectors(&disk, b"size") * SECTOR,
        block_size: block_size.into(),
    };
    Partition::read(&mut reader(&open(&path_of(&disk))?), known)
}

fn reader(device: &OwnedFd) -> impl FnMut(u64, &mut [u8]) -> bool {
    |offset, buffer| fs::read_exact_at(device.borrow(), buffer, offset).is_ok()
}

fn partition_number(name: &[u8]) -> Option<u32> {
    number(&attribute(name, b"partition"))
}

/// Returns the disk of a partition: the directory above the partition's own in sysfs.
fn disk_of(name: &[u8]) -> Vec<u8> {
    let link = Name::joined(&[b"/sys/class/block/", name]);
    let mut buffer = [0; 1024];
    let length = fs::readlink_at(BorrowedFd::CWD, link.as_c_str(), &mut buffer).unwrap_or(0);
    let (directory, _) = split_last(buffer.get(..length).unwrap_or_default());
    Vec::from(split_last(directory).1)
}

fn attribute(name: &[u8], attribute: &[u8]) -> Vec<u8> {
    read_attribute(&[b"/sys/class/block/", name, b"/", attribute])
}

/// The unit of sizes in sysfs, whatever the device's own sector size.
const SECTOR: u64 = 512;

/// Returns whether the device has no medium: a loop device without a file, a drive without a disk.
fn is_empty(name: &[u8]) -> bool {
    sectors(name, b"size") == 0
}

fn sectors(name: &[u8], attribute: &[u8]) -> u64 {
    let digits = self::attribute(name, attribute);
    digits.iter().fold(0, |number: u64, digit| {
        number
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

/// Prints a line with the device and everything that `root=` could name it by.
fn describe(name: &[u8], names: &[Vec<u8>]) {
    let path = path_of(name);
    let mut words: Vec<&[u8]> = Vec::from([b"  ", path.bytes()]);
    let superblock = superblock_of(name, names);
    if let Some(superblock) = &superblock {
        push_pair(&mut words, b" ", superblock.kind.as_bytes());
        push_pair(&mut words, b" UUID=", superblock.uuid.bytes());
        push_pair(&mut words, b" LABEL=", superblock.label.bytes());
        if !superblock.is_file_system {
            words.push(b" (no file system)");
        }
    }
    let partition = partition_of(name);
    if let Some(partition) = &partition {
        push_pair(&mut words, b" PARTUUID=", partition.uuid.bytes());
        push_pair(&mut words, b" PARTLABEL=", partition.label.bytes());
    }
    say(&words);
}

/// Appends a name and its value, unless the value is empty.
fn push_pair<'a>(words: &mut Vec<&'a [u8]>, name: &'a [u8], value: &'a [u8]) {
    if !value.is_empty() {
        words.push(name);
        words.push(value);
    }
}

/// Shows the seconds on a line of the terminal that the next line overwrites.
fn show_seconds(seconds: u64) {
    let mut line = crate::text::line::Line::new();
    line.push(b"rootlet: ");
    line.push_number(seconds as u32);
    line.push(b" s\r");
    let _ = write_all(BorrowedFd::STDERR, line.bytes());
}

/// Prints a line on the console.
pub(super) fn say(words: &[&[u8]]) {
    let mut line = crate::text::line::Line::new();
    line.push(b"rootlet: ");
    for word in words {
        line.push_name(word);
    }
    line.push(b"\n");
    // A failure cannot be reported anywhere else.
    let _ = write_all(BorrowedFd::STDERR, line.bytes());
}
