//! `rootlet boot`: nearly all that it is told stands on the kernel command line.

use crate::boot::{boot_with, is_first_of_initramfs};
use crate::error::Error;
use crate::sys::process::is_first_of_machine;

use crate::cli::help::unpacked;
use crate::cli::parse::Options;
use crate::cli::{VERSION, print};

include!(concat!(env!("OUT_DIR"), "/boot.rs"));

/// Has the kernel started us as the first process of an initramfs, or was that meant? The name says
/// it where it is `init`, and `rdinit=` names any program. Words of a role, which come first then,
/// are for that role, except for an `/init` of a machine: there they are for the command.
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

/// Takes the words after the role or the name. The first process of an initramfs gets there what
/// the kernel did not know, for the init of the real root.
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
            "is not for boot: it reads the kernel command line alone",
        )),
    }
}

pub(crate) fn help() -> Result<u8, Error> {
    print(&unpacked(HELP))
}
