//! `/etc/passwd` and `/etc/group` of a root.

use std::prelude::rust_2024::*;

use crate::user::accounts::{groups, users};

/// Parses a file like `/etc/passwd` or `/etc/group`.
pub fn accounts(file: &[u8]) {
    let lines: Vec<&[u8]> = file.split(|byte| *byte == b'\n').collect();
    let is_field = |text: &[u8]| !text.iter().any(|byte| b":\n\0".contains(byte));
    let mut count = 0;
    for user in users(file) {
        count += 1;
        assert!(user.id != u32::MAX && user.group != u32::MAX);
        assert!(!user.name.is_empty() && !b"#+-".contains(&user.name[0]));
        assert!([user.name, user.home, user.shell].into_iter().all(is_field));
        // The user's line in the standard form gives the same user.
        let numbers = format!(":x:{}:{}::", user.id, user.group);
        let parts = [user.name, numbers.as_bytes(), user.home, b":", user.shell];
        assert!(users(&parts.concat()).eq([user]));
        assert!(lines.iter().any(|line| line.starts_with(user.name)));
    }
    assert!(count <= lines.len());
    for (name, id, members) in groups(file) {
        assert!(id != u32::MAX && !name.is_empty());
        assert!(is_field(name) && is_field(members));
        let number = format!(":x:{id}:");
        let line = [name, number.as_bytes(), members].concat();
        assert!(groups(&line).eq([(name, id, members)]));
    }
}
