//! Bursts of runs in one root, each of which begins before the last one is over.

use std::process::{Child, Stdio};
use std::time::Instant;

use crate::common::{Ended, Root, processes_with, users};
use crate::load::{assert_no_mount_of, rounds, turn};
use crate::{is_short, summary, until};

/// The full number of runs, if there is time.
const ALL: usize = 10_000;
const BURST: usize = 50;

/// Looks for the mount at the beginning and, after a time that differs, at the end.
const LOOK: &str =
    "test -e /a/b/mark || exit 9; usleep ${0}000; test -e /a/b/mark || exit 9; exit 3";

#[test]
fn of_fifty_lose_and_leave_nothing() {
    let _turn = turn();
    let begin = Instant::now();
    let until = until();
    let mut runs = 0;
    let places: Vec<_> = users()
        .into_iter()
        .map(|user| {
            let (root, source) = (Root::busybox(user), Root::empty(user));
            source.file("mark", "");
            let before = root.tree();
            (root, source, before)
        })
        .collect();
    let start = |number: usize| -> Child {
        // The users take turns, a burst each.
        let (root, source, _) = &places[number / BURST % places.len()];
        let bind = format!("{}:/a/b", source.name());
        let time = (number * 7 % 40).to_string();
        let mut run = root.run(&["-B", &bind, "ROOT", "sh", "-c", LOOK, &time]);
        run.stdout(Stdio::piped()).stderr(Stdio::piped());
        run.spawn().unwrap()
    };
    let mut alive: Vec<Child> = Vec::new();
    loop {
        let is_last = runs >= rounds(4 * BURST).max(2 * BURST)
            && (is_short() || runs >= ALL || Instant::now() >= until);
        let next: Vec<Child> = match is_last {
            true => Vec::new(),
            false => (runs..runs + BURST).map(start).collect(),
        };
        runs += next.len();
        for child in std::mem::replace(&mut alive, next) {
            let ended: Ended = child.wait_with_output().unwrap().into();
            assert_eq!((ended.status, &ended.stderr[..]), (3, ""), "{ended:?}");
        }
        if is_last {
            break;
        }
    }
    for (root, _, before) in places {
        assert_eq!(root.tree(), before);
        assert_eq!(processes_with(root.name()), []);
        assert_no_mount_of(&root);
    }
    summary(
        "load bursts",
        &format!(
            "{runs} runs in bursts of {BURST}, {:.1} s: none lost a mount, 0 left",
            begin.elapsed().as_secs_f64()
        ),
    );
}
