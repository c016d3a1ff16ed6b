//! Trees of mounts shown with the ids of a user namespace: id-mapped mounts (Linux 5.12,
//! mount_setattr(2), MOUNT_ATTR_IDMAP).
//!
//! A file that is user 0's on disk is user 0's in that user namespace, and the other way round. The
//! kernel lets only root of the file system do this, to a tree that is attached nowhere yet.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::replace;

use crate::error::{Error, Step, Verbose};
use crate::mount::attach::{Host, Mounts, State, left_out};
use crate::mount::bind::Bind;
use crate::mount::remount::visit_mounts;
use crate::mount::{Mount, Planned};
use crate::sys::mount::{map_owners, open_tree};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, split};
use crate::text::name::Name;
use crate::text::number::number;
use crate::text::short::Short;

/// Copies the mount behind a descriptor, and those below it where the copy is `recursive`; shows the
/// files with the ids of this user namespace; and cuts the way back to the host's mounts.
pub(crate) fn mapped_copy(
    source: BorrowedFd,
    path: &[u8],
    recursive: bool,
    user_namespace: BorrowedFd,
) -> Result<OwnedFd, Error> {
    let tree = open_tree(source, c"", recursive)
        .map_err(|errno| Error::new(Step::CloneRoot, path, errno))?;
    map_owners(tree.borrow(), user_namespace, recursive)
        .map_err(|errno| refused(source, path, recursive, user_namespace, errno))?;
    Ok(tree)
}

/// The error for a tree whose owners cannot be mapped: it names the first mount that refuses, and its
/// file system.
fn refused(
    source: BorrowedFd,
    path: &[u8],
    recursive: bool,
    user_namespace: BorrowedFd,
    errno: Errno,
) -> Error {
    let refuses = |source: BorrowedFd, path: &CStr| {
        open_tree(source, path, false)
            .and_then(|tree| map_owners(tree.borrow(), user_namespace, false))
            .is_err()
    };
    if !recursive || refuses(source, c"") {
        let kind = file_system_of(source);
        return Error::between(Step::MapOwners, path, &kind, errno);
    }
    let mut top = [0; 4096];
    let link = Short::in_proc(source);
    let length = fs::readlink_at(BorrowedFd::CWD, link.as_c_str(), &mut top);
    let top = top.get(..length.unwrap_or(0)).unwrap_or_default();
    let mut first = None;
    let _ = visit_mounts(&mut |_, mounted| {
        let rest = mounted.strip_prefix(top).unwrap_or_default();
        let name = Name::new(mounted);
        if first.is_none() && rest.starts_with(b"/") && refuses(BorrowedFd::CWD, name.as_c_str()) {
            first = Some(name);
        }
        Ok(())
    });
    let (below, kind) = match &first {
        Some(below) => (below.bytes(), file_system_at(below)),
        // Another mount hides it.
        None => (path, Vec::new()),
    };
    Error::between(Step::MapOwnersBelow, below, &kind, errno)
}

impl Mounts {
    /// Outside, where root may map owners: takes the source of a bind, and gives it; `None` where the
    /// mount is left out.
    pub(crate) fn take_mapped(
        &mut self,
        index: usize,
        planned: &Planned,
        user_namespace: BorrowedFd,
        verbose: Verbose,
    ) -> Result<Option<OwnedFd>, Error> {
        // The tree is taken in the host's own mount namespace.
        self.host = Host::Here;
        self.take_source(index, planned, verbose)?;
        let taken = replace(&mut self.states[index], State::Planned);
        let mount = &planned.mount;
        let taken = match taken {
            State::Taken(Some(Bind::Tree { tree, .. })) if !mount.keeps_hosts_owners() => {
                let mapped = map_owners(tree.borrow(), user_namespace, mount.recursive);
                let mapped = mapped.map(|()| State::taken(tree)).map_err(|errno| {
                    let (source, kind) = (planned.source(), file_system_at(planned.source()));
                    Error::between(Step::MapOwnersOfBind, source.bytes(), &kind, errno)
                });
                left_out(planned, mapped, verbose)?
            }
            taken => taken,
        };
        match taken {
            State::Taken(Some(Bind::Tree { tree, .. })) => Ok(Some(tree)),
            _ => Ok(None),
        }
    }

    /// Inside: the source that was taken outside, or `None` where the mount is left out.
    pub(crate) fn set_taken(&mut self, index: usize, tree: Option<OwnedFd>) {
        if let Some(state) = self.states.get_mut(index) {
            *state = tree.map_or(State::LeftOut, State::taken);
        }
    }
}

impl State {
    fn taken(tree: OwnedFd) -> State {
        State::Taken(Some(Bind::Tree {
            tree,
            flags_are_set: true,
        }))
    }
}

impl Mount {
    /// Those that nobody asked for are the host's to look at, and may be of any file system.
    fn keeps_hosts_owners(&self) -> bool {
        self.keeps_owners || self.by_default
    }
}

fn file_system_at(path: &Name) -> Vec<u8> {
    let opened = fs::openat(BorrowedFd::CWD, path.as_c_str(), fs::O_PATH, 0);
    opened.map_or_else(|_| Vec::new(), |opened| file_system_of(opened.borrow()))
}

/// The type of a mount's file system: in its line of mountinfo (proc_pid_mountinfo(5)) the word after
/// the `-`.
fn file_system_of(file: BorrowedFd) -> Vec<u8> {
    let mount_id = fs::stat(file).map_or(0, |stat| stat.mount_id);
    let text = fs::read_all(c"/proc/self/mountinfo").unwrap_or_default();
    let mut kinds = split(&text, b'\n').filter_map(|line| {
        let mut words = split(line, b' ');
        if u64::from(number(words.next()?)?) != mount_id {
            return None;
        }
        words.find(|word| *word == b"-")?;
        words.next()
    });
    kinds.next().unwrap_or_default().to_vec()
}
