//! Waits for devices without polling: the kernel sends a message for each device that appears
//! (NETLINK_KOBJECT_UEVENT, netlink(7)).

use crate::error::{Error, Step};
use crate::sys::memory::Marked;
use crate::sys::net::{device_events, receive};
use crate::sys::poll::{Poll, poll};
use crate::sys::{Errno, OwnedFd};

/// The socket that the kernel's messages about devices arrive on.
pub(super) struct Events<'a> {
    socket: OwnedFd,
    allocator: &'a dyn Marked,
}

impl Events<'_> {
    /// Opens the socket. No later event is missed.
    pub(super) fn open(allocator: &dyn Marked) -> Result<Events<'_>, Error> {
        let socket = device_events();
        let socket = socket.map_err(|errno| Error::new(Step::AwaitDevices, b"", errno))?;
        Ok(Events { socket, allocator })
    }

    /// Calls `look` now and after each event, until it finds something or [`clock`] reaches the time.
    /// A look that finds nothing leaves no memory in use.
    ///
    /// [`clock`]: crate::sys::poll::clock
    pub(super) fn wait<T>(
        &self,
        until: Option<u64>,
        look: impl Fn() -> Option<T>,
    ) -> Result<Option<T>, Error> {
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
    ) -> Result<(), Error> {
        loop {
            let mark = self.allocator.mark();
            if is_found() {
                return Ok(());
            }
            // SAFETY: the look returned nothing, and it has nowhere else to keep what it allocated.
            unsafe { self.allocator.give_back(mark) };
            let failed = |errno| Error::new(Step::AwaitDevices, b"", errno);
            if !poll(&mut [Poll::new(self.socket.borrow())], until).map_err(failed)? {
                return Ok(());
            }
            // The content of the messages does not matter. ENOBUFS means that some were dropped, which
            // does not matter either.
            let mut message = [0; 2048];
            while let Ok(_) | Err(Errno::ENOBUFS) = receive(self.socket.borrow(), &mut message) {}
        }
    }
}
