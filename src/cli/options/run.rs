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
                paragraph: "For programs, which may have paths with any bytes, like --args of \
                            bubblewrap. The words may be options, NEWROOT, COMMAND and its ARGs.",
                ..OPTION
            }],
            below: "@FILE among the options is replaced by the words in FILE, one a line: options with \
                    their values, NEWROOT, COMMAND, ARGs, or another @FILE. Leading blanks, empty \
                    lines, lines that begin with '#', and a carriage return at the end of a line are \
                    skipped; there is no quoting. If @FILE is the very first word, as in \
                    '#!/usr/bin/rootlet @/etc/build', the file begins with the role. After '--' or \
                    NEWROOT, and in a value, @ has no meaning.",
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
                    paragraph: "Mounts below SRC are not shown. An ordinary user needs --rbind for a \
                                directory with mounts below it, since the kernel does not show an \
                                ordinary user what such a mount hides. rootlet creates nothing in \
                                a directory bound from the host.",
                    complete: Complete::Path,
                    ..OPTION
                },
                Entry {
                    short: "R",
                    name: "rbind",
                    value: "SRC[:DEST[:OPT,...]]",
                    line: "like --bind, with all mounts below SRC",
                    paragraph: "The option rec does the same for --bind and --ro.",
                    complete: Complete::Path,
                    ..OPTION
                },
                Entry {
                    name: "ro",
                    alias: "readonly",
                    value: "SRC[:DEST[:OPT,...]]",
                    default: "DEST is SRC",
                    line: "like --bind, read-only; against real root add --drop-caps sys_admin,sys_ptrace",
                    paragraph: "With the option rec the mounts below it are shown too, read-only. Mounts \
                                that the host makes there later do not appear. Real root can undo it by \
                                a remount. Without root's rights it cannot be undone: the command runs \
                                in a second user and mount namespace, in which the kernel locks its \
                                mounts; a new proc cannot be mounted there.",
                    complete: Complete::Path,
                    ..OPTION
                },
                Entry {
                    name: "mount",
                    value: "SRC DEST OPT,...",
                    line: "like --bind, in three words: paths are taken literally; OPT,... may be \
                           ''",
                    paragraph: "For paths that a script does not know beforehand: no character in them \
                                is special, and SRC is always a path.",
                    complete: Complete::Path,
                    ..OPTION
                },
                Entry {
                    name: "no-mounts",
                    line: "leave out the default mounts: /dev and /sys with all mounts below them, a new /proc, a tmpfs on /dev/shm, /etc/resolv.conf and /etc/hosts",
                    paragraph: "Its position among the options does not matter: mounts of other options \
                                are made. By default the sysfs is read-only in a user namespace, but \
                                not the mounts in it. With '--unshare net' /sys is new, with the same \
                                mounts in it, and with '--unshare cgroup' so is /sys/fs/cgroup.",
                    ..OPTION
                },
            ],
            below: "SRC is a path, $NAME for a path in the environment, or proc, sysfs, tmpfs, \
                    devpts, mqueue, cgroup2 for a new file system. DEST is looked up inside NEWROOT; \
                    if it is missing, it is created for the run and removed afterwards. OPT is ro, rec \
                    (with all mounts below), optional (leave the mount out if it is not possible), \
                    noidmap (with --private-users keep the host's owners), another option of mount(8) \
                    such as nosuid or noatime, of which the last counts, or data of the file system: \
                    'tmpfs:/tmp:size=64m'. A colon in a path is written '\\:'; --mount takes any path. \
                    A mount replaces an earlier or default one with the same DEST.",
        },
        root::ROOT,
        Section {
            heading: "Namespaces (each can be given more than once; LIST is separated by commas)",
            kind: Kind::Options,
            entries: &[
                Entry {
                    name: "unshare",
                    value: "LIST",
                    default: "ipc,uts,pid, and user if the caller may not make the others",
                    line: "make new namespaces: net, ipc, uts, pid, cgroup, time, user",
                    paragraph: "The mount namespace is always new.",
                    complete: NAMESPACES,
                    ..OPTION
                },
                Entry {
                    name: "share",
                    value: "LIST",
                    default: "net,cgroup,time",
                    line: "keep the caller's namespaces",
                    paragraph: "The host name of a shared UTS namespace cannot be changed.",
                    complete: NAMESPACES,
                    ..OPTION
                },
                Entry {
                    name: "map-users",
                    value: "root|current|auto",
                    default: "root",
                    line: "map users in a new user namespace: root maps the caller to 0, current maps the caller to itself, auto maps the caller's ranges in /etc/subuid and /etc/subgid from 0 on, for a NEWROOT with files of those ranges",
                    paragraph: "For a caller with CAP_SETUID, CAP_SETGID and CAP_SETFCAP all other users \
                                are mapped too. auto needs newuidmap(1). With it apt-get and su work \
                                for an ordinary user, who is nobody inside, in its own groups.",
                    complete: Complete::Word(&["root", "current", "auto"]),
                    ..OPTION
                },
                Entry {
                    name: "private-users",
                    value: "[=auto|START:COUNT]",
                    line: "as root, use ids that nobody else has: user 0 inside owns the files of NEWROOT and is nobody on the host",
                    paragraph: "Files keep their owners on disk: NEWROOT and the binds are shown by \
                                id-mapped mounts (Linux 5.12; with --overlay 5.19). With auto the ids are \
                                a part of root's range in /etc/subuid and /etc/subgid, or else 65536 ids \
                                from 524288 on that no account and no line in these files uses; each run \
                                locks its own (/run/rootlet/users-START). /dev is as with --dev minimal, \
                                and /proc and /sys are as for an ordinary user. NEWROOT's file system \
                                must have id-mapped mounts: ext4, xfs and vfat from Linux 5.12 on, btrfs \
                                from 5.15, tmpfs from 6.3; overlay and NFS have none.",
                    ..OPTION
                },
            ],
            below: "If the kernel allows no new /proc, because parts of the caller's are covered \
                    (containers, ProtectKernelTunables=), COMMAND shares the caller's pid namespace, \
                    and rootlet prints a line about it; with '--unshare pid' the run fails instead. A \
                    new net namespace has only the loopback device, which is brought up. With --share \
                    pid there is no pid 1: processes that COMMAND leaves running are found in \
                    NEWROOT's /proc and killed, unless they hide from that; COMMAND sees all \
                    processes, and its reboot is the machine's.",
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
                    paragraph: "DIR is looked up inside NEWROOT, after all mounts are made.",
                    ..OPTION
                },
                Entry {
                    name: "skip-chdir",
                    line: "start in the current directory if that is below NEWROOT, else in NEWROOT's directory of the same path",
                    paragraph: "COMMAND never starts in a directory outside NEWROOT.",
                    ..OPTION
                },
                Entry {
                    name: "pty",
                    line: "give COMMAND a terminal of its own, so that it cannot type into the caller's",
                    paragraph: "Otherwise a program can push characters into the input of the terminal \
                                that it shares with the caller's shell (TIOCSTI). Keys, job control and \
                                the window's size are passed on. The terminal belongs to the user of \
                                --user, and to the group tty of NEWROOT or the group of the host's \
                                devpts. If the caller has no terminal, the option has no effect.",
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
                    paragraph: "A descriptor of a directory is a way out of the root.",
                    ..OPTION
                },
                Entry {
                    name: "jobserver",
                    line: "pass the calling make's jobserver to COMMAND: the pipe or FIFO in \
                           MAKEFLAGS",
                    paragraph: "The FIFO of GNU make 4.4 and newer is bound to its own path inside; \
                                the two descriptors of a pipe (older, or --jobserver-style=pipe) are \
                                kept. With --clear-env MAKEFLAGS itself is passed on too. A make \
                                older than 4.4 inside cannot use a FIFO: start the make outside with \
                                --jobserver-style=pipe. Only the FIFO's owner can open it: as another \
                                --user make warns, and runs one job at a time. If make gives a line \
                                no jobserver (no + before it), none is passed.",
                    ..OPTION
                },
                Entry {
                    name: "status-fd",
                    value: "N",
                    line: "write JSON lines to file descriptor N: the pid, the end, an error",
                    paragraph: "{\"child-pid\":N} when the command was executed, with its pid in the \
                                caller's namespace; then {\"exit-code\":N} or {\"signal\":N}. An error, \
                                {\"error\":{...}} with step, object, errno (or null) and message, comes \
                                instead of these, or after them. A byte that is not \
                                UTF-8 becomes U+FFFD, except in message, where it is escaped. If the \
                                last line is missing, rootlet itself was killed. Real root inside can \
                                forge the end of its own run; nobody else can.",
                    ..OPTION
                },
                Entry {
                    name: "new-session",
                    line: "run COMMAND in a new session, which no key of the terminal reaches",
                    paragraph: "If keys interrupt rootlet, the command is interrupted too. COMMAND keeps \
                                its standard descriptors, and real root (CAP_SYS_ADMIN) can type into a \
                                terminal among them: --pty prevents that.",
                    ..OPTION
                },
                Entry {
                    name: "grace",
                    value: "SECONDS",
                    default: "0: KILL at once",
                    line: "when COMMAND ends, send TERM to the processes it left, and KILL after SECONDS; give COMMAND itself as long after HUP, INT, QUIT or TERM",
                    paragraph: "When nobody waits for the run any more, all processes are killed at once.",
                    ..OPTION
                },
            ],
            below: "COMMAND is looked up in PATH inside NEWROOT (default: $SHELL -i, else /bin/sh \
                    -i). It receives the signals sent to rootlet, and the terminal. Processes that it \
                    leaves running are killed when it ends. If rootlet is killed, all of them are.",
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
                    paragraph: "For a root that you do not trust, use a number: it gets the SHELL /bin/sh \
                                and no name. A name is looked up in NEWROOT's files: its groups are the \
                                main one and those that list it as a member.",
                    complete: Complete::User,
                    ..OPTION
                },
                Entry {
                    short: "G",
                    name: "groups",
                    value: "LIST",
                    default: "USER's groups in /etc/group; none if USER is a number",
                    line: "set the supplementary groups, separated by commas",
                    paragraph: "An empty LIST removes all.",
                    ..OPTION
                },
                Entry {
                    name: "drop-caps",
                    value: "all|LIST",
                    default: "only inheritable and ambient ones",
                    line: "drop capabilities permanently, by their names in capabilities(7), separated by commas; can be given more than once",
                    paragraph: "They leave the bounding, effective and permitted sets. Names may begin \
                                with cap_, in upper or lower case.",
                    complete: CAPABILITIES,
                    ..OPTION
                },
                Entry {
                    name: "no-new-privs",
                    line: "let set-user-ID and similar files grant no rights",
                    paragraph: "See prctl(2), PR_SET_NO_NEW_PRIVS.",
                    ..OPTION
                },
            ],
            below: "Users and groups are numbers, or names in NEWROOT's own /etc/passwd and \
                    /etc/group. A number is not looked up in these files: user N has group N, no other \
                    groups and HOME /. With any of these options, and in a user namespace, COMMAND \
                    gets a session keyring of its own.",
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
                    paragraph: "With NAME alone the variable is the same as for the caller, also with \
                                --clear-env: set, empty or not set. The last of several with one NAME \
                                counts, and overrides the variables of --user. Variables of the \
                                caller that name a path, such as TMPDIR, SHELL, XDG_RUNTIME_DIR and \
                                LD_PRELOAD, are left out if NEWROOT has no such path (-v names them), \
                                unless --env passes them on. Set SYSTEMD_OFFLINE=1 to tell \
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
                    line: "remove all variables except TERM, and set the default PATH",
                    paragraph: "Its position among the options does not matter: variables of --env \
                                are kept.",
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
                    paragraph: "Below the new root is the tree of its mounts, each with its source. json \
                                is one object: mounts is an array of objects with target, source, type \
                                (bind, copy, or a file system), options, recursive, in (the target of \
                                the mount that contains it, or null), created (for the run) and \
                                left-out (optional, and missing); each other step is an array of \
                                strings, such as env and run. A byte that is not UTF-8 becomes the lone \
                                surrogate U+DC00 plus that byte, as in os.fsdecode() of Python.",
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
         network stays the host's unless --unshare net is given, and with the host's network \
         /sys is the host's, read-only.",
        EXIT_STATUS,
    ],
    paragraph: "NEWROOT becomes the root by pivot_root(2) and the old root is unmounted, not just \
                hidden; from Linux 7.0 root enters a mount namespace that holds NEWROOT alone. All \
                mount points are looked up by file descriptor inside NEWROOT before anything is \
                mounted, so that no symbolic link leads out of it. rootlet is pid 1 inside; COMMAND \
                is its child, and has only the descriptors 0, 1 and 2. If these are pipes or \
                sockets, only COMMAND keeps them open, so that a reader sees the end when COMMAND \
                has closed them. rootlet keeps standard error for its own messages, unless it is \
                the same pipe as standard output. Mount points created for the run are removed at \
                its end.",
};
