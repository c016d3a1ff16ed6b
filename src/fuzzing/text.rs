//! Names in output: escaped in lines, and in JSON.

use std::prelude::rust_2024::*;
use std::{format, str};

use crate::sys::split;
use crate::text::json::{Invalid, push_string};
use crate::text::line::Line;
use crate::text::name::Name;
use crate::text::path::{PathBuffer, split_last};
use crate::text::short::Short;

/// Takes a path or a name that somebody else has chosen.
pub fn text(bytes: &[u8]) {
    line(bytes);
    json(bytes);
    strings(bytes);
    let parts: Vec<&[u8]> = bytes.split(|byte| *byte == b'/').collect();
    assert!(split(bytes, b'/').eq(parts.iter().copied()));
    let (above, last) = split_last(bytes);
    assert_eq!(&last, parts.last().unwrap());
    assert_eq!(above, parts[..parts.len() - 1].join(&b'/'));
}

/// A line shows the name as the standard library reads it, or the start of it.
fn line(name: &[u8]) {
    let mut line = Line::new();
    line.push_name(name);
    let text = str::from_utf8(line.bytes()).unwrap();
    let mut expected = String::new();
    let escape = |expected: &mut String, bytes: &[u8]| {
        for byte in bytes {
            *expected += &format!("\\x{byte:02x}");
        }
    };
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            match character {
                '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escape(&mut expected, bytes),
                control if control.is_control() => escape(&mut expected, bytes),
                character => expected.push(character),
            }
        }
        escape(&mut expected, chunk.invalid());
    }
    if expected.len() <= 4096 {
        assert_eq!(text, expected);
    } else {
        let start = text.strip_suffix("...").unwrap();
        assert!(expected.starts_with(start) && text.len() <= 4096);
    }
    // As error lines do: there is room for two names and the rest.
    line.push_name(name);
    let reason = [b'r'; 512];
    line.push(&reason);
    assert!(line.bytes().ends_with(&reason));
}

/// A JSON string is Unicode in one line, and holds the bytes.
fn json(name: &[u8]) {
    let written = |invalid| {
        let mut text = Vec::new();
        push_string(&mut text, name, invalid);
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains(|character| character < ' '));
        let inner = text.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
        units(inner)
    };
    let replaced: Vec<char> = String::from_utf8_lossy(name).chars().collect();
    let read: Vec<u32> = replaced
        .iter()
        .map(|character| u32::from(*character))
        .collect();
    assert_eq!(written(Invalid::Replaced), read);
    let mut bytes = Vec::new();
    for unit in written(Invalid::Kept) {
        match char::from_u32(unit) {
            Some(character) => bytes.extend(character.encode_utf8(&mut [0; 4]).bytes()),
            None => bytes.push(u8::try_from(unit - 0xdc00).unwrap()),
        }
    }
    assert_eq!(bytes, name);
}

/// Returns the characters of a JSON string (RFC 8259, section 7), and its lone surrogates.
fn units(string: &str) -> Vec<u32> {
    let mut units = Vec::new();
    let mut rest = string.chars();
    while let Some(character) = rest.next() {
        units.push(match character {
            '"' => std::panic!("{string}"),
            '\\' => match rest.next().unwrap() {
                escaped @ ('"' | '\\') => escaped.into(),
                'u' => {
                    let digits: String = rest.by_ref().take(4).collect();
                    assert_eq!(digits.len(), 4);
                    u32::from_str_radix(&digits, 16).unwrap()
                }
                other => std::panic!("{other}"),
            },
            character => character.into(),
        });
    }
    units
}

/// A C string ends at the first NUL; buffers are cut or refuse.
fn strings(bytes: &[u8]) {
    let before_nul = bytes.split(|byte| *byte == 0).next().unwrap();
    let name = Name::new(bytes);
    assert_eq!(
        (name.bytes(), name.held_nul()),
        (before_nul, before_nul != bytes)
    );
    assert_eq!(name.as_c_str().to_bytes(), before_nul);
    let (one, two) = bytes.split_at(bytes.len() / 2);
    assert!(Name::joined(&[one, two]) == name);

    let mut path = PathBuffer::new();
    let pushed = path.push(one).and_then(|()| path.push_component(two));
    let whole = [one, b"/", two].concat();
    assert_eq!(pushed.is_ok(), whole.len() < 4096);
    if pushed.is_ok() {
        assert_eq!(path.bytes(), whole);
    }
    assert!(whole.starts_with(path.bytes()));
    let length = path.bytes().len();
    path.truncate(length / 2);
    assert_eq!(path.bytes(), &whole[..length / 2]);
    let before_nul = path.bytes().split(|byte| *byte == 0).next().unwrap();
    assert_eq!(path.as_c_str().to_bytes(), before_nul);

    let mut short = Short::new();
    short.push(one);
    short.push(two);
    assert_eq!(short.bytes(), &bytes[..bytes.len().min(63)]);
}
