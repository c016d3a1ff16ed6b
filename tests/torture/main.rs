//! What `scripts/torture` runs for as long as it is asked to; a short run of each kind is part of
//! the tests. One file per kind; each prints one line with what it did and found.

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
mod random;
mod refusals;
mod roots;
mod traced;

use std::time::{Duration, Instant};

/// How long each kind goes on: `scripts/torture --seconds`, or about as long as a test may take.
/// What a kind must do at least, it does however long that takes.
fn until() -> Instant {
    let seconds = std::env::var("ROOTLET_TORTURE_SECONDS").map_or(5, |text| text.parse().unwrap());
    Instant::now() + Duration::from_secs(seconds)
}

/// Is it a part of the tests, which is to be short?
fn is_short() -> bool {
    std::env::var_os("ROOTLET_TORTURE_SECONDS").is_none()
}

/// Are the host's mounts what they were? Others may mount something for a moment meanwhile.
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

/// The line with the figures of a kind, where `scripts/torture` and a log show it.
fn summary(kind: &str, figures: &str) {
    println!("torture {kind}: {figures}");
}
