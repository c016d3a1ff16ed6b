//! The one table of options of each role: parser and help both read it, so that they cannot
//! disagree.

/// Which option.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id {
    Bind,
    Rbind,
    ReadOnly,
    NoMounts,
    Pty,
    ReadOnlyRoot,
    Overlay,
    OverlaySize,
    Dev,
    Unshare,
    Share,
    MapUsers,
    ResolvConf,
    MaskProc,
    Hostname,
    SkipChdir,
    Chdir,
    Env,
    UnsetEnv,
    ClearEnv,
    Argv0,
    User,
    Groups,
    KeepFd,
    StatusFd,
    DropCaps,
    NoNewPrivs,
    DryRun,
    Group,
    SingleChild,
    NewSession,
    Rewrite,
    Grace,
    Subreaper,
    ParentDeath,
    Expect,
    WarnOnReap,
    Pause,
    Licence,
    Verbose,
    Help,
    Version,
}

/// A role: how it is called, what it does, its options.
pub(crate) struct Role {
    pub(crate) usage: &'static str,
    pub(crate) sections: &'static [Section],
}

pub(crate) struct Opt {
    pub(crate) id: Id,
    pub(crate) short: Option<u8>,
    /// The first is the name, the others are taken too.
    pub(crate) long: &'static [&'static str],
    pub(crate) value: Option<&'static str>,
    /// Lines of at most 54 characters.
    pub(crate) help: &'static [&'static str],
}

/// A heading, its options, and what is to be said below them.
pub(crate) struct Section {
    pub(crate) heading: &'static str,
    pub(crate) options: &'static [Opt],
    pub(crate) below: &'static str,
}

