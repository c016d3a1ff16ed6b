//! The one table of options: parser and help both read it, so that they cannot disagree.

use alloc::vec::Vec;

use rootlet::{Error, Step};

/// Which option.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id {
    Bind,
    Rbind,
    ReadOnly,
    NoMounts,
    Hostname,
    SkipChdir,
    Chdir,
    DryRun,
    Verbose,
    Help,
    Version,
}

struct Opt {
    id: Id,
    short: Option<u8>,
    /// The first is the name, the others are taken too.
    long: &'static [&'static str],
    value: Option<&'static str>,
    /// Lines of at most 54 characters.
    help: &'static [&'static str],
}

/// A heading, its options, and what is to be said below them.
struct Section {
    heading: &'static str,
    options: &'static [Opt],
    below: &'static str,
}

const SECTIONS: &[Section] = &[
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
                id: Id::Hostname,
                short: None,
                long: &["hostname"],
                value: Some("NAME"),
                help: &[
                    "set the host name inside, and of NAME.DOMAIN the",
                    "domain name too (default: the host's)",
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
            Opt {
                id: Id::Help,
                short: Some(b'h'),
                long: &["help"],
                value: None,
                help: &["print this"],
            },
            Opt {
                id: Id::Version,
                short: Some(b'V'),
                long: &["version"],
                value: None,
                help: &["print the version"],
            },
        ],
        below: "\
Without root's rights rootlet makes a user namespace, where the caller is user
0; the network stays the host's, and /sys is the host's, read-only.

Exit status: COMMAND's own; 128+N when signal N killed it; 127 COMMAND not
found, 126 found but not executable; 125 rootlet failed, and said why.
",
    },
];

/// The width of the column that the option stands in, when its help fits beside it.
const COLUMN: usize = 24;

/// The help of `rootlet run`.
pub(crate) fn help() -> Vec<u8> {
    let mut text = Vec::from(
        "Usage: rootlet run [OPTION]... NEWROOT [COMMAND [ARG]...]\n\n\
         Runs COMMAND in the directory NEWROOT as its root, in new mount, UTS, IPC and\n\
         pid namespaces.\n",
    );
    for section in SECTIONS {
        text.push(b'\n');
        text.extend(section.heading.as_bytes());
        text.extend(b":\n");
        for option in section.options {
            let start = text.len();
            match option.short {
                Some(short) => text.extend([b' ', b' ', b'-', short, b',', b' ']),
                None => text.extend(b"      "),
            }
            for (index, name) in option.long.iter().enumerate() {
                text.extend(if index == 0 { "--" } else { ", --" }.as_bytes());
                text.extend(name.as_bytes());
            }
            if let Some(value) = option.value {
                text.push(b' ');
                text.extend(value.as_bytes());
            }
            for line in option.help {
                let width = text.len() - start;
                if width + 2 > COLUMN || text.last() == Some(&b'\n') {
                    if text.last() != Some(&b'\n') {
                        text.push(b'\n');
                    }
                    text.extend([b' '; COLUMN]);
                } else {
                    text.extend(&[b' '; COLUMN][width..]);
                }
                text.extend(line.as_bytes());
                text.push(b'\n');
            }
        }
        if !section.below.is_empty() {
            text.push(b'\n');
            text.extend(section.below.as_bytes());
        }
    }
    text
}

fn all() -> impl Iterator<Item = &'static Opt> {
    SECTIONS.iter().flat_map(|section| section.options)
}

/// Reads options up to the first operand or `--`: gives each with its value to `take`, and
/// returns the rest.
pub(crate) fn parse<'a, 'w>(
    mut words: &'w [&'a [u8]],
    mut take: impl FnMut(Id, &'a [u8]) -> Result<(), Error<'static>>,
) -> Result<&'w [&'a [u8]], Error<'static>> {
    let wrong = |word: &[u8], why| Err(Error::because(Step::Usage, word, why));
    while let [word, rest @ ..] = words {
        match word {
            [b'-', b'-'] => return Ok(rest),
            [b'-', b'-', long @ ..] => {
                words = rest;
                let mut parts = long.splitn(2, |byte| *byte == b'=');
                let name = parts.next().unwrap_or_default();
                let attached = parts.next();
                let known =
                    |option: &&Opt| option.long.iter().any(|known| known.as_bytes() == name);
                let Some(option) = all().find(known) else {
                    return wrong(word, "there is no such option");
                };
                match (option.value, attached) {
                    (None, None) => take(option.id, b"")?,
                    (None, Some(_)) => return wrong(word, "the option takes no value"),
                    (Some(_), Some(value)) => take(option.id, value)?,
                    (Some(_), None) => {
                        let [value, after @ ..] = words else {
                            return wrong(word, "the option needs a value");
                        };
                        take(option.id, value)?;
                        words = after;
                    }
                }
            }
            [b'-', letters @ ..] if !letters.is_empty() => {
                words = rest;
                let mut letters = letters;
                while let [letter, after @ ..] = letters {
                    let known = |option: &&Opt| option.short == Some(*letter);
                    let Some(option) = all().find(known) else {
                        return wrong(word, "there is no such option");
                    };
                    letters = after;
                    if option.value.is_none() {
                        take(option.id, b"")?;
                    } else if after.is_empty() {
                        let [value, after @ ..] = words else {
                            return wrong(word, "the option needs a value");
                        };
                        take(option.id, value)?;
                        words = after;
                    } else {
                        take(option.id, after)?;
                        letters = b"";
                    }
                }
            }
            _ => break,
        }
    }
    Ok(words)
}
