//! `rootlet` called as tini, dumb-init or catatonit, next to the program itself: the same input
//! gives the same status and the same behaviour.

#![allow(missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;
mod inits;
mod orphans;
mod signals;
mod start;
mod status;
