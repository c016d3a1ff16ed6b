//! Which file system a block device holds, its UUID and its label: what `root=UUID=…` and
//! `root=LABEL=…` are looked up by. blkid(8) says the same of the same device.

use core::ops::Range;

use crate::boot::disk::{Read, Text, number};

/// What a superblock says of its file system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Superblock {
    /// Its name for mount(2) and `rootfstype=`.
    pub(crate) file_system: &'static str,
    pub(crate) uuid: Text,
    pub(crate) label: Text,
}

/// How a superblock is known, and where in it things are.
struct Format {
    magic_at: usize,
    magic: &'static [u8],
    uuid: Range<usize>,
    label: Range<usize>,
    /// The file system's name, unless the rest of the superblock cannot be one of it.
    name: fn(&Block) -> Option<&'static str>,
}

/// All that is read of a superblock, wherever it is.
type Block = [u8; 1024];

/// Where superblocks are. What is left of an older file system is found last: ext and erofs leave
/// the first kilobyte to boot loaders, which may have filled it in as FAT's; ext also may not have
/// written yet where btrfs's is.
const PLACES: [(u64, &[Format]); 3] = [
    (1024, &[EXT, EROFS]),
    (0, &[XFS, SQUASHFS, FAT16, FAT32]),
    (65536, &[BTRFS]),
];

const EXT: Format = Format {
    magic_at: 56,
    magic: b"\x53\xef",
    uuid: 104..120,
    label: 120..136,
    name: ext,
};

const EROFS: Format = Format {
    magic_at: 0,
    magic: b"\xe2\xe1\xf5\xe0",
    uuid: 48..64,
    label: 64..80,
    // The size of a block.
    name: |block| (9..=16).contains(&block[12]).then_some("erofs"),
};

const XFS: Format = Format {
    magic_at: 0,
    magic: b"XFSB",
    uuid: 32..48,
    label: 108..120,
    // The version, and the size of a block.
    name: |block| {
        (matches!(block[101] & 15, 4 | 5) && (9..=16).contains(&block[120])).then_some("xfs")
    },
};

const SQUASHFS: Format = Format {
    magic_at: 0,
    magic: b"hsqs",
    uuid: 0..0,
    label: 0..0,
    // The version, the only one that the kernel has.
    name: |block| (number(block, 28, 4) == 4).then_some("squashfs"),
};

const FAT16: Format = Format {
    magic_at: 510,
    magic: b"\x55\xaa",
    uuid: 39..43,
    label: 0..0,
    name: |block| (is_fat(block) && number(block, 22, 2) != 0).then_some("vfat"),
};

const FAT32: Format = Format {
    uuid: 67..71,
    name: |block| {
        (is_fat(block) && number(block, 22, 2) == 0 && number(block, 36, 4) != 0).then_some("vfat")
    },
    ..FAT16
};

const BTRFS: Format = Format {
    magic_at: 64,
    magic: b"_BHRfS_M",
    uuid: 32..48,
    label: 299..555,
    // Its own offset.
    name: |block| (number(block, 48, 8) == 65536).then_some("btrfs"),
};

