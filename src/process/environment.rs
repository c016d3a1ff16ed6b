//! The command's environment, as changes to the caller's.

use alloc::vec::Vec;

use crate::sys::split;
use crate::text::line::Line;
use crate::text::name::Name;

/// A change to the environment.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Remove all variables.
    Clear,
    /// Set `NAME=VALUE`.
    Set(Name),
    /// Remove `NAME`.
    Unset(Name),
}

impl Change {
    pub(crate) fn name(&self) -> Option<&Name> {
        match self {
            Change::Clear => None,
            Change::Set(name) | Change::Unset(name) => Some(name),
        }
    }

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

    /// Describes the change for `--dry-run`.
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
        // A cheap test first: the name ends at this length, and in this letter.
        let may_be = variable.get(name.len()).is_none_or(|byte| *byte == b'=')
            && variable.get(name.len().wrapping_sub(1)) == name.last();
        !(may_be && name_of(variable) == name)
    });
}

/// Returns the part before the `=`.
pub(crate) fn name_of(variable: &[u8]) -> &[u8] {
    split(variable, b'=').next().unwrap_or(variable)
}
