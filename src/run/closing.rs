//! The descriptors that stay open inside. The command gets its standard descriptors and those it
//! was given; nothing else keeps files of the caller or of the mounts busy.

use core::mem::forget;

use crate::error::Error;
use crate::mount::attach::Host;
use crate::mount::pivot::Outside;
use crate::process::descriptors::close_all_but;
use crate::run::inside::Inside;
use crate::run::launch::Owner;

impl<'a> Inside<'a> {
    /// Closes the descriptors that only the caller and the mounts needed. The host's proc must
    /// still be there: where close_range(2) is missing, it lists the open descriptors.
    pub(super) fn close_others(&mut self) -> Result<(), Error> {
        if self.owner == Owner::Caller {
            // The closure keeps the caller's descriptors.
            self.mounts.close();
            self.needed = None;
            self.alone = None;
            return Ok(());
        }
        self.mounts.abandon();
        forget(self.needed.take());
        forget(self.alone.take());
        let is_needed = self.outside == Outside::Chroot || !self.mounts.points.stubs.is_empty();
        if !is_needed {
            forget(self.root.take());
        }
        let has_hosts_proc = self.mounts.host != Host::Left;
        close_all_but(has_hosts_proc, &|first| self.next_kept(first))
    }

    /// Returns the smallest descriptor, at least `first`, that pid 1 or the command needs.
    fn next_kept(&self, first: u32) -> Option<u32> {
        let mut next = self.mounts.points.stubs.next_descriptor(first);
        let mut keep = |number: u32| {
            if number >= first && next.is_none_or(|next| number < next) {
                next = Some(number);
            }
        };
        for ours in [
            Some(&self.supervisor),
            Some(&self.signals),
            self.proc.as_ref(),
            self.root.get(),
            self.private.as_ref().and_then(|range| range.lock.as_ref()),
        ] {
            ours.into_iter().for_each(|ours| keep(ours.number() as u32));
        }
        for (given, _) in &self.standard {
            keep(given.number() as u32);
        }
        for given in &self.plan.command.kept_descriptors {
            keep(*given);
        }
        next
    }
}
