//! `rootlet boot`: hands over to the role. Nearly all configuration is on the kernel command line.

use crate::boot::{boot_with, is_first_of_initramfs};
use crate::error::Error;
use crate::sys::process::is_first_of_machine;

use crate::cli::help::unpacked;
use crate::cli::parse::Options;
use crate::cli::{VERSION, print};

include!(concat!(env!("OUT_DIR"), "/boot.rs"));

/// Returns whether the kernel started this process, or a caller meant to, as the first of an initramfs.
///
/// The name `init` selects this role. `rdinit=` can name any program, so other names are checked against
/// the machine. If the first word names a role or is an option, it counts as such, except for the
/// `/init` of a machine, where all words are for the init of the real root.
pub(crate) fn is_place(name: &[u8], words: &[&[u8]]) -> bool {
    const ROLES: [&[u8]; 4] = [b"run", b"init", b"boot", b"help"];
    let has_role = words
        .first()
        .is_some_and(|word| word.starts_with(b"-") || ROLES.contains(word));
    match (name == b"init", has_role) {
        (true, false) => is_first_of_initramfs(),
        (true, true) | (false, false) => is_first_of_machine() && is_first_of_initramfs(),
        (false, true) => false,
    }
}

/// Runs the role with the words after the role or the name. For the first process of an initramfs
/// these are words that the kernel did not know, which are passed to the init of the real root.
pub(crate) fn boot(words: &[&[u8]], environment: &[&[u8]]) -> Result<u8, Error> {
    crate::rt::end_the_machine_on_panic();
    let refused = boot_with(words, environment, &crate::rt::ALLOCATOR);
    let mut options = Options::new(b"boot", NAMES, words);
    if let Some((number, _)) = options.next()? {
        match IDS[number] {
            Id::Help => return help(),
            Id::Version => return print(VERSION.as_bytes()),
        }
    }
    match options.words {
        [] => Err(refused),
        [word, ..] => Err(Error::usage(
            b"boot",
            &[b"'", word, b"'"],
            "is not an option of boot, which takes its parameters from the kernel command line",
        )),
    }
}

pub(crate) fn help() -> Result<u8, Error> {
    print(&unpacked(HELP))
}
