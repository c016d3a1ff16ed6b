//! The options of `rootlet run` about NEWROOT, and about the files and devices in it.

use super::{Complete, Entry, Kind, OPTION, Section};

pub const ROOT: Section = Section {
    heading: "Root",
    kind: Kind::Options,
    entries: &[
        Entry {
            name: "read-only-root",
            line: "make NEWROOT and the mounts below it read-only, but not other mounts; against real root add --drop-caps sys_admin,sys_ptrace",
            paragraph: "Missing mount points are created first. Mounts that the host makes there \
                        later do not appear. Real root can undo it by a remount; without root's \
                        rights it cannot be undone, as with --ro.",
            ..OPTION
        },
        Entry {
            name: "overlay",
            line: "keep changes to NEWROOT in memory, and discard them after the run",
            paragraph: "An ordinary user needs Linux 5.11, and 6.6 to remove, rename or replace \
                        directories of NEWROOT.",
            ..OPTION
        },
        Entry {
            name: "overlay-size",
            value: "SIZE",
            default: "half of the machine's memory",
            line: "like --overlay, with at most SIZE of memory: bytes, or with k, m, g or %",
            paragraph: "A plain number is in bytes; k, m or g after it stand for KiB, MiB or GiB.",
            ..OPTION
        },
        Entry {
            name: "dev",
            value: "host|minimal",
            default: "host",
            line: "with minimal, show a new /dev with null, zero, full, random, urandom, tty, console, pts and shm; console is the terminal of --pty, else the caller's, whose keys COMMAND can read",
            paragraph: "If nodes cannot be made, as in a user namespace, the host's are bound. \
                        Without a terminal there is no console. Real root can type into the \
                        caller's terminal: for a program that you do not trust add --pty. In a user \
                        namespace the host's /dev gets a new /dev/pts too, whose terminals can be \
                        given to any user inside, and the caller's terminal is /dev/console; \
                        -B /dev/pts shows the host's instead.",
            complete: Complete::Word(&["host", "minimal"]),
            ..OPTION
        },
        Entry {
            name: "resolv-conf",
            value: "bind|copy|off",
            default: "bind",
            line: "bind shows the host's file read-only; copy makes a private copy, which can be written, and with --overlay replaced; off keeps NEWROOT's own",
            paragraph: "If the host has no such file, it is left out. Only '-B /etc/resolv.conf' \
                        lets COMMAND write to the host's file.",
            complete: Complete::Word(&["bind", "copy", "off"]),
            ..OPTION
        },
        Entry {
            name: "hosts",
            value: "bind|copy|off",
            default: "bind",
            line: "the same for /etc/hosts; --hostname adds NAME to it",
            paragraph: "With --hostname it is a copy in which NAME has the address 127.0.1.1, so that \
                        sudo can resolve it.",
            complete: Complete::Word(&["bind", "copy", "off"]),
            ..OPTION
        },
        Entry {
            name: "mask-proc",
            line: "cover, or make read-only, the parts of /proc and /sys/firmware that concern the whole machine; against real root add --drop-caps sys_admin,sys_ptrace",
            paragraph: "Examples are /proc/sys, /proc/sysrq-trigger, /proc/kcore and /proc/keys. It \
                        applies to each proc and sysfs mounted or bound in NEWROOT, except below a \
                        recursive bind and for a bind of a part. Real root can undo it by an \
                        unmount; without root's rights it cannot be undone, as with --ro. The \
                        kernel then allows no new /proc in a user namespace inside: for an \
                        ordinary user bwrap and 'unshare --mount-proc' fail.",
            ..OPTION
        },
    ],
    below: "With an overlay nothing is created in NEWROOT, and mounts below it are not shown. Writes to \
            binds go to their source.",
};
