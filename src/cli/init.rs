//! `rootlet init`, and the programs whose place it takes: options into an `Init`.

use alloc::vec::Vec;

use rootlet::sys::process::id;
use rootlet::sys::{BorrowedFd, fs::write_all};
use rootlet::{Error, Event, Habits, Init, Step};

use crate::cli::options::{INIT, Id, help, parse};
use crate::cli::{VERSION, print, print_to};

const LICENCE: &str = "rootlet is free software, under the MIT licence or the Apache licence 2.0, \
                       as you like\n";

/// Whose place is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Rootlet,
    Tini,
    DumbInit,
    Catatonit,
}

/// What was read from the command line and the environment.
struct Given {
    init: Init,
    /// How often `-v` was given.
    verbose: u32,
    warn_on_reap: bool,
    single_child: bool,
    pause: bool,
    instead: Option<Id>,
}

/// Takes the words after the role or the name, and gives the exit status.
pub(crate) fn init(
    program: Program,
    words: &[&[u8]],
    environment: &[&[u8]],
) -> Result<u8, Error<'static>> {
    match take(program, words, environment) {
        Err(error) if program != Program::Rootlet => {
            error.print();
            Ok(1)
        }
        result => result,
    }
}

fn take(program: Program, words: &[&[u8]], environment: &[&[u8]]) -> Result<u8, Error<'static>> {
    let variable = |name: &[u8]| {
        environment
            .iter()
            .find_map(|variable| variable.strip_prefix(name)?.strip_prefix(b"="))
    };
    let mut given = Given {
        init: Init::new(),
        verbose: 0,
        warn_on_reap: false,
        single_child: false,
        pause: false,
        instead: None,
    };
    let (mut group, mut session, mut subreaper) = (false, program == Program::DumbInit, false);
    let change = |given: &mut Given, change: &dyn Fn(Init) -> Init| {
        given.init = change(core::mem::take(&mut given.init));
    };
    let command_first: Vec<&[u8]>;
    let mut operands = parse(&INIT, words, |option, value| {
        let wrong = |why| Err(Error::because(Step::Usage, value, why));
        match option {
            Id::Group => group = true,
            Id::SingleChild => given.single_child = true,
            Id::NewSession => session = true,
            Id::Subreaper => subreaper = true,
            Id::WarnOnReap => given.warn_on_reap = true,
            Id::Verbose => given.verbose += 1,
            Id::Pause => given.pause = true,
            Id::Rewrite => match rewritten(value, program) {
                Some((old, new)) => change(&mut given, &|init| init.rewrite(old, new)),
                None => return wrong("signals are OLD:NEW, by number or name, NEW perhaps 0"),
            },
            Id::ParentDeath => match signal(value) {
                Some(signal) => change(&mut given, &|init| init.parent_death(signal)),
                None => return wrong("there is no such signal"),
            },
            Id::Expect => match number(value).and_then(|code| u8::try_from(code).ok()) {
                Some(code) => change(&mut given, &|init| init.expect(code)),
                None => return wrong("an exit status is a number from 0 to 255"),
            },
            Id::Grace => match number(value) {
                Some(seconds) => change(&mut given, &|init| init.grace(seconds)),
                None => return wrong("a number of seconds is wanted"),
            },
            _ => given.instead = given.instead.or(Some(option)),
        }
        Ok(())
    })?;
    // Where the program prints it.
    let (for_version, for_help) = match program {
        Program::DumbInit => (BorrowedFd::STDERR, BorrowedFd::STDERR),
        Program::Catatonit => (BorrowedFd::STDOUT, BorrowedFd::STDERR),
        Program::Rootlet | Program::Tini => (BorrowedFd::STDOUT, BorrowedFd::STDOUT),
    };
    match given.instead {
        Some(Id::Version) => return print_to(for_version, version(program).as_bytes()),
        Some(Id::Licence) => return print(LICENCE.as_bytes()),
        Some(_) => return print_to(for_help, &help(&INIT)),
        None => {}
    }
    let Given {
        mut init,
        mut verbose,
        warn_on_reap,
        single_child,
        pause,
        ..
    } = given;

    if let Program::Rootlet | Program::Tini = program {
        group |= variable(b"TINI_KILL_PROCESS_GROUP").is_some();
        subreaper |= variable(b"TINI_SUBREAPER").is_some();
    }
    if program == Program::Tini {
        verbose += variable(b"TINI_VERBOSITY").map_or(1, |text| number(text).unwrap_or(0));
        init = init.own_group();
    }
    if program == Program::DumbInit {
        verbose += u32::from(variable(b"DUMB_INIT_DEBUG") == Some(b"1"));
        session &= variable(b"DUMB_INIT_SETSID") != Some(b"0");
        init = init.shared_group().suspend();
    }
    if program == Program::Catatonit {
        init = init.own_group();
        for stop in ["TSTP", "TTIN", "TTOU"] {
            init = init.rewrite(signal(stop.as_bytes()).unwrap_or_default(), 0);
        }
    }
    // These two leave orphans to others where they are not pid 1, unless told otherwise.
    if matches!(program, Program::Tini | Program::DumbInit) && !subreaper {
        init = init.no_subreaper();
    }
    if group {
        init = init.to_group();
    }
    if session && !single_child {
        init = init.new_session();
    }

    // tini's usage is `PROGRAM -- ARGS`, and catatonit reads it so too.
    let ended_options = words[..words.len() - operands.len()].last() == Some(&&b"--"[..]);
    if matches!(program, Program::Tini | Program::Catatonit) && !ended_options {
        if let [_, b"--", ..] = operands {
            command_first = [&operands[..1], &operands[2..]].concat();
            operands = &command_first;
        }
    }
    match operands {
        _ if pause => {}
        [] => {
            let why = "it needs a COMMAND";
            return Err(Error::because(Step::Usage, b"init", why));
        }
        [command, arguments @ ..] => {
            init = init.command(command);
            init = arguments
                .iter()
                .fold(init, |init, argument| init.arg(argument));
        }
    }
    init = environment
        .iter()
        .fold(init, |init, variable| init.env(variable));

    let says = Says {
        program,
        verbose,
        warn_on_reap,
        command: operands.first().copied().unwrap_or_default(),
    };
    if program == Program::DumbInit && variable(b"DUMB_INIT_DEBUG") == Some(b"1") {
        says.debug(&[b"Running in debug mode."]);
    }
    let status = init.run(&says)?;
    if program == Program::DumbInit {
        if !session || single_child {
            // It sends this to the command, which has ended, and says so.
            says.debug(&[b"Forwarded signal 15 to children."]);
        }
        says.debug(&[
            b"Child exited with status ",
            &Digits::of(status.into()),
            b". Goodbye.",
        ]);
    }
    Ok(status)
}

