//! Lists the system calls that rootlet uses, and gives each a number. They are not the kernel's, as no
//! kernel sees them.

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

fn main() {
    let mut names = BTreeSet::new();
    find(Path::new("../../../src"), &mut names);
    let constants: String = names
        .iter()
        .enumerate()
        .map(|(number, name)| format!("pub const {name}: usize = {number};\n"))
        .collect();
    let directory = env::var("OUT_DIR").unwrap();
    fs::write(Path::new(&directory).join("nr.rs"), constants).unwrap();
    println!("cargo:rerun-if-changed=../../../src");
}

/// Adds each name after `nr::` in the sources.
fn find(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, names);
        } else if let Ok(text) = fs::read_to_string(&path) {
            for rest in text.split("nr::").skip(1) {
                let is_of_name = |letter: &char| {
                    letter.is_ascii_uppercase() || letter.is_ascii_digit() || *letter == '_'
                };
                let name: String = rest.chars().take_while(is_of_name).collect();
                if !name.is_empty() {
                    names.insert(name);
                }
            }
        }
    }
}
