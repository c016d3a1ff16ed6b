//! The text form of a mount: `SRC[:DEST[:OPT,…]]`.
//!
//! The words of OPT are those of mount(8). A word that neither rootlet nor mount(8) knows is passed
//! to the file system, and is an error for a bind.

use alloc::vec::Vec;

use crate::error::Error;
use crate::mount::{Mount, Source};
use crate::sys::mount::{
    MS_DIRSYNC, MS_I_VERSION, MS_LAZYTIME, MS_MANDLOCK, MS_NOATIME, MS_NODEV, MS_NODIRATIME,
    MS_NOEXEC, MS_NOSUID, MS_NOSYMFOLLOW, MS_RDONLY, MS_RELATIME, MS_SILENT, MS_STRICTATIME,
    MS_SYNCHRONOUS,
};
use crate::sys::split;

/// The file systems that SRC can name: the type, its usual DEST, and the flags that it always gets
/// because a user namespace may not mount it without them.
const FILE_SYSTEMS: &[(&[u8], &[u8], u32)] = &[
    (b"proc", b"/proc", CONFINED),
    (b"sysfs", b"/sys", CONFINED),
    (b"tmpfs", b"", 0),
    (b"devpts", b"/dev/pts", MS_NOSUID | MS_NOEXEC),
    (b"mqueue", b"/dev/mqueue", CONFINED),
    (b"cgroup2", b"/sys/fs/cgroup", CONFINED),
];

const UNKNOWN_OPT: &str = "has an unknown OPT: the options of a bind are ro, rw, rec, optional, \
     noidmap, nosuid, nodev, noexec, noatime, nodiratime, strictatime, nosymfollow and their \
     opposites";

const CONFINED: u32 = MS_NOSUID | MS_NODEV | MS_NOEXEC;

impl Mount {
    /// Reads `SRC[:DEST[:OPT,…]]`, the argument of `--bind`.
    ///
    /// - SRC is a path of the host, `$NAME` for the path that `environment` returns for NAME, or
    ///   `proc`, `sysfs`, `tmpfs`, `devpts`, `mqueue`, `cgroup2` for a new file system (write
    ///   `./proc` for a directory of that name).
    /// - DEST is a path in the new root. The default is SRC, or the usual place of the file system.
    /// - OPT is `rec` (with all mounts below), `optional`, `noidmap` ([`Mount::no_id_map`]), or a
    ///   word of mount(8) for every file system, such as `ro`, `nosuid`, `nodev`, `noexec`,
    ///   `noatime`. The last word counts. Any other word is an option of the file system, such as
    ///   `size=64m`.
    /// - `\:` is a colon in a path.
    ///
    /// Returns `None` for an optional mount whose `$NAME` is not set.
    ///
    /// # Errors
    ///
    /// The text is not a mount, or names a variable that is not set. The error names the wrong part.
    ///
    /// ```
    /// use rootlet::Mount;
    ///
    /// let no_environment = |_: &[u8]| None;
    /// let mount = Mount::parse(b"/srv/data:/data:ro,rec", no_environment).unwrap();
    /// assert_eq!(mount, Some(Mount::bind("/srv/data").to("/data").read_only().recursive()));
    /// assert!(Mount::parse(b"/srv/data:/data:size=1m", no_environment).is_err());
    /// assert_eq!(Mount::parse(b"$NAME:/data:optional", no_environment), Ok(None));
    /// ```
    pub fn parse<'e>(
        text: &[u8],
        environment: impl Fn(&[u8]) -> Option<&'e [u8]>,
    ) -> Result<Option<Mount>, Error> {
        let wrong = |why| Err(Error::usage(b"", &[b"'", text, b"'"], why));
        let (source, rest) = split_at_colon(text);
        let (target, options) = rest.map_or((Vec::new(), None), split_at_colon);

        let file_system = FILE_SYSTEMS.iter().find(|(kind, _, _)| *kind == source);
        let mount = match (file_system, source.strip_prefix(b"$")) {
            (Some((kind, target, flags)), _) => {
                let mut mount = Mount::file_system(kind, target);
                mount.flags |= flags;
                mount
            }
            (None, None) => Mount::bind(&source),
            (None, Some(name)) => match environment(name) {
                Some(path) if !path.is_empty() => Mount::bind(path),
                _ => Mount::bind(""),
            },
        };
        let mount = match target.is_empty() {
            true => mount,
            false => mount.to(&target),
        };
        let mount = mount.options(options.unwrap_or_default());
        if file_system.is_none() && !mount.data.bytes().is_empty() {
            return wrong(UNKNOWN_OPT);
        }

        match mount.source.name().bytes() {
            b"" if source.is_empty() => return wrong("has no SRC"),
            b"" if mount.optional => return Ok(None),
            b"" => {
                return wrong(
                    "names an unset variable; with the option 'optional' the mount is left out",
                );
            }
            b"tmpfs" if file_system.is_some() && target.is_empty() => {
                return wrong("needs a DEST: tmpfs:DEST");
            }
            _ => {}
        }
        Ok(Some(mount))
    }

    /// Reads the three arguments of `--mount`: two paths, which are taken literally, and `OPT,…` as
    /// for [`Mount::parse`], which may be empty.
    ///
    /// # Errors
    ///
    /// One of the words is wrong: the error names it.
    ///
    /// ```
    /// use rootlet::Mount;
    ///
    /// let mount = Mount::from_words(b"/srv/a:b", b"/$HOME\\", b"ro").unwrap();
    /// assert_eq!(mount, Mount::bind("/srv/a:b").to("/$HOME\\").read_only());
    /// assert!(Mount::from_words(b"/srv", b"", b"").is_err());
    /// assert!(Mount::from_words(b"/srv", b"/srv", b"size=1m").is_err());
    /// ```
    pub fn from_words(source: &[u8], target: &[u8], options: &[u8]) -> Result<Mount, Error> {
        let wrong = |word: &[u8], why| Err(Error::usage(b"", &[b"'", word, b"'"], why));
        if source.is_empty() {
            return wrong(source, "is not a path for SRC");
        }
        if target.is_empty() {
            return wrong(target, "is not a path for DEST");
        }
        let mount = Mount::bind(source).to(target).options(options);
        match mount.data.bytes().is_empty() {
            true => Ok(mount),
            false => wrong(options, UNKNOWN_OPT),
        }
    }

    /// Applies options separated by commas. Unknown options are for the file system.
    pub(crate) fn options(mut self, options: &[u8]) -> Mount {
        let mut data: Vec<u8> = Vec::from(self.data.bytes());
        let is_file_system = matches!(self.source, Source::FileSystem(_));
        for option in split(options, b',') {
            match (option, effect(option)) {
                (b"rec", _) => self.recursive = true,
                (b"optional" | b"nofail", _) => self.optional = true,
                (b"noidmap", _) if !is_file_system => self.keeps_owners = true,
                (_, Some(effect)) if is_file_system || effect.is_of_any_mount() => {
                    self.flags = (self.flags | effect.set) & !effect.clear;
                }
                (option, _) => {
                    if !data.is_empty() {
                        data.push(b',');
                    }
                    data.extend(option);
                }
            }
        }
        self.data(data)
    }
}

