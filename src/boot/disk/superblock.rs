//! Finds the superblock on a block device: the type, UUID and label of a file system or RAID member, for
//! `root=UUID=…` and `root=LABEL=…`. The answers are those of blkid(8) for the same device.

use crate::boot::disk::format::{Block, Check, FILE_SYSTEMS, FORMATS, Format, NAMES, Uuid};
use crate::boot::disk::{Read, Text, label, number};
use crate::sys;

/// The fields of a superblock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Superblock {
    /// The type in blkid's words; for a file system also the name for mount(2) and `rootfstype=`.
    pub(crate) kind: &'static str,
    pub(crate) is_file_system: bool,
    pub(crate) uuid: Text,
    pub(crate) label: Text,
    /// The superblock's offset on the device, in bytes.
    pub(crate) offset: u64,
    /// The number of devices of the file system.
    pub(crate) devices: u64,
}

impl Check {
    fn is_true(self, block: &Block) -> bool {
        match self {
            Check::Nothing => true,
            Check::Jbd | Check::Ext2 | Check::Ext3 | Check::Ext4 => ext(block) == Some(self),
            // The exponent of the block size.
            Check::Erofs => (9..=16).contains(&block[12]),
            // The version, and the exponent of the block size.
            Check::Xfs => matches!(block[101] & 15, 4 | 5) && (9..=16).contains(&block[120]),
            // The version; the kernel supports only this one.
            Check::Squashfs => number(block, 28, 4) == 4,
            // The length of a FAT, which is in another field in FAT32.
            Check::Fat => is_fat(block) && (is_fat16(block) || number(block, 36, 4) != 0),
            // The exponents of the sector size and of the sectors in a cluster.
            Check::Exfat => {
                let [sector, cluster] = [block[108], block[109]];
                (9..=12).contains(&sector) && cluster <= 25 - sector
            }
            Check::Ntfs => true,
            // bcache's version has eight bytes. bcachefs has two versions of two bytes there, which make
            // a larger number.
            Check::Bcache => number(block, 16, 8) <= 6,
            Check::Bcachefs => number(block, 16, 8) > 6,
            // Checksums, since these magic numbers are short.
            Check::Jmicron => sum(block, 128, 2) as u16 <= 1 && block[512 + 48] <= 5,
            Check::Silicon => sum(block, 320, 2) as u16 == 0 && block[512 + 278] < 8,
            Check::Via => sum(block, 50, 1) as u8 == block[512 + 50] && block[512 + 2] <= 2,
            Check::Promise => part(block, 8, 16) == b"Technology, Inc.",
            // The superblock's own offset.
            Check::Btrfs => number(block, 48, 8) == 65536,
        }
    }
}

/// Returns the sum of the numbers of `width` bytes in the first `bytes` bytes of the last sector.
fn sum(block: &Block, bytes: usize, width: usize) -> u64 {
    let places = (512..512 + bytes).step_by(width);
    places.map(|at| number(block, at, width)).sum()
}

/// Tells ext2, ext3 and ext4 apart: ext4 has a feature that ext3 lacks, and ext3 has a journal.
fn ext(block: &Block) -> Option<Check> {
    const HAS_JOURNAL: u64 = 0x4;
    const JOURNAL_DEV: u64 = 0x8;
    // filetype, needs_recovery, meta_bg
    const EXT3_INCOMPATIBLE: u64 = 0x2 | 0x4 | 0x10;
    // sparse_super, large_file, btree_dir
    const EXT3_READ_ONLY_COMPATIBLE: u64 = 0x1 | 0x2 | 0x4;
    let compatible = number(block, 92, 4);
    let incompatible = number(block, 96, 4);
    let read_only_compatible = number(block, 100, 4);
    let inodes = number(block, 0, 4);
    let log_block_size = number(block, 24, 4);
    if incompatible & JOURNAL_DEV != 0 {
        return Some(Check::Jbd);
    }
    if inodes == 0 || log_block_size > 6 {
        return None;
    }
    let beyond_ext3 = incompatible & !EXT3_INCOMPATIBLE != 0
        || read_only_compatible & !EXT3_READ_ONLY_COMPATIBLE != 0;
    Some(match compatible & HAS_JOURNAL {
        _ if beyond_ext3 => Check::Ext4,
        0 => Check::Ext2,
        _ => Check::Ext3,
    })
}

/// Checks a boot sector like the kernel: FAT's magic is in every boot sector of a PC.
fn is_fat(block: &Block) -> bool {
    let sector = number(block, 11, 2);
    let (cluster, reserved, fats) = (block[13], number(block, 14, 2), block[16]);
    let media = block[21];
    sector.is_power_of_two()
        && (512..=4096).contains(&sector)
        && cluster.is_power_of_two()
        && reserved != 0
        && fats != 0
        && (media == 0xf0 || media >= 0xf8)
}

