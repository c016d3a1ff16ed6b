//! The caller's ranges of ids, `subuid(5)`, and the host's programs that know and map them.
//!
//! An ordinary user has no right to map a range. `newuidmap(1)` and `newgidmap(1)` have it, and
//! check the ranges themselves.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::process::exec::Command;
use crate::process::stdio::STANDARD;
use crate::sys::process::{Cloning, Fork, exit, fork, set_pdeathsig};
use crate::sys::signal::{SIGKILL, SignalSet, sigprocmask};
use crate::sys::{BorrowedFd, Errno, OwnedFd, Process, fs, split};
use crate::text::line::Line;
use crate::text::name::Name;
use crate::text::number::number;
use crate::text::short::Short;

/// The source of the ranges of users, or of groups.
struct Source {
    file: &'static CStr,
    /// The program that maps them.
    mapper: &'static [u8],
    /// The command that prints the ranges of a user; the user's name follows.
    question: &'static [&'static [u8]],
}

const SOURCES: [Source; 2] = [
    Source {
        file: c"/etc/subuid",
        mapper: b"newuidmap",
        question: &[b"getsubids"],
    },
    Source {
        file: c"/etc/subgid",
        mapper: b"newgidmap",
        question: &[b"getsubids", b"-g"],
    },
];

/// The usual directories of these programs.
const PATH: &[u8] = b"PATH=/usr/bin:/bin:/usr/local/bin:/run/wrappers/bin";

/// The maximum length of an answer.
const ANSWER_MAX: usize = 1 << 16;

/// Maps the ranges of the caller, from 0 on.
pub(crate) fn map_ranges(pid: i32, caller: u32, caller_mask: SignalSet) -> Result<(), Error> {
    let name = name_of(caller, caller_mask);
    for source in &SOURCES {
        let mut words = Vec::from([Name::new(source.mapper), number_name(pid as u32)]);
        let mut first = 0;
        for (start, count) in ranges(source, caller, &name, caller_mask)? {
            for number in [first, start, count] {
                words.push(number_name(number));
            }
            first = first.saturating_add(count);
        }
        run(&words, caller_mask)?;
    }
    Ok(())
}

fn number_name(number: u32) -> Name {
    let mut digits = Short::new();
    digits.push_number(number);
    Name::new(digits.bytes())
}

/// Returns the user's name, from `/etc/passwd` or a name service. A user without a name gets its
/// number.
fn name_of(user: u32, caller_mask: SignalSet) -> Name {
    let passwd = fs::read_all(c"/etc/passwd").unwrap_or_default();
    let known = split(&passwd, b'\n').find_map(|line| {
        let mut fields = split(line, b':');
        let name = fields.next()?;
        (number(fields.nth(1)?) == Some(user)).then_some(name)
    });
    if let Some(name) = known {
        return Name::new(name);
    }
    let answer = ask([&b"id"[..], b"-un"].map(Name::new).as_ref(), caller_mask);
    match split(&answer, b'\n').next() {
        Some(name) if !name.is_empty() => Name::new(name),
        _ => number_name(user),
    }
}

/// Returns the user's ranges. The file is used, unless it has none or the host has another source;
/// then the program is asked.
fn ranges(
    Source { file, question, .. }: &Source,
    user: u32,
    name: &Name,
    caller_mask: SignalSet,
) -> Result<Vec<(u32, u32)>, Error> {
    let text = match fs::read_all(file) {
        Err(Errno::ENOENT) => Vec::new(),
        text => text.map_err(|errno| Error::new(Step::ReadFile, file.to_bytes(), errno))?,
    };
    let (of_file, free) = ranges_in(&text, name.bytes(), number_name(user).bytes());
    if !of_file.is_empty() && !has_other_source() {
        return Ok(of_file);
    }
    let mut words = Vec::new();
    for word in question.iter().copied().chain([name.bytes()]) {
        words.push(Name::new(word));
    }
    let answered = ranges_in_answer(&ask(&words, caller_mask));
    if !answered.is_empty() {
        return Ok(answered);
    }
    if !of_file.is_empty() {
        return Ok(of_file);
    }
    let mut line = Line::new();
    line.push(name.bytes());
    line.push(b":");
    line.push_number(free);
    line.push(b":65536");
    let error = Error::between(
        Step::FindRange,
        file.to_bytes(),
        line.bytes(),
        Errno::ENOENT,
    );
    Err(error)
}

