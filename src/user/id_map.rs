//! Who of the host is who in a new user namespace.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::process::channel::Order;
use crate::process::exec::Command;
use crate::process::namespace::{Namespace, Namespaces, bring_loopback_up, map_one};
use crate::sys::credentials::{Kind, set_groups, set_ids};
use crate::sys::poll::{Poll, poll};
use crate::sys::process::{
    CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWUTS, Cloning, Fork, exit,
    fork, setns, unshare,
};
use crate::sys::shared::set_dumpable;
use crate::sys::signal::{SIGKILL, SignalSet, sigprocmask};
use crate::sys::{BorrowedFd, Errno, OwnedFd, Process, fs, split};
use crate::text::line::Line;
use crate::text::name::Name;
use crate::text::number::number;
use crate::text::short::Short;

/// How users are mapped in a new user namespace. Users outside the map appear as nobody.
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
    pub(crate) fn map(self, caller: (u32, u32), supervisor: BorrowedFd) -> Result<(), Error> {
        match self {
            MapUsers::Root => map_one(None, caller, (0, 0)),
            MapUsers::Current => map_one(None, caller, caller),
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
    ) -> Result<Option<UserNamespace>, Error> {
        if self != MapUsers::Auto {
            return Ok(None);
        }
        // Before the maps: afterwards the process is not ours to look at.
        let namespace = UserNamespace::of(pid);
        let namespace = namespace.map_err(|errno| Error::new(Step::MapUsers, b"", errno))?;
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
        let sent = Order::Mapped.send(inside);
        sent.map_err(|errno| Error::new(Step::MapUsers, b"", errno))?;
        Ok(Some(namespace))
    }

    /// In the process that becomes the command: moves it into a user and mount namespace below ours,
    /// with the same ids, so that the kernel locks the mounts that it inherits
    /// (mount_namespaces(7), *Restrictions on mount namespaces*). What else the run has of its own it
    /// gets anew, since only what belongs to its user namespace is its to change.
    ///
    /// `proc` is the host's, by which maps are written. This process has a memory of its own.
    pub(crate) fn lock_mounts(
        self,
        proc: BorrowedFd,
        caller: (u32, u32),
        namespaces: Namespaces,
    ) -> Result<(), Error> {
        const ANEW: u32 = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET;
        let failed = |errno| Error::new(Step::LockMounts, b"", errno);
        let flags = CLONE_NEWUSER | CLONE_NEWNS | namespaces.flags() & ANEW;
        // The maps of a process that is not dumpable are root's to write.
        set_dumpable(1).map_err(failed)?;
        match self {
            MapUsers::Root => {
                unshare(flags).map_err(failed)?;
                map_one(Some(proc), (0, 0), (0, 0))?;
            }
            MapUsers::Current => {
                unshare(flags).map_err(failed)?;
                map_one(Some(proc), caller, caller)?;
            }
            MapUsers::Auto => unshare_with_ranges(proc, flags)?,
        }
        match namespaces.has(Namespace::Network) {
            true => bring_loopback_up(),
            false => Ok(()),
        }
    }
}

/// Unshares with the ids that we have. Only a process of the namespace above may write a map of more
/// than one, so a copy of this one does.
fn unshare_with_ranges(proc: BorrowedFd, flags: u32) -> Result<(), Error> {
    let failed = |errno| Error::new(Step::LockMounts, b"", errno);
    let directory = fs::O_PATH | fs::O_DIRECTORY;
    let this_process = fs::openat(proc, c"self", directory, 0).map_err(failed)?;
    let this_process = this_process.borrow();
    let counts = [c"uid_map", c"gid_map"].map(|file| mapped_ids(this_process, file));
    let [users, groups] = counts;
    let (users, groups) = (users.map_err(failed)?, groups.map_err(failed)?);
    let (unshared, writer) = fs::pipe(fs::O_CLOEXEC).map_err(failed)?;
    // SAFETY: this process has one thread.
    let helper = match unsafe { fork(0, Cloning::Clone3) }.map_err(failed)? {
        Fork::Parent(helper) => helper,
        Fork::Child => {
            drop(writer);
            let _ = poll(&mut [Poll::for_hangup(unshared.borrow())], None);
            let mapped = write_range(this_process, c"uid_map", users)
                .and_then(|()| write_range(this_process, c"gid_map", groups));
            exit(u8::from(mapped.is_err()))
        }
    };
    let result = unshare(flags);
    drop(writer);
    match helper.wait().map_err(failed)?.success() {
        true => result.map_err(failed),
        false => result.and(Err(Errno::EPERM)).map_err(failed),
    }
}

fn write_range(process: BorrowedFd, file: &CStr, count: u32) -> Result<(), Errno> {
    let mut map = Short::new();
    map.push(b"0 0 ");
    map.push_number(count);
    let file = fs::openat(process, file, fs::O_WRONLY, 0)?;
    fs::write_all(file.borrow(), map.bytes())
}

