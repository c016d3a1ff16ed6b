//! Compares the parser with blkid(8) on the images that util-linux tests it with, one or more for each
//! format that it knows.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::prelude::rust_2024::*;
use std::process::Command;
use std::{env, format, fs, println};

use super::tests::blkid;
use super::*;

/// Types whose UUID, or label below, is not read, since `root=` cannot name them by it.
const WITHOUT_UUID: [&str; 7] = [
    "LVM2_member",
    "ddf_raid_member",
    "drbd",
    "linux_raid_member",
    "swap",
    "udf",
    "zfs_member",
];
const WITHOUT_LABEL: [&str; 3] = ["swap", "udf", "zfs_member"];

/// Downloads the source package with the images from this machine's own package sources.
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
        tar -xf util-linux_*.orig.tar.* --no-same-owner --wildcards --strip-components 5 \
            '*/tests/ts/blkid/images-fs/*.xz'
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

#[test]
#[cfg_attr(miri, ignore = "it starts programs")]
fn blkids_images_are_recognised_as_blkid_does() {
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

/// Types that blkid knows and the parser does not: Linux has no root on them.
const UNKNOWN: [&str; 21] = [
    "VMFS",
    "VMFS_volume_member",
    "befs",
    "bfs",
    "ceph_bluestore",
    "drbdmanage_control_volume",
    "gfs2",
    "hfs",
    "hfsplus",
    "hpfs",
    "minix",
    "mpool",
    "nss",
    "ocfs2",
    "reiser4",
    "ubi",
    "ubifs",
    "ufs",
    "vdo",
    "xfs_external_log",
    "zonefs",
];

/// Differences from blkid, and the reasons.
const DIFFERENCES: [&str; 12] = [
    // These images have 1,474,561 bytes, which no block device has, and DRBD's mark is at the place for
    // that size.
    "drbd-v08: drbd",
    "drbd-v09: drbd",
    // The label is the one that every CD has, not the one of the Joliet extension.
    "iso-different-iso-joliet-label: ISO_LABEL Joliet Label",
    "iso-unicode-long-label: NA_VE_AND_VERY_LOOOOOOOONG_LABEL Na\u{ef}ve and very lOOOOOOOONG_LABEL",
    "tuxonice: swap swsuspend",
    // A disc with both is mounted as the older format.
    "udf-cd-nero-6: iso9660 udf",
    "udf-cd-nero-6: 2017-05-01-12-39-00-00 4aa16678b55e9987",
    "udf-cd-nero-6: ISO_LABEL UDF Label",
    "udf-multi-0-417-834-genisoimage: iso9660 udf",
    "udf-multi-0-417-834-genisoimage: 2020-11-07-23-23-50-00 5fa71e760000246c",
    "udf: iso9660 udf",
    "udf: 2008-02-05-12-29-20-00 47a83a8000000000",
];
