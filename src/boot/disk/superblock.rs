//! What a block device holds, its UUID and its label: what `root=UUID=…` and `root=LABEL=…` are
//! looked up by. blkid(8) says the same of the same device.

use crate::boot::disk::format::{Block, Check, FILE_SYSTEMS, FORMATS, Format, NAMES, Uuid};
use crate::boot::disk::{Read, Text, label, number};
use crate::sys;

/// What a superblock says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Superblock {
    /// blkid's name for it, which is that of a file system for mount(2) and `rootfstype=`.
    pub(crate) kind: &'static str,
    pub(crate) is_file_system: bool,
    pub(crate) uuid: Text,
    pub(crate) label: Text,
    /// Where on the device it is.
    pub(crate) offset: u64,
    /// How many devices the file system is on.
    pub(crate) devices: u64,
}

impl Check {
    fn is_true(self, block: &Block) -> bool {
        match self {
            Check::Nothing => true,
            Check::Jbd | Check::Ext2 | Check::Ext3 | Check::Ext4 => ext(block) == Some(self),
            // The size of a block.
            Check::Erofs => (9..=16).contains(&block[12]),
            // The version, and the size of a block.
            Check::Xfs => matches!(block[101] & 15, 4 | 5) && (9..=16).contains(&block[120]),
            // The version, the only one that the kernel has.
            Check::Squashfs => number(block, 28, 4) == 4,
            // The length of a FAT, which FAT32 has elsewhere.
            Check::Fat => is_fat(block) && (is_fat16(block) || number(block, 36, 4) != 0),
            // How long sectors and clusters are, as powers of two.
            Check::Exfat => {
                let [sector, cluster] = [block[108], block[109]];
                (9..=12).contains(&sector) && cluster <= 25 - sector
            }
            Check::Ntfs => true,
            // The version, of eight bytes, where bcachefs has two of two bytes, and no small ones.
            Check::Bcache => number(block, 16, 8) <= 6,
            Check::Bcachefs => number(block, 16, 8) > 6,
            // Checksums, since little else tells these from anything else.
            Check::Jmicron => sum(block, 128, 2) as u16 <= 1 && block[512 + 48] <= 5,
            Check::Silicon => sum(block, 320, 2) as u16 == 0 && block[512 + 278] < 8,
            Check::Via => sum(block, 50, 1) as u8 == block[512 + 50] && block[512 + 2] <= 2,
            Check::Promise => part(block, 8, 16) == b"Technology, Inc.",
            // Its own offset.
            Check::Btrfs => number(block, 48, 8) == 65536,
        }
    }
}

/// The sum of the numbers of this width in so many bytes of the last sector.
fn sum(block: &Block, bytes: usize, width: usize) -> u64 {
    let places = (512..512 + bytes).step_by(width);
    places.map(|at| number(block, at, width)).sum()
}

/// ext4 is what has a feature that ext3 does not know, ext3 what has a journal.
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

/// The kernel's own test of a boot sector: FAT's magic is in everything that a PC boots.
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

/// How many are in use: one that was removed leaves its place. The list of them is a field behind the
/// superblock, as long as there is no older one instead.
fn devices_of_bcachefs(read: &mut Read, block: &Block, start: u64) -> u64 {
    const FIELDS: u64 = 752;
    const MEMBERS: u64 = 11;
    let places = u64::from(block[123]);
    let end = FIELDS + number(block, 124, 4) * 8;
    let mut at = FIELDS;
    // There are fewer kinds of fields.
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

/// Nothing where the block ends before it.
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
            // When it was changed, else when it was made, which stands before it.
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
    /// Finds what is on a block device of this size. A kilobyte is read in each of two dozen
    /// places, of FAT and exFAT the root directory, 64 KiB of it at most, in steps of 512 bytes, and of
    /// bcachefs a few bytes for each of its devices.
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

#[cfg(test)]
mod images;
#[cfg(test)]
mod tests;
