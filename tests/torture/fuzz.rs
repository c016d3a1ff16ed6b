//! Fuzzing of the command line. Other input from outside is parsed inside the library, and tried
//! there, in `src/fuzzing.rs`. `tests/fuzz` has fuzzers for the same functions.

use std::time::Instant;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

use crate::cli::options::ROLES;
use crate::cli::options::names::options;
use crate::common::{Root, users};
use crate::{arguments, cases, summary, until};

/// The number of shares into which the time for all parsers is divided.
const SHARES: u32 = 15;

#[test]
fn what_holds_for_any_arguments() {
    let count = cases::try_all("arguments", arguments::arguments, cases::share(SHARES));
    summary("fuzz", &format!("arguments: {count} cases, no finding"));
}

/// Values that a user might type, valid or not.
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "4294967295",
    "4294967296",
    "a",
    "root",
    "nobody:",
    ":",
    ",",
    "=",
    "A=b",
    "/",
    "/tmp",
    "tmpfs",
    "tmpfs:/t",
    "/tmp:/a:ro,rec",
    "$HOME",
    "$HOME:/h:optional",
    "all",
    "net_raw",
    "net",
    "user",
    "pid,time",
    "auto",
    "current",
    "minimal",
    "copy",
    "off",
    "a.b",
    "%",
    "missing:",
    "\\:",
    "proc:proc",
    "--",
    "-",
    "--x",
    "-nn",
    "\u{fc}",
    "ROOT",
];

const OPERANDS: &[&[&str]] = &[&[], &["ROOT"], &["ROOT", "true", "-x"]];

/// Words as a user might type them, most of them options.
fn words() -> impl Strategy<Value = Vec<String>> {
    let names: Vec<String> = options(ROLES[0])
        .flat_map(|option| {
            let short = option.short.chars().map(|letter| format!("-{letter}"));
            let long = [option.name, option.alias]
                .into_iter()
                .filter(|name| !name.is_empty());
            short.chain(long.map(|name| format!("--{name}")))
        })
        .collect();
    let value = || select(VALUES).prop_map(String::from);
    let word = prop_oneof![
        3 => select(names.clone()),
        2 => (select(names), "=?", value()).prop_map(|(name, equals, value)| name + &equals + &value),
        3 => value(),
        1 => "[ -~]{0,12}",
    ];
    let operands = select(OPERANDS);
    (prop::collection::vec(word, 0..6), operands).prop_map(|(mut words, operands)| {
        words.extend(operands.iter().map(ToString::to_string));
        words
    })
}

/// A dry run of any command line ends with a plan or with an error message.
#[test]
fn any_command_line_is_a_plan_or_an_error() {
    let end = until() - (until() - Instant::now()) * (SHARES - 1) / SHARES;
    let mut count = [0u64; 2];
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        loop {
            let mut runner = TestRunner::new(cases::config(100));
            let counted = std::cell::RefCell::new(&mut count);
            let result = runner.run(&words(), |words| {
                let mut line = vec!["-n"];
                line.extend(words.iter().map(String::as_str));
                let ended = crate::common::end(root.run(&line).env("HOME", "/root"));
                let index = match ended.status {
                    0 => 0,
                    125 => 1,
                    status => panic!("{status}: {ended:?}"),
                };
                prop_assert_eq!(ended.stderr.starts_with("rootlet: "), index == 1);
                prop_assert_eq!(ended.stdout.is_empty(), index == 1);
                counted.borrow_mut()[index] += 1;
                Ok(())
            });
            result.unwrap_or_else(|error| panic!("{error}"));
            if Instant::now() >= end {
                break;
            }
        }
        assert_eq!(root.tree(), before);
    }
    let [plans, errors] = count;
    summary(
        "fuzz",
        &format!("command lines: {plans} plans, {errors} errors, no finding"),
    );
}
