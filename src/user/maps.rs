//! The files `uid_map` and `gid_map` of a user namespace, `user_namespaces(7)`.
//!
//! The kernel accepts each file once, in one `write(2)`, with at most 340 lines.

use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::sys::credentials::{CAP_SETFCAP, CAP_SETGID, CAP_SETUID, CapabilitySets};
use crate::sys::memory::Page;
use crate::sys::process::effective_ids;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, split};
use crate::text::line::Line;
use crate::text::number::number;
use crate::text::short::Short;

/// The two maps.
pub(crate) const MAPS: [&CStr; 2] = [c"uid_map", c"gid_map"];
const OWN_MAPS: [&CStr; 2] = [c"/proc/self/uid_map", c"/proc/self/gid_map"];
/// Must hold "deny" before a process without the right to map groups maps its own.
const SETGROUPS: &CStr = c"/proc/self/setgroups";

/// The process that makes a user namespace, and which ids it may map besides its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Caller {
    pub(crate) user: u32,
    pub(crate) group: u32,
    /// All users, with CAP_SETUID, and all groups, with CAP_SETGID.
    may_map: [bool; 2],
    /// User 0 too, with CAP_SETFCAP (needed since Linux 5.12).
    may_map_user_0: bool,
}

impl Caller {
    /// Returns this process as the caller, with these rights.
    pub(crate) fn with(rights: Result<CapabilitySets, Errno>) -> Caller {
        let (user, group) = effective_ids();
        let has = |capability| rights.is_ok_and(|sets| sets.has(capability));
        Caller {
            user,
            group,
            may_map: [CAP_SETUID, CAP_SETGID].map(has),
            may_map_user_0: has(CAP_SETFCAP),
        }
    }

    pub(crate) fn may_map_others(self) -> bool {
        self.may_map != [false; 2]
    }
}

/// Maps the caller to `inner`, and every other id that it may map to itself, in the user namespace
/// of the process `pid`. The outer id `inner` gets the caller's number inside. This process is in
/// the namespace above.
pub(crate) fn map_others(pid: i32, caller: Caller, inner: (u32, u32)) -> Result<(), Error> {
    let open = |path: &CStr| fs::openat(BorrowedFd::CWD, path, fs::O_PATH | fs::O_DIRECTORY, 0);
    let [above, process] = [c"/proc/self", directory_of(pid).as_c_str()].map(open);
    let above = above.map_err(|errno| refused(OWN_MAPS[0], errno))?;
    let process = process.map_err(|errno| refused(OWN_MAPS[0], errno))?;
    let (above, process) = (above.borrow(), process.borrow());
    let kinds = [
        (caller.user, inner.0, caller.may_map_user_0, OWN_MAPS[0]),
        (caller.group, inner.1, true, OWN_MAPS[1]),
    ];
    let kinds = MAPS.into_iter().zip(kinds).zip(caller.may_map);
    for ((file, (id, inner, with_0, shown)), may_map) in kinds {
        if may_map {
            let mut map = Line::new();
            let read = extents(above, file, &mut |first, count| {
                push_exchanged(&mut map, (first, count), (id, inner), with_0);
            });
            read.map_err(|errno| refused(shown, errno))?;
            match write(process, file, map.bytes()) {
                Ok(()) => continue,
                // A security module may forbid it, and a map of very many lines may become too
                // long.
                Err(Errno::EPERM | Errno::EINVAL) => {}
                Err(errno) => return Err(refused(shown, errno)),
            }
        }
        if file == c"gid_map" {
            let denied = write(process, c"setgroups", b"deny");
            denied.map_err(|errno| refused(SETGROUPS, errno))?;
        }
        let mut map = Line::new();
        push(&mut map, inner, id, 1);
        write(process, file, map.bytes()).map_err(|errno| refused(shown, errno))?;
    }
    Ok(())
}

