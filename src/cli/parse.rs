//! The parser of options, for the names of a role that `build.rs` made from its table.

use alloc::vec::Vec;

use crate::sys::split;

/// What is wrong with the command line: `what` and `why` are the line, `role` is what the help is asked
/// for by.
pub(crate) struct Wrong {
    pub(crate) role: &'static [u8],
    pub(crate) what: Vec<u8>,
    pub(crate) why: &'static str,
}

/// The options of a command line, up to the first operand or `--`.
pub(crate) struct Options<'a, 'w> {
    /// By what the help is asked for.
    role: &'static [u8],
    /// A line for each option: `-` where it has no value, `?` where it may have one, else how many
    /// words its value has, as a digit; its short names; and after a space each its long names.
    names: &'a [u8],
    /// What follows: at the end the operands.
    pub(crate) words: &'w [&'a [u8]],
    /// The word that is read, and what follows in it after a short option.
    word: &'a [u8],
    letters: &'a [u8],
    /// The letter of a short option.
    letter: Option<u8>,
    /// What its value has after the first word.
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

    /// The number of the next option in the role's table, and its value, which is empty where it has
    /// none.
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
                    Err(self.error(&[self.word, b": a long name has two hyphens: ", &two], ""))
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

    /// The option that is read: its number in the table, and what it takes.
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

    /// The name of the option that was read last, as it was given.
    pub(crate) fn name(&self) -> Vec<u8> {
        match self.letter {
            Some(letter) => Vec::from([b'-', letter]),
            None => self.word.to_vec(),
        }
    }

    /// Which of the words between `|` the value is; `why` says that it is none.
    pub(crate) fn one_of(
        &self,
        words: &[u8],
        value: &[u8],
        why: &'static str,
    ) -> Result<usize, Wrong> {
        let known = split(words, b'|').position(|word| word == value);
        known.ok_or_else(|| self.refuse(value, why))
    }

    /// The error for a value of the option that was read last.
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
