#![no_main]

use std::ffi::{CStr, c_char};

/// The words of a program live until its end, so they are leaked.
#[unsafe(no_mangle)]
extern "C" fn __asan_default_options() -> *const c_char {
    const OPTIONS: &CStr = c"detect_leaks=0";
    OPTIONS.as_ptr()
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| rootlet::fuzzing::words(data));
