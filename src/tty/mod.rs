//! Terminals: job control, and a pseudo-terminal for the run.

pub(crate) mod jobs;
pub(crate) mod pty;
pub(crate) mod terminal;
