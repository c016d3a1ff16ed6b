//! The positions of a run: each call of rootlet's processes, as strace(1) identifies it.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;

use crate::traced::{NEWER, Place, RAN, Start};

/// One call, as strace identifies it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    pub call: String,
    /// The number of times the same call is made before rootlet starts.
    pub before: usize,
    /// The value of `when=`.
    pub number: usize,
    /// It opens the kernel's command line.
    pub opens_command_line: bool,
    /// True if the started process makes the call, false if a child of it does.
    pub by_first: bool,
    /// All later calls are meant too: those of the started process, or those of its children.
    pub and_later: bool,
}

/// Returns the kernel's number of a system call, by the name that strace uses.
pub fn number_of(call: &str) -> usize {
    static NUMBERS: OnceLock<BTreeMap<String, usize>> = OnceLock::new();
    let numbers = NUMBERS.get_or_init(|| {
        let header = Command::new("cc")
            .args([
                "-E",
                "-dM",
                "-include",
                "asm/unistd.h",
                "-x",
                "c",
                "/dev/null",
            ])
            .output()
            .unwrap();
        let text = String::from_utf8(header.stdout).unwrap();
        text.lines()
            .filter_map(|line| {
                let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
                Some((name.to_owned(), number.parse().ok()?))
            })
            .collect()
    });
    numbers[call]
}

/// Calls that must not be made in advance, because they would not fail.
const WITHOUT_FAILING: [&str; 4] = ["exit", "exit_group", "setsid", "umask"];

/// The calls of a process in a traced run: how often each was made, and which were rootlet's.
#[derive(Default)]
struct Process<'a> {
    all: BTreeMap<&'a str, usize>,
    ours: BTreeMap<&'a str, Vec<usize>>,
    is_ours: bool,
}

/// Arguments of the marking calls that a program makes before and after the library's calls.
pub const MARKS: [i32; 2] = [0x7274_6c74, 0x7274_6c75];

/// Returns every call of rootlet's processes in a run, without the calls of the programs it runs,
/// and the command's report of the restrictions on it.
pub fn positions(place: &Place) -> (Vec<Position>, String) {
    let traced = place.trace("all", ("", 0), &place.rules());
    let ran = (traced.status, &traced.stdout[..], &traced.stderr[..]);
    let scenario = &place.scenario;
    assert_eq!(ran, (Some(scenario.ran), RAN, ""), "{}", scenario.name);
    assert!(!traced.held.is_empty(), "{}", scenario.name);

    let marks = MARKS.map(|mark| format!("getpgid({mark})"));
    let rootlet = match scenario.start {
        Start::Library(_) => marks[0].clone(),
        _ => format!("execve(\"{}\"", place.words()[0]),
    };
    let mut first = "";
    // Whether a new process is rootlet's: a closure starts others between the marks.
    let mut makes_ours = false;
    let mut command_line = None;
    let mut processes: BTreeMap<&str, Process> = BTreeMap::new();
    for line in traced.log.lines() {
        let (pid, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        // A call that another process interrupts takes two lines in the log.
        let Some((call, _)) = rest.split_once('(').filter(|_| !rest.starts_with('<')) else {
            continue;
        };
        let process = processes.entry(pid).or_insert_with(|| Process {
            is_ours: makes_ours,
            ..Process::default()
        });
        let count = process.all.entry(call).or_default();
        *count += 1;
        if rest.starts_with(&rootlet) && (first.is_empty() || rootlet == marks[0]) {
            first = if first.is_empty() { pid } else { first };
            process.is_ours = true;
            makes_ours = true;
            continue;
        }
        if process.is_ours {
            process.ours.entry(call).or_default().push(*count);
            if rest.starts_with("openat(") && rest.contains("\"/proc/cmdline\"") {
                command_line = Some(*count);
            }
        }
        if call == "execve" && !rest.contains(" = -1 ") || rest.starts_with(&marks[1]) {
            process.is_ours = false;
            makes_ours &= call == "execve";
        }
    }

    let of = |calls: &BTreeMap<&str, usize>, call| calls.get(call).copied().unwrap_or(0);
    let mut positions = Vec::new();
    for (pid, process) in &processes {
        for (call, numbers) in &process.ours {
            let others = processes.iter().filter(|(pid, _)| **pid != first);
            let most = others.map(|(_, other)| of(&other.all, call)).max();
            let before = match WITHOUT_FAILING.contains(call) {
                true => 0,
                false => most.unwrap_or(0),
            };
            let by_first = *pid == first;
            let skipped = if by_first { before } else { 0 };
            positions.extend(numbers.iter().map(|number| Position {
                call: (*call).to_owned(),
                before,
                number: skipped + number,
                opens_command_line: by_first && *call == "openat" && Some(*number) == command_line,
                by_first,
                and_later: false,
            }));
        }
    }
    if scenario.is_old {
        positions.retain(|position| !NEWER.contains(&&position.call[..]));
    }
    positions.sort();
    positions.dedup();
    (positions, traced.held)
}
