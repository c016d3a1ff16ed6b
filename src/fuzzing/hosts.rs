//! `/etc/hosts` with a line for the host name of a run.

use std::prelude::rust_2024::*;

use crate::mount::hosts::with_name;

/// Takes a host name, a NUL, and the host's file.
pub fn hosts(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == 0);
    let (name, file) = data.split_at(end.unwrap_or(data.len()));
    let file = file.get(1..).unwrap_or_default();
    let made = with_name(file.to_vec(), name);
    let added = made.strip_prefix(file).expect("the host's lines stay");
    let (before, after) = (names(file), names(&made));
    let new = after
        .strip_prefix(&before[..])
        .expect("the host's names stay");
    if added.is_empty() {
        // A line cannot hold this name.
        let fits = name
            .iter()
            .all(|byte| byte.is_ascii_graphic() && *byte != b'#');
        assert!(name.is_empty() || !fits);
        return;
    }
    // The host's last line may have had no end.
    let line = added.strip_prefix(b"\n").unwrap_or(added);
    assert_eq!(
        added.len() > line.len(),
        !file.is_empty() && !file.ends_with(b"\n")
    );
    assert_eq!(
        line.iter().position(|byte| *byte == b'\n'),
        Some(line.len() - 1)
    );
    assert!(line.ends_with(b"\n") && line.is_ascii());
    // The address has the whole name, and the first part if that is another name.
    let own = |name: &[u8]| (b"127.0.1.1".to_vec(), name.to_vec());
    let first = name.split(|byte| *byte == b'.').next().unwrap();
    let mut expected = vec![own(name)];
    if !first.is_empty() && first != name {
        expected.push(own(first));
    }
    assert_eq!(new, expected);
}

/// Returns each name with its address, as hosts(5) describes the lines.
fn names(file: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = Vec::new();
    for line in file.split(|byte| *byte == b'\n') {
        let line = line.split(|byte| *byte == b'#').next().unwrap();
        let mut fields = line
            .split(u8::is_ascii_whitespace)
            .filter(|field| !field.is_empty());
        if let Some(address) = fields.next() {
            names.extend(fields.map(|name| (address.to_vec(), name.to_vec())));
        }
    }
    names
}