/// Returns the directory of a process in `/proc`.
pub(crate) fn directory_of(pid: i32) -> Short {
    let mut path = Short::new();
    path.push(b"/proc/");
    path.push_number(pid as u32);
    path
}

/// Appends the lines that map the ids of this extent to themselves, except for the two that are
/// exchanged. 0 is left out if it may not be mapped, unless it is the caller.
pub(crate) fn push_exchanged(
    map: &mut Line,
    (first, count): (u32, u32),
    (caller, inner): (u32, u32),
    with_0: bool,
) {
    let end = first.saturating_add(count);
    let mut next = first;
    for id in [0, caller.min(inner), caller.max(inner)] {
        if id < next || id >= end {
            continue;
        }
        push(map, next, next, id - next);
        match id {
            _ if id == caller => push(map, inner, id, 1),
            0 if !with_0 => {}
            _ if id == inner => push(map, caller, id, 1),
            _ => push(map, id, id, 1),
        }
        next = id + 1;
    }
    push(map, next, next, end - next);
}

/// Appends a line: the first number inside, the first outside, and the count.
pub(crate) fn push(map: &mut Line, inside: u32, outside: u32, count: u32) {
    if count == 0 {
        return;
    }
    for number in [inside, outside, count] {
        map.push_number(number);
        map.push(b" ");
    }
    map.push(b"\n");
}

/// Calls `visit` with the first id and the count of each line of our user namespace's map.
/// Allocates nothing.
fn extents(process: BorrowedFd, file: &CStr, visit: &mut dyn FnMut(u32, u32)) -> Result<(), Errno> {
    // The kernel takes 340 lines, and prints each with 33 bytes.
    let mut text = Page::<[u8; 3 * 4096]>::zeros()?;
    let file = fs::openat(process, file, fs::O_RDONLY, 0)?;
    let mut length = 0;
    loop {
        match fs::read(file.borrow(), text.get_mut(length..).unwrap_or_default())? {
            0 => break,
            more => length += more,
        }
    }
    for line in split(&text[..length], b'\n') {
        let mut fields = split(line, b' ').filter(|field| !field.is_empty());
        let (first, count) = (fields.next(), fields.nth(1));
        if let (Some(first), Some(count)) = (first.and_then(number), count.and_then(number)) {
            visit(first, count);
        }
    }
    Ok(())
}

/// Returns the map that passes all ids of the user namespace of a process on to one below it.
pub(crate) fn same(process: BorrowedFd, file: &CStr) -> Result<Line, Errno> {
    let mut map = Line::new();
    extents(process, file, &mut |first, count| {
        push(&mut map, first, first, count);
    })?;
    Ok(map)
}

/// Writes a map of the process with this directory in proc.
pub(crate) fn write(process: BorrowedFd, file: &CStr, map: &[u8]) -> Result<(), Errno> {
    let file = fs::openat(process, file, fs::O_WRONLY, 0)?;
    fs::write_all(file.borrow(), map)
}

/// Maps the caller's user and group to these numbers, in a new user namespace. The kernel demands
/// that setgroups(2) is denied first (user_namespaces(7)): giving up a group could give a right
/// that members of the group are denied.
pub(crate) fn map_one(
    proc: Option<BorrowedFd>,
    (user, group): (u32, u32),
    (inner_user, inner_group): (u32, u32),
) -> Result<(), Error> {
    write_own(proc, SETGROUPS, b"deny")?;
    for (file, inner, outer) in [
        (OWN_MAPS[0], inner_user, user),
        (OWN_MAPS[1], inner_group, group),
    ] {
        let mut map = Short::new();
        for number in [inner, outer, 1] {
            map.push_number(number);
            map.push(b" ");
        }
        write_own(proc, file, map.bytes())?;
    }
    Ok(())
}

