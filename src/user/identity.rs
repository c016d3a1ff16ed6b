//! The user and groups of the command, and its loss of rights.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::cell::{OnceCell, RefCell};

use crate::chroot::Chroot;
use crate::chroot::command::Command;
use crate::error::{Error, Step};
use crate::process::environment::Change;
use crate::sys::credentials::{Kind, groups, ids, set_groups, set_ids, set_no_new_privileges};
use crate::sys::{BorrowedFd, Errno, split};
use crate::text::line::Line;
use crate::text::name::Name;
use crate::user::accounts::{self, GROUP, PASSWD, User, id, is_number};
use crate::user::capability::Capabilities;

/// The ids that the command gets.
#[derive(Default)]
pub(crate) struct Identity {
    /// User and group.
    ids: Option<(u32, u32)>,
    /// The group of terminals, if the user is named and the root has such a group.
    tty: Option<u32>,
    /// The supplementary groups, sorted, and room to check whether setting them worked.
    groups: Option<(Vec<u32>, RefCell<Vec<u32>>)>,
}

impl Command {
    /// Looks up the command's ids in this root, and makes its environment.
    pub(crate) fn identify(
        &self,
        root: BorrowedFd,
        environment: &mut Cow<[Name]>,
    ) -> Result<Identity, Error> {
        let mut identity = Identity::default();
        let group_file = OnceCell::new();
        let group_file = || match group_file.get() {
            Some(file) => Ok(file),
            None => accounts::read(root, GROUP).map(|file| group_file.get_or_init(|| file)),
        };
        let group_id = |text: &[u8]| match is_number(text) {
            true => id(text).ok_or_else(|| no_such_number(Step::FindGroup, text)),
            false => accounts::groups(group_file()?)
                .find(|(name, ..)| *name == text)
                .map(|(_, id, _)| id)
                .ok_or_else(|| {
                    let why = "it is not in the new root's /etc/group";
                    Error::because(Step::FindGroup, text, why)
                }),
        };
        let mut groups = None;
        if let Some(wanted) = &self.chroot.user {
            let mut words = wanted.bytes().splitn(2, |byte| *byte == b':');
            let (user, group) = (words.next().unwrap_or_default(), words.next());
            if user.is_empty() || group == Some(b"") {
                let what: [&[u8]; 3] = [b"--user: '", wanted.bytes(), b"'"];
                let why = "is not USER or USER:GROUP, by names or numbers";
                return Err(Error::usage(b"run", &what, why));
            }
            // A number needs no file of the root.
            let passwd = match is_number(user) {
                true => Vec::new(),
                false => accounts::read(root, PASSWD)?,
            };
            let account = accounts::users(&passwd).find(|known| known.name == user);
            let number = match &account {
                Some(account) => account.id,
                None if is_number(user) => {
                    id(user).ok_or_else(|| no_such_number(Step::FindUser, user))?
                }
                None => {
                    let why = "it is not in the new root's /etc/passwd";
                    return Err(Error::because(Step::FindUser, user, why));
                }
            };
            let group = match (group, &account) {
                (Some(group), _) => group_id(group)?,
                (None, Some(account)) => account.group,
                (None, None) => number,
            };
            identity.ids = Some((number, group));
            let mut of_user = Vec::new();
            if let (Some(account), None) = (&account, &self.chroot.groups) {
                of_user.push(group);
                for group in groups_of(account.name, group_file()?) {
                    of_user.push(group);
                }
            }
            groups = Some(of_user);
            if let (Some(_), true, Ok(file)) = (&account, self.pty, group_file()) {
                identity.tty = accounts::groups(file)
                    .find(|(name, ..)| *name == b"tty")
                    .map(|(_, id, _)| id);
            }
            set_variables(environment.to_mut(), account.as_ref());
        }
        if let Some(list) = &self.chroot.groups {
            let mut given = Vec::new();
            if !list.bytes().is_empty() {
                for group in split(list.bytes(), b',') {
                    given.push(group_id(group)?);
                }
            }
            groups = Some(given);
        }
        identity.groups = groups.map(|mut groups: Vec<u32>| {
            sort(&mut groups);
            groups.dedup();
            // Two more: one for the main group, and one to see that there are more.
            let found = alloc::vec![0; groups.len() + 2];
            (groups, RefCell::new(found))
        });
        for change in &self.changes {
            change.apply(environment.to_mut());
        }
        Ok(identity)
    }
}

fn no_such_number(step: Step, text: &[u8]) -> Error {
    Error::because(step, text, "ids range from 0 to 4294967294")
}

/// Returns the groups that have this member.
fn groups_of<'a>(member: &'a [u8], file: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
    accounts::groups(file)
        .filter(move |(_, _, members)| split(members, b',').any(|name| name == member))
        .map(|(_, id, _)| id)
}

/// Sets the variables that `su(1)` sets.
fn set_variables(environment: &mut Vec<Name>, account: Option<&User>) {
    let (name, home, shell) = account.map_or((&b""[..], &b""[..], &b""[..]), |account| {
        (account.name, account.home, account.shell)
    });
    for (variable, value, other) in [
        (&b"HOME"[..], home, &b"/"[..]),
        (b"SHELL", shell, b"/bin/sh"),
        (b"USER", name, b""),
        (b"LOGNAME", name, b""),
    ] {
        let change = match if value.is_empty() { other } else { value } {
            b"" => Change::Unset(Name::new(variable)),
            value => Change::Set(Name::joined(&[variable, b"=", value])),
        };
        change.apply(environment);
    }
}

