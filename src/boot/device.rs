//! The block device that `root=` names.

use alloc::vec::Vec;

use crate::boot::cmdline::CommandLine;
use crate::boot::disk::format;
use crate::boot::disk::partition::{Known, Partition, partuuid_and_offset};
use crate::boot::disk::superblock::Superblock;
use crate::boot::events::Events;
use crate::boot::sysfs::{names_in, read_attribute};
use crate::error::{Error, Step};
use crate::sys::fs::write_all;
use crate::sys::poll::{NANOSECONDS, clock};
use crate::sys::tty::settings;
use crate::sys::{BorrowedFd, OwnedFd, fs, split, system};
use crate::text::name::Name;
use crate::text::number::number;
use crate::text::path::split_last;

/// A device that is there.
pub(super) struct Device {
    pub(super) path: Name,
    pub(super) superblock: Option<Superblock>,
    /// So are the others of its file system.
    is_complete: bool,
}

/// How long is waited, in seconds, where the command line does not say.
const PATIENCE: u64 = 10;

/// Finds the device, waiting for it: ten seconds, or as `rootwait` says. What is on it is a file
/// system, if it is anything that is known.
pub(super) fn find(
    line: &CommandLine,
    root: &[u8],
    events: &Events,
) -> Result<Device, Error<'static>> {
    let device = search(line, root, events)?;
    if let Some(Superblock {
        kind,
        is_file_system: false,
        ..
    }) = device.superblock
    {
        say(&[b"on ", device.path.bytes(), b" is ", kind.as_bytes()]);
        let why = "it is a member of a RAID, a volume group or the like, and no file system \
                   (wipefs removes an old mark)";
        return Err(Error::because(Step::FindRoot, root, why));
    }
    Ok(device)
}

fn search(line: &CommandLine, root: &[u8], events: &Events) -> Result<Device, Error<'static>> {
    let wanted = Wanted::new(root);
    let look = || wanted.look().filter(|device| device.is_complete);
    if let Some(device) = look() {
        return Ok(device);
    }
    say(&[b"waiting for the root device ", root]);
    let seconds = match line.value(b"rootwait") {
        None => Some(PATIENCE),
        // As in the kernel, `rootwait` without a number waits indefinitely.
        Some(value) => number(value).map(u64::from),
    };
    let until = seconds.map(|seconds| clock() + seconds * NANOSECONDS);
    let is_terminal = settings(BorrowedFd::STDERR).is_ok();
    let start = clock();
    loop {
        // How long it takes is shown in place, by who can.
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
        if split(flags, b',').any(|flag| flag == b"degraded") {
            return Ok(device);
        }
        why = "not all devices of its file system appeared in time";
    }
    let names = devices();
    let mut there = names.iter().filter(|name| !is_empty(name)).peekable();
    match there.peek() {
        Some(_) => say(&[b"these block devices are there:"]),
        None => say(&[b"there is no block device"]),
    }
    for name in there {
        describe(name, &names);
    }
    if let Wanted::Tag {
        tag: Tag::Uuid | Tag::Label,
        ..
    } = wanted
    {
        say(&[b"these file systems are known:", format::KNOWN.as_bytes()]);
    }
    Err(Error::because(Step::FindRoot, root, why))
}

/// The names of all block devices.
fn devices() -> Vec<Vec<u8>> {
    names_in(c"/sys/class/block")
}

/// What `root=` says, in the kernel's words and those of other initramfs programs.
enum Wanted {
    Path(Name),
    Number((u32, u32)),
    Tag {
        tag: Tag,
        value: Vec<u8>,
        /// How much further in the table the partition is.
        offset: i32,
    },
}

/// What a device is named by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Uuid,
    Label,
    PartUuid,
    PartLabel,
}

const TAGS: [(Tag, &[u8]); 4] = [
    (Tag::Uuid, b"uuid"),
    (Tag::Label, b"label"),
    (Tag::PartUuid, b"partuuid"),
    (Tag::PartLabel, b"partlabel"),
];

/// `\xHH` is a byte: so udev writes what cannot stand in its links' names.
fn unescape(mut text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while let [byte, rest @ ..] = text {
        text = rest;
        let mut byte = *byte;
        if let [b'x', high, low, rest @ ..] = rest {
            if let (b'\\', Some(high), Some(low)) = (byte, digit(*high), digit(*low)) {
                byte = (high << 4 | low) as u8;
                text = rest;
            }
        }
        plain.push(byte);
    }
    plain
}

fn digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

