//! The binary's replacements for libc, in a program that has nothing else.

#![allow(missing_docs)]

use std::path::Path;
use std::process::Command;

#[test]
fn the_memory_functions_do_what_plain_loops_do() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("memory");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiled = Command::new(compiler)
        .args(["--edition=2024", "-Cpanic=abort"])
        .args(
            [
                "-nostartfiles",
                "-nostdlib",
                "-static",
                "-no-pie",
                "-Wl,--entry=rootlet_start",
            ]
            .map(|word| format!("-Clink-arg={word}")),
        )
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rt/memory.rs"))
        .arg("-o")
        .arg(&program)
        .status()
        .unwrap();
    assert!(compiled.success());
    let status = Command::new(&program).status().unwrap();
    assert_eq!(
        status.code(),
        Some(0),
        "the number of the check in tests/rt/memory.rs"
    );
}
