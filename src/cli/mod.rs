//! The command line: options into the library's structs, and help.

#[cfg(feature = "boot")]
pub(crate) mod boot;
#[cfg(feature = "init")]
pub(crate) mod drop_in;
mod help;
#[cfg(feature = "init")]
pub(crate) mod init;
mod parse;
#[cfg(feature = "run")]
pub(crate) mod run;

use crate::error::{Error, Step};
use crate::sys::{BorrowedFd, fs::write_all};

use crate::cli::help::{OVERVIEW, unpacked};
use crate::cli::parse::Wrong;

impl From<Wrong<'_>> for Error {
    #[inline(never)]
    fn from(wrong: Wrong) -> Error {
        Error::because(Step::Usage, wrong.word, wrong.why)
    }
}

const VERSION: &str = concat!("rootlet ", env!("CARGO_PKG_VERSION"), "\n");

#[cfg(not(all(feature = "run", feature = "init", feature = "boot")))]
const LEFT_OUT: &str = "this rootlet was built without that role";

/// What rootlet does without a role.
pub(crate) fn overview(arguments: &[&[u8]]) -> Result<u8, Error> {
    let wrong = |word: &[u8], why| Err(Error::because(Step::Usage, word, why));
    match arguments {
        [] => wrong(b"rootlet", "say what to do, such as: rootlet run NEWROOT"),
        [b"--help" | b"-h" | b"help"] => print(&unpacked(OVERVIEW)),
        #[cfg(not(feature = "run"))]
        [word @ b"run", ..] | [b"help", word @ b"run"] => wrong(word, LEFT_OUT),
        #[cfg(feature = "run")]
        [b"help", b"run"] => run::help(),
        #[cfg(not(feature = "boot"))]
        [word @ b"boot", ..] | [b"help", word @ b"boot"] => wrong(word, LEFT_OUT),
        #[cfg(feature = "boot")]
        [b"help", b"boot"] => boot::help(),
        #[cfg(not(feature = "init"))]
        [word @ b"init", ..] | [b"help", word @ b"init"] => wrong(word, LEFT_OUT),
        #[cfg(feature = "init")]
        [b"help", b"init"] => init::help(),
        [b"--version" | b"-V"] => print(VERSION.as_bytes()),
        [b"help", word, ..] => wrong(word, "there is no such role"),
        [word @ b"--", ..] => wrong(
            word,
            "as pid 1 it is for init; else write: rootlet init -- COMMAND, or call it podman-init",
        ),
        [word, ..] if word.starts_with(b"-") => wrong(
            word,
            "options come after the role: rootlet run [OPTION]... NEWROOT",
        ),
        [word, ..] => wrong(word, "the role comes first: rootlet run NEWROOT [COMMAND]"),
    }
}

/// Standard output that is closed or full is an error, or a script would take nothing for help.
fn print(text: &[u8]) -> Result<u8, Error> {
    print_to(BorrowedFd::STDOUT, text)
}

fn print_to(stream: BorrowedFd, text: &[u8]) -> Result<u8, Error> {
    match write_all(stream, text) {
        Ok(()) => Ok(0),
        Err(errno) => Err(Error::new(Step::Print, b"standard output", errno)),
    }
}
