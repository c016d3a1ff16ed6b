//! The kernel command line, parsed by the kernel's own rules (`next_arg` in its `lib/cmdline.c`).

use alloc::vec::Vec;

/// The parameters, and the words after `--`.
///
/// A parameter ends at white space outside of double quotes. Quotes around a value, or around a whole
/// parameter, are not part of it. In names `-` and `_` are the same.
#[derive(Debug)]
pub(crate) struct CommandLine {
    parameters: Vec<Parameter>,
    /// The words after `--`, which are for init.
    pub(crate) for_init: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Parameter {
    name: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl CommandLine {
    pub(crate) fn new(text: &[u8]) -> CommandLine {
        let mut line = CommandLine {
            parameters: Vec::new(),
            for_init: Vec::new(),
        };
        let mut rest = text;
        let mut dashes = false;
        while let Some((parameter, after)) = next(rest) {
            rest = after;
            if dashes {
                line.for_init.push(parameter.joined());
            } else if parameter.name == b"--" && parameter.value.is_none() {
                dashes = true;
            } else {
                line.parameters.push(parameter);
            }
        }
        line
    }

    /// Returns whether a parameter has this name, with or without a value.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.last(&[name]).is_some()
    }

    /// Returns the value of the last parameter of this name; empty if that one has none.
    pub(crate) fn value(&self, name: &[u8]) -> Option<&[u8]> {
        let parameter = self.last(&[name])?;
        Some(parameter.value.as_deref().unwrap_or_default())
    }

    /// Returns the one of these names that came last.
    pub(crate) fn last_of<'n>(&self, names: &[&'n [u8]]) -> Option<&'n [u8]> {
        let last = self.last(names)?;
        names.iter().find(|name| is_same(&last.name, name)).copied()
    }

    /// Appends the parameters of a module: `MODULE.NAME=VALUE` becomes `NAME=VALUE`, with quotes around
    /// a value that has blanks.
    pub(crate) fn push_module_parameters(&self, module: &[u8], text: &mut Vec<u8>) {
        for Parameter { name, value } in &self.parameters {
            let Some(dot) = name.iter().position(|byte| *byte == b'.') else {
                continue;
            };
            let (module_name, name) = (&name[..dot], &name[dot + 1..]);
            // The kernel ignores a module's parameters after `--`.
            let ends_them = name == b"--" && value.is_none();
            if is_same(module_name, module) && !ends_them {
                text.push(b' ');
                text.extend_from_slice(name);
                if let Some(value) = value {
                    // Only quotes around the whole value were removed; others are still in it.
                    let was_quoted = value.iter().any(is_space) && !value.contains(&b'"');
                    let quote: &[u8] = if was_quoted { b"\"" } else { b"" };
                    for part in [b"=", quote, value, quote] {
                        text.extend_from_slice(part);
                    }
                }
            }
        }
    }

    fn last(&self, names: &[&[u8]]) -> Option<&Parameter> {
        self.parameters
            .iter()
            .rfind(|parameter| names.iter().any(|name| is_same(&parameter.name, name)))
    }
}

impl Parameter {
    fn joined(self) -> Vec<u8> {
        let mut word = self.name;
        if let Some(value) = self.value {
            word.push(b'=');
            word.extend(value);
        }
        word
    }
}

#[inline(never)]
fn is_same(name: &[u8], other: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'-' { b'_' } else { *byte };
    name.iter().map(plain).eq(other.iter().map(plain))
}

/// The kernel's isspace(), which includes the no-break space of Latin-1.
fn is_space(byte: &u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0)
}

/// Returns the first parameter of the text, and the rest.
fn next(text: &[u8]) -> Option<(Parameter, &[u8])> {
    let start = text.iter().position(|byte| !is_space(byte))?;
    let mut text = &text[start..];
    let mut in_quotes = false;
    let quoted = text.first() == Some(&b'"');
    if quoted {
        text = &text[1..];
        in_quotes = true;
    }
    let end = text.iter().position(|byte| {
        in_quotes ^= *byte == b'"';
        is_space(byte) && !in_quotes
    });
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    // An equals sign at the very start is part of the name.
    let equals = word
        .iter()
        .skip(1)
        .position(|byte| *byte == b'=')
        .map(|index| index + 1);
    let unquoted = |word: &[u8], quoted| match word {
        [inner @ .., b'"'] if quoted => Vec::from(inner),
        _ => Vec::from(word),
    };
    let parameter = match equals {
        None => Parameter {
            name: unquoted(word, quoted),
            value: None,
        },
        Some(equals) => Parameter {
            name: Vec::from(&word[..equals]),
            value: Some(match &word[equals + 1..] {
                [b'"', value @ ..] => unquoted(value, true),
                value => unquoted(value, quoted),
            }),
        },
    };
    Some((parameter, rest))
}

