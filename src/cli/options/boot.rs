//! The options of `rootlet boot`: what it reads from the kernel command line and the initramfs.

use super::{Entry, HELP, Kind, OPTION, Role, Section, VERSION};

pub const ROLE: Role = Role {
    name: "boot",
    usage: "rootlet boot",
    line: "as /init of an initramfs, enter the file system that root= names, or run one command and \
           end the machine; 'init' as a name does the same",
    about: "For /init of an initramfs, of which it may be the only file: mounts /dev, /proc, /sys and \
            /run, loads modules, mounts the real root and becomes its init; or runs a command and \
            ends the machine. The kernel command line says what to do.",
    sections: &[
        Section {
            heading: "The real root, as the kernel documents it",
            kind: Kind::Words,
            entries: &[
                Entry {
                    name: "root=",
                    value: "WHAT",
                    line: "a block device: its path, UUID=, LABEL=, PARTUUID=, PARTLABEL=, \
                           MAJOR:MINOR; virtiofs:TAG, 9p:TAG; or what a type in rootfstype= takes \
                           that needs no device",
                    paragraph: "UUID= and LABEL= are read from ext2, ext3, ext4, erofs, f2fs, \
                                nilfs2, xfs, vfat, exfat, ntfs, bcachefs, jfs, iso9660, btrfs and \
                                reiserfs, LABEL= from romfs and cramfs. Members of RAID (md and \
                                firmware), LVM, LUKS, bcache, DRBD and ZFS are refused.",
                    ..OPTION
                },
                Entry {
                    name: "rootfstype=",
                    value: "TYPE,...",
                    default: "what is found there",
                    line: "tried in this order; auto: what is found there",
                    ..OPTION
                },
                Entry {
                    name: "rootflags=",
                    value: "OPT,...",
                    line: "options of the mount, as mount(8) has them",
                    ..OPTION
                },
                Entry {
                    name: "ro, rw",
                    default: "ro",
                    line: "read-only, or not",
                    ..OPTION
                },
                Entry {
                    name: "rootwait",
                    value: "[=SECONDS]",
                    default: "10 seconds",
                    line: "wait for the device indefinitely",
                    paragraph: "It waits for the kernel's events, and for all devices of a btrfs \
                                or bcachefs. When the time is over, all block devices that did come are told, with \
                                their names.",
                    ..OPTION
                },
                Entry {
                    name: "rootdelay=",
                    value: "SECONDS",
                    default: "0",
                    line: "wait before it is looked for",
                    ..OPTION
                },
                Entry {
                    name: "ip=",
                    value: "ADDRESS::GATEWAY:MASK::DEVICE:off:DNS",
                    default: "only lo",
                    line: "the network, for a command",
                    ..OPTION
                },
                Entry {
                    name: "init=",
                    value: "PATH",
                    default: "/sbin/init, /etc/init, /bin/init, /bin/sh, the first that can be run",
                    line: "what it becomes",
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
                    line: "writes go to memory, of at most SIZE, and are lost",
                    paragraph: "For a squashfs, or to try something out. No journal is replayed.",
                    ..OPTION
                },
                Entry {
                    name: "rootlet.shell",
                    default: "the machine ends",
                    line: "when something fails, /bin/sh of the initramfs on the console; reboot, \
                           halt and poweroff work there",
                    ..OPTION
                },
                Entry {
                    name: "rootlet.end=",
                    value: "HOW",
                    default: "poweroff",
                    line: "poweroff, reboot, halt, or wait, for whoever runs the machine to end it",
                    ..OPTION
                },
                Entry {
                    name: "rootlet.stdin=NAME, rootlet.stdout=NAME, rootlet.stderr=",
                    value: "NAME",
                    default: "the console",
                    line: "virtio ports for the command",
                    ..OPTION
                },
                Entry {
                    name: "rootlet.terminal=NAME, rootlet.size=",
                    value: "ROWSxCOLUMNS",
                    line: "a terminal in /dev for the command, such as hvc0",
                    ..OPTION
                },
                Entry {
                    name: "rootlet.status=",
                    value: "NAME",
                    line: "the virtio port that is told how it goes, in lines: entered MICROSECONDS, \
                           started MICROSECONDS, and at the end exit N, signal N, or failed MESSAGE",
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
                    line: "modules to load, in order: a path in each line, and parameters after a \
                           space; compressed ones as they are. MODULE.NAME=VALUE on the kernel \
                           command line is for them too",
                    ..OPTION
                },
                Entry {
                    name: "/rootlet/command",
                    line: "the command and its arguments, each ended by NUL; it runs in the real \
                           root, without root= in the initramfs, and there can stand after -- as \
                           well",
                    ..OPTION
                },
                Entry {
                    name: "/rootlet/environment",
                    line: "its variables, NAME=VALUE, each ended by NUL",
                    ..OPTION
                },
                Entry {
                    name: "/rootlet/directory",
                    line: "its working directory",
                    ..OPTION
                },
                Entry {
                    name: "/rootlet/fstab",
                    line: "more mounts for it, as in fstab(5); UUID= and the like are as in root=",
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
    paragraph: "Nothing that fails ends process 1, for which the kernel would panic: it is told on \
                the console, and the machine powers off.",
};