/// The effect of an option on the flags of a mount.
struct Effect {
    set: u32,
    clear: u32,
}

impl Effect {
    /// Returns whether the flags belong to each mount. The other flags belong to the file system
    /// and are the same wherever it is mounted.
    fn is_of_any_mount(&self) -> bool {
        const OF_ANY_MOUNT: u32 = MS_RDONLY
            | MS_NOSUID
            | MS_NODEV
            | MS_NOEXEC
            | MS_NOSYMFOLLOW
            | MS_NOATIME
            | MS_NODIRATIME
            | MS_RELATIME
            | MS_STRICTATIME;
        (self.set | self.clear) & !OF_ANY_MOUNT == 0
    }
}

macro_rules! words {
    ($($words:literal $flags:expr;)*) => {
        // One text, because a table of references would be larger.
        const WORDS: &str = concat!($($words, "\n"),*);
        const FLAGS: &[u32] = &[$($flags),*];
    };
}

// Options that mount(8) handles itself; file systems do not know them. The first word of a line
// sets the flags, the second clears them.
words! {
    "ro rw" MS_RDONLY;
    "nosuid suid" MS_NOSUID;
    "nodev dev" MS_NODEV;
    "noexec exec" MS_NOEXEC;
    "nosymfollow symfollow" MS_NOSYMFOLLOW;
    "noatime atime" MS_NOATIME;
    "nodiratime diratime" MS_NODIRATIME;
    "relatime norelatime" MS_RELATIME;
    "strictatime nostrictatime" MS_STRICTATIME;
    "lazytime nolazytime" MS_LAZYTIME;
    "sync async" MS_SYNCHRONOUS;
    "dirsync" MS_DIRSYNC;
    "iversion noiversion" MS_I_VERSION;
    "mand nomand" MS_MANDLOCK;
    "silent loud" MS_SILENT;
    // These say who may mount. Only the flags that they imply matter here.
    "user " MS_NOSUID | MS_NODEV | MS_NOEXEC;
    "users " MS_NOSUID | MS_NODEV | MS_NOEXEC;
    "owner " MS_NOSUID | MS_NODEV;
    "group " MS_NOSUID | MS_NODEV;
    "defaults nouser" 0;
    "nousers noowner" 0;
    "nogroup _netdev" 0;
    "auto noauto" 0;
    // These take a value.
    "comment helper" 0;
    "uhelper " 0;
}