pub(crate) const RUN: Role = Role {
    usage: "\
Usage: rootlet run [OPTION]... NEWROOT [COMMAND [ARG]...]

Runs COMMAND in the directory NEWROOT as its root, in new mount, UTS, IPC and
pid namespaces.
",
    sections: &[
        Section {
            heading: "Mounts (each can be given more than once)",
            options: &[
                Opt {
                    id: Id::Bind,
                    short: Some(b'B'),
                    long: &["bind"],
                    value: Some("SRC[:DEST[:OPT,...]]"),
                    help: &["show SRC of the host at DEST (default: SRC)"],
                },
                Opt {
                    id: Id::Rbind,
                    short: Some(b'R'),
                    long: &["rbind"],
                    value: Some("SRC[:DEST[:OPT,...]]"),
                    help: &["the same with all mounts below SRC"],
                },
                Opt {
                    id: Id::ReadOnly,
                    short: None,
                    long: &["ro", "readonly"],
                    value: Some("SRC[:DEST[:OPT,...]]"),
                    help: &["like --bind, and nothing there can be written"],
                },
                Opt {
                    id: Id::NoMounts,
                    short: None,
                    long: &["no-mounts"],
                    value: None,
                    help: &[
                        "without the default mounts: /dev with all below it,",
                        "new /proc and /sys, a tmpfs on /dev/shm, and",
                        "/etc/resolv.conf (default: with them)",
                    ],
                },
            ],
            below: "\
SRC is a path, $NAME for a path in the environment, or proc, sysfs, tmpfs,
devpts, mqueue for a new file system. DEST is looked up inside NEWROOT, and
made for the time of the run if it is missing. OPT is ro, rec (with all mounts
below), optional (leave the mount out if it cannot be had), nosuid, nodev,
noexec, or data of the file system: 'tmpfs:/tmp:size=64m'. A colon in a path is
'\\:'. A mount takes the place of an earlier or default one with the same DEST.
",
        },
        Section {
            heading: "Root",
            options: &[
                Opt {
                    id: Id::ReadOnlyRoot,
                    short: None,
                    long: &["read-only-root"],
                    value: None,
                    help: &[
                        "let nothing be written in NEWROOT and what is mounted",
                        "below it; other mounts stay as they are (default: let)",
                    ],
                },
                Opt {
                    id: Id::Overlay,
                    short: None,
                    long: &["overlay"],
                    value: None,
                    help: &[
                        "let what is written in NEWROOT go to memory, and be",
                        "gone after the run (default: it stays)",
                    ],
                },
                Opt {
                    id: Id::OverlaySize,
                    short: None,
                    long: &["overlay-size"],
                    value: Some("SIZE"),
                    help: &[
                        "the same with at most SIZE of memory, such as 64m, 2g",
                        "or 10% (default: half of the machine's)",
                    ],
                },
                Opt {
                    id: Id::Dev,
                    short: None,
                    long: &["dev"],
                    value: Some("host|minimal"),
                    help: &[
                        "minimal: a /dev with null, zero, full, random,",
                        "urandom, tty, console, and pts and shm of its own",
                        "(default: host, all that the host has)",
                    ],
                },
                Opt {
                    id: Id::ResolvConf,
                    short: None,
                    long: &["resolv-conf"],
                    value: Some("bind|copy|off"),
                    help: &[
                        "copy: a private copy of the host's, that can be",
                        "written, and with --overlay replaced; off: that of",
                        "NEWROOT (default: bind, the host's own file)",
                    ],
                },
                Opt {
                    id: Id::MaskProc,
                    short: None,
                    long: &["mask-proc"],
                    value: None,
                    help: &[
                        "make read-only or cover what in /proc, and",
                        "/sys/firmware, is the whole machine's (default: not)",
                    ],
                },
            ],
            below: "\
With an overlay nothing at all is made in NEWROOT, and what is mounted below it
is not shown. What is bound from elsewhere is written as ever.
",
        },
        Section {
            heading: "Namespaces (each can be given more than once; LIST is names with commas)",
            options: &[
                Opt {
                    id: Id::Unshare,
                    short: None,
                    long: &["unshare"],
                    value: Some("LIST"),
                    help: &[
                        "have new namespaces of net, ipc, uts, pid, cgroup,",
                        "time, user (default: ipc,uts,pid, and user where the",
                        "caller has no right to those)",
                    ],
                },
                Opt {
                    id: Id::Share,
                    short: None,
                    long: &["share"],
                    value: Some("LIST"),
                    help: &["keep the caller's (default: net,cgroup,time)"],
                },
                Opt {
                    id: Id::MapUsers,
                    short: None,
                    long: &["map-users"],
                    value: Some("root|current|auto"),
                    help: &[
                        "whom a new user namespace knows: root: the caller,",
                        "as 0; current: the caller, as itself; auto: its range",
                        "in /etc/subuid and /etc/subgid, from 0 on, for a",
                        "NEWROOT that belongs to that range (default: root)",
                    ],
                },
            ],
            below: "\
A new net has only the loopback device, which is brought up. With --share pid
there is no pid 1: what COMMAND leaves running is found by NEWROOT's /proc and
killed, but what hides from that stays; COMMAND sees all processes, and its
reboot is the machine's.
",
        },
        Section {
            heading: "Command",
            options: &[
                Opt {
                    id: Id::Chdir,
                    short: Some(b'C'),
                    long: &["chdir"],
                    value: Some("DIR"),
                    help: &["start in this directory of NEWROOT (default: /)"],
                },
                Opt {
                    id: Id::SkipChdir,
                    short: None,
                    long: &["skip-chdir"],
                    value: None,
                    help: &[
                        "start where the caller is, if that is below NEWROOT,",
                        "else in the directory of the same name (default: /)",
                    ],
                },
                Opt {
                    id: Id::Pty,
                    short: None,
                    long: &["pty"],
                    value: None,
                    help: &[
                        "a terminal of its own, so that it cannot type into the",
                        "caller's (default: the caller's)",
                    ],
                },
                Opt {
                    id: Id::Hostname,
                    short: None,
                    long: &["hostname"],
                    value: Some("NAME"),
                    help: &[
                        "set the host name inside, and of NAME.DOMAIN the",
                        "domain name too (default: the host's)",
                    ],
                },
                Opt {
                    id: Id::KeepFd,
                    short: None,
                    long: &["keep-fd"],
                    value: Some("N"),
                    help: &[
                        "let it have the caller's descriptor N; can be given",
                        "more than once (default: 0, 1 and 2)",
                    ],
                },
                Opt {
                    id: Id::StatusFd,
                    short: None,
                    long: &["status-fd"],
                    value: Some("N"),
                    help: &[
                        "tell how it goes on descriptor N, in lines of JSON, as",
                        "below (default: nowhere)",
                    ],
                },
                Opt {
                    id: Id::NewSession,
                    short: None,
                    long: &["new-session"],
                    value: None,
                    help: &[
                        "run it in a session of its own, without the terminal",
                        "(default: with it)",
                    ],
                },
                Opt {
                    id: Id::Grace,
                    short: None,
                    long: &["grace"],
                    value: Some("SECONDS"),
                    help: &[
                        "when COMMAND has ended, send TERM to what still runs,",
                        "and KILL after SECONDS; and so with COMMAND itself",
                        "when HUP, INT, QUIT or TERM has come (default: 0: kill",
                        "what still runs)",
                    ],
                },
            ],
            below: "\
COMMAND is looked up in PATH inside NEWROOT (default: $SHELL -i, else
/bin/sh -i). It gets the signals that rootlet gets, and the terminal. What it
leaves running is killed when it ends, and all of it when rootlet is killed.
",
        },
        Section {
            heading: "Identity and rights",
            options: &[
                Opt {
                    id: Id::User,
                    short: Some(b'u'),
                    long: &["user"],
                    value: Some("USER[:GROUP]"),
                    help: &[
                        "run COMMAND as this user, with HOME, SHELL, USER and",
                        "LOGNAME set (default: as the caller, or as user 0 in",
                        "a user namespace)",
                    ],
                },
                Opt {
                    id: Id::Groups,
                    short: Some(b'G'),
                    long: &["groups"],
                    value: Some("LIST"),
                    help: &[
                        "with these supplementary groups, with commas",
                        "(default: those of USER, in /etc/group)",
                    ],
                },
                Opt {
                    id: Id::DropCaps,
                    short: None,
                    long: &["drop-caps"],
                    value: Some("all|LIST"),
                    help: &[
                        "take capabilities from COMMAND for good, by their",
                        "names in capabilities(7) with commas; can be given",
                        "more than once (default: none, but that inheritable",
                        "and ambient ones are never passed on)",
                    ],
                },
                Opt {
                    id: Id::NoNewPrivs,
                    short: None,
                    long: &["no-new-privs"],
                    value: None,
                    help: &[
                        "executing a set-user-ID file and the like gives no",
                        "rights (default: it does)",
                    ],
                },
            ],
            below: "\
Users and groups are numbers, or names in NEWROOT's own /etc/passwd and
/etc/group. A number need not be there: its group has the same number then.
",
        },
        Section {
            heading: "Environment (each can be given more than once)",
            options: &[
                Opt {
                    id: Id::Env,
                    short: Some(b'E'),
                    long: &["env"],
                    value: Some("NAME=VALUE"),
                    help: &["set a variable for COMMAND"],
                },
                Opt {
                    id: Id::UnsetEnv,
                    short: None,
                    long: &["unset-env"],
                    value: Some("NAME"),
                    help: &["leave a variable out"],
                },
                Opt {
                    id: Id::ClearEnv,
                    short: None,
                    long: &["clear-env"],
                    value: None,
                    help: &[
                        "pass on none but TERM, and set PATH to the usual one",
                        "(default: the caller's environment)",
                    ],
                },
                Opt {
                    id: Id::Argv0,
                    short: None,
                    long: &["argv0"],
                    value: Some("NAME"),
                    help: &[
                        "tell COMMAND this name for itself, such as '-bash' for",
                        "a login shell (default: the one it is run by)",
                    ],
                },
            ],
            below: "",
        },
        Section {
            heading: "Telling",
            options: &[
                Opt {
                    id: Id::DryRun,
                    short: Some(b'n'),
                    long: &["dry-run"],
                    value: None,
                    help: &[
                        "print what would be done, where each mount would land",
                        "and what would be made, and do nothing (default: do)",
                    ],
                },
                Opt {
                    id: Id::Verbose,
                    short: Some(b'v'),
                    long: &["verbose"],
                    value: None,
                    help: &["say each step on standard error (default: only errors)"],
                },
                HELP,
                VERSION,
            ],
            below: "\
Without root's rights rootlet makes a user namespace, where the caller is user
0; the network stays the host's unless --unshare net is given, and without that
/sys is the host's, read-only.

Exit status: COMMAND's own; 128+N when signal N killed it; 127 COMMAND not
found, 126 found but not executable; 125 rootlet failed, and said why.
",
        },
    ],
};