pub(super) fn is_fat16(block: &Block) -> bool {
    number(block, 22, 2) != 0
}

/// Counts the devices in use: a removed device leaves an empty place. The list of members is a field
/// behind the superblock. Without that list, as in older versions, all places count.
fn devices_of_bcachefs(read: &mut Read, block: &Block, start: u64) -> u64 {
    const FIELDS: u64 = 752;
    const MEMBERS: u64 = 11;
    let places = u64::from(block[123]);
    let end = FIELDS + number(block, 124, 4) * 8;
    let mut at = FIELDS;
    // There are fewer than 64 kinds of fields.
    for _ in 0..64 {
        let mut field = [0; 16];
        if at >= end || !read(start + at, &mut field) {
            break;
        }
        if number(&field, 4, 4) == MEMBERS {
            let length = number(&field, 8, 2);
            let mut is_used = |place| {
                let mut uuid = [0; 8];
                read(start + at + 16 + place * length, &mut uuid)
                    && !matches!(number(&uuid, 0, 8), 0 | u64::MAX)
            };
            return (0..places).filter(|place| is_used(*place)).count() as u64;
        }
        at += number(&field, 0, 4) * 8;
    }
    places
}

/// Returns a part of the block; empty if the block is too short.
#[inline(never)]
fn part(block: &Block, at: u16, length: u16) -> &[u8] {
    let start = usize::from(at);
    block
        .get(start..start + usize::from(length))
        .unwrap_or_default()
}

impl Format {
    fn is_in(&self, block: &Block) -> bool {
        let length = self.magic_length;
        let magic = self.magic.get(..usize::from(length));
        Some(part(block, self.magic_at, length.into())) == magic && self.check.is_true(block)
    }

    fn uuid_in(&self, block: &Block) -> Text {
        let part_at = |at: u16, length| part(block, self.uuid_at + at, length);
        let part = |length| part_at(0, length);
        match self.uuid {
            Uuid::None => Text::default(),
            Uuid::Plain => Text::uuid(part(16)),
            Uuid::Fat => Text::serial(part_at(if is_fat16(block) { 39 } else { 67 }, 4)),
            Uuid::Serial => Text::serial(part(4)),
            Uuid::LongSerial => Text::serial(part(8)),
            Uuid::Text => Text::label(part(40)),
            // The time of the last change, else the time of creation, which comes before it.
            Uuid::Date => match Text::date(part_at(17, 16)) {
                changed if changed.bytes().is_empty() => Text::date(part_at(0, 16)),
                changed => changed,
            },
        }
    }

    fn label_in(&self, block: &Block, read: &mut Read) -> Text {
        let label = part(block, self.label_at, u16::from(self.label_length) * 4);
        match self.check {
            Check::Fat => label::of_fat(read, block).unwrap_or_default(),
            Check::Exfat => label::of_exfat(read, block).unwrap_or_default(),
            Check::Ntfs => label::of_ntfs(read, block).unwrap_or_default(),
            _ if self.wide_label => Text::utf_16(label),
            _ => Text::label(label),
        }
    }
}

impl Superblock {
    /// Finds the superblock on a block device of this size.
    ///
    /// Reads one kilobyte in each of about two dozen places. For FAT and exFAT it also reads up to 64 KiB
    /// of the root directory in steps of 512 bytes, and for bcachefs a few bytes for each device.
    pub(crate) fn read(read: &mut Read, size: u64) -> Option<Superblock> {
        let mut block: Block = [0; 1024];
        let mut block_at = None;
        for (index, format) in FORMATS.iter().enumerate() {
            let place = format.place.offset(size);
            if place.is_none() || place != block_at {
                block_at = place.filter(|offset| read(*offset, &mut block));
            }
            let Some(offset) = block_at else { continue };
            if format.is_in(&block) {
                let mut names = (0..=index)
                    .rev()
                    .map(|index| sys::line(NAMES, index, b'\0').0);
                return Some(Superblock {
                    kind: names.find(|name| !name.is_empty()).unwrap_or_default(),
                    is_file_system: FILE_SYSTEMS.contains(&index),
                    uuid: format.uuid_in(&block),
                    label: format.label_in(&block, read),
                    offset,
                    devices: match format.check {
                        Check::Btrfs => number(&block, 136, 8),
                        Check::Bcachefs => devices_of_bcachefs(read, &block, offset),
                        _ => 1,
                    },
                });
            }
        }
        None
    }
}

#[cfg(all(test, in_clone))]
mod images;
#[cfg(all(test, in_clone))]
mod tests;
