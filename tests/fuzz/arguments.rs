//! The promises of the parser for every command line.

use crate::cli::options::names::{names, options};
use crate::cli::options::{Entry, ROLES};
use crate::cli::parse::{Options, Wrong};

/// NULs separate the words.
pub fn arguments(data: &[u8]) {
    let words: Vec<&[u8]> = data.split(|byte| *byte == 0).collect();
    for role in ROLES {
        let names = names(role);
        let Ok((taken, operands)) = parse(&names, &words) else {
            continue;
        };
        assert!(words.ends_with(operands));
        let read = &words[..words.len() - operands.len()];
        let ended = read.last() == Some(&&b"--"[..]);
        if let (false, Some(first)) = (ended, operands.first()) {
            assert!(!first.starts_with(b"-") || *first == b"-");
        }
        // Written in long form, the options and operands parse to the same result.
        let mut again: Vec<Vec<u8>> = Vec::new();
        let options: Vec<&Entry> = options(role).collect();
        for (number, value, further) in &taken {
            let option = options[*number];
            let name = [b"--", option.name.as_bytes()].concat();
            // An omitted optional value is empty.
            if option.value.is_empty() || option.value.starts_with('[') && value.is_empty() {
                assert!(value.is_empty());
                again.push(name);
            } else {
                again.push([&name[..], b"=", value].concat());
                again.extend(further.iter().map(|word| word.to_vec()));
            }
        }
        again.push(b"--".to_vec());
        again.extend(operands.iter().map(|word| word.to_vec()));
        let again: Vec<&[u8]> = again.iter().map(Vec::as_slice).collect();
        assert!(parse(&names, &again).is_ok_and(|read| read == (taken, operands)));
    }
}

/// The number and the words of the value of each option, and the operands.
type Read<'a, 'w> = (Vec<(usize, &'a [u8], &'w [&'a [u8]])>, &'w [&'a [u8]]);

fn parse<'a, 'w>(names: &'a str, words: &'w [&'a [u8]]) -> Result<Read<'a, 'w>, Wrong> {
    let mut options = Options::new(b"run", names.as_bytes(), words);
    let mut taken = Vec::new();
    while let Some((number, value)) = options.next()? {
        taken.push((number, value, options.further));
    }
    Ok((taken, options.words))
}
