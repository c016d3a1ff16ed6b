//! One line of output, without the allocator if possible: a forked child of a program with threads must
//! not allocate, since another thread may have held the allocator's lock.

use crate::process::stderr::write_error;
use crate::sys::memory::Page;
use crate::text::short::Short;

/// A line in a mapping of its own, or in the allocator's memory if none can be made: an error about missing
/// memory must be printed too. It has room for two paths of the greatest length; the rest is cut off.
pub(crate) struct Line {
    page: Page<[u8; Line::LENGTH_MAX]>,
    length: usize,
    /// Names are appended unescaped.
    is_verbatim: bool,
}

impl Line {
    pub(crate) const LENGTH_MAX: usize = 2 * Line::NAME_MAX + 512;

    /// The most bytes of one name. Escaped it could fill the line, and the reason of an error would be lost.
    const NAME_MAX: usize = 4096;

    pub(crate) fn new() -> Line {
        Line {
            page: Page::zeros_in_any_memory(),
            length: 0,
            is_verbatim: false,
        }
    }

    /// Returns a line in which names are not escaped, for a caller that escapes them in another way.
    pub(crate) fn verbatim() -> Line {
        Line {
            is_verbatim: true,
            ..Line::new()
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for (to, from) in self.page[self.length..].iter_mut().zip(bytes) {
            *to = *from;
            self.length += 1;
        }
    }

    /// Appends a path or name, escaped so that it stays on one line, cannot control the terminal, and
    /// cannot reorder the text around it.
    ///
    /// Escaped as in `\x1b` are the bytes of control characters (C0, DEL, and C1, which is U+0080 to
    /// U+009F), of characters that reorder text, and bytes that are not UTF-8. A terminal that does not
    /// use UTF-8 takes a lone 0x9b for `ESC [`. A name that is too long ends with `...`.
    pub(crate) fn push_name(&mut self, name: &[u8]) {
        if self.is_verbatim {
            return self.push(name);
        }
        let mut rest = name;
        let (end, mut cut) = (self.length + Line::NAME_MAX, self.length);
        while let Some((length, is_plain)) = first_character(rest) {
            let (character, after) = rest.split_at(length);
            match is_plain {
                true => self.push(character),
                false => self.push_escaped(character),
            }
            if self.length > end {
                self.length = cut;
                return self.push(b"...");
            }
            if self.length + 3 <= end {
                cut = self.length;
            }
            rest = after;
        }
    }

    fn push_escaped(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in bytes {
            let (high, low) = (byte >> 4, byte & 15);
            self.push(&[b'\\', b'x', DIGITS[high as usize], DIGITS[low as usize]]);
        }
    }

    pub(crate) fn push_number(&mut self, number: u32) {
        let mut digits = Short::new();
        digits.push_number(number);
        self.push(digits.bytes());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.page[..self.length]
    }

    pub(crate) fn print(&self) {
        write_error(self.bytes());
    }
}

/// Returns the length of the first character in bytes, and whether it may be printed. `None` at the end.
///
/// These may not be printed: control characters, characters that end a line (U+2028, U+2029), the
/// explicit directional formatting characters of Unicode Standard Annex 9, and each byte that begins no
/// character (Unicode Standard, table 3-7).
fn first_character(name: &[u8]) -> Option<(usize, bool)> {
    Some(match name {
        [] => return None,
        [b' '..=b'~', ..] => (1, true),
        [0xc2, 0x80..=0x9f, ..] => (2, false),
        [0xc2..=0xdf, 0x80..=0xbf, ..] => (2, true),
        [0xe2, 0x80, 0xa8..=0xae, ..] | [0xe2, 0x81, 0xa6..=0xa9, ..] => (3, false),
        [0xe0, 0xa0..=0xbf, 0x80..=0xbf, ..]
        | [0xed, 0x80..=0x9f, 0x80..=0xbf, ..]
        | [0xe1..=0xec | 0xee | 0xef, 0x80..=0xbf, 0x80..=0xbf, ..] => (3, true),
        [0xf0, 0x90..=0xbf, 0x80..=0xbf, 0x80..=0xbf, ..]
        | [0xf1..=0xf3, 0x80..=0xbf, 0x80..=0xbf, 0x80..=0xbf, ..]
        | [0xf4, 0x80..=0x8f, 0x80..=0xbf, 0x80..=0xbf, ..] => (4, true),
        _ => (1, false),
    })
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::prelude::rust_2024::*;
    use std::string::ToString;

    use proptest::prelude::*;

    use super::Line;

    fn pushed(name: &[u8]) -> Vec<u8> {
        let mut line = Line::new();
        line.push_name(name);
        line.bytes().to_vec()
    }

    #[test]
    fn control_sequences_are_escaped() {
        for (name, expected) in [
            (&b"a b~\\"[..], "a b~\\"),
            (b"\0\x1b[2J\x7f\n", "\\x00\\x1b[2J\\x7f\\x0a"),
            (b"\x9b31m \x80\x9f\xa0\xff", "\\x9b31m \\x80\\x9f\\xa0\\xff"),
            (
                b"\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0",
                "\\xc2\\x80\\xc2\\x9b\\xc2\\x9f\u{a0}",
            ),
            // Overlong, cut off, a surrogate, beyond the last character.
            (b"\xc0\x8a\xe0\x82\x9b", "\\xc0\\x8a\\xe0\\x82\\x9b"),
            (b"\xe2\x80", "\\xe2\\x80"),
            (
                b"\xed\xa0\x80\xf4\x90\x80\x80",
                "\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80",
            ),
            // Letters with bytes in the range of C1.
            (
                "\u{c4}\u{11b}\u{20ac}\u{1f600}".as_bytes(),
                "\u{c4}\u{11b}\u{20ac}\u{1f600}",
            ),
            (
                "a\u{202e}b\u{2066}\u{2028}".as_bytes(),
                "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa6\\xe2\\x80\\xa8",
            ),
        ] {
            assert_eq!(String::from_utf8_lossy(&pushed(name)), expected);
        }
    }

    proptest! {
        /// The bytes are valid UTF-8 more often than random ones.
        #[test]
        fn a_name_is_escaped_as_the_standard_library_reads_it(
            parts in prop::collection::vec(prop_oneof![
                any::<char>().prop_map(|character| character.to_string().into_bytes()),
                prop::collection::vec(any::<u8>(), 0..4),
                prop::collection::vec(prop::sample::select(b"\x80\x9f\xa0\xbf\xe2\xe0\xed\xf0\xf4".to_vec()), 1..4),
            ], 0..20)
        ) {
            let name = parts.concat();
            let escaped = |bytes: &[u8]| -> String {
                bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
            };
            let mut expected = String::new();
            for chunk in name.utf8_chunks() {
                for character in chunk.valid().chars() {
                    match character {
                        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                            expected += &escaped(character.to_string().as_bytes());
                        }
                        control if control.is_control() => {
                            expected += &escaped(control.to_string().as_bytes());
                        }
                        character => expected.push(character),
                    }
                }
                expected += &escaped(chunk.invalid());
            }
            prop_assert_eq!(String::from_utf8(pushed(&name)).unwrap(), expected);
        }
    }
}
