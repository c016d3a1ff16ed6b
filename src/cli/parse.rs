//! The parser of options, for the names of a role that `build.rs` made from its table.

use crate::sys::split;

/// What is wrong with a word.
pub(crate) struct Wrong<'a> {
    pub(crate) word: &'a [u8],
    pub(crate) why: &'static str,
}

/// The options of a command line, up to the first operand or `--`.
pub(crate) struct Options<'a, 'w> {
    /// A line for each option: `-` where it has no value, `=` where it has one, `?` where it may; its
    /// short names; and after a space each its long names.
    names: &'a [u8],
    /// What follows: at the end the operands.
    pub(crate) words: &'w [&'a [u8]],
    /// The word that is read, and what follows in it after a short option.
    word: &'a [u8],
    letters: &'a [u8],
}

impl<'a, 'w> Options<'a, 'w> {
    pub(crate) fn new(names: &'a [u8], words: &'w [&'a [u8]]) -> Options<'a, 'w> {
        Options {
            names,
            words,
            word: b"",
            letters: b"",
        }
    }

    /// The number of the next option in the role's table, and its value, which is empty where it has
    /// none.
    #[inline(never)]
    pub(crate) fn next(&mut self) -> Result<Option<(usize, &'a [u8])>, Wrong<'a>> {
        let (mut name, mut attached): (&[u8], Option<&[u8]>) = (b"", None);
        if self.letters.is_empty() {
            let [word, rest @ ..] = self.words else {
                return Ok(None);
            };
            match word {
                [b'-', b'-'] => {
                    self.words = rest;
                    return Ok(None);
                }
                [b'-', b'-', long @ ..] => {
                    name = long;
                    if let Some(equals) = long.iter().position(|byte| *byte == b'=') {
                        name = &long[..equals];
                        attached = Some(&long[equals + 1..]);
                    }
                }
                [b'-', letters @ ..] if !letters.is_empty() => self.letters = letters,
                _ => return Ok(None),
            }
            self.words = rest;
            self.word = word;
        }
        let letter = self.letters.first();
        let known = |line: &&[u8]| {
            let mut names = split(&line[1..], b' ');
            let short = names.next().unwrap_or_default();
            match letter {
                Some(letter) => short.contains(letter),
                None => names.any(|known| known == name),
            }
        };
        let mut lines = split(self.names, b'\n').enumerate();
        let Some((number, [takes, ..])) = lines.find(|(_, line)| known(line)) else {
            return self.wrong("there is no such option");
        };
        if let [_, after @ ..] = self.letters {
            self.letters = after;
            if *takes == b'=' && !after.is_empty() {
                attached = Some(after);
                self.letters = b"";
            }
        }
        let value = match (takes, attached) {
            (b'-', Some(_)) => return self.wrong("the option takes no value"),
            (b'=', None) => {
                let [value, rest @ ..] = self.words else {
                    return self.wrong("the option needs a value");
                };
                self.words = rest;
                value
            }
            (_, attached) => attached.unwrap_or_default(),
        };
        Ok(Some((number, value)))
    }

    /// Which of the words between `|` the value is.
    pub(crate) fn one_of(&self, words: &[u8], value: &[u8]) -> Result<usize, Wrong<'a>> {
        let known = split(words, b'|').position(|word| word == value);
        known.map_or_else(|| self.wrong("there is no such value for it"), Ok)
    }

    fn wrong<T>(&self, why: &'static str) -> Result<T, Wrong<'a>> {
        Err(Wrong {
            word: self.word,
            why,
        })
    }
}
