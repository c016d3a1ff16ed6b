//! rootlet: argv, role, exit status.

#![no_std]
#![no_main]
// A binary with some of the roles leaves out part of what they share.
#![cfg_attr(
    not(all(feature = "run", feature = "init", feature = "boot")),
    allow(dead_code, unused_imports, unused_variables)
)]

extern crate alloc;

mod cli;
mod rt;

use alloc::vec::Vec;

use rootlet::Error;
use rootlet::sys::process::id;

#[cfg(feature = "init")]
use cli::drop_in::Program;

/// The role is the first argument, or the name that we are called by.
fn main(arguments: rt::Words, environment: rt::Words) -> u8 {
    let (arguments, environment) = (all(arguments), all(environment));
    let name = arguments.first().copied().unwrap_or_default();
    let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let rest = arguments.get(1..).unwrap_or_default();
    start(name, rest, &environment).unwrap_or_else(|error| {
        error.print();
        error.status()
    })
}

fn start(name: &[u8], rest: &[&'static [u8]], environment: &[&[u8]]) -> Result<u8, Error<'static>> {
    match (name, rest) {
        #[cfg(feature = "init")]
        (b"tini" | b"tini-static" | b"docker-init", rest) => {
            cli::init::init(Program::Tini, rest, environment)
        }
        #[cfg(feature = "init")]
        (b"dumb-init", rest) => cli::init::init(Program::DumbInit, rest, environment),
        #[cfg(feature = "init")]
        (b"catatonit" | b"podman-init", rest) => {
            cli::init::init(Program::Catatonit, rest, environment)
        }
        #[cfg(feature = "run")]
        (b"pychroot", rest) => cli::run::run(rest, environment),
        #[cfg(feature = "boot")]
        (name, rest) if cli::boot::is_place(name, rest) => cli::boot::boot(rest, environment),
        #[cfg(feature = "boot")]
        (_, [b"boot", rest @ ..]) => cli::boot::boot(rest, environment),
        #[cfg(feature = "init")]
        (_, [b"init", rest @ ..]) => cli::init::init(Program::Rootlet, rest, environment),
        // As an engine calls the init that it adds to a container, whatever its name is there.
        #[cfg(feature = "init")]
        (_, [b"--", rest @ ..]) if id() == 1 => {
            cli::init::init(Program::Rootlet, rest, environment)
        }
        #[cfg(feature = "run")]
        (_, [b"run", rest @ ..]) => cli::run::run(rest, environment),
        // The role stands in the file: a `#!` line has room for one word.
        #[cfg(feature = "run")]
        (_, [word, ..]) if word.starts_with(b"@") => {
            start(name, &cli::words::in_front(rest)?, environment)
        }
        (_, rest) => cli::overview(rest),
    }
}

#[inline(never)]
fn all(words: rt::Words) -> Vec<&'static [u8]> {
    let mut all = Vec::new();
    for word in words {
        all.push(word);
    }
    all
}
