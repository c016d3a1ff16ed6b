//! Each call of random runs in random hostile roots, which are changed all the while: what it creates,
//! removes, changes or mounts on is NEWROOT's own, or what the run has mounted itself.
//!
//! `tests/recorder/recorder.c` says how it is looked at. `ROOTLET_RECORDER_ROOTS` is how many roots,
//! and `ROOTLET_RECORDER_SEED`, which is printed, makes them the same again.

#![allow(missing_docs)]

mod common;

use std::env::var;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use common::{Root, User, can_be_root, command, end, rootlet_path};

fn number(variable: &str) -> Option<u64> {
    Some(var(variable).ok()?.parse().unwrap())
}

#[test]
fn every_call_names_what_is_of_the_root_or_of_the_run() {
    if !can_be_root() {
        return;
    }
    let recorder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recorder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorder/recorder.c");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-pthread", "-o"])
        .arg(&recorder)
        .arg(source);
    assert!(cc.status().unwrap().success(), "{cc:?}");

    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = number("ROOTLET_RECORDER_SEED").unwrap_or(now);
    let roots = number("ROOTLET_RECORDER_ROOTS").unwrap_or(common::rounds(250) as u64);
    println!("ROOTLET_RECORDER_SEED={seed}");
    let place = Root::empty(User::Root);
    let mut run = command(User::Root, &recorder);
    run.arg(rootlet_path())
        .arg("/bin/busybox")
        .arg(place.path());
    let ended = end(run.args([seed, roots].map(|number| number.to_string())));
    println!("{}", ended.stdout);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");

    assert!(ended.stdout.contains("; violations 0\n"), "{ended:?}");
    let line = ended.stdout.lines().find(|line| line.starts_with("roots "));
    let did = line.unwrap().split([' ', ',', ';', ':']);
    let did: Vec<u64> = did.filter_map(|word| word.parse().ok()).collect();
    // Roots, swaps, calls, and each kind of them.
    assert!(did[..8].iter().all(|number| *number > 0), "{line:?}");
    // How a run may end.
    let statuses = ended
        .stdout
        .lines()
        .find(|line| line.starts_with("statuses: "));
    let statuses = statuses.unwrap().trim_start_matches("statuses: ");
    for status in statuses.split_terminator(',') {
        let status = status.trim().rsplit(' ').next();
        assert!(matches!(status, Some("0" | "125")), "{statuses}");
    }
    // Nor has anything else come among the host's files.
    let files = "./dev ./dev/full ./dev/null ./dev/pts ./dev/random ./dev/shm ./dev/urandom ./dev/x \
         ./dev/zero ./directory ./directory/link ./directory/resolv.conf ./directory/shm \
         ./directory/sub ./directory/x ./file";
    let last = ended.stdout.lines().last().unwrap();
    assert_eq!(last.trim(), format!(". {files}"));
    assert_eq!(fs::read_dir(place.path().join("new")).unwrap().count(), 0);
}
