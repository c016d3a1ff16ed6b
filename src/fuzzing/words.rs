//! Words of the command line from files and descriptors, from make, and in options.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::prelude::rust_2024::*;
use std::{env, format, str};

use linux_raw_sys::general::O_TMPFILE;

use crate::cli::parse::Options;
use crate::cli::words::{in_front, spliced};

include!(concat!(env!("OUT_DIR"), "/run.rs"));

/// Takes a command line with a word in each line, then after each 0xff the content of a file. The bytes 1
/// to 3 stand for the descriptors of the files.
pub fn words(data: &[u8]) {
    let args_fd = IDS.iter().position(|id| *id == Id::ArgsFd);
    let files = Files::new(&data[..data.len().min(400)]);
    let line: Vec<&'static [u8]> = files.contents[0].split(|byte| *byte == b'\n').collect();
    if let Some(expected) = files.expand(&line, |words| next_named(args_fd, words)) {
        files.rewind();
        assert_eq!(spliced(NAMES, args_fd, &line).ok(), expected.ok());
    }
    files.rewind();
    let first = |words: &[&'static [u8]]| match words {
        [file, ..] if file.starts_with(b"@") => Some(Ok((0, 1, Named::File(&file[1..])))),
        _ => None,
    };
    if let Some(expected) = files.expand(&line, first) {
        assert_eq!(in_front(&line).ok(), expected.ok());
    }
}

/// An error of the command line; which one does not matter here.
struct Wrong;

enum Named {
    /// A file, whose lines are words.
    File(&'static [u8]),
    /// The number of a descriptor, whose words end with NUL.
    Descriptor(&'static [u8]),
}

/// Finds the first words that name a file: returns their place, and the file.
fn next_named(
    args_fd: Option<usize>,
    words: &[&'static [u8]],
) -> Option<Result<(usize, usize, Named), Wrong>> {
    let mut options = Options::new(b"run", NAMES, words);
    loop {
        let start = words.len() - options.words.len();
        match options.next() {
            Err(_) => return Some(Err(Wrong)),
            Ok(Some((number, value))) if Some(number) == args_fd => {
                let end = words.len() - options.words.len();
                return Some(Ok((start, end, Named::Descriptor(value))));
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                let [file, ..] = options.words else {
                    return None;
                };
                let is_operand = words.len() - options.words.len() > start;
                let name = file.strip_prefix(b"@").filter(|_| !is_operand)?;
                return Some(Ok((start, start + 1, Named::File(name))));
            }
        }
    }
}

/// The command line and its files.
struct Files {
    /// The command line, and the content of each file. Words live as long as the program.
    contents: Vec<&'static [u8]>,
    files: Vec<File>,
}

impl Files {
    fn new(data: &[u8]) -> Files {
        let parts: Vec<&[u8]> = data.splitn(4, |byte| *byte == 0xff).collect();
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .custom_flags(O_TMPFILE as i32);
        let files: Vec<File> = parts[1..]
            .iter()
            .map(|_| options.open(env::temp_dir()).unwrap())
            .collect();
        let mut contents: Vec<&'static [u8]> = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let mut text = Vec::new();
            for byte in *part {
                match byte {
                    // The arguments of a process have none.
                    0 if index == 0 => {}
                    1..=3 => {
                        let file = files.get(usize::from(byte - 1));
                        let number = file.map_or(-1, |file| file.as_raw_fd());
                        text.extend(format!("{number}").bytes());
                    }
                    byte => text.push(*byte),
                }
            }
            contents.push(text.leak());
        }
        for (mut file, content) in files.iter().zip(&contents[1..]) {
            file.write_all(content).unwrap();
        }
        let files = Files { contents, files };
        files.rewind();
        files
    }

    /// Descriptors are read from the start again.
    fn rewind(&self) {
        self.files
            .iter()
            .for_each(|mut file| file.rewind().unwrap());
    }

    /// Replaces words that name a file by its words, from the start each time. A word in a file is one
    /// level deeper than the word that names the file. Returns `None` if a file of the host is named.
    fn expand(
        &self,
        line: &[&'static [u8]],
        next: impl Fn(&[&'static [u8]]) -> Option<Result<(usize, usize, Named), Wrong>>,
    ) -> Option<Result<Vec<&'static [u8]>, Wrong>> {
        let mut words: Vec<(usize, &'static [u8])> = line.iter().map(|word| (0, *word)).collect();
        let mut is_read = [false; 3];
        for _ in 0..300 {
            let plain: Vec<&'static [u8]> = words.iter().map(|(_, word)| *word).collect();
            let (start, end, named) = match next(&plain) {
                None => return Some(Ok(plain)),
                Some(Err(wrong)) => return Some(Err(wrong)),
                Some(Ok(found)) => found,
            };
            let depth = words[end - 1].0 + 1;
            if depth > 16 {
                return Some(Err(Wrong));
            }
            let new = match named {
                Named::File(b"") => return Some(Err(Wrong)),
                Named::File(path) => {
                    match lines(self.contents[1 + self.at(path.strip_prefix(b"/proc/self/fd/")?)?])
                    {
                        Some(words) => words,
                        None => return Some(Err(Wrong)),
                    }
                }
                Named::Descriptor(digits) => {
                    let text = str::from_utf8(digits).unwrap_or("-");
                    if text.starts_with('+') || text.parse::<u32>().is_err() {
                        return Some(Err(Wrong));
                    }
                    let index = self.at(text.trim_start_matches('0').as_bytes())?;
                    // The offset is the descriptor's, so it has nothing more the second time.
                    match std::mem::replace(&mut is_read[index], true) {
                        true => Vec::new(),
                        false => strings(self.contents[1 + index]),
                    }
                }
            };
            words.splice(start..end, new.into_iter().map(|word| (depth, word)));
        }
        None
    }

    /// Returns the index of the file with this descriptor.
    fn at(&self, digits: &[u8]) -> Option<usize> {
        let is_it = |file: &File| format!("{}", file.as_raw_fd()).as_bytes() == digits;
        self.files.iter().position(is_it)
    }
}

/// Returns the words of a file, unless one has a NUL.
fn lines(text: &'static [u8]) -> Option<Vec<&'static [u8]>> {
    let mut words = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let mut word = line.strip_suffix(b"\r").unwrap_or(line);
        while let [b' ' | b'\t', rest @ ..] = word {
            word = rest;
        }
        match word {
            [] | [b'#', ..] => {}
            word if word.contains(&0) => return None,
            word => words.push(word),
        }
    }
    Some(words)
}

/// Returns the strings, each of which ends with NUL; the last one may omit it.
fn strings(text: &'static [u8]) -> Vec<&'static [u8]> {
    let mut strings: Vec<&[u8]> = text.split_inclusive(|byte| *byte == 0).collect();
    for string in &mut strings {
        *string = string.strip_suffix(b"\0").unwrap_or(string);
    }
    strings
}
