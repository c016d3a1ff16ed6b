//! Writes the options of a role in the form that `src/cli/parse.rs` reads.

use super::{Entry, Kind, Role, Section};

/// Returns the options, without the parameters of a kernel command line.
pub fn options(role: &Role) -> impl Iterator<Item = &'static Entry> + use<> {
    let are_options = |section: &&Section| section.kind == Kind::Options;
    let sections = role.sections.iter().filter(are_options);
    sections.flat_map(|section| section.entries)
}

/// Returns a line for each option: `-` if it takes no value, `?` if it may take one, else the number of
/// words in its value; then its short names; then its long names, each after a space.
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
