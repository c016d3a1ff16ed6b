//! The names of `root=` and the file systems found in the field: disks of mirrors, names in udev's
//! spelling, file systems on several devices, broken tables and journals.

#![allow(missing_docs)]

mod common;
#[path = "boot/disk.rs"]
mod disk;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice;

use common::guest::{Guest, Initramfs, Over};
use common::succeed;
use disk::{
    Disk, FIRST_PARTUUID, FIRST_UUID, SECOND_PARTUUID, SECOND_UUID, disk_modules, make_ext,
};

/// Returns QEMU's arguments for a writable drive.
fn drive(image: &Path) -> [String; 2] {
    let image = image.display();
    [
        "-drive".into(),
        format!("file={image},format=raw,if=virtio"),
    ]
}

fn boot(initramfs: &Initramfs, append: &str, images: &[PathBuf]) -> Over {
    let drives: Vec<String> = images.iter().flat_map(|image| drive(image)).collect();
    let drives: Vec<&str> = drives.iter().map(String::as_str).collect();
    Guest::start(initramfs, append, &drives).end()
}

/// Adds a program with its libraries.
fn with_program(mut initramfs: Initramfs, program: &str) -> Initramfs {
    for word in succeed(Command::new("ldd").arg(program)).split_whitespace() {
        if word.starts_with('/') {
            initramfs = initramfs.program(word.trim_start_matches('/'), word);
        }
    }
    initramfs.program(program.trim_start_matches('/'), program)
}

// --- Disks that are a part of something.

/// Makes a mirror of two disks for each kind of metadata, all with this image as contents. Returns
/// the disks.
fn mirrors(directory: &Path, image: &Path, kinds: &[&str]) -> Vec<PathBuf> {
    let size = fs::metadata(image).unwrap().len() + (2 << 20);
    let disks: Vec<PathBuf> = (0..kinds.len() * 2)
        .map(|number| {
            let path = directory.join(format!("disk{number}"));
            fs::File::create(&path).unwrap().set_len(size).unwrap();
            path
        })
        .collect();
    let mut script = String::from("set -e; export MDADM_NO_UDEV=1\n");
    let letters: Vec<char> = ('b'..).take(disks.len()).collect();
    for (kind, pair) in kinds.iter().zip(letters.chunks(2)) {
        let (first, second) = (pair[0], pair[1]);
        script += &format!(
            "mdadm --create /dev/md0 --run --quiet --assume-clean --level=1 --raid-devices=2 \
             --metadata={kind} --bitmap=none --homehost=any --name=mirror \
             /dev/vd{first} /dev/vd{second} </dev/null\n\
             cat /dev/vda >/dev/md0\nsync\nmdadm --stop /dev/md0\n"
        );
    }
    let initramfs = with_program(Initramfs::new().busybox(), "/sbin/mdadm")
        .modules(&["virtio_blk", "raid1"])
        .command(&["/bin/sh", "-c", &script]);
    let mut images = vec![image.to_path_buf()];
    images.extend(disks.iter().cloned());
    let over = boot(&initramfs, "", &images);
    assert_eq!(over.outcome(), "exit 0", "{over:?}");
    disks
}

