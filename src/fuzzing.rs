//! The parsers of input from outside, for the fuzzers in `tests/fuzz` and for the tests below. Each function
//! takes any bytes, and panics if a property does not hold.

mod accounts;
mod boot;
mod channel;
mod disk;
mod hosts;
mod ids;
mod mounts;
mod paths;
mod text;
mod values;
#[allow(dead_code, reason = "most options are not asked for")]
mod words;

pub use accounts::accounts;
pub use boot::boot;
pub use channel::channel;
pub use disk::disk;
pub use hosts::hosts;
pub use ids::ids;
pub use mounts::{mountinfo, options};
pub use paths::paths;
pub use text::text;
pub use values::{jobserver, values};
pub use words::words;

#[cfg(all(test, in_clone))]
pub(crate) use disk::agrees_with_itself;

#[cfg(all(test, in_clone))]
#[path = "../tests/fuzz/cases.rs"]
mod cases;

#[cfg(all(test, in_clone))]
mod tests {
    use std::println;

    use super::cases::{share, try_all};

    /// The shares that the whole time is divided into, some for the fuzzers of the command line.
    const SHARES: u32 = 15;

    fn holds(name: &str, parser: fn(&[u8])) {
        let count = try_all(name, parser, share(SHARES));
        println!("torture fuzz: {name}: {count} cases, no finding");
    }

    #[test]
    fn what_holds_for_accounts() {
        holds("accounts", super::accounts);
    }

    #[test]
    fn what_holds_for_options() {
        holds("options", super::options);
    }

    #[test]
    fn what_holds_for_boot() {
        holds("boot", super::boot);
    }

    #[test]
    fn what_holds_for_mountinfo() {
        holds("mountinfo", super::mountinfo);
    }

    #[test]
    #[cfg_attr(miri, ignore = "it takes too long")]
    fn what_holds_for_disks() {
        holds("disk", super::disk);
    }

    #[test]
    fn what_holds_for_ids() {
        holds("ids", super::ids);
    }

    #[test]
    fn what_holds_for_hosts() {
        holds("hosts", super::hosts);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no such sockets")]
    fn what_holds_for_messages() {
        holds("channel", super::channel);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no such files")]
    fn what_holds_for_paths() {
        holds("paths", super::paths);
    }

    #[test]
    #[cfg_attr(miri, ignore = "it takes too long")]
    fn what_holds_for_text() {
        holds("text", super::text);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no such files")]
    fn what_holds_for_words_of_files() {
        holds("words", super::words);
    }

    #[test]
    fn what_holds_for_makeflags() {
        holds("jobserver", super::jobserver);
    }

    #[test]
    fn what_holds_for_values() {
        holds("values", super::values);
    }
}
