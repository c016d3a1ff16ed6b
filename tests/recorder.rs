//! Runs random calls in random hostile roots that change meanwhile. Each path that a run creates,
//! removes, changes or mounts on must belong to NEWROOT or to a mount of the run.
//!
//! `tests/recorder/recorder.c` describes how the calls are watched. `ROOTLET_RECORDER_ROOTS` is the
//! number of roots. `ROOTLET_RECORDER_SEED`, which is printed, makes the same roots again.

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
fn every_path_belongs_to_the_root_or_to_the_run() {
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
    let roots = number("ROOTLET_RECORDER_ROOTS").unwrap_or(common::rounds(150) as u64);
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
    // Roots, swaps, calls, and each kind of call occurred.
    assert!(did[..8].iter().all(|number| *number > 0), "{line:?}");
    let line = ended
        .stdout
        .lines()
        .find(|line| line.starts_with("succeeded "));
    let with_ranges = line.unwrap().split([' ', ',']);
    let with_ranges: Vec<u64> = with_ranges.filter_map(|word| word.parse().ok()).collect();
    // Few random runs succeed.
    assert!(with_ranges.iter().sum::<u64>() > 0, "{line:?}");
    // The statuses with which a run may end.
    let statuses = ended
        .stdout
        .lines()
        .find(|line| line.starts_with("statuses: "));
    let statuses = statuses.unwrap().trim_start_matches("statuses: ");
    for status in statuses.split_terminator(',') {
        let status = status.trim().rsplit(' ').next();
        assert!(matches!(status, Some("0" | "125")), "{statuses}");
    }
    // No other file was added to the host's files either.
    let files = "./dev ./dev/full ./dev/null ./dev/pts ./dev/random ./dev/shm ./dev/urandom ./dev/x \
         ./dev/zero ./directory ./directory/link ./directory/resolv.conf ./directory/shm \
         ./directory/sub ./directory/x ./file";
    let last = ended.stdout.lines().last().unwrap();
    assert_eq!(last.trim(), format!(". {files}"));
    assert_eq!(fs::read_dir(place.path().join("new")).unwrap().count(), 0);
}
