//! Private ranges of ids, for the user namespaces of root's runs.
//!
//! Each run takes its own range and holds a lock on it until its pid 1 has ended. A process that
//! escapes from one run therefore has no rights in another one. The locks are empty files
//! `/run/rootlet/users-START`. `systemd-nspawn(1)` picks from the same numbers, so its locks are
//! checked too.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::sys::credentials::{CAP_SYS_ADMIN, capabilities};
use crate::sys::fs::Lock;
use crate::sys::process::effective_ids;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, split};
use crate::text::line::Line;
use crate::text::number::number;
use crate::text::short::Short;
use crate::user::accounts;
use crate::user::maps::{self, MAPS, directory_of};

/// The ids of the host that a run uses, with
/// [`Chroot::private_users`](crate::Chroot::private_users).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PrivateUsers {
    /// A range of up to 65,536 ids that no other run has. It comes from root's lines in
    /// `/etc/subuid` and `/etc/subgid` (`subuid(5)`). Otherwise it is one from 524,288 on that no
    /// line of these files and no account uses.
    Auto,
    /// This range. The caller must keep it from other runs.
    Range {
        /// The host's id of user and group 0 inside. It is not 0.
        start: u32,
        /// The number of ids inside. Debian's `nobody` needs 65,536.
        count: u32,
    },
}

impl PrivateUsers {
    /// Parses `auto`, which is also the empty text, or `START:COUNT`.
    #[allow(dead_code, reason = "the binary uses it")]
    pub(crate) fn parse(text: &[u8]) -> Option<PrivateUsers> {
        if let b"" | b"auto" = text {
            return Some(PrivateUsers::Auto);
        }
        let mut numbers = split(text, b':').map(number);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Some(start)), Some(Some(count)), None) => {
                Some(PrivateUsers::Range { start, count })
            }
            _ => None,
        }
    }
}

/// A range that a run has taken.
#[derive(Debug)]
pub(crate) struct Range {
    users: u32,
    groups: u32,
    count: u32,
    /// Held by pid 1.
    pub(crate) lock: Option<OwnedFd>,
    /// Dropped after the lock: if there is no run, the lock's file goes with the range.
    name: Option<LockName>,
}

/// The number of ids that a run takes: all of 16 bits, of which 65534 is nobody.
pub(crate) const COUNT: u32 = 0x1_0000;

/// The numbers that systemd reserves for containers (*Users, Groups, UIDs and GIDs on systemd
/// systems*).
const FIRST: u32 = 0x0008_0000;
const LAST: u32 = 0x6fff_0000;

/// The directory of the locks.
const LOCKS: &CStr = c"/run/rootlet";

/// The directory of the locks of `systemd-nspawn`.
const NSPAWN_LOCKS: &[u8] = b"/run/systemd/nspawn-uid/";

impl Range {
    /// Takes a range.
    pub(crate) fn take(wanted: PrivateUsers) -> Result<Range, Error> {
        let capabilities =
            capabilities().map_err(|errno| Error::new(Step::PrivateUsers, b"", errno))?;
        if effective_ids().0 != 0 || !capabilities.has(CAP_SYS_ADMIN) {
            let why = "this needs root with CAP_SYS_ADMIN; an ordinary user has --map-users auto";
            return Err(Error::because(Step::PrivateUsers, b"", why));
        }
        match wanted {
            PrivateUsers::Auto => take_free(),
            PrivateUsers::Range { start, count } => {
                // The last number is no id: it means "unchanged".
                let end = u64::from(start) + u64::from(count);
                let why = match (start, count) {
                    (0, _) => "the range must not contain 0, the host's root",
                    (_, 0) => "the range is empty",
                    _ if end > u64::from(u32::MAX) => "ids range from 0 to 4294967294",
                    _ => {
                        return Ok(Range {
                            users: start,
                            groups: start,
                            count,
                            lock: None,
                            name: None,
                        });
                    }
                };
                let mut text = Short::new();
                text.push_number(start);
                text.push(b":");
                text.push_number(count);
                Err(Error::because(Step::PrivateUsers, text.bytes(), why))
            }
        }
    }

    /// Takes the name of the lock, for the process that waits for pid 1.
    pub(crate) fn take_name(&mut self) -> Option<LockName> {
        self.name.take()
    }

    /// Maps the ids in the user namespace of a process.
    pub(crate) fn map(&self, pid: i32) -> Result<(), Error> {
        let path = directory_of(pid);
        let failed = |errno| Error::new(Step::MapIds, path.bytes(), errno);
        let flags = fs::O_PATH | fs::O_DIRECTORY;
        let process = fs::openat(BorrowedFd::CWD, path.as_c_str(), flags, 0).map_err(failed)?;
        for (file, start) in MAPS.into_iter().zip([self.users, self.groups]) {
            let mut map = Line::new();
            maps::push(&mut map, 0, start, self.count);
            maps::write(process.borrow(), file, map.bytes()).map_err(failed)?;
        }
        Ok(())
    }
}

