//! A seccomp filter refuses newer system calls from the start, as the filters of engines do: each
//! call, and any two of them, with each error that engines use.
//!
//! The list comes from the calls that runs make, and from the kernel's numbers for calls, which
//! only grow. None of it comes from rootlet's sources.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::common::filter::{
    self, CLONE_PIDFD, Call, PIDFD_GET_INFO, PR_GET_CHILD_SUBREAPER, PR_SET_CHILD_SUBREAPER,
    WAITID_PIDFD,
};
use crate::common::{User, users};
use crate::positions::{number_of, positions};
use crate::sweep::sweep;
use crate::traced::{PRIVATE, Place, RAN, RUN, Scenario, difference};
use crate::{end_of_part, summary};

/// The first number that came after Linux 3.19, that of userfaultfd(2).
const FIRST_NEW: usize = if cfg!(target_arch = "x86_64") {
    323
} else {
    282
};

/// EPERM, EINVAL and ENOSYS.
const ERRORS: [i32; 3] = [1, 22, 38];

/// Features of newer kernels that are reached through an older call.
const PARTS: [(&str, Call); 5] = [
    ("clone with a pidfd", CLONE_PIDFD),
    ("waitid by pidfd", WAITID_PIDFD),
    ("PIDFD_GET_INFO", PIDFD_GET_INFO),
    ("PR_SET_CHILD_SUBREAPER", PR_SET_CHILD_SUBREAPER),
    ("PR_GET_CHILD_SUBREAPER", PR_GET_CHILD_SUBREAPER),
];

fn scenarios() -> Vec<Scenario> {
    let run = RUN;
    let scenarios = [
        Scenario {
            name: "init",
            words: &["init", "--grace", "1", "--", "COMMAND"],
            ..run
        },
        run,
        Scenario {
            name: "run as an ordinary user",
            user: User::Ordinary,
            ..run
        },
        Scenario {
            name: "run, read-only",
            words: &[
                "run",
                "--read-only-root",
                "--mask-proc",
                "--user=7:8",
                "--drop-caps=all",
                "ROOT",
                "COMMAND",
            ],
            ..run
        },
        Scenario {
            name: "run in an overlay",
            words: &[
                "run",
                "--overlay",
                "-B",
                "SOURCE:/data:ro",
                "ROOT",
                "COMMAND",
            ],
            ..run
        },
        Scenario {
            name: "run in an overlay as an ordinary user",
            user: User::Ordinary,
            words: &["run", "--overlay", "--read-only-root", "ROOT", "COMMAND"],
            ..run
        },
        Scenario {
            name: "run with a terminal",
            words: &[
                "run",
                "--pty",
                "--dev=minimal",
                "--share=pid",
                "ROOT",
                "COMMAND",
            ],
            ..run
        },
        PRIVATE,
        Scenario {
            name: "run, private users and an overlay",
            words: &["run", "--private-users", "--overlay", "ROOT", "COMMAND"],
            ..run
        },
    ];
    let users = users();
    let wanted = |scenario: &Scenario| users.contains(&scenario.user) && scenario.is_possible();
    scenarios.into_iter().filter(wanted).collect()
}

/// The calls that a filter refuses, and the error.
struct Refusal {
    names: Vec<String>,
    calls: Vec<Call>,
    errno: i32,
}

fn refusals(called: &BTreeSet<String>) -> Vec<Refusal> {
    let number = |name: &String| (name.clone(), number_of(name));
    let new = called
        .iter()
        .map(number)
        .filter(|(_, number)| *number >= FIRST_NEW);
    let mut calls: Vec<(String, Call)> = new
        .map(|(name, number)| (name, filter::whole(number)))
        .collect();
    calls.push(("keyctl".to_owned(), filter::whole(sc::nr::KEYCTL)));
    calls.extend(PARTS.map(|(name, call)| (name.to_owned(), call)));
    let mut refusals = Vec::new();
    for errno in ERRORS {
        for (first, one) in calls.iter().enumerate() {
            for other in &calls[first..] {
                refusals.push(Refusal {
                    names: Vec::from([one.0.clone(), other.0.clone()]),
                    calls: Vec::from([one.1, other.1]),
                    errno,
                });
            }
        }
        refusals.push(Refusal {
            names: calls.iter().map(|(name, _)| name.clone()).collect(),
            calls: calls.iter().map(|(_, call)| *call).collect(),
            errno,
        });
    }
    refusals
}

/// Checks that init runs its command. A run also runs it, with the usual restrictions unless it
/// reports missing ones, or ends with 125 and one line.
fn check(place: &Place, refusal: &Refusal, held: &str) -> Result<bool, String> {
    let mut command = place.command();
    command.current_dir(place.root.path());
    filter::answer(&mut command, refusal.errno, &refusal.calls);
    let traced = place.run(&mut command);
    let output: Vec<&str> = traced.stderr.lines().collect();
    let output: Vec<&str> = output
        .into_iter()
        .filter(|line| !line.starts_with("hint: "))
        .collect();
    let ended = || format!("{:?}", (traced.status, &traced.stdout, &traced.stderr));
    let has_run = traced.status == Some(place.scenario.ran) && traced.stdout == RAN;
    let is_init = place.scenario.words[0] == "init";
    if is_init && !has_run {
        return Err(format!("init has not run it: {}", ended()));
    }
    let is_told = matches!(&output[..], [left_out @ .., line]
        if line.starts_with("rootlet: cannot ")
            && left_out.iter().all(|line| line.starts_with("rootlet: left out: cannot ")));
    let has_told = traced.status == Some(125) && traced.stdout.is_empty() && is_told;
    if !has_run && !has_told {
        return Err(format!("no clear end: {}", ended()));
    }
    let change = difference(held, &traced.held);
    // The command cannot use keys either.
    let has_keys = !refusal.names.iter().any(|name| name == "keyctl");
    if has_run && output.is_empty() && !change.is_empty() && has_keys {
        return Err(format!("silently: {change}"));
    }
    let left = place.left();
    match left.is_empty() {
        true => Ok(has_run),
        false => Err(format!("left: {left:?} {}", ended())),
    }
}

#[test]
fn each_newer_call_and_any_two() {
    let (mut findings, scenarios) = (Vec::new(), scenarios());
    for (done, scenario) in scenarios.iter().enumerate() {
        let (positions, held) = positions(&Place::new(*scenario));
        let end = end_of_part(2 * scenarios.len() - done);
        let called: BTreeSet<String> = positions
            .into_iter()
            .map(|position| position.call)
            .collect();
        let refusals = refusals(&called);
        let counts = Mutex::new((0, 0, Vec::new()));
        sweep(*scenario, &refusals, end, |place, refusal| {
            let checked = check(place, refusal, &held);
            let mut counts = counts.lock().unwrap();
            match checked {
                Ok(true) => counts.0 += 1,
                Ok(false) => counts.1 += 1,
                Err(what) => {
                    let (name, names) = (scenario.name, &refusal.names);
                    let finding = format!("{name}: {names:?} {}: {what}", refusal.errno);
                    println!("finding: {finding}");
                    counts.2.push(finding);
                }
            }
        });
        let (ran, printed, found) = counts.into_inner().unwrap();
        let figures = format!(
            "{}: of {} refusals {ran} ran, {printed} said why not, {} findings",
            scenario.name,
            refusals.len(),
            found.len()
        );
        summary("refusals", &figures);
        findings.extend(found);
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
