//! SIGKILL to the processes of a spawn: to the program, the parent of pid 1, pid 1, the command, and
//! to any two of them. A program that survives gets a status or an error, and is unharmed.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Signal, pidfd_send_signal};

use super::pauses::PAUSE;
use super::{Figures, KILLED, assert_nothing_left, median_time, pidfd_of};
use crate::common::{Ended, User, children, host_mounts, processes_with, users, wait_until};
use crate::library;
use crate::positions::{Position, positions};
use crate::random::Random;
use crate::sweep::sweep;
use crate::traced::{Place, RUN, STATUS, Scenario, Start, Traced};
use crate::{end_of_part, may_do_a_part, summary};

pub fn scenarios() -> Vec<Scenario> {
    let spawn = |user| Scenario {
        name: "spawn",
        user,
        start: Start::Library("survive"),
        ..RUN
    };
    users().into_iter().map(spawn).collect()
}

/// The processes of a spawn, each the parent of the next one.
fn roles(user: User) -> &'static [&'static str] {
    match user {
        User::Root => &["program", "parent", "pid 1", "command"],
        User::Ordinary => &["program", "pid 1", "command"],
    }
}

/// Returns the pids of those that are there. The program's first child is not part of the spawn.
fn chain(program: i32) -> Vec<i32> {
    let mut chain = Vec::from([program]);
    let mut next = children(program).get(1).copied();
    while let (Some(pid), true) = (next, chain.len() < 4) {
        chain.push(pid);
        next = children(pid).first().copied();
    }
    chain
}

/// Kills these of the processes in this order. Returns the roles of those that were there.
fn kill(user: User, program: i32, victims: &[usize]) -> Vec<&'static str> {
    let pids = chain(program);
    let pidfds = victims.iter().filter_map(|victim| {
        let pidfd = pidfd_of(*pids.get(*victim)?).ok()?;
        Some((*victim, pidfd))
    });
    let pidfds: Vec<_> = pidfds.collect();
    // A pid may have been reused before its pidfd was opened.
    let now = chain(program);
    let mut killed = Vec::new();
    for (victim, pidfd) in pidfds {
        let is_same = victim == 0 || now.get(victim) == pids.get(victim);
        if is_same && pidfd_send_signal(&pidfd, Signal::KILL).is_ok() {
            killed.extend(roles(user).get(victim));
        }
    }
    killed
}

/// Checks the end of a spawn of which these were killed. Returns whether it has left stubs.
fn check(place: &Place, killed: &[&str], status: i32, mounts: &str, what: &str) -> bool {
    let survives = [STATUS, 125, library::KILLED];
    match killed {
        [] => assert_eq!(status, STATUS, "{what}"),
        // It may have been over.
        killed if killed.contains(&"program") => {
            assert!(status == KILLED || survives.contains(&status), "{what}");
        }
        _ => assert!(survives.contains(&status), "{what}"),
    }
    // pid 1 ends with its parent, and then nobody is there to remove them.
    let of_others = killed.iter().any(|role| ["parent", "pid 1"].contains(role));
    let stubs_may_stay = status == KILLED && of_others;
    assert_nothing_left(place, stubs_may_stay, mounts, what)
}

/// Returns one or two of the processes, in any order.
fn victims(user: User, random: &mut Random) -> Vec<usize> {
    let mut order = random.order(roles(user).len());
    order.truncate(1 + random.below(2) as usize);
    order
}

fn start(place: &Place, errors: &File) -> Child {
    let mut command = place.command();
    command.stdout(Stdio::null());
    command.stderr(errors.try_clone().unwrap());
    command.spawn().unwrap()
}

