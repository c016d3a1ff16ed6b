//! Mount points inside an earlier mount of the plan, found once that mount is attached.
//!
//! Before Linux 6.15 nothing can be mounted on a detached tree, so these are looked up one after
//! the other as their parents are attached. The lookup stays beneath the parent's descriptor.

use crate::error::Step;
use crate::mount::attach::{Mounts, Root, State, shows_directory};
use crate::mount::bind::Bind;
use crate::mount::find::make_plain;
use crate::mount::resolve::{Next, openat2};
use crate::mount::{Planned, Source};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};

impl Mounts {
    /// Returns the mount point inside an earlier mount, or `None` where it is in NEWROOT itself.
    ///
    /// A missing mount point is made only in a memory file system of this run, never in a directory
    /// of the host.
    pub(super) fn point_inside(
        &mut self,
        index: usize,
        mounts: &[Planned],
        bind: Option<&Bind>,
    ) -> Result<Option<OwnedFd>, (Step, Errno)> {
        let Some(parent) = self.points.parent(index) else {
            return Ok(None);
        };
        let open = |errno| (Step::OpenTarget, errno);
        let State::Attached(Some(top)) = &self.states[parent] else {
            return Err(open(Errno::ENOENT));
        };
        let rest = self.points.rest(index);
        if rest.is_empty() {
            return fs::duplicate(top.number()).map(Some).map_err(open);
        }
        const RESTRICTIONS: u32 = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_MAGICLINKS;
        match openat2(top.borrow(), rest, fs::O_PATH, RESTRICTIONS) {
            Err(Errno::ENOSYS | Errno::ENOENT) => {}
            found => return found.map(Some).map_err(open),
        }
        let is_memory = match &mounts[parent].mount.source {
            Source::FileSystem(kind) => matches!(kind.bytes(), b"tmpfs" | b"ramfs"),
            _ => false,
        };
        self.points.begin_walk(index).map_err(open)?;
        loop {
            match self.points.walk.next(top.borrow()).map_err(open)? {
                Next::End => return Ok(self.points.walk.take()),
                Next::Entered(_) | Next::Redirected => {}
                Next::Missing if self.may_make(top.borrow(), is_memory).map_err(open)? => {
                    let is_directory = match self.points.walk.is_last() {
                        true => shows_directory(&mounts[index], bind).map_err(open)?,
                        false => true,
                    };
                    let (here, name) =
                        (self.points.walk.here(top.borrow()), self.points.walk.name());
                    let made = make_plain(here, name, is_directory);
                    made.and_then(|made| self.points.walk.enter_made(made))
                        .map_err(|errno| (Step::MakeMountPoint, errno))?;
                }
                Next::Missing => return Err((Step::MakeOutside, Errno::EXDEV)),
            }
        }
    }

    /// Returns whether the walk may make a missing name at its place: in the memory file system
    /// of this run, but not in another mount inside it. In an initramfs it may
    /// everywhere.
    fn may_make(&self, top: BorrowedFd, is_memory: bool) -> Result<bool, Errno> {
        if self.root == Root::Initial {
            return Ok(true);
        }
        let here = fs::stat(self.points.walk.here(top))?;
        Ok(is_memory && here.mount_id == fs::stat(top)?.mount_id)
    }
}
