//! The text form of a mount, and the kernel's list of mounts.

use std::format;
use std::prelude::rust_2024::*;

use crate::mount::idmap::kind_in;
use crate::mount::remount::Lines;
use crate::mount::{Mount, Source};
use crate::sys::fs::{pipe, write_all};
use crate::sys::mount::MOUNT_ATTR_RDONLY;
use crate::user::capability::Capabilities;

/// Parses `SRC[:DEST[:OPT,…]]`, and the list of `--drop-caps`.
pub fn options(text: &[u8]) {
    let environment = |name: &[u8]| (name == b"HOME").then_some(&b"/home/a:b"[..]);
    if let Ok(Some(mount)) = Mount::parse(text, environment) {
        let source = mount.source.name().bytes();
        assert!(!source.is_empty());
        // The text form cannot express a path with `\:`, or one that would be taken for another form.
        let can_be_written =
            |path: &[u8]| !path.ends_with(b"\\") && !path.windows(2).any(|two| two == b"\\:");
        let target = mount.target.bytes();
        let is_plain = matches!(mount.source, Source::Path(_))
            && !text.starts_with(b"$")
            && !text.contains(&0)
            && !target.is_empty();
        if is_plain && can_be_written(source) && can_be_written(target) {
            let mut again = [&escaped(source)[..], b":", &escaped(target), b":"].concat();
            again.extend(if mount.flags & MOUNT_ATTR_RDONLY != 0 {
                &b"ro,"[..]
            } else {
                b""
            });
            again.extend(if mount.recursive { &b"rec,"[..] } else { b"" });
            let read = Mount::parse(&again, |_| None).unwrap().unwrap();
            assert_eq!((&read.source, &read.target), (&mount.source, &mount.target));
            assert_eq!(read.recursive, mount.recursive);
        }
    }
    let words: Vec<&[u8]> = text.splitn(3, |byte| *byte == b':').collect();
    if let [source, target, options] = words[..] {
        if let Ok(mount) = Mount::from_words(source, target, options) {
            let before_nul = |text: &[u8]| text.split(|byte| *byte == 0).next().unwrap().to_vec();
            assert_eq!(mount.source.name().bytes(), before_nul(source));
            assert_eq!(mount.target.bytes(), before_nul(target));
            assert!(matches!(mount.source, Source::Path(_)) && mount.data.bytes().is_empty());
        }
    }
    if let Ok(set) = Capabilities::parse(text) {
        let mut line = crate::text::line::Line::new();
        set.describe(&mut line);
        assert_eq!(Capabilities::parse(line.bytes()), Ok(set));
    }
}

fn escaped(path: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in path {
        if *byte == b':' {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    text
}

/// Parses the kernel's list of mounts, whose paths may be chosen by others.
pub fn mountinfo(text: &[u8]) {
    // A pipe with one page holds no more.
    let text = &text[..text.len().min(4096)];
    let read = |text: &[u8]| {
        let (reader, writer) = pipe(0).unwrap();
        write_all(writer.borrow(), text).unwrap();
        drop(writer);
        let mut lines = Lines::new(reader.borrow());
        let mut found = Vec::new();
        while let Ok(Some((id, path))) = lines.next() {
            found.push((id, path.bytes().to_vec()));
        }
        found
    };
    read(text);
    // Paths in the kernel's escaped form are read back unchanged.
    let paths = text.split(|byte| *byte == 0).take(20);
    let expected: Vec<(u64, Vec<u8>)> = (7..).zip(paths.map(<[u8]>::to_vec)).collect();
    let mut listed = Vec::new();
    for (id, path) in &expected {
        listed.extend(format!("{id} 1 0:5 / ").bytes());
        for byte in path {
            match byte {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => {
                    listed.extend(format!("\\{byte:03o}").bytes())
                }
                byte => listed.push(*byte),
            }
        }
        listed.extend(b" rw shared:1 - tmpfs a\\040b rw\n");
    }
    if listed.len() <= 65536 {
        assert_eq!(read(&listed), expected);
    }
    // A path begins with a slash, so it is not the dash before the type.
    if expected.iter().all(|(_, path)| path != b"-") {
        for (id, _) in &expected {
            assert_eq!(kind_in(&listed, *id), b"tmpfs");
        }
    }
    kind_in(text, 7);
}
