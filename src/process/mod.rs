//! What a process is made of: namespaces, program, environment, descriptors, and the channel
//! between ours.

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