const HELP: Opt = Opt {
    id: Id::Help,
    short: Some(b'h'),
    long: &["help"],
    value: None,
    help: &["print this"],
};

const VERSION: Opt = Opt {
    id: Id::Version,
    short: Some(b'V'),
    long: &["version"],
    value: None,
    help: &["print the version"],
};

pub(crate) const INIT: Role = Role {
    usage: "\
Usage: rootlet init [OPTION]... [--] COMMAND [ARG]...

Runs COMMAND, passes on the signals that come, reaps what is orphaned, and ends
with COMMAND's status: the entry point of a container. It needs no other file.
",
    sections: &[
        Section {
            heading: "Signals",
            options: &[
                Opt {
                    id: Id::Group,
                    short: Some(b'g'),
                    long: &["group"],
                    value: None,
                    help: &[
                        "send them to COMMAND's process group (default: to",
                        "COMMAND alone)",
                    ],
                },
                Opt {
                    id: Id::SingleChild,
                    short: Some(b'c'),
                    long: &["single-child"],
                    value: None,
                    help: &[
                        "send them to COMMAND alone, in no session of its own",
                        "(default, but for dumb-init)",
                    ],
                },
                Opt {
                    id: Id::Rewrite,
                    short: Some(b'r'),
                    long: &["rewrite"],
                    value: Some("OLD:NEW"),
                    help: &[
                        "send NEW for OLD, and nothing when NEW is 0; can be",
                        "given more than once (default: as they come)",
                    ],
                },
                Opt {
                    id: Id::ParentDeath,
                    short: Some(b'p'),
                    long: &["parent-death"],
                    value: Some("SIGNAL"),
                    help: &["get this signal when our parent ends (default: none)"],
                },
            ],
            below: "",
        },
        Section {
            heading: "The end",
            options: &[
                Opt {
                    id: Id::Grace,
                    short: None,
                    long: &["grace"],
                    value: Some("SECONDS"),
                    help: &[
                        "when COMMAND has ended, send TERM to what still runs,",
                        "and KILL after SECONDS; and so with COMMAND itself",
                        "when HUP, INT, QUIT or TERM has come (default: 0:",
                        "end with COMMAND)",
                    ],
                },
                Opt {
                    id: Id::Expect,
                    short: Some(b'e'),
                    long: &["expect"],
                    value: Some("CODE"),
                    help: &[
                        "end with 0 when COMMAND ends with CODE; can be given",
                        "more than once (default: none)",
                    ],
                },
                Opt {
                    id: Id::Pause,
                    short: Some(b'P'),
                    long: &["pause"],
                    value: None,
                    help: &[
                        "no COMMAND: only reap, until INT or TERM comes",
                        "(default: run COMMAND)",
                    ],
                },
            ],
            below: "\
Exit status: COMMAND's own; 128+N when signal N killed it; 127 COMMAND not
found, 126 found but not executable; 125 rootlet failed, and said why.
",
        },
        Section {
            heading: "Other",
            options: &[
                Opt {
                    id: Id::NewSession,
                    short: None,
                    long: &["new-session"],
                    value: None,
                    help: &[
                        "run COMMAND in a session of its own, with the terminal",
                        "(default: in ours)",
                    ],
                },
                Opt {
                    id: Id::Subreaper,
                    short: Some(b's'),
                    long: &["subreaper"],
                    value: None,
                    help: &["reap as a child subreaper (default: where not pid 1)"],
                },
                Opt {
                    id: Id::WarnOnReap,
                    short: Some(b'w'),
                    long: &["warn-on-reap"],
                    value: None,
                    help: &["say each orphan that is reaped (default: quiet)"],
                },
                Opt {
                    id: Id::Verbose,
                    short: Some(b'v'),
                    long: &["verbose"],
                    value: None,
                    help: &["say each signal and each end (default: only errors)"],
                },
                Opt {
                    id: Id::Licence,
                    short: Some(b'l'),
                    long: &["license"],
                    value: None,
                    help: &["print the licence"],
                },
                Opt {
                    id: Id::Licence,
                    short: Some(b'L'),
                    long: &[],
                    value: None,
                    help: &["the same"],
                },
                HELP,
                VERSION,
            ],
            below: "\
Called as tini, tini-static, docker-init, dumb-init or catatonit it takes that
program's options and environment variables, and has its habits.
",
        },
    ],
};

