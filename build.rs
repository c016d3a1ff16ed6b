//! Sets the link arguments of the binary, and generates the parser's tables and the help from the table of
//! options.

use std::fmt::Write;
use std::path::Path;

#[path = "src/cli/options/mod.rs"]
#[allow(
    dead_code,
    missing_docs,
    reason = "the manual page and the completions use the rest"
)]
mod options;

use options::{Role, help, names, pack};

/// Unwind tables: the binary aborts on panic and never reads them.
const DISCARDED: &str = "*(.eh_frame) *(.eh_frame_hdr) *(.gcc_except_table*) *(.comment)";

/// The start files of a C library. For musl the compiler links its own in spite of `-nostartfiles`.
const START_FILES: [&str; 7] = [
    "crt1.o",
    "rcrt1.o",
    "crti.o",
    "crtbegin.o",
    "crtbeginS.o",
    "crtend*.o",
    "crtn.o",
];

/// The architectures that src/sys supports.
const MACHINES: [&str; 3] = ["x86_64", "aarch64", "riscv64"];

fn main() {
    let target = |name| std::env::var(name).unwrap_or_default();
    let machine = target("CARGO_CFG_TARGET_ARCH");
    if target("CARGO_CFG_TARGET_OS") != "linux" || !MACHINES.contains(&machine.as_str()) {
        // One line instead of the compiler's hundred errors.
        println!(
            "cargo::error=rootlet runs on Linux on {}, not on {}",
            MACHINES.join(", "),
            target("TARGET")
        );
        return;
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/cli/options");
    // The package on crates.io has only the tests in src, and of these only those that need no programs
    // of Debian.
    println!("cargo:rustc-check-cfg=cfg(in_clone)");
    if Path::new("tests/fuzz/cases.rs").exists() {
        println!("cargo:rustc-cfg=in_clone");
    }
    let directory = std::env::var_os("OUT_DIR").unwrap();
    link(Path::new(&directory));
    generate(Path::new(&directory));
}

/// Sets the link arguments of the binary. In `.cargo/config.toml` they would not apply to `cargo install`,
/// and would be overridden by `RUSTFLAGS`.
fn link(directory: &Path) {
    let script = directory.join("discard.ld");
    let start_files = START_FILES.map(|name| {
        format!(
            "*/{name}(.text* .data* .bss* .rodata* .init* .fini* .ctors .dtors .tm_clone_table)"
        )
    });
    // `INSERT` adds this to the linker's own script.
    let sections = format!(
        "SECTIONS {{ /DISCARD/ : {{ {DISCARDED} {} }} }}\nINSERT AFTER .rodata;\n",
        start_files.join(" ")
    );
    std::fs::write(&script, sections).unwrap();
    for argument in [
        // src/rt has the entry point, under a name that no C library has.
        "-Wl,-e,rootlet_start",
        "-nostartfiles",
        "-nostdlib",
        // A position-independent executable would need an interpreter, which an empty root lacks.
        "-static",
        "-no-pie",
        // Builds of one source are the same file.
        "-Wl,--build-id=none",
        "-Wl,--no-eh-frame-hdr",
        // There are no relocations, so nothing has to be made read-only after them.
        "-Wl,-z,norelro",
        "-Wl,-z,noseparate-code",
        // -Wl splits its argument at commas, and a path may contain one.
        "-Xlinker",
        "-T",
        "-Xlinker",
        script.to_str().unwrap(),
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}

/// Generates the files that src/cli includes: the packed help, and the options of each role.
fn generate(directory: &Path) {
    let roles: Vec<&Role> = options::ROLES
        .into_iter()
        .filter(|role| {
            let feature = format!("CARGO_FEATURE_{}", role.name.to_uppercase());
            std::env::var_os(feature).is_some()
        })
        .collect();
    let mut texts = vec![help::overview(&roles)];
    texts.extend(roles.iter().map(|role| help::help(role)));
    let (texts, pairs) = pack::pack(&texts);
    let mut text = format!(
        "pub(crate) const OVERVIEW: &[u8] = b\"{}\";\n",
        texts[0].escape_ascii()
    );
    let names: Vec<&str> = roles.iter().map(|role| role.name).collect();
    let names = help::listed(&names, "or");
    writeln!(text, "pub(crate) const ROLES: &str = \"{names}\";").unwrap();
    writeln!(text, "const PAIRS: &[[u8; 2]] = &{pairs:?};").unwrap();
    std::fs::write(directory.join("text.rs"), text).unwrap();
    for (role, help) in roles.iter().zip(&texts[1..]) {
        let mut source = of_role(role);
        writeln!(source, "const HELP: &[u8] = b\"{}\";", help.escape_ascii()).unwrap();
        std::fs::write(directory.join(role.name).with_extension("rs"), source).unwrap();
    }
}

/// Returns an enum of the role's options, and their names in the same order for `src/cli/parse.rs`.
fn of_role(role: &Role) -> String {
    let variants: Vec<String> = names::options(role)
        .map(|entry| {
            let words = entry.name.split('-');
            words
                .map(|word| word[..1].to_uppercase() + &word[1..])
                .collect()
        })
        .collect();
    let ids: Vec<String> = variants
        .iter()
        .map(|variant| format!("Id::{variant}"))
        .collect();
    format!(
        "#[derive(Clone, Copy, PartialEq, Eq)]\nenum Id {{ {} }}\n\
         const IDS: &[Id] = &[{}];\n\
         const NAMES: &[u8] = b\"{}\";\n",
        variants.join(", "),
        ids.join(", "),
        names::names(role).escape_default(),
    )
}
