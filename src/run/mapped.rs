//! A run with private users. The process inside has no rights on the host, so root outside takes
//! NEWROOT and the sources of binds, maps their owners, and passes them in.

use crate::error::Error;
use crate::mount::Source;
use crate::mount::idmap::mapped_copy;
use crate::process::channel::{Taken, send_readiness};
use crate::run::inside::Inside;
use crate::run::launch::prepare;
use crate::sys::process::exit;
use crate::sys::{BorrowedFd, Errno, Process};
use crate::user::id_map::{UserNamespace, await_readiness};

impl<'a> Inside<'a> {
    /// Outside: maps the ids of the process inside, and passes the mapped trees to it.
    pub(super) fn pass_mapped(
        &mut self,
        pid1: &Process,
        to_inside: BorrowedFd,
    ) -> Result<(), Error> {
        let (plan, chroot) = (self.plan, self.plan.chroot);
        await_readiness(pid1, to_inside)?;
        if let Some(range) = &self.private {
            range.map(pid1.id)?;
        }
        let namespace = UserNamespace::of(pid1.id).map_err(prepare)?;
        let namespace = namespace.borrow();
        let root = mapped_copy(
            plan.new_root.borrow(),
            chroot.new_root.bytes(),
            chroot.overlay.is_none(),
            namespace,
        )?;
        Taken::Root(root).send(to_inside).map_err(prepare)?;
        for (index, planned) in plan.mounts.iter().enumerate() {
            if let Source::Path(_) = planned.mount.source {
                let taken = self
                    .mounts
                    .take_mapped(index, planned, namespace, self.verbose);
                let taken = taken?;
                Taken::Source(index, taken)
                    .send(to_inside)
                    .map_err(prepare)?;
            }
        }
        Taken::All.send(to_inside).map_err(prepare)
    }

    /// Inside: receives the mapped trees.
    pub(super) fn receive_mapped(&mut self) -> Result<(), Error> {
        self.mounts.allow_more_files();
        send_readiness(self.supervisor.borrow()).map_err(prepare)?;
        loop {
            match Taken::receive(self.supervisor.borrow()).map_err(prepare)? {
                Some(Taken::Root(tree)) => self.taken_root = Some(tree),
                Some(Taken::Source(index, tree)) => self.mounts.set_taken(index, tree),
                Some(Taken::All) if self.taken_root.is_some() => return Ok(()),
                Some(Taken::All) => return Err(prepare(Errno::EMFILE)),
                // The process outside failed, and reports why.
                None => exit(125),
            }
        }
    }
}
