//! Waiting for devices: the kernel tells of each that comes.

use crate::error::{Error, Step};
use crate::sys::net::{device_events, receive};
use crate::sys::poll::{Poll, poll};
use crate::sys::{Errno, OwnedFd};

pub(super) struct Events(OwnedFd);

impl Events {
    /// From now on none is missed.
    pub(super) fn open() -> Result<Events, Error<'static>> {
        device_events()
            .map(Events)
            .map_err(|errno| Error::new(Step::AwaitDevices, b"", errno))
    }

    /// Looks, and again each time that something has come, until it is found, or [`clock`] has
    /// reached the time.
    ///
    /// [`clock`]: crate::sys::poll::clock
    pub(super) fn wait<T>(
        &self,
        until: Option<u64>,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<Option<T>, Error<'static>> {
        let mut found = None;
        self.wait_until(until, &mut || {
            found = look();
            found.is_some()
        })?;
        Ok(found)
    }

    fn wait_until(
        &self,
        until: Option<u64>,
        is_found: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error<'static>> {
        loop {
            if is_found() {
                return Ok(());
            }
            let failed = |errno| Error::new(Step::AwaitDevices, b"", errno);
            if !poll(&mut [Poll::new(self.0.borrow())], until).map_err(failed)? {
                return Ok(());
            }
            // What they say does not matter, nor that there were too many for the socket.
            let mut message = [0; 2048];
            while let Ok(_) | Err(Errno::ENOBUFS) = receive(self.0.borrow(), &mut message) {}
        }
    }
}
