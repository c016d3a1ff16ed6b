//! make's jobserver: how one make and all those that it starts count their jobs together.

use alloc::vec::Vec;

use rootlet::sys::{Errno, OwnedFd, fs, split};
use rootlet::{Chroot, Mount, number};

use crate::cli::words::{duplicate, open};

/// Shows the command the FIFO (GNU make 4.4 and newer), or keeps the pipe's descriptors (older, or
/// `--jobserver-style=pipe`) that MAKEFLAGS names. Where neither is there, as in a line without `+`,
/// a make inside says so itself and does one job at a time.
pub(crate) fn pass(chroot: Chroot, makeflags: &[u8]) -> Chroot {
    let Some(named) = named(makeflags) else {
        return chroot;
    };
    if let Some(path) = named.strip_prefix(b"fifo:") {
        return match path.starts_with(b"/") && is_pipe(open(path, fs::O_PATH)) {
            true => chroot.mount(Mount::bind(path).to(path).optional()),
            false => chroot,
        };
    }
    let mut ends = split(&named, b',').map(number);
    match (ends.next(), ends.next(), ends.next()) {
        // A closed number is now perhaps another file's.
        (Some(Some(reader)), Some(Some(writer)), None)
            if is_pipe(duplicate(reader)) && is_pipe(duplicate(writer)) =>
        {
            chroot.keep_fd(reader).keep_fd(writer)
        }
        _ => chroot,
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
