//! The parser of a role's options, from its table.

use rootlet::{Error, Step};

use crate::cli::options::{Id, Opt, Role};

/// Reads options up to the first operand or `--`: gives each with its value to `take`, and
/// returns the rest.
pub(crate) fn parse<'a, 'w>(
    role: &Role,
    mut words: &'w [&'a [u8]],
    mut take: impl FnMut(Id, &'a [u8]) -> Result<(), Error<'static>>,
) -> Result<&'w [&'a [u8]], Error<'static>> {
    let wrong = |word: &[u8], why| Err(Error::because(Step::Usage, word, why));
    let all = || role.sections.iter().flat_map(|section| section.options);
    while let [word, rest @ ..] = words {
        match word {
            [b'-', b'-'] => return Ok(rest),
            [b'-', b'-', long @ ..] => {
                words = rest;
                let mut parts = long.splitn(2, |byte| *byte == b'=');
                let name = parts.next().unwrap_or_default();
                let attached = parts.next();
                let known =
                    |option: &&Opt| option.long.iter().any(|known| known.as_bytes() == name);
                let Some(option) = all().find(known) else {
                    return wrong(word, "there is no such option");
                };
                match (option.value, attached) {
                    (None, None) => take(option.id, b"")?,
                    (None, Some(_)) => return wrong(word, "the option takes no value"),
                    (Some(_), Some(value)) => take(option.id, value)?,
                    (Some(_), None) => {
                        let [value, after @ ..] = words else {
                            return wrong(word, "the option needs a value");
                        };
                        take(option.id, value)?;
                        words = after;
                    }
                }
            }
            [b'-', letters @ ..] if !letters.is_empty() => {
                words = rest;
                let mut letters = letters;
                while let [letter, after @ ..] = letters {
                    let known = |option: &&Opt| option.short == Some(*letter);
                    let Some(option) = all().find(known) else {
                        return wrong(word, "there is no such option");
                    };
                    letters = after;
                    if option.value.is_none() {
                        take(option.id, b"")?;
                    } else if after.is_empty() {
                        let [value, after @ ..] = words else {
                            return wrong(word, "the option needs a value");
                        };
                        take(option.id, value)?;
                        words = after;
                    } else {
                        take(option.id, after)?;
                        letters = b"";
                    }
                }
            }
            _ => break,
        }
    }
    Ok(words)
}

/// A number, of digits alone.
pub(crate) fn number(text: &[u8]) -> Option<u32> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| core::str::from_utf8(text).ok()?.parse().ok())?
}