impl Identity {
    /// Takes the command's user, groups and rights, in the process that becomes the command.
    ///
    /// The order follows from the rights that each step needs. The bounding set and the groups come
    /// first, because the right to change them goes with the user. Then comes the group, which only
    /// root may set, and then the user.
    pub(crate) fn assume(&self, chroot: &Chroot) -> Result<(), Error> {
        let dropped = chroot.dropped_capabilities;
        let not_dropped = |errno| Error::new(Step::DropCapabilities, b"", errno);
        if dropped != Capabilities::NONE {
            dropped.leave_bounding().map_err(not_dropped)?;
        }
        if let Some((wanted, found)) = &self.groups {
            let group = self.ids.map(|(_, group)| group);
            become_member(wanted, &mut found.borrow_mut(), group)
                .map_err(|errno| Error::new(Step::SetGroups, b"", errno))?;
        }
        if let (Some((user, group)), Some(name)) = (self.ids, &chroot.user) {
            for (step, kind, id) in [
                (Step::SetGroup, Kind::Group, group),
                (Step::SetUser, Kind::User, user),
            ] {
                let become_it = set_ids(kind, id).and_then(|()| match ids(kind)? == [id; 3] {
                    true => Ok(()),
                    false => Err(Errno::EPERM),
                });
                become_it.map_err(|errno| Error::new(step, name.bytes(), errno))?;
            }
        }
        if dropped != Capabilities::NONE {
            dropped.leave().map_err(not_dropped)?;
        }
        if chroot.no_new_privileges {
            set_no_new_privileges().map_err(|errno| Error::new(Step::Prepare, b"", errno))?;
        }
        Ok(())
    }

    /// Describes user and group, for `--dry-run`.
    pub(crate) fn describe_ids(&self, line: &mut Line) {
        if let Some((user, group)) = self.ids {
            line.push_number(user);
            line.push(b":");
            line.push_number(group);
        }
    }

    /// Describes the supplementary groups.
    pub(crate) fn describe_groups(&self, line: &mut Line) {
        let groups = self.groups.iter().flat_map(|(groups, _)| groups);
        for group in groups {
            line.push(if line.bytes().is_empty() { b"" } else { b"," });
            line.push_number(*group);
        }
        if line.bytes().is_empty() {
            line.push(b"none");
        }
    }

    /// Returns the owner of a terminal in the run's own devpts: the user, and the root's group
    /// `tty` or the user's main group.
    pub(crate) fn terminal_owner(&self) -> Option<(u32, Option<u32>)> {
        self.ids
            .map(|(user, group)| (user, Some(self.tty.unwrap_or(group))))
    }

    /// Returns the owner of a terminal in the host's devpts, which sets the group itself.
    pub(crate) fn host_terminal_owner(&self) -> Option<(u32, Option<u32>)> {
        self.ids.map(|(user, _)| (user, self.tty))
    }

    pub(crate) fn has_ids(&self) -> bool {
        self.ids.is_some()
    }

    pub(crate) fn has_groups(&self) -> bool {
        self.groups.is_some()
    }
}

/// Sets the supplementary groups to `wanted`. If that is denied, they may still be right, except
/// for the main group, of which the command is a member in any case.
fn become_member(wanted: &[u32], found: &mut [u32], main: Option<u32>) -> Result<(), Errno> {
    let set = set_groups(wanted);
    if !matches!(set, Ok(()) | Err(Errno::EPERM)) {
        return set;
    }
    let count = groups(found).map_err(|errno| match errno {
        Errno::EINVAL => Errno::EPERM,
        errno => errno,
    })?;
    let found = found.get_mut(..count).unwrap_or_default();
    // Their order is the host's.
    sort(found);
    let others = |id: &&u32| set.is_ok() || Some(**id) != main;
    let found = found.iter().filter(others);
    match found.eq(wanted.iter().filter(others)) {
        true => Ok(()),
        false => Err(Errno::EPERM),
    }
}

/// Sorts with heapsort: a file may list very many groups, and the library's sort is 3 kB of code.
fn sort(numbers: &mut [u32]) {
    for start in (0..numbers.len() / 2).rev() {
        sift(numbers, start);
    }
    for end in (1..numbers.len()).rev() {
        numbers.swap(0, end);
        if let Some(heap) = numbers.get_mut(..end) {
            sift(heap, 0);
        }
    }
}

/// Moves a number down until no child is greater.
fn sift(heap: &mut [u32], mut parent: usize) {
    loop {
        let children = [2 * parent + 1, 2 * parent + 2].map(|child| (heap.get(child), child));
        let Some((Some(greatest), child)) = children.into_iter().max() else {
            return;
        };
        if heap.get(parent) >= Some(greatest) {
            return;
        }
        heap.swap(parent, child);
        parent = child;
    }
}

#[cfg(test)]
mod tests {
    use std::prelude::rust_2024::*;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn groups_are_sorted(numbers in prop::collection::vec(0u32..40, 0..100)) {
            let (mut ours, mut theirs) = (numbers.clone(), numbers);
            super::sort(&mut ours);
            theirs.sort_unstable();
            prop_assert_eq!(ours, theirs);
        }
    }
}
