//! `rootlet init`, as pid 1 of a pid namespace and as a child subreaper.

#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod orphans;
mod signals;
mod start;
mod status;
mod terminal;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;
const SIGWINCH: i32 = 28;

/// The stop signals of a terminal: TSTP, TTIN, TTOU.
const STOPS: [i32; 3] = [20, 21, 22];
