//! The contents of the new root: the default mounts, `--bind` and its relatives, and their traces afterwards.

#![allow(missing_docs)]

mod binds;
#[path = "../common/mod.rs"]
mod common;
mod defaults;
mod kinds;
mod plan;

/// The options of the mount at a path, as the command sees them; empty when there is none.
fn options(mounts: &str, path: &str) -> String {
    let at = |line: &&str| line.split(' ').nth(1) == Some(path);
    let line = mounts.lines().rfind(at).unwrap_or_default();
    line.split(' ').nth(3).unwrap_or_default().to_owned()
}

fn has(options: &str, option: &str) -> bool {
    options.split(',').any(|other| other == option)
}
