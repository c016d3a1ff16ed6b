//! Virtio serial ports, which connect a guest with its host, and the record of how the command ended.
//!
//! The kernel lets only one process open a port at a time.

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

/// How long a port may take to appear, in nanoseconds: the host announces ports one after the other.
const PATIENCE: u64 = 10 * NANOSECONDS;

/// Opens the port that the parameter names. The command cannot open it as well.
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

/// The report to the host, in lines: `entered MICROSECONDS` and `started MICROSECONDS` by the guest's
/// clock, and at the end `exit N`, `signal N` or `failed MESSAGE`.
pub(super) struct Record(OwnedFd);

impl Record {
    /// Opens the port that `rootlet.status=` names.
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

    /// Writes one line. There is nobody to report a failure to.
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

/// A pipe for the command's output, and the port that a relay process copies it to.
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
            // To a virtio port splice(2) does not wait for an empty pipe, as it does to other files.
            while poll(&mut [Poll::new(reader)], None).is_ok() && pass_on(reader, port) {}
        })?;
        Ok(output)
    }

    /// The command's end of the pipe.
    pub(super) fn writer(&self) -> BorrowedFd<'_> {
        self.writer.borrow()
    }

    /// Returns the descriptors that stay open in the init.
    pub(super) fn kept(&self) -> [BorrowedFd<'_>; 2] {
        [self.reader.borrow(), self.port.borrow()]
    }

    /// Copies the rest of the output, after the command and the relay process were killed. The relay
    /// loses nothing: what it took from the pipe is in the port.
    pub(super) fn finish(self) {
        drop(self.writer);
        while pass_on(self.reader.borrow(), self.port.borrow()) {}
    }
}

/// Moves the pipe's content to the port, inside the kernel; false if the pipe is empty.
fn pass_on(reader: BorrowedFd, port: BorrowedFd) -> bool {
    matches!(fs::splice(reader, port, 1 << 16), Ok(1..))
}

/// Starts a relay that copies the port's input to a pipe. Returns the command's end of the pipe.
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

/// Starts a relay process that calls `does` and exits.
fn start(uses: [BorrowedFd; 2], does: &dyn Fn()) -> Result<(), Error> {
    let mut relay = || {
        // Signals are meant for the command. With SIGPIPE blocked, write(2) fails with EPIPE.
        let _ = sigprocmask(SignalSet::ALL);
        let _ = close_all_but_these(uses);
        does();
        0u8
    };
    // SAFETY: this process has one thread; the child has a copy of the memory and drops nothing of its
    // parent's.
    match unsafe { start_command(true, false, &mut (&mut relay as Body)) } {
        Ok(_) => Ok(()),
        Err(errno) => Err(Error::new(Step::Fork, b"a stream", errno)),
    }
}
