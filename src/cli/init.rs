//! `rootlet init`, and the programs that it replaces: turns options into an `Init`.

use crate::error::Error;
use crate::pid1::init::Init;
use crate::sys::BorrowedFd;

use crate::cli::drop_in::{Program, Says};
use crate::cli::help::unpacked;
use crate::cli::parse::Options;
use crate::cli::signal::signal;
use crate::cli::{VERSION, print, print_to};
use crate::text::number::number;

include!(concat!(env!("OUT_DIR"), "/init.rs"));

const LICENCE: &str = "rootlet is free software, under the MIT licence or the Apache License 2.0, \
                       at your choice\n";

/// Runs the role with the words after the role or the name. Returns the exit status.
pub(crate) fn init(program: Program, words: &[&[u8]], environment: &[&[u8]]) -> Result<u8, Error> {
    match take(program, words, environment) {
        Err(error) if program != Program::Rootlet => {
            error.print();
            Ok(1)
        }
        result => result,
    }
}

fn take(program: Program, words: &[&[u8]], environment: &[&[u8]]) -> Result<u8, Error> {
    let variable = |name: &[u8]| {
        environment
            .iter()
            .find_map(|variable| variable.strip_prefix(name)?.strip_prefix(b"="))
    };
    let mut init = Init::new();
    // The number of times that `-v` was given.
    let mut verbose = 0;
    let (mut group, mut session, mut single_child) = (false, program == Program::DumbInit, false);
    let (mut subreaper, mut warn_on_reap, mut pause) = (false, false, false);
    // The stream on which each program prints it.
    let (for_version, for_help) = match program {
        Program::DumbInit => (BorrowedFd::STDERR, BorrowedFd::STDERR),
        Program::Catatonit => (BorrowedFd::STDOUT, BorrowedFd::STDERR),
        Program::Rootlet | Program::Tini => (BorrowedFd::STDOUT, BorrowedFd::STDOUT),
    };
    // The name that we are called by may be another than rootlet.
    let mut options = Options::new(b"--help", NAMES, words);
    while let Some((index, value)) = options.next()? {
        let refuse = |why| Err(Error::from(options.refuse(value, why)));
        match IDS[index] {
            Id::Group => group = true,
            Id::SingleChild => single_child = true,
            Id::Rewrite => match rewritten(value, program) {
                Some((old, new)) => {
                    init.rewrite(old, new);
                }
                None => {
                    return refuse("is not OLD:NEW, two signals by number or name; NEW may be 0");
                }
            },
            Id::ParentDeath => match signal(value) {
                Some(signal) => {
                    init.parent_death(signal);
                }
                None => return refuse("is not a signal, by number from 1 to 64 or name"),
            },
            Id::Grace => match number(value) {
                Some(seconds) => {
                    init.grace(seconds);
                }
                None => return refuse("is not a number of seconds"),
            },
            Id::Expect => match number(value).and_then(|code| u8::try_from(code).ok()) {
                Some(code) => {
                    init.expect(code);
                }
                None => return refuse("is not an exit status from 0 to 255"),
            },
            Id::Pause => pause = true,
            Id::NewSession => session = true,
            Id::Subreaper => subreaper = true,
            Id::WarnOnReap => warn_on_reap = true,
            Id::Verbose => verbose += 1,
            Id::License => return print(LICENCE.as_bytes()),
            Id::Help => return print_to(for_help, &unpacked(HELP)),
            Id::Version => return print_to(for_version, version(program).as_bytes()),
        }
    }
    let operands = options.words;
    if let Program::Rootlet | Program::Tini = program {
        group |= variable(b"TINI_KILL_PROCESS_GROUP").is_some();
        subreaper |= variable(b"TINI_SUBREAPER").is_some();
    }
    if program == Program::Tini {
        verbose += variable(b"TINI_VERBOSITY").map_or(1, |text| number(text).unwrap_or(0));
        init.own_group();
    }
    if program == Program::DumbInit {
        verbose += u32::from(variable(b"DUMB_INIT_DEBUG") == Some(b"1"));
        session &= variable(b"DUMB_INIT_SETSID") != Some(b"0");
        init.shared_group().suspend();
    }
    if program == Program::Catatonit {
        init.own_group();
        for stop in ["TSTP", "TTIN", "TTOU"] {
            init.rewrite(signal(stop.as_bytes()).unwrap_or_default(), 0);
        }
    }
    // If they are not pid 1, these two adopt orphans only on request.
    if matches!(program, Program::Tini | Program::DumbInit) && !subreaper {
        init.no_subreaper();
    }
    if group {
        init.signal_group();
    }
    session &= !single_child;
    if session {
        init.new_session();
    }

    let ended_options = words[..words.len() - operands.len()].last() == Some(&&b"--"[..]);
    match operands {
        _ if pause => {}
        [] => {
            let why = match program {
                Program::Rootlet => {
                    "missing COMMAND: rootlet init [OPTION]... [--] COMMAND [ARG]..."
                }
                _ => "missing COMMAND",
            };
            return Err(Error::usage(b"--help", &[], why));
        }
        // tini and catatonit accept `PROGRAM -- ARGS`.
        [command, b"--", arguments @ ..]
            if matches!(program, Program::Tini | Program::Catatonit) && !ended_options =>
        {
            with_command(&mut init, command, arguments)
        }
        [command, arguments @ ..] => with_command(&mut init, command, arguments),
    };
    for variable in environment {
        init.variable(variable);
    }

    let says = Says {
        program,
        verbose,
        warn_on_reap,
        command: operands.first().copied().unwrap_or_default(),
    };
    if program == Program::DumbInit && variable(b"DUMB_INIT_DEBUG") == Some(b"1") {
        says.debug("[dumb-init] Running in debug mode.", 0);
    }
    let status = init.run(&says)?;
    if program == Program::DumbInit {
        if !session {
            // dumb-init sends TERM to the command, which has ended, and prints that.
            says.debug("[dumb-init] Forwarded signal % to children.", 15);
        }
        says.debug(
            "[dumb-init] Child exited with status %. Goodbye.",
            status.into(),
        );
    }
    Ok(status)
}

pub(crate) fn help() -> Result<u8, Error> {
    print(&unpacked(HELP))
}

fn with_command(init: &mut Init, command: &[u8], arguments: &[&[u8]]) {
    init.command(command);
    for argument in arguments {
        init.arg(argument);
    }
}

fn version(program: Program) -> &'static str {
    match program {
        Program::Rootlet => VERSION,
        // The version whose options are accepted, which scripts look for.
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

/// Parses `OLD:NEW`; dumb-init does not accept real-time signals.
fn rewritten(text: &[u8], program: Program) -> Option<(i32, i32)> {
    let colon = text.iter().position(|byte| *byte == b':')?;
    let old = signal(&text[..colon])?;
    let new = match &text[colon + 1..] {
        b"0" => 0,
        new => signal(new)?,
    };
    let greatest = if program == Program::DumbInit { 31 } else { 64 };
    (old <= greatest && new <= greatest).then_some((old, new))
}
