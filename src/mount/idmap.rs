//! Id-mapped mounts: trees that show their files with the ids of a user namespace
//! (`mount_setattr(2)` with MOUNT_ATTR_IDMAP, Linux 5.12).
//!
//! A file that belongs to user 0 on disk belongs to user 0 in that user namespace, and the reverse.
//! The kernel allows this only to root of the file system, for a tree that is still detached. Root
//! therefore maps the trees outside and sends them to the process inside.

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

/// Copies the mount behind a descriptor, with those below it if `recursive`, maps its owners to
/// this user namespace, and makes it a slave of the host's mounts.
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

/// Builds the error for a tree whose owners cannot be mapped. It names the first mount that
/// refuses, and its file system.
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
        // Another mount hides the one that refuses.
        None => (path, Vec::new()),
    };
    Error::between(Step::MapOwnersBelow, below, &kind, errno)
}

impl Mounts {
    /// Takes the source of a bind outside, where root may map owners, and returns it. Returns
    /// `None` if the mount is left out.
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

    /// Sets the source, inside, that was taken outside. `None` leaves the mount out.
    pub(crate) fn set_taken(&mut self, index: usize, tree: Option<OwnedFd>) {
        self.taken_outside = true;
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
    /// Returns whether the files keep their owners on the host. Default mounts do: they may have
    /// any file system, and not every one can be mapped.
    fn keeps_hosts_owners(&self) -> bool {
        self.keeps_owners || self.by_default
    }
}

fn file_system_at(path: &Name) -> Vec<u8> {
    let opened = fs::openat(BorrowedFd::CWD, path.as_c_str(), fs::O_PATH, 0);
    opened.map_or_else(|_| Vec::new(), |opened| file_system_of(opened.borrow()))
}

/// Returns the type of a mount's file system: the word after `-` in its line of mountinfo
/// (proc_pid_mountinfo(5)).
fn file_system_of(file: BorrowedFd) -> Vec<u8> {
    let mount_id = fs::stat(file).map_or(0, |stat| stat.mount_id);
    let text = fs::read_all(c"/proc/self/mountinfo").unwrap_or_default();
    kind_in(&text, mount_id).to_vec()
}

/// Returns the type of the mount with this id, empty if it is not listed.
pub(crate) fn kind_in(mountinfo: &[u8], mount_id: u64) -> &[u8] {
    let mut kinds = split(mountinfo, b'\n').filter_map(|line| {
        let mut words = split(line, b' ');
        if u64::from(number(words.next()?)?) != mount_id {
            return None;
        }
        words.find(|word| *word == b"-")?;
        words.next()
    });
    kinds.next().unwrap_or_default()
}
