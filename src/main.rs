//! The binary: selects the role by the program's name or the first argument, runs it, and returns its exit
//! status.

#![no_std]
#![no_main]
// A failure is an error with its step, never a panic: the process may be pid 1, or be between two roots.
// Messages go through one function, and processes end in one.
#![deny(
    clippy::exit,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used
)]
// The modules are the library's. They are compiled into the binary again instead of being linked. Items
// that only the binary needs stay private, and the library can use std while the binary has none. The
// linker removes items of the library alone and of roles that are not built.
#![allow(
    dead_code,
    reason = "the library, or a role that was left out, uses it"
)]
#![cfg_attr(
    not(all(feature = "run", feature = "init", feature = "boot")),
    allow(unused_imports, unused_variables)
)]

extern crate alloc;

mod boot;
mod chroot;
mod cli;
mod error;
mod mount;
mod pid1;
mod process;
mod rt;
mod run;
mod sys;
mod text;
mod tty;
mod user;

use alloc::vec::Vec;

use error::Error;
use sys::process::id;

#[cfg(feature = "init")]
use cli::drop_in::Program;

/// Selects and runs the role. Returns the exit status.
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

fn start(name: &[u8], rest: &[&'static [u8]], environment: &[&[u8]]) -> Result<u8, Error> {
    match (name, rest) {
        #[cfg(feature = "init")]
        (b"tini" | b"tini-static" | b"docker-init", rest) => {
            cli::init::init(Program::Tini, rest, environment)
        }
        // As packages call the binary of this role alone.
        #[cfg(feature = "init")]
        (b"rootlet-init", rest) => cli::init::init(Program::Rootlet, rest, environment),
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
        // A container engine calls the init that it adds in this way, under a name of its choice.
        #[cfg(feature = "init")]
        (_, [b"--", rest @ ..]) if id() == 1 => {
            cli::init::init(Program::Rootlet, rest, environment)
        }
        #[cfg(feature = "run")]
        (_, [b"run", rest @ ..]) => cli::run::run(rest, environment),
        // The role is in the file, since a `#!` line has room for only one word.
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
