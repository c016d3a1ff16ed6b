//! What `scripts/release` makes, and what cargo does with the source.

#![allow(missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::{can_be_root, copy_program, debian, end, is_left_out, succeed, tree};

const TOP: &str = env!("CARGO_MANIFEST_DIR");

/// A release for x86_64, built twice: `--check` fails unless both are the same.
fn release() -> &'static Path {
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    RELEASE.get_or_init(|| {
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("release");
        let mut release = Command::new(Path::new(TOP).join("scripts/release"));
        let ended = end(release
            .args(["--check", "--deb", "--output"])
            .arg(&output)
            .arg("x86_64"));
        assert_eq!(ended.status, 0, "{ended:?}");
        output
    })
}

fn file(name: &str) -> PathBuf {
    release().join(name.replace("VERSION", env!("CARGO_PKG_VERSION")))
}

fn package() -> PathBuf {
    file("rootlet_VERSION-1_amd64.deb")
}

#[test]
fn builds_in_two_places_are_the_same_and_complete() {
    let mut sums = Command::new("sha256sum");
    succeed(
        sums.args(["--check", "--strict", "--quiet", "SHA256SUMS"])
            .current_dir(release()),
    );

    let place = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    succeed(
        tar.arg("-xf")
            .arg(file("rootlet-VERSION-x86_64-linux.tar.gz"))
            .arg("-C")
            .arg(place.path()),
    );
    let top = place.path().join(concat!(
        "rootlet-",
        env!("CARGO_PKG_VERSION"),
        "-x86_64-linux"
    ));
    for name in [
        "rootlet.1",
        "completions/rootlet.bash",
        "completions/_rootlet",
        "completions/rootlet.fish",
        "README.md",
        "CHANGELOG.md",
        "licences/LICENSE-MIT",
        "licences/LICENSE-APACHE",
    ] {
        let size = std::fs::metadata(top.join(name)).map(|metadata| metadata.len());
        assert!(
            size.as_ref().is_ok_and(|size| *size > 0),
            "{name}: {size:?}"
        );
    }
    let crates = std::fs::read_dir(top.join("licences")).unwrap().flatten();
    assert_eq!(crates.filter(|entry| entry.path().is_dir()).count(), 2);

    // What was unpacked by this process may still be open for writing in a child of another thread.
    let binary = place.path().join("rootlet");
    copy_program(top.join("rootlet"), &binary);
    let version = concat!("rootlet ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(succeed(Command::new(&binary).arg("--version")), version);
    let bytes = std::fs::read(&binary).unwrap();
    for tells in [TOP, env!("CARGO_TARGET_TMPDIR"), "/.cargo/"] {
        let found = bytes
            .windows(tells.len())
            .any(|bytes| bytes == tells.as_bytes());
        assert!(!found, "the binary tells where it was built: {tells}");
    }
}

#[test]
fn lintian_finds_no_fault_in_the_debian_package() {
    let mut lintian = Command::new("lintian");
    let ended = end(lintian
        .args(["--allow-root", "--fail-on", "error,warning"])
        .arg(package()));
    assert_eq!((ended.status, ended.stdout.as_str()), (0, ""), "{ended:?}");
}

#[test]
fn the_debian_package_comes_and_goes_cleanly() {
    if !can_be_root() || is_left_out("network") {
        return;
    }
    let root = debian();
    let shown = || {
        let mut lines = tree(root.path());
        // Its records are dpkg's own.
        lines.retain(|line| !line.starts_with("var/lib/dpkg") && !line.starts_with("var/log"));
        lines
    };
    let before = shown();
    let bind = format!("{}:/tmp/rootlet.deb", package().display());
    let run =
        |command: &[&str]| succeed(&mut root.run(&[&["--ro", &bind, "ROOT"], command].concat()));
    run(&["dpkg", "--install", "/tmp/rootlet.deb"]);
    assert_eq!(run(&["dpkg", "--verify", "rootlet"]), "");
    assert_eq!(
        run(&[
            "rootlet",
            "run",
            "--unshare",
            "net",
            "/",
            "ls",
            "/sys/class/net"
        ]),
        "lo\n"
    );
    run(&["dpkg", "--purge", "rootlet"]);
    assert_eq!(shown(), before);
}

#[test]
fn cargo_can_install_and_publish_it() {
    if is_left_out("network") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut cargo = Command::new("cargo");
    cargo.args([
        "install",
        "--quiet",
        "--locked",
        "--no-track",
        "--path",
        ".",
        "--root",
    ]);
    let ended = end(cargo.arg(place.path()).current_dir(TOP));
    assert_eq!(ended.status, 0, "{ended:?}");
    let version = concat!("rootlet ", env!("CARGO_PKG_VERSION"), "\n");
    let installed = place.path().join("bin/rootlet");
    assert_eq!(succeed(Command::new(installed).arg("--version")), version);

    // This packages the source and builds what was packaged.
    let mut cargo = Command::new("cargo");
    cargo.args(["publish", "--dry-run", "--locked", "--allow-dirty"]);
    let ended = end(cargo.current_dir(TOP));
    assert_eq!(ended.status, 0, "{ended:?}");
}

/// As somebody has it who has the package alone, also where nobody may make a user namespace.
#[test]
fn the_package_passes_its_own_tests_also_without_user_namespaces() {
    let place = tempfile::tempdir().unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut package = Command::new(&cargo);
    package.args([
        "package",
        "--locked",
        "--offline",
        "--allow-dirty",
        "--no-verify",
    ]);
    package.arg("--target-dir").arg(place.path());
    let packaged = end(package.current_dir(TOP));
    assert_eq!(packaged.status, 0, "{packaged:?}");
    let name = concat!("rootlet-", env!("CARGO_PKG_VERSION"));
    let archive = place.path().join(format!("package/{name}.crate"));
    let mut tar = Command::new("tar");
    succeed(tar.arg("-xf").arg(archive).arg("-C").arg(place.path()));

    let without_namespaces = "echo 0 >/proc/sys/user/max_user_namespaces\n\
        exec setpriv --bounding-set=-all --inh-caps=-all -- \"$@\"";
    let unshare = ["unshare", "--user", "--map-root-user"];
    let refused = [&unshare[..], &["sh", "-ec", without_namespaces, "sh"]].concat();
    for before in [&["env"][..], &refused] {
        for kind in ["--lib", "--doc"] {
            let mut test = Command::new(before[0]);
            test.args(&before[1..]).arg(&cargo);
            test.args(["test", "--offline", kind, "--target-dir"])
                .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("package"))
                .current_dir(place.path().join(name))
                // What is tried by chance has been tried before it was packaged.
                .env("ROOTLET_TEST_EMULATED", "")
                .env_remove("CARGO_TARGET_DIR");
            let tested = end(&mut test);
            let passed = tested.stdout.contains("test result: ok. ") && tested.status == 0;
            assert!(passed, "{before:?}\n{}\n{}", tested.stdout, tested.stderr);
            assert!(!tested.stderr.contains("warning: "), "{}", tested.stderr);
            let left_out = tested.stderr.contains("left out: no user namespaces here");
            assert_eq!(left_out, kind == "--doc" && before.len() > 1, "{before:?}");
        }
    }
}
