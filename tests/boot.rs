//! `rootlet boot` as `/init` of initramfses that real kernels boot, under QEMU.

#![allow(missing_docs)]

mod common;
#[path = "boot/disk.rs"]
mod disk;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::guest::{Guest, Initramfs};
use common::{Root, can_be_root, debian_with_systemd, is_left_out, succeed};
use disk::{
    Disk, FIRST_PARTUUID, FIRST_UUID, SECOND_PARTUUID, SECOND_UUID, disk, disk_modules, make_ext,
};

/// Boots once, without a disk.
fn boot(initramfs: &Initramfs, append: &str) -> common::guest::Over {
    Guest::start(initramfs, append, &[]).end()
}

// --- One command.

#[test]
fn an_initramfs_of_two_files_runs_the_program_after_the_dashes() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("first");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/boot/first.c");
    succeed(
        Command::new("cc")
            .args(["-Os", "-static", "-nostdlib", "-ffreestanding", "-s"])
            .args(["-fno-stack-protector", "-fno-asynchronous-unwind-tables"])
            .args(["-Wl,--build-id=none", "-o"])
            .args([&program, &source]),
    );
    // Measure the release build, because users get that one.
    let mut cargo = Command::new(env!("CARGO"));
    succeed(
        cargo
            .args(["build", "--quiet", "--locked", "--release"])
            .current_dir(env!("CARGO_MANIFEST_DIR")),
    );
    let built = Path::new(env!("CARGO_BIN_EXE_rootlet"))
        .ancestors()
        .nth(2)
        .unwrap();
    let initramfs = Initramfs::new()
        .program("init", built.join("release/rootlet"))
        .program("first", &program);
    let size = initramfs.archive().len();
    // With this log level, the kernel logs when it starts init.
    let over = boot(&initramfs, "loglevel=7 printk.time=1 -- /first");
    assert_eq!(over.outcome(), "exit 0", "{over:?}");
    over.says(&["reboot: Power down"]);
    let stamp = |text: &str| {
        let line = over.console.lines().find(|line| line.contains(text));
        line.unwrap_or_else(|| panic!("{over:?}"))
    };
    let kernel = stamp("Run /init as init process");
    let kernel: f64 = kernel[1..kernel.find(']').unwrap()].trim().parse().unwrap();
    let first = stamp("first instruction at");
    let first = &first[first.find("at ").unwrap() + 3..];
    let first: u64 = first[..first.find(' ').unwrap()].parse().unwrap();
    println!(
        "initramfs of two files: {size} bytes; microseconds: kernel's message {}, first instruction \
         of rootlet {}, of the program {first} (started {})",
        (kernel * 1e6) as u64,
        over.time("entered "),
        over.time("started "),
    );
}

