//! The command line: turns options into the library's structs, and prints help.
//!
//! There is one table of options, in [`options`](../../src/cli/options/mod.rs). `build.rs` generates the
//! parser's tables and the help from it.

#[cfg(feature = "boot")]
pub(crate) mod boot;
#[cfg(feature = "init")]
pub(crate) mod drop_in;
mod help;
#[cfg(feature = "init")]
pub(crate) mod init;
#[cfg(feature = "run")]
mod jobserver;
mod parse;
#[cfg(feature = "run")]
pub(crate) mod run;
#[cfg(feature = "init")]
mod signal;
mod usage;
#[cfg(feature = "run")]
pub(crate) mod words;

use crate::error::{Error, Step};
use crate::sys::{BorrowedFd, fs::write_all};

use crate::cli::help::{OVERVIEW, ROLES, unpacked};

const VERSION: &str = concat!("rootlet ", env!("CARGO_PKG_VERSION"), "\n");

/// Runs rootlet without a role: prints help or the version, or fails with the roles.
pub(crate) fn overview(arguments: &[&[u8]]) -> Result<u8, Error> {
    let wrong = |what: &[&[u8]], why| Err(Error::usage(b"help", what, why));
    match arguments {
        [] => wrong(&[b"missing ROLE:"], ROLES),
        [b"--help" | b"-h" | b"help"] | [b"help", b"--help" | b"-h" | b"help"] => {
            print(&unpacked(OVERVIEW))
        }
        #[cfg(feature = "run")]
        [b"--help" | b"-h" | b"help", b"run", ..] => run::help(),
        #[cfg(feature = "init")]
        [b"--help" | b"-h" | b"help", b"init", ..] => init::help(),
        #[cfg(feature = "boot")]
        [b"--help" | b"-h" | b"help", b"boot", ..] => boot::help(),
        [b"--version" | b"-V"] => print(VERSION.as_bytes()),
        [option @ (b"--version" | b"-V"), word, ..] => wrong(
            &[
                option,
                b": must be the only word, but '",
                word,
                b"' follows",
            ],
            "",
        ),
        #[cfg(feature = "init")]
        [b"--", ..] => {
            let why = "only pid 1 may omit the role: write rootlet init -- COMMAND, or call it podman-init";
            wrong(&[b"--:"], why)
        }
        [b"--help" | b"-h" | b"help", word, ..] | [word @ (b"run" | b"init" | b"boot"), ..] => {
            wrong(&[b"'", word, b"' is not a role of this rootlet:"], ROLES)
        }
        [word, ..] if word.starts_with(b"-") => {
            wrong(&[word, b": options come after the role:"], ROLES)
        }
        [word, ..] => wrong(&[b"'", word, b"' is not a role:"], ROLES),
    }
}

/// Prints a text on standard output. Failure is an error, so that no script mistakes silence for help.
fn print(text: &[u8]) -> Result<u8, Error> {
    print_to(BorrowedFd::STDOUT, text)
}

fn print_to(stream: BorrowedFd, text: &[u8]) -> Result<u8, Error> {
    match write_all(stream, text) {
        Ok(()) => Ok(0),
        Err(errno) => Err(Error::new(Step::Print, b"standard output", errno)),
    }
}
