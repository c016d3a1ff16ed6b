//! The options of `rootlet init`.

use super::{Complete, EXIT_STATUS, Entry, HELP, Kind, OPTION, Role, Section, VERSION};

pub const ROLE: Role = Role {
    name: "init",
    usage: "rootlet init [OPTION]... [--] COMMAND [ARG]...",
    line: "run COMMAND as pid 1 of a container should: pass on signals, reap orphans, end with \
           COMMAND's status; a link to rootlet called 'tini', 'docker-init', 'dumb-init', \
           'catatonit' or 'podman-init' replaces that program",
    about: "Runs COMMAND, passes on the signals that it receives, reaps orphans, and ends with \
            COMMAND's status: the entry point of a container. It needs no other file.",
    sections: &[
        Section {
            heading: "Signals",
            kind: Kind::Options,
            entries: &[
                Entry {
                    short: "g",
                    name: "group",
                    line: "send signals to COMMAND's process group, not to COMMAND alone",
                    paragraph: "TINI_KILL_PROCESS_GROUP in the environment does the same.",
                    ..OPTION
                },
                Entry {
                    short: "c",
                    name: "single-child",
                    line: "send signals to COMMAND alone, and do not make the new session of dumb-init",
                    paragraph: "",
                    ..OPTION
                },
                Entry {
                    short: "r",
                    name: "rewrite",
                    value: "OLD:NEW",
                    line: "send NEW instead of OLD, or nothing if NEW is 0; can be given more than once",
                    paragraph: "A signal is a number from 1 to 64, or a name such as TERM, SIGTERM, \
                                RTMIN+3 or SIGRTMAX-1.",
                    complete: Complete::Signal,
                    ..OPTION
                },
                Entry {
                    short: "p",
                    name: "parent-death",
                    value: "SIGNAL",
                    line: "receive this signal when the parent of rootlet ends",
                    paragraph: "The signal is passed on like any other.",
                    complete: Complete::Signal,
                    ..OPTION
                },
            ],
            below: "",
        },
        Section {
            heading: "End of COMMAND",
            kind: Kind::Options,
            entries: &[
                Entry {
                    name: "grace",
                    value: "SECONDS",
                    default: "0: end with COMMAND",
                    line: "when COMMAND ends, send TERM to the processes it left, and KILL after SECONDS; give COMMAND itself as long after HUP, INT, QUIT or TERM",
                    paragraph: "As pid 1 rootlet waits for all processes of its pid namespace, also \
                                for those that entered from outside (docker exec, nsenter). \
                                Elsewhere it finds its descendants in /proc, or else uses COMMAND's \
                                process group.",
                    ..OPTION
                },
                Entry {
                    short: "e",
                    name: "expect",
                    value: "CODE",
                    line: "exit with 0 when COMMAND exits with CODE; can be given more than once",
                    paragraph: "For example 143, for a program that TERM kills when it is stopped.",
                    ..OPTION
                },
                Entry {
                    short: "P",
                    name: "pause",
                    line: "run no COMMAND: only reap, until INT or TERM comes",
                    paragraph: "",
                    ..OPTION
                },
            ],
            below: "",
        },
        Section {
            heading: "Other",
            kind: Kind::Options,
            entries: &[
                Entry {
                    name: "new-session",
                    line: "run COMMAND in a new session, with the terminal",
                    paragraph: "",
                    ..OPTION
                },
                Entry {
                    short: "s",
                    name: "subreaper",
                    line: "become a child subreaper; the default if rootlet is not pid 1",
                    paragraph: "Under the names of tini and dumb-init rootlet does so only with this \
                                option, or as tini with TINI_SUBREAPER in the environment. See \
                                prctl(2), PR_SET_CHILD_SUBREAPER.",
                    ..OPTION
                },
                Entry {
                    short: "w",
                    name: "warn-on-reap",
                    line: "report each orphan that is reaped",
                    paragraph: "",
                    ..OPTION
                },
                Entry {
                    short: "v",
                    name: "verbose",
                    line: "report each signal and each end",
                    paragraph: "Under the name of tini each further -v reports more. TINI_VERBOSITY and \
                                DUMB_INIT_DEBUG in the environment do the same.",
                    ..OPTION
                },
                Entry {
                    short: "lL",
                    name: "license",
                    line: "print the licence",
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
        "Called as rootlet-init, rootlet has this role without a word for it. Called as tini, \
         tini-static, docker-init, dumb-init, catatonit or podman-init, it takes that program's \
         options and environment variables, and behaves like it.",
        EXIT_STATUS,
    ],
    paragraph: "Every signal that can be passed on reaches COMMAND exactly once, including real-time \
                signals. On a terminal COMMAND gets the foreground if rootlet had it. COMMAND inherits \
                all descriptors. If LISTEN_PID, WATCHDOG_PID or LISTEN_PIDFDID names rootlet, it names \
                COMMAND afterwards.",
};
