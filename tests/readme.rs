//! Runs each command of the README and of the pages of examples, and compares its output with the
//! page.

#![allow(missing_docs)]

mod common;

use std::os::unix::fs::symlink;
use std::path::Path;

use common::{can_be_root, debian, is_left_out};

const README: &str = include_str!("../README.md");

/// A block of commands, and the output that the page shows.
struct Example {
    commands: &'static str,
    printed: Option<&'static str>,
}

fn examples(page: &'static str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for block in page.split("\n```") {
        if let Some(commands) = block.strip_prefix("sh\n") {
            examples.push(Example {
                commands,
                printed: None,
            });
        } else if let Some(printed) = block.strip_prefix("text\n") {
            examples.last_mut().unwrap().printed = Some(printed);
        }
    }
    examples
}

#[test]
fn every_command_does_what_the_readme_says() {
    does_what_it_says(README, 5);
}

#[test]
fn every_command_does_what_the_page_of_run_says() {
    does_what_it_says(include_str!("../scripts/examples/run/README.md"), 20);
}

#[test]
fn every_command_does_what_the_page_of_init_says() {
    does_what_it_says(include_str!("../scripts/examples/init/README.md"), 2);
}

#[test]
fn every_command_does_what_the_page_of_boot_says() {
    does_what_it_says(include_str!("../scripts/examples/boot/README.md"), 1);
}

#[test]
fn every_command_does_what_the_page_of_vm_says() {
    does_what_it_says(include_str!("../scripts/examples/vm/README.md"), 3);
}

/// Runs all commands of a page in order, in one directory. The page has at least this many.
fn does_what_it_says(page: &'static str, least: usize) {
    if !can_be_root() || is_left_out("network") {
        return;
    }
    let place = common::Root::empty(common::User::Root);
    let root = debian();
    std::fs::rename(root.path(), place.path().join("root")).unwrap();
    let programs = place.directory("programs");
    symlink(common::rootlet_path(), programs.join("rootlet")).unwrap();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    symlink(scripts.join("vm"), programs.join("vm")).unwrap();
    symlink(common::guest::kernel(), place.path().join("kernel")).unwrap();

    let examples = examples(page);
    assert!(examples.len() >= least, "{}", examples.len());
    for example in examples {
        let mut command = std::process::Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", example.commands])
            .stdin(std::process::Stdio::null());
        if ["cargo ", "scripts/"]
            .iter()
            .any(|start| example.commands.starts_with(start))
        {
            command.current_dir(env!("CARGO_MANIFEST_DIR"));
        } else {
            let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
            command
                .current_dir(place.path())
                .env("PATH", path)
                .env("ROOTLET", common::rootlet_path())
                .env("XDG_CACHE_HOME", common::kernel_cache())
                .env("DEBIAN_FRONTEND", "noninteractive");
        }
        let ended = common::end(&mut command);
        assert_eq!(ended.status, 0, "{}\n{ended:?}", example.commands);
        let printed = ended.stdout.trim_end();
        match example
            .printed
            .map(|printed| printed.strip_prefix("…").ok_or(printed))
        {
            None => {}
            Some(Ok(end)) => assert!(printed.ends_with(end), "{}\n{ended:?}", example.commands),
            Some(Err(all)) => assert_eq!(printed, all, "{}", example.commands),
        }
    }
}

/// The front page of the crate's documentation. Its examples are compiled and run.
const FRONT_PAGE: &str = include_str!("../src/lib.rs");
/// The sections that are in the README too.
const HEADINGS: [&str; 2] = ["# Features", "# Examples"];

#[test]
fn the_library_is_shown_as_on_its_front_page() {
    let page: Vec<&str> = FRONT_PAGE
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        // Hidden lines, which complete an example.
        .filter(|line| !line.starts_with("# ") || HEADINGS.contains(line))
        .collect();
    let page = page.join("\n").replace("\n# ", "\n### ");
    let page = page.replace("[`", "`").replace("`]", "`");
    let section = README.split("## As a library").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let section = section.split_once("says the rest.").unwrap().1;
    assert!(section.contains("```rust"));
    let section = section.replace("```rust", "```");
    assert!(page.contains(section.trim()), "{section}\n\n{page}");
}

/// Checks that each test that SECURITY.md names exists.
#[test]
fn the_promises_name_tests_that_are_there() {
    let section = include_str!("../SECURITY.md");
    let is_test = |word: &&str| {
        word.matches('_').count() >= 3
            && word
                .chars()
                .all(|each| each == '_' || each.is_ascii_lowercase() || each.is_ascii_digit())
    };
    let names: Vec<&str> = section.split('`').filter(is_test).collect();
    assert!(names.len() >= 10, "{names:?}");
    let mut files = vec![Path::new("tests").to_owned(), Path::new("src").to_owned()];
    let mut sources = String::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources += &std::fs::read_to_string(path).unwrap();
        }
    }
    for name in names {
        assert!(
            sources.contains(&format!("fn {name}(")),
            "there is no test {name}"
        );
    }
}
