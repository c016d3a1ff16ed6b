//! `rootlet run`: the command, its status, its surroundings.

#![allow(missing_docs)]

mod command_line;
#[path = "../common/mod.rs"]
mod common;
mod inside;
mod status;
