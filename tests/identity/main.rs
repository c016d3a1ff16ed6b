//! The user, the environment and the rights of the command.

#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod environment;
mod rights;
mod users;

/// Prints the ids, groups and capabilities of a process.
const STATUS: &str = "grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs):' /proc/self/status; :";
