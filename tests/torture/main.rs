//! The tests that `scripts/torture` runs for as long as requested. A short run of each kind is part
//! of the ordinary tests. Each kind has its own file, and prints one line with its figures and
//! findings.

#![allow(missing_docs)]

extern crate alloc;

#[path = "../fuzz/arguments.rs"]
mod arguments;
#[path = "../fuzz/cases.rs"]
mod cases;
#[path = "../../src/cli"]
mod cli {
    #[allow(dead_code, reason = "the help is not parsed")]
    pub(crate) mod options;
    #[allow(dead_code, reason = "what reads the values is the binary's")]
    pub(crate) mod parse;
}
#[path = "../../src/sys"]
mod sys {
    #[allow(dead_code, reason = "the parser uses one of them")]
    mod split;
    pub(crate) use split::split;
}
#[path = "../common/mod.rs"]
mod common;
mod faults;
mod fuzz;
mod insiders;
mod kills;
mod library;
mod load;
mod orders;
mod positions;
mod programs;
mod random;
mod refusals;
mod roots;
mod sweep;
mod traced;

use std::time::{Duration, Instant};

/// Returns the end time of a kind: `scripts/torture --seconds`, or about as long as a test may
/// take. The minimum that a kind must do is done however long it takes.
fn until() -> Instant {
    let seconds = std::env::var("ROOTLET_TORTURE_SECONDS").map_or(5, |text| text.parse().unwrap());
    Instant::now() + Duration::from_secs(seconds)
}

/// Returns whether this is part of the ordinary tests, which must be short.
fn is_short() -> bool {
    std::env::var_os("ROOTLET_TORTURE_SECONDS").is_none()
}

/// Returns whether a part of the cases is enough, chosen by the seed: in the ordinary tests, and on
/// an emulated machine, which would need a day for all of them.
fn may_do_a_part() -> bool {
    is_short() || common::is_emulated()
}

/// Returns the end time of one of these parts, which begins now, or `None` if all its cases must
/// be done.
fn end_of_part(parts: usize) -> Option<Instant> {
    let now = Instant::now();
    let time = until().saturating_duration_since(now) / parts as u32;
    may_do_a_part().then_some(now + time)
}

/// Returns whether the host's mounts are unchanged. Others may mount something for a moment
/// meanwhile.
fn host_mounts_are(before: &str) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if common::host_mounts() == before {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Prints the line with the figures of a kind, for `scripts/torture` and the log.
fn summary(kind: &str, figures: &str) {
    println!("torture {kind}: {figures}");
}
