//! The block device that `root=` names.

use alloc::vec::Vec;

use crate::boot::cmdline::CommandLine;
use crate::boot::disk::partition::{Partition, partuuid_and_offset};
use crate::boot::disk::superblock::Superblock;
use crate::boot::events::Events;
use crate::boot::sysfs::{names_in, read_attribute};
use crate::error::{Error, Step};
use crate::sys::fs::write_all;
use crate::sys::poll::{NANOSECONDS, clock};
use crate::sys::tty::settings;
use crate::sys::{BorrowedFd, OwnedFd, fs};
use crate::text::name::Name;
use crate::text::number::number;
use crate::text::path::split_last;

/// A device that is there.
pub(super) struct Device {
    pub(super) path: Name,
    pub(super) superblock: Option<Superblock>,
}

/// How long is waited, in seconds, where the command line does not say.
const PATIENCE: u64 = 10;

/// Finds the device, waiting for it: ten seconds, or as `rootwait` says.
pub(super) fn find(
    line: &CommandLine,
    root: &[u8],
    events: &Events,
) -> Result<Device, Error<'static>> {
    let wanted = Wanted::new(root);
    if let Some(device) = wanted.look() {
        return Ok(device);
    }
    say(&[b"waiting for the root device ", root]);
    let seconds = match line.value(b"rootwait") {
        None => Some(PATIENCE),
        // As the kernel has it: without a number it waits for ever.
        Some(value) => number(value).map(u64::from),
    };
    let until = seconds.map(|seconds| clock() + seconds * NANOSECONDS);
    let is_terminal = settings(BorrowedFd::STDERR).is_ok();
    let start = clock();
    loop {
        // How long it takes is shown in place, by who can.
        let next = is_terminal.then(|| clock() + NANOSECONDS);
        let next = [until, next].into_iter().flatten().min();
        if let Some(device) = events.wait(next, || wanted.look())? {
            return Ok(device);
        }
        if next == until {
            break;
        }
        show_seconds((clock() - start) / NANOSECONDS);
    }
    let names = names_in(BLOCK);
    let mut devices = names.iter().filter(|name| !is_empty(name)).peekable();
    match devices.peek() {
        Some(_) => say(&[b"these block devices are there:"]),
        None => say(&[b"there is no block device"]),
    }
    for name in devices {
        describe(name);
    }
    let why = "it did not appear in time";
    Err(Error::because(Step::FindRoot, root, why))
}

const BLOCK: &core::ffi::CStr = c"/sys/class/block";

