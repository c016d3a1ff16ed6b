//! `rootlet boot`: nearly all that it is told stands on the kernel command line.

use rootlet::{Error, Step};

use crate::cli::help::unpacked;
use crate::cli::parse::Options;
use crate::cli::{VERSION, print};

include!(concat!(env!("OUT_DIR"), "/boot.rs"));

/// Takes the words after the role or the name. The first process of an initramfs gets there what
/// the kernel did not know, for the init of the real root.
pub(crate) fn boot(words: &[&[u8]], environment: &[&[u8]]) -> Result<u8, Error<'static>> {
    crate::rt::end_the_machine_on_panic();
    let refused = rootlet::boot_with(words, environment, &crate::rt::ALLOCATOR);
    let mut options = Options::new(NAMES, words);
    if let Some((number, _)) = options.next()? {
        match IDS[number] {
            Id::Help => return help(),
            Id::Version => return print(VERSION.as_bytes()),
        }
    }
    match options.words {
        [] => Err(refused),
        [word, ..] => Err(Error::because(
            Step::Usage,
            word,
            "boot is told everything by the kernel command line",
        )),
    }
}

pub(crate) fn help() -> Result<u8, Error<'static>> {
    print(&unpacked(HELP))
}