/// A command that fails or cannot be run ends in a status, and never in a panic of the guest's
/// kernel.
#[test]
fn every_end_of_a_command_is_a_status() {
    let script = |script: &str| {
        Initramfs::new()
            .busybox()
            .command(&["/bin/sh", "-c", script])
    };
    let cases: [(Initramfs, &str, &str, &[&str]); 13] = [
        (
            Initramfs::new().command(&["/missing"]),
            "",
            "exit 127",
            &["rootlet: cannot run /missing: No such file or directory (ENOENT)"],
        ),
        (
            Initramfs::new().file("data", "").command(&["/data"]),
            "rootlet.end=reboot",
            "exit 126",
            &[
                "rootlet: cannot run /data: Permission denied (EACCES)",
                "reboot: Restarting system",
            ],
        ),
        (
            script("kill -SEGV $$"),
            "",
            "signal 11",
            &["reboot: Power down"],
        ),
        // Pid 1 passes signals to the command.
        (
            script(
                "trap 'echo got INT' INT; trap 'echo got TERM; exit 5' TERM; \
                 kill -INT 1; kill -TERM 1; while :; do sleep 1; done",
            ),
            "",
            "exit 5",
            &["got INT", "got TERM"],
        ),
        // A module that fails to load and a missing module do not keep the others from loading.
        (
            script("grep -q ^overlay /proc/modules && echo loaded; exit 3")
                .modules(&["overlay"])
                .file("modules/broken.ko", "no ELF")
                .more_modules(
                    "# a comment\n\n/modules/broken.ko\n/modules/missing.ko.xz\n/modules\n",
                ),
            "",
            "exit 3",
            &[
                "rootlet: cannot load the module /modules/broken.ko: Exec format error (ENOEXEC)",
                "rootlet: cannot load the module /modules/missing.ko.xz: No such file or directory (ENOENT)",
                "rootlet: cannot load the module /modules: ",
                "loaded",
            ],
        ),
        (
            script("exit 3").file("rootlet/fstab", "\0\u{1}garbage\n"),
            "",
            "failed ",
            &["a line of fstab needs a device, a mount point and a type"],
        ),
        (
            script("exit 3").file("rootlet/fstab", "nothing /mnt nothingfs defaults\n"),
            "",
            "failed ",
            &["nothingfs"],
        ),
        (
            Initramfs::new(),
            "",
            "failed ",
            &["the kernel command line has neither root= nor a command"],
        ),
        // Files with the names of the directories that rootlet makes.
        (
            Initramfs::new().file("run", "a file").command(&["/init"]),
            "",
            "failed cannot mount tmpfs on /run: ",
            &["rootlet: cannot mount tmpfs on /run: "],
        ),
        (
            Initramfs::new().file("rootlet/modules/list", ""),
            "",
            "failed cannot read /rootlet/modules: Is a directory (EISDIR)",
            &[],
        ),
        (
            Initramfs::new().file("rootlet/command", ""),
            "",
            "failed ",
            &["the kernel command line has neither root= nor a command"],
        ),
        // Without devices rootlet cannot report the error. It still ends the machine without a
        // panic.
        (
            Initramfs::new().file("dev", "a file").command(&["/init"]),
            "",
            "",
            &["reboot: Power down"],
        ),
        // Without a console, only the record reports the error.
        (
            script("echo into nothing; exit 9"),
            "console=ttyS7",
            "exit 9",
            &[],
        ),
    ];
    for (initramfs, append, outcome, console) in cases {
        let over = boot(&initramfs, append);
        assert!(over.outcome().starts_with(outcome), "{outcome}: {over:?}");
        over.says(console);
    }
}

#[test]
fn a_halted_machine_stays_as_it_is() {
    let mut guest = Guest::start(
        &Initramfs::new()
            .busybox()
            .command(&["/bin/sh", "-c", "exit 4"]),
        "rootlet.end=halt",
        &[],
    );
    guest.expect("reboot: System halted");
    assert_eq!(guest.over().outcome(), "exit 4");
}

#[test]
fn a_shell_on_the_console_when_something_fails() {
    let initramfs = Initramfs::new().busybox();
    let mut guest = Guest::start(
        &initramfs,
        "root=/dev/nothing rootwait=1 rootlet.shell",
        &[],
    );
    guest.expect("no block device was found");
    guest.expect("did not appear in time");
    // Job control works on the shell's terminal, and the usual environment is set.
    guest.enter("sleep 1000 & kill %1; echo \"in $PWD, $(tty), $((6 * 7))\"; exit\n");
    guest.expect("in /, /dev/ttyS0, 42");
    let over = guest.end();
    assert!(over.outcome().starts_with("failed "), "{over:?}");
    over.says(&["reboot: Power down"]);
}

// --- The real root.

