//! Terminals: the command's own, and those of a user namespace.
//!
//! Those of the host's devpts have a group that a user namespace does not know (`gid=5`), so nobody
//! inside can give one to its user, as sshd, sudo and su do. A new devpts goes on `/dev/pts` of the
//! host's `/dev`. A node `/dev/ptmx` leads to the devpts beside it (Linux 4.7), and a link does too.

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
    /// A devpts of the run's own, where the user namespace makes that necessary.
    pub(super) fn own_terminals() -> Mount {
        let mut mount = Mount::file_system("devpts", "/dev/pts").optional();
        mount.is_for_user_namespace = true;
        mount.options(TERMINALS)
    }

    /// The same where many groups are mapped: among them that of terminals, which has this number in
    /// every usual distribution.
    pub(crate) fn with_terminals_group(&self, map: MapUsers) -> Option<Mount> {
        let is_wanted = self.is_for_user_namespace && map == MapUsers::Auto;
        is_wanted.then(|| self.clone().options(b"gid=5"))
    }
}

const TERMINALS: &[u8] = b"nosuid,noexec,newinstance,mode=620,ptmxmode=666";

/// In every devpts.
const INODE_OF_PTMX: u64 = 2;

impl Mounts {
    /// Takes what is behind a descriptor as the source of each mount of the terminal.
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

    /// Is `/dev/ptmx` that of another devpts, mounted there? What else has the number loses nothing.
    pub(super) fn has_others_ptmx(&self, index: usize, planned: &Planned) -> bool {
        planned.mount.is_for_user_namespace
            && self.dev_of(index).is_some_and(|dev| {
                fs::stat_at(dev, c"ptmx").is_ok_and(|ptmx| ptmx.inode() == INODE_OF_PTMX)
            })
    }

    /// Is a terminal opened in this mount, or another mount made in it, if it is a devpts?
    pub(super) fn needs_devpts(&self, planned: &Planned) -> bool {
        let is_devpts = planned.source().bytes() == b"devpts";
        is_devpts && (!planned.mount.is_for_user_namespace || self.opens_terminal)
    }

    /// Puts the new devpts's ptmx in the place of the other.
    pub(super) fn cover_ptmx(&self, index: usize, devpts: BorrowedFd) -> Result<(), Errno> {
        let Some(dev) = self.dev_of(index) else {
            return Ok(());
        };
        let place = fs::openat(dev, c"ptmx", fs::O_PATH | fs::O_NOFOLLOW, 0)?;
        let ptmx = bind::take(devpts, c"ptmx", false, attributes(0));
        let ptmx = ptmx.map_err(|(_, errno)| errno)?;
        ptmx.attach(None, false, 0, place.borrow()).map(drop)
    }

    /// Shows the caller's terminal, which has no name in the new devpts, as the console: so tty(1) finds
    /// one. What cannot be had is done without.
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

    /// The `/dev` that this mount lies in.
    fn dev_of(&self, index: usize) -> Option<BorrowedFd<'_>> {
        self.attached(self.points.parent(index)?)
    }
}
