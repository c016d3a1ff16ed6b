//! make's jobserver: how one make and all those that it starts count their jobs together.

use alloc::vec::Vec;

use rootlet::sys::{BorrowedFd, fs, split};
use rootlet::{Chroot, Mount, number};

/// Shows the command the FIFO (GNU make 4.4 and newer), or keeps the pipe's descriptors (older, or
/// `--jobserver-style=pipe`) that MAKEFLAGS names. Where neither is there, as in a line without `+`,
/// a make inside says so itself and does one job at a time.
pub(crate) fn pass(chroot: Chroot, makeflags: &[u8]) -> Chroot {
    let Some(named) = named(makeflags) else {
        return chroot;
    };
    if let Some(path) = named.strip_prefix(b"fifo:") {
        return match path.starts_with(b"/") && is_fifo(path) {
            true => chroot.mount(Mount::bind(path).to(path).optional()),
            false => chroot,
        };
    }
    let mut ends = split(&named, b',').map(number);
    match (ends.next(), ends.next(), ends.next()) {
        // A closed number is now perhaps another file's.
        (Some(Some(reader)), Some(Some(writer)), None) if is_pipe(reader) && is_pipe(writer) => {
            chroot.keep_fd(reader).keep_fd(writer)
        }
        _ => chroot,
    }
}

/// What the last `--jobserver-auth=` says, or `--jobserver-fds=`, as before make 4.2.
fn named(makeflags: &[u8]) -> Option<Vec<u8>> {
    let mut last = None;
    for word in words(makeflags) {
        if word == b"--" {
            // What follows are variables.
            break;
        }
        for name in [&b"--jobserver-auth="[..], b"--jobserver-fds="] {
            if let Some(value) = word.strip_prefix(name) {
                last = Some(value.to_vec());
            }
        }
    }
    last
}

/// The words of MAKEFLAGS, in which make writes a backslash before blanks and backslashes, and `$`
/// twice.
fn words(makeflags: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::from([Vec::new()]);
    let mut rest = makeflags;
    while let [byte, after @ ..] = rest {
        rest = after;
        let byte = match (byte, after) {
            (b' ' | b'\t', _) => {
                words.push(Vec::new());
                continue;
            }
            (b'\\', [escaped, after @ ..]) | (b'$', [escaped @ b'$', after @ ..]) => {
                rest = after;
                escaped
            }
            (byte, _) => byte,
        };
        if let Some(word) = words.last_mut() {
            word.push(*byte);
        }
    }
    words
}

fn is_fifo(path: &[u8]) -> bool {
    let path = alloc::ffi::CString::new(path).unwrap_or_default();
    let file = fs::openat(BorrowedFd::CWD, &path, fs::O_PATH, 0);
    file.and_then(|file| fs::stat(file.borrow()))
        .is_ok_and(|stat| stat.is_pipe())
}

fn is_pipe(number: u32) -> bool {
    let number = i32::try_from(number).unwrap_or(-1);
    let file = fs::duplicate(number);
    file.and_then(|file| fs::stat(file.borrow()))
        .is_ok_and(|stat| stat.is_pipe())
}
