//! Formats the help from the table, when rootlet is built.

use super::{ABOUT, Entry, Kind, OTHER_USAGES, Role, Section};

/// The length of the longest line.
const WIDTH: usize = 79;
/// The column of the description of an option. It starts on the next line if the name is too long.
const COLUMN: usize = 24;

/// Returns the overview of a binary with these roles.
pub fn overview(roles: &[&Role]) -> String {
    let usages = roles.iter().map(|role| role.usage).chain(OTHER_USAGES);
    let usages: Vec<&str> = usages.collect();
    let mut text = format!("Usage: {}\n\n", usages.join("\n       "));
    if roles.iter().any(|role| role.name == "run") {
        text += &format!("{ABOUT}\n\n");
    }
    for role in roles {
        text += &beside(&format!("  {}", role.name), 10, role.line);
    }
    let helps: Vec<String> = roles
        .iter()
        .enumerate()
        .map(|(index, role)| match index {
            0 => format!("'rootlet help {}'", role.name),
            _ => format!("'help {}'", role.name),
        })
        .collect();
    let list = if helps.len() == 1 { "lists" } else { "list" };
    text += &format!("\n{} {list} the options.\n\n", listed(&helps, "and"));
    text + &filled(super::EXIT_STATUS)
}

/// Joins words as in `a, b and c`.
pub fn listed(words: &[impl AsRef<str>], before_last: &str) -> String {
    let mut text = String::new();
    for (index, word) in words.iter().enumerate() {
        text += match index {
            0 => "",
            _ if index + 1 == words.len() => " ",
            _ => ", ",
        };
        if index > 0 && index + 1 == words.len() {
            text += &format!("{before_last} ");
        }
        text += word.as_ref();
    }
    text
}

pub fn help(role: &Role) -> String {
    let mut text = format!("Usage: {}\n\n{}", role.usage, filled(role.about));
    for section in role.sections {
        text += &format!("\n{}:\n", section.heading);
        for entry in section.entries {
            text += &beside(&head(section, entry), COLUMN, &said(entry));
        }
        if !section.below.is_empty() {
            text += &format!("\n{}", filled(section.below));
        }
    }
    for paragraph in role.end {
        text += &format!("\n{}", filled(paragraph));
    }
    text
}

fn head(section: &Section, entry: &Entry) -> String {
    if section.kind == Kind::Words {
        return format!("  {}{}", entry.name, entry.value);
    }
    let mut names: Vec<String> = entry
        .short
        .chars()
        .map(|short| format!("-{short}"))
        .collect();
    names.push(format!("--{}", entry.name));
    if !entry.alias.is_empty() {
        names.push(format!("--{}", entry.alias));
    }
    let indent = if entry.short.is_empty() { 6 } else { 2 };
    let space = if entry.value.is_empty() || entry.value.starts_with('[') {
        ""
    } else {
        " "
    };
    format!("{:indent$}{}{space}{}", "", names.join(", "), entry.value)
}

fn said(entry: &Entry) -> String {
    match entry.default {
        "" => String::from(entry.line),
        default => format!("{} (default: {default})", entry.line),
    }
}

/// Sets the words to the right of a column, and the head to its left, or above if it is too long.
fn beside(head: &str, column: usize, words: &str) -> String {
    let lines = lines(words, WIDTH - column);
    let mut text = String::from(head);
    for (index, line) in lines.iter().enumerate() {
        if index == 0 && head.len() + 2 <= column {
            text += &" ".repeat(column - head.len());
        } else {
            text += &format!("\n{:column$}", "");
        }
        text += line;
    }
    text + "\n"
}

fn filled(paragraph: &str) -> String {
    lines(paragraph, WIDTH).join("\n") + "\n"
}

fn lines(paragraph: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let last = lines.last_mut().unwrap();
        if last.is_empty() {
            *last += word;
        } else if last.len() + 1 + word.len() <= width {
            *last = format!("{last} {word}");
        } else {
            lines.push(String::from(word));
        }
    }
    lines
}
