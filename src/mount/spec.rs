//! The text form of a mount: `SRC[:DEST[:OPT,…]]`.

use alloc::vec::Vec;

use crate::error::{Error, Step};
use crate::mount::{Mount, Source};
use crate::sys::mount::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MS_DIRSYNC,
    MS_LAZYTIME, MS_NOATIME, MS_NODIRATIME, MS_RELATIME, MS_STRICTATIME, MS_SYNCHRONOUS,
};
use crate::sys::split;

/// File systems that can stand as SRC, where they go when DEST is left out, and the flags that
/// they always get because a user namespace may not have them without.
const FILE_SYSTEMS: &[(&[u8], &[u8], u32)] = &[
    (b"proc", b"/proc", CONFINED),
    (b"sysfs", b"/sys", CONFINED),
    (b"tmpfs", b"", 0),
    (
        b"devpts",
        b"/dev/pts",
        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
    ),
    (b"mqueue", b"/dev/mqueue", CONFINED),
];

const CONFINED: u32 = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

impl Mount {
    /// Reads `SRC[:DEST[:OPT,…]]`, as `--bind` takes it.
    ///
    /// - SRC is a path of the host, `$NAME` for the path that `environment` gives for NAME, or
    ///   `proc`, `sysfs`, `tmpfs`, `devpts`, `mqueue` for a new file system (write `./proc` for a
    ///   directory of that name).
    /// - DEST is a path in the new root; left out, it is SRC, or the usual place of the file
    ///   system.
    /// - OPT is `ro`, `rw`, `rec` (with all mounts below), `optional`, `nosuid`, `nodev`, `noexec`;
    ///   anything else is an option of the file system, such as `size=64m`.
    /// - `\:` is a colon in a path.
    ///
    /// `None` is an optional mount whose `$NAME` is not set. An error names what is wrong.
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
    ) -> Result<Option<Mount>, Error<'static>> {
        let wrong = |why| Err(Error::because(Step::ReadMount, text, why));
        let (source, rest) = split_at_colon(text);
        let (target, options) = rest.map_or((Vec::new(), None), split_at_colon);

        let file_system = FILE_SYSTEMS.iter().find(|(kind, _, _)| *kind == source);
        let mut mount = match (file_system, source.strip_prefix(b"$")) {
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
        if !target.is_empty() {
            mount = mount.to(&target);
        }

        mount = mount.options(options.unwrap_or_default());
        if file_system.is_none() && !mount.data.bytes().is_empty() {
            return wrong(
                "OPT can be ro, rw, rec, optional, nosuid, nodev, noexec; others are for file \
                 systems",
            );
        }

        match mount.source.name().bytes() {
            b"" if source.is_empty() => return wrong("SRC is empty"),
            b"" if mount.optional => return Ok(None),
            b"" => return wrong("the environment variable is not set"),
            b"tmpfs" if file_system.is_some() && target.is_empty() => {
                return wrong("a tmpfs needs a DEST");
            }
            _ => {}
        }
        Ok(Some(mount))
    }

    /// Sets what stands between commas; what is not known here is for the file system.
    pub(crate) fn options(mut self, options: &[u8]) -> Mount {
        let mut data: Vec<u8> = Vec::from(self.data.bytes());
        let is_file_system = matches!(self.source, Source::FileSystem(_));
        for option in split(options, b',') {
            match (option, flag(option, is_file_system)) {
                (b"" | b"rw", _) => {}
                (b"rec", _) => self.recursive = true,
                (b"optional", _) => self.optional = true,
                (_, Some(flag)) => self.flags |= flag,
                (option, None) => {
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

/// The flag that an option stands for.
fn flag(option: &[u8], is_file_system: bool) -> Option<u32> {
    const FLAGS: &[(&[u8], u32)] = &[
        (b"ro", MOUNT_ATTR_RDONLY),
        (b"nosuid", MOUNT_ATTR_NOSUID),
        (b"nodev", MOUNT_ATTR_NODEV),
        (b"noexec", MOUNT_ATTR_NOEXEC),
    ];
    // As mount(8) spells them; the file system itself would not know them.
    const OF_FILE_SYSTEMS: &[(&[u8], u32)] = &[
        (b"defaults", 0),
        (b"dirsync", MS_DIRSYNC),
        (b"lazytime", MS_LAZYTIME),
        (b"noatime", MS_NOATIME),
        (b"nodiratime", MS_NODIRATIME),
        (b"relatime", MS_RELATIME),
        (b"strictatime", MS_STRICTATIME),
        (b"sync", MS_SYNCHRONOUS),
    ];
    let more = if is_file_system { OF_FILE_SYSTEMS } else { &[] };
    let mut all = FLAGS.iter().chain(more);
    all.find_map(|(name, flag)| (*name == option).then_some(*flag))
}

/// Splits at the first colon without a backslash, and takes the backslashes from the others
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
        /// No text is a panic, and paths with the colons escaped come back as they were.
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
