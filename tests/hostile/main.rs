//! Hostile roots: whatever a root contains, and whatever changes it during a run, nothing outside is
//! created, changed, removed, mounted on or reached.
//!
//! The kinds of NEWROOT itself are in `tests/new_root.rs`, roots made at random in
//! `tests/torture/roots.rs`, users and rights in `tests/identity`, the terminal in
//! `tests/pty.rs`, the walk where openat2(2) is missing also in `tests/fallback.rs`.

#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod escapes;
mod links;
mod mount_points;
mod races;
