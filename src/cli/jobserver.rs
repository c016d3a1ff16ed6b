//! make's jobserver: how one make and all those that it starts count their jobs together.

use alloc::vec::Vec;

use crate::chroot::command::Command;
use crate::mount::Mount;
use crate::sys::{Errno, OwnedFd, fs, split};
use crate::text::number::number;

use crate::cli::words::{duplicate, open};

/// Shows the command the FIFO (GNU make 4.4 and newer), or keeps the pipe's descriptors (older, or
/// `--jobserver-style=pipe`) that MAKEFLAGS names. Where neither is there, as in a line without `+`,
/// a make inside says so itself and does one job at a time.
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
        // A closed number is now perhaps another file's.
        (Some(Some(reader)), Some(Some(writer)), None)
            if is_pipe(duplicate(reader)) && is_pipe(duplicate(writer)) =>
        {
            command.kept_descriptors.extend([reader, writer]);
        }
        _ => {}
    }
}

/// What the last `--jobserver-auth=` says, or `--jobserver-fds=`, as before make 4.2. Make writes a
/// backslash before blanks and backslashes, and `$` twice.
fn named(makeflags: &[u8]) -> Option<Vec<u8>> {
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
                    // After `--` come variables.
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
