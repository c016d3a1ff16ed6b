//! The input of `rootlet boot`.

use std::format;
use std::prelude::rust_2024::*;

use crate::boot::cmdline::CommandLine;
use crate::boot::command::strings;
use crate::boot::disk::partition::partuuid_and_offset;
use crate::boot::fstab;
use crate::boot::modules;
use crate::boot::network::address;
use crate::boot::wanted::{Wanted, device_number};
use crate::text::number::number;

/// Parses the input of `rootlet boot`: the kernel command line and the files of an initramfs.
pub fn boot(text: &[u8]) {
    command_line(text);
    for (path, parameters) in modules(text) {
        assert!(!path.is_empty() && !path.contains(&b' ') && path[0] != b'#');
        assert!(!path.contains(&b'\n') && !parameters.contains(&b'\n'));
    }
    if let Ok(mounts) = fstab::read(text) {
        assert!(mounts.len() <= text.split(|byte| *byte == b'\n').count());
        assert!(mounts.iter().all(|mount| mount.device.is_some()));
    }
    let mut words = strings(text).join(&0);
    if text.ends_with(b"\0") {
        words.push(0);
    }
    assert_eq!(words, text);
    if let Some(parts) = address(text) {
        assert_eq!(
            address(format!("{:?}", std::net::Ipv4Addr::from(parts)).as_bytes()),
            Some(parts)
        );
    }
    if let Some(value) = number(text) {
        assert_eq!(String::from_utf8_lossy(text).parse(), Ok(value));
    }
    if let Some((major, minor)) = device_number(text) {
        let plain = format!("{major}:{minor}");
        assert_eq!(device_number(plain.as_bytes()), Some((major, minor)));
    }
    wanted(text);
    if let Some((uuid, offset)) = partuuid_and_offset(text) {
        assert!(text.starts_with(uuid) && offset > i32::MIN);
    }
}

/// A device is a number, a path up to the first colon, or has a tag with a value.
fn wanted(text: &[u8]) {
    match Wanted::new(text) {
        Wanted::Number(number) => assert_eq!(device_number(text), Some(number)),
        Wanted::Path(path) => {
            let end = text.iter().position(|byte| b":\0".contains(byte));
            assert_eq!(path.bytes(), &text[..end.unwrap_or(text.len())]);
        }
        Wanted::Tag { value, .. } => {
            assert!(value.len() < text.len());
            let is_plain = !text.iter().any(|byte| b"\\\"'/".contains(byte));
            if is_plain && !text.starts_with(b"PARTUUID=") {
                let tag = text.iter().position(|byte| *byte == b'=').unwrap();
                assert!(text[tag + 1..].starts_with(&value));
            }
        }
    }
}

/// Compares the parser of the command line with a transcription of the kernel's.
fn command_line(text: &[u8]) {
    // A command line has no NUL.
    let text: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
    let line = CommandLine::new(&text);
    let (mut rest, mut for_init) = (skip_spaces(&text), None);
    while !rest.is_empty() {
        let (name, value, after) = next_arg(rest);
        rest = after;
        match &mut for_init {
            None if name == b"--" && value.is_none() => for_init = Some(Vec::new()),
            None => {
                assert!(line.has(&name));
                assert_eq!(line.last_of(&[&name]), Some(&name[..]));
            }
            Some(words) => words.push(match value {
                Some(value) => [&name[..], b"=", &value].concat(),
                None => name,
            }),
        }
    }
    assert_eq!(line.for_init, for_init.unwrap_or_default());
    // A module gets its parameters unchanged.
    let mut parameters = Vec::new();
    line.push_module_parameters(b"a", &mut parameters);
    let given = CommandLine::new(&parameters);
    let mut rest = skip_spaces(&text);
    while !rest.is_empty() {
        let (name, value, after) = next_arg(rest);
        rest = after;
        match name.strip_prefix(b"a.") {
            _ if name == b"--" && value.is_none() => break,
            Some(name) if name.len() > 1 && name.iter().all(u8::is_ascii_alphanumeric) => {
                assert!(given.has(name) || parameters.contains(&b'"'), "{text:?}");
            }
            _ => {}
        }
    }
}

/// `next_arg` of the kernel's `lib/cmdline.c`, on text where a NUL ends a string.
fn next_arg(args: &[u8]) -> (Vec<u8>, Option<Vec<u8>>, &[u8]) {
    let quoted = args[0] == b'"';
    let args = &args[usize::from(quoted)..];
    let at = |index: usize| args.get(index).copied().unwrap_or(0);
    let (mut i, mut equals, mut in_quote) = (0, 0, quoted);
    while at(i) != 0 {
        if is_space(at(i)) && !in_quote {
            break;
        }
        if equals == 0 && at(i) == b'=' {
            equals = i;
        }
        if at(i) == b'"' {
            in_quote = !in_quote;
        }
        i += 1;
    }
    let mut copy = args[..i].to_vec();
    let mut value_start = equals + 1;
    if equals != 0 {
        copy[equals] = 0;
        if at(equals + 1) == b'"' {
            value_start += 1;
            if at(i - 1) == b'"' {
                copy[i - 1] = 0;
            }
        }
    }
    if quoted && i > 0 && at(i - 1) == b'"' {
        copy[i - 1] = 0;
    }
    let string = |start: usize| {
        let rest = copy.get(start..).unwrap_or_default();
        rest.split(|byte| *byte == 0)
            .next()
            .unwrap_or_default()
            .to_vec()
    };
    let value = (equals != 0).then(|| string(value_start));
    (string(0), value, skip_spaces(&args[i..]))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0)
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_space(*byte));
    &text[start.unwrap_or(text.len())..]
}
