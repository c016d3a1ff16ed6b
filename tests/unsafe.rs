//! All unsafe code is in `src/sys` and `src/rt`, except for the places that `src/README.md` lists
//! with their reasons.

#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns the code of each file of `src` without comments and tests.
fn code() -> BTreeMap<String, String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    sources(&top.join("src"), &mut paths);
    let without_comments = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines = code.lines().map(|line| line.split("//").next().unwrap());
        let name = path.strip_prefix(top).unwrap().to_str().unwrap();
        (name.to_owned(), lines.collect::<Vec<_>>().join("\n"))
    };
    paths.iter().map(without_comments).collect()
}

#[test]
fn the_map_of_the_source_lists_all_unsafe_code() {
    let mut there = BTreeMap::new();
    for (name, code) in code() {
        let count = code
            .split_whitespace()
            .filter(|word| word.contains("unsafe"))
            .count();
        if count > 0 && !name.starts_with("src/sys/") && !name.starts_with("src/rt/") {
            there.insert(name, count);
        }
    }
    let map = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/README.md")).unwrap();
    let rows = map.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let count = rest.split_once(" | ")?.0.parse().ok()?;
        Some((format!("src/{name}"), count))
    });
    assert_eq!(rows.collect::<BTreeMap<String, usize>>(), there);
}

#[test]
fn no_static_is_mutable() {
    for (name, code) in code() {
        assert!(!code.contains("static mut"), "{name}");
    }
}
