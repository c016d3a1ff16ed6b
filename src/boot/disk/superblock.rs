//! What a block device holds, its UUID and its label: what `root=UUID=…` and `root=LABEL=…` are
//! looked up by. blkid(8) says the same of the same device.

use crate::boot::disk::format::{Block, Check, FILE_SYSTEMS, FORMATS, Format, NAMES, Uuid};
use crate::boot::disk::{Read, Text, number};
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
            // Its own offset.
            Check::Btrfs => number(block, 48, 8) == 65536,
        }
    }
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

fn is_fat16(block: &Block) -> bool {
    number(block, 22, 2) != 0
}

/// FAT's label is an entry of the root directory; the one in the boot sector may be stale. Of
/// FAT32's directory, which can grow, this looks into the first cluster.
fn fat_label(read: &mut Read, boot: &Block) -> Option<[u8; 11]> {
    const VOLUME: u8 = 0x08;
    const DIRECTORY: u8 = 0x10;
    const LONG_NAME: u8 = 0x0f;
    let sector = number(boot, 11, 2);
    let cluster = number(boot, 13, 1) * sector;
    let (reserved, fats) = (number(boot, 14, 2), number(boot, 16, 1));
    let (fat16, fat32) = (number(boot, 22, 2), number(boot, 36, 4));
    let after_fats = |fat| (reserved + fats * fat) * sector;
    let (start, length) = if fat16 != 0 {
        (after_fats(fat16), number(boot, 17, 2) * 32)
    } else {
        let root = number(boot, 44, 4).checked_sub(2)?;
        (after_fats(fat32) + root * cluster, cluster)
    };
    for offset in (0..length.min(65536)).step_by(512) {
        let mut entries = [0; 512];
        if !read(start + offset, &mut entries) {
            return None;
        }
        for entry in entries.chunks_exact(32) {
            let (name, attributes) = (entry.first_chunk::<11>()?, entry[11]);
            let no_cluster = number(entry, 20, 2) == 0 && number(entry, 26, 2) == 0;
            if name[0] == 0 {
                return None;
            }
            // 0xe5 is a deleted one; for a name that begins like this there is 5.
            if name[0] != 0xe5
                && attributes & (VOLUME | DIRECTORY) == VOLUME
                && attributes & LONG_NAME != LONG_NAME
                && no_cluster
            {
                let mut name = *name;
                name[0] = if name[0] == 5 { 0xe5 } else { name[0] };
                return Some(name);
            }
        }
    }
    None
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
            Check::Fat => Text::label(&fat_label(read, block).unwrap_or_default()),
            _ if self.wide_label => Text::utf_16(label),
            _ => Text::label(label),
        }
    }
}

impl Superblock {
    /// Finds what is on a block device of this size. A kilobyte is read in each of a dozen places,
    /// and of FAT the root directory: 64 KiB of it at most, in steps of 512 bytes.
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
                return Some(Superblock {
                    kind: sys::line(NAMES, index, b'\0').0,
                    is_file_system: FILE_SYSTEMS.contains(&index),
                    uuid: format.uuid_in(&block),
                    label: format.label_in(&block, read),
                    offset,
                    devices: match format.check {
                        Check::Btrfs => number(&block, 136, 8),
                        _ => 1,
                    },
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