#[test]
fn a_root_is_found_by_each_of_its_names() {
    let disk = Disk::new();
    let by_path = disk.boot("root=/dev/vda1 -- one 'two");
    by_path.says(&[
        // The command line's arguments and variable that the kernel passes to init.
        "init: /sbin/init one 'two, \n",
        "root: /dev/vda1 ext4 ro,relatime\n",
        // The state in which the kernel starts its first process. The shell itself ignores QUIT and
        // opens its script as 10 and a pipe as 3.
        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000004\n",
        "umask 0022, in /, as 1, descriptors 0 1 10 2 3\n",
        "mounts: / /dev /proc /run /sys\n",
        "partition 1, ",
        "reboot: Power down",
    ]);
    assert!(!by_path.console.contains("written"), "{by_path:?}");
    assert_eq!(by_path.record.len(), 1, "{by_path:?}");

    let numbers = by_path.console.split("vda2/dev:").nth(1).unwrap();
    let numbers = numbers.split_ascii_whitespace().next().unwrap();
    let upper = SECOND_UUID.to_uppercase();
    let cases: [(String, &[&str]); 7] = [
        (
            format!("root={numbers} rw rootfstype=xfs,ext4 rootflags=noatime,errors=panic WORD=y word -- a"),
            &[
                // This root has neither /sbin/init nor /run.
                "init: /bin/init word a, y\n",
                "root: /dev/vda2 ext4 rw,noatime,errors=panic\n",
                "mounts: / /dev /proc /sys\n",
                "partition 2, ",
                "written",
            ],
        ),
        (
            format!("ro root=UUID={upper} rw"),
            &["root: /dev/vda2 ext2 rw,", "partition 2, ", "written"],
        ),
        (
            "rw \"root=LABEL=alpha beta\" ro \"init=/other init\"".into(),
            &["init: /other init , ", "root: /dev/vda1 ext4 ro,"],
        ),
        (
            format!("root=PARTUUID={} rootlet.overlay=5m", FIRST_PARTUUID.to_lowercase()),
            &["root: overlay overlay rw", "partition 1, ", "written"],
        ),
        (
            format!("root=PARTUUID={FIRST_PARTUUID}/PARTNROFF=1"),
            &["root: /dev/vda2 ext2 ro", "partition 2, "],
        ),
        (
            "\"root=PARTLABEL=the second\" rootdelay=1".into(),
            &["root: /dev/vda2 ext2 ro", "rootdelay: waiting", "partition 2, "],
        ),
        // The last path of the kernel's list. It gets the arguments too.
        (
            "root=/dev/disk/by-label/gamma init=/bin/sh -- -c \"echo shell $0 $1; poweroff -f\" x y".into(),
            &["shell x y"],
        ),
    ];
    let initramfs = disk_modules().modules(&["overlay"]);
    for (append, lines) in cases {
        disk.boot_with(&initramfs, &append).says(lines);
    }
}

#[test]
fn a_missing_root_is_reported_with_the_devices_found() {
    let disk = Disk::new();
    let over = disk.boot("root=UUID=0a0b0c0d-0000-0000-0000-000000000000 rootwait=2");
    let list = format!(
        "rootlet: waiting for the device UUID=0a0b0c0d-0000-0000-0000-000000000000\n\
         rootlet: 1 s\rrootlet: block devices found:\n\
         rootlet:   /dev/vda\n\
         rootlet:   /dev/vda1 ext4 UUID={FIRST_UUID} LABEL=alpha beta PARTUUID={} PARTLABEL=first\n\
         rootlet:   /dev/vda2 ext2 UUID={SECOND_UUID} LABEL=gamma PARTUUID={} PARTLABEL=the second\n\
         rootlet: known file systems: ext2 ext3 ext4 erofs f2fs nilfs2 xfs squashfs vfat \
         exfat ntfs romfs cramfs bcachefs jfs iso9660 udf btrfs reiserfs\n\
         rootlet: cannot find the device UUID=0a0b0c0d-0000-0000-0000-000000000000: \
         it did not appear in time\n",
        FIRST_PARTUUID.to_lowercase(),
        SECOND_PARTUUID.to_lowercase(),
    );
    over.says(&[&list, "reboot: Power down"]);
    assert_eq!(
        over.outcome(),
        "failed cannot find the device UUID=0a0b0c0d-0000-0000-0000-000000000000: it did not appear in time"
    );

    // Devices that exist but cannot be a root.
    let cases = [
        ("root=/dev/vda", "cannot mount /dev/vda"),
        (
            "root=/dev/vda1 rootfstype=xfs",
            "cannot mount /dev/vda1 as xfs: No such device (ENODEV)",
        ),
        (
            "root=/dev/vda1 rootflags=nonsense",
            "cannot mount /dev/vda1 as ext4: Invalid argument (EINVAL)",
        ),
        (
            "root=/dev/vda1 init=/missing",
            "cannot run /missing: No such file or directory (ENOENT)",
        ),
        (
            "root=/dev/vda1 init=/partition",
            "cannot run /partition: Permission denied (EACCES)",
        ),
        (
            "root=/dev/vda1 rootlet.overlay",
            "cannot mount overlay on /new_root: No such device (ENODEV)",
        ),
    ];
    for (append, message) in cases {
        let over = disk.boot(append);
        over.says(&[message, "reboot: Power down"]);
        assert!(over.outcome().starts_with("failed "), "{over:?}");
    }
}