/// Takes the first free range.
fn take_free() -> Result<Range, Error> {
    let read = |path| fs::read_all(path).unwrap_or_default();
    let [users, groups] = [c"/etc/subuid", c"/etc/subgid"].map(|path| lines(&read(path)));
    let (passwd, group) = (read(accounts::PASSWD), read(accounts::GROUP));
    let of_root = |(whose, start, count): &Delegated| whose.then_some((*start, *count));
    let pieces_of = |lines: &[Delegated]| -> Vec<(u32, u32)> {
        lines.iter().filter_map(of_root).flat_map(pieces).collect()
    };
    let ours = pieces_of(&users).into_iter().zip(pieces_of(&groups));
    for ((users, count), (groups, other)) in ours {
        if let Some(lock) = lock(users)? {
            return Ok(Range {
                users,
                groups,
                count: count.min(other),
                lock: Some(lock),
                name: Some(LockName(users)),
            });
        }
    }
    let accounts = accounts::users(&passwd)
        .flat_map(|user| [user.id, user.group])
        .chain(accounts::groups(&group).map(|(_, id, _)| id));
    let accounts: Vec<u32> = accounts.collect();
    for start in (FIRST..=LAST).step_by(COUNT as usize) {
        if is_free(start, &accounts, [&users, &groups]) {
            if let Some(lock) = lock(start)? {
                return Ok(Range {
                    users: start,
                    groups: start,
                    count: COUNT,
                    lock: Some(lock),
                    name: Some(LockName(start)),
                });
            }
        }
    }
    let why = "every range is in use";
    Err(Error::because(Step::PrivateUsers, b"auto", why))
}

/// A range in a line of `/etc/subuid`: whether it is root's, its start and its length.
pub(crate) type Delegated = (bool, u32, u32);

/// Returns whether the range of a run that begins here has no account's id, and none that was delegated.
pub(crate) fn is_free(start: u32, accounts: &[u32], delegated: [&[Delegated]; 2]) -> bool {
    let end = start + COUNT;
    let mut ranges = delegated.into_iter().flatten();
    !accounts.iter().any(|id| (start..end).contains(id))
        && !ranges.any(|(_, first, count)| *first < end && start < first.saturating_add(*count))
}

/// Returns the ranges in lines `NAME:START:COUNT`.
pub(crate) fn lines(text: &[u8]) -> Vec<Delegated> {
    let parse = |line| {
        let mut fields = split(line, b':');
        let is_roots = matches!(fields.next()?, b"root" | b"0");
        let (start, count) = (number(fields.next()?)?, number(fields.next()?)?);
        // A range that begins with 0 would give away the host's root.
        (start > 0 && count > 0).then_some((is_roots, start, count))
    };
    split(text, b'\n').filter_map(parse).collect()
}

/// Splits a range into pieces, one for each run.
pub(crate) fn pieces((start, count): (u32, u32)) -> impl Iterator<Item = (u32, u32)> {
    let end = start.saturating_add(count);
    let starts = (start..end).step_by(COUNT as usize);
    starts.map(move |start| (start, COUNT.min(end - start)))
}

/// Locks a range by its first id. Returns `None` if another process has it.
fn lock(start: u32) -> Result<Option<OwnedFd>, Error> {
    let mut name = Short::new();
    name.push(NSPAWN_LOCKS);
    name.push_number(start);
    let nspawns = fs::openat(BorrowedFd::CWD, name.as_c_str(), fs::O_RDONLY, 0);
    if nspawns.is_ok_and(|file| fs::flock(file.borrow(), Lock::TryShared).is_err()) {
        return Ok(None);
    }
    let name = lock_name(start);
    loop {
        let locked = open_lock(name.as_c_str()).and_then(|file| {
            fs::flock(file.borrow(), Lock::TryExclusive)?;
            let now = fs::stat_at(BorrowedFd::CWD, name.as_c_str())?;
            Ok((fs::stat(file.borrow())?.is_same_file(&now)).then_some(file))
        });
        match locked {
            Ok(Some(file)) => return Ok(Some(file)),
            // The run that had it has just removed it.
            Ok(None) | Err(Errno::ENOENT) => {}
            Err(Errno::EAGAIN) => return Ok(None),
            Err(Errno::ENOTDIR) => {
                let why = "there is no directory /run";
                return Err(Error::because(Step::LockIds, name.bytes(), why));
            }
            Err(errno) => {
                return Err(Error::new(Step::LockIds, name.bytes(), errno));
            }
        }
    }
}

fn lock_name(start: u32) -> Short {
    let mut name = Short::new();
    name.push(LOCKS.to_bytes());
    name.push(b"/users-");
    name.push_number(start);
    name
}

fn open_lock(name: &CStr) -> Result<OwnedFd, Errno> {
    match fs::mkdirat(BorrowedFd::CWD, LOCKS, 0o700) {
        Ok(()) | Err(Errno::EEXIST) => {}
        // ENOENT stands for a lock that has vanished and is tried again.
        Err(Errno::ENOENT) => return Err(Errno::ENOTDIR),
        Err(errno) => return Err(errno),
    }
    let flags = fs::O_RDONLY | fs::O_CREAT | fs::O_NOFOLLOW | fs::O_NONBLOCK;
    fs::openat(BorrowedFd::CWD, name, flags, 0o600)
}

/// The name of a lock that pid 1 holds. It is dropped after the end of pid 1, and removes the file.
#[derive(Debug)]
pub(crate) struct LockName(u32);

impl Drop for LockName {
    fn drop(&mut self) {
        let name = lock_name(self.0);
        let file = fs::openat(BorrowedFd::CWD, name.as_c_str(), fs::O_RDONLY, 0);
        // Another run may have it by now.
        if file.is_ok_and(|file| fs::flock(file.borrow(), Lock::TryExclusive).is_ok()) {
            let _ = fs::unlinkat(BorrowedFd::CWD, name.as_c_str(), false);
            let _ = fs::unlinkat(BorrowedFd::CWD, LOCKS, true);
        }
    }
}
