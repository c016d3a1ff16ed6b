//! SIGKILL to the supervisor, to pid 1 or to both, at every moment of a run: nothing is left of it.
//! The same with all processes of a spawn.
//!
//! The surviving process removes the stubs. If both die, the stubs stay, but nothing else does, and
//! the next run in that root removes them.

mod memory;
mod pauses;
mod spawned;

use std::fs;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::common::{self, children, host_mounts, processes_with, users, wait_until};
use crate::host_mounts_are;
use crate::positions::{Position, positions};
use crate::random::Random;
use crate::sweep::sweep;
use crate::traced::{Place, RUN, STATUS, Scenario};
use crate::{end_of_part, may_do_a_part, summary};

/// The status of a killed run.
const KILLED: i32 = 128 + 9;

fn scenarios() -> Vec<Scenario> {
    let run = |user| Scenario { user, ..RUN };
    users().into_iter().map(run).collect()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Victim {
    Supervisor,
    Pid1,
    Both,
}

const VICTIMS: [Victim; 3] = [Victim::Supervisor, Victim::Pid1, Victim::Both];

/// Checks the leftovers of a killed run. Returns whether it has left stubs.
fn assert_nothing_left(place: &Place, stubs_may_stay: bool, mounts: &str, what: &str) -> bool {
    wait_until(&format!("{what}: the end of all that is inside"), || {
        processes_with(place.root.name()).is_empty() && !has_insiders(place)
    });
    assert!(
        host_mounts_are(mounts),
        "{what}: the host's mounts have changed"
    );
    // A pid 1 whose mounts are gone may still be removing.
    if !stubs_may_stay {
        wait_until(&format!("{what}: the removal of mount points"), || {
            place.is_bare()
        });
    }
    let left = place.left();
    if !stubs_may_stay {
        assert_eq!(left, [""; 0], "{what}");
    }
    // The modes that distinguish stubs from everything else.
    let is_stub = |line: &String| line.contains(" 41715 ") || line.contains(" 101404 ");
    assert!(left.iter().all(is_stub), "{what}: {left:?}");
    if !left.is_empty() {
        let next = common::end(&mut place.command());
        assert_eq!(next.status, STATUS, "after {what}: {next:?}");
        assert_eq!(place.left(), [""; 0], "after {what}");
    }
    !left.is_empty()
}

/// Returns whether a process has mounts of the root. pid 1 has overwritten its arguments.
fn has_insiders(place: &Place) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read_to_string(process.path().join("mountinfo")).ok())
        .any(|mounts| mounts.contains(place.root.name()))
}

fn start(place: &Place) -> Child {
    let mut command = place.command();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn pidfd_of(pid: i32) -> rustix::io::Result<OwnedFd> {
    pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty())
}

fn wait_until_dead(pidfd: &OwnedFd) {
    let mut polls = [PollFd::new(pidfd, PollFlags::IN)];
    poll(&mut polls, None).unwrap();
}

/// Kills a child, unless it has ended. Its pid may have been reused by now, so its parent is
/// checked again.
fn kill_child_of(parent: i32) -> bool {
    let Some(child) = children(parent).first().copied() else {
        return false;
    };
    let Ok(pidfd) = pidfd_of(child) else {
        return false;
    };
    children(parent).contains(&child) && pidfd_send_signal(&pidfd, Signal::KILL).is_ok()
}

fn median_time(place: &Place) -> Duration {
    let mut times: Vec<Duration> = (0..21)
        .map(|_| {
            let begin = Instant::now();
            start(place).wait().unwrap();
            begin.elapsed()
        })
        .collect();
    times.sort();
    times[10]
}

#[derive(Default)]
struct Figures {
    killed: usize,
    too_late: usize,
    left_stubs: usize,
}

impl Figures {
    fn count(&mut self, killed: bool, left_stubs: bool) {
        self.killed += usize::from(killed);
        self.too_late += usize::from(!killed);
        self.left_stubs += usize::from(left_stubs);
    }

    fn text(&self) -> String {
        let Figures {
            killed,
            too_late,
            left_stubs,
        } = self;
        format!(
            "{killed} killed, {too_late} over before, {left_stubs} left stubs, which the next run removed"
        )
    }
}