/// ext4 is what has a feature that ext3 does not know, ext3 what has a journal. A device that is
/// only a journal is none of them.
fn ext(block: &Block) -> Option<&'static str> {
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
    if incompatible & JOURNAL_DEV != 0 || inodes == 0 || log_block_size > 6 {
        return None;
    }
    let beyond_ext3 = incompatible & !EXT3_INCOMPATIBLE != 0
        || read_only_compatible & !EXT3_READ_ONLY_COMPATIBLE != 0;
    Some(match compatible & HAS_JOURNAL {
        _ if beyond_ext3 => "ext4",
        0 => "ext2",
        _ => "ext3",
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

impl Superblock {
    /// Finds the file system of a block device. At most three kilobytes are read, one each at 0,
    /// 1 KiB and 64 KiB, and of FAT the root directory: 64 KiB of it at most, in steps of 512 bytes.
    pub(crate) fn read(read: &mut Read) -> Option<Superblock> {
        for (offset, formats) in PLACES {
            let mut block: Block = [0; 1024];
            if !read(offset, &mut block) {
                continue;
            }
            for format in formats {
                let part = |range: &Range<usize>| block.get(range.clone()).unwrap_or_default();
                let magic_end = format.magic_at + format.magic.len();
                if part(&(format.magic_at..magic_end)) != format.magic {
                    continue;
                }
                let Some(file_system) = (format.name)(&block) else {
                    continue;
                };
                let (uuid, label) = match part(&format.uuid) {
                    // FAT's serial number.
                    [a, b, c, d] => (
                        Text::hexadecimal(&[*d, *c, *b, *a], &[2], b"0123456789ABCDEF"),
                        Text::label(&fat_label(read, &block).unwrap_or_default()),
                    ),
                    uuid => (Text::uuid(uuid), Text::label(part(&format.label))),
                };
                return Some(Superblock {
                    file_system,
                    uuid,
                    label,
                });
            }
        }
        None
    }

    /// Is it the one of `root=UUID=…`?
    pub(crate) fn has_uuid(&self, text: &[u8]) -> bool {
        self.uuid.is_uuid(text)
    }

    /// Is it the one of `root=LABEL=…`?
    pub(crate) fn has_label(&self, text: &[u8]) -> bool {
        self.label.is(text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::prelude::rust_2024::*;
    use std::sync::OnceLock;
    use std::{format, vec};

    use proptest::prelude::*;
    use proptest::sample::Index;
    use proptest::test_runner::TestRunner;

    use super::*;
    use crate::boot::disk::tests::{output, reading, sparse};

    /// Everything that is read of the images made here lies in the first mebibyte.
    const READ_OF_IMAGE: usize = 1 << 20;
    /// The three superblocks and a root directory.
    const READS_MAX: usize = 3 + 128;

    /// Options of mkfs.vfat, and sizes that suit them.
    const FATS: [(&str, u64); 5] = [
        ("-F 12 -i 0000beef", 4),
        ("-F 12 -S 4096 -s 8", 40),
        ("-F 16", 16),
        ("-F 16 -S 4096 -s 1", 40),
        ("-F 32", 40),
    ];

    fn superblock(image: &[u8]) -> Option<Superblock> {
        reading(image, READS_MAX, Superblock::read)
    }

    fn blkid(tag: &str, image: &Path) -> Vec<u8> {
        let mut value = output("blkid -p -o value -s", &[tag], image);
        assert!(matches!(value.pop(), None | Some(b'\n')));
        value
    }

    /// Says of an image what blkid does; gives what can be read of it.
    fn like_blkid(path: &Path) -> Vec<u8> {
        let image = fs::read(path).unwrap();
        let found = superblock(&image);
        let kind = blkid("TYPE", path);
        let Some(found) = found else {
            assert!(kind.is_empty() || kind == b"jbd", "{kind:?}");
            return image;
        };
        let text = String::from_utf8_lossy;
        assert_eq!(found.file_system.as_bytes(), kind);
        assert_eq!(text(found.uuid.bytes()), text(&blkid("UUID", path)));
        assert_eq!(text(found.label.bytes()), text(&blkid("LABEL", path)));
        agrees_with_itself(&found);
        image[..image.len().min(READ_OF_IMAGE)].to_vec()
    }

    fn agrees_with_itself(found: &Superblock) {
        let (uuid, label) = (found.uuid.bytes(), found.label.bytes());
        assert_eq!(found.has_uuid(uuid), !uuid.is_empty());
        assert_eq!(found.has_uuid(&uuid.to_ascii_uppercase()), !uuid.is_empty());
        assert_eq!(found.has_uuid(&uuid.to_ascii_lowercase()), !uuid.is_empty());
        assert_eq!(found.has_label(label), !label.is_empty());
        assert!(!found.has_uuid(&[uuid, b"0"].concat()));
        assert!(!found.has_label(&[label, b"0"].concat()));
        assert!(!found.has_uuid(&uuid[..uuid.len().saturating_sub(1)]));
    }

    /// Makes an image of each kind, looks at it as blkid does, and keeps it for other tests.
    fn images() -> &'static [Vec<u8>] {
        static IMAGES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
        IMAGES.get_or_init(|| {
            let directory = tempfile::tempdir().unwrap();
            let mut images = Vec::new();
            let mut make = |command: &str, label: &[&str], mebibytes| {
                let path = sparse(directory.path(), mebibytes);
                output(command, label, &path);
                images.push(like_blkid(&path));
            };
            for label in [
                "",
                "a b  ",
                "\u{fc}\u{1f980}",
                "\"$HOME\" \\\\x20",
                "0123456789abcdef",
            ] {
                make("mkfs.ext2 -q -L", &[label], 4);
                make("mkfs.ext3 -q -L", &[label], 4);
                make("mkfs.ext4 -q -b 4096 -L", &[label], 4);
                make("mkfs.btrfs -q -L", &[label], 120);
            }
            make("mkfs.btrfs -q -L", &[&"\u{e9} ".repeat(85)], 120);
            for features in [
                "journal_dev",
                "extents",
                "^has_journal",
                "large_file",
                "dir_nlink",
            ] {
                for command in ["mkfs.ext2", "mkfs.ext3", "mkfs.ext4"] {
                    make(&format!("{command} -q -O {features}"), &[], 4);
                }
            }
            for label in ["", "a b", "\u{fc}\u{1f980}", "0123456789ab"] {
                make("mkfs.xfs -q -f -L", &[label], 320);
            }
            make("mkfs.xfs -q -f -m crc=0 -b size=1024", &[], 320);
            for (options, mebibytes) in FATS {
                for label in ["NO NAME", "A B", "0123456789A"] {
                    make(&format!("mkfs.vfat {options} -n"), &[label], mebibytes);
                }
            }
            let path = directory.path().join("image");
            let tree = directory.path().join("tree");
            fs::create_dir(&tree).unwrap();
            fs::write(tree.join("file"), vec![7; 5000]).unwrap();
            fs::remove_file(&path).unwrap();
            output("mksquashfs", &[tree.to_str().unwrap()], &path);
            images.push(like_blkid(&path));
            fs::remove_file(&path).unwrap();
            output("mkfs.erofs -Enosbcrc", &[path.to_str().unwrap()], &tree);
            let mut image = like_blkid(&path);
            // Not every mkfs.erofs can write a label.
            for label in [b"0123456789abcdef", "\u{fc} \u{1f980} \0 ab   ".as_bytes()] {
                image[1024 + 64..][..label.len()].copy_from_slice(label);
                fs::write(&path, &image).unwrap();
                images.push(like_blkid(&path));
            }
            images
        })
    }

    #[test]
    fn each_file_system_is_what_blkid_says() {
        images();
    }

    #[test]
    fn a_label_of_fat_is_the_one_of_the_root_directory() {
        let directory = tempfile::tempdir().unwrap();
        for (options, mebibytes) in FATS {
            let path = sparse(directory.path(), mebibytes);
            output(&format!("mkfs.vfat {options} -n"), &["LABEL"], &path);
            let fresh = fs::read(&path).unwrap();
            // The boot sector has it too, and the copy of that.
            let entry = fresh
                .windows(5)
                .rposition(|bytes| bytes == b"LABEL")
                .unwrap();
            let deleted = [
                b"\xe5ABEL      \x08".as_slice(),
                &[0; 20],
                b"OTHER      \x08",
            ]
            .concat();
            let long_name = [b"LABEL      \x0f".as_slice(), &[0; 20], b"AFTER ONE  \x28"].concat();
            let patches = [
                (b"\x05A".as_slice(), b"\xe5ABEL".as_slice()),
                (&deleted, b"OTHER"),
                (&long_name, b"AFTER ONE"),
                (b"LABEL      \x10", b""),
                (b"LABEL      \x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", b""),
                (b"\0", b""),
            ];
            for (patch, label) in patches {
                let mut image = fresh.clone();
                image[entry..][..patch.len()].copy_from_slice(patch);
                fs::write(&path, &image).unwrap();
                like_blkid(&path);
                assert_eq!(
                    superblock(&image).unwrap().label.bytes(),
                    label,
                    "{patch:?}"
                );
            }
            if options.starts_with("-F 32") {
                // The root directory need not be the first cluster, which is number 2.
                let cluster = usize::from(fresh[13]) * 512;
                let mut image = fresh.clone();
                image.copy_within(entry..entry + 32, entry + cluster);
                image[entry..][..5].copy_from_slice(b"FIRST");
                image[44] = 3;
                fs::write(&path, &image).unwrap();
                like_blkid(&path);
                assert!(superblock(&image).unwrap().has_label(b"LABEL"));
            }
        }
    }

    #[test]
    fn what_is_no_file_system_is_none() {
        assert_eq!(superblock(&[]), None);
        assert_eq!(superblock(&[0; 70_000]), None);
        // What boots, but is not FAT.
        let mut boot = vec![0; 4096];
        boot[510..512].copy_from_slice(b"\x55\xaa");
        assert_eq!(superblock(&boot), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Whatever is on a device, reading it ends, after a few reads.
        #[test]
        fn any_bytes_are_read(
            mut bytes in prop::collection::vec(any::<u8>(), 1024),
            place in any::<Index>(),
        ) {
            let formats: Vec<&Format> = PLACES.iter().flat_map(|(_, formats)| *formats).collect();
            let format = formats[place.index(formats.len())];
            bytes[format.magic_at..][..format.magic.len()].copy_from_slice(format.magic);
            let image = bytes.repeat(65);
            if let Some(found) = superblock(&image) {
                agrees_with_itself(&found);
            }
        }
    }

    /// The same for what nearly is a file system, or ends early.
    #[test]
    fn broken_images_are_read() {
        // Not within a case: if an image cannot be made, that is one failure, not thousands.
        let images = images();
        let place = prop_oneof![
            0_usize..64,
            0_usize..2048,
            65536_usize..66560,
            0..READ_OF_IMAGE
        ];
        let changes = prop::collection::vec((place, any::<u8>()), 0..40);
        let length = prop_oneof![Just(READ_OF_IMAGE), 0..READ_OF_IMAGE, 0..70_000_usize];
        let mut runner = TestRunner::new(ProptestConfig::with_cases(1000));
        let result = runner.run(
            &(any::<Index>(), changes, length),
            |(image, changes, length)| {
                let image = image.get(images);
                let mut image = image[..length.min(image.len())].to_vec();
                for (offset, byte) in changes {
                    if let Some(place) = image.get_mut(offset) {
                        *place = byte;
                    }
                }
                if let Some(found) = superblock(&image) {
                    agrees_with_itself(&found);
                }
                Ok(())
            },
        );
        result.unwrap();
    }
}
