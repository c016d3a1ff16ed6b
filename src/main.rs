//! rootlet: argv, role, exit status.

#![no_std]
#![no_main]

extern crate alloc;

mod cli;
mod rt;

use alloc::vec::Vec;

use cli::says::Program;

/// The role is the first argument, or the name that we are called by.
fn main(arguments: rt::Words, environment: rt::Words) -> u8 {
    let arguments: Vec<&[u8]> = arguments.collect();
    let environment: Vec<&[u8]> = environment.collect();
    let name = arguments.first().copied().unwrap_or_default();
    let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let rest = arguments.get(1..).unwrap_or_default();
    let result = match (name, rest) {
        (b"tini" | b"tini-static" | b"docker-init", rest) => {
            cli::init::init(Program::Tini, rest, &environment)
        }
        (b"dumb-init", rest) => cli::init::init(Program::DumbInit, rest, &environment),
        (b"catatonit", rest) => cli::init::init(Program::Catatonit, rest, &environment),
        (b"init", rest) => cli::boot::boot(rest, &environment),
        (_, [b"boot", rest @ ..]) => cli::boot::boot(rest, &environment),
        (_, [b"init", rest @ ..]) => cli::init::init(Program::Rootlet, rest, &environment),
        (b"pychroot", rest) | (_, [b"run", rest @ ..]) => cli::run::run(rest, &environment),
        (_, rest) => cli::overview(rest),
    };
    result.unwrap_or_else(|error| {
        error.print();
        error.status()
    })
}
