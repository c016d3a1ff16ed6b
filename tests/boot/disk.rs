//! Disks with roots on them, for QEMU machines.

#![allow(dead_code, reason = "each test file uses a part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::guest::{Guest, Initramfs, Over};
use crate::common::{Root, User, copy_program, rootlet_path, succeed};

/// The modules and programs that find a root on a disk and mount it.
pub fn disk_modules() -> Initramfs {
    Initramfs::new().busybox().modules(&["virtio_blk", "ext4"])
}

pub fn disk(image: &Path) -> String {
    format!("file={},format=raw,if=virtio,snapshot=on", image.display())
}

pub const FIRST_UUID: &str = "0f0e0d0c-1111-4222-8333-444455556666";
pub const SECOND_UUID: &str = "aaaabbbb-1111-4222-8333-444455556666";
pub const FIRST_PARTUUID: &str = "12345678-9ABC-4DEF-8012-3456789ABCDE";
pub const SECOND_PARTUUID: &str = "87654321-9ABC-4DEF-8012-3456789ABCDE";

/// Prints the state of the root and of the first process, and ends the machine.
const INIT: &str = "#!/bin/sh
echo \"init: $0 $*, $WORD\"
while read -r device place type options rest; do
    [ \"$place\" != / ] || echo \"root: $device $type $options\"
    [ \"$place\" != /new_root ] || echo 'a root below the root'
done </proc/mounts
grep -E '^Sig(Blk|Ign|Cgt)' /proc/1/status
echo umask $(umask), in $PWD, as $$, descriptors $(ls /proc/$$/fd | xargs)
echo mounts: $(cut -d ' ' -f 2 /proc/mounts | sort)
echo partition $(cat /partition), $(grep . /sys/class/block/vda*/dev)
if echo text 2>/dev/null >/written; then echo written; fi
poweroff -f
";

/// Boots a second time, in a container: a mount and a pid namespace, whose root is a tmpfs.
const CONTAINER: &str = "#!/bin/sh
if [ -n \"$INSIDE\" ]; then
    echo \"inside: ${0##*/}, $$, $(cut -d ' ' -f 2 /proc/mounts | sort | xargs)\"
    while read -r id parent device top place rest; do
        [ \"$place\" != / ] || echo \"inside: ${rest##* - } $top on $place\"
    done </proc/self/mountinfo | sed 's/: \\([a-z0-9]*\\) [^ ]* [^ ]*/: \\1/'
    exit
fi
mkdir /run/initramfs
mount -t tmpfs none /run/initramfs
mkdir /run/initramfs/old
cp /rootlet /run/initramfs/init
INSIDE=1 unshare -m -p -f sh -c '
    cd /run/initramfs && pivot_root . old || exit
    exec /old/bin/chroot . /old/bin/sh -c \"/old/bin/umount -l /old; exec /init\"'
echo \"outside: $?, the initramfs holds $(ls /run/initramfs | xargs)\"
poweroff -f
";

/// A disk with a partition table and two busybox roots. The first has a usual `/sbin/init`. The
/// second has a replacement for it, and loses one replacement after the other.
pub struct Disk {
    pub directory: tempfile::TempDir,
}

impl Disk {
    pub fn new() -> Disk {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk { directory };
        let image = disk.image();
        fs::File::create(&image).unwrap().set_len(40 << 20).unwrap();
        let table = disk.directory.path().join("table");
        let text = format!(
            "label: gpt\n\
             start=2048, size=32768, name=first, uuid={FIRST_PARTUUID}\n\
             start=34816, size=32768, name=\"the second\", uuid={SECOND_PARTUUID}\n"
        );
        fs::write(&table, text).unwrap();
        let mut sfdisk = Command::new("sfdisk");
        sfdisk
            .arg("--quiet")
            .arg(&image)
            .stdin(fs::File::open(table).unwrap());
        succeed(&mut sfdisk);

        let first = Disk::root("1");
        first.directory("run");
        first.script("sbin/init", INIT);
        first.script("other init", INIT);
        first.script("sbin/container", CONTAINER);
        copy_program(rootlet_path(), first.path().join("rootlet"));
        let first_options = ["-U", FIRST_UUID, "-L", "alpha beta"];
        make_ext(&first, &image, "ext4", 1 << 20, 16384, &first_options);

        let second = Disk::root("2");
        // A directory cannot be executed. Like the kernel, rootlet tries the next name.
        second.directory("etc/init");
        fs::remove_file(second.path().join("bin/init")).unwrap();
        second.script("bin/init", INIT);
        let second_options = ["-U", SECOND_UUID, "-L", "gamma"];
        make_ext(&second, &image, "ext2", 17 << 20, 16384, &second_options);
        disk
    }

    pub fn root(partition: &str) -> Root {
        let root = Root::busybox(User::Root);
        for directory in ["dev", "proc", "sys"] {
            root.directory(directory);
        }
        root.file("partition", partition);
        root
    }

    pub fn image(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    pub fn boot(&self, append: &str) -> Over {
        self.boot_with(&disk_modules(), append)
    }

    pub fn boot_with(&self, initramfs: &Initramfs, append: &str) -> Over {
        Guest::start(initramfs, append, &["-drive", &disk(&self.image())]).end()
    }
}

/// Makes a file system of this many kilobytes at an offset of a file.
pub fn make_ext(root: &Root, image: &Path, kind: &str, offset: u64, size: u32, options: &[&str]) {
    let mut mke2fs = Command::new("mke2fs");
    mke2fs
        .args(["-q", "-F", "-t", kind, "-b", "1024", "-d", root.name()])
        .args(["-E", &format!("offset={offset},root_owner=0:0")])
        .args(options)
        .arg(image)
        .arg(format!("{size}k"));
    succeed(&mut mke2fs);
}
