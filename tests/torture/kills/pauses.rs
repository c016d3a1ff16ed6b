//! SIGSTOP to supervisor, pid 1 or both at every system call, and SIGCONT a moment later: the run
//! ends as if nothing had happened.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};

use super::{assert_nothing_left, pidfd_of, scenarios, spawned};
use crate::common::host_mounts;
use crate::positions::{Position, positions};
use crate::sweep::sweep;
use crate::traced::{Place, RAN, STATUS, Traced, difference};
use crate::{end_of_part, summary};

/// The time that a process stays stopped, in which the others go on.
pub const PAUSE: Duration = Duration::from_millis(5);

/// Continues each process a moment after it has stopped. Returns the results, and how many have
/// stopped.
fn pause(place: &Place, position: &Position) -> (Traced, usize) {
    let strace = place.start_injected(position, "signal=STOP");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let continuing = scope.spawn(|| {
            let mut continued = 0;
            while !is_over.load(Ordering::Relaxed) {
                let stopped = place.stopped();
                std::thread::sleep(PAUSE);
                for pid in &stopped[continued..] {
                    if let Ok(pidfd) = pidfd_of(*pid) {
                        let _ = pidfd_send_signal(&pidfd, Signal::CONT);
                    }
                }
                continued = stopped.len();
            }
            continued
        });
        let traced = place.end(strace);
        is_over.store(true, Ordering::Relaxed);
        (traced, continuing.join().unwrap())
    })
}

#[test]
fn change_nothing() {
    let mut pauses = 0;
    let mut scenarios = scenarios();
    scenarios.extend(spawned::scenarios());
    for scenario in &scenarios {
        let (positions, held) = positions(&Place::new(*scenario));
        let all = positions.into_iter().flat_map(|position| {
            // Without calls in front, the supervisor makes the same one and stops, too.
            let mut both = position.clone();
            both.before = 0;
            let is_alone = position.by_first || position.before == 0;
            [Some(position), (!is_alone).then_some(both)]
        });
        let all: Vec<Position> = all
            .flatten()
            // The first execve is strace's own.
            .filter(|position| position.call != "execve" || position.number > 1)
            .collect();
        let done = Mutex::new(0);
        // Half as much time as for the kills.
        let end = end_of_part(2 * scenarios.len());
        sweep(*scenario, &all, end, |place, position| {
            let what = format!("{} {:?} {position:?}", scenario.name, scenario.user);
            let mounts = host_mounts();
            let (traced, stopped) = pause(place, position);
            let found = (traced.status, &traced.stdout[..], &traced.stderr[..]);
            assert_eq!(found, (Some(STATUS), RAN, ""), "{what}");
            let change = difference(&held, &traced.held);
            assert!(change.is_empty(), "{what}: {change}");
            assert_nothing_left(place, false, &mounts, &what);
            *done.lock().unwrap() += stopped;
        });
        pauses += done.into_inner().unwrap();
    }
    summary(
        "kills",
        &format!("{pauses} stopped and continued at system calls: every run as usual, 0 left"),
    );
}
