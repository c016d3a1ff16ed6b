//! Who of the host is who in a new user namespace.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::process::channel;
use crate::process::exec::Command;
use crate::process::namespace::map_one;
use crate::sys::credentials::{Kind, set_groups, set_ids};
use crate::sys::poll::{Poll, poll};
use crate::sys::process::{ExitStatus, Fork, Waited, Who, exit, fork, wait};
use crate::sys::signal::{SIGKILL, SignalSet, send, set_blocked};
use crate::sys::{BorrowedFd, Errno, fs, net, split};
use crate::text::line::Line;
use crate::text::name::Name;
use crate::text::number::number;
use crate::text::short::Short;

/// Whom a new user namespace knows, and by what number. All others are nobody there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum MapUsers {
    /// The caller, as user and group 0.
    Root,
    /// The caller, with its own numbers. The command has no capabilities.
    Current,
    /// The caller's ranges in `/etc/subuid` and `/etc/subgid` (`subuid(5)`), from 0 on, by
    /// `newuidmap(1)` and `newgidmap(1)`: for a root whose files belong to many users of those
    /// ranges. The command runs as the range's first, who is 0 inside; the caller is nobody.
    Auto,
}

/// The host's file of ranges, the program that maps them, and the ids of one kind.
const KINDS: [(&CStr, &[u8]); 2] = [
    (c"/etc/subuid", b"newuidmap"),
    (c"/etc/subgid", b"newgidmap"),
];

/// Where systems have the programs.
const PATH: &[u8] = b"PATH=/usr/bin:/bin:/usr/local/bin:/run/wrappers/bin";

impl MapUsers {
    /// In the new user namespace. Allocates nothing.
    pub(crate) fn map(
        self,
        caller: (u32, u32),
        supervisor: BorrowedFd,
    ) -> Result<(), Error<'static>> {
        match self {
            MapUsers::Root => map_one(caller, (0, 0)),
            MapUsers::Current => map_one(caller, caller),
            MapUsers::Auto => {
                await_map(supervisor);
                set_ids(Kind::Group, 0)
                    .and_then(|()| set_groups(&[]))
                    .and_then(|()| set_ids(Kind::User, 0))
                    .map_err(|errno| Error::new(Step::MapUsers, b"0", errno))
            }
        }
    }

    /// Outside, once there is the process `pid` in a new user namespace, which waits for it.
    pub(crate) fn map_from_outside(
        self,
        pid: i32,
        caller: (u32, u32),
        inside: BorrowedFd,
        caller_mask: SignalSet,
    ) -> Result<(), Error<'static>> {
        if self != MapUsers::Auto {
            return Ok(());
        }
        for (file, program) in KINDS {
            let mut words = Vec::from([Name::new(program), number_name(pid as u32)]);
            let mut first = 0;
            for (start, count) in ranges(file, caller.0)? {
                for number in [first, start, count] {
                    words.push(number_name(number));
                }
                first = first.saturating_add(count);
            }
            run(&words, caller_mask)?;
        }
        let sent = net::send(inside, channel::MAPPED);
        sent.map_err(|errno| Error::new(Step::MapUsers, b"", errno))
    }
}

/// A supervisor that cannot map says why itself.
fn await_map(supervisor: BorrowedFd) {
    let _ = poll(&mut [Poll::new(supervisor)], None);
    let mut told = [0; 16];
    match net::receive(supervisor, &mut told) {
        Ok(length) if &told[..length] == channel::MAPPED => {}
        _ => exit(125),
    }
}

/// Ends the process that waits for its map.
pub(crate) fn end_unmapped(process: BorrowedFd) {
    let _ = send(process, SIGKILL);
    let _ = wait(Who::Pidfd(process));
}

fn number_name(number: u32) -> Name {
    let mut digits = Short::new();
    digits.push_number(number);
    Name::new(digits.bytes())
}

/// The user's ranges in a file of lines `NAME:START:COUNT`, where the name may be a number.
fn ranges(file: &CStr, user: u32) -> Result<Vec<(u32, u32)>, Error<'static>> {
    let passwd = fs::read_all(c"/etc/passwd").unwrap_or_default();
    let digits = number_name(user);
    let name = name_of(&passwd, user).unwrap_or(digits.bytes());
    let text = match fs::read_all(file) {
        Err(Errno::ENOENT) => Vec::new(),
        text => {
            text.map_err(|errno| Error::new(Step::MapUsers, file.to_bytes(), errno).into_owned())?
        }
    };
    let mut free = 100_000;
    let mut ranges = Vec::new();
    for line in split(&text, b'\n') {
        let mut fields = split(line, b':');
        let (Some(whose), Some(start), Some(count)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if let (Some(start), Some(count)) = (number(start), number(count)) {
            free = free.max(start.saturating_add(count));
            if whose == name || whose == digits.bytes() {
                ranges.push((start, count));
            }
        }
    }
    if !ranges.is_empty() {
        return Ok(ranges);
    }
    let mut line = Line::new();
    line.push(name);
    line.push(b":");
    line.push_number(free);
    line.push(b":65536");
    let error = Error::between(
        Step::FindRange,
        file.to_bytes(),
        line.bytes(),
        Errno::ENOENT,
    );
    Err(error.into_owned())
}

fn name_of(passwd: &[u8], user: u32) -> Option<&[u8]> {
    split(passwd, b'\n').find_map(|line| {
        let mut fields = split(line, b':');
        let name = fields.next()?;
        (number(fields.nth(1)?) == Some(user)).then_some(name)
    })
}

/// Runs a program of the host's and waits for it.
fn run(words: &[Name], caller_mask: SignalSet) -> Result<(), Error<'static>> {
    let program = words.first().map_or(&b""[..], Name::bytes);
    let failed = |errno| Error::new(Step::MapUsers, program, errno).into_owned();
    let environment = [Name::new(PATH)];
    let mut command = Command::new(words, &environment);
    // SAFETY: the child allocates nothing.
    let child = match unsafe { fork(0) }.map_err(failed)? {
        Fork::Parent(_, child) => child,
        Fork::Child => {
            let _ = set_blocked(caller_mask);
            exit(command.execute().status())
        }
    };
    match wait(Who::Pidfd(child.borrow())).map_err(failed)? {
        Waited::Ended(_, ExitStatus::Exited(0)) => Ok(()),
        Waited::Ended(_, ExitStatus::Exited(127)) => Err(failed(Errno::ENOENT)),
        _ => Err(Error::because(
            Step::MapUsers,
            program,
            "the program failed, and has said why",
        )),
    }
}
