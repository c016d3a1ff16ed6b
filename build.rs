//! Link arguments of the binary. They stand here, not in `.cargo/config.toml`, so that `cargo
//! install`, a `RUSTFLAGS` in the environment and programs that use the library all link right.

use std::path::Path;

/// Unwind tables: the binary aborts on panic and never reads them. `INSERT` adds this to the
/// linker's own script.
const SCRIPT: &str = "\
SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame_hdr) *(.gcc_except_table*) *(.comment) } }
INSERT AFTER .rodata;
";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let script = Path::new(&std::env::var_os("OUT_DIR").unwrap()).join("discard.ld");
    std::fs::write(&script, SCRIPT).unwrap();
    for argument in [
        // src/rt brings `_start`.
        "-nostartfiles",
        "-nostdlib",
        // A position-independent executable would name an interpreter, which an empty root lacks.
        "-static",
        "-no-pie",
        // One build of one source is one file, wherever it was built.
        "-Wl,--build-id=none",
        "-Wl,--no-eh-frame-hdr",
        // Nothing is relocated, so nothing needs to be made read-only afterwards.
        "-Wl,-z,norelro",
        "-Wl,-z,noseparate-code",
        // Not through -Wl, which splits at commas, as a path may have one.
        "-Xlinker",
        "-T",
        "-Xlinker",
        script.to_str().unwrap(),
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
