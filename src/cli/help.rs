//! The help of a role, from its table of options.

use alloc::vec::Vec;

use crate::cli::options::Role;

/// The width of the column that the option stands in, when its help fits beside it.
const COLUMN: usize = 24;

/// The help of a role.
pub(crate) fn help(role: &Role) -> Vec<u8> {
    let mut text = Vec::from(role.usage);
    for section in role.sections {
        text.push(b'\n');
        text.extend(section.heading.as_bytes());
        text.extend(b":\n");
        for option in section.options {
            let start = text.len();
            match option.short {
                Some(short) => {
                    text.extend([b' ', b' ', b'-', short]);
                    if !option.long.is_empty() {
                        text.extend(b", ");
                    }
                }
                None => text.extend(b"      "),
            }
            for (index, name) in option.long.iter().enumerate() {
                text.extend(if index == 0 { "--" } else { ", --" }.as_bytes());
                text.extend(name.as_bytes());
            }
            if let Some(value) = option.value {
                text.push(b' ');
                text.extend(value.as_bytes());
            }
            for line in option.help {
                let width = text.len() - start;
                if width + 2 > COLUMN || text.last() == Some(&b'\n') {
                    if text.last() != Some(&b'\n') {
                        text.push(b'\n');
                    }
                    text.extend([b' '; COLUMN]);
                } else {
                    text.extend(&[b' '; COLUMN][width..]);
                }
                text.extend(line.as_bytes());
                text.push(b'\n');
            }
        }
        if !section.below.is_empty() {
            text.push(b'\n');
            text.extend(section.below.as_bytes());
        }
    }
    text
}
