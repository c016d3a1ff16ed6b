//! `rootlet boot`: nearly all that it is told stands on the kernel command line.

use rootlet::{Error, Step};

use crate::cli::options::BOOT;
use crate::cli::parse::parse;
use crate::cli::{Id, VERSION, help, print};

/// Takes the words after the role or the name. The first process of an initramfs gets there what
/// the kernel did not know, for the init of the real root.
pub(crate) fn boot(words: &[&[u8]], environment: &[&[u8]]) -> Result<u8, Error<'static>> {
    crate::rt::end_the_machine_on_panic();
    let refused = rootlet::boot(words, environment);
    let mut instead = None;
    let operands = parse(&BOOT, words, |option, _| {
        instead = instead.or(Some(option));
        Ok(())
    })?;
    match (instead, operands) {
        (Some(Id::Version), _) => print(VERSION.as_bytes()),
        (Some(_), _) => print(&help::help(&BOOT)),
        (None, []) => Err(refused),
        (None, [word, ..]) => Err(Error::because(
            Step::Usage,
            word,
            "boot is told everything by the kernel command line",
        )),
    }
}
