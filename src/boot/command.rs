//! The command of a guest: reading it from the initramfs, and running it.
//!
//! The command runs under the same `Init` as `rootlet init`. Its standard descriptors are the console,
//! a terminal, or pipes to virtio ports. Nothing of it is left when the host reads its status.

use alloc::vec::Vec;
use core::cell::Cell;

use crate::boot::cmdline::CommandLine;
use crate::boot::events::Events;
use crate::boot::port::{self, Output, Record};
use crate::boot::sysfs::read_optional;
use crate::boot::{fstab, mount_all, parts};
use crate::error::{Error, Step};
use crate::mount::Mount;
use crate::pid1::around::Around;
use crate::pid1::descendants::kill_all;
use crate::pid1::init::Init;
use crate::pid1::observer::{Event, Habits};
use crate::sys::poll::{NANOSECONDS, clock};
use crate::sys::process::ExitStatus;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, split, tty};
use crate::text::name::Name;
use crate::text::number::number;

/// How long the terminal may take to appear, in nanoseconds.
const PATIENCE: u64 = 10 * NANOSECONDS;

/// A command and its mounts, read before the initramfs is freed.
pub(super) struct GuestCommand {
    init: Init,
    /// More mounts for the root that the command runs in.
    pub(super) mounts: Vec<Mount>,
}

impl GuestCommand {
    /// Reads the words in `/rootlet/command`, or without `root=` those after `--` on the kernel command
    /// line. `None` if there are none.
    pub(super) fn read(
        line: &CommandLine,
        environment: &[&[u8]],
    ) -> Result<Option<GuestCommand>, Error> {
        let words = match read_optional(c"/rootlet/command")? {
            Some(text) => strings(&text),
            None if line.has(b"root") => return Ok(None),
            None => line.for_init.clone(),
        };
        let [command, arguments @ ..] = &words[..] else {
            return Ok(None);
        };
        let mut init = Init::new();
        init.new_session().command(command);
        for argument in arguments {
            init.arg(argument);
        }
        match read_optional(c"/rootlet/environment")? {
            Some(text) => {
                for variable in strings(&text) {
                    init.variable(&variable);
                }
            }
            None => {
                for variable in environment {
                    init.variable(variable);
                }
            }
        }
        if let Some(directory) = read_optional(c"/rootlet/directory")? {
            init.current_dir(directory);
        }
        let fstab = read_optional(c"/rootlet/fstab")?.unwrap_or_default();
        let mounts = fstab::read(&fstab)?;
        Ok(Some(GuestCommand { init, mounts }))
    }

    /// Runs the command in the current root.
    pub(super) fn run(
        self,
        line: &CommandLine,
        events: &Events,
        record: Option<&Record>,
    ) -> Result<ExitStatus, Error> {
        let terminal = open_terminal(line, events)?;
        let open = |parameter, flags| port::open(line, parameter, flags, events);
        let stdin = open(b"rootlet.stdin", fs::O_RDONLY)?;
        let stdin = stdin.map(port::input).transpose()?;
        let mut outputs = [None, None];
        for (output, parameter) in outputs
            .iter_mut()
            .zip([b"rootlet.stdout", b"rootlet.stderr"])
        {
            *output = open(parameter, fs::O_WRONLY)?
                .map(Output::new)
                .transpose()?;
        }
        let [stdout, stderr] = outputs.each_ref().map(Option::as_ref);
        // The console stays open, for messages after the command.
        let mut kept = Vec::from([0, 1]);
        if let Some(record) = record {
            kept.push(record.port().number() as u32);
        }
        for output in [stdout, stderr].into_iter().flatten() {
            for descriptor in output.kept() {
                kept.push(descriptor.number() as u32);
            }
        }
        let terminal = terminal.as_ref().map(OwnedFd::borrow);
        let around = Around {
            standard: [
                stdin.as_ref().map(OwnedFd::borrow).or(terminal),
                stdout.map(Output::writer).or(terminal),
                stderr.map(Output::writer).or(terminal),
            ],
            kept: &kept,
        };
        if let Some(record) = record {
            record.tell_time(b"started", clock());
        }
        let ended = Ended(Cell::new(None));
        let status = self.init.run_in(&around, &ended);
        kill_all();
        outputs.into_iter().flatten().for_each(Output::finish);
        Ok(ended.0.get().unwrap_or(ExitStatus::exited(status?)))
    }
}

/// How the command ended. Unlike an exit status, this distinguishes a signal from an exit with 128+N.
struct Ended(Cell<Option<ExitStatus>>);

impl Habits for Ended {
    fn event(&self, event: Event) {
        if let Event::Ended(_, status) = event {
            self.0.set(Some(status));
        }
    }
}

/// Splits a text at NULs; the last one may be missing.
pub(crate) fn strings(text: &[u8]) -> Vec<Vec<u8>> {
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    match text {
        [] => Vec::new(),
        text => parts(text, 0),
    }
}

/// Opens the terminal that `rootlet.terminal=` names, and gives it the size in `rootlet.size=`.
fn open_terminal(line: &CommandLine, events: &Events) -> Result<Option<OwnedFd>, Error> {
    let Some(name) = line.value(b"rootlet.terminal") else {
        return Ok(None);
    };
    let path = Name::joined(&[b"/dev/", name]);
    let errno = Cell::new(Errno::ENOENT);
    let terminal = events.wait(Some(clock() + PATIENCE), || {
        let flags = fs::O_RDWR | fs::O_NOCTTY;
        let opened = fs::openat(BorrowedFd::CWD, path.as_c_str(), flags, 0);
        opened.map_err(|why| errno.set(why)).ok()
    })?;
    let Some(terminal) = terminal else {
        return Err(Error::new(Step::OpenTerminal, path.bytes(), errno.get()));
    };
    let size = line.value(b"rootlet.size").unwrap_or_default();
    let mut numbers = split(size, b'x').map(number);
    if let (Some(Some(rows)), Some(Some(columns)), None) =
        (numbers.next(), numbers.next(), numbers.next())
    {
        let _ = tty::set_size(terminal.borrow(), rows as u16, columns as u16);
    }
    Ok(Some(terminal))
}

/// Mounts and links what a command expects besides the file systems of [`boot`](super::boot).
pub(super) fn mount_more() -> Result<(), Error> {
    for (target, path) in [
        (c"/proc/self/fd", c"/dev/fd"),
        (c"/proc/self/fd/0", c"/dev/stdin"),
        (c"/proc/self/fd/1", c"/dev/stdout"),
        (c"/proc/self/fd/2", c"/dev/stderr"),
    ] {
        let _ = fs::symlinkat(target, BorrowedFd::CWD, path);
    }
    const FSTAB: &[u8] = b"\
devpts /dev/pts devpts optional,nosuid,noexec,gid=5,mode=620,ptmxmode=666
tmpfs /dev/shm tmpfs optional,nosuid,nodev,mode=1777
cgroup2 /sys/fs/cgroup cgroup2 optional,nosuid,nodev,noexec";
    mount_all(b"/", &fstab::read(FSTAB)?)
}
