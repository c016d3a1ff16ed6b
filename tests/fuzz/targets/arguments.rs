//! The command line's parser, which is the binary's.

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

libfuzzer_sys::fuzz_target!(|data: &[u8]| arguments::arguments(data));
