//! One run after the other. The kernel keeps nothing of them.

use std::fs;
use std::process::Stdio;
use std::time::Instant;

use crate::common::{Root, processes_with, users};
use crate::load::{assert_no_mount_of, rounds, turn};
use crate::{summary, until};

/// The full number of runs, if there is time.
const ALL: usize = 100_000;

/// Returns a line of /proc/meminfo, in kB.
pub(super) fn meminfo(name: &str) -> i64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap().trim_start_matches(':').trim_end_matches("kB");
    value.trim().parse().unwrap()
}

/// Kernel resources that a run could leave behind.
#[derive(Clone, Copy, Debug)]
struct Kernel {
    /// Memory of kernel objects that cannot be reclaimed, such as mounts and namespaces.
    slab: i64,
    /// Other memory that only the kernel uses. The memory of other programs is left out.
    other: i64,
    /// Dentries that are in use.
    dentries: i64,
    /// Processes and threads.
    tasks: i64,
}

impl Kernel {
    fn now() -> Kernel {
        let read = |path| fs::read_to_string(path).unwrap();
        let dentries = read("/proc/sys/fs/dentry-state");
        let mut dentries = dentries
            .split_whitespace()
            .map(|number| number.parse::<i64>().unwrap());
        let (all, unused) = (dentries.next().unwrap(), dentries.next().unwrap());
        let load = read("/proc/loadavg");
        let tasks = load.split_whitespace().nth(3).unwrap();
        Kernel {
            slab: meminfo("SUnreclaim"),
            other: ["KernelStack", "PageTables", "Percpu"]
                .map(meminfo)
                .iter()
                .sum(),
            dentries: all - unused,
            tasks: tasks.split('/').nth(1).unwrap().parse().unwrap(),
        }
    }
}

#[test]
fn a_hundred_thousand_runs_leave_nothing() {
    let _turn = turn();
    let roots: Vec<Root> = users().into_iter().map(Root::busybox).collect();
    let before: Vec<_> = roots.iter().map(Root::tree).collect();
    // The users take turns. Mount points that the root lacks are made and removed each time.
    let mut commands: Vec<_> = roots
        .iter()
        .map(|root| {
            let mut command = root.run(&["ROOT", "true"]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        })
        .collect();
    let number = commands.len();
    let mut run = |index: usize| {
        let status = commands[index % number].status().unwrap();
        assert_eq!(status.code(), Some(0), "run {index}");
    };

    // By then the kernel has allocated what it keeps for later runs.
    let warm = rounds(200);
    (0..warm).for_each(&mut run);
    let start = Kernel::now();
    let (begin, until) = (Instant::now(), until());
    let mut runs = 0;
    while runs < rounds(500) || (runs < ALL && Instant::now() < until) {
        run(runs);
        runs += 1;
    }
    let each = begin.elapsed().as_secs_f64() * 1000.0 / runs as f64;
    let end = Kernel::now();

    for (root, before) in roots.iter().zip(before) {
        assert_eq!(root.tree(), before);
        assert_eq!(processes_with(root.name()), []);
        assert_no_mount_of(root);
    }
    let grown = |of: fn(&Kernel) -> i64| of(&end) - of(&start);
    // In this number of runs, other activity of the machine is negligible.
    if runs >= ALL / 5 {
        let runs = runs as i64;
        let found = format!("after {runs} runs: {start:?}, {end:?}");
        // A mount alone takes 320 bytes, a pid namespace with its processes several kB.
        assert!(grown(|kernel| kernel.slab) * 1024 < runs * 256, "{found}");
        assert!(grown(|kernel| kernel.dentries) < runs / 10, "{found}");
        assert!(grown(|kernel| kernel.tasks) < runs / 100, "{found}");
        assert!(grown(|kernel| kernel.other) * 1024 < runs * 256, "{found}");
    }
    summary(
        "load in a row",
        &format!(
            "{runs} runs, {each:.2} ms each; grown by: kernel objects {:+} kB, other memory of \
             the kernel {:+} kB, dentries in use {:+}, tasks of the machine {:+}; 0 mounts, 0 \
             processes, 0 stubs",
            grown(|kernel| kernel.slab),
            grown(|kernel| kernel.other),
            grown(|kernel| kernel.dentries),
            grown(|kernel| kernel.tasks),
        ),
    );
}
