//! The network of a guest: `ip=`, in the form that the kernel documents for a root on NFS.
//!
//! Only static addresses are supported, set by the ioctls of netdevice(7).

use crate::boot::cmdline::CommandLine;
use crate::boot::events::Events;
use crate::boot::sysfs::names_in;
use crate::error::{Error, Step};
use crate::mount::Mount;
use crate::sys::net::{Address, add_default_route, devices, set_address, set_up};
use crate::sys::poll::{NANOSECONDS, clock};
use crate::sys::{BorrowedFd, Errno, fs, split};
use crate::text::number::number;

/// How long the device may take to appear, in nanoseconds.
const PATIENCE: u64 = 10 * NANOSECONDS;

/// Sets up the loopback device and the device of
/// `ip=ADDRESS:SERVER:GATEWAY:MASK:HOSTNAME:DEVICE:AUTOCONF:DNS`. Returns the mount that shows the name
/// server to the command.
pub(super) fn set_up_network(line: &CommandLine, events: &Events) -> Result<Option<Mount>, Error> {
    let parameter = line.value(b"ip").unwrap_or_default();
    let failed = |errno| Error::new(Step::Network, parameter, errno);
    let wrong = |why| Err(Error::because(Step::Network, parameter, why));
    let socket = match devices() {
        Ok(socket) => socket,
        // A kernel without a network.
        Err(_) if parameter.is_empty() => return Ok(None),
        Err(errno) => return Err(failed(errno)),
    };
    let _ = set_up(socket.borrow(), b"lo");
    if parameter.is_empty() || parameter == b"off" || parameter == b"none" {
        return Ok(None);
    }
    let field = |index: usize| split(parameter, b':').nth(index).unwrap_or_default();
    let optional = |index| match field(index) {
        b"" => Some(None),
        text => address(text).map(Some),
    };
    let (Some(own), Some(gateway), Some(mask), Some(server)) =
        (address(field(0)), optional(2), optional(3), optional(7))
    else {
        return wrong("the form is ADDRESS::GATEWAY:MASK::DEVICE:off:DNS, without DHCP");
    };
    let device = events.wait(Some(clock() + PATIENCE), || {
        let devices = names_in(c"/sys/class/net");
        devices.into_iter().find(|device| match field(5) {
            b"" => device != b"lo",
            wanted => device == wanted,
        })
    })?;
    let Some(device) = device else {
        return wrong("there is no such device");
    };
    let socket = socket.borrow();
    set_address(socket, &device, own, mask.unwrap_or([255, 255, 255, 0]))
        .and_then(|()| set_up(socket, &device))
        .and_then(|()| gateway.map_or(Ok(()), |gateway| add_default_route(socket, gateway)))
        .map_err(failed)?;
    match server {
        None => Ok(None),
        Some(_) => write_resolv_conf(field(7)).map(Some).map_err(failed),
    }
}

/// Writes the file to `/run`, which is moved into any root, and returns the bind that shows it there.
fn write_resolv_conf(server: &[u8]) -> Result<Mount, Errno> {
    let path = c"/run/rootlet-resolv.conf";
    let flags = fs::O_WRONLY | fs::O_CREAT;
    let file = fs::openat(BorrowedFd::CWD, path, flags, 0o644)?;
    let text = [b"nameserver ", server, b"\n"].concat();
    fs::write_all(file.borrow(), &text)?;
    Ok(Mount::bind(path.to_bytes())
        .to("/etc/resolv.conf")
        .optional())
}

/// Parses an IPv4 address of four decimal numbers.
pub(crate) fn address(text: &[u8]) -> Option<Address> {
    let mut address = [0; 4];
    let mut numbers = split(text, b'.').map(number);
    for byte in &mut address {
        *byte = u8::try_from(numbers.next()??).ok()?;
    }
    numbers.next().is_none().then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_four_parts() {
        assert_eq!(address(b"10.0.2.15"), Some([10, 0, 2, 15]));
        for wrong in [
            &b"10.0.2"[..],
            b"10.0.2.256",
            b"1.2.3.4.5",
            b"",
            b"...",
            b"a.b.c.d",
        ] {
            assert_eq!(address(wrong), None);
        }
    }
}