fn version(program: Program) -> &'static str {
    match program {
        Program::Rootlet => VERSION,
        // The number that scripts look for is the one whose options are taken.
        Program::Tini => concat!(
            "tini version 0.19.0 - rootlet ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        ),
        Program::DumbInit => concat!(
            "dumb-init v1.2.5 - rootlet ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        ),
        Program::Catatonit => {
            concat!(
                "tini version 0.2.1_catatonit - rootlet ",
                env!("CARGO_PKG_VERSION"),
                "\n"
            )
        }
    }
}

fn number(text: &[u8]) -> Option<u32> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| core::str::from_utf8(text).ok()?.parse().ok())?
}

/// `OLD:NEW`; dumb-init knows no real-time signals.
fn rewritten(text: &[u8], program: Program) -> Option<(u8, u8)> {
    let colon = text.iter().position(|byte| *byte == b':')?;
    let old = signal(&text[..colon])?;
    let new = match &text[colon + 1..] {
        b"0" => 0,
        new => signal(new)?,
    };
    let greatest = if program == Program::DumbInit { 31 } else { 64 };
    (old <= greatest && new <= greatest).then_some((old, new))
}

/// A signal by its number or name, with or without `SIG`.
fn signal(text: &[u8]) -> Option<u8> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    if let Some(number) = number(text) {
        return u8::try_from(number)
            .ok()
            .filter(|number| (1..=64).contains(number));
    }
    let name = text.strip_prefix(b"SIG").unwrap_or(text);
    let index = NAMES.iter().position(|known| known.as_bytes() == name)?;
    Some(index as u8 + 1)
}

/// A number in decimal.
struct Digits {
    bytes: [u8; 10],
    start: usize,
}

impl Digits {
    fn of(mut number: u32) -> Digits {
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
struct Says<'a> {
    program: Program,
    verbose: u32,
    warn_on_reap: bool,
    command: &'a [u8],
}

impl Says<'_> {
    fn line(&self, head: &[&[u8]], parts: &[&[u8]]) {
        let mut line: Vec<u8> = Vec::new();
        for part in head.iter().chain(parts) {
            line.extend_from_slice(part);
        }
        line.push(b'\n');
        // There is nowhere to report that standard error cannot be written.
        let _ = write_all(BorrowedFd::STDERR, &line);
    }

    /// A line of dumb-init, if it is verbose.
    fn debug(&self, parts: &[&[u8]]) {
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
    fn wants_orphans(&self) -> bool {
        self.warn_on_reap || self.verbose > 2 || (self.program != Program::Tini && self.verbose > 0)
    }

    fn event(&self, event: Event) {
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
    fn say(&self, event: Event) {
        let warn = self.warn_on_reap || self.verbose > 0;
        let (what, number): (&[u8], u32) = match event {
            Event::Reaped(pid, _) if warn => (b"reaped the orphan ", pid as u32),
            _ if self.verbose == 0 => return,
            Event::Started(pid) => (b"started the command, pid ", pid as u32),
            Event::HandOver(signal) => {
                (b"the terminal changed hands, not sent on: signal ", signal)
            }
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