/// With a mirror's superblock at the end of the disk, the start looks like an ordinary file system
/// or partition table. Mounting one disk would silently make the two disks differ.
#[test]
fn a_disk_of_a_mirror_is_never_mounted() {
    let disk = Disk::new();
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole");
    let root = Disk::root("1");
    fs::File::create(&whole).unwrap().set_len(16 << 20).unwrap();
    make_ext(&root, &whole, "ext4", 0, 16384, &["-U", FIRST_UUID]);

    let initramfs = disk_modules();
    let refused = |disks: &[PathBuf], root: &str, lines: &[&str]| {
        let before: Vec<Vec<u8>> = disks.iter().map(|disk| fs::read(disk).unwrap()).collect();
        let over = boot(&initramfs, &format!("root={root} rw rootwait=1"), disks);
        over.says(lines);
        assert!(!over.console.contains("init: "), "{root}: {over:?}");
        assert!(over.outcome().starts_with("failed cannot find"), "{over:?}");
        println!("{root}: {}", over.outcome());
        for (disk, before) in disks.iter().zip(before) {
            assert!(fs::read(disk).unwrap() == before, "{root}: was written");
        }
    };
    let made = mirrors(directory.path(), &whole, &["0.90", "1.0", "1.1", "1.2"]);
    let listed: &[&str] = &[
        "rootlet:   /dev/vda linux_raid_member",
        "rootlet:   /dev/vdb linux_raid_member",
        " (no file system)\n",
        "it did not appear in time",
    ];
    for pair in made.chunks(2) {
        refused(pair, &format!("UUID={FIRST_UUID}"), listed);
    }
    let named: &[&str] = &[
        "rootlet: on /dev/vda is linux_raid_member\n",
        "it is part of a RAID array",
    ];
    for root in ["/dev/vda", "/dev/vda rootfstype=ext4", "fe00"] {
        refused(&made[2..4], root, named);
    }

    // Lines of fstab must not mount it either.
    let fstab = "/dev/vda /mnt ext4 defaults,nofail 0 0\n";
    let initramfs = disk_modules()
        .file("rootlet/fstab", fstab)
        .command(&["/bin/sh", "-c", "exit 0"]);
    let over = boot(&initramfs, "", &made[2..4]);
    over.says(&["rootlet: on /dev/vda is linux_raid_member\n"]);
    assert!(
        over.outcome().starts_with("failed cannot find the device"),
        "{over:?}"
    );

    // In a mirror of whole disks with partitions, the kernel finds the partitions on each disk too.
    let directory = tempfile::tempdir().unwrap();
    let made = mirrors(directory.path(), &disk.image(), &["0.90", "1.0"]);
    for pair in made.chunks(2) {
        refused(
            pair,
            &format!("UUID={FIRST_UUID}"),
            &["rootlet:   /dev/vda1 linux_raid_member"],
        );
        let part = "rootlet: on /dev/vda1 is linux_raid_member\n";
        refused(pair, &format!("PARTUUID={FIRST_PARTUUID}"), &[part]);
        refused(pair, "/dev/vda1", &[part]);
    }
}

/// RAID of a PC's firmware, with its metadata before or after the partitions.
#[test]
fn a_partition_of_a_mirror_of_firmware_is_never_mounted() {
    let disk = Disk::new();
    let size = fs::metadata(disk.image()).unwrap().len();
    let image = fs::OpenOptions::new()
        .write(true)
        .open(disk.image())
        .unwrap();
    for (kind, place, mark) in [
        ("nvidia_raid_member", size - 1024, &b"NVIDIA  "[..]),
        ("hpt37x_raid_member", 4640, b"\xf0\x16\x78\x5a"),
    ] {
        image.write_all_at(mark, place).unwrap();
        // The second superblock is in the first table.
        disk.boot(&format!("gpt root=UUID={FIRST_UUID} rootwait=1"))
            .says(&[
                &format!("rootlet:   /dev/vda1 {kind} (no file system) PARTUUID="),
                "it did not appear in time",
            ]);
        image.write_all_at(&[0; 8], place).unwrap();
    }
}

/// The superblock at the end of the last partition is also at the place for the whole disk's one.
/// The other partition still does not belong to a mirror.
#[test]
fn a_partition_beside_a_part_of_a_mirror_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let small = directory.path().join("small");
    fs::File::create(&small).unwrap().set_len(4 << 20).unwrap();
    let part = mirrors(directory.path(), &small, &["0.90"]).remove(0);
    let disk = Disk::new();
    let image = fs::OpenOptions::new()
        .write(true)
        .open(disk.image())
        .unwrap();
    let size = 40 << 20;
    image.set_len(size).unwrap();
    let part = fs::read(part).unwrap();
    let start = size - part.len() as u64;
    let empty = directory.path().join("empty");
    fs::File::create(&empty).unwrap().set_len(size).unwrap();
    let table = directory.path().join("table");
    let second = start / 512;
    let text = format!("label: dos\nstart=2048, size=32768\nstart={second}\n");
    fs::write(&table, text).unwrap();
    let mut sfdisk = Command::new("sfdisk");
    let sfdisk = sfdisk.arg("--quiet").arg(&empty);
    succeed(sfdisk.stdin(fs::File::open(table).unwrap()));
    image
        .write_all_at(&fs::read(&empty).unwrap()[..512], 0)
        .unwrap();
    image.write_all_at(&part, start).unwrap();
    let over = disk.boot(&format!("root=UUID={FIRST_UUID}"));
    over.says(&["root: /dev/vda1 ext4 ro"]);
}

