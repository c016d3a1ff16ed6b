//! The labels of FAT, exFAT and NTFS, which are not in the superblock but in the file system itself.

use crate::boot::disk::format::Block;
use crate::boot::disk::superblock::is_fat16;
use crate::boot::disk::{Read, Text, number};

/// Reads FAT's label, an entry of the root directory. The copy in the boot sector may be stale.
pub(super) fn of_fat(read: &mut Read, boot: &Block) -> Option<Text> {
    const VOLUME: u8 = 0x08;
    const DIRECTORY: u8 = 0x10;
    const LONG_NAME: u8 = 0x0f;
    let sector = number(boot, 11, 2);
    let cluster = number(boot, 13, 1) * sector;
    let (reserved, fats) = (number(boot, 14, 2), number(boot, 16, 1));
    let after_fats = |fat| (reserved + fats * fat) * sector;
    let directory = if is_fat16(boot) {
        Directory {
            heap: after_fats(number(boot, 22, 2)),
            size: number(boot, 17, 2) * 32,
            fat: None,
            cluster: 2,
        }
    } else {
        Directory {
            heap: after_fats(number(boot, 36, 4)),
            size: cluster,
            fat: Some(reserved * sector),
            cluster: number(boot, 44, 4),
        }
    };
    directory.find(read, &|entry| {
        let (name, attributes) = (entry.first_chunk::<11>()?, entry[11]);
        let no_cluster = number(entry, 20, 2) == 0 && number(entry, 26, 2) == 0;
        // 0xe5 marks a deleted entry; a name that begins with this byte is stored with 5 instead.
        let is_label = name[0] != 0xe5
            && attributes & (VOLUME | DIRECTORY) == VOLUME
            && attributes & LONG_NAME != LONG_NAME
            && no_cluster;
        let mut name = *name;
        name[0] = if name[0] == 5 { 0xe5 } else { name[0] };
        is_label.then(|| Text::label(&name))
    })
}

/// Reads exFAT's label, also an entry of the root directory.
pub(super) fn of_exfat(read: &mut Read, boot: &Block) -> Option<Text> {
    const LABEL: u8 = 0x83;
    let [sector, cluster] = [boot[108], boot[109]];
    let directory = Directory {
        heap: number(boot, 88, 4) << sector,
        size: 1 << sector << cluster,
        fat: Some(number(boot, 80, 4) << sector),
        cluster: number(boot, 96, 4),
    };
    directory.find(read, &|entry| {
        let units = usize::from(entry[1]).min(11);
        (entry[0] == LABEL).then(|| Text::utf_16(&entry[2..2 + units * 2]))
    })
}

/// A root directory. Offsets and sizes are in bytes; the first cluster has number 2.
struct Directory {
    /// The offset of the first cluster.
    heap: u64,
    size: u64,
    /// The offset of the FAT, which has the next cluster of each in four bytes. `None` for a directory
    /// of fixed size.
    fat: Option<u64>,
    cluster: u64,
}

impl Directory {
    /// Returns the first label in the first 64 KiB of the directory's entries.
    fn find(mut self, read: &mut Read, label: &dyn Fn(&[u8]) -> Option<Text>) -> Option<Text> {
        let mut offset = 0;
        for _ in 0..128 {
            if offset >= self.size {
                let mut next = [0; 4];
                if !read(self.fat? + self.cluster * 4, &mut next) {
                    return None;
                }
                // The upper 4 bits are reserved. The last cluster's number is past the device's end, so
                // the next read fails.
                self.cluster = number(&next, 0, 4) & 0x0fff_ffff;
                offset = 0;
            }
            let start = self.heap + self.cluster.checked_sub(2)? * self.size;
            let mut entries = [0; 512];
            if !read(start + offset, &mut entries) {
                return None;
            }
            for entry in entries.chunks_exact(32) {
                if entry[0] == 0 {
                    return None;
                }
                if let Some(label) = label(entry) {
                    return Some(label);
                }
            }
            offset += 512;
        }
        None
    }
}

/// Reads NTFS's label, an attribute of the fourth file, in the first kilobyte of its record.
pub(super) fn of_ntfs(read: &mut Read, boot: &Block) -> Option<Text> {
    const NAME: u64 = 0x60;
    // A positive byte is a number of units, a negative one the exponent of a power of two.
    let size = |byte: u8, unit: u64| match byte as i8 {
        power @ ..0 => 1 << (-i32::from(power)).min(31),
        number => number as u64 * unit,
    };
    let cluster = match boot[13] {
        // A number of sectors; a byte above 128 is such an exponent too.
        sectors @ ..=128 => u64::from(sectors),
        sectors => size(sectors, 1),
    } * number(boot, 11, 2);
    let file = number(boot, 48, 8).wrapping_mul(cluster);
    let mut record = [0; 1024];
    let read = read(file.wrapping_add(3 * size(boot[64], cluster)), &mut record);
    if !read || !record.starts_with(b"FILE") {
        return None;
    }
    let mut rest = record.get(number(&record, 20, 2) as usize..)?;
    loop {
        let length = number(rest, 4, 4) as usize;
        if number(rest, 0, 4) == NAME {
            let name = rest.get(number(rest, 20, 2) as usize..)?;
            return Some(Text::utf_16(name.get(..number(rest, 16, 4) as usize)?));
        }
        rest = rest.get(length..).filter(|_| length > 0)?;
    }
}
