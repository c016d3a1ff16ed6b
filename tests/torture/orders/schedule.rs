//! One order of the calls of two runs, and the points at which other orders branch off.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Write;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::process::Command;

use super::traced::{Step, Traced};

/// The processes of the first run that are killed, before a call of pid 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Victim {
    Pid1,
    Supervisor,
    Both,
}

/// The result of an order.
pub struct Ended {
    pub statuses: [i32; 2],
    pub order: Vec<usize>,
    /// The beginnings of orders still to try.
    pub others: Vec<Vec<usize>>,
    pub was_killed: bool,
    pub log: String,
}

/// The results that a run has seen. A repeated sequence is kept once.
#[derive(Default)]
struct History(Vec<u64>);

impl History {
    fn push(&mut self, step: &Step) {
        let mut hasher = DefaultHasher::new();
        step.hash(&mut hasher);
        self.0.push(hasher.finish());
        for length in 1..=self.0.len() / 2 {
            let (rest, last) = self.0.split_at(self.0.len() - length);
            if rest.ends_with(last) {
                self.0.truncate(self.0.len() - length);
                break;
            }
        }
    }
}

/// More calls than any order needs.
const MOST: usize = 2000;

/// Runs both, in an order that begins as this one, and then stays with one run as long as possible.
pub fn explore(
    root: &Path,
    commands: [Command; 2],
    order: &[usize],
    kill: Option<(Victim, usize)>,
    states: &mut HashSet<u64>,
) -> Ended {
    let mut traced = Traced::start(root, commands);
    let mut histories = [History::default(), History::default()];
    let mut ended = Ended {
        statuses: [0; 2],
        order: Vec::new(),
        others: Vec::new(),
        was_killed: false,
        log: String::new(),
    };
    // Another order has reached this state before.
    let mut is_known = false;
    let (mut run, mut calls, mut total) = (0, 0, 0);
    loop {
        let next = match traced.ready() {
            [false, false] => break,
            [true, false] => 0,
            [false, true] => 1,
            [true, true] => {
                let next = match order.get(ended.order.len()) {
                    Some(next) => *next,
                    None => {
                        let mut hasher = DefaultHasher::new();
                        (&histories[0].0, &histories[1].0).hash(&mut hasher);
                        (ended.was_killed, traced.tree()).hash(&mut hasher);
                        is_known |= !states.insert(hasher.finish());
                        if !is_known {
                            let mut other = ended.order.clone();
                            other.push(1 - run);
                            ended.others.push(other);
                        }
                        run
                    }
                };
                ended.order.push(next);
                next
            }
        };
        run = next;
        total += 1;
        assert!(total < MOST, "no end: {:?}\n{}", ended.order, ended.log);
        if let (0, Some((victim, position)), false) = (run, kill, ended.was_killed) {
            if calls == position && traced.pid1_is_ready(0) {
                let _ = writeln!(ended.log, "0: {victim:?} is killed");
                traced.kill(victim != Victim::Pid1, victim != Victim::Supervisor);
                ended.was_killed = true;
                continue;
            }
            calls += 1;
        }
        let step = traced.step(run);
        let _ = writeln!(ended.log, "{run}: {step:?}");
        histories[run].push(&step);
        // A run that waits for the other must not go on alone.
        if is_known && step.is_refused() {
            run = 1 - run;
        }
    }
    ended.statuses = traced.statuses();
    ended
}
