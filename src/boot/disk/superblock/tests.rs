//! Compares the parser with blkid(8) on superblocks that the mkfs programs write.

use std::path::Path;
use std::prelude::rust_2024::*;
use std::sync::OnceLock;
use std::{format, fs, vec};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use super::*;
use crate::boot::disk::tests::{output, reading, sparse};

/// Every read of these images is in the first mebibyte.
const READ_OF_IMAGE: usize = 1 << 20;
/// The reads of the superblocks, and of a root directory or the devices of a bcachefs.
const READS_MAX: usize = FORMATS.len() + 320;

/// Options of mkfs.vfat, and sizes in MiB that suit them.
const FATS: [(&str, u64); 5] = [
    ("-F 12 -i 0000beef", 4),
    ("-F 12 -S 4096 -s 8", 40),
    ("-F 16", 16),
    ("-F 16 -S 4096 -s 1", 40),
    ("-F 32", 40),
];

fn superblock(image: &[u8]) -> Option<Superblock> {
    reading(image, READS_MAX, |read| {
        Superblock::read(read, image.len() as u64)
    })
}

pub(super) fn blkid(tag: &str, image: &Path) -> Vec<u8> {
    let mut value = output("blkid -p -o value -s", &[tag], image);
    assert!(matches!(value.pop(), None | Some(b'\n')));
    value
}

/// Compares the answers for an image with blkid's. Returns the part of it that is read.
fn like_blkid(path: &Path) -> Vec<u8> {
    let image = fs::read(path).unwrap();
    let found = superblock(&image);
    let kind = blkid("TYPE", path);
    let Some(found) = found else {
        assert!(kind.is_empty(), "{kind:?}");
        return image;
    };
    let text = String::from_utf8_lossy;
    assert_eq!(found.kind.as_bytes(), kind);
    assert_eq!(text(found.uuid.bytes()), text(&blkid("UUID", path)));
    assert_eq!(text(found.label.bytes()), text(&blkid("LABEL", path)));
    agrees_with_itself(&found);
    image[..image.len().min(READ_OF_IMAGE)].to_vec()
}

fn agrees_with_itself(found: &Superblock) {
    let (uuid, label) = (found.uuid.bytes(), found.label.bytes());
    assert_eq!(found.uuid.is_uuid(uuid), !uuid.is_empty());
    assert_eq!(
        found.uuid.is_uuid(&uuid.to_ascii_uppercase()),
        !uuid.is_empty()
    );
    assert_eq!(
        found.uuid.is_uuid(&uuid.to_ascii_lowercase()),
        !uuid.is_empty()
    );
    assert_eq!(found.label.is(label), !label.is_empty());
    assert!(!found.uuid.is_uuid(&[uuid, b"0"].concat()));
    assert!(!found.label.is(&[label, b"0"].concat()));
    assert!(!found.uuid.is_uuid(&uuid[..uuid.len().saturating_sub(1)]));
}

/// Makes an image of each kind once, and compares it with blkid.
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
        for label in ["", "a b", "\u{fc}\u{1f980}", "0123456789a"] {
            make("mkfs.exfat -L", &[label], 8);
            make("mkfs.exfat -c 64K -L", &[label], 40);
            make("mkfs.ntfs -q -F -f -L", &[label], 4);
            make("mkfs.ntfs -q -F -f -s 4096 -c 65536 -L", &[label], 20);
        }
        make("mkfs.ntfs -q -F -f -L", &[&"\u{20ac}".repeat(128)], 4);
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
        // Some versions of mkfs.erofs cannot write a label.
        for label in [b"0123456789abcdef", "\u{fc} \u{1f980} \0 ab   ".as_bytes()] {
            image[1024 + 64..][..label.len()].copy_from_slice(label);
            fs::write(&path, &image).unwrap();
            images.push(like_blkid(&path));
        }
        images
    })
}

#[test]
#[cfg_attr(miri, ignore = "it starts programs")]
fn each_file_system_is_recognised_as_blkid_does() {
    images();
}

#[test]
#[cfg_attr(miri, ignore = "it starts programs")]
fn a_fat_label_comes_from_the_root_directory() {
    let directory = tempfile::tempdir().unwrap();
    for (options, mebibytes) in FATS {
        let path = sparse(directory.path(), mebibytes);
        output(&format!("mkfs.vfat {options} -n"), &["LABEL"], &path);
        let fresh = fs::read(&path).unwrap();
        // The boot sector and its copy have the label too, so take the last.
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
            // The root directory may start at another cluster than the first, number 2.
            let cluster = usize::from(fresh[13]) * 512;
            let mut image = fresh.clone();
            image.copy_within(entry..entry + 32, entry + cluster);
            image[entry..][..5].copy_from_slice(b"FIRST");
            image[44] = 3;
            fs::write(&path, &image).unwrap();
            like_blkid(&path);
            assert!(superblock(&image).unwrap().label.is(b"LABEL"));
        }
    }
}