/// Writes to a file below the given proc, or below `/proc`.
fn write_own(proc: Option<BorrowedFd>, path: &'static CStr, text: &[u8]) -> Result<(), Error> {
    let below_proc = || CStr::from_bytes_until_nul(path.to_bytes_with_nul().get(6..)?).ok();
    let (directory, name) = match proc {
        Some(proc) => (proc, below_proc().unwrap_or(path)),
        None => (BorrowedFd::CWD, path),
    };
    write(directory, name, text).map_err(|errno| refused(path, errno))
}

/// Opens the host's proc, through which maps are written.
pub(crate) fn open_proc() -> Result<OwnedFd, Error> {
    fs::openat(BorrowedFd::CWD, c"/proc", fs::O_PATH | fs::O_DIRECTORY, 0)
        .map_err(|errno| refused(OWN_MAPS[0], errno))
}

/// Returns the error for a file of the process inside.
fn refused(path: &'static CStr, errno: Errno) -> Error {
    Error::new(Step::MapIds, path.to_bytes(), errno)
}

#[cfg(test)]
mod tests {
    use std::prelude::rust_2024::*;

    use proptest::prelude::*;

    use super::*;

    fn exchanged(extents: &[(u32, u32)], ids: (u32, u32), with_0: bool) -> String {
        let mut map = Line::new();
        for extent in extents {
            push_exchanged(&mut map, *extent, ids, with_0);
        }
        String::from_utf8_lossy(map.bytes()).replace(" \n", "\n")
    }

    #[test]
    fn the_caller_and_its_id_inside_are_swapped() {
        const ALL: &[(u32, u32)] = &[(0, u32::MAX)];
        for (extents, ids, with_0, expected) in [
            (ALL, (0, 0), true, "0 0 1\n1 1 4294967294\n"),
            (ALL, (0, 0), false, "0 0 1\n1 1 4294967294\n"),
            (
                ALL,
                (1000, 0),
                true,
                "1000 0 1\n1 1 999\n0 1000 1\n1001 1001 4294966294\n",
            ),
            (
                ALL,
                (1000, 0),
                false,
                "1 1 999\n0 1000 1\n1001 1001 4294966294\n",
            ),
            (
                ALL,
                (1000, 1000),
                false,
                "1 1 999\n1000 1000 1\n1001 1001 4294966294\n",
            ),
            // In a container the caller may be in the second line.
            (
                &[(0, 1), (1, 65536)],
                (33, 0),
                true,
                "33 0 1\n1 1 32\n0 33 1\n34 34 65503\n",
            ),
            (&[(5, 2)], (5, 0), true, "0 5 1\n6 6 1\n"),
            (
                &[(4294967290, 5)],
                (4294967294, 0),
                true,
                "4294967290 4294967290 4\n0 4294967294 1\n",
            ),
        ] {
            assert_eq!(
                exchanged(extents, ids, with_0),
                expected,
                "{ids:?} {with_0}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_id_is_mapped_twice(
            first in 0u32..20, count in 1u32..20, caller in 0u32..40, inner in 0u32..40, with_0: bool,
        ) {
            let extents = [(first, count), (first + count, 3)];
            let map = exchanged(&extents, (caller, inner), with_0);
            let (mut inside, mut outside) = (Vec::new(), Vec::new());
            for line in map.lines() {
                let words: Vec<u32> = line.split(' ').map(|word| word.parse().unwrap()).collect();
                let [to, from, many] = words[..] else { unreachable!("{line}") };
                inside.extend(to..to + many);
                outside.extend(from..from + many);
            }
            let all = first..first + count + 3;
            let without_0 = !with_0 && caller != 0 && first == 0;
            prop_assert_eq!(outside.len(), all.len() - usize::from(without_0));
            prop_assert!(outside.iter().all(|id| all.contains(id)));
            for ids in [&mut inside, &mut outside] {
                let length = ids.len();
                ids.sort_unstable();
                ids.dedup();
                prop_assert_eq!(ids.len(), length);
            }
        }
    }
}
