//! `scripts/vm`: runs a command in a throwaway kernel, and reports why if there is no status.

#![allow(missing_docs, unreachable_pub)]

mod command;
#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod kernels;
mod place;
mod shared;
