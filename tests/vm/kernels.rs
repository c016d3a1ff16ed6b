//! Other kernels and machines.

use std::path::Path;
use std::process::Command;

use crate::common::{self, end, is_left_out};
use crate::place::{Place, cannot, someone};

#[test]
fn an_older_kernel_runs_too() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let ended = end(&mut place.vm(&["--kernel=6.1", "uname", "-r"]));
    assert!(
        ended.status == 0 && ended.stdout.starts_with("6.1."),
        "{ended:?}"
    );
    place.assert_clean();
}

#[test]
fn another_machine_can_be_emulated() {
    if cannot() || is_left_out("aarch64") {
        return;
    }
    let place = Place::new(someone());
    // The script itself has rootlet built where that is missing.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/vm");
    let mut command = Command::new(script);
    command
        .args(["--arch=aarch64", "--root=none", "/init", "--version"])
        .env_remove("ROOTLET")
        .env("TMPDIR", place.temporary())
        .env("XDG_CACHE_HOME", common::kernel_cache());
    let ended = end(&mut command);
    let version = concat!("rootlet ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((ended.status, &*ended.stdout), (0, version), "{ended:?}");
    place.assert_clean();
}

/// What a kernel can be told to take away on its command line.
#[test]
fn a_kernel_without_user_namespaces_is_told() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let rootlet = common::rootlet_path().to_str().unwrap();
    let run = format!(
        "setpriv --reuid=54321 --regid=54321 --clear-groups {rootlet} run / true || exit $?"
    );
    for (setting, told) in [
        (
            "user.max_user_namespaces=0",
            "rootlet: cannot make new namespaces: No space left on device (ENOSPC)\n\
             hint: the limit on namespaces is reached: see sysctl user.max_user_namespaces",
        ),
        (
            "kernel.unprivileged_userns_clone=0",
            "rootlet: cannot make new namespaces: Operation not permitted (EPERM)\n\
             hint: run as root, or allow user namespaces: sysctl kernel.unprivileged_userns_clone=1",
        ),
    ] {
        let append = format!("--append=sysctl.{setting}");
        let ended = end(&mut place.vm(&[&append, "--", "sh", "-c", &run]));
        assert_eq!(ended.status, 125, "{ended:?}");
        assert!(ended.stderr.starts_with(told), "{ended:?}");
    }
    place.assert_clean();
}
