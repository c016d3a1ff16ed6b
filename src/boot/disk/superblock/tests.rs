//! Superblocks that programs have made, beside what blkid(8) says of them.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::prelude::rust_2024::*;
use std::process::Command;
use std::sync::OnceLock;
use std::{env, format, fs, println, vec};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use super::*;
use crate::boot::disk::tests::{output, reading, sparse};

/// Everything that is read of the images made here lies in the first mebibyte.
const READ_OF_IMAGE: usize = 1 << 20;
/// The superblocks and a root directory.
const READS_MAX: usize = FORMATS.len() + 128;

/// Options of mkfs.vfat, and sizes that suit them.
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
            assert!(superblock(&image).unwrap().label.is(b"LABEL"));
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
        let format = place.get(FORMATS);
        let length = usize::from(format.magic_length);
        bytes[format.magic_at.into()..][..length].copy_from_slice(&format.magic[..length]);
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

/// What is not read of what blkid reads: the names of kinds that `root=` cannot name by them.
const WITHOUT_UUID: [&str; 7] = [
    "LVM2_member",
    "ddf_raid_member",
    "drbd",
    "linux_raid_member",
    "swap",
    "udf",
    "zfs_member",
];
const WITHOUT_LABEL: [&str; 5] = ["exfat", "ntfs", "swap", "udf", "zfs_member"];

/// The package that holds the images is fetched from where this machine has its packages from.
fn images_of_blkid(directory: &Path) -> Vec<PathBuf> {
    let script = r#"
        set -eu
        cd "$1"
        mkdir -p lists/partial cache/archives/partial
        keys=/usr/share/keyrings/debian-archive-keyring.gpg
        apt-get indextargets --format "deb-src [signed-by=$keys] \$(REPO_URI) \$(CODENAME) main" \
            'Created-By: Packages' 'Component: main' 'Origin: Debian' | sort -u >sources.list
        apt() {
            apt-get -qq -o Dir::Etc::SourceList="$PWD/sources.list" -o Dir::Etc::SourceParts=/dev/null \
                -o Dir::State::Lists="$PWD/lists" -o Dir::Cache="$PWD/cache" -o APT::Sandbox::User= "$@"
        }
        apt update
        apt source --download-only util-linux
        tar -xf util-linux_*.orig.tar.* --wildcards --strip-components 5 '*/tests/ts/blkid/images-fs/*.xz'
        xz -d -- *.img.xz
    "#;
    let fetched = Command::new("bash")
        .args(["-c", script, "fetch"])
        .arg(directory)
        .output()
        .unwrap();
    assert!(fetched.status.success(), "{fetched:?}");
    let entries = fs::read_dir(directory).unwrap();
    let mut images: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "img"))
        .collect();
    images.sort();
    images
}

/// The images that util-linux tests blkid with, of everything that it knows.
#[test]
fn the_images_of_blkid_are_what_blkid_says() {
    if env::var("ROOTLET_TEST_WITHOUT").is_ok_and(|without| without.contains("network")) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let images = images_of_blkid(directory.path());
    assert!(images.len() > 100);
    let mut known = 0;
    let mut differences = Vec::new();
    for path in &images {
        let file = fs::File::open(path).unwrap();
        let size = file.metadata().unwrap().len();
        let read: &mut Read = &mut |offset, buffer| file.read_exact_at(buffer, offset).is_ok();
        let found = Superblock::read(read, size);
        let [kind, uuid, label] = ["TYPE", "UUID", "LABEL"]
            .map(|tag| String::from_utf8_lossy(&blkid(tag, path)).into_owned());
        let name = path.file_stem().unwrap().to_str().unwrap();
        let Some(found) = found else {
            println!("{name:45} -           {kind} {uuid} {label}");
            if !UNKNOWN.contains(&&kind[..]) {
                differences.push(format!("{name}: {kind}"));
            }
            continue;
        };
        known += 1;
        let text = |text: &Text| String::from_utf8_lossy(text.bytes()).into_owned();
        let ours = [text(&found.uuid), text(&found.label)];
        println!("{name:45} {:12} {} {}", found.kind, ours[0], ours[1]);
        if found.kind != kind {
            differences.push(format!("{name}: {} {kind}", found.kind));
        }
        for (ours, theirs, without) in [
            (&ours[0], &uuid, &WITHOUT_UUID[..]),
            (&ours[1], &label, &WITHOUT_LABEL[..]),
        ] {
            let is_not_read = ours.is_empty() && without.contains(&found.kind);
            if ours != theirs && !is_not_read {
                differences.push(format!("{name}: {ours} {theirs}"));
            }
        }
    }
    println!("{known} of {} images", images.len());
    assert_eq!(differences, DIFFERENCES);
}

/// What no Linux has its root on, and RAID that no Linux assembles any more.
const UNKNOWN: [&str; 30] = [
    "VMFS",
    "VMFS_volume_member",
    "adaptec_raid_member",
    "befs",
    "bfs",
    "ceph_bluestore",
    "drbdmanage_control_volume",
    "gfs2",
    "hfs",
    "hfsplus",
    "hpfs",
    "hpt37x_raid_member",
    "hpt45x_raid_member",
    "jmicron_raid_member",
    "lsi_mega_raid_member",
    "minix",
    "mpool",
    "nss",
    "nvidia_raid_member",
    "ocfs2",
    "promise_fasttrack_raid_member",
    "reiser4",
    "silicon_medley_raid_member",
    "ubi",
    "ubifs",
    "ufs",
    "vdo",
    "via_raid_member",
    "xfs_external_log",
    "zonefs",
];

/// What is told otherwise, and why.
const DIFFERENCES: [&str; 12] = [
    // No block device has 1,474,561 bytes: DRBD's mark is where it would be on one.
    "drbd-v08: drbd",
    "drbd-v09: drbd",
    // The label is the one that every CD has, not the one for other systems.
    "iso-different-iso-joliet-label: ISO_LABEL Joliet Label",
    "iso-unicode-long-label: NA_VE_AND_VERY_LOOOOOOOONG_LABEL Na\u{ef}ve and very lOOOOOOOONG_LABEL",
    "tuxonice: swap swsuspend",
    // What can be mounted as both is mounted as what is older.
    "udf-cd-nero-6: iso9660 udf",
    "udf-cd-nero-6: 2017-05-01-12-39-00-00 4aa16678b55e9987",
    "udf-cd-nero-6: ISO_LABEL UDF Label",
    "udf-multi-0-417-834-genisoimage: iso9660 udf",
    "udf-multi-0-417-834-genisoimage: 2020-11-07-23-23-50-00 5fa71e760000246c",
    "udf: iso9660 udf",
    "udf: 2008-02-05-12-29-20-00 47a83a8000000000",
];

#[test]
fn a_mark_at_the_end_is_found_on_a_disk_of_any_size() {
    let image = images()[0].clone();
    let sizes = [1 << 20, (1 << 20) + 512, (1 << 20) - 512, 5 << 18];
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
