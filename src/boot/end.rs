//! The end: everything written, told, and the machine ended. The first process must not end
//! itself, or the kernel panics.

use crate::boot::cmdline::CommandLine;
use crate::boot::console;
use crate::boot::port::Record;
use crate::error::Error;
use crate::pid1::descendants::kill_all;
use crate::pid1::init::{Around, Init};
use crate::pid1::observer::Quiet;
use crate::sys::OwnedFd;
use crate::sys::fs::sync;
use crate::sys::poll::poll;
use crate::sys::process::ExitStatus;
use crate::sys::system::{Ending, reboot};

pub(super) fn end(
    line: &CommandLine,
    record: Option<&Record>,
    outcome: Result<ExitStatus, Error>,
) -> ! {
    if let Err(error) = &outcome {
        error.print();
        if line.has(b"rootlet.shell") {
            rescue(record);
        }
    }
    kill_all();
    sync();
    if let Some(record) = record {
        record.tell_end(&outcome);
    }
    console::drain();
    let ending = match line.value(b"rootlet.end") {
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

/// A shell of the initramfs on the console's terminal, to look around in.
fn rescue(record: Option<&Record>) {
    let terminal = console::open_terminal();
    let port = record.map(|record| record.port().number() as u32);
    let around = Around {
        standard: [(); 3].map(|()| terminal.as_ref().map(OwnedFd::borrow)),
        kept: port.as_slice(),
    };
    let shell = Init::new().new_session().command("/bin/sh");
    if let Err(error) = shell
        .env("PATH=/sbin:/bin:/usr/sbin:/usr/bin")
        .run_in(&around, &Quiet)
    {
        error.print();
    }
}
