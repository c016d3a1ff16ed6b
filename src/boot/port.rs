//! Virtio serial ports, by which a guest talks with its host, and the record of how the command
//! ended.

use alloc::vec::Vec;

use crate::boot::cmdline::CommandLine;
use crate::boot::events::Events;
use crate::boot::sysfs::{names_in, read_attribute};
use crate::error::{Error, Step};
use crate::process::descriptors::close_all_but_these;
use crate::sys::poll::{NANOSECONDS, Poll, clock, poll};
use crate::sys::process::ExitStatus;
use crate::sys::shared::{Body, start_command};
use crate::sys::signal::{SignalSet, sigprocmask};
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
) -> Result<Option<OwnedFd>, Error> {
    let Some(name) = line.value(parameter) else {
        return Ok(None);
    };
    let failed = |errno| Error::new(Step::OpenPort, name, errno);
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
    Some(Name::joined(&[b"/dev/", &port[..]]))
}

/// What the host is told, a line each: `entered MICROSECONDS`, `started MICROSECONDS`, by the
/// clock of the guest; at last `exit N`, `signal N` or `failed MESSAGE`.
pub(super) struct Record(OwnedFd);

impl Record {
    /// On the port that `rootlet.status=` names.
    pub(super) fn open(line: &CommandLine, events: &Events) -> Result<Option<Record>, Error> {
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
                Some(signal) => self.tell(b"signal", signal as u32),
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

// A port can be open only once, but a command, or the shell in it, may open `/dev/stderr` again. The
// command therefore gets pipes, and relay processes copy between the pipes and the ports.

/// What the command writes goes to a port.
pub(super) struct Output {
    writer: OwnedFd,
    reader: OwnedFd,
    port: OwnedFd,
}

impl Output {
    pub(super) fn new(port: OwnedFd) -> Result<Output, Error> {
        let (reader, writer) = pipe()?;
        let output = Output {
            writer,
            reader,
            port,
        };
        let (reader, port) = (output.reader.borrow(), output.port.borrow());
        start([reader, port], &|| {
            // Where a pipe is empty this does not wait, as it would for other files.
            while poll(&mut [Poll::new(reader)], None).is_ok() && pass_on(reader, port) {}
        })?;
        Ok(output)
    }

    /// The command's end of the pipe.
    pub(super) fn writer(&self) -> BorrowedFd<'_> {
        self.writer.borrow()
    }

    /// These stay open in the init.
    pub(super) fn kept(&self) -> [BorrowedFd<'_>; 2] {
        [self.reader.borrow(), self.port.borrow()]
    }

    /// Passes on what is left when the command and all others have been killed, the process that
    /// did it until then among them: what that had taken from the pipe, the host has.
    pub(super) fn finish(self) {
        drop(self.writer);
        while pass_on(self.reader.borrow(), self.port.borrow()) {}
    }
}

/// Moves what is in the pipe, inside the kernel; false when there is nothing.
fn pass_on(reader: BorrowedFd, port: BorrowedFd) -> bool {
    matches!(fs::splice(reader, port, 1 << 16), Ok(1..))
}

/// What a port says is for the command: its end of the pipe.
pub(super) fn input(port: OwnedFd) -> Result<OwnedFd, Error> {
    let (reader, writer) = pipe()?;
    start([port.borrow(), writer.borrow()], &|| {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = fs::read(port.borrow(), &mut buffer) {
            if fs::write_all(writer.borrow(), &buffer[..length]).is_err() {
                return;
            }
        }
    })?;
    Ok(reader)
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    fs::pipe(fs::O_CLOEXEC).map_err(|errno| Error::new(Step::Prepare, b"", errno))
}

/// Starts a process that does this and ends.
fn start(uses: [BorrowedFd; 2], does: &dyn Fn()) -> Result<(), Error> {
    let mut relay = || {
        // Signals are meant for the command. With SIGPIPE blocked, write(2) fails with EPIPE.
        let _ = sigprocmask(SignalSet::ALL);
        let _ = close_all_but_these(uses);
        does();
        0u8
    };
    // SAFETY: this process has one thread; the child has a copy of the memory and drops nothing of its parent's.
    match unsafe { start_command(true, false, &mut (&mut relay as Body)) } {
        Ok(_) => Ok(()),
        Err(errno) => Err(Error::new(Step::Fork, b"a stream", errno)),
    }
}
