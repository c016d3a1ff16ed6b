//! The output of an init, in the words of the program that it replaces: tini, dumb-init or catatonit.
//! Scripts and people search logs for these words.

use alloc::vec::Vec;

use crate::error::Error;
use crate::pid1::observer::{Event, Habits};
use crate::process::stderr::write_error;
use crate::sys::Errno;
use crate::sys::process::{exit, id};

/// The program that is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Rootlet,
    Tini,
    DumbInit,
    Catatonit,
}

/// Prints what happens to an init, in the words of the program that it replaces.
pub(crate) struct Says<'a> {
    pub(crate) program: Program,
    pub(crate) verbose: u32,
    pub(crate) warn_on_reap: bool,
    pub(crate) command: &'a [u8],
}

impl Says<'_> {
    /// Prints a template, with each `%` replaced by the next number and each `$` by the next text.
    fn line(&self, template: &str, mut numbers: &[u32], mut texts: &[&[u8]]) {
        let mut line: Vec<u8> = Vec::new();
        for byte in template.bytes() {
            match (byte, numbers, texts) {
                (b'%', [number, rest @ ..], _) => {
                    push_number(&mut line, *number);
                    numbers = rest;
                }
                (b'$', _, [text, rest @ ..]) => {
                    line.extend_from_slice(text);
                    texts = rest;
                }
                _ => line.push(byte),
            }
        }
        line.push(b'\n');
        write_error(&line);
    }

    /// Prints a line of dumb-init, if it is verbose.
    pub(crate) fn debug(&self, template: &str, number: u32) {
        if self.verbose > 0 {
            self.line(template, &[number], &[]);
        }
    }
}

impl Habits for Says<'_> {
    fn is_verbose(&self) -> bool {
        self.wants_orphans() || self.verbose > 1
    }

    fn wants_orphans(&self) -> bool {
        self.warn_on_reap || self.verbose > 2 || (self.program != Program::Tini && self.verbose > 0)
    }

    fn event(&self, event: Event) {
        if let Event::NotSent(signal, errno) = event {
            return self.say_not_sent(signal as u32, Errno::from_number(errno).describe().1);
        }
        let said = match self.program {
            Program::DumbInit => self.said_by_dumb_init(event),
            Program::Tini => self.said_by_tini(event),
            Program::Rootlet | Program::Catatonit => self.said(event),
        };
        if let Some((template, numbers)) = said {
            self.line(template, &numbers, &[self.command]);
        }
    }

    fn failed(&self, error: &Error) -> u8 {
        let texts = [self.command, error.reason().as_bytes()];
        match self.program {
            Program::Rootlet | Program::Catatonit => error.print(),
            Program::Tini => self.line("[FATAL tini (%)] exec $ failed: $", &[id() as u32], &texts),
            Program::DumbInit => self.line("[dumb-init] $: $", &[], &texts),
        }
        match self.program {
            Program::Rootlet | Program::Tini => error.status(),
            Program::DumbInit => 2,
            Program::Catatonit => 1,
        }
    }
}

/// A template for [`Says::line`], and its numbers.
type Said = Option<(&'static str, [u32; 2])>;

impl Says<'_> {
    fn say_not_sent(&self, signal: u32, reason: &str) {
        let (template, number) = match self.program {
            Program::Rootlet | Program::Catatonit => {
                ("rootlet: cannot send signal % to the command: $", signal)
            }
            Program::DumbInit => ("[dumb-init] cannot send signal % to the command: $", signal),
            Program::Tini => (
                "[FATAL tini (%)] Unexpected error when forwarding signal: '$'",
                id() as u32,
            ),
        };
        self.line(template, &[number], &[reason.as_bytes()]);
        if self.program == Program::Tini {
            // tini exits here too, which ends the container.
            exit(1)
        }
    }

    fn said(&self, event: Event) -> Said {
        let is_reaped = matches!(event, Event::Reaped(..));
        if self.verbose == 0 && !(self.warn_on_reap && is_reaped) {
            return None;
        }
        let (template, number) = match event {
            Event::Reaped(pid, _) => ("rootlet: reaped orphan %", pid as u32),
            Event::Started(pid) => ("rootlet: started the command, pid %", pid as u32),
            Event::HandOver(signal) => (
                "rootlet: not forwarded, since the terminal changed hands: signal %",
                signal as u32,
            ),
            Event::CannotReap => ("rootlet: cannot adopt orphans, pid %", id() as u32),
            Event::Forwarded(signal) => ("rootlet: forwarded signal %", signal as u32),
            Event::NotForwarded(signal) => ("rootlet: not forwarded: signal %", signal as u32),
            Event::Ended(_, status) => {
                let status = status.shell();
                ("rootlet: the command exited with status %", status.into())
            }
            _ => return None,
        };
        Some((template, [number, 0]))
    }

    fn said_by_tini(&self, event: Event) -> Said {
        let (least, template, number) = match event {
            Event::CannotReap => (
                1,
                "[WARN  tini (%)] neither pid 1 nor a child subreaper: orphans go to others, so \
                 zombie reaping won't work. Cure: -s, TINI_SUBREAPER, or be pid 1.",
                0,
            ),
            Event::Reaped(pid, _) if self.warn_on_reap => (
                1,
                "[WARN  tini (%)] Reaped zombie process with pid=%",
                pid as u32,
            ),
            Event::Started(pid) => (
                2,
                "[INFO  tini (%)] Spawned child process '$' with pid '%'",
                pid as u32,
            ),
            Event::Forwarded(signal) => (3, "[DEBUG tini (%)] Passing signal: %", signal as u32),
            Event::Ended(_, status) => (
                2,
                "[INFO  tini (%)] Main child exited (with status '%')",
                status.shell().into(),
            ),
            _ => return None,
        };
        (self.verbose >= least).then(|| (template, [id() as u32, number]))
    }

    fn said_by_dumb_init(&self, event: Event) -> Said {
        let (template, number, more) = match event {
            Event::LeadsSession => ("[dumb-init] setsid complete.", 0, 0),
            Event::HandOver(signal) => (
                "[dumb-init] Ignoring tty hand-off signal %.",
                signal as u32,
                0,
            ),
            Event::Started(pid) => ("[dumb-init] Child spawned with PID %.", pid as u32, 0),
            Event::Received(signal) => ("[dumb-init] Received signal %.", signal as u32, 0),
            Event::Forwarded(signal) => (
                "[dumb-init] Forwarded signal % to children.",
                signal as u32,
                0,
            ),
            Event::NotForwarded(signal) => (
                "[dumb-init] Not forwarding signal % to children (ignored).",
                signal as u32,
                0,
            ),
            Event::Reaped(pid, status) | Event::Ended(pid, status) => match status.signal() {
                Some(signal) => (
                    "[dumb-init] A child with PID % was terminated by signal %.",
                    pid as u32,
                    signal as u32,
                ),
                None => (
                    "[dumb-init] A child with PID % exited with exit status %.",
                    pid as u32,
                    status.shell().into(),
                ),
            },
            _ => return None,
        };
        (self.verbose > 0).then_some((template, [number, more]))
    }
}

fn push_number(line: &mut Vec<u8>, number: u32) {
    if number > 9 {
        push_number(line, number / 10);
    }
    line.push(b'0' + (number % 10) as u8);
}