#[cfg(test)]
mod tests {
    use std::prelude::rust_2024::*;

    use proptest::prelude::*;

    use super::*;
    use crate::text::number::number;

    fn read(text: &str) -> CommandLine {
        CommandLine::new(text.as_bytes())
    }

    #[test]
    fn values_are_found_by_name_and_the_last_counts() {
        let line = read("root=/dev/vda ro quiet root-wait rootdelay=2 root=UUID=1-2 x=\n");
        assert_eq!(line.value(b"root"), Some(&b"UUID=1-2"[..]));
        assert_eq!(line.value(b"quiet"), Some(&b""[..]));
        assert_eq!(line.value(b"x"), Some(&b""[..]));
        assert_eq!(line.value(b"rootdelay"), Some(&b"2"[..]));
        assert!(line.has(b"root_wait"), "dash and underscore are the same");
        assert!(!line.has(b"rootdela"));
        assert!(line.for_init.is_empty());
    }

    #[test]
    fn the_last_of_ro_and_rw_counts() {
        let names: [&[u8]; 2] = [b"ro", b"rw"];
        assert_eq!(read("ro rw").last_of(&names), Some(&b"rw"[..]));
        assert_eq!(read("rw root=x ro").last_of(&names), Some(&b"ro"[..]));
        assert_eq!(read("root=x").last_of(&names), None);
    }

    #[test]
    fn quotes_are_read_as_the_kernel_reads_them() {
        let line = read(r#"a="b c" "d=e f" g=h"i j"k l="" "m" n"o p"#);
        assert_eq!(line.value(b"a"), Some(&b"b c"[..]));
        assert_eq!(line.value(b"d"), Some(&b"e f"[..]));
        // Quotes inside a value stay in it, and keep blanks in it.
        assert_eq!(line.value(b"g"), Some(&b"h\"i j\"k"[..]));
        assert_eq!(line.value(b"l"), Some(&b""[..]));
        assert!(line.has(b"m"));
        assert!(line.has(b"n\"o p"), "{line:?}");
    }

    #[test]
    fn a_name_may_begin_with_an_equals_sign() {
        let line = read("=a=b =c =");
        assert_eq!(line.value(b"=a"), Some(&b"b"[..]));
        assert!(line.has(b"=c") && line.has(b"="));
    }

    #[test]
    fn parameters_of_a_module_are_its_own() {
        let line = read(
            "loop.max_loop=3 loop.hw-queue-depth=\"a b\" loop2.x=1 a-b.c a_b.d= .e=1 x.loop.y=1 \
             LOOP.z=1 loop.-- loop.in=a\"b c\"d -- loop.not=1",
        );
        let of = |module: &[u8]| {
            let mut text = b"first=1".to_vec();
            line.push_module_parameters(module, &mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(
            of(b"loop"),
            "first=1 max_loop=3 hw-queue-depth=\"a b\" in=a\"b c\"d"
        );
        assert_eq!(of(b"a_b"), "first=1 c d=");
        assert_eq!(of(b"a-b"), "first=1 c d=");
        assert_eq!(of(b"none"), "first=1");
    }

    #[test]
    fn words_after_the_dashes_go_to_init() {
        let line = read(r#"-- -c "echo  x" y="z z" --"#);
        let words: [&[u8]; 4] = [b"-c", b"echo  x", b"y=z z", b"--"];
        assert_eq!(line.for_init, words);
        assert!(!line.has(b"y"));
        assert!(read("--=x a").has(b"a"));
    }

    #[test]
    fn a_number_is_digits() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"4294967295"), Some(u32::MAX));
        for wrong in [&b""[..], b"4294967296", b"-1", b"1 ", b"0x1"] {
            assert_eq!(number(wrong), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_command_line(text in prop::collection::vec(
            prop_oneof![Just(b' '), Just(b'"'), Just(b'='), Just(b'-'), any::<u8>()], 0..64)) {
            let line = CommandLine::new(&text);
            for parameter in &line.parameters {
                prop_assert!(line.has(&parameter.name));
            }
        }
    }
}
