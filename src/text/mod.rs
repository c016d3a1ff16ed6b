//! Text: lines, names, paths, numbers and JSON. Paths and names are bytes; only output escapes them.

pub(crate) mod bytes;
pub(crate) mod json;
pub(crate) mod line;
pub(crate) mod name;
pub(crate) mod number;
pub(crate) mod path;
pub(crate) mod short;