/// How many ids are known in this user namespace: the third number of each line.
fn mapped_ids(process: BorrowedFd, file: &CStr) -> Result<u32, Errno> {
    let mut text = [0; 1024];
    let file = fs::openat(process, file, fs::O_RDONLY, 0)?;
    let length = fs::read(file.borrow(), &mut text)?;
    let lines = split(text.get(..length).unwrap_or_default(), b'\n');
    let counts = lines.filter_map(|line| {
        let mut fields = split(line, b' ').filter(|field| !field.is_empty());
        number(fields.nth(2)?)
    });
    Ok(counts.fold(0, u32::saturating_add))
}

/// The user namespace of a run whose files are not the caller's: from outside they are removed as its
/// user 0.
#[derive(Debug)]
pub(crate) struct UserNamespace(OwnedFd);

impl UserNamespace {
    /// By the process's pidfd (Linux 5.8), else by proc.
    #[cfg_attr(not(feature = "call"), allow(dead_code))]
    pub(crate) fn enter_that_of(process: &Process) -> Result<(), Errno> {
        match process.pidfd().map(|pidfd| setns(pidfd, CLONE_NEWUSER)) {
            Some(Ok(())) => Ok(()),
            _ => UserNamespace::of(process.id).and_then(|namespace| namespace.enter()),
        }
    }

    fn of(pid: i32) -> Result<UserNamespace, Errno> {
        let mut path = Short::new();
        path.push(b"/proc/");
        path.push_number(pid as u32);
        path.push(b"/ns/user");
        fs::openat(BorrowedFd::CWD, path.as_c_str(), fs::O_RDONLY, 0).map(UserNamespace)
    }

    fn enter(&self) -> Result<(), Errno> {
        setns(self.0.borrow(), CLONE_NEWUSER)
    }

    /// Calls `body`, which allocates nothing, in a process that is user 0 there.
    pub(crate) fn as_user_0(
        &self,
        body: &mut dyn FnMut() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        // SAFETY: the child allocates nothing.
        let child = match unsafe { fork(0, Cloning::Clone3) }? {
            Fork::Parent(child) => child,
            Fork::Child => {
                let done = self
                    .enter()
                    .and_then(|()| set_ids(Kind::Group, 0))
                    .and_then(|()| set_ids(Kind::User, 0))
                    .and_then(|()| body());
                exit(done.map_or_else(|errno| errno.number() as u8, |()| 0))
            }
        };
        let status = child.wait()?;
        if status.success() {
            return Ok(());
        }
        let errno = status.code().unwrap_or(Errno::ECHILD.number());
        Err(Errno::from_number(errno))
    }
}

/// A supervisor that cannot map says why itself.
fn await_map(supervisor: BorrowedFd) {
    let _ = poll(&mut [Poll::new(supervisor)], None);
    if Order::receive(supervisor) != Some(Some(Order::Mapped)) {
        exit(125);
    }
}

/// Ends the process that waits for its map.
pub(crate) fn end_unmapped(process: &Process) {
    let _ = process.send(SIGKILL);
    let _ = process.wait();
}

fn number_name(number: u32) -> Name {
    let mut digits = Short::new();
    digits.push_number(number);
    Name::new(digits.bytes())
}

/// The user's ranges in a file of lines `NAME:START:COUNT`, where the name may be a number.
fn ranges(file: &CStr, user: u32) -> Result<Vec<(u32, u32)>, Error> {
    let passwd = fs::read_all(c"/etc/passwd").unwrap_or_default();
    let digits = number_name(user);
    let name = name_of(&passwd, user).unwrap_or(digits.bytes());
    let text = match fs::read_all(file) {
        Err(Errno::ENOENT) => Vec::new(),
        text => text.map_err(|errno| Error::new(Step::MapUsers, file.to_bytes(), errno))?,
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
    Err(error)
}

fn name_of(passwd: &[u8], user: u32) -> Option<&[u8]> {
    split(passwd, b'\n').find_map(|line| {
        let mut fields = split(line, b':');
        let name = fields.next()?;
        (number(fields.nth(1)?) == Some(user)).then_some(name)
    })
}

/// Runs a program of the host's and waits for it.
fn run(words: &[Name], caller_mask: SignalSet) -> Result<(), Error> {
    let program = words.first().map_or(&b""[..], Name::bytes);
    let failed = |errno| Error::new(Step::MapUsers, program, errno);
    let environment = [Name::new(PATH)];
    let mut command = Command::new(words, &environment);
    // SAFETY: the child allocates nothing.
    let child = match unsafe { fork(0, Cloning::Clone3) }.map_err(failed)? {
        Fork::Parent(child) => child,
        Fork::Child => {
            let _ = sigprocmask(caller_mask);
            exit(command.execute().status())
        }
    };
    match child.wait().map_err(failed)?.code() {
        Some(0) => Ok(()),
        Some(127) => Err(failed(Errno::ENOENT)),
        _ => Err(Error::because(
            Step::MapUsers,
            program,
            "the program failed, and has said why",
        )),
    }
}
