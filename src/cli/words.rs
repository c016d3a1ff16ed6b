//! Words of the command line that come from a file (`@FILE`) or from a descriptor (`--args-fd`).

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, split};
use crate::text::number::number;

use crate::cli::parse::Options;

/// The most bytes read from one file. The kernel accepts 6 MiB of arguments and environment.
const MOST: usize = 8 << 20;

/// The greatest depth of files that name others. It ends the recursion of a file that names itself.
const DEEPEST: usize = 16;

/// The files that enclose the current word. For each it has the number of words that follow the file's.
struct Nesting(Vec<usize>);

impl Nesting {
    fn new() -> Nesting {
        Nesting(Vec::new())
    }

    /// Enters a file whose words `following` others follow; fails if it is nested too deeply.
    fn enter(&mut self, file: &[u8], following: usize) -> Result<(), Error> {
        while self.0.last().is_some_and(|end| *end > following) {
            self.0.pop();
        }
        if self.0.len() == DEEPEST {
            let why = "is nested too deeply: at most 16 files may name each other";
            return Err(Error::usage(b"run", &[file, b":"], why));
        }
        self.0.push(following);
        Ok(())
    }
}

/// Replaces each `@FILE` at the start of the words by the words in the file.
pub(crate) fn in_front(words: &[&'static [u8]]) -> Result<Vec<&'static [u8]>, Error> {
    let mut words = words.to_vec();
    let mut nesting = Nesting::new();
    while let [file @ [b'@', ..], rest @ ..] = &words[..] {
        nesting.enter(file, rest.len())?;
        words = [&of_file(file)?, rest].concat();
    }
    Ok(words)
}

/// Replaces each `@FILE` among the options, and each option with the number `args_fd`, by the words in the
/// file or behind the descriptor.
pub(crate) fn spliced(
    names: &'static [u8],
    args_fd: Option<usize>,
    words: &[&'static [u8]],
) -> Result<Vec<&'static [u8]>, Error> {
    let mut words = words.to_vec();
    let mut nesting = Nesting::new();
    let mut start = 0;
    loop {
        let mut options = Options::new(b"run", names, words.get(start..).unwrap_or_default());
        let (before, named) = loop {
            let before = options.words.len();
            match options.next()? {
                Some((number, value)) if Some(number) == args_fd => break (before, Some(value)),
                Some(_) => {}
                None => break (before, None),
            }
        };
        let (held, rest) = match (named, options.words) {
            (Some(value), rest) => {
                nesting.enter(&options.name(), rest.len())?;
                let why = "is not the number of a descriptor";
                let descriptor = number(value).ok_or_else(|| options.refuse(value, why))?;
                (of_descriptor(value, descriptor)?, rest)
            }
            // After `--` one word more has been read, and `@FILE` is an operand.
            (None, [file @ [b'@', ..], rest @ ..]) if rest.len() + 1 == before => {
                nesting.enter(file, rest.len())?;
                (of_file(file)?, rest)
            }
            _ => return Ok(words),
        };
        start = words.len() - before;
        words = [words.get(..start).unwrap_or_default(), &held, rest].concat();
    }
}

/// Reads the words of a file, one a line; the name includes its `@`. Skips leading blanks, empty lines,
/// lines that begin with `#`, and a carriage return at the end of a line.
fn of_file(named: &'static [u8]) -> Result<Vec<&'static [u8]>, Error> {
    let path = named.get(1..).unwrap_or_default();
    if path.is_empty() {
        return Err(Error::usage(b"run", &[b"@:"], "missing FILE: @FILE"));
    }
    let text = open(path, fs::O_RDONLY | fs::O_NOCTTY)
        .and_then(|file| fs::read_to_end(file.borrow(), MOST))
        .map_err(|errno| Error::new(Step::ReadWords, path, errno))?;
    let mut words = Vec::new();
    for line in split(text.leak(), b'\n') {
        let start = line.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match start.and_then(|start| line.get(start..)) {
            None | Some([] | [b'#', ..]) => {}
            Some(word) if word.contains(&0) => {
                let why = "contains a NUL byte: use --args-fd for words that end with NUL";
                return Err(Error::usage(b"run", &[named, b":"], why));
            }
            Some(word) => words.push(word),
        }
    }
    Ok(words)
}

/// Reads the words behind a descriptor of the caller's. Each ends with NUL, which the last may omit.
fn of_descriptor(value: &[u8], descriptor: u32) -> Result<Vec<&'static [u8]>, Error> {
    let text = duplicate(descriptor)
        .and_then(|file| fs::read_to_end(file.borrow(), MOST))
        .map_err(|errno| {
            let name = [b"descriptor ", value].concat();
            Error::new(Step::ReadWords, &name, errno)
        })?;
    Ok(match text.leak() {
        [] => Vec::new(),
        text => split(text.strip_suffix(b"\0").unwrap_or(text), 0).collect(),
    })
}

/// Opens a path up to its first NUL.
#[inline(never)]
pub(crate) fn open(path: &[u8], flags: u32) -> Result<OwnedFd, Errno> {
    let path = [path, b"\0"].concat();
    let path = CStr::from_bytes_until_nul(&path).unwrap_or_default();
    fs::openat(BorrowedFd::CWD, path, flags, 0)
}

/// Duplicates the caller's descriptor with this number.
#[inline(never)]
pub(crate) fn duplicate(number: u32) -> Result<OwnedFd, Errno> {
    fs::duplicate(i32::try_from(number).unwrap_or(-1))
}
