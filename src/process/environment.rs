//! The command's environment.

use alloc::vec::Vec;

use crate::sys::split;
use crate::text::line::Line;
use crate::text::name::Name;

/// A change to the environment that the command would have.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// All of it goes.
    Clear,
    /// `NAME=VALUE`.
    Set(Name),
    /// `NAME`.
    Unset(Name),
}

impl Change {
    pub(crate) fn name(&self) -> Option<&Name> {
        match self {
            Change::Clear => None,
            Change::Set(name) | Change::Unset(name) => Some(name),
        }
    }

    /// Makes the change.
    pub(crate) fn apply(&self, environment: &mut Vec<Name>) {
        match self {
            Change::Clear => environment.clear(),
            Change::Set(variable) => {
                unset(environment, name_of(variable.bytes()));
                environment.push(variable.clone());
            }
            Change::Unset(name) => unset(environment, name.bytes()),
        }
    }

    /// Says it, for `--dry-run`.
    pub(crate) fn describe(&self, line: &mut Line) {
        match self {
            Change::Clear => line.push(b"cleared"),
            Change::Set(variable) => line.push_name(variable.bytes()),
            Change::Unset(name) => {
                line.push(b"without ");
                line.push_name(name.bytes());
            }
        }
    }
}

fn unset(environment: &mut Vec<Name>, name: &[u8]) {
    environment.retain(|variable| {
        let variable = variable.bytes();
        // A name that ends elsewhere, or in another letter, need not be compared.
        let may_be = variable.get(name.len()).is_none_or(|byte| *byte == b'=')
            && variable.get(name.len().wrapping_sub(1)) == name.last();
        !(may_be && name_of(variable) == name)
    });
}

/// What is before the `=`.
pub(crate) fn name_of(variable: &[u8]) -> &[u8] {
    split(variable, b'=').next().unwrap_or(variable)
}