/// A device's number as the kernel reads it: MAJOR:MINOR, or both in hexadecimal digits, as in
/// `fe01`.
pub(crate) fn device_number(text: &[u8]) -> Option<(u32, u32)> {
    let mut parts = split(text, b':').map(number);
    match (parts.next().flatten(), parts.next()) {
        (Some(major), Some(minor)) => Some((major, minor?)),
        (None, Some(_)) => None,
        (_, None) => {
            let digits = text.strip_prefix(b"0x").unwrap_or(text);
            let number = digits.iter().try_fold(0u32, |number, byte| {
                Some(number.checked_mul(16)? | digit(*byte)?)
            })?;
            let minor = number & 0xff | number >> 12 & 0xfff00;
            Some((number >> 8 & 0xfff, minor))
        }
    }
}

impl Wanted {
    fn new(root: &[u8]) -> Wanted {
        let (text, separator) = match root.strip_prefix(b"/dev/disk/by-") {
            Some(link) => (link, b'/'),
            None => (root, b'='),
        };
        let name = split(text, separator).next().unwrap_or_default();
        for (tag, of_tag) in TAGS {
            let Some(mut value) = text.get(name.len() + 1..) else {
                continue;
            };
            if !name.eq_ignore_ascii_case(of_tag) {
                continue;
            }
            let mut offset = 0;
            if let (Tag::PartUuid, Some(parts)) = (tag, partuuid_and_offset(value)) {
                (value, offset) = parts;
            }
            // As in fstab(5).
            if let [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] = value {
                value = inner;
            }
            return Wanted::Tag {
                tag,
                value: unescape(value),
                offset,
            };
        }
        match device_number(root) {
            Some(number) => Wanted::Number(number),
            None => Wanted::Path(Name::new(root)),
        }
    }

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
        Some(Device {
            path: path_of(name),
            is_complete: superblock
                .as_ref()
                .is_none_or(|superblock| is_complete(superblock, &names)),
            superblock,
        })
    }
}

impl Tag {
    /// Does it name the device by this value?
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

/// Are all devices of the file system there? btrfs mounts what it was told of: so it is told.
fn is_complete(superblock: &Superblock, names: &[Vec<u8>]) -> bool {
    let mut is_complete = superblock.devices <= 1;
    if !is_complete {
        for name in names {
            if superblock_of(name, names).is_some_and(|other| other.uuid == superblock.uuid) {
                is_complete = system::btrfs_is_complete(path_of(name).bytes()).unwrap_or(true);
            }
        }
    }
    is_complete
}

/// In `/dev`; a slash in a device's name is `!` in sysfs.
fn path_of(name: &[u8]) -> Name {
    let mut path = Vec::from(b"/dev/");
    path.extend(name.iter().map(|byte| match byte {
        b'!' => b'/',
        byte => *byte,
    }));
    Name::new(&path)
}

fn open(path: &Name) -> Option<OwnedFd> {
    // So that a drive without a disk in it does not keep us.
    let flags = fs::O_RDONLY | fs::O_NONBLOCK;
    fs::openat(BorrowedFd::CWD, path.as_c_str(), flags, 0).ok()
}

/// What is on a device. A partition of a disk that is part of a mirror is a part of it too: the mark
/// is behind all partitions then, and not in the last one, which would be the part itself.
fn superblock_of(name: &[u8], names: &[Vec<u8>]) -> Option<Superblock> {
    let found = read_superblock(name);
    if partition_number(name).is_some() {
        let disk = disk_of(name);
        let mark = read_superblock(&disk).filter(|mark| {
            let mut partitions = names
                .iter()
                .filter(|other| partition_number(other).is_some() && disk_of(other) == disk);
            !mark.is_file_system && partitions.all(|other| mark.offset >= end_of(other))
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

/// The entry for it in the partition table of its disk.
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

/// The directory of a partition is in that of its disk.
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

/// What sizes in sysfs are in, whatever the device's own sectors are.
const SECTOR: u64 = 512;

/// A loop device without a file, a drive without a disk.
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

/// A line on the console: the device, and everything that `root=` could name it by.
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

/// Nothing for an empty value.
fn push_pair<'a>(words: &mut Vec<&'a [u8]>, name: &'a [u8], value: &'a [u8]) {
    if !value.is_empty() {
        words.push(name);
        words.push(value);
    }
}

/// A line of the terminal that the next one takes the place of.
fn show_seconds(seconds: u64) {
    let mut line = crate::text::line::Line::new();
    line.push(b"rootlet: ");
    line.push_number(seconds as u32);
    line.push(b" s\r");
    let _ = write_all(BorrowedFd::STDERR, line.bytes());
}

/// A line on the console.
pub(super) fn say(words: &[&[u8]]) {
    let mut line = crate::text::line::Line::new();
    line.push(b"rootlet: ");
    for word in words {
        line.push_name(word);
    }
    line.push(b"\n");
    // There is nowhere else to say it.
    let _ = write_all(BorrowedFd::STDERR, line.bytes());
}
