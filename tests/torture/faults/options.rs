//! Runs with random options, whose calls fail once.

use std::time::{Duration, Instant};

use super::{Found, sweep_faults};
use crate::common::{User, can_be_root};
use crate::random::Random;
use crate::traced::{Place, RAN, RUN, Scenario};
use crate::{is_short, summary, until};

/// Options of which a run has one or none, each with its value.
const OPTIONS: [&[&[&str]]; 19] = [
    &[&["--read-only-root"]],
    &[&["--overlay"], &["--overlay-size=1m"]],
    &[&["--dev=minimal"]],
    &[&["--resolv-conf=copy"], &["--resolv-conf=off"]],
    &[&["--hosts=copy"], &["--hosts=off"]],
    &[&["--mask-proc"]],
    &[
        &["--unshare=net"],
        &["--unshare=cgroup,time"],
        &["--unshare=user"],
        &["--unshare=pid"],
    ],
    &[
        &["--share=pid"],
        &["--share=ipc,uts"],
        &["--share=net,cgroup,time"],
    ],
    &[
        &["--map-users=root"],
        &["--map-users=current"],
        &["--private-users"],
    ],
    &[&["-C", "/bin"], &["--skip-chdir"]],
    &[&["--pty"]],
    &[&["--hostname=a.b"]],
    &[&["--new-session"]],
    &[&["--grace=1"]],
    &[&["--user=7:8"], &["--user=7", "--groups=9,10"]],
    &[&["--drop-caps=all"], &["--drop-caps=sys_admin,setuid"]],
    &[&["--no-new-privs"]],
    &[
        &["-B", "SOURCE:/data/deep"],
        &["-R", "SOURCE:/data:ro"],
        &["--ro", "SOURCE"],
        &["--mount", "SOURCE", "/a:b", "nosuid,optional"],
        &["-B", "tmpfs:/tmp:size=64k"],
        &[
            "-B",
            "SOURCE:/a/b",
            "-B",
            "SOURCE:/a/b/new",
            "-B",
            "/missing:/c:optional",
        ],
    ],
    &[&["--no-mounts"], &["--argv0=x"], &["-E", "A=b"]],
];

/// Returns a run with random options, of a user who may give them.
fn scenario(random: &mut Random) -> Scenario {
    let mut words = vec!["run"];
    for choices in OPTIONS {
        // Two in three are left out: most options forbid or change others.
        if random.below(3) == 0 {
            words.extend(choices[random.below(choices.len() as u64) as usize]);
        }
    }
    words.extend(["ROOT", "COMMAND"]);
    let is_root = can_be_root() && random.below(3) != 0;
    Scenario {
        name: words.join(" ").leak(),
        user: if is_root { User::Root } else { User::Ordinary },
        words: words.leak(),
        prepared: random.below(2) == 0,
        ..RUN
    }
}

/// Returns whether the options work together and the command reports its restrictions.
fn runs(scenario: Scenario) -> bool {
    let place = Place::new(scenario);
    let ran = place.run(&mut place.command());
    let is_silent = ran.stderr.is_empty() && ran.stdout == RAN;
    ran.status == Some(scenario.ran) && is_silent && !ran.held.is_empty()
}

/// Each scenario gets a part of the time, and in this a random part of its faults.
const EACH: Duration = Duration::from_secs(10);

#[test]
fn every_call_with_random_options_fails_once() {
    let mut random = Random::new(7);
    let (mut found, mut scenarios) = (Found::default(), 0);
    let end = until();
    let each = if is_short() {
        end - Instant::now()
    } else {
        EACH
    };
    while scenarios == 0 || Instant::now() < end {
        let scenario = scenario(&mut random);
        if runs(scenario) {
            found.add(sweep_faults(scenario, || Some(Instant::now() + each)));
            scenarios += 1;
        }
    }
    let what = format!(
        "{scenarios} kinds of runs with random options: {} faults, {} distinct messages, {} findings",
        found.injected,
        found.messages.len(),
        found.findings.len()
    );
    summary("faults", &what);
    assert!(found.findings.is_empty(), "{}", found.findings.join("\n"));
}
