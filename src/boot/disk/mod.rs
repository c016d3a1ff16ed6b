//! The formats on a disk: superblocks of file systems, and partition tables.
//!
//! Any bytes may be on a disk. Each parser makes a limited number of short reads, never panics, and
//! answers like blkid(8). This file has what they share: numbers, labels and identifiers.

pub(crate) mod format;
mod label;
pub(crate) mod partition;
pub(crate) mod superblock;

use alloc::vec::Vec;

use crate::sys::split;

/// Fills the buffer from an offset of a block device; false if it cannot be filled.
pub(crate) type Read<'a> = dyn FnMut(u64, &mut [u8]) -> bool + 'a;

/// Reads the little-endian number of `length` bytes, at most eight, at an offset. Missing bytes are 0.
#[inline(never)]
pub(crate) fn number(block: &[u8], offset: usize, length: usize) -> u64 {
    let bytes = block.iter().skip(offset).take(length);
    bytes.rfold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A UUID or a label, in the form of blkid(8); empty for none.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Text(Vec<u8>);

impl Text {
    /// Takes a label: the bytes before the first NUL, without white space at the end.
    #[inline(never)]
    pub(crate) fn label(bytes: &[u8]) -> Text {
        let text = split(bytes, 0).next().unwrap_or_default();
        Text(Vec::from(text.trim_ascii_end()))
    }

    /// Formats sixteen bytes as a UUID.
    pub(crate) fn uuid(bytes: &[u8]) -> Text {
        Text::hexadecimal(bytes, &[4, 6, 8, 10], b"0123456789abcdef")
    }

    /// Formats a little-endian serial number; one of four bytes gets a dash in the middle.
    pub(crate) fn serial(bytes: &[u8]) -> Text {
        let mut reversed = Vec::from(bytes);
        reversed.reverse();
        let dashes: &[usize] = if bytes.len() == 4 { &[2] } else { &[] };
        Text::hexadecimal(&reversed, dashes, b"0123456789ABCDEF")
    }

    /// Formats bytes as two digits each, with a dash before each index in `dashes`. Empty if all bytes
    /// are zero.
    pub(crate) fn hexadecimal(bytes: &[u8], dashes: &[usize], digits: &[u8; 16]) -> Text {
        let mut text = Text::default();
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

    /// Formats the sixteen digits of a time, in parts separated by dashes. Empty if all are zero.
    pub(crate) fn date(digits: &[u8]) -> Text {
        let mut text = Text::default();
        if digits.iter().any(|digit| (b'1'..=b'9').contains(digit)) {
            for (index, digit) in digits.iter().enumerate() {
                let has_dash = index >= 4 && index % 2 == 0;
                text.push(if has_dash { b"-" } else { b"" });
                text.push(&[*digit]);
            }
        }
        text
    }

    /// Takes a label in UTF-16LE, up to the first zero.
    pub(crate) fn utf_16(bytes: &[u8]) -> Text {
        let units = bytes.chunks_exact(2).map(|unit| number(unit, 0, 2) as u16);
        let mut text = Text::default();
        for character in char::decode_utf16(units.take_while(|unit| *unit != 0)) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            text.push(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Text::label(&text.0)
    }

    #[inline(never)]
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns whether this is the label.
    pub(crate) fn is(&self, label: &[u8]) -> bool {
        !self.0.is_empty() && self.bytes() == label.trim_ascii_end()
    }

    /// Returns whether this is the UUID, ignoring case.
    pub(crate) fn is_uuid(&self, uuid: &[u8]) -> bool {
        !self.0.is_empty() && self.bytes().eq_ignore_ascii_case(uuid)
    }
}

#[cfg(all(test, in_clone))]
pub(crate) mod tests {
    use std::path::{Path, PathBuf};
    use std::prelude::rust_2024::*;
    use std::process::Command;
    use std::{env, fs};

    use super::*;

    /// Runs a command line of words without blanks, followed by `rest`. Returns its output.
    pub(crate) fn output(command: &str, rest: &[&str], file: &Path) -> Vec<u8> {
        let mut words = command.split(' ');
        let program = words.next().unwrap();
        // The mkfs programs are in sbin, which an ordinary user's PATH lacks.
        let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let output = Command::new(program)
            .args(words)
            .args(rest)
            .arg(file)
            .env("PATH", path)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap_or_else(|error| std::panic!("{program}: {error}"));
        // blkid exits with 2 if it finds nothing.
        assert!(
            output.status.success() || program == "blkid",
            "{command}: {output:?}"
        );
        output.stdout
    }

    /// Creates a sparse file of this size in a directory.
    pub(crate) fn sparse(directory: &Path, mebibytes: u64) -> PathBuf {
        let path = directory.join("image");
        let file = fs::File::create(&path).unwrap();
        file.set_len(mebibytes << 20).unwrap();
        path
    }

    /// Calls a test with a [`Read`] of an image, and fails on too many or too long reads.
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
