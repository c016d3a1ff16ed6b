//! Partition tables and superblocks.

use crate::boot::disk::Read;
use crate::boot::disk::partition::{Known, Partition};
use crate::boot::disk::superblock::Superblock;

/// Parses a disk. The data are its first two kilobytes and the one at 64 KiB; the rest of the data repeats
/// everywhere else.
pub fn disk(data: &[u8]) {
    let (parameters, data) = data.split_at(data.len().min(5));
    let parameter = |index: usize| parameters.get(index).copied().unwrap_or(0);
    let byte = |offset: u64| {
        let offset = match offset {
            0..2048 => offset as usize,
            65536..66560 => (offset - 65536) as usize + 2048,
            _ if data.len() > 3072 => 3072 + (offset % (data.len() as u64 - 3072)) as usize,
            _ => return 0,
        };
        data.get(offset).copied().unwrap_or(0)
    };
    // Limits the number of reads, for any content.
    fn limited<T>(
        byte: impl Fn(u64) -> u8,
        limit: usize,
        disk_size: u64,
        test: impl Fn(&mut Read) -> T,
    ) -> T {
        let mut reads = 0;
        test(&mut |offset, buffer| {
            reads += 1;
            assert!(reads <= limit && buffer.len() <= 1024);
            let end = offset.checked_add(buffer.len() as u64);
            let is_there = end.is_some_and(|end| end <= disk_size);
            if is_there {
                for (offset, place) in (offset..).zip(buffer) {
                    *place = byte(offset);
                }
            }
            is_there
        })
    }
    let disk_size = 1 << (parameter(0) % 64);
    if let Some(found) = limited(byte, 400, disk_size, |read| {
        Superblock::read(read, disk_size)
    }) {
        let (uuid, label) = (found.uuid.bytes(), found.label.bytes());
        assert_eq!(
            found.uuid.is_uuid(&uuid.to_ascii_uppercase()),
            !uuid.is_empty()
        );
        assert_eq!(found.label.is(label), !label.is_empty());
        assert!(!found.uuid.is_uuid(&[uuid, b"0"].concat()));
        assert!(!found.label.is(&[label, b"0"].concat()));
    }
    let block_size = match parameter(1) {
        0..16 => 512 << parameter(1),
        byte => u32::from(byte) * 16_843_009,
    };
    let number = u32::from(parameter(2)) << (parameter(3) % 32);
    let known = Known {
        number,
        start: u64::from(block_size) << (parameter(4) % 16),
        disk_size,
        block_size: block_size.into(),
    };
    let found = limited(byte, 5, disk_size, |read| Partition::read(read, known));
    if let Some(found) = found {
        agrees_with_itself(&found);
    }
}

/// Checks that the names of a partition are text, and that only these names match it.
pub(crate) fn agrees_with_itself(found: &Partition) {
    let (uuid, label) = (found.uuid.bytes(), found.label.bytes());
    assert!(std::str::from_utf8(label).is_ok());
    assert_eq!(
        found.uuid.is_uuid(&uuid.to_ascii_uppercase()),
        !uuid.is_empty()
    );
    assert_eq!(found.label.is(label), !label.is_empty());
    assert!(!found.uuid.is_uuid(&[uuid, b"0"].concat()));
    assert!(!found.label.is(&[label, b"0"].concat()));
}
