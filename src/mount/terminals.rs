//! Terminals: the command's own, and those of a user namespace.
//!
//! The host's devpts gives every terminal the group 5, which a user namespace may not know. Nobody
//! inside can then change the owner of a terminal, as sshd, sudo and su do. A new devpts is
//! therefore mounted on `/dev/pts` of the host's `/dev`. The node `/dev/ptmx` leads to the devpts
//! beside it (Linux 4.7), and so does a link.

use core::ffi::CStr;

use crate::error::Error;
use crate::mount::attach::{Mounts, State};
use crate::mount::remount::attributes;
use crate::mount::resolve::openat2;
use crate::mount::{Mount, Planned, Source, bind};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::short::Short;
use crate::user::id_map::MapUsers;

impl Mount {
    /// Returns a devpts of the run, for a user namespace that needs it.
    pub(super) fn own_terminals() -> Mount {
        let mut mount = Mount::file_system("devpts", "/dev/pts").optional();
        mount.is_for_user_namespace = true;
        mount.options(TERMINALS)
    }

    /// Returns the same mount with the group of terminals, where a range of groups is mapped. The
    /// group has the number 5 in every common distribution.
    pub(crate) fn with_terminals_group(&self, map: MapUsers) -> Option<Mount> {
        let is_wanted = self.is_for_user_namespace && map == MapUsers::Auto;
        is_wanted.then(|| self.clone().options(b"gid=5"))
    }
}

const TERMINALS: &[u8] = b"nosuid,noexec,newinstance,mode=620,ptmxmode=666";

/// The kernel uses this inode number in every devpts.
const INODE_OF_PTMX: u64 = 2;

impl Mounts {
    /// Takes the terminal behind a descriptor as the source of each mount of the terminal.
    pub(crate) fn take_terminal(
        &mut self,
        terminal: BorrowedFd,
        mounts: &[Planned],
    ) -> Result<(), Error> {
        self.terminal = terminal.number();
        for (state, planned) in self.states.iter_mut().zip(mounts) {
            if let (State::Taken(None), Source::Terminal(name)) = (&state, &planned.mount.source) {
                let taken = bind::take(terminal, c"", false, attributes(0));
                *state = State::Taken(Some(
                    taken.map_err(|(step, errno)| Error::new(step, name.bytes(), errno))?,
                ));
            }
        }
        Ok(())
    }

    /// Returns whether `/dev/ptmx` is a bind from another devpts. Any other file with this inode
    /// number loses nothing by being covered.
    pub(super) fn has_others_ptmx(&self, index: usize, planned: &Planned) -> bool {
        planned.mount.is_for_user_namespace
            && self.dev_of(index).is_some_and(|dev| {
                fs::stat_at(dev, c"ptmx").is_ok_and(|ptmx| ptmx.inode() == INODE_OF_PTMX)
            })
    }

    /// Returns whether this is a devpts whose descriptor is needed, because a terminal may be
    /// opened in it or a mount made in it.
    pub(super) fn needs_devpts(&self, planned: &Planned) -> bool {
        let is_devpts = planned.source().bytes() == b"devpts";
        is_devpts && (!planned.mount.is_for_user_namespace || self.opens_terminal)
    }

    /// Covers the other devpts's ptmx with that of the new one.
    pub(super) fn cover_ptmx(&self, index: usize, devpts: BorrowedFd) -> Result<(), Errno> {
        let Some(dev) = self.dev_of(index) else {
            return Ok(());
        };
        let place = fs::openat(dev, c"ptmx", fs::O_PATH | fs::O_NOFOLLOW, 0)?;
        let ptmx = bind::take(devpts, c"ptmx", false, attributes(0));
        let ptmx = ptmx.map_err(|(_, errno)| errno)?;
        ptmx.attach(None, false, 0, place.borrow()).map(drop)
    }

    /// Shows the caller's terminal, which has no name in the new devpts, as `/dev/console`, so that
    /// tty(1) finds it. Failures are ignored.
    pub(crate) fn show_callers_terminal(
        &self,
        mounts: &[Planned],
        terminal: BorrowedFd,
    ) -> Option<OwnedFd> {
        let is_own = |planned: &Planned| planned.mount.is_for_user_namespace;
        let index = mounts.iter().position(is_own)?;
        let is_taken =
            |planned: &Planned| planned.mount.has_target_of(&Mount::bind("/dev/console"));
        if !matches!(self.states.get(index), Some(State::Attached(_)))
            || mounts.iter().any(is_taken)
        {
            return None;
        }
        let mut path = [0; 32];
        let link = Short::in_number(terminal.number());
        let length = fs::readlink_at(BorrowedFd::CWD, link.as_c_str(), &mut path).ok()?;
        let path = path.get(..length + 1)?;
        if !path.starts_with(b"/dev/pts/") {
            return None;
        }
        let path = CStr::from_bytes_with_nul(path).ok()?;
        let place = openat2(
            self.dev_of(index)?,
            c"console",
            fs::O_PATH,
            fs::RESOLVE_BENEATH,
        )
        .ok()?;
        let taken = bind::take(BorrowedFd::CWD, path, false, attributes(0)).ok()?;
        taken.attach(Some(path), false, 0, place.borrow()).ok()
    }

    /// Returns the `/dev` that this mount lies in.
    fn dev_of(&self, index: usize) -> Option<BorrowedFd<'_>> {
        self.attached(self.points.parent(index)?)
    }
}