/// Returns the user's ranges in lines `NAME:START:COUNT`, where the name may be a number, and the
/// first number above all ranges.
pub(crate) fn ranges_in(text: &[u8], name: &[u8], digits: &[u8]) -> (Vec<(u32, u32)>, u32) {
    let mut free = 100_000;
    let mut ranges = Vec::new();
    for line in split(text, b'\n') {
        let mut fields = split(line, b':');
        let (Some(whose), Some(start), Some(count)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if let (Some(start), Some(count)) = (number(start), number(count)) {
            free = free.max(start.saturating_add(count));
            if whose == name || whose == digits {
                ranges.push((start, count));
            }
        }
    }
    (ranges, free)
}

/// Returns the ranges in lines `INDEX: NAME START COUNT`, as getsubids(1) prints them.
pub(crate) fn ranges_in_answer(answer: &[u8]) -> Vec<(u32, u32)> {
    let mut ranges = Vec::new();
    for line in split(answer, b'\n') {
        let mut words = line.rsplit(|byte| *byte == b' ');
        let (count, start) = (words.next().and_then(number), words.next().and_then(number));
        if let (Some(start), Some(count), Some(_)) = (start, count, words.next()) {
            ranges.push((start, count));
        }
    }
    ranges
}

/// Returns whether `/etc/nsswitch.conf` names another source of ranges than the files.
/// `newuidmap(1)` then asks only that source.
fn has_other_source() -> bool {
    let switch = fs::read_all(c"/etc/nsswitch.conf").unwrap_or_default();
    split(&switch, b'\n').any(|line| {
        let source = line.trim_ascii_start().strip_prefix(b"subid:");
        source.is_some_and(|source| !source.trim_ascii().starts_with(b"files"))
    })
}

/// Returns the answer of a program of the host, empty if it fails or does not exist.
fn ask(words: &[Name], caller_mask: SignalSet) -> Vec<u8> {
    let mut answer = Vec::new();
    let asked = fs::pipe(fs::O_CLOEXEC).and_then(|(reader, writer)| {
        let (reader, writer) = (reader.above_standard()?, writer.above_standard()?);
        let null = fs::openat(BorrowedFd::CWD, c"/dev/null", fs::O_WRONLY, 0)?.above_standard()?;
        let program = start(words, Some([&writer, &null]), caller_mask)?;
        drop(writer);
        // The name service may be remote and not answer.
        interruptibly(caller_mask, || {
            let read = read_answer(&reader, &mut answer);
            program.wait().and_then(|status| match status.success() {
                true => read,
                false => Err(Errno::ENOENT),
            })
        })
    });
    match asked {
        Ok(()) => answer,
        Err(_) => Vec::new(),
    }
}

fn read_answer(reader: &OwnedFd, answer: &mut Vec<u8>) -> Result<(), Errno> {
    let mut buffer = [0; 1024];
    loop {
        match fs::read(reader.borrow(), &mut buffer)? {
            0 => return Ok(()),
            // No user has this many ranges.
            length if answer.len() + length > ANSWER_MAX => return Err(Errno::EFBIG),
            length => answer.extend(&buffer[..length]),
        }
    }
}

/// Runs a program of the host and waits for it.
fn run(words: &[Name], caller_mask: SignalSet) -> Result<(), Error> {
    let program = words.first().map_or(&b""[..], Name::bytes);
    let failed = |errno| Error::new(Step::MapUsers, program, errno);
    let child = start(words, None, caller_mask).map_err(failed)?;
    let ended = interruptibly(caller_mask, || child.wait());
    match ended.map_err(failed)?.code() {
        Some(0) => Ok(()),
        Some(127) => Err(failed(Errno::ENOENT)),
        _ => Err(Error::because(
            Step::MapUsers,
            program,
            "it failed, and printed the reason",
        )),
    }
}

/// Starts a program of the host, with these outputs or ours. It ends with us.
fn start(
    words: &[Name],
    outputs: Option<[&OwnedFd; 2]>,
    caller_mask: SignalSet,
) -> Result<Process, Errno> {
    let environment = [Name::new(PATH)];
    let mut command = Command::new(words, &environment);
    // SAFETY: the child allocates nothing.
    match unsafe { fork(0, Cloning::Clone3) }? {
        Fork::Parent(child) => Ok(child),
        Fork::Child => {
            let _ = set_pdeathsig(SIGKILL);
            let [_, standard @ ..] = STANDARD;
            for (output, number) in outputs.into_iter().flatten().zip(standard) {
                let _ = fs::make_standard(output.borrow(), number);
            }
            let _ = sigprocmask(caller_mask);
            exit(command.execute().status())
        }
    }
}

/// Calls `wait` with the caller's signal mask, so that signals can end this process. Otherwise all
/// are blocked, to be read once there is a command that gets them.
fn interruptibly<T>(
    caller_mask: SignalSet,
    wait: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Errno> {
    let blocked = sigprocmask(caller_mask)?;
    let waited = wait();
    sigprocmask(blocked)?;
    waited
}

#[cfg(test)]
mod tests {
    use std::prelude::rust_2024::*;

    #[test]
    fn ranges_are_read_from_both_forms() {
        let file = b"a:5:6\nb:7:8\n77:9:10\nb:x:1\nb:1\nb:200000:1:more\n";
        let ours = (vec![(7, 8), (9, 10), (200_000, 1)], 200_001);
        assert_eq!(super::ranges_in(file, b"b", b"77"), ours);
        assert_eq!(super::ranges_in(b"", b"b", b"77"), (vec![], 100_000));
        let answer = b"0: b 100000 65536\n1: a b 165536 5\nError\n2: b -1 5\n5 5\n";
        assert_eq!(
            super::ranges_in_answer(answer),
            [(100_000, 65536), (165_536, 5)]
        );
    }
}
