//! Two runs in one root, in every order of the system calls that make, share and remove temporary
//! mount points. Neither loses its mount, both succeed, and nothing is left.
//!
//! Both runs are traced, and stop at each call that touches the root. One of them at a time goes on
//! to its next such call, and each choice between them is tried both ways. An order is not followed
//! beyond a state that another one has reached: both runs remember the same results and hold the same
//! locks, and the root is the same. Two runs of one command may have changed places.

mod schedule;
mod step;
mod traced;

use std::path::Path;
use std::time::Instant;

use rustix::mount::{MountFlags, mount};

use crate::common::fuse::{Behaviour, Locks};
use crate::common::place::{ORDINARY, mount_ext4, on, on_fuse};
use crate::common::{self, Root, User, can_be_root};
use crate::random::Random;
use crate::{may_do_a_part, summary, until};
use schedule::{Beginning, States, Victim, explore};

/// The mounts of two runs, and the files that their commands look for.
#[derive(Clone, Copy)]
struct Pair {
    name: &'static str,
    mounts: [[&'static str; 2]; 2],
}

const PAIRS: [Pair; 4] = [
    Pair {
        name: "a directory",
        mounts: [["SOURCE:/a", "/a/mark"]; 2],
    },
    Pair {
        name: "a file",
        mounts: [["SOURCE/mark:/mark", "/mark"]; 2],
    },
    Pair {
        name: "a directory in a directory",
        mounts: [["SOURCE:/a/b", "/a/b/mark"]; 2],
    },
    Pair {
        name: "a directory, and one in it",
        mounts: [
            ["SOURCE:/a/b", "/a/b/mark"],
            ["SOURCE/mark:/a/mark", "/a/mark"],
        ],
    },
];

/// File systems on which stubs are marked in different ways.
const PLACES: [&str; 5] = ["tmpfs", "ext4", "no modes", "no flags", "no locks"];

/// Returns whether the machine can make such a file system. If not, reports that it was left out.
fn is_possible(name: &str) -> bool {
    let needed = match name {
        "tmpfs" => return true,
        "ext4" => "/usr/sbin/mkfs.ext4",
        _ => "/dev/fuse",
    };
    let is_there = Path::new(needed).exists();
    if !is_there {
        println!("left out: {name}: there is no {needed}");
    }
    is_there
}

fn in_place(name: &str, test: impl FnOnce(&Root) + Send) {
    let on_root = |place: &common::place::Place| test(place.root);
    let behaviour = match name {
        "tmpfs" => {
            let tmpfs = |at: &Path| mount("none", at, "tmpfs", MountFlags::empty(), c"").unwrap();
            return on(User::Root, tmpfs, on_root);
        }
        "ext4" => return on(User::Root, mount_ext4, on_root),
        "no modes" => Behaviour {
            mode: Some(0o755),
            ..ORDINARY
        },
        "no flags" => Behaviour {
            no_rename_flags: true,
            ..ORDINARY
        },
        _ => Behaviour {
            locks: Locks::ExclusiveForWriters,
            ..ORDINARY
        },
    };
    on_fuse(User::Root, behaviour, on_root);
}

/// Tries all orders of a pair while there is time. Returns the figures.
fn try_all(root: &Root, pair: Pair, kill: Option<(Victim, usize)>, end: Option<Instant>) -> Tried {
    let source = Root::empty(User::Root);
    source.file("mark", "here");
    let before = root.tree();
    let command = |run: usize| {
        let [mount, mark] = pair.mounts[run];
        let bind = mount.replace("SOURCE", source.name());
        let words = ["--no-mounts", "-B", &bind, "ROOT"];
        let look = ["/bin/busybox", "test", "-s", mark];
        root.run(&[&words[..], &look].concat())
    };
    let are_same = pair.mounts[0] == pair.mounts[1];
    let mut states = States::new();
    let mut left = vec![Beginning::default()];
    let mut tried = Tried::default();
    let mut random = Random::new(0);
    // Take a random one, so that a part of the orders has all kinds.
    while !left.is_empty() {
        let order = left.swap_remove(random.below(left.len() as u64) as usize);
        if end.is_some_and(|end| Instant::now() > end) {
            left.push(order);
            break;
        }
        let commands = [0, 1].map(command);
        let ended = explore(root.path(), commands, &order, kill, are_same, &mut states);
        left.extend(ended.others);
        tried.orders += 1;
        tried.killed += usize::from(ended.was_killed);
        let what = format!(
            "{}, {kill:?}, order {:?}:\n{}",
            pair.name, ended.choices, ended.log
        );
        for (run, status) in ended.statuses.into_iter().enumerate() {
            let may_be_killed = run == 0 && ended.was_killed;
            assert!(
                status == 0 || may_be_killed && status == 137,
                "run {run}: {status}: {what}"
            );
        }
        let both = matches!(kill, Some((Victim::Both, _)));
        if both && ended.was_killed && root.tree() != before {
            tried.left += 1;
            common::succeed(&mut command(0));
        }
        assert_eq!(root.tree(), before, "{what}");
        if !ended.was_killed && kill.is_some() {
            break;
        }
    }
    tried.states = states.len();
    tried.unfinished = usize::from(!left.is_empty() && (kill.is_none() || tried.killed > 0));
    tried
}

#[derive(Default)]
struct Tried {
    orders: usize,
    states: usize,
    killed: usize,
    left: usize,
    unfinished: usize,
}

impl Tried {
    fn add(&mut self, other: Tried) {
        self.orders += other.orders;
        self.states += other.states;
        self.killed += other.killed;
        self.left += other.left;
        self.unfinished += other.unfinished;
    }
}

/// Tries all pairs. If time is short, each gets a share of it.
fn try_pairs(place: &str, kills: bool, until: Instant) {
    if !can_be_root() {
        return;
    }
    in_place(place, |root| {
        let mut all = Tried::default();
        let now = Instant::now();
        let time = until.saturating_duration_since(now);
        let victims = [Victim::Pid1, Victim::Supervisor, Victim::Both];
        let count = PAIRS.len() * if kills { victims.len() } else { 1 };
        let ends = (1..).map(|part| now + time * part / count as u32);
        let mut ends = ends.map(|end| Some(end).filter(|_| may_do_a_part() || kills));
        for pair in PAIRS {
            if !kills {
                all.add(try_all(root, pair, None, ends.next().unwrap()));
                continue;
            }
            for victim in victims {
                let end = ends.next().unwrap();
                for position in 0.. {
                    let tried = try_all(root, pair, Some((victim, position)), end);
                    let (is_last, is_over) = (tried.killed == 0, tried.unfinished > 0);
                    all.add(tried);
                    if is_last || is_over {
                        break;
                    }
                }
            }
        }
        let whether = match all.unfinished {
            0 => "all orders".to_owned(),
            number => format!("{number} unfinished"),
        };
        let killed = match kills {
            true => format!(
                ", {} killed, {} left stubs for the next",
                all.killed, all.left
            ),
            false => String::new(),
        };
        summary(
            "orders",
            &format!(
                "{place}: {} orders, {} states{killed}; {whether}",
                all.orders, all.states
            ),
        );
    });
}

/// Tries the places one after the other, each with its share of the time.
fn try_places(kills: bool) {
    let now = Instant::now();
    let time = (until() - now) / PLACES.len() as u32;
    for (place, part) in PLACES.into_iter().zip(1..) {
        if !is_possible(place) {
            continue;
        }
        try_pairs(place, kills, now + time * part);
    }
}

#[test]
fn of_two_runs() {
    try_places(false);
}

#[test]
fn of_two_runs_one_of_which_is_killed() {
    try_places(true);
}
