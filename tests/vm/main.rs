//! `scripts/vm`: what a command in a throwaway kernel gets and gives back, and what is said when
//! there is no status.

#![allow(missing_docs, unreachable_pub)]

mod command;
#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod kernels;
mod place;
mod shared;
