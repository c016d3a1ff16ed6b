//! The options of a role as `src/cli/parse.rs` reads them.

use super::{Entry, Kind, Role, Section};

/// The options, without the words of a kernel command line.
pub fn options(role: &Role) -> impl Iterator<Item = &'static Entry> + use<> {
    let are_options = |section: &&Section| section.kind == Kind::Options;
    let sections = role.sections.iter().filter(are_options);
    sections.flat_map(|section| section.entries)
}

/// A line for each option: `-` where it has no value, `?` where it may have one, else how many words
/// its value has, as a digit; its short names; and after a space each its long names.
pub fn names(role: &Role) -> String {
    let lines: Vec<String> = options(role)
        .map(|entry| {
            let value = match entry.value.chars().next() {
                None => '-',
                Some('[') => '?',
                Some(_) => char::from(b'0' + entry.value.split(' ').count() as u8),
            };
            let line = format!("{value}{} {} {}", entry.short, entry.name, entry.alias);
            String::from(line.trim_end())
        })
        .collect();
    lines.join("\n")
}
