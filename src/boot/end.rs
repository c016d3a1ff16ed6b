//! The end of the machine: everything is written to disk and reported, then the machine ends.
//!
//! The first process must not exit, since the kernel would panic.

use core::cell::Cell;

use crate::boot::cmdline::CommandLine;
use crate::boot::console;
use crate::boot::port::Record;
use crate::error::Error;
use crate::pid1::around::Around;
use crate::pid1::descendants::kill_all;
use crate::pid1::init::Init;
use crate::pid1::observer::{Event, Habits};
use crate::sys::OwnedFd;
use crate::sys::fs::sync;
use crate::sys::poll::poll;
use crate::sys::process::ExitStatus;
use crate::sys::signal::{SIGINT, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2};
use crate::sys::system::{Ending, reboot};

/// Reports the outcome and ends the machine as `rootlet.end=` says.
pub(super) fn end(
    line: &CommandLine,
    record: Option<&Record>,
    outcome: Result<ExitStatus, Error>,
) -> ! {
    let mut asked_for = None;
    if let Err(error) = &outcome {
        error.print();
        if line.has(b"rootlet.shell") {
            asked_for = rescue(record);
        }
    }
    kill_all();
    sync();
    if let Some(record) = record {
        record.tell_end(&outcome);
    }
    console::drain();
    let ending = match line.value(b"rootlet.end") {
        _ if asked_for.is_some() => asked_for,
        Some(b"reboot") => Some(Ending::Restart),
        Some(b"halt") => Some(Ending::Halt),
        // Without a status port the host does not learn that it has to end the machine.
        Some(b"wait") if record.is_some() => None,
        _ => Some(Ending::PowerOff),
    };
    loop {
        if let Some(ending) = ending {
            let _ = reboot(ending);
        }
        let _ = poll(&mut [], None);
    }
}

/// Runs a shell of the initramfs on the console's terminal. Returns how the machine should end, if
/// somebody asked for it there.
fn rescue(record: Option<&Record>) -> Option<Ending> {
    let asked = Asked(Cell::new(None));
    let terminal = console::open_terminal();
    let port = record.map(|record| record.port().number() as u32);
    let around = Around {
        standard: [(); 3].map(|()| terminal.as_ref().map(OwnedFd::borrow)),
        kept: port.as_slice(),
    };
    let mut shell = Init::new();
    shell.new_session().command("/bin/sh");
    for (signal, _) in ENDINGS {
        shell.rewrite(signal, SIGKILL as i32);
    }
    if let Err(error) = shell
        .variable(b"PATH=/sbin:/bin:/usr/sbin:/usr/bin")
        .run_in(&around, &asked)
    {
        error.print();
    }
    asked.0.get()
}

/// The signals that busybox sends to process 1: TERM from reboot(8), USR1 from halt(8), USR2 from
/// poweroff(8). The kernel sends INT for Ctrl-Alt-Del.
const ENDINGS: [(i32, Ending); 4] = [
    (SIGTERM as i32, Ending::Restart),
    (SIGINT as i32, Ending::Restart),
    (SIGUSR1 as i32, Ending::Halt),
    (SIGUSR2 as i32, Ending::PowerOff),
];

/// The ending that was asked for last.
struct Asked(Cell<Option<Ending>>);

impl Habits for Asked {
    fn event(&self, event: Event) {
        if let Event::Received(number) = event {
            let ending = ENDINGS.iter().find(|(signal, _)| *signal == number);
            self.0
                .set(ending.map(|(_, ending)| *ending).or(self.0.get()));
        }
    }
}