/// Only the places of devices that are still in use count.
#[test]
fn bcachefs_records_its_number_of_devices() {
    const UNUSED: [u64; 2] = [0, u64::MAX];
    let image = |members: &[u64], other_field: u32, kind: u32| {
        let mut image = vec![0; 64 << 10];
        let mut put =
            |at: usize, bytes: &[u8]| image[4096 + at..][..bytes.len()].copy_from_slice(bytes);
        put(16, b"\x21\x04\x21\x04");
        put(24, b"\xc6\x85\x73\xf6\x66\xce\x90\xa9");
        put(56, &[7; 16]);
        put(123, &[members.len() as u8]);
        put(124, &4000_u32.to_le_bytes());
        put(752, &other_field.to_le_bytes());
        put(756, &1_u32.to_le_bytes());
        let at = (752 + other_field as usize * 8).min(40_000);
        put(at, &500_u32.to_le_bytes());
        put(at + 4, &kind.to_le_bytes());
        put(at + 8, &160_u16.to_le_bytes());
        for (place, member) in members.iter().enumerate() {
            put((at + 16 + place * 160).min(50_000), &member.to_le_bytes());
        }
        image
    };
    let devices = |image: &[u8]| superblock(image).unwrap().devices;
    assert_eq!(devices(&image(&[5], 20, 11)), 1);
    assert_eq!(devices(&image(&[5, 6, 7], 20, 11)), 3);
    assert_eq!(devices(&image(&[5, UNUSED[0], 7, UNUSED[1]], 400, 11)), 2);
    // All places count without the list, which older versions lack, and if a field has no length.
    assert_eq!(devices(&image(&[5, 0, 7], 20, 2)), 3);
    assert_eq!(devices(&image(&[5, 0, 7], 0, 2)), 3);
    assert_eq!(devices(&image(&[5, 0, 7], u32::MAX >> 16, 11)[..8192]), 3);
    // The first versions have the magic of bcache, but a larger version number.
    let mut first = image(&[5, 6], 20, 2);
    first[4096 + 24..][..8].copy_from_slice(b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca");
    assert_eq!(superblock(&first).unwrap().kind, "bcachefs");
    first[4096 + 16..][..4].copy_from_slice(&[1, 0, 0, 0]);
    assert_eq!(superblock(&first).unwrap().kind, "bcache");
}

#[test]
fn other_data_is_not_taken_for_a_file_system() {
    assert_eq!(superblock(&[]), None);
    assert_eq!(superblock(&[0; 70_000]), None);
    // A boot sector that is not FAT.
    let mut boot = vec![0; 4096];
    boot[510..512].copy_from_slice(b"\x55\xaa");
    assert_eq!(superblock(&boot), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 2000 }))]

    /// Any bytes on a device can be read, with few reads.
    #[test]
    fn any_bytes_are_read(
        mut bytes in prop::collection::vec(any::<u8>(), 1024),
        place in any::<Index>(),
    ) {
        let format = place.get(FORMATS);
        let length = usize::from(format.magic_length);
        bytes[format.magic_at.into()..][..length].copy_from_slice(&format.magic[..length]);
        let image = bytes.repeat(65);
        if let Some(found) = superblock(&image) {
            agrees_with_itself(&found);
        }
    }
}

/// The same for an image that is nearly a file system, or ends early.
#[test]
#[cfg_attr(miri, ignore = "it starts programs")]
fn broken_images_are_read() {
    // Outside of the cases: an image that cannot be made is one failure, not thousands.
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

#[test]
#[cfg_attr(miri, ignore = "it starts programs")]
fn a_mark_at_the_end_is_found_on_a_disk_of_any_size() {
    let image = images()[0].clone();
    let sizes = [2 << 20, (2 << 20) + 512, (2 << 20) - 512, 9 << 18];
    for size in sizes {
        for (kind, back, magic) in [
            ("drbd", (size & 4095) + 4096 - 60, &b"\x83\x74\x02\x6d"[..]),
            (
                "linux_raid_member",
                (size & 65535) + 65536,
                b"\xfc\x4e\x2b\xa9\0\0\0\0",
            ),
            (
                "linux_raid_member",
                8192 + (size & 4095),
                b"\xfc\x4e\x2b\xa9\x01\0\0\0",
            ),
            ("isw_raid_member", 1024, b"Intel Raid ISM Cfg Sig. "),
            ("nvidia_raid_member", 1024, b"NVIDIA  "),
            ("lsi_mega_raid_member", 512, b"$XIDE$"),
            ("hpt45x_raid_member", 11 * 512, b"\xfd\x16\x78\x5a"),
            (
                "promise_fasttrack_raid_member",
                3087 * 512,
                b"Promise Technology, Inc.",
            ),
        ] {
            let mut disk = image.clone();
            disk.resize(size, 0);
            let found = superblock(&disk).unwrap();
            assert!(found.kind == "ext2" && found.is_file_system);
            disk[size - back..][..magic.len()].copy_from_slice(magic);
            let found = superblock(&disk).unwrap();
            assert_eq!((found.kind, found.is_file_system), (kind, false), "{size}");
        }
    }
}