// --- Names.

#[test]
fn names_are_read_as_udev_and_the_kernel_write_them() {
    let disk = Disk::new();
    let [first, second] = ["root: /dev/vda1 ext4 ro", "root: /dev/vda2 ext2 ro"];
    let cases = [
        (format!("root=UUID=\"{FIRST_UUID}\""), first),
        (format!("\"root=UUID='{SECOND_UUID}'\""), second),
        ("root=LABEL=\"alpha beta\"".into(), first),
        ("root=LABEL=alpha\\x20beta".into(), first),
        ("root=/dev/disk/by-label/alpha\\x20beta".into(), first),
        ("root=PARTLABEL=\"the second\"".into(), second),
        ("root=/dev/disk/by-partlabel/the\\x20second".into(), second),
        (format!("root=PARTUUID=\"{SECOND_PARTUUID}\""), second),
        (
            format!("root=/dev/disk/by-partuuid/{FIRST_PARTUUID}"),
            first,
        ),
        ("root=fe01".into(), first),
        ("root=0xfe02".into(), second),
        ("root=0254:01".into(), first),
        ("root=254:2 rootfstype=auto".into(), second),
        ("root=254:2: rootfstype=xfs,auto".into(), second),
    ];
    for (append, root) in cases {
        disk.boot(&format!("{append} init=/sbin/init"))
            .says(&[if root == first {
                root
            } else {
                "cannot run /sbin/init"
            }]);
    }
    // The second root has its init in another place, which shows the root that was mounted.
    disk.boot("root=fe02 init=/bin/init").says(&[second]);
}

#[test]
fn an_unknown_file_system_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    fs::write(&image, vec![7; 1 << 20]).unwrap();
    let initramfs = disk_modules();
    let over = boot(&initramfs, "root=/dev/vda", slice::from_ref(&image));
    over.says(&[
        "rootlet: cannot mount /dev/vda as ext3,ext2,ext4,fuseblk: Invalid argument (EINVAL)\n",
    ]);
    let over = boot(&initramfs, "root=LABEL=x rootwait=1", &[image]);
    over.says(&[
        "rootlet:   /dev/vda\n",
        "rootlet: known file systems: ext2 ext3 ext4 erofs f2fs nilfs2 xfs ",
    ]);
}

#[test]
fn a_root_that_has_only_a_label_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let root = Disk::root("rom");
    let init = "#!/bin/sh\ngrep ' / ' /proc/mounts\npoweroff -f\n";
    root.script("sbin/init", init);
    let mut genromfs = Command::new("genromfs");
    genromfs.args(["-V", "LIVE 1", "-d", root.name(), "-f"]);
    succeed(genromfs.arg(&image));
    // QEMU does not round the image up to a whole number of blocks.
    let length = fs::metadata(&image).unwrap().len().next_multiple_of(4096);
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.set_len(length).unwrap();
    let initramfs = Initramfs::new().modules(&["virtio_blk", "romfs"]);
    let over = boot(&initramfs, "root=LABEL=\"LIVE 1\"", &[image]);
    over.says(&["/dev/vda / romfs ro"]);
}

/// With `gpt` the kernel uses the second table if the first one is broken.
#[test]
fn a_partition_is_found_by_the_second_table() {
    let disk = Disk::new();
    let image = fs::OpenOptions::new()
        .write(true)
        .open(disk.image())
        .unwrap();
    // Overwrite the header and its entries.
    image.write_all_at(&[0; 1024], 512).unwrap();
    let found = ["root: /dev/vda1 ext4 ro"];
    disk.boot(&format!("gpt root=PARTUUID={FIRST_PARTUUID}"))
        .says(&found);
    disk.boot("gpt root=PARTLABEL=first").says(&found);
}

// --- Options and types.

