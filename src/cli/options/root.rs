//! The options of `rootlet run` about NEWROOT, and what a root needs in it.

use super::{Complete, Entry, Kind, OPTION, Section};

pub const ROOT: Section = Section {
    heading: "Root",
    kind: Kind::Options,
    entries: &[
        Entry {
            name: "read-only-root",
            line: "make NEWROOT and the mounts below it read-only, but not other mounts; against real root add --drop-caps sys_admin,sys_ptrace",
            paragraph: "A mount point that is missing is made before. Mounts that the host \
                        makes there later do not appear. Real root can undo it by a remount; \
                        without root's rights it cannot be undone, as with --ro.",
            ..OPTION
        },
        Entry {
            name: "overlay",
            line: "keep what is written in NEWROOT in memory, and drop it after the run",
            paragraph: "An ordinary user needs Linux 5.11 for it, and 6.6 to remove, rename \
                        or replace directories of NEWROOT.",
            ..OPTION
        },
        Entry {
            name: "overlay-size",
            value: "SIZE",
            default: "half of the machine's memory",
            line: "the same, with at most SIZE of memory: bytes, or with k, m, g or %",
            paragraph: "A number of bytes, or with k, m or g after it of KiB, MiB or GiB.",
            ..OPTION
        },
        Entry {
            name: "dev",
            value: "host|minimal",
            default: "host",
            line: "with minimal, show a new /dev with null, zero, full, random, urandom, tty, console, pts and shm; console is the terminal of --pty, else the caller's, whose keys COMMAND can read",
            paragraph: "Where no nodes can be made, as in a user namespace, the host's are \
                        bound. Without a terminal there is no console. Real root can type into \
                        the caller's terminal: for a program that you do not trust add --pty. In a \
                        user namespace the host's /dev has a new /dev/pts too, whose terminals can be \
                        given to any user inside, and the caller's terminal is /dev/console; \
                        with -B /dev/pts the host's are shown.",
            complete: Complete::Word(&["host", "minimal"]),
            ..OPTION
        },
        Entry {
            name: "resolv-conf",
            value: "bind|copy|off",
            default: "bind",
            line: "bind shows the host's file read-only; copy makes a private copy, which can be written, and with --overlay replaced; off leaves NEWROOT's own",
            paragraph: "A host without that file leaves it out. Only '-B /etc/resolv.conf' \
                        lets COMMAND write the host's own.",
            complete: Complete::Word(&["bind", "copy", "off"]),
            ..OPTION
        },
        Entry {
            name: "hosts",
            value: "bind|copy|off",
            default: "bind",
            line: "the same for /etc/hosts; with --hostname, NAME is in it",
            paragraph: "With --hostname it is a copy in which NAME has the address 127.0.1.1, so that \
                        sudo finds it.",
            complete: Complete::Word(&["bind", "copy", "off"]),
            ..OPTION
        },
        Entry {
            name: "mask-proc",
            line: "cover, or make read-only, the parts of /proc and /sys/firmware that concern the whole machine; against real root add --drop-caps sys_admin,sys_ptrace",
            paragraph: "Such as /proc/sys, /proc/sysrq-trigger, /proc/kcore and /proc/keys, in \
                        each proc and sysfs that is NEWROOT's own, mounted or bound; not in \
                        one below a recursive bind, nor in a bind of a part. Real root can undo it by an \
                        unmount; without root's rights it cannot be undone, as with --ro. In a \
                        user namespace inside the kernel allows no new /proc then: as an ordinary \
                        user bwrap and 'unshare --mount-proc' fail.",
            ..OPTION
        },
    ],
    below: "With an overlay nothing at all is made in NEWROOT, and what is mounted below it \
            is not shown. What is bound from elsewhere is written as ever.",
};