/// Returns `None` for an option of the file system.
fn effect(option: &[u8]) -> Option<Effect> {
    let name = split(option, b'=').next().unwrap_or_default();
    // `x-` and `X-` options are for other programs. `X-mount.subdir` would need work from mount(8),
    // so it goes to the file system, which refuses it.
    if name.is_empty() || matches!(name, [b'x' | b'X', b'-', ..] if name != b"X-mount.subdir") {
        return Some(Effect { set: 0, clear: 0 });
    }
    let mut lines = split(WORDS.as_bytes(), b'\n').zip(FLAGS);
    let effect = lines.find_map(|(words, flags)| {
        let mut words = split(words, b' ').map(|word| word == name);
        match (words.next(), words.next()) {
            (Some(true), _) => Some(Effect {
                set: *flags,
                clear: 0,
            }),
            (_, Some(true)) => Some(Effect {
                set: 0,
                clear: *flags,
            }),
            _ => None,
        }
    });
    effect.filter(|effect| match option.get(name.len()..) {
        // The value chooses between the mount and its file system. Here both get the flag.
        Some(b"" | b"=recursive" | b"=vfs" | b"=fs") => true,
        _ => effect.set | effect.clear == 0,
    })
}

/// Splits at the first colon without a backslash, and removes the backslashes of the escaped colons
/// before it.
fn split_at_colon(text: &[u8]) -> (Vec<u8>, Option<&[u8]>) {
    let mut part = Vec::new();
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return (part, None),
            [b'\\', b':', after @ ..] => {
                part.push(b':');
                after
            }
            [b':', after @ ..] => return (part, Some(after)),
            [byte, after @ ..] => {
                part.push(*byte);
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::prelude::rust_2024::*;

    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Option<Mount> {
        Mount::parse(text.as_bytes(), |name| {
            (name == b"HOME").then_some(b"/home/me" as &[u8])
        })
        .unwrap()
    }

    #[test]
    fn every_part_is_taken_where_it_stands() {
        assert_eq!(parse("/a"), Some(Mount::bind("/a")));
        assert_eq!(parse("/a:"), Some(Mount::bind("/a")));
        assert_eq!(parse("/a::ro"), Some(Mount::bind("/a").read_only()));
        assert_eq!(parse("/a:/b"), Some(Mount::bind("/a").to("/b")));
        assert_eq!(parse("$HOME"), Some(Mount::bind("/home/me")));
        assert_eq!(parse("$HOME:/h"), Some(Mount::bind("/home/me").to("/h")));
        assert_eq!(parse("./proc"), Some(Mount::bind("./proc")));
        assert_eq!(parse("/a\\b:/c"), Some(Mount::bind("/a\\b").to("/c")));
        let tmpfs = Mount::file_system("tmpfs", "/t")
            .data("size=1m,mode=700")
            .no_exec();
        assert_eq!(parse("tmpfs:/t:size=1m,noexec,mode=700"), Some(tmpfs));
        let proc = Mount::file_system("proc", "/proc")
            .no_suid()
            .no_device()
            .no_exec();
        assert_eq!(parse("proc"), Some(proc));
        // Data of a file system may hold a colon.
        let data = Mount::file_system("tmpfs", "/t").data("mpol=bind:0-1");
        assert_eq!(parse("tmpfs:/t:mpol=bind:0-1"), Some(data));
    }

    proptest! {
        /// No text causes a panic, and a path with escaped colons is read back unchanged.
        #[test]
        fn any_text_is_a_mount_or_an_error(text in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Mount::parse(&text, |_| None);
            let path = [b"/", &text[..]].concat();
            prop_assume!(!path.contains(&0) && !path.ends_with(b"\\") && !path.windows(2).any(|two| two == b"\\:"));
            let escaped: Vec<u8> = path
                .iter()
                .flat_map(|byte| if *byte == b':' { b"\\:".to_vec() } else { Vec::from([*byte]) })
                .collect();
            let spec = [&escaped[..], b":", &escaped[..]].concat();
            prop_assert_eq!(Mount::parse(&spec, |_| None), Ok(Some(Mount::bind(&path))));
        }
    }
}
