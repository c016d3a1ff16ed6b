//! The parts of a process: namespaces, program, environment, descriptors, and the channel between
//! our processes.

pub(crate) mod channel;
pub(crate) mod cwd;
pub(crate) mod descriptors;
pub(crate) mod environment;
pub(crate) mod exec;
pub(crate) mod host_paths;
pub(crate) mod inherited;
pub(crate) mod namespace;
pub(crate) mod stderr;
pub(crate) mod stdio;