#[test]
fn boot_waits_for_a_late_disk() {
    let disk = Disk::new();
    let drive = format!(
        "file={},format=raw,if=none,id=late,snapshot=on",
        disk.image().display()
    );
    let mut guest = Guest::start(
        &disk_modules(),
        "root=LABEL=gamma rootwait",
        &[
            "-device",
            "pcie-root-port,id=late-port,chassis=1",
            "-drive",
            &drive,
        ],
    );
    guest.expect("waiting for the device LABEL=gamma");
    guest.monitor("device_add virtio-blk-pci,drive=late,bus=late-port");
    let over = guest.end();
    over.says(&["partition 2, ", "reboot: Power down"]);
}

/// In a mount namespace other than the initial one, rootlet does not empty the initramfs but
/// unmounts it, after pivot_root(2). From Linux 7.0 on, every boot works this way. To cover older
/// kernels too, this test boots in a container of the guest.
#[test]
fn the_initramfs_is_left_where_possible() {
    let disk = Disk::new();
    let append = "root=PARTLABEL=first rw init=/sbin/container";
    let over = disk.boot(append);
    let inner = "inside: container, 1, / /dev /proc /run /sys\n\
                 inside: ext4 / on /\n\
                 outside: 0, the initramfs holds dev init new_root old proc run sys\n";
    over.says(&[inner, "reboot: Power down"]);
}

// --- A Debian.

/// A unit that reports on the console that the default target is reached, and powers off.
const MARKER: &str = "\
[Unit]
After=graphical.target
[Service]
Type=oneshot
StandardOutput=tty
TTYPath=/dev/console
ExecStart=/bin/sh -c 'echo \"marker: $(systemctl is-active default.target), \
failed: $(systemctl --failed --plain --no-legend | xargs)\"; \
echo \"marker: $(findmnt -no SOURCE,FSTYPE,OPTIONS / | xargs)\"; \
if [ -e /written ]; then echo \"marker: written before\"; fi; \
echo text >/written && rm /etc/hostname && echo \"marker: $(cat /written)\"'
ExecStart=systemctl --no-block poweroff
[Install]
WantedBy=graphical.target
";

fn debian_that_powers_off() -> Root {
    let root = debian_with_systemd();
    let units = "etc/systemd/system";
    root.file(&format!("{units}/marker.service"), MARKER);
    let wanted = format!("{units}/graphical.target.wants/marker.service");
    root.symlink(&wanted, "../marker.service");
    // These take long and are not needed here.
    for unit in ["e2scrub_reap.service", "systemd-hwdb-update.service"] {
        root.symlink(&format!("{units}/{unit}"), "/dev/null");
    }
    root
}

#[test]
fn a_debian_boots_from_ext4_and_powers_off() {
    if !can_be_root() || is_left_out("network") {
        return;
    }
    let root = debian_that_powers_off();
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let options = ["-U", FIRST_UUID];
    make_ext(&root, &image, "ext4", 0, 500 << 10, &options);
    let append = format!("root=UUID={FIRST_UUID} rw systemd.show_status=1");
    let guest = Guest::start(&disk_modules(), &append, &["-drive", &disk(&image)]);
    let over = guest.end();
    over.says(&[
        "marker: active, failed: \n",
        "marker: /dev/vda ext4 rw,relatime\n",
        "marker: text\n",
        "reboot: Power down",
    ]);
    assert!(!over.console.contains("written before"), "{over:?}");
}

#[test]
fn a_debian_boots_from_squashfs_and_its_writes_are_discarded() {
    if !can_be_root() || is_left_out("network") {
        return;
    }
    let root = debian_that_powers_off();
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    succeed(
        Command::new("mksquashfs")
            .arg(root.path())
            .arg(&image)
            .args(["-quiet", "-no-progress"])
            .args(["-comp", "zstd", "-Xcompression-level", "1"]),
    );
    let before = fs::read(&image).unwrap();
    let initramfs = Initramfs::new().modules(&["virtio_blk", "squashfs", "overlay"]);
    let drive = format!("file={},format=raw,if=virtio", image.display());
    let append = "root=/dev/vda rootlet.overlay systemd.show_status=1";
    let over = Guest::start(&initramfs, append, &["-drive", &drive]).end();
    over.says(&[
        "marker: active, failed: \n",
        "marker: overlay overlay rw,",
        "marker: text\n",
        "reboot: Power down",
    ]);
    assert!(fs::read(&image).unwrap() == before);
}
