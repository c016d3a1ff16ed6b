//! The user, groups and rights of the command.

pub(crate) mod accounts;
pub(crate) mod capability;
pub(crate) mod id_map;
pub(crate) mod identity;
pub(crate) mod keyring;
pub(crate) mod maps;
pub(crate) mod private;
pub(crate) mod ranges;
