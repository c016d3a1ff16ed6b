//! The forms in which `root=` and the first field of fstab(5) name a device.

use alloc::vec::Vec;

use crate::boot::disk::partition::partuuid_and_offset;
use crate::sys::split;
use crate::text::name::Name;
use crate::text::number::number;

/// A name of a device, in the forms of the kernel and of other initramfs programs.
pub(crate) enum Wanted {
    Path(Name),
    Number((u32, u32)),
    Tag {
        tag: Tag,
        value: Vec<u8>,
        /// Added to the number of the partition that `value` names.
        offset: i32,
    },
}

/// The property that names a device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    Uuid,
    Label,
    PartUuid,
    PartLabel,
}

const TAGS: [(Tag, &[u8]); 4] = [
    (Tag::Uuid, b"uuid"),
    (Tag::Label, b"label"),
    (Tag::PartUuid, b"partuuid"),
    (Tag::PartLabel, b"partlabel"),
];

/// Replaces each `\xHH` by its byte: udev escapes characters in the names of its links in this way.
fn unescape(mut text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while let [byte, rest @ ..] = text {
        text = rest;
        let mut byte = *byte;
        if let [b'x', high, low, rest @ ..] = rest {
            if let (b'\\', Some(high), Some(low)) = (byte, digit(*high), digit(*low)) {
                byte = (high << 4 | low) as u8;
                text = rest;
            }
        }
        plain.push(byte);
    }
    plain
}

fn digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

/// Parses a device number in one of the kernel's forms: MAJOR:MINOR, or both in hexadecimal digits, as
/// in `fe01`.
pub(crate) fn device_number(text: &[u8]) -> Option<(u32, u32)> {
    let mut parts = split(text, b':').map(number);
    match (parts.next().flatten(), parts.next()) {
        (Some(major), Some(minor)) => Some((major, minor?)),
        (None, Some(_)) => None,
        (_, None) => {
            let digits = text.strip_prefix(b"0x").unwrap_or(text);
            let number = digits.iter().try_fold(0u32, |number, byte| {
                Some(number.checked_mul(16)? | digit(*byte)?)
            })?;
            let minor = number & 0xff | number >> 12 & 0xfff00;
            Some((number >> 8 & 0xfff, minor))
        }
    }
}

impl Wanted {
    pub(crate) fn new(root: &[u8]) -> Wanted {
        let (text, separator) = match root.strip_prefix(b"/dev/disk/by-") {
            Some(link) => (link, b'/'),
            None => (root, b'='),
        };
        let name = split(text, separator).next().unwrap_or_default();
        for (tag, of_tag) in TAGS {
            let Some(mut value) = text.get(name.len() + 1..) else {
                continue;
            };
            if !name.eq_ignore_ascii_case(of_tag) {
                continue;
            }
            let mut offset = 0;
            if let (Tag::PartUuid, Some(parts)) = (tag, partuuid_and_offset(value)) {
                (value, offset) = parts;
            }
            // fstab(5) allows quotes.
            if let [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] = value {
                value = inner;
            }
            return Wanted::Tag {
                tag,
                value: unescape(value),
                offset,
            };
        }
        match device_number(root) {
            Some(number) => Wanted::Number(number),
            // bcachefs's programs name all devices, separated by colons. The first is enough.
            None => Wanted::Path(Name::new(split(root, b':').next().unwrap_or_default())),
        }
    }
}
