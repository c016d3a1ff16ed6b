//! The archives and packages of `scripts/release`, and the crate.

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

    let mut bytes = Vec::new();
    for (name, helps) in [
        ("rootlet", "Usage: rootlet run ["),
        ("rootlet-init", "Usage: rootlet init ["),
    ] {
        // A file that this process unpacked may still be open for writing in a child of another thread.
        let binary = place.path().join(name);
        copy_program(top.join(name), &binary);
        let version = concat!("rootlet ", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(succeed(Command::new(&binary).arg("--version")), version);
        assert!(succeed(Command::new(&binary).arg("--help")).starts_with(helps));
        bytes.extend(std::fs::read(&binary).unwrap());
    }
    // It has that role alone.
    let ended =
        end(Command::new(place.path().join("rootlet-init")).args(["--", "sh", "-c", "exit 3"]));
    assert_eq!(ended.status, 3, "{ended:?}");
    let size = |name: &str| std::fs::metadata(top.join(name)).unwrap().len();
    assert!(size("rootlet-init") < size("rootlet") / 3);
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
    let status = "rootlet-init --grace 5 -- sh -c 'exit 3' || echo $?";
    assert_eq!(run(&["sh", "-c", status]), "3\n");
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
    builds_without_a_network(&Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("package"));
}

/// As a distribution does: what was packaged, with the sources of its dependencies beside it and
/// nothing of the machine's own cargo.
fn builds_without_a_network(packages: &Path) {
    let package = packages.join(concat!("rootlet-", env!("CARGO_PKG_VERSION")));
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("source");
    succeed(Command::new("cp").arg("-r").args([&package, &source]));
    let mut vendor = Command::new("cargo");
    vendor.args(["vendor", "--locked", "vendor"]);
    let vendor = end(vendor.current_dir(&source));
    assert_eq!(vendor.status, 0, "{vendor:?}");
    // It prints the configuration for cargo.
    std::fs::create_dir(source.join(".cargo")).unwrap();
    std::fs::write(source.join(".cargo/config.toml"), vendor.stdout).unwrap();

    let build = "cargo build --quiet --offline --locked && scripts/man documents";
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-current-user", "--net", "sh", "-ec", build]);
    unshare.env("CARGO_HOME", place.path().join("cargo"));
    unshare.env("CARGO_TARGET_DIR", source.join("target"));
    let ended = end(unshare.current_dir(&source));
    assert_eq!(ended.status, 0, "{ended:?}");
    let built = source.join("target/debug/rootlet");
    let version = concat!("rootlet ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(succeed(Command::new(built).arg("--version")), version);
    let mut man = Command::new(Path::new(TOP).join("scripts/man"));
    succeed(man.arg(place.path().join("expected")));
    let mut diff = Command::new("diff");
    diff.arg("-r")
        .arg(place.path().join("expected"))
        .arg(source.join("documents"));
    succeed(&mut diff);
}

/// Alpine's C library is musl, of which the binary takes nothing, not even where rustc names it.
#[test]
fn the_binary_links_for_musl() {
    const TARGET: &str = "x86_64-unknown-linux-musl";
    let mut rustc = Command::new("rustc");
    let library = succeed(rustc.args(["--print", "target-libdir", "--target", TARGET]));
    if !Path::new(library.trim()).exists() {
        eprintln!("left out: this rustc has no {TARGET}");
        return;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("musl");
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build", "--quiet", "--locked", "--bin", "rootlet", "--target", TARGET,
    ]);
    let ended = end(cargo.arg("--target-dir").arg(&target).current_dir(TOP));
    assert_eq!(ended.status, 0, "{ended:?}");
    let binary = target.join(TARGET).join("debug/rootlet");
    let version = concat!("rootlet ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(succeed(Command::new(&binary).arg("--version")), version);
    let elf = succeed(Command::new("readelf").arg("-lW").arg(&binary));
    assert!(!elf.contains("INTERP") && !elf.contains("DYNAMIC"), "{elf}");
}

/// Packagers have the package alone, and often build where nobody may make a user namespace.
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
            // Its dependencies are built there already.
            test.args(["test", "--offline", kind, "--target-dir"])
                .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap())
                .current_dir(place.path().join(name))
                // Random trees were tried in the clone already.
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