#[test]
fn options_are_those_of_mount() {
    let disk = Disk::new();
    let all = "exec,suid,dev,atime,diratime,norelatime,nofail,auto,noauto,nouser,_netdev,\
               x-systemd.device-timeout=9,X-a,defaults,noiversion,nolazytime,loud,async,symfollow";
    let cases = [
        (all, "root: /dev/vda1 ext4 ro,relatime\n"),
        ("noatime", "root: /dev/vda1 ext4 ro,noatime\n"),
        (
            "ro,rw,user,exec",
            "root: /dev/vda1 ext4 ro,nosuid,nodev,relatime\n",
        ),
    ];
    for (flags, line) in cases {
        disk.boot(&format!("root=/dev/vda1 rootflags={flags}"))
            .says(&[line]);
    }
    let fstab = "tmpfs /a tmpfs ro,rw,nosuid,suid,user,exec,nofail,x-a 0 0\n\
                 tmpfs /b tmpfs noauto 0 0\n\
                 tmpfs /c tmpfs rw,ro,noatime,nosymfollow,_netdev,size=64k 0 0\n\
                 none none swap sw 0 0\n\
                 /dev/missing /d ext4 nofail 0 0\n";
    let initramfs = Initramfs::new()
        .busybox()
        .file("rootlet/fstab", fstab)
        .command(&[
            "/bin/sh",
            "-c",
            "/bin/busybox grep ' /[abcd] ' /proc/mounts",
        ]);
    let over = Guest::start(&initramfs, "", &[]).end();
    assert_eq!(over.outcome(), "exit 0", "{over:?}");
    over.says(&[
        "tmpfs /a tmpfs rw,nosuid,nodev,relatime",
        "tmpfs /c tmpfs ro,noatime,nosymfollow,size=64k",
        "left out: ",
    ]);
    assert!(!over.console.contains(" /b "), "{over:?}");
}

#[test]
fn a_line_of_fstab_names_a_device_as_root_does() {
    let disk = Disk::new();
    let fstab = format!(
        "UUID={FIRST_UUID} /a auto ro 0 2\n\
         LABEL=\"gamma\" /b ext2 ro 0 2\n\
         PARTLABEL=first /c auto ro,noatime 0 0\n\
         UUID=1234-5678 /d vfat nofail 0 0\n"
    );
    let script = "/bin/busybox grep ' /[abcd] ' /proc/mounts";
    let initramfs = disk_modules()
        .file("rootlet/fstab", fstab)
        .command(&["/bin/sh", "-c", script]);
    let over = disk.boot_with(&initramfs, "");
    assert_eq!(over.outcome(), "exit 0", "{over:?}");
    over.says(&[
        "left out: ",
        "/dev/vda1 /a ext4 ro,relatime",
        "/dev/vda2 /b ext2 ro,relatime",
        "/dev/vda1 /c ext4 ro,noatime",
    ]);
    assert!(!over.console.contains("waiting for"), "{over:?}");
    // rootlet waits for a device that is not optional, and reports that it is missing.
    let initramfs = disk_modules()
        .file("rootlet/fstab", "LABEL=delta /a ext4")
        .command(&["/bin/true"]);
    let over = disk.boot_with(&initramfs, "rootwait=1");
    assert_eq!(
        over.outcome(),
        "failed cannot find the device LABEL=delta: it did not appear in time"
    );
}

#[test]
fn boot_waits_for_both_disks_of_a_btrfs() {
    let directory = tempfile::tempdir().unwrap();
    let images = ["first", "second"].map(|name| {
        let path = directory.path().join(name);
        fs::File::create(&path).unwrap().set_len(130 << 20).unwrap();
        path
    });
    let mut mkfs = Command::new("mkfs.btrfs");
    mkfs.args(["-q", "-d", "raid1", "-m", "raid1", "-U", FIRST_UUID]);
    succeed(mkfs.args(&images));
    let initramfs = Initramfs::new().modules(&["virtio_blk", "btrfs"]);
    // The file system is empty. The error about its missing init shows that it was mounted.
    let mounted = "rootlet: cannot run /init: No such file or directory (ENOENT)";
    for root in [&format!("UUID={FIRST_UUID}"), "/dev/vda", "/dev/vdb"] {
        let over = boot(&initramfs, &format!("root={root} init=/init"), &images);
        over.says(&[mounted]);
    }
    let alone = &images[..1];
    let over = boot(
        &initramfs,
        &format!("root=UUID={FIRST_UUID} rootwait=1"),
        alone,
    );
    over.says(&["not all devices of its file system appeared in time"]);
    // With `degraded`, one device is enough once the time to wait for the other is over.
    let append = "root=/dev/vda rootflags=degraded rootwait=1 init=/init";
    let over = boot(&initramfs, append, alone);
    over.says(&["waiting for the device", mounted]);

    let first = drive(&images[0]);
    let late = format!("file={},format=raw,if=none,id=late", images[1].display());
    let mut guest = Guest::start(
        &initramfs,
        &format!("root=UUID={FIRST_UUID} rootwait init=/init"),
        &[
            &first[0],
            &first[1],
            "-device",
            "pcie-root-port,id=late-port,chassis=1",
            "-drive",
            &late,
        ],
    );
    guest.expect("waiting for the device");
    guest.monitor("device_add virtio-blk-pci,drive=late,bus=late-port");
    guest.end().says(&[mounted]);
}

