//! The UUID and the label of a partition in its disk's partition table, GPT or MBR, for
//! `root=PARTUUID=…` and `root=PARTLABEL=…`.
//!
//! sysfs does not show them, so the table is read again. The entry counts only if it starts where the
//! kernel says that the partition starts.

use crate::boot::disk::{Read, Text, number};

/// The names of a partition in the partition table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Partition {
    pub(crate) uuid: Text,
    pub(crate) label: Text,
}

/// The kernel's data about a partition and its disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// The partition's number: `partition` in sysfs.
    pub(crate) number: u32,
    /// The partition's offset on the disk, in bytes, like the sizes below.
    pub(crate) start: u64,
    pub(crate) disk_size: u64,
    /// `queue/logical_block_size` of the disk.
    pub(crate) block_size: u64,
}

impl Partition {
    /// Reads the partition's entry from its disk, in at most five reads: the MBR, a header of a GPT and
    /// the entry, and the backup header at the disk's end and its entry.
    pub(crate) fn read(read: &mut Read, known: Known) -> Option<Partition> {
        let mut mbr = [0; 512];
        if !read(0, &mut mbr) {
            return None;
        }
        // With its parameter `gpt` the kernel reads a GPT without an MBR.
        if is_protective(&mbr) || !mbr.ends_with(b"\x55\xaa") {
            let last = known.disk_size.checked_sub(known.block_size)?;
            let mut headers = [known.block_size, last].into_iter();
            headers.find_map(|header| gpt(read, header, known))
        } else {
            mbr_partition(&mbr, known.number)
        }
    }
}

/// Splits `UUID/PARTNROFF=OFFSET`, which names the partition OFFSET numbers after the one with the UUID,
/// on the same disk.
pub(crate) fn partuuid_and_offset(text: &[u8]) -> Option<(&[u8], i32)> {
    let Some(slash) = text.iter().position(|byte| *byte == b'/') else {
        return Some((text, 0));
    };
    let (uuid, rest) = text.split_at_checked(slash)?;
    let (sign, digits) = match rest.strip_prefix(b"/PARTNROFF=")? {
        [b'-', digits @ ..] => (-1, digits),
        digits => (1, digits),
    };
    Some((
        uuid,
        sign * i32::try_from(crate::text::number::number(digits)?).ok()?,
    ))
}

/// Returns whether this is the MBR of a disk with a GPT: it has a partition of type 0xee from block 1.
fn is_protective(mbr: &[u8]) -> bool {
    (446..510)
        .step_by(16)
        .any(|entry| number(mbr, entry + 4, 1) == 0xee && number(mbr, entry + 8, 4) == 1)
}

/// Builds the UUID from the disk's signature and the partition's number. Logical partitions have the
/// kernel's numbers from 5 on, so their chain need not be read.
fn mbr_partition(mbr: &[u8], number: u32) -> Option<Partition> {
    let number = u8::try_from(number).ok().filter(|number| *number != 0)?;
    let [a, b, c, d] = *mbr.get(440..444)?.first_chunk()?;
    Some(Partition {
        uuid: Text::hexadecimal(&[d, c, b, a, number], &[4], b"0123456789abcdef"),
        label: Text::label(b""),
    })
}

