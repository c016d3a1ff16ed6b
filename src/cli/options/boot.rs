//! The options of `rootlet boot`, and its parameters on the kernel command line and files in the initramfs.

use super::{Entry, HELP, Kind, OPTION, Role, Section, VERSION};

pub const ROLE: Role = Role {
    name: "boot",
    usage: "rootlet boot",
    line: "as /init of an initramfs, enter the file system that root= names, or run one command and \
           end the machine; the name 'init' does the same",
    about: "The /init of an initramfs, which needs no other file: mounts /dev, /proc, /sys and /run, \
            loads modules, mounts the real root and becomes its init; or runs a command and ends the \
            machine. It is configured by the kernel command line.",
    sections: &[
        Section {
            heading: "The real root, as the kernel documents it",
            kind: Kind::Words,
            entries: &[
                Entry {
                    name: "root=",
                    value: "SOURCE",
                    line: "the file system to enter: a block device by its path, UUID=, LABEL=, \
                           PARTUUID=, PARTLABEL= or MAJOR:MINOR; virtiofs:TAG; 9p:TAG; or the source \
                           of a type in rootfstype= that needs no device",
                    paragraph: "UUID= and LABEL= are read from ext2, ext3, ext4, erofs, f2fs, \
                                nilfs2, xfs, vfat, exfat, ntfs, bcachefs, jfs, iso9660, btrfs and \
                                reiserfs, LABEL= from romfs and cramfs. Members of RAID (md and \
                                firmware), LVM, LUKS, bcache, DRBD and ZFS are refused.",
                    ..OPTION
                },
                Entry {
                    name: "rootfstype=",
                    value: "TYPE,...",
                    default: "auto",
                    line: "types to try in this order; auto is the type found on the device",
                    ..OPTION
                },
                Entry {
                    name: "rootflags=",
                    value: "OPT,...",
                    line: "options of the mount, as for mount(8)",
                    ..OPTION
                },
                Entry {
                    name: "ro, rw",
                    default: "ro",
                    line: "mount the root read-only, or writable",
                    ..OPTION
                },
                Entry {
                    name: "rootwait",
                    value: "[=SECONDS]",
                    default: "10 seconds",
                    line: "wait for the device indefinitely",
                    paragraph: "It waits for the kernel's events, and for all devices of a btrfs or \
                                bcachefs. When the time is over, it lists all block devices that \
                                appeared, with every name that root= takes for them.",
                    ..OPTION
                },
                Entry {
                    name: "rootdelay=",
                    value: "SECONDS",
                    default: "0",
                    line: "wait before looking for the device",
                    ..OPTION
                },
                Entry {
                    name: "ip=",
                    value: "ADDRESS::GATEWAY:MASK::DEVICE:off:DNS",
                    default: "only lo",
                    line: "set up the network, for a command",
                    ..OPTION
                },
                Entry {
                    name: "init=",
                    value: "PATH",
                    default: "/sbin/init, /etc/init, /bin/init, /bin/sh, the first that can be run",
                    line: "the init of the real root",
                    ..OPTION
                },
            ],
            below: "",
        },
        Section {
            heading: "Beyond the kernel",
            kind: Kind::Words,
            entries: &[
                Entry {
                    name: "rootlet.overlay",
                    value: "[=SIZE]",
                    line: "keep writes in memory, at most SIZE, and lose them at the end",
                    paragraph: "Useful for a squashfs, or to try something out. No journal is replayed.",
                    ..OPTION
                },
                Entry {
                    name: "rootlet.shell",
                    default: "the machine ends",
                    line: "when something fails, run /bin/sh of the initramfs on the console; reboot, \
                           halt and poweroff work there",
                    ..OPTION
                },
                Entry {
                    name: "rootlet.end=",
                    value: "HOW",
                    default: "poweroff",
                    line: "poweroff, reboot, halt, or wait for the host to end the machine",
                    ..OPTION
                },
                Entry {
                    name: "rootlet.stdin=NAME, rootlet.stdout=NAME, rootlet.stderr=",
                    value: "NAME",
                    default: "the console",
                    line: "connect the command to virtio ports",
                    ..OPTION
                },
                Entry {
                    name: "rootlet.terminal=NAME, rootlet.size=",
                    value: "ROWSxCOLUMNS",
                    line: "run the command on a terminal in /dev, such as hvc0",
                    ..OPTION
                },
                Entry {
                    name: "rootlet.status=",
                    value: "NAME",
                    line: "report to a virtio port, in lines: entered MICROSECONDS, started \
                           MICROSECONDS, and at the end exit N, signal N, or failed MESSAGE",
                    ..OPTION
                },
            ],
            below: "",
        },
        Section {
            heading: "Files of the initramfs (all optional)",
            kind: Kind::Words,
            entries: &[
                Entry {
                    name: "/rootlet/modules",
                    line: "modules to load, in order: on each line a path, and after a space the \
                           parameters; modules may be compressed. Parameters MODULE.NAME=VALUE on \
                           the kernel command line are added",
                    ..OPTION
                },
                Entry {
                    name: "/rootlet/command",
                    line: "the command and its arguments, each with a NUL at the end; it runs in the \
                           real root, or without root= in the initramfs, where the words after -- \
                           on the kernel command line are the default",
                    ..OPTION
                },
                Entry {
                    name: "/rootlet/environment",
                    line: "the command's variables, NAME=VALUE, each with a NUL at the end",
                    ..OPTION
                },
                Entry {
                    name: "/rootlet/directory",
                    line: "the command's working directory",
                    ..OPTION
                },
                Entry {
                    name: "/rootlet/fstab",
                    line: "more mounts for the command, as in fstab(5), with device names as in root=",
                    ..OPTION
                },
            ],
            below: "",
        },
        Section {
            heading: "Options",
            kind: Kind::Options,
            entries: &[HELP, VERSION],
            below: "",
        },
    ],
    end: &[],
    paragraph: "If process 1 ended, the kernel would panic. Therefore a failure is reported on the \
                console, and the machine powers off.",
};
