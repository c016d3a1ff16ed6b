//! Between a command and the ports of its host: a port can be open once only, and a command, or the
//! shell in it, may well open `/dev/stderr`. So it gets pipes, and processes of ours pass on.

use crate::error::{Error, Step};
use crate::process::descriptors::close_all_but_these;
use crate::sys::poll::{Poll, poll};
use crate::sys::shared::{Body, start_command};
use crate::sys::signal::{SignalSet, set_blocked};
use crate::sys::{BorrowedFd, OwnedFd, fs};

/// What the command writes goes to a port.
pub(super) struct Output {
    writer: OwnedFd,
    reader: OwnedFd,
    port: OwnedFd,
}

impl Output {
    pub(super) fn new(port: OwnedFd) -> Result<Output, Error<'static>> {
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
pub(super) fn input(port: OwnedFd) -> Result<OwnedFd, Error<'static>> {
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

fn pipe() -> Result<(OwnedFd, OwnedFd), Error<'static>> {
    fs::pipe(fs::O_CLOEXEC).map_err(|errno| Error::new(Step::Prepare, b"", errno))
}

/// Starts a process that does this and ends.
fn start(uses: [BorrowedFd; 2], does: &dyn Fn()) -> Result<(), Error<'static>> {
    let mut relay = || {
        // Not for it, and SIGPIPE is an error of its call.
        let _ = set_blocked(SignalSet::ALL);
        let _ = close_all_but_these(uses);
        does();
        0u8
    };
    // SAFETY: this process has one thread; with a copy of the memory nothing of ours is dropped.
    match unsafe { start_command(true, false, &mut (&mut relay as Body)) } {
        Ok(_) => Ok(()),
        Err(errno) => Err(Error::new(Step::Fork, b"a stream", errno)),
    }
}