pub(crate) const BOOT: Role = Role {
    usage: "\
Usage: rootlet boot

For /init of an initramfs, of which it may be the only file: mounts /dev, /proc,
/sys and /run, loads modules, mounts the real root and becomes its init; or
runs a command and ends the machine. The kernel command line says what to do.

The real root, as the kernel documents it:
  root=WHAT             a block device: its path, UUID=, LABEL=, PARTUUID=,
                        PARTLABEL=, MAJOR:MINOR; virtiofs:TAG, 9p:TAG; or what
                        a type in rootfstype= takes that needs no device
  rootfstype=TYPE,...   tried in this order (default: what is found there)
  rootflags=OPT,...     options of the mount
  ro, rw                read-only, or not (default: ro)
  rootwait[=SECONDS]    wait for the device, for ever (default: 10 seconds)
  rootdelay=SECONDS     wait before it is looked for (default: 0)
  ip=ADDRESS::GATEWAY:MASK::DEVICE:off:DNS
                        the network, for a command (default: only lo)
  init=PATH             what it becomes (default: /sbin/init, /etc/init,
                        /bin/init, /bin/sh, the first that can be run)

Beyond the kernel:
  rootlet.overlay[=SIZE]
                        writes go to memory, of at most SIZE, and are lost
  rootlet.shell         when something fails, /bin/sh of the initramfs on the
                        console (default: the machine ends)
  rootlet.end=HOW       poweroff, reboot, halt, or wait, for whoever runs the
                        machine to end it (default: poweroff)
  rootlet.stdin=NAME, rootlet.stdout=NAME, rootlet.stderr=NAME
                        virtio ports for the command (default: the console)
  rootlet.terminal=NAME, rootlet.size=ROWSxCOLUMNS
                        a terminal in /dev for the command, such as hvc0
  rootlet.status=NAME   the virtio port that is told how it goes, in lines:
                        entered MICROSECONDS, started MICROSECONDS, and at the
                        end exit N, signal N, or failed MESSAGE

Files of the initramfs, none of which need be there:
  /rootlet/modules      modules to load, in order: a path in each line, and
                        parameters after a space; compressed ones as they are
  /rootlet/command      the command and its arguments, each ended by NUL; it
                        runs in the real root, without root= in the initramfs,
                        and there can stand after -- as well
  /rootlet/environment  its variables, NAME=VALUE, each ended by NUL
  /rootlet/directory    its working directory
  /rootlet/fstab        more mounts for it, as in fstab(5)
",
    sections: &[Section {
        heading: "Options",
        options: &[HELP, VERSION],
        below: "",
    }],
};
