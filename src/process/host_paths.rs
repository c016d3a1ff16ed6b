//! Variables of the caller that name a path of the host.
//!
//! A variable is left out if its path does not exist in the new root: programs fail, or complain at
//! each start, when they find nothing there.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::process::environment::{Change, name_of};
use crate::sys::{fs, split};
use crate::text::name::Name;
use crate::text::path::PathBuffer;

/// Variables with one path; then variables with several paths, separated by colons or spaces, all
/// of which must exist.
const SINGLE: &[u8] =
    b"TMPDIR TMP TEMP TEMPDIR XDG_RUNTIME_DIR XAUTHORITY SHELL BASH_ENV SSL_CERT_FILE \
    SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE GIT_SSL_CAINFO NIX_SSL_CERT_FILE PYTHONHOME";
const LISTS: &[u8] = b"LD_PRELOAD LD_AUDIT";

/// Returns the variables of an environment that may have to be left out, with their index. A
/// variable that a change has set stays, and so does SHELL if a user was set.
pub(crate) fn find<'a>(
    environment: &'a [Name],
    changes: &[Change],
    sets_user: bool,
) -> Vec<(usize, &'a CStr)> {
    let is_set = |name: &[u8]| {
        let mut set = changes.iter().filter_map(|change| match change {
            Change::Set(variable) => Some(name_of(variable.bytes())),
            _ => None,
        });
        set.any(|set| set == name) || sets_user && name == b"SHELL"
    };
    let mut found = Vec::new();
    for (index, variable) in environment.iter().enumerate() {
        let name = name_of(variable.bytes());
        let mut names = split(SINGLE, b' ').chain(split(LISTS, b' '));
        if names.any(|known| known == name) && !is_set(name) {
            found.push((index, variable.as_c_str()));
        }
    }
    found
}

/// Returns whether a path in this variable does not exist. Called in the new root; allocates
/// nothing.
pub(crate) fn is_missing(variable: &CStr) -> bool {
    let variable = variable.to_bytes();
    let name = name_of(variable);
    let value = variable.get(name.len() + 1..).unwrap_or_default();
    let is_list = split(LISTS, b' ').any(|list| list == name);
    let mut paths = value.split(|byte| is_list && matches!(byte, b':' | b' '));
    // A relative path is looked up elsewhere, or the value means something else.
    paths.any(|path| path.starts_with(b"/") && !is_there(path))
}

fn is_there(path: &[u8]) -> bool {
    let mut name = PathBuffer::new();
    name.push(path).is_ok() && fs::is_there(name.as_c_str())
}
