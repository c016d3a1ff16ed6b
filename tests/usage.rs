//! Errors of usage, as rootlet prints them: `tests/errors/usage.txt`, which people review.
//!
//! The unit test `every_message_is_in_the_text_that_people_review` lists the words of all messages;
//! here are whole lines, with the program's name in front and the hint below.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use common::rootlet_path;

/// Command lines that are wrong, without quoting except for `''`. NEWROOT does not exist.
const WRONG: &str = "\
rootlet
rootlet --help nothing
rootlet --version now
rootlet --verbose
rootlet nothing
rootlet -- true
rootlet run
rootlet run ''
rootlet run --nothing NEWROOT
rootlet run -ro NEWROOT
rootlet run --pty=yes NEWROOT
rootlet run --bind
rootlet run --mount /srv /srv
rootlet run --mount '' /srv ro NEWROOT
rootlet run --mount /srv '' ro NEWROOT
rootlet run --mount /srv /srv size=1m NEWROOT
rootlet run --bind /srv:/srv:size=1m NEWROOT
rootlet run --bind :/srv NEWROOT
rootlet run --bind $UNSET:/srv NEWROOT
rootlet run --ro tmpfs NEWROOT
rootlet run --resolv-conf yes NEWROOT
rootlet run --dev all NEWROOT
rootlet run --dry-run=yaml NEWROOT
rootlet run --private-users=all NEWROOT
rootlet run --private-users --map-users auto NEWROOT
rootlet run --private-users --dev host NEWROOT
rootlet run --unshare mount NEWROOT
rootlet run --map-users all NEWROOT
rootlet run --chdir '' NEWROOT
rootlet run --grace soon NEWROOT
rootlet run --keep-fd stdin NEWROOT
rootlet run --status-fd stdin NEWROOT
rootlet run --env =VALUE NEWROOT
rootlet run --unset-env '' NEWROOT
rootlet run --drop-caps root NEWROOT
rootlet run --overlay-size much NEWROOT
rootlet run --user :5 / true
rootlet run --args-fd stdin NEWROOT
rootlet run @
rootlet run @NUL NEWROOT
rootlet run @DEEP NEWROOT
rootlet init
rootlet init --nothing
rootlet init --rewrite 15 true
rootlet init -p NOTHING true
rootlet init --grace soon true
rootlet init --expect 256 true
rootlet boot
rootlet boot now
tini
dumb-init --nothing
catatonit
";

/// How words in these sources begin that are no errors of usage: output of drop-in names, and lists.
const OTHERS: [&str; 9] = [
    "[",
    "cannot",
    "chown dac_override",
    "dumb-init v",
    "rootlet is free software",
    "rootlet: ",
    "standard output",
    "tini version",
    "the command",
];

/// The sources of errors of usage.
const SOURCES: [&str; 8] = [
    "src/cli/boot.rs",
    "src/cli/init.rs",
    "src/cli/mod.rs",
    "src/cli/parse.rs",
    "src/cli/run.rs",
    "src/cli/words.rs",
    "src/mount/spec.rs",
    "src/user/capability.rs",
];

/// Runs each command line and returns what it prints.
fn all() -> String {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("NUL"), "a\0b\n").unwrap();
    fs::write(place.path().join("DEEP"), "@DEEP\n").unwrap();
    let mut text = String::from(
        "Wrong command lines, and what rootlet says. Written by tests/usage.rs, which says how to\n\
         write it anew.\n",
    );
    for line in WRONG.lines() {
        let mut words = line
            .split(' ')
            .map(|word| if word == "''" { "" } else { word });
        let output = Command::new(rootlet_path())
            .arg0(words.next().unwrap())
            .args(words)
            .current_dir(place.path())
            .env_remove("UNSET")
            .output()
            .unwrap();
        // tini, dumb-init and catatonit have their own statuses.
        assert!(
            matches!(output.status.code(), Some(1 | 125)),
            "{line}: {output:?}"
        );
        assert!(output.stdout.is_empty(), "{line}: {output:?}");
        text += &format!("\n$ {line}\n{}", String::from_utf8(output.stderr).unwrap());
    }
    text
}

#[test]
fn every_error_of_usage_is_in_the_text_that_people_review() {
    let errors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors");
    let text = all();
    if std::env::var_os("ROOTLET_WRITE_MESSAGES").is_some() {
        fs::write(errors.join("usage.txt"), &text).unwrap();
    }
    let reviewed = fs::read_to_string(errors.join("usage.txt")).unwrap_or_default();
    let changed: Vec<&str> = text
        .lines()
        .filter(|line| !reviewed.lines().any(|known| known == *line))
        .collect();
    assert!(
        text == reviewed,
        "errors of usage have changed. Read these, then run the test with ROOTLET_WRITE_MESSAGES=1, \
         and commit tests/errors/usage.txt:\n{}",
        changed.join("\n")
    );

    // The other list has all words in the sources, so none is forgotten here.
    let messages = fs::read_to_string(errors.join("messages.txt")).unwrap();
    let forgotten: Vec<&str> = SOURCES
        .iter()
        .flat_map(|source| {
            let (_, rest) = messages.split_once(&format!("\n{source}\n")).unwrap();
            rest.lines().take_while(|line| !line.is_empty())
        })
        .map(|line| line.strip_prefix("    ").unwrap())
        .filter(|words| !OTHERS.iter().any(|other| words.starts_with(other)))
        // Options of mount(8) and their opposites.
        .filter(|words| words.split(' ').count() > 2 || words.starts_with("has "))
        .filter(|words| !text.contains(words))
        .collect();
    assert!(
        forgotten.is_empty(),
        "no command line in this test gets:\n{}",
        forgotten.join("\n")
    );
}
