//! The parser of options, for the names of a role that `build.rs` generates from the table.

use alloc::vec::Vec;

use crate::sys::split;

/// An error of the command line: `what` and `why` make the line, and `role` selects the help that the
/// hint names.
pub(crate) struct Wrong {
    pub(crate) role: &'static [u8],
    pub(crate) what: Vec<u8>,
    pub(crate) why: &'static str,
}

/// The options of a command line, up to the first operand or `--`.
pub(crate) struct Options<'a, 'w> {
    /// Selects the help that a hint names.
    role: &'static [u8],
    /// A line for each option: `-` if it takes no value, `?` if it may take one, else the number of
    /// words in its value; then its short names; then its long names, each after a space.
    names: &'a [u8],
    /// The words that are not parsed yet; at the end, the operands.
    pub(crate) words: &'w [&'a [u8]],
    /// The current word, and in it the letters after the current short option.
    word: &'a [u8],
    letters: &'a [u8],
    /// The letter of the current option, if it is a short one.
    letter: Option<u8>,
    /// The words of the option's value after the first.
    pub(crate) further: &'w [&'a [u8]],
}

impl<'a, 'w> Options<'a, 'w> {
    pub(crate) fn new(
        role: &'static [u8],
        names: &'a [u8],
        words: &'w [&'a [u8]],
    ) -> Options<'a, 'w> {
        Options {
            role,
            names,
            words,
            word: b"",
            letters: b"",
            letter: None,
            further: &[],
        }
    }

    /// Returns the number of the next option in the role's table, and its value; empty if it has none.
    #[inline(never)]
    pub(crate) fn next(&mut self) -> Result<Option<(usize, &'a [u8])>, Wrong> {
        let mut attached: Option<&[u8]> = None;
        if self.letters.is_empty() {
            let [word, rest @ ..] = self.words else {
                return Ok(None);
            };
            match word {
                [b'-', b'-'] => {
                    self.words = rest;
                    return Ok(None);
                }
                [b'-', b'-', ..] => {
                    self.word = word;
                    if let Some(equals) = word.iter().position(|byte| *byte == b'=') {
                        self.word = &word[..equals];
                        attached = Some(&word[equals + 1..]);
                    }
                }
                [b'-', letters @ ..] if !letters.is_empty() => {
                    self.word = word;
                    self.letters = letters;
                }
                _ => return Ok(None),
            }
            self.words = rest;
        }
        self.letter = self.letters.first().copied();
        let Some((number, takes)) = self.known() else {
            return match self.letter {
                Some(_)
                    if self
                        .find(None, self.word.get(1..).unwrap_or_default())
                        .is_some() =>
                {
                    let two = [b"-", self.word].concat();
                    Err(self.error(&[self.word, b": no such option; write ", &two], ""))
                }
                _ => self.wrong("no such option"),
            };
        };
        if let [_, after @ ..] = self.letters {
            self.letters = after;
            if takes.is_ascii_digit() && !after.is_empty() {
                attached = Some(after);
                self.letters = b"";
            }
        }
        let value = match (takes, attached) {
            (b'-', Some(_)) => return self.wrong("takes no value"),
            (b'1'..=b'9', None) => {
                let [value, rest @ ..] = self.words else {
                    return self.wrong("needs a value");
                };
                self.words = rest;
                value
            }
            (_, attached) => attached.unwrap_or_default(),
        };
        self.further = &[];
        if let b'1'..=b'9' = takes {
            let Some((further, rest)) = self.words.split_at_checked(usize::from(takes - b'1'))
            else {
                return self.wrong("needs three words");
            };
            (self.further, self.words) = (further, rest);
        }
        Ok(Some((number, value)))
    }

    /// Returns the current option's number in the table, and the character for its value.
    fn known(&self) -> Option<(usize, u8)> {
        self.find(self.letter, self.word.get(2..).unwrap_or_default())
    }

    fn find(&self, letter: Option<u8>, name: &[u8]) -> Option<(usize, u8)> {
        let known = |line: &[u8]| {
            let mut names = split(line, b' ');
            let short = names.next().unwrap_or_default();
            match letter {
                Some(letter) => short.contains(&letter),
                None => names.any(|known| known == name),
            }
        };
        let mut lines = split(self.names, b'\n').enumerate();
        lines.find_map(|(number, line)| match line {
            [takes, names @ ..] if known(names) => Some((number, *takes)),
            _ => None,
        })
    }

    /// Returns the current option's name in the form that was given.
    pub(crate) fn name(&self) -> Vec<u8> {
        match self.letter {
            Some(letter) => Vec::from([b'-', letter]),
            None => self.word.to_vec(),
        }
    }

    /// Returns the index of the value among the words separated by `|`; otherwise fails with `why`.
    pub(crate) fn one_of(
        &self,
        words: &[u8],
        value: &[u8],
        why: &'static str,
    ) -> Result<usize, Wrong> {
        let known = split(words, b'|').position(|word| word == value);
        known.ok_or_else(|| self.refuse(value, why))
    }

    /// Returns the error for a value of the current option.
    pub(crate) fn refuse(&self, value: &[u8], why: &'static str) -> Wrong {
        self.error(&[&self.name(), b": '", value, b"'"], why)
    }

    fn error(&self, what: &[&[u8]], why: &'static str) -> Wrong {
        Wrong {
            role: self.role,
            what: what.concat(),
            why,
        }
    }

    fn wrong<T>(&self, why: &'static str) -> Result<T, Wrong> {
        Err(self.error(&[&self.name(), b":"], why))
    }
}