#[test]
fn at_any_moment() {
    let wanted = if may_do_a_part() { 40 } else { 2000 } / users().len();
    let all = Mutex::new(Figures::default());
    for scenario in scenarios() {
        let time = median_time(&Place::new(scenario));
        let numbers: Vec<u64> = (0..wanted as u64).collect();
        sweep(scenario, &numbers, None, |place, number| {
            let mounts = host_mounts();
            let mut random = Random::new(number + 1);
            let victims = victims(scenario.user, &mut random);
            let delay = time.mul_f64(random.below(1200) as f64 / 1000.0);
            let mut errors = tempfile::tempfile().unwrap();
            let mut program = start(place, &errors);
            std::thread::sleep(delay);
            let killed = kill(scenario.user, program.id() as i32, &victims);
            let what = format!("{:?}: {killed:?} after {delay:?}", scenario.user);
            wait_until(&format!("{what}: the end of the program"), || {
                program.try_wait().unwrap().is_some()
            });
            let Ended { status, .. } = program.wait_with_output().unwrap().into();
            let mut said = String::new();
            errors.rewind().unwrap();
            errors.read_to_string(&mut said).unwrap();
            let what = format!("{what}: {status} {said}");
            let left_stubs = check(place, &killed, status, &mounts, &what);
            all.lock().unwrap().count(!killed.is_empty(), left_stubs);
        });
    }
    let text = all.into_inner().unwrap().text();
    summary("kills", &format!("spawn, at random: {text}"));
}

fn kill_if_there(pid: i32) {
    if let Ok(pidfd) = pidfd_of(pid) {
        let _ = pidfd_send_signal(&pidfd, Signal::KILL);
    }
}

/// Kills the process that stops first, and another one with it. Continues all others.
fn kill_stopped(
    place: &Place,
    position: &Position,
    with: Option<usize>,
) -> (Traced, Vec<&'static str>) {
    let user = place.scenario.user;
    let strace = place.start_injected(position, "signal=STOP");
    let strace_pid = strace.id() as i32;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let killing = scope.spawn(|| {
            let (mut seen, mut killed) = (0, Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                let stopped = place.stopped();
                // strace gives up if a process ends that it is about to leave stopped.
                std::thread::sleep(PAUSE);
                for pid in &stopped[seen..] {
                    let program = children(strace_pid).first().copied().unwrap_or(-1);
                    let at = chain(program).iter().position(|of_chain| of_chain == pid);
                    let at = at.filter(|at| (*at == 0) == position.by_first);
                    if let (Some(at), true) = (at, killed.is_empty()) {
                        let with = with.filter(|with| *with != at);
                        let victims: Vec<usize> = with.into_iter().chain([at]).collect();
                        killed = kill(user, program, &victims);
                    }
                    if let Ok(pidfd) = pidfd_of(*pid) {
                        let _ = pidfd_send_signal(&pidfd, Signal::CONT);
                    }
                }
                seen = stopped.len();
            }
            killed
        });
        let traced = place.end(strace);
        is_over.store(true, Ordering::Relaxed);
        (traced, killing.join().unwrap())
    })
}

#[test]
fn at_every_system_call() {
    let all = Mutex::new(Figures::default());
    let scenarios = scenarios();
    for scenario in &scenarios {
        let (mut positions, _) = positions(&Place::new(*scenario));
        // The first execve is strace's own.
        positions.retain(|position| position.call != "execve" || position.number > 1);
        let others = (0..roles(scenario.user).len()).map(Some);
        let with: Vec<Option<usize>> = std::iter::once(None).chain(others).collect();
        let cases: Vec<(Position, Option<usize>)> = positions
            .into_iter()
            .flat_map(|position| with.iter().map(move |with| (position.clone(), *with)))
            .collect();
        // Half as much time as for the kills of a run.
        let end = end_of_part(2 * scenarios.len());
        sweep(*scenario, &cases, end, |place, (position, with)| {
            let mut position = position.clone();
            if !position.by_first {
                // The program stops at the same call, and is continued.
                position.before = 0;
            }
            let mounts = host_mounts();
            let (traced, killed) = kill_stopped(place, &position, *with);
            let what = format!("{:?} {position:?}: {killed:?}", scenario.user);
            if traced.stderr.contains("strace: ptrace(") {
                // The program goes on, perhaps from its stop.
                wait_until(&format!("{what}, without strace"), || {
                    for pid in processes_with(place.root.name()) {
                        kill_if_there(pid);
                    }
                    processes_with(place.root.name()).is_empty()
                });
                assert_nothing_left(place, true, &mounts, &what);
                return;
            }
            let status = traced.status.unwrap_or_else(|| panic!("{what} hangs"));
            let what = format!("{what}: {status} {}", traced.stderr);
            let left_stubs = check(place, &killed, status, &mounts, &what);
            all.lock().unwrap().count(!killed.is_empty(), left_stubs);
        });
    }
    let text = all.into_inner().unwrap().text();
    summary("kills", &format!("spawn, at system calls: {text}"));
}
