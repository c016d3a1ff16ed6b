//! Programs that use the library, built with other settings than the tests.

#![allow(missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Root, end, for_every_user, is_left_out, succeed, users};

const TOP: &str = env!("CARGO_MANIFEST_DIR");
const MUSL: &str = "x86_64-unknown-linux-musl";

/// Returns a cargo command for the program in `tests/outside`, which has std and unwinds, and the folder
/// that it builds in.
fn cargo(command: &str, name: &str, options: &[&str]) -> (Command, PathBuf) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([command, "--quiet", "--offline", "--locked", "--target-dir"])
        .arg(&target)
        .args(options)
        .current_dir(Path::new(TOP).join("tests/outside"))
        .env_remove("CARGO_BUILD_TARGET_DIR")
        .env_remove("CARGO_TARGET_DIR");
    (cargo, target)
}

/// Has the built program run a command and a closure in a root.
fn works(program: &Path, environment: &[(&str, &str)]) {
    let program = for_every_user(program);
    for user in users() {
        for case in ["output", "call"] {
            let root = Root::busybox(user);
            let mut command = common::command(user, &program);
            command.envs(environment.iter().copied());
            succeed(command.args([case, root.name()]));
        }
    }
}

/// Returns whether the compiler has its library for this target. Installs it if it is missing.
fn has_target(target: &str) -> bool {
    let sysroot = succeed(Command::new("rustc").args(["--print", "sysroot"]));
    let library = Path::new(sysroot.trim_end())
        .join("lib/rustlib")
        .join(target);
    if library.exists() {
        return true;
    }
    if is_left_out("network") {
        return false;
    }
    let added = end(Command::new("rustup").args(["target", "add", target]));
    assert_eq!(added.status, 0, "{target}: {added:?}");
    true
}

#[test]
fn a_program_for_musl_links_and_works() {
    if cfg!(not(target_arch = "x86_64")) || !has_target(MUSL) {
        return;
    }
    let (mut cargo, target) = cargo("build", "outside-musl", &["--target", MUSL]);
    succeed(&mut cargo);
    works(&target.join(MUSL).join("debug/outside"), &[]);
}

#[test]
fn a_program_that_counts_its_coverage_links_and_works() {
    let (mut cargo, target) = cargo("build", "outside-coverage", &[]);
    // Build scripts count too, and write where they run.
    let nowhere = ("LLVM_PROFILE_FILE", "/dev/null");
    succeed(
        cargo
            .env("RUSTFLAGS", "-Cinstrument-coverage")
            .env(nowhere.0, nowhere.1),
    );
    works(&target.join("debug/outside"), &[nowhere]);
}

#[test]
fn on_another_machine_one_line_names_those_that_are_supported() {
    for other in [
        "i686-unknown-linux-gnu",
        "x86_64-pc-windows-gnu",
        "aarch64-apple-darwin",
    ] {
        let (mut cargo, _) = cargo("check", "outside-other", &["--target", other]);
        let refused = end(&mut cargo);
        let expected = format!("rootlet runs on Linux on x86_64, aarch64, riscv64, not on {other}");
        assert!(refused.stderr.contains(&expected), "{other}: {refused:?}");
        assert!(!refused.stderr.contains("error[E"), "{other}: {refused:?}");
        assert_ne!(refused.status, 0, "{other}");
    }
}
