//! The end: everything written, told, and the machine ended. The first process must not end
//! itself, or the kernel panics.

use core::cell::Cell;

use crate::boot::cmdline::CommandLine;
use crate::boot::console;
use crate::boot::port::Record;
use crate::error::Error;
use crate::pid1::descendants::kill_all;
use crate::pid1::init::{Around, Init};
use crate::pid1::observer::{Event, Habits};
use crate::sys::OwnedFd;
use crate::sys::fs::sync;
use crate::sys::poll::poll;
use crate::sys::process::ExitStatus;
use crate::sys::signal::{SIGINT, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2};
use crate::sys::system::{Ending, reboot};

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
        // Where nothing could be told, nobody knows that the end is to come.
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

/// A shell of the initramfs on the console's terminal, to look around in. Gives how the machine is to
/// end, if that was asked for there.
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
        .env("PATH=/sbin:/bin:/usr/sbin:/usr/bin")
        .run_in(&around, &asked)
    {
        error.print();
    }
    asked.0.get()
}

/// What reboot(8), halt(8) and poweroff(8) of a busybox tell process 1 by: TERM, USR1, USR2; and INT,
/// which is Ctrl-Alt-Del.
const ENDINGS: [(i32, Ending); 4] = [
    (SIGTERM as i32, Ending::Restart),
    (SIGINT as i32, Ending::Restart),
    (SIGUSR1 as i32, Ending::Halt),
    (SIGUSR2 as i32, Ending::PowerOff),
];

/// What was last asked for.
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
