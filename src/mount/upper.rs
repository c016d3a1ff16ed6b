//! Mount points made in the upper layer of an overlay, before the overlay is mounted.
//!
//! Through the overlay of a user namespace nothing can be made in a directory whose owner the
//! namespace does not know: the kernel checks the directory's mode and has no owner for the copy.
//! In the upper layer the directory belongs to the namespace, and the overlay merges the names of
//! the lower one into it.

use crate::mount::Planned;
use crate::mount::attach::{Mounts, State, shows_directory};
use crate::mount::find::{has_dot_dot, make_plain};
use crate::mount::point::Points;
use crate::mount::resolve::{Bound, CName, Next, split_first};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

/// The id that the kernel shows for an owner that the namespace does not know
/// (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65534;

impl Mounts {
    /// Makes the mount points that the overlay would refuse. A failure here is ignored: the later
    /// lookup reports it.
    pub(crate) fn fill_upper(&mut self, lower: BorrowedFd, upper: BorrowedFd, planned: &[Planned]) {
        for (state, planned) in self.states.iter().zip(planned) {
            if let State::Taken(bind) = state {
                let target = planned.target().bytes();
                if let Ok(is_directory) = shows_directory(planned, bind.as_ref()) {
                    let _ = self
                        .points
                        .make_in_upper(lower, upper, target, is_directory);
                }
            }
        }
    }
}

impl Points {
    fn make_in_upper(
        &mut self,
        lower: BorrowedFd,
        upper: BorrowedFd,
        target: &[u8],
        is_directory: bool,
    ) -> Result<(), Errno> {
        self.walk.begin(target, Bound::InRoot)?;
        loop {
            match self.walk.next(lower)? {
                Next::Missing => break,
                Next::End => return Ok(()),
                Next::Entered(_) | Next::Redirected => {}
            }
        }
        let is_anothers = fs::stat(self.walk.here(lower))?.user == NOBODY;
        if !is_anothers || has_dot_dot(self.walk.rest()) {
            return Ok(());
        }
        let mut here = fs::openat(upper, c".", fs::O_PATH | fs::O_DIRECTORY, 0)?;
        let mut shown = fs::openat(lower, c".", fs::O_PATH | fs::O_DIRECTORY, 0)?;
        let mut rest = self.walk.landing();
        loop {
            let (name, after) = split_first(rest);
            if name.is_empty() {
                break;
            }
            let name = CName::new(name)?;
            let flags = fs::O_PATH | fs::O_DIRECTORY | fs::O_NOFOLLOW;
            shown = fs::openat(shown.borrow(), name.as_c_str(), flags, 0)?;
            here = copy_directory(here.borrow(), &name, shown.borrow())?;
            rest = after;
        }
        let (mut name, mut rest) = (CName::new(self.walk.name().to_bytes())?, self.walk.rest());
        loop {
            let (next, after) = split_first(rest);
            here = make_plain(
                here.borrow(),
                name.as_c_str(),
                is_directory || !next.is_empty(),
            )?;
            if next.is_empty() {
                return Ok(());
            }
            (name, rest) = (CName::new(next)?, after);
        }
    }
}

/// Makes a directory of the upper layer, with the mode of the lower one that it covers, and with
/// its owner if the namespace knows it.
fn copy_directory(above: BorrowedFd, name: &CName, shown: BorrowedFd) -> Result<OwnedFd, Errno> {
    let made = fs::mkdirat(above, name.as_c_str(), 0o700);
    let flags = fs::O_RDONLY | fs::O_DIRECTORY | fs::O_NOFOLLOW;
    match made {
        Err(Errno::EEXIST) => return fs::openat(above, name.as_c_str(), flags, 0),
        made => made?,
    }
    let copy = fs::openat(above, name.as_c_str(), flags, 0)?;
    let stat = fs::stat(shown)?;
    let _ = fs::fchown(copy.borrow(), stat.user, stat.group);
    fs::fchmod(copy.borrow(), stat.permissions())?;
    Ok(copy)
}
