//! What file systems and partition tables have in common on a disk: numbers, labels, identifiers.

pub(crate) mod partition;
pub(crate) mod superblock;

use crate::sys::split;

/// Reads a block device at an offset: all that is asked for, or nothing (false).
pub(crate) type Read<'a> = dyn FnMut(u64, &mut [u8]) -> bool + 'a;

/// The little-endian number of `length` bytes, eight at most, at an offset.
pub(crate) fn number(block: &[u8], offset: usize, length: usize) -> u64 {
    let bytes = block.iter().skip(offset).take(length);
    bytes.rfold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// What names a file system or a partition, as blkid(8) shows it; empty for none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Text {
    /// The longest is a label of btrfs.
    bytes: [u8; 256],
    length: usize,
}

impl Text {
    fn new() -> Text {
        Text {
            bytes: [0; 256],
            length: 0,
        }
    }

    /// Ends before the first NUL, and without white space at its end.
    pub(crate) fn label(bytes: &[u8]) -> Text {
        let mut label = Text::new();
        let text = split(bytes, 0).next().unwrap_or_default();
        label.push(text.trim_ascii_end());
        label
    }

    /// Sixteen bytes, with the dashes of every UUID.
    pub(crate) fn uuid(bytes: &[u8]) -> Text {
        Text::hexadecimal(bytes, &[4, 6, 8, 10], b"0123456789abcdef")
    }

    /// Two digits for each byte, and a dash before those whose index is in `dashes`. What is only
    /// zeros is none.
    pub(crate) fn hexadecimal(bytes: &[u8], dashes: &[usize], digits: &[u8; 16]) -> Text {
        let mut text = Text::new();
        if bytes.iter().any(|byte| *byte != 0) {
            for (index, byte) in bytes.iter().enumerate() {
                text.push(if dashes.contains(&index) { b"-" } else { b"" });
                text.push(&[
                    digits[usize::from(byte >> 4)],
                    digits[usize::from(byte & 15)],
                ]);
            }
        }
        text
    }

    fn push(&mut self, bytes: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.length).zip(bytes) {
            *to = *from;
            self.length += 1;
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Is it this label?
    pub(crate) fn is(&self, label: &[u8]) -> bool {
        self.length != 0 && self.bytes() == label.trim_ascii_end()
    }

    /// Is it this UUID, in either case?
    pub(crate) fn is_uuid(&self, uuid: &[u8]) -> bool {
        self.length != 0 && self.bytes().eq_ignore_ascii_case(uuid)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::{Path, PathBuf};
    use std::prelude::rust_2024::*;
    use std::process::Command;
    use std::{env, fs};

    use super::*;

    /// Runs a command line of words without blanks, then `rest`, and gives what it prints.
    pub(crate) fn output(command: &str, rest: &[&str], file: &Path) -> Vec<u8> {
        let mut words = command.split(' ');
        let program = words.next().unwrap();
        // What makes file systems is in sbin, which an ordinary user's PATH lacks.
        let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let output = Command::new(program)
            .args(words)
            .args(rest)
            .arg(file)
            .env("PATH", path)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap_or_else(|error| std::panic!("{program}: {error}"));
        // blkid exits with 2 when there is nothing to say.
        assert!(
            output.status.success() || program == "blkid",
            "{command}: {output:?}"
        );
        output.stdout
    }

    /// A file in a directory, of a size, nothing written.
    pub(crate) fn sparse(directory: &Path, mebibytes: u64) -> PathBuf {
        let path = directory.join("image");
        let file = fs::File::create(&path).unwrap();
        file.set_len(mebibytes << 20).unwrap();
        path
    }

    /// Gives a test a [`Read`] of an image, and holds what it tests to few and short reads.
    pub(crate) fn reading<T>(image: &[u8], reads_max: usize, test: impl Fn(&mut Read) -> T) -> T {
        let mut reads = 0;
        test(&mut |offset, buffer| {
            reads += 1;
            assert!(reads <= reads_max && buffer.len() <= 1024);
            let found = usize::try_from(offset)
                .ok()
                .and_then(|offset| image.get(offset..)?.get(..buffer.len()));
            if let Some(found) = found {
                buffer.copy_from_slice(found);
            }
            found.is_some()
        })
    }

    #[test]
    fn nothing_matches_nothing() {
        assert!(!Text::uuid(&[0; 16]).is_uuid(b""));
        assert!(!Text::label(b"").is(b""));
        assert!(!Text::label(b"  ").is(b" "));
        assert!(Text::label(b"a \0b").is(b"a "));
    }
}
