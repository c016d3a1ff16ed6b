//! Splits texts, with less code than the generic methods of core.

/// Splits a text at each separator, like `<[u8]>::split`, which is compiled anew for each closure:
/// this function is compiled once.
pub fn split(text: &[u8], separator: u8) -> Split<'_> {
    Split {
        rest: Some(text),
        separator,
    }
}

/// The iterator of [`split`].
pub struct Split<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest?;
        let end = text.iter().position(|byte| *byte == self.separator);
        let (part, rest) = match end.and_then(|end| text.split_at_checked(end)) {
            Some((part, [_, rest @ ..])) => (part, Some(rest)),
            _ => (text, None),
        };
        self.rest = rest;
        Some(part)
    }
}

/// Returns the line with this index, split at its first separator.
pub fn line(mut text: &'static str, index: usize, separator: u8) -> (&'static str, &'static str) {
    for _ in 0..index {
        text = split_once(text, b'\n').1;
    }
    split_once(split_once(text, b'\n').0, separator)
}

#[inline(never)]
fn split_once(text: &str, separator: u8) -> (&str, &str) {
    let end = text.bytes().position(|byte| byte == separator);
    let end = end.unwrap_or(text.len());
    let (before, after) = (text.get(..end), text.get(end + 1..));
    (before.unwrap_or_default(), after.unwrap_or_default())
}