#[test]
fn at_any_moment() {
    let wanted = if may_do_a_part() { 200 } else { 2000 } / users().len();
    let mut all = Figures::default();
    for scenario in scenarios() {
        let figures = Mutex::new(Figures::default());
        let place = Place::new(scenario);
        let time = median_time(&place);
        // Some runs end before the kill.
        let numbers: Vec<u64> = (0..10 * wanted as u64).collect();
        sweep(scenario, &numbers, None, |place, number| {
            let mounts = host_mounts();
            if figures.lock().unwrap().killed >= wanted {
                return;
            }
            let mut random = Random::new(number + 1);
            let victim = VICTIMS[random.below(3) as usize];
            let delay = time.mul_f64(random.below(1200) as f64 / 1000.0);
            let mut supervisor = start(place);
            std::thread::sleep(delay);
            let pid = supervisor.id() as i32;
            match victim {
                Victim::Supervisor => supervisor.kill().unwrap(),
                Victim::Pid1 => drop(kill_child_of(pid)),
                Victim::Both => {
                    let pid1 = children(pid).first().map(|pid1| pidfd_of(*pid1));
                    let supervisor_first = random.below(2) == 0;
                    if supervisor_first {
                        supervisor.kill().unwrap();
                    }
                    if let Some(Ok(pid1)) = &pid1 {
                        let _ = pidfd_send_signal(pid1, Signal::KILL);
                    }
                    supervisor.kill().unwrap();
                    if let Some(Ok(pid1)) = &pid1 {
                        // A process that dies holds its locks until it is dead.
                        wait_until_dead(pid1);
                    }
                }
            }
            let ended: common::Ended = supervisor.wait_with_output().unwrap().into();
            let what = format!("{victim:?} after {delay:?}: {}", ended.status);
            assert!([KILLED, STATUS].contains(&ended.status), "{what}");
            let stubs_may_stay = victim == Victim::Both;
            let left_stubs = assert_nothing_left(place, stubs_may_stay, &mounts, &what);
            let killed = ended.status == KILLED;
            figures.lock().unwrap().count(killed, left_stubs);
        });
        let figures = figures.into_inner().unwrap();
        all.killed += figures.killed;
        all.too_late += figures.too_late;
        all.left_stubs += figures.left_stubs;
    }
    summary("kills", &format!("at random: {}", all.text()));
}

/// Kills pid 1 where it stops, and its supervisor if `both`. Returns whether pid 1 was there.
fn kill_stopped(place: &Place, position: &Position, both: bool) -> bool {
    let mut strace = place.start_injected(position, "signal=STOP");
    let mut killed = false;
    wait_until("the end", || {
        if strace.try_wait().unwrap().is_some() {
            return true;
        }
        let supervisor = children(strace.id() as i32).first().copied();
        if let Some(supervisor) = supervisor.filter(|_| !killed) {
            let stopped = place.stopped();
            if stopped.iter().any(|pid| *pid != supervisor) {
                killed = kill_child_of(supervisor);
                if let (true, Ok(supervisor)) = (both, pidfd_of(supervisor)) {
                    let _ = pidfd_send_signal(supervisor, Signal::KILL);
                }
            }
        }
        // The supervisor makes the same call, and stops there, too.
        if let Some(Ok(supervisor)) = supervisor.map(pidfd_of) {
            let _ = pidfd_send_signal(supervisor, Signal::CONT);
        }
        false
    });
    killed
}

#[test]
fn at_every_system_call() {
    let one = Mutex::new(Figures::default());
    let both = Mutex::new(Figures::default());
    let scenarios = scenarios();
    for scenario in &scenarios {
        let (mut positions, _) = positions(&Place::new(*scenario));
        // The first execve is strace's own.
        positions.retain(|position| position.call != "execve" || position.number > 1);
        let end = end_of_part(scenarios.len());
        sweep(*scenario, &positions, end, |place, position| {
            let mut position = position.clone();
            if !position.by_first {
                // The process would be killed at the calls in front.
                position.before = 0;
            }
            let what = format!("{:?} {position:?}", scenario.user);
            let mounts = host_mounts();
            let traced = place.inject(&position, "signal=KILL");
            let status = traced.status.unwrap_or_else(|| panic!("{what} hangs"));
            assert!([KILLED, STATUS].contains(&status), "{what}: {traced:?}");
            // If the supervisor makes the same call, it is killed there as well. The same holds for
            // pid 1 if it makes a call only when it is alone.
            let both_killed = status == KILLED
                && traced.first_was_killed()
                && (!position.by_first || traced.child_was_killed());
            let left_stubs = assert_nothing_left(place, both_killed, &mounts, &what);
            match both_killed {
                true => both.lock().unwrap().count(true, left_stubs),
                false => one.lock().unwrap().count(traced.anyone_was_killed(), false),
            }
            if both_killed && !position.by_first {
                let killed = kill_stopped(place, &position, false);
                assert_nothing_left(place, false, &mounts, &what);
                one.lock().unwrap().count(killed, false);
            } else if !position.by_first {
                let killed = kill_stopped(place, &position, true);
                let left_stubs = assert_nothing_left(place, true, &mounts, &what);
                both.lock().unwrap().count(killed, left_stubs);
            }
        });
    }
    for (who, figures) in [("one", one), ("both", both)] {
        let text = figures.into_inner().unwrap().text();
        summary("kills", &format!("at system calls, {who}: {text}"));
    }
}