/// What `root=` says, in the kernel's words and those of other initramfs programs.
enum Wanted<'a> {
    Path(Name),
    MajorMinor(&'a [u8]),
    Uuid(&'a [u8]),
    Label(&'a [u8]),
    /// And how much further in the table the partition is.
    PartUuid(&'a [u8], i32),
    PartLabel(&'a [u8]),
}

impl Wanted<'_> {
    fn new(root: &[u8]) -> Wanted<'_> {
        let after = |prefixes: [&[u8]; 2]| {
            let mut prefixes = prefixes.into_iter();
            prefixes.find_map(|prefix| root.strip_prefix(prefix))
        };
        if let Some(uuid) = after([b"UUID=", b"/dev/disk/by-uuid/"]) {
            return Wanted::Uuid(uuid);
        }
        if let Some(label) = after([b"LABEL=", b"/dev/disk/by-label/"]) {
            return Wanted::Label(label);
        }
        if let Some(text) = after([b"PARTUUID=", b"/dev/disk/by-partuuid/"]) {
            let (uuid, offset) = partuuid_and_offset(text).unwrap_or((text, 0));
            return Wanted::PartUuid(uuid, offset);
        }
        if let Some(label) = after([b"PARTLABEL=", b"/dev/disk/by-partlabel/"]) {
            return Wanted::PartLabel(label);
        }
        if root.first().is_some_and(u8::is_ascii_digit) {
            return Wanted::MajorMinor(root);
        }
        Wanted::Path(Name::new(root))
    }

    fn look(&self) -> Option<Device> {
        match self {
            Wanted::Path(path) => {
                let device = open(path)?;
                let is_device = fs::stat(device.borrow()).is_ok_and(|stat| stat.is_block_device());
                is_device.then(|| Device {
                    path: path.clone(),
                    superblock: read_superblock(&device),
                })
            }
            wanted => {
                let names = names_in(BLOCK);
                let name = names
                    .iter()
                    .find(|name| !is_empty(name) && wanted.is(name))?;
                match wanted {
                    Wanted::PartUuid(_, offset) if *offset != 0 => {
                        let wanted_number = partition_number(name)?.checked_add_signed(*offset);
                        let name = names.iter().find(|other| {
                            disk_of(other) == disk_of(name)
                                && partition_number(other) == wanted_number
                        })?;
                        device(name)
                    }
                    _ => device(name),
                }
            }
        }
    }

    fn is(&self, name: &[u8]) -> bool {
        match self {
            Wanted::Path(_) => false,
            Wanted::MajorMinor(number) => attribute(name, b"dev") == *number,
            Wanted::Uuid(uuid) => superblock_of(name).is_some_and(|found| found.has_uuid(uuid)),
            Wanted::Label(label) => superblock_of(name).is_some_and(|found| found.has_label(label)),
            Wanted::PartUuid(uuid, _) => {
                partition_of(name).is_some_and(|found| found.has_partuuid(uuid))
            }
            Wanted::PartLabel(label) => {
                partition_of(name).is_some_and(|found| found.has_partlabel(label))
            }
        }
    }
}

fn device(name: &[u8]) -> Option<Device> {
    let path = path_of(name);
    let superblock = read_superblock(&open(&path)?);
    Some(Device { path, superblock })
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

fn superblock_of(name: &[u8]) -> Option<Superblock> {
    read_superblock(&open(&path_of(name))?)
}

fn read_superblock(device: &OwnedFd) -> Option<Superblock> {
    Superblock::read(&mut reader(device))
}

/// The entry for it in the partition table of its disk.
fn partition_of(name: &[u8]) -> Option<Partition> {
    let number = partition_number(name)?;
    let disk = disk_of(name);
    let size = self::number(&attribute(&disk, b"queue/logical_block_size")).unwrap_or(512);
    let disk = open(&path_of(&disk))?;
    Partition::read(&mut reader(&disk), size, number)
}

fn reader(device: &OwnedFd) -> impl FnMut(u64, &mut [u8]) -> bool {
    |offset, buffer| fs::read_exact_at(device.borrow(), buffer, offset).is_ok()
}

fn partition_number(name: &[u8]) -> Option<u32> {
    number(&attribute(name, b"partition"))
}

/// The directory of a partition is in that of its disk.
fn disk_of(name: &[u8]) -> Vec<u8> {
    let link = Name::new(&[b"/sys/class/block/", name].concat());
    let mut buffer = [0; 1024];
    let length = fs::readlink_at(BorrowedFd::CWD, link.as_c_str(), &mut buffer).unwrap_or(0);
    let (directory, _) = split_last(buffer.get(..length).unwrap_or_default());
    Vec::from(split_last(directory).1)
}

fn attribute(name: &[u8], attribute: &[u8]) -> Vec<u8> {
    read_attribute(&[b"/sys/class/block/", name, b"/", attribute])
}

/// A loop device without a file, a drive without a disk.
fn is_empty(name: &[u8]) -> bool {
    attribute(name, b"size") == b"0"
}

/// A line on the console: the device, and everything that `root=` could name it by.
fn describe(name: &[u8]) {
    let path = path_of(name);
    let mut words: Vec<&[u8]> = Vec::from([b"  ", path.bytes()]);
    let superblock = superblock_of(name);
    if let Some(superblock) = &superblock {
        push_pair(&mut words, b" ", superblock.file_system.as_bytes());
        push_pair(&mut words, b" UUID=", superblock.uuid.bytes());
        push_pair(&mut words, b" LABEL=", superblock.label.bytes());
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
