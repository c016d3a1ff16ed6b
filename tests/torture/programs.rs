//! The programs that the runs start, built from C, and this program itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::common::{for_every_user, succeed};

/// Builds a program. A guest of another architecture has neither the sources nor the directory.
fn program(name: &str, source: &str, options: &[&str]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(directory).unwrap();
    let built = directory.join(format!("torture-{name}"));
    // Another run of the tests may be executing it.
    let new = built.with_extension(std::process::id().to_string());
    let file = directory.join(format!("{name}-{}.c", std::process::id()));
    fs::write(&file, source).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-Wall", "-Werror", "-static", "-o"])
        .arg(&new);
    succeed(cc.args(options).arg(&file));
    fs::remove_file(file).unwrap();
    fs::rename(new, &built).unwrap();
    for_every_user(&built)
}

/// Returns the program that prints a word and the restrictions on it.
pub fn command_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let alone = ["-nostdlib", "-ffreestanding", "-fno-stack-protector"];
        program(
            "command",
            include_str!("command.c"),
            &[&alone[..], &["-fno-tree-loop-distribute-patterns"]].concat(),
        )
    })
}

/// Returns this program, as a user of the library.
pub fn test_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| for_every_user(&std::env::current_exe().unwrap()))
}

/// Returns the program that tries to get out.
pub fn insider_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| program("insider", include_str!("insider.c"), &[]))
}

/// Returns the program that attacks terminals.
pub fn terminal_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| program("terminal", include_str!("terminal.c"), &[]))
}

/// Returns the program that makes failing calls and then starts rootlet.
pub fn start_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| program("start", include_str!("start.c"), &[]))
}
