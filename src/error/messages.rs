//! All words that rootlet says when something fails, as one text that a person reviews:
//! `tests/errors/messages.txt`. It is made from the table of steps, and from the words in the source.

extern crate std;

use std::format;
use std::fs;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

use crate::error::hint::Hints;
use crate::error::{Error, Step};
use crate::run::cause;
use crate::sys::Errno;

/// Sources without messages, texts that other tests review (the help, assembly, disk labels), and
/// texts that are above in the list.
const NOT_READ: [&str; 9] = [
    "src/boot/disk",
    "src/cli/options",
    "src/error/messages.rs",
    "src/error/step.rs",
    "src/fuzzing",
    "src/rt/",
    "src/run/cause.rs",
    "src/sys/reaper",
    "src/sys/shared.rs",
];

/// The line of each step, with what it is done to. EPROTO has no words, so it gives no hint.
fn steps() -> String {
    let mut text = String::new();
    for number in 0..=u8::MAX {
        let Some(step) = Step::from_number(number) else {
            break;
        };
        if step == Step::Usage {
            continue;
        }
        if matches!(step, Step::Restart | Step::PowerOff) {
            // These are whole sentences: nothing failed.
            text += &format!("{step:?}: {}\n", step.words().0);
            continue;
        }
        let error = Error::between(step, b"OBJECT", b"PLACE", Errno::EPROTO);
        text += &format!("{step:?}: {error}\n");
    }
    text
}

/// The hints of the tables: for which step, and for which reasons.
fn hints() -> String {
    let mut text = String::new();
    for table in [Hints::OF_ALL, Hints::OF_RUN, Hints::OF_FILTERS] {
        let mut step = 0;
        while let Some(of) = Step::from_number(step) {
            let mut found: Vec<(&str, Vec<i32>)> = Vec::new();
            for number in 1..134 {
                let Some(hint) = table.find(of, Errno::from_number(number)) else {
                    continue;
                };
                match found.iter_mut().find(|(known, _)| *known == hint) {
                    Some((_, numbers)) => numbers.push(number),
                    None => found.push((hint, Vec::from([number]))),
                }
            }
            for (hint, numbers) in found {
                let name = |number: &i32| Errno::from_number(*number).describe().0;
                let names: Vec<&str> = numbers.iter().map(name).collect();
                let reasons = if names.len() > 100 {
                    String::from("any reason")
                } else {
                    names.join(", ")
                };
                text += &format!("{of:?}, {reasons}: {hint}\n");
            }
            step += 1;
        }
    }
    text
}

/// The hints for a cause that is looked for after a failure: for which steps, and for which reasons.
fn causes() -> String {
    let mut text = String::new();
    for (steps, reasons, words) in cause::all() {
        let name = |reason: &Option<Errno>| reason.map_or("its own", |errno| errno.describe().0);
        let names: Vec<&str> = reasons.iter().map(name).collect();
        let steps: Vec<String> = steps.iter().map(|step| format!("{step:?}")).collect();
        text += &format!("{}: {}: {words}\n", steps.join(", "), names.join(", "));
    }
    text
}

/// The string literals of a source, without comments, attributes and its unit tests.
fn literals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap();
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            _ if rest.starts_with("//") => rest.split_once('\n').map_or("", |(_, rest)| rest),
            _ if rest.starts_with("#[") || rest.starts_with("#![") => {
                rest.split_once(']').map_or("", |(_, rest)| rest)
            }
            // A character that is a quote.
            '\'' if rest.starts_with("'\"'") => &rest[3..],
            '"' => {
                let mut literal = String::new();
                let mut characters = rest[1..].char_indices();
                let end = loop {
                    match characters.next() {
                        None => break rest.len(),
                        Some((index, '"')) => break index + 2,
                        Some((_, '\\')) => match characters.next() {
                            // The line goes on at the next word.
                            Some((_, '\n')) => literal += "\\\n",
                            Some((_, escaped)) => literal.extend(['\\', escaped]),
                            None => {}
                        },
                        Some((_, other)) => literal.push(other),
                    }
                };
                let mut lines = literal.split("\\\n");
                let mut joined = String::from(lines.next().unwrap());
                joined.extend(lines.map(str::trim_start));
                found.push(joined);
                &rest[end..]
            }
            first => &rest[first.len_utf8()..],
        };
    }
    found
}

/// Words for people have two or more words of letters.
fn is_prose(literal: &str) -> bool {
    let words = literal.split(' ').filter(|word| {
        let word = word.trim_matches(|each: char| !each.is_ascii_alphabetic());
        word.len() > 1
            && word
                .chars()
                .all(|each| each.is_ascii_alphabetic() || each == '\'')
    });
    words.count() > 1 && !literal.contains('\n')
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_stem().is_some_and(|stem| stem != "tests")
        {
            found.push(path);
        }
    }
}

fn all(top: &Path) -> String {
    let mut text = String::from(
        "All that rootlet says when something fails. Written by a unit test of src/error,\n\
         which says how to write it anew.\n\n\
         # The steps, each with an object, a place and a reason\n\n",
    );
    text += &steps();
    text += "\n# The hints below them\n\n";
    text += &hints();
    text += "\n# The hints for a cause that was found\n\n";
    text += &causes();
    text += "\n# The words in the source: reasons, hints, errors of usage and warnings\n";
    let mut paths = Vec::new();
    sources(&top.join("src"), &mut paths);
    paths.sort();
    for path in paths {
        let name = path.strip_prefix(top).unwrap().display();
        let name = format!("{name}");
        if NOT_READ.iter().any(|start| name.starts_with(start)) {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let prose: Vec<String> = literals(&source)
            .into_iter()
            .filter(|text| is_prose(text))
            .collect();
        if !prose.is_empty() {
            text += &format!("\n{name}\n    {}\n", prose.join("\n    "));
        }
    }
    text
}

#[test]
#[cfg_attr(miri, ignore = "it reads all sources")]
fn every_message_is_in_the_text_that_people_review() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = top.join("tests/errors/messages.txt");
    let text = all(top);
    if std::env::var_os("ROOTLET_WRITE_MESSAGES").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let reviewed = fs::read_to_string(&path).unwrap_or_default();
    let changed: Vec<&str> = text
        .lines()
        .filter(|line| !reviewed.lines().any(|known| known == *line))
        .collect();
    assert!(
        text == reviewed,
        "messages have changed. Read these, then run the test with ROOTLET_WRITE_MESSAGES=1, and \
         commit tests/errors/messages.txt:\n{}",
        changed.join("\n")
    );
}