/// bcachefs is mounted by the names of all its devices, joined by colons. The error shows the
/// devices, because the images consist of a superblock only.
#[test]
fn boot_waits_for_both_disks_of_a_bcachefs() {
    let directory = tempfile::tempdir().unwrap();
    let images = [0_u8, 1].map(|index| {
        let mut block = vec![0; 16 << 20];
        let mut put = |at: usize, bytes: &[u8]| {
            block[4096 + at..][..bytes.len()].copy_from_slice(bytes);
        };
        put(16, b"\x01\x04\x01\x04");
        put(24, b"\xc6\x85\x73\xf6\x66\xce\x90\xa9");
        put(56, b"\x0f\x0e\x0d\x0c\x11\x11\x42\x22\x83\x33DDUUff");
        // A third device was removed. Its entry stays in the list of devices, which starts with its
        // length, its kind and the length of an entry.
        put(122, &[index, 3]);
        put(124, &[50, 0]);
        put(752, b"\x32\0\0\0\x0b\0\0\0\x40");
        put(768, b"first");
        put(768 + 2 * 64, b"second");
        let path = directory.path().join(index.to_string());
        fs::write(&path, block).unwrap();
        path
    });
    let initramfs = Initramfs::new().modules(&["virtio_blk"]);
    let told = "rootlet: cannot mount /dev/vda:/dev/vdb as bcachefs: ";
    for root in [
        &format!("UUID={FIRST_UUID}"),
        "/dev/vdb",
        "/dev/vda:/dev/vdb",
    ] {
        boot(&initramfs, &format!("root={root}"), &images).says(&[told]);
    }
    let append = format!("root=UUID={FIRST_UUID} rootwait=1");
    let alone = boot(&initramfs, &append, &images[1..]);
    alone.says(&["not all devices of its file system appeared in time"]);
    let degraded = format!("{append} rootflags=very_degraded");
    let alone = boot(&initramfs, &degraded, &images[1..]);
    alone.says(&["rootlet: cannot mount /dev/vda as bcachefs: "]);
}

/// Even for a read-only mount, the kernel replays the journal of a file system that was not
/// unmounted, and removes files that were deleted while they were open.
#[test]
fn an_overlay_leaves_a_dirty_disk_as_it_is() {
    let disk = Disk::new();
    let script = "set -e; mkdir /mnt; mount -t ext4 /dev/vda1 /mnt
        echo kept >/mnt/kept; sync
        dd if=/dev/zero of=/mnt/orphan bs=1k count=100 2>/dev/null; exec 7</mnt/orphan
        rm /mnt/orphan; sync; echo more >/mnt/more; sync
        reboot -f";
    let initramfs = disk_modules().command(&["/bin/sh", "-c", script]);
    let image = disk.image();
    let over = boot(&initramfs, "", slice::from_ref(&image));
    over.says(&["reboot: Restarting system"]);
    let features = || {
        let mut dumpe2fs = Command::new("sh");
        let script = "dd if=\"$1\" bs=1M skip=1 status=none >\"$1.part\"; \
                      dumpe2fs -h \"$1.part\" 2>/dev/null | grep '^Filesystem features'";
        succeed(dumpe2fs.args(["-c", script, "sh"]).arg(&image))
    };
    assert!(features().contains("needs_recovery"), "{}", features());

    let before = fs::read(&image).unwrap();
    let initramfs = disk_modules().modules(&["overlay"]);
    let over = boot(
        &initramfs,
        &format!("root=UUID={FIRST_UUID} rootlet.overlay"),
        slice::from_ref(&image),
    );
    over.says(&["root: overlay overlay rw", "written", "reboot: Power down"]);
    assert!(fs::read(&image).unwrap() == before);

    // On a read-only disk, mounting without the journal is the only way.
    let read_only = format!(
        "{},readonly=on",
        disk::disk(&image).replace(",snapshot=on", "")
    );
    let start = |append: &str| {
        let append = format!("root=/dev/vda1 {append}");
        Guest::start(&initramfs, &append, &["-drive", &read_only]).end()
    };
    start("rootlet.overlay").says(&["root: overlay overlay rw", "written"]);
    start("rootflags=noload").says(&["root: /dev/vda1 ext4 ro,relatime,norecovery\n"]);
    start("").says(&[
        "rootlet: cannot mount /dev/vda1 as ext4: Read-only file system (EROFS)\n",
        "hint: its journal cannot be replayed on a read-only device: ",
    ]);
    // Without an overlay the kernel repairs the file system.
    let over = boot(&disk_modules(), "root=/dev/vda1", slice::from_ref(&image));
    over.says(&["root: /dev/vda1 ext4 ro"]);
    assert!(!features().contains("needs_recovery"));
}

