//! One order of the calls of two runs, and the points at which other orders branch off.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::process::Command;

use super::step::{Maker, Step};
use super::traced::Traced;

/// The processes of the first run that are killed, before a call of pid 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Victim {
    Pid1,
    Supervisor,
    Both,
}

/// The beginning of an order.
#[derive(Clone, Default, Debug)]
pub struct Beginning {
    /// The run that goes on, each time that both could.
    pub choices: Vec<usize>,
    /// The run that does not go on next, because another order has that call first and then the same
    /// others. It wakes before a call whose order with its own matters.
    asleep: Option<usize>,
}

/// The result of an order.
pub struct Ended {
    pub statuses: [i32; 2],
    pub choices: Vec<usize>,
    /// The orders still to try.
    pub others: Vec<Beginning>,
    pub was_killed: bool,
    pub log: String,
}

/// The states that were reached, before or after the kill, each with the run that was asleep.
pub type States = HashMap<(u64, bool), Option<usize>>;

/// The memory of a run: its calls and their results.
#[derive(Default)]
struct History {
    /// The calls since its last search for the mount point began. A repeated sequence is kept once.
    steps: Vec<Step>,
    /// The calls that made a search begin again, of a run that had made a mount point above by then and
    /// remembers whether it got its mode. All else about these searches is forgotten.
    failed: BTreeSet<(usize, i64)>,
}

impl History {
    fn push(&mut self, step: Step, has_locked: bool) {
        let same = |before: &Step| before.call == step.call && step.call.begins_search();
        if let Some(search) = self.steps.iter().position(same) {
            let last = self.steps.last().filter(|_| has_locked);
            self.failed
                .extend(last.map(|step| (step.call.number, step.result)));
            self.steps.truncate(search);
        }
        self.steps.push(step);
        for length in 1..=self.steps.len() / 2 {
            let (rest, last) = self.steps.split_at(self.steps.len() - length);
            if rest.ends_with(last) {
                self.steps.truncate(self.steps.len() - length);
                break;
            }
        }
    }
}

/// The files of the root, each with its name, its mode and its maker.
type Tree = [(String, u32, Maker)];

/// Hashes what both runs remember and have locked, and the root. `[1, 0]` exchanges the runs. A file is
/// known by its maker and by the order in which files appear, because how many were made before it is
/// forgotten.
fn hash_state(histories: &[History; 2], traced: &Traced, tree: &Tree, of: [usize; 2]) -> u64 {
    let mut appeared: Vec<Maker> = Vec::new();
    let mut hasher = DefaultHasher::new();
    let mut hash_maker = |maker: Maker, hasher: &mut DefaultHasher| {
        let place = appeared.iter().position(|before| *before == maker);
        place.unwrap_or(appeared.len()).hash(hasher);
        if place.is_none() {
            appeared.push(maker);
        }
        maker.map(|(run, _)| of[run]).hash(hasher);
    };
    for run in of {
        let History { steps, failed } = &histories[run];
        (steps.len(), failed).hash(&mut hasher);
        for step in steps {
            (&step.call, step.result).hash(&mut hasher);
            if let Some((maker, mode, links)) = step.seen {
                (mode, links).hash(&mut hasher);
                hash_maker(maker, &mut hasher);
            }
        }
        for maker in traced.locked(run) {
            hash_maker(maker, &mut hasher);
        }
    }
    for (name, mode, maker) in tree {
        (name, mode).hash(&mut hasher);
        hash_maker(*maker, &mut hasher);
    }
    hasher.finish()
}

/// More calls than any order needs.
const MOST: usize = 2000;

/// Runs both, in an order that begins as this one, and then stays with one run as long as possible.
/// `are_same` says that both run the same command.
pub fn explore(
    root: &Path,
    commands: [Command; 2],
    beginning: &Beginning,
    kill: Option<(Victim, usize)>,
    are_same: bool,
    states: &mut States,
) -> Ended {
    let mut traced = Traced::start(root, commands);
    let mut histories = [History::default(), History::default()];
    let mut ended = Ended {
        statuses: [0; 2],
        choices: Vec::new(),
        others: Vec::new(),
        was_killed: false,
        log: String::new(),
    };
    // Another order tries everything that follows.
    let mut is_known = false;
    let mut asleep = None;
    let (mut run, mut calls, mut total) = (0, 0, 0);
    loop {
        let next = match traced.ready() {
            [false, false] => break,
            [true, false] => 0,
            [false, true] => 1,
            [true, true] => {
                let given = beginning.choices.get(ended.choices.len());
                let next = match given {
                    Some(next) => *next,
                    None if is_known => run,
                    None => {
                        let tree = traced.tree();
                        let hash = |of| hash_state(&histories, &traced, &tree, of);
                        let (plain, exchanged) = (hash([0, 1]), hash([1, 0]));
                        // Runs of one command may change places, unless one of them will be killed.
                        let changes_places = are_same && kill.is_none() && exchanged < plain;
                        let (hash, of) = match changes_places {
                            true => (exchanged, [1, 0]),
                            false => (plain, [0, 1]),
                        };
                        let state = (hash, ended.was_killed);
                        let sleeping = asleep.map(|run| of[run]);
                        let new = !states.contains_key(&state);
                        let slept = states.entry(state).or_insert(sleeping);
                        match (new, *slept) {
                            (true, _) => match asleep {
                                Some(asleep) => 1 - asleep,
                                None => {
                                    let mut other = Beginning {
                                        choices: ended.choices.clone(),
                                        asleep: Some(run),
                                    };
                                    other.choices.push(1 - run);
                                    ended.others.push(other);
                                    run
                                }
                            },
                            // Only the run that slept has still to go on from here.
                            (false, Some(run)) if sleeping != Some(run) => {
                                *slept = None;
                                asleep = Some(1 - of[run]);
                                of[run]
                            }
                            _ => {
                                is_known = true;
                                run
                            }
                        }
                    }
                };
                ended.choices.push(next);
                if given.is_some() && ended.choices.len() == beginning.choices.len() {
                    asleep = beginning.asleep;
                }
                next
            }
        };
        // Of two runs, only one was left to go on.
        is_known |= asleep == Some(next);
        run = next;
        total += 1;
        assert!(total < MOST, "no end: {:?}\n{}", ended.choices, ended.log);
        if let (0, Some((victim, position)), false) = (run, kill, ended.was_killed) {
            if calls == position && traced.pid1_is_ready(0) {
                let _ = writeln!(ended.log, "0: {victim:?} is killed");
                traced.kill(victim != Victim::Pid1, victim != Victim::Supervisor);
                ended.was_killed = true;
                continue;
            }
            calls += 1;
        }
        asleep = asleep.filter(|asleep| {
            let is_ready = traced.ready()[*asleep];
            is_ready && kill.is_none() && traced.next(*asleep).is_independent(traced.next(run))
        });
        let step = traced.step(run);
        let _ = writeln!(ended.log, "{run}: {step:?}");
        let is_refused = step.is_refused();
        histories[run].push(step, !traced.locked(run).is_empty());
        // A run that waits for the other must not go on alone.
        if is_known && is_refused {
            run = 1 - run;
        }
    }
    ended.statuses = traced.statuses();
    ended
}