/// Reads the entry from a GPT. `None` if it is not the partition that the kernel found: the table is
/// broken or stale.
fn gpt(read: &mut Read, header_at: u64, known: Known) -> Option<Partition> {
    let mut header = [0; 512];
    if !read(header_at, &mut header) || !header.starts_with(b"EFI PART") {
        return None;
    }
    let index = u64::from(known.number.checked_sub(1)?);
    let entries = number(&header, 72, 8);
    let count = number(&header, 80, 4);
    let entry_size = number(&header, 84, 4);
    if index >= count || !(128..=4096).contains(&entry_size) {
        return None;
    }
    let offset = entries.checked_mul(known.block_size)?;
    let mut entry = [0; 128];
    if !read(offset.checked_add(index * entry_size)?, &mut entry) {
        return None;
    }
    if number(&entry, 32, 8).checked_mul(known.block_size)? != known.start {
        return None;
    }
    let (kind, rest) = entry.split_first_chunk::<16>()?;
    let (uuid, rest) = rest.split_first_chunk::<16>()?;
    if *kind == [0; 16] {
        return None;
    }
    // The first three fields of a GUID are little-endian numbers.
    let mut uuid = *uuid;
    for field in [0..4, 4..6, 6..8] {
        uuid.get_mut(field)?.reverse();
    }
    Some(Partition {
        uuid: Text::uuid(&uuid),
        label: Text::utf_16(rest.get(24..)?),
    })
}

#[cfg(all(test, in_clone))]
mod tests {
    use std::format;
    use std::io::Write;
    use std::path::Path;
    use std::prelude::rust_2024::*;
    use std::process::{Command, Stdio};
    use std::{env, fs};

    use proptest::prelude::*;
    use proptest::sample::Index;
    use proptest::test_runner::TestRunner;

    use super::*;
    use crate::boot::disk::tests::{output, reading, sparse};
    use crate::fuzzing::agrees_with_itself;

    /// Reads a partition that starts where the first table says, like the kernel's data.
    fn partition(image: &[u8], block_size: u32, number: u32) -> Option<Partition> {
        let block_size = u64::from(block_size);
        let index = u64::from(number.wrapping_sub(1));
        let start = usize::try_from(2 * block_size + index * 128 + 32)
            .ok()
            .and_then(|at| image.get(at..at + 8))
            .map_or(0, |bytes| super::number(bytes, 0, 8));
        partition_at(image, block_size, number, start.wrapping_mul(block_size))
    }

    fn partition_at(image: &[u8], block_size: u64, number: u32, start: u64) -> Option<Partition> {
        let known = Known {
            number,
            start,
            disk_size: image.len() as u64,
            block_size,
        };
        reading(image, 5, |read| Partition::read(read, known))
    }

