//! Virtio serial ports, by which a guest talks with its host, and the record of how the command
//! ended.

use alloc::vec::Vec;

use crate::boot::cmdline::CommandLine;
use crate::boot::events::Events;
use crate::boot::sysfs::{names_in, read_attribute};
use crate::error::{Error, Step};
use crate::sys::poll::{NANOSECONDS, clock};
use crate::sys::process::ExitStatus;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::line::Line;
use crate::text::name::Name;

/// How long a port may take to appear, in nanoseconds: the host tells of them one by one.
const PATIENCE: u64 = 10 * NANOSECONDS;

/// Opens the port whose name the parameter gives. A port can be open once: the command cannot
/// open it as well.
pub(super) fn open(
    line: &CommandLine,
    parameter: &[u8],
    flags: u32,
    events: &Events,
) -> Result<Option<OwnedFd>, Error<'static>> {
    let Some(name) = line.value(parameter) else {
        return Ok(None);
    };
    let failed = |errno| Error::new(Step::OpenPort, name, errno).into_owned();
    let path = events.wait(Some(clock() + PATIENCE), || path_of(name))?;
    let path = path.ok_or(failed(Errno::ENXIO))?;
    fs::openat(BorrowedFd::CWD, path.as_c_str(), flags, 0)
        .map(Some)
        .map_err(failed)
}

fn path_of(name: &[u8]) -> Option<Name> {
    let ports = names_in(c"/sys/class/virtio-ports");
    let port = ports
        .iter()
        .find(|port| read_attribute(&[b"/sys/class/virtio-ports/", port, b"/name"]) == name)?;
    Some(Name::new(&[b"/dev/", &port[..]].concat()))
}

/// What the host is told, a line each: `entered MICROSECONDS`, `started MICROSECONDS`, by the
/// clock of the guest; at last `exit N`, `signal N` or `failed MESSAGE`.
pub(super) struct Record(OwnedFd);

impl Record {
    /// On the port that `rootlet.status=` names.
    pub(super) fn open(
        line: &CommandLine,
        events: &Events,
    ) -> Result<Option<Record>, Error<'static>> {
        Ok(open(line, b"rootlet.status", fs::O_WRONLY, events)?.map(Record))
    }

    pub(super) fn port(&self) -> BorrowedFd<'_> {
        self.0.borrow()
    }

    pub(super) fn tell_time(&self, what: &[u8], nanoseconds: u64) {
        self.tell(what, (nanoseconds / 1000) as u32);
    }

    pub(super) fn tell_end(&self, outcome: &Result<ExitStatus, Error>) {
        match outcome {
            Ok(status) => match status.signal() {
                Some(signal) => self.tell(b"signal", signal.into()),
                None => self.tell(b"exit", status.shell().into()),
            },
            Err(error) => {
                let mut text = Vec::from(b"failed ");
                text.extend(error.line().bytes());
                text.push(b'\n');
                let _ = fs::write_all(self.port(), &text);
            }
        }
    }

    /// That nobody listens can be told to nobody.
    fn tell(&self, what: &[u8], number: u32) {
        let mut text = Line::new();
        text.push(what);
        text.push(b" ");
        text.push_number(number);
        text.push(b"\n");
        let _ = fs::write_all(self.port(), text.bytes());
    }
}
