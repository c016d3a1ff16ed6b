//! make's jobserver, with which a make and all makes below it share one limit on jobs.
//!
//! The jobserver is a pipe or a FIFO that MAKEFLAGS names. GNU make 4.4 and newer uses a FIFO by default.

use alloc::vec::Vec;

use crate::chroot::command::Command;
use crate::mount::Mount;
use crate::sys::{Errno, OwnedFd, fs, split};
use crate::text::number::number;

use crate::cli::words::{duplicate, open};

/// Binds the FIFO into the root, or keeps the pipe's descriptors for the command. If neither exists, as
/// in a line of a Makefile without `+`, a make inside warns and runs one job at a time.
pub(crate) fn pass(command: &mut Command, makeflags: &[u8]) {
    let Some(named) = named(makeflags) else {
        return;
    };
    if let Some(path) = named.strip_prefix(b"fifo:") {
        if path.starts_with(b"/") && is_pipe(open(path, fs::O_PATH)) {
            let fifo = Mount::bind(path).to(path).optional();
            command.chroot().mount(fifo);
        }
        return;
    }
    let mut ends = split(&named, b',').map(number);
    match (ends.next(), ends.next(), ends.next()) {
        // If make closed its descriptors, the numbers may belong to other files by now.
        (Some(Some(reader)), Some(Some(writer)), None)
            if is_pipe(duplicate(reader)) && is_pipe(duplicate(writer)) =>
        {
            command.kept_descriptors.extend([reader, writer]);
        }
        _ => {}
    }
}

/// Returns the value of the last `--jobserver-auth=`, or `--jobserver-fds=` before make 4.2. make escapes
/// blanks and backslashes by a backslash, and doubles `$`.
pub(crate) fn named(makeflags: &[u8]) -> Option<Vec<u8>> {
    let (mut last, mut word) = (None, Vec::new());
    let mut rest = makeflags;
    loop {
        let (byte, after) = match rest {
            [b'\\', byte, after @ ..] | [b'$', byte @ b'$', after @ ..] => (byte, after),
            [b' ' | b'\t', ..] | [] => {
                for name in [&b"--jobserver-auth="[..], b"--jobserver-fds="] {
                    if word.starts_with(name) {
                        last = Some(word.split_off(name.len()));
                    }
                }
                match rest {
                    // Words after `--` are variables.
                    [_, after @ ..] if word != b"--" => rest = after,
                    _ => return last,
                }
                word.clear();
                continue;
            }
            [byte, after @ ..] => (byte, after),
        };
        word.push(*byte);
        rest = after;
    }
}

fn is_pipe(file: Result<OwnedFd, Errno>) -> bool {
    file.and_then(|file| fs::stat(file.borrow()))
        .is_ok_and(|stat| stat.is_pipe())
}