    /// Returns a disk of 64 MiB, partitioned by a program that reads a script from standard input.
    fn partitioned(directory: &Path, command: &[&str], script: &str) -> Vec<u8> {
        let path = sparse(directory, 64);
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .arg(&path)
            .env(
                "PATH",
                env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin",
            )
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| std::panic!("{}: {error}", command[0]));
        child
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
        fs::read(path).unwrap()
    }

    /// Returns the number and UUID of each partition from partx, which uses libblkid.
    fn partx(image: &Path, block_size: u32) -> Vec<(u32, String)> {
        let command = format!("partx --sector-size {block_size} --raw --noheadings -o NR,UUID");
        let lines = String::from_utf8(output(&command, &[], image)).unwrap();
        let words = lines.lines().map(|line| line.split_once(' ').unwrap());
        words
            .map(|(number, uuid)| (number.parse().unwrap(), uuid.to_owned()))
            .collect()
    }

    /// Returns a name of the greatest length: 36 units of UTF-16.
    fn long() -> String {
        "\u{20ac}".repeat(36)
    }

    fn gpt_of(directory: &Path) -> Vec<u8> {
        let script = format!(
            "label: gpt\n1: size=1MiB\n2: size=1MiB, name=\"a b\"\n\
             7: size=1MiB, name=\"\u{fc}\u{20ac}\"\n128: size=1MiB, name=\"{}\"\n",
            long()
        );
        partitioned(directory, &["sfdisk", "-q"], &script)
    }

    fn mbr_of(directory: &Path) -> Vec<u8> {
        let script = "label: dos\nlabel-id: 0x0badcafe\n1: size=1MiB\n2: size=20MiB, type=5\n\
            4: size=1MiB\n5: size=1MiB\n6: size=1MiB\n7: size=1MiB\n";
        partitioned(directory, &["sfdisk", "-q"], script)
    }

    #[test]
    #[cfg_attr(miri, ignore = "it starts programs")]
    fn a_gpt_is_read_as_sfdisk_wrote_it_and_partx_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let image = gpt_of(directory.path());
        let path = directory.path().join("image");
        let there = partx(&path, 512);
        let numbers: Vec<u32> = there.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2, 7, 128]);
        for ((number, uuid), label) in there.iter().zip(["", "a b", "\u{fc}\u{20ac}", &long()]) {
            let found = partition(&image, 512, *number).unwrap();
            agrees_with_itself(&found);
            assert!(found.uuid.is_uuid(uuid.as_bytes()));
            assert_eq!(found.label.bytes(), label.as_bytes());
        }
        for number in [0, 3, 129, u32::MAX] {
            assert_eq!(partition(&image, 512, number), None);
        }
        assert_eq!(partition(&image, 4096, 1), None);
    }

    #[test]
    #[cfg_attr(miri, ignore = "it starts programs")]
    fn a_gpt_with_long_blocks_is_read_as_partx_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let script = "g\nn\n1\n\n+1M\nn\n2\n\n\nx\nn\n2\nlong blocks\nr\nw\n";
        let image = partitioned(directory.path(), &["fdisk", "-b", "4096"], script);
        let there = partx(&directory.path().join("image"), 4096);
        assert_eq!(there.len(), 2);
        for (number, uuid) in &there {
            let found = partition(&image, 4096, *number).unwrap();
            assert!(found.uuid.is_uuid(uuid.as_bytes()));
            assert_eq!(found.label.is(b"long blocks"), *number == 2);
        }
        assert_eq!(partition(&image, 512, 1), None);
    }

    #[test]
    #[cfg_attr(miri, ignore = "it starts programs")]
    fn an_mbr_is_read_as_partx_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let image = mbr_of(directory.path());
        let there = partx(&directory.path().join("image"), 512);
        let numbers: Vec<u32> = there.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2, 4, 5, 6, 7]);
        for (number, uuid) in &there {
            let found = partition(&image, 512, *number).unwrap();
            agrees_with_itself(&found);
            assert_eq!(found.uuid.bytes(), uuid.as_bytes());
        }
        let last = partition(&image, 512, 255).unwrap();
        assert!(last.uuid.is_uuid(b"0BADCAFE-FF") && !last.label.is(b""));
        assert_eq!(partition(&image, 512, 0), None);
        assert_eq!(partition(&image, 512, 256), None);
    }

    /// The kernel also falls back to the backup table at the disk's end, with its parameter `gpt`.
    #[test]
    #[cfg_attr(miri, ignore = "it starts programs")]
    fn a_broken_first_gpt_is_skipped() {
        let directory = tempfile::tempdir().unwrap();
        let good = gpt_of(directory.path());
        let expected = partition(&good, 512, 2).unwrap();
        let start = 2 << 20;
        // The header, its field with the table's position, the entries, the whole start of the disk.
        for broken in [512..520, 584..592, 1024..2048, 0..2048] {
            let mut image = good.clone();
            image[broken.clone()].fill(0);
            let found = partition_at(&image, 512, 2, start);
            assert_eq!(found.as_ref(), Some(&expected), "{broken:?}");
            // The partition starts elsewhere: the kernel has read another table.
            assert_eq!(partition_at(&image, 512, 2, start + 512), None);
            let at_end = image.len() - 512;
            image[at_end..].fill(0);
            assert_eq!(partition_at(&image, 512, 2, start), None);
        }
    }

    /// A GPT without its protective MBR is stale, for the kernel too.
    #[test]
    #[cfg_attr(miri, ignore = "it starts programs")]
    fn a_stale_gpt_is_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let mut image = gpt_of(directory.path());
        image[440..444].copy_from_slice(&[4, 3, 2, 1]);
        for (offset, byte) in [(450, 0x83), (454, 2)] {
            let mut image = image.clone();
            image[offset] = byte;
            let found = partition(&image, 512, 1).unwrap();
            assert!(found.uuid.is_uuid(b"01020304-01"));
        }
        for header in [512, image.len() - 512] {
            image[header] = 0;
        }
        assert_eq!(partition(&image, 512, 1), None);
    }

    #[test]
    fn a_name_is_utf_16() {
        let utf16 = |text: &str| {
            text.encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<u8>>()
        };
        assert!(Text::utf_16(&utf16("\u{1f980} \u{fc}\0x")).is("\u{1f980} \u{fc}".as_bytes()));
        assert!(
            Text::utf_16(&utf16(&"\u{1f980}".repeat(18))).is("\u{1f980}".repeat(18).as_bytes())
        );
        // Half of a surrogate pair.
        assert!(Text::utf_16(&[0x3e, 0xd8, b'x', 0]).is("\u{fffd}x".as_bytes()));
    }

    #[test]
    fn an_offset_follows_the_uuid() {
        let offset = |text: &'static str| partuuid_and_offset(text.as_bytes());
        assert_eq!(offset("ab-01"), Some((b"ab-01".as_slice(), 0)));
        assert_eq!(offset("ab/PARTNROFF=1"), Some((b"ab".as_slice(), 1)));
        assert_eq!(offset("ab/PARTNROFF=-12"), Some((b"ab".as_slice(), -12)));
        for wrong in [
            "ab/",
            "ab/PARTNROFF=",
            "ab/PARTNROFF=1x",
            "ab/PARTNROFF=9999999999",
            "ab/x=1",
        ] {
            assert_eq!(offset(wrong), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 2000 }))]

        /// Any bytes in the first blocks of a disk can be read.
        #[test]
        fn any_bytes_are_read(
            mut image in prop::collection::vec(any::<u8>(), 2048),
            header in any::<bool>(),
            entry_size in prop_oneof![any::<u32>(), 0_u32..300],
            entries in prop_oneof![any::<u64>(), 0_u64..4],
            block_size in prop_oneof![Just(512), any::<u32>()],
            number in prop_oneof![any::<u32>(), 0_u32..10],
        ) {
            image[510..512].copy_from_slice(b"\x55\xaa");
            if header {
                image[450] = 0xee;
                image[454..458].copy_from_slice(&1_u32.to_le_bytes());
                image[512..520].copy_from_slice(b"EFI PART");
                image[584..592].copy_from_slice(&entries.to_le_bytes());
                image[596..600].copy_from_slice(&entry_size.to_le_bytes());
            }
            if let Some(found) = partition(&image, block_size, number) {
                agrees_with_itself(&found);
            }
        }

        #[test]
        fn any_offset_is_read(text in prop::collection::vec(any::<u8>(), 0..40), good: i32) {
            let _ = partuuid_and_offset(&text);
            let _ = partuuid_and_offset(&[b"x/PARTNROFF=", text.as_slice()].concat());
            let text = format!("x/PARTNROFF={good}");
            prop_assert_eq!(partuuid_and_offset(text.as_bytes()), Some((b"x".as_slice(), good)));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "it starts programs")]
    fn broken_tables_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let images = [gpt_of(directory.path()), mbr_of(directory.path())];
        let changes = prop::collection::vec((0_usize..1536, any::<u8>()), 0..40);
        let what = (any::<Index>(), changes, 0_usize..20_000, 0_u32..200);
        let mut runner = TestRunner::default();
        let result = runner.run(&what, |(image, changes, length, number)| {
            let mut image = image.get(&images)[..length].to_vec();
            for (offset, byte) in changes {
                if let Some(place) = image.get_mut(offset) {
                    *place = byte;
                }
            }
            if let Some(found) = partition(&image, 512, number) {
                agrees_with_itself(&found);
            }
            Ok(())
        });
        result.unwrap();
    }
}
