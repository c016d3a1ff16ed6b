//! What an init says, in the words of the program whose place it takes.

use alloc::vec::Vec;

use rootlet::sys::Errno;
use rootlet::sys::process::{exit, id};
use rootlet::{Error, Event, Habits, write_error};

/// Whose place is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Rootlet,
    Tini,
    DumbInit,
    Catatonit,
}

/// A number in decimal.
pub(crate) struct Digits {
    bytes: [u8; 10],
    start: usize,
}

impl Digits {
    pub(crate) fn of(mut number: u32) -> Digits {
        let mut digits = Digits {
            bytes: [0; 10],
            start: 10,
        };
        loop {
            digits.start -= 1;
            digits.bytes[digits.start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return digits;
            }
        }
    }
}

impl core::ops::Deref for Digits {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// What is said, in the words of the program whose place is taken.
pub(crate) struct Says<'a> {
    pub(crate) program: Program,
    pub(crate) verbose: u32,
    pub(crate) warn_on_reap: bool,
    pub(crate) command: &'a [u8],
}

impl Says<'_> {
    fn line(&self, head: &[&[u8]], parts: &[&[u8]]) {
        let mut line: Vec<u8> = Vec::new();
        for part in head.iter().chain(parts) {
            line.extend_from_slice(part);
        }
        line.push(b'\n');
        write_error(&line);
    }

    /// A line of dumb-init, if it is verbose.
    pub(crate) fn debug(&self, parts: &[&[u8]]) {
        if self.verbose > 0 {
            self.line(&[b"[dumb-init] "], parts);
        }
    }

    /// A line of tini: `[WARN  tini (7)] …`.
    fn tini(&self, level: &[u8], parts: &[&[u8]]) {
        let pid = Digits::of(id() as u32);
        self.line(&[b"[", level, b" tini (", &pid, b")] "], parts);
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
            return self.say_not_sent(signal, Errno::from_number(errno).describe().1);
        }
        match self.program {
            Program::DumbInit => self.say_as_dumb_init(event),
            Program::Tini => self.say_as_tini(event),
            Program::Rootlet | Program::Catatonit => self.say(event),
        }
    }

    fn failed(&self, error: &Error) -> u8 {
        match self.program {
            Program::Rootlet => {
                error.print();
                error.status()
            }
            Program::Tini => {
                let parts: [&[u8]; 4] = [
                    b"exec ",
                    self.command,
                    b" failed: ",
                    error.reason().as_bytes(),
                ];
                self.tini(b"FATAL", &parts);
                error.status()
            }
            Program::DumbInit => {
                let parts: [&[u8]; 3] = [self.command, b": ", error.reason().as_bytes()];
                self.line(&[b"[dumb-init] "], &parts);
                2
            }
            Program::Catatonit => {
                error.print();
                1
            }
        }
    }
}

impl Says<'_> {
    fn say_not_sent(&self, signal: u32, reason: &str) {
        let reason = reason.as_bytes();
        if self.program == Program::Tini {
            let parts: [&[u8]; 3] = [b"Unexpected error when forwarding signal: '", reason, b"'"];
            self.tini(b"FATAL", &parts);
            // As tini does: the command of a container ends with that.
            exit(1)
        }
        let head: &[u8] = match self.program {
            Program::DumbInit => b"[dumb-init] ",
            _ => b"rootlet: ",
        };
        let signal = Digits::of(signal);
        let parts: [&[u8]; 4] = [
            b"cannot send signal ",
            &signal,
            b" to the command: ",
            reason,
        ];
        self.line(&[head], &parts);
    }

    fn say(&self, event: Event) {
        let warn = self.warn_on_reap || self.verbose > 0;
        let (what, number): (&[u8], u32) = match event {
            Event::Reaped(pid, _) if warn => (b"reaped the orphan ", pid as u32),
            _ if self.verbose == 0 => return,
            Event::Started(pid) => (b"started the command, pid ", pid as u32),
            Event::HandOver(signal) => {
                (b"the terminal changed hands, not sent on: signal ", signal)
            }
            Event::CannotReap => (b"cannot adopt orphans, pid ", id() as u32),
            Event::Forwarded(signal) => (b"sent on signal ", signal),
            Event::NotForwarded(signal) => (b"not sent on: signal ", signal),
            Event::Ended(_, status) => (b"the command ended with ", status.shell().into()),
            _ => return,
        };
        self.line(&[b"rootlet: "], &[what, &Digits::of(number)]);
    }

    fn say_as_tini(&self, event: Event) {
        match event {
            Event::CannotReap if self.verbose > 0 => self.tini(
                b"WARN ",
                &[b"neither pid 1 nor a child subreaper: orphans go to others, so zombie reaping \
                    won't work. Cure: -s, TINI_SUBREAPER, or be pid 1."],
            ),
            Event::Reaped(pid, _) if self.warn_on_reap && self.verbose > 0 => self.tini(
                b"WARN ",
                &[b"Reaped zombie process with pid=", &Digits::of(pid as u32)],
            ),
            Event::Started(pid) if self.verbose > 1 => {
                let parts: [&[u8]; 5] = [
                    b"Spawned child process '",
                    self.command,
                    b"' with pid '",
                    &Digits::of(pid as u32),
                    b"'",
                ];
                self.tini(b"INFO ", &parts);
            }
            Event::Forwarded(signal) if self.verbose > 2 => {
                self.tini(b"DEBUG", &[b"Passing signal: ", &Digits::of(signal)]);
            }
            Event::Ended(_, status) if self.verbose > 1 => {
                let status = Digits::of(status.shell().into());
                self.tini(b"INFO ", &[b"Main child exited (with status '", &status, b"')"]);
            }
            _ => {}
        }
    }

    fn say_as_dumb_init(&self, event: Event) {
        match event {
            Event::LeadsSession => self.debug(&[b"setsid complete."]),
            Event::HandOver(signal) => {
                self.debug(&[b"Ignoring tty hand-off signal ", &Digits::of(signal), b"."]);
            }
            Event::Started(pid) => {
                self.debug(&[b"Child spawned with PID ", &Digits::of(pid as u32), b"."]);
            }
            Event::Received(signal) => {
                self.debug(&[b"Received signal ", &Digits::of(signal), b"."]);
            }
            Event::Forwarded(signal) => {
                let number = Digits::of(signal);
                self.debug(&[b"Forwarded signal ", &number, b" to children."]);
            }
            Event::NotForwarded(signal) => {
                let number = Digits::of(signal);
                self.debug(&[
                    b"Not forwarding signal ",
                    &number,
                    b" to children (ignored).",
                ]);
            }
            Event::Reaped(pid, status) | Event::Ended(pid, status) => {
                let (how, number): (&[u8], u8) = match status.signal() {
                    Some(signal) => (b" was terminated by signal ", signal),
                    None => (b" exited with exit status ", status.shell()),
                };
                let (pid, number) = (Digits::of(pid as u32), Digits::of(number.into()));
                self.debug(&[b"A child with PID ", &pid, how, &number, b"."]);
            }
            _ => {}
        }
    }
}
