//! Values of options and of variables of the environment.

use std::prelude::rust_2024::*;
use std::str;

use crate::cli::jobserver::named;
use crate::cli::signal::signal;
use crate::process::environment::Change;
use crate::text::name::Name;
use crate::user::private::PrivateUsers;

/// Parses MAKEFLAGS.
pub fn jobserver(makeflags: &[u8]) {
    assert_eq!(named(makeflags), last_of_make(makeflags));
    // A value as make writes it is read back, whatever is in it.
    let mut written = b"kw -j8 --jobserver-fds=3,4 --jobserver-auth=".to_vec();
    for byte in makeflags {
        match byte {
            b' ' | b'\t' | b'\\' => written.extend([b'\\', *byte]),
            b'$' => written.extend(b"$$"),
            byte => written.push(*byte),
        }
    }
    assert_eq!(named(&written).as_deref(), Some(makeflags));
    written.extend(b" --no-print-directory -- --jobserver-auth=5,6");
    assert_eq!(named(&written).as_deref(), Some(makeflags));
}

/// Splits into words first, and then searches.
fn last_of_make(makeflags: &[u8]) -> Option<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::from([Vec::new()]);
    let mut at = 0;
    while let Some(byte) = makeflags.get(at) {
        let next = makeflags.get(at + 1);
        at += 1;
        match (byte, next) {
            (b'\\', Some(next)) | (b'$', Some(next @ b'$')) => {
                words.last_mut().unwrap().push(*next);
                at += 1;
            }
            (b' ' | b'\t', _) => words.push(Vec::new()),
            (byte, _) => words.last_mut().unwrap().push(*byte),
        }
    }
    let end = words.iter().position(|word| word == b"--");
    words.truncate(end.unwrap_or(words.len()));
    words.iter().rev().find_map(|word| {
        let value = word
            .strip_prefix(b"--jobserver-auth=")
            .or_else(|| word.strip_prefix(b"--jobserver-fds="));
        value.map(<[u8]>::to_vec)
    })
}

/// Parses the name of a signal, a range of ids, and changes of the environment.
pub fn values(text: &[u8]) {
    assert_eq!(signal(text), signal_of_table(text));
    private_users(text);
    environment(text);
}

/// The table of signal(7), for x86, ARM and RISC-V.
const SIGNALS: &str = "HUP 1 INT 2 QUIT 3 ILL 4 TRAP 5 ABRT 6 BUS 7 FPE 8 KILL 9 USR1 10 SEGV 11 USR2 12 \
    PIPE 13 ALRM 14 TERM 15 STKFLT 16 CHLD 17 CONT 18 STOP 19 TSTP 20 TTIN 21 TTOU 22 URG 23 XCPU 24 \
    XFSZ 25 VTALRM 26 PROF 27 WINCH 28 IO 29 PWR 30 SYS 31";

fn signal_of_table(text: &[u8]) -> Option<i32> {
    let text = str::from_utf8(text).ok()?;
    let natural = |text: &str| {
        let is_natural = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i128>().ok().filter(|_| is_natural)
    };
    if let Some(number) = natural(text) {
        return i32::try_from(number)
            .ok()
            .filter(|number| (1..=64).contains(number));
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    for (end, base) in [("RTMIN", 34), ("RTMAX", 64)] {
        let number = match name.strip_prefix(end) {
            None => continue,
            Some("") => Some(base),
            Some(offset) => match offset.split_at_checked(1)? {
                ("+", offset) => natural(offset).map(|offset| base + offset),
                ("-", offset) => natural(offset).map(|offset| base - offset),
                _ => None,
            },
        };
        return i32::try_from(number?)
            .ok()
            .filter(|number| (34..=64).contains(number));
    }
    let words: Vec<&str> = SIGNALS.split_ascii_whitespace().collect();
    let (_, number) = words
        .chunks_exact(2)
        .map(|two| (two[0], two[1]))
        .find(|(known, _)| *known == name)?;
    number.parse().ok()
}

fn private_users(text: &[u8]) {
    let number = |text: &str| {
        let number: Option<u32> = text.parse().ok();
        number.filter(|_| !text.starts_with('+'))
    };
    let text = str::from_utf8(text);
    let expected = text.ok().and_then(|text| match text {
        "" | "auto" => Some(PrivateUsers::Auto),
        text => {
            let (start, count) = text.split_once(':')?;
            let (start, count) = (number(start)?, number(count)?);
            Some(PrivateUsers::Range { start, count })
        }
    });
    let given = text.map_or(&b"\xff"[..], str::as_bytes);
    assert_eq!(PrivateUsers::parse(given), expected);
}

/// Each line is a change: `!` clears, `-NAME` removes, and any other sets. The oracle keeps names and
/// values apart.
fn environment(text: &[u8]) {
    let mut environment: Vec<Name> = Vec::new();
    let mut expected: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let text: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
    for line in text.split(|byte| *byte == b'\n').take(100) {
        let change = match line {
            b"!" => Change::Clear,
            [b'-', name @ ..] => Change::Unset(Name::new(name)),
            variable => Change::Set(Name::new(variable)),
        };
        change.apply(&mut environment);
        match line {
            b"!" => expected.clear(),
            [b'-', name @ ..] => expected.retain(|(known, _)| known != name),
            variable => {
                let end = variable.iter().position(|byte| *byte == b'=');
                let (name, value) = variable.split_at(end.unwrap_or(variable.len()));
                expected.retain(|(known, _)| known != name);
                expected.push((name.to_vec(), value.to_vec()));
            }
        }
        let left = expected
            .iter()
            .map(|(name, value)| [&name[..], value].concat());
        assert!(environment.iter().map(Name::bytes).eq(left));
    }
}
