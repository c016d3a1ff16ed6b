//! Entering a new mount namespace, with NEWROOT at hand.
//!
//! From Linux 7.0 the kernel makes a mount namespace that holds NEWROOT's mounts alone
//! ([`crate::mount::alone`]). On older kernels, and where that is not enough, the caller's mount
//! namespace is copied whole, and the old root is detached later.

use crate::error::{Error, Step};
use crate::mount::alone::Alone;
use crate::mount::attach::Host;
use crate::mount::pivot::find_outside;
use crate::process::cwd::{WorkingDirectory, keep_current_directory};
use crate::process::namespace::in_user_namespace;
use crate::run::inside::Inside;
use crate::run::launch::prepare;
use crate::sys::process::{CLONE_NEWNS, id, unshare};
use crate::sys::{BorrowedFd, Errno, fs};
use crate::text::path::PathBuffer;

impl<'a> Inside<'a> {
    /// Enters a new mount namespace. Goes to NEWROOT by its descriptor first, and stores the
    /// caller's directory in `kept` if the command starts there.
    pub(crate) fn enter_new_root(&mut self, kept: &mut PathBuffer) -> Result<(), Error> {
        if self.plan.chroot.directory == WorkingDirectory::Kept {
            keep_current_directory(self.plan.new_root.borrow(), kept)?;
        }
        if self.private.is_some() {
            // We may have no right to enter NEWROOT, so root outside takes its mounts.
            return unshare(CLONE_NEWNS).map_err(|errno| Error::new(Step::Namespaces, b"", errno));
        }
        if self.new_user_namespace {
            // The kernel refuses a user namespace in a chroot, so our root is that of the mount
            // namespace.
            return self.enter_and_unshare();
        }
        if !self.plan.needs_host_to_the_end() {
            let alone = Alone::of(self.plan.new_root.borrow());
            // A user namespace may mount a new proc or sysfs only where one is already visible, and
            // none would be.
            self.alone = alone.filter(|_| !in_user_namespace());
        }
        if self.alone.is_some() {
            self.mounts.host = Host::Here;
            return Ok(());
        }
        self.enter_copy()
    }

    /// Copies the caller's mount namespace, with NEWROOT as the current directory.
    fn enter_copy(&mut self) -> Result<(), Error> {
        let pid = if self.is_pid1() { 1 } else { id() };
        let found = match find_outside(pid) {
            Err(error) if error.errno() == Some(Errno::EPERM.number()) => {
                // Our user namespace does not own the mount namespace, so setns(2) works only in a
                // new one.
                self.enter_and_unshare()?;
                let here = fs::openat(BorrowedFd::CWD, c".", fs::O_PATH | fs::O_DIRECTORY, 0);
                let here = here.map_err(prepare)?;
                let found = find_outside(pid)?;
                fs::fchdir(here.borrow()).map_err(prepare)?;
                found
            }
            found => {
                let found = found?;
                self.enter_and_unshare()?;
                found
            }
        };
        self.outside = found.outside;
        self.is_root_nobodys = found.is_nobodys;
        self.needed = Some(found.needed);
        Ok(())
    }

    /// Unshares the mount namespace with NEWROOT as the current directory. `unshare(2)` moves the
    /// current directory into the new mount namespace, but no descriptor.
    fn enter_and_unshare(&self) -> Result<(), Error> {
        let (plan, chroot) = (self.plan, self.plan.chroot);
        fs::fchdir(plan.new_root.borrow())
            .map_err(|errno| Error::new(Step::OpenRoot, chroot.new_root.bytes(), errno))?;
        unshare(CLONE_NEWNS).map_err(|errno| Error::new(Step::Namespaces, b"", errno))
    }

    /// Enters NEWROOT's own mount namespace, once everything needed from the host has been taken.
    pub(super) fn enter_alone(&mut self) -> Result<(), Error> {
        let alone = self.alone.as_ref().ok_or_else(|| prepare(Errno::EBADF))?;
        self.mounts.needs_copy = true;
        alone.enter().map_err(prepare)?;
        self.entered = true;
        self.mounts.host = Host::Left;
        let root = alone.root().map_err(prepare)?;
        self.mounts.needs_copy = false;
        self.set_root(root);
        Ok(())
    }

    /// Leaves NEWROOT's own mount namespace, reverts everything done so far, and copies the host's
    /// mount namespace instead.
    pub(super) fn go_back(&mut self) -> Result<(), Error> {
        self.clean_up();
        self.mounts.start_over();
        self.root.take();
        if let (Some(alone), true) = (self.alone.take(), self.entered) {
            alone.leave().map_err(prepare)?;
        }
        self.entered = false;
        self.enter_copy()
    }
}