// --- Modules.

#[test]
fn parameters_of_modules_are_those_of_the_kernel_command_line() {
    let script = "cd /sys/class/block; echo \"loops: $(ls -d loop* | wc -l)\"; \
                  echo \"rams: $(ls -d ram* | wc -l), $(cat ram0/size)\"";
    let initramfs = Initramfs::new()
        .busybox()
        .link("bin/ls", "busybox")
        .link("bin/cat", "busybox")
        .link("bin/wc", "busybox")
        .modules(&["loop"])
        .modules(&["brd"])
        .command(&["/bin/sh", "-c", script]);
    let append = "loop.max_loop=3 brd.rd-nr=2 brd.rd_size=64 brdx.rd_nr=7";
    let over = Guest::start(&initramfs, append, &[]).end();
    assert_eq!(over.outcome(), "exit 0", "{over:?}");
    over.says(&["loops: 3\n", "rams: 2, 128\n"]);
}

#[test]
fn a_module_whose_dependency_is_missing_is_reported() {
    let initramfs = Initramfs::new()
        .busybox()
        .modules(&["raid1"])
        .file("rootlet/modules", "/modules/raid1.ko.xz\n")
        .command(&["/bin/sh", "-c", "exit 3"]);
    let over = Guest::start(&initramfs, "", &[]).end();
    assert_eq!(over.outcome(), "exit 3");
    over.says(&[
        "rootlet: cannot load the module /modules/raid1.ko.xz: No such file or directory (ENOENT)\n\
         hint: the file exists, but a module that it depends on is not loaded: list that one \
         first\n",
    ]);
}

// --- Waiting, and giving up.

/// rootlet probes 400 disks every second.
#[test]
fn waiting_uses_no_memory() {
    let disks = "/modules/brd.ko.xz rd_nr=400 rd_size=128\n";
    let initramfs = Initramfs::new()
        .busybox()
        .modules(&["brd"])
        .file("rootlet/modules", disks);
    let [short, long] = ["2", "20"].map(|seconds| {
        let append = format!("root=UUID=1234 rootwait={seconds} rootlet.shell");
        let mut guest = Guest::start(&initramfs, &append, &[]);
        guest.expect("did not appear in time");
        guest.enter("grep VmData /proc/1/status; exit\n");
        let line = guest.expect("kB");
        guest.end();
        println!("after {seconds} seconds: {line}");
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u32>()
            .unwrap()
    });
    assert!(long <= short, "{short} kB, {long} kB");
}

#[test]
fn a_rescue_shell_can_end_the_machine_in_each_way() {
    let initramfs = Initramfs::new()
        .busybox()
        .link("bin/reboot", "busybox")
        .link("bin/poweroff", "busybox")
        .link("bin/halt", "busybox");
    for (command, end) in [
        ("reboot", "reboot: Restarting system"),
        ("kill -INT 1", "reboot: Restarting system"),
        ("poweroff", "reboot: Power down"),
        ("halt", "reboot: System halted"),
        ("exit", "reboot: Power down"),
    ] {
        let append = "root=/dev/nothing rootwait=1 rootlet.shell";
        let mut guest = Guest::start(&initramfs, append, &[]);
        guest.expect("did not appear in time");
        guest.enter(&format!("{command}\n"));
        guest.expect(end);
        assert!(guest.over().outcome().starts_with("failed "));
    }
}
