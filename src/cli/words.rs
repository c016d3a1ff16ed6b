//! Words of the command line that are kept elsewhere: in a file (`@FILE`), or behind a descriptor.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, split};
use crate::text::number::number;

use crate::cli::parse::Options;

/// As many bytes are read from one place. The kernel takes 6 MiB of arguments and environment.
const MOST: usize = 8 << 20;

/// A file may name others. One that names itself is found out by this depth.
const DEEPEST: usize = 16;

/// The words after which those of a file end, for each file that is being read: as many words follow.
struct Nesting(Vec<usize>);

impl Nesting {
    fn new() -> Nesting {
        Nesting(Vec::new())
    }

    /// Goes one deeper, into words that `following` others follow.
    fn enter(&mut self, file: &[u8], following: usize) -> Result<(), Error> {
        while self.0.last().is_some_and(|end| *end > following) {
            self.0.pop();
        }
        if self.0.len() == DEEPEST {
            let why = "is one file too deep: 16 may name each other";
            return Err(Error::usage(b"run", &[file, b":"], why));
        }
        self.0.push(following);
        Ok(())
    }
}

/// Words that begin with one or more `@FILE`, each replaced by what it holds.
pub(crate) fn in_front(words: &[&'static [u8]]) -> Result<Vec<&'static [u8]>, Error> {
    let mut words = words.to_vec();
    let mut nesting = Nesting::new();
    while let [file @ [b'@', ..], rest @ ..] = &words[..] {
        nesting.enter(file, rest.len())?;
        words = [&of_file(file)?, rest].concat();
    }
    Ok(words)
}

/// The words of a role, in which each `@FILE` among the options, and each option with the number
/// `args_fd`, is replaced by what it names.
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
            // Not after `--`, which has been read then.
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

/// The words of a file, named with its `@`: one a line. Leading blanks, empty lines, lines that begin
/// with `#` and a carriage return at the end of a line are no part of them.
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
                let why = "holds a NUL byte: words that end with one are read by --args-fd";
                return Err(Error::usage(b"run", &[named, b":"], why));
            }
            Some(word) => words.push(word),
        }
    }
    Ok(words)
}

/// The words behind a descriptor of the caller's: each ends with NUL, but the last need not.
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

/// Opens a path, which holds no NUL.
#[inline(never)]
pub(crate) fn open(path: &[u8], flags: u32) -> Result<OwnedFd, Errno> {
    let path = [path, b"\0"].concat();
    let path = CStr::from_bytes_until_nul(&path).unwrap_or_default();
    fs::openat(BorrowedFd::CWD, path, flags, 0)
}

/// Another descriptor for what the caller's of this number refers to.
#[inline(never)]
pub(crate) fn duplicate(number: u32) -> Result<OwnedFd, Errno> {
    fs::duplicate(i32::try_from(number).unwrap_or(-1))
}
