//! The options of `rootlet run`.

use super::capabilities::CAPABILITIES;
use super::{Complete, EXIT_STATUS, Entry, HELP, Kind, OPTION, Role, Section, VERSION, root};

const NAMESPACES: Complete =
    Complete::List(&["net", "ipc", "uts", "pid", "cgroup", "time", "user"]);

pub const ROLE: Role = Role {
    name: "run",
    usage: "rootlet run [OPTION]... NEWROOT [COMMAND [ARG]...]",
    line: "run COMMAND in the directory NEWROOT, in new mount, UTS, IPC and pid namespaces, with \
           /dev, /proc, /sys and the host's name servers; a link to rootlet called 'pychroot' does \
           the same",
    about: "Runs COMMAND in the directory NEWROOT as its root, in new mount, UTS, IPC and pid \
            namespaces.",
    sections: &[
        Section {
            heading: "Options kept elsewhere",
            kind: Kind::Options,
            entries: &[Entry {
                name: "args-fd",
                value: "N",
                line: "read words that end with NUL from descriptor N, and insert them here",
                paragraph: "As --args of bubblewrap: for a program that has paths with any bytes. \
                            The words may be options, NEWROOT, COMMAND and its ARGs.",
                ..OPTION
            }],
            below: "@FILE among the options stands for the words in FILE, one a line: options with \
                    their values, NEWROOT, COMMAND, ARGs, or another @FILE. Leading blanks, empty \
                    lines, lines that begin with '#', and a carriage return at the end of a line are \
                    skipped; nothing is quoted. As the first word of all, as in \
                    '#!/usr/bin/rootlet @/etc/build', the file begins with the role. After '--' or \
                    NEWROOT, and as a value, an @ is only an @.",
        },
        Section {
            heading: "Mounts (each can be given more than once)",
            kind: Kind::Options,
            entries: &[
                Entry {
                    short: "B",
                    name: "bind",
                    value: "SRC[:DEST[:OPT,...]]",
                    default: "DEST is SRC",
                    line: "show SRC of the host at DEST",
                    paragraph: "Mounts below SRC are not shown. An ordinary user, to whom the \
                                kernel does not show what such a mount hides, needs --rbind for a \
                                directory that has some. Nothing is ever made in a directory that \
                                is bound from the host.",
                    complete: Complete::Path,
                    ..OPTION
                },
                Entry {
                    short: "R",
                    name: "rbind",
                    value: "SRC[:DEST[:OPT,...]]",
                    line: "the same with all mounts below SRC",
                    paragraph: "With the option rec --bind and --ro do this as well.",
                    complete: Complete::Path,
                    ..OPTION
                },
                Entry {
                    name: "ro",
                    alias: "readonly",
                    value: "SRC[:DEST[:OPT,...]]",
                    default: "DEST is SRC",
                    line: "like --bind, read-only; against real root add --drop-caps sys_admin,sys_ptrace",
                    paragraph: "With the option rec the mounts below it are read-only too. Mounts that \
                                the host makes there later do not appear. Real root can undo it by a \
                                remount. Without root's rights it cannot be undone: the command runs in \
                                a second user and mount namespace, in which the kernel locks its \
                                mounts; a new proc cannot be mounted there.",
                    complete: Complete::Path,
                    ..OPTION
                },
                Entry {
                    name: "mount",
                    value: "SRC DEST OPT,...",
                    line: "like --bind, in three words: paths are taken literally; OPT,... may be \
                           ''",
                    paragraph: "For paths that a script does not know beforehand: no character of \
                                them has a meaning, and SRC is always a path.",
                    complete: Complete::Path,
                    ..OPTION
                },
                Entry {
                    name: "no-mounts",
                    line: "leave out the default mounts: /dev and /sys with all below them, a new /proc, a tmpfs on /dev/shm, /etc/resolv.conf and /etc/hosts",
                    paragraph: "Where it stands among the options does not matter: mounts that are \
                                asked for are made. In a user namespace the sysfs is read-only, but not \
                                what is mounted in it. With '--unshare net' /sys is new, with the same \
                                mounts in it, and with '--unshare cgroup' /sys/fs/cgroup is.",
                    ..OPTION
                },
            ],
            below: "SRC is a path, $NAME for a path in the environment, or proc, sysfs, tmpfs, \
                    devpts, mqueue, cgroup2 for a new file system. DEST is looked up inside NEWROOT, and made \
                    for the time of the run if it is missing. OPT is ro, rec (with all mounts \
                    below), optional (leave the mount out if it cannot be had), noidmap (with \
                    --private-users keep the host's owners), another word of mount(8) such as \
                    nosuid or noatime, of which the last counts, or data of the file system: \
                    'tmpfs:/tmp:size=64m'. A colon in a path is \
                    '\\:'; --mount takes any path. A mount takes the place of an earlier or default one with the same DEST.",
        },
        root::ROOT,
        Section {
            heading: "Namespaces (each can be given more than once; LIST is names with commas)",
            kind: Kind::Options,
            entries: &[
                Entry {
                    name: "unshare",
                    value: "LIST",
                    default: "ipc,uts,pid, and user if the caller may not make the others",
                    line: "make new namespaces: net, ipc, uts, pid, cgroup, time, user",
                    paragraph: "The mount namespace is always a new one.",
                    complete: NAMESPACES,
                    ..OPTION
                },
                Entry {
                    name: "share",
                    value: "LIST",
                    default: "net,cgroup,time",
                    line: "keep the caller's namespaces",
                    paragraph: "A shared UTS namespace cannot be given another host name.",
                    complete: NAMESPACES,
                    ..OPTION
                },
                Entry {
                    name: "map-users",
                    value: "root|current|auto",
                    default: "root",
                    line: "map users in a new user namespace: root maps the caller to 0, current maps the caller to itself, auto maps the caller's ranges in /etc/subuid and /etc/subgid from 0 on, for a NEWROOT with files of those ranges",
                    paragraph: "A caller with CAP_SETUID, CAP_SETGID and CAP_SETFCAP has all others \
                                mapped too. With auto, which needs newuidmap(1), apt-get and su \
                                work for an ordinary user, who is nobody there, in its own groups.",
                    complete: Complete::Word(&["root", "current", "auto"]),
                    ..OPTION
                },
                Entry {
                    name: "private-users",
                    value: "[=auto|START:COUNT]",
                    line: "as root, use ids that nobody else has: user 0 inside owns the files of NEWROOT and is nobody on the host",
                    paragraph: "Files keep their owners on disk: id-mapped mounts show NEWROOT and the \
                                binds (Linux 5.12; with --overlay 5.19). With auto the ids are a part \
                                of root's range in /etc/subuid and /etc/subgid, or 65536 ids that no \
                                account and no line there has, from 524288 on; each run locks its own \
                                (/run/rootlet/users-START). /dev is as with --dev minimal, /proc and \
                                /sys are as for an ordinary user.",
                    ..OPTION
                },
            ],
            below: "Where the kernel allows no new /proc, since parts of the caller's are covered \
                    (containers, ProtectKernelTunables=), COMMAND shares the caller's pid namespace \
                    and a line says so, unless '--unshare pid' is given, which fails then. A new net has only the loopback device, which is brought up. With --share pid \
                    there is no pid 1: what COMMAND leaves running is found by NEWROOT's /proc and \
                    killed, but what hides from that stays; COMMAND sees all processes, and its \
                    reboot is the machine's.",
        },
        Section {
            heading: "Command",
            kind: Kind::Options,
            entries: &[
                Entry {
                    short: "C",
                    name: "chdir",
                    value: "DIR",
                    default: "/",
                    line: "start in this directory of NEWROOT",
                    paragraph: "It is looked up inside NEWROOT, after everything is mounted.",
                    ..OPTION
                },
                Entry {
                    name: "skip-chdir",
                    line: "start in the current directory if that is below NEWROOT, else in the directory of the same name",
                    paragraph: "A directory outside NEWROOT is out of reach.",
                    ..OPTION
                },
                Entry {
                    name: "pty",
                    line: "give COMMAND a terminal of its own, so that it cannot type into the caller's",
                    paragraph: "Without that a program can push characters into the input of the \
                                terminal that it shares with the caller's shell (TIOCSTI). Keys, job \
                                control and the window's size are passed on. It belongs to the user of \
                                --user, and to the group tty of NEWROOT or that of the host's devpts. \
                                Without a terminal it does nothing.",
                    ..OPTION
                },
                Entry {
                    name: "hostname",
                    value: "NAME",
                    default: "the host's",
                    line: "set the host name, and with NAME.DOMAIN the domain name too",
                    paragraph: "The host name is the part before the first dot.",
                    ..OPTION
                },
                Entry {
                    name: "keep-fd",
                    value: "N",
                    default: "only 0, 1 and 2",
                    line: "pass file descriptor N on; can be given more than once",
                    paragraph: "A directory is a way out of the root.",
                    ..OPTION
                },
                Entry {
                    name: "jobserver",
                    line: "pass the calling make's jobserver to COMMAND: the pipe or FIFO in \
                           MAKEFLAGS",
                    paragraph: "The FIFO of GNU make 4.4 and newer is bound to its own path inside; \
                                the two descriptors of a pipe (older, or --jobserver-style=pipe) are \
                                kept. With --clear-env MAKEFLAGS itself is passed on too. A make \
                                older than 4.4 inside takes no FIFO: start the one outside with \
                                --jobserver-style=pipe. The FIFO is its owner's: with another --user \
                                make says that it can not open it, and does one job at a time. Where \
                                make gives a line no jobserver (no + before it), none is passed.",
                    ..OPTION
                },
                Entry {
                    name: "status-fd",
                    value: "N",
                    line: "write JSON lines to file descriptor N: the pid, the end, an error",
                    paragraph: "{\"child-pid\":N} when the command was executed, with its pid where \
                                the caller is; then {\"exit-code\":N} or {\"signal\":N}. An error, \
                                {\"error\":{\"step\":...,\"object\":...,\"errno\":...,\"message\":...}}, comes \
                                instead, or after that; errno may be null. A byte that is not UTF-8 \
                                is U+FFFD, but spelled out in message. Without a last line rootlet \
                                itself was killed. Real root inside can have a false end reported of \
                                its own run; nobody else can.",
                    ..OPTION
                },
                Entry {
                    name: "new-session",
                    line: "run COMMAND in a new session, which no key of the terminal reaches",
                    paragraph: "Where keys interrupt rootlet they interrupt the command too. It keeps \
                                its standard descriptors, and real root (CAP_SYS_ADMIN) can type into \
                                a terminal among them: --pty keeps it from that.",
                    ..OPTION
                },
                Entry {
                    name: "grace",
                    value: "SECONDS",
                    default: "0: KILL at once",
                    line: "when COMMAND ends, send TERM to the processes it left, and KILL after SECONDS; give COMMAND itself as long after HUP, INT, QUIT or TERM",
                    paragraph: "When nobody waits for the run any more, all is killed at once.",
                    ..OPTION
                },
            ],
            below: "COMMAND is looked up in PATH inside NEWROOT (default: $SHELL -i, else /bin/sh \
                    -i). It gets the signals that rootlet gets, and the terminal. What it leaves \
                    running is killed when it ends, and all of it when rootlet is killed.",
        },
        Section {
            heading: "Identity and rights",
            kind: Kind::Options,
            entries: &[
                Entry {
                    short: "u",
                    name: "user",
                    value: "USER[:GROUP]",
                    default: "the caller, or user 0 in a user namespace",
                    line: "run COMMAND as this user, and set HOME, SHELL, USER and LOGNAME",
                    paragraph: "For a root that you do not trust, use a number: it has the SHELL /bin/sh \
                                and no name. A name has what NEWROOT's files say: its groups are the \
                                main one and those that have it as a member.",
                    complete: Complete::User,
                    ..OPTION
                },
                Entry {
                    short: "G",
                    name: "groups",
                    value: "LIST",
                    default: "USER's groups in /etc/group; none if USER is a number",
                    line: "set the supplementary groups, separated by commas",
                    paragraph: "An empty LIST is none.",
                    ..OPTION
                },
                Entry {
                    name: "drop-caps",
                    value: "all|LIST",
                    default: "only inheritable and ambient ones",
                    line: "drop capabilities for good, by their names in capabilities(7), separated by commas; can be given more than once",
                    paragraph: "From its bounding, effective and permitted set. Names are taken with \
                                or without cap_, in any case of letters.",
                    complete: CAPABILITIES,
                    ..OPTION
                },
                Entry {
                    name: "no-new-privs",
                    line: "grant no rights by set-user-ID files and the like",
                    paragraph: "See prctl(2), PR_SET_NO_NEW_PRIVS.",
                    ..OPTION
                },
            ],
            below: "Users and groups are numbers, or names in NEWROOT's own /etc/passwd and \
                    /etc/group. A number takes nothing from those files: user N has group N, no other \
                    groups and HOME /. With any of these, and in a user namespace, COMMAND has a \
                    session keyring of its own.",
        },
        Section {
            heading: "Environment (each can be given more than once)",
            kind: Kind::Options,
            entries: &[
                Entry {
                    short: "E",
                    name: "env",
                    value: "NAME[=VALUE]",
                    line: "set a variable for COMMAND; NAME alone passes the caller's on",
                    paragraph: "With NAME alone the variable is as the caller has it, also with \
                                --clear-env: set, empty or not set. Of several with one NAME the \
                                last counts; it also wins over what --user sets. Variables of the \
                                caller's that name a path, such as TMPDIR, SHELL, XDG_RUNTIME_DIR and \
                                LD_PRELOAD, are left out where NEWROOT has no such path (-v names \
                                them), unless --env passes them on. SYSTEMD_OFFLINE=1 tells \
                                systemctl that NEWROOT is not booted.",
                    ..OPTION
                },
                Entry {
                    name: "unset-env",
                    value: "NAME",
                    line: "remove a variable",
                    paragraph: "",
                    ..OPTION
                },
                Entry {
                    name: "clear-env",
                    line: "remove all variables but TERM, and set PATH to the usual one",
                    paragraph: "Where it stands among the options does not matter: what --env sets \
                                or passes on is set.",
                    ..OPTION
                },
                Entry {
                    name: "argv0",
                    value: "NAME",
                    line: "set COMMAND's argv[0], such as '-bash' for a login shell",
                    paragraph: "",
                    ..OPTION
                },
            ],
            below: "",
        },
        Section {
            heading: "Output and diagnostics",
            kind: Kind::Options,
            entries: &[
                Entry {
                    short: "n",
                    name: "dry-run",
                    value: "[=json]",
                    line: "print the plan (mounts, and where each lands) and exit; json is for programs",
                    paragraph: "Below the new root stands the tree of its mounts, each with what is \
                                shown there. json is one object: mounts is an array of objects with \
                                target, source, type (bind, copy, or of a new file system), options, \
                                recursive, in (the target of the mount that it lands in, or null), \
                                created (for the run) and left-out (it is optional, and missing); \
                                each other step is an array of strings, such as env and run. A byte \
                                that is not UTF-8 becomes the lone surrogate U+DC00 and that byte, as \
                                os.fsdecode() of Python has it.",
                    complete: Complete::Word(&["json"]),
                    ..OPTION
                },
                Entry {
                    short: "v",
                    name: "verbose",
                    line: "log each step to stderr, with the time",
                    paragraph: "",
                    ..OPTION
                },
                HELP,
                VERSION,
            ],
            below: "",
        },
    ],
    end: &[
        "Without root's rights rootlet makes a user namespace, where the caller is user 0; the \
         network stays the host's unless --unshare net is given, and without that /sys is the \
         host's, read-only.",
        EXIT_STATUS,
    ],
    paragraph: "NEWROOT becomes the root by pivot_root(2) and the old root is unmounted, not just \
                hidden; from Linux 7.0 root enters a mount namespace that holds NEWROOT alone. All mount points are looked up by file descriptor inside \
                NEWROOT before anything is mounted, so that no symbolic link leads out of it. rootlet is pid 1 inside; the \
                command is its child, and has descriptors 0, 1 and 2 and no others. Those that are \
                pipes or sockets are its alone, so that a reader sees the end when the command has \
                closed them; rootlet keeps standard error for what it reports, unless it is the pipe \
                of standard output. Mount points that were made for the run are removed at its end.",
};
