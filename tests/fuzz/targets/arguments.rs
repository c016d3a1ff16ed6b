//! The parser of the command line, which is part of the binary and not of the library.

#![no_main]
#![allow(dead_code)]

extern crate alloc;

#[path = "../arguments.rs"]
mod arguments;
#[path = "../../../src/cli"]
mod cli {
    pub(crate) mod options;
    pub(crate) mod parse;
}
#[path = "../../../src/sys"]
mod sys {
    #[allow(dead_code, reason = "the parser uses one of them")]
    mod split;
    pub(crate) use split::split;
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| arguments::arguments(data));
