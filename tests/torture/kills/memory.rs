//! Runs in a control group with too little memory. The kernel kills the command, the supervisor,
//! pid 1, or several of them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{KILLED, assert_nothing_left, scenarios};
use crate::common::{self, Root, User, can_be_root, host_mounts, wait_until};
use crate::random::Random;
use crate::traced::{Place, RAN, STATUS};
use crate::{may_do_a_part, summary};

/// A control group, by the names of version 1 or 2.
struct Group {
    path: PathBuf,
    events: &'static str,
}

impl Group {
    /// Makes one with this limit. Returns `None` where the machine has no controller for memory.
    fn with(kilobytes: u64) -> Option<Group> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("rootlet-test-{}-{number}", std::process::id());
        let versions = [
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.oom_control",
            ),
            ("/sys/fs/cgroup", "memory.max", "memory.events"),
        ];
        versions.into_iter().find_map(|(top, limit, events)| {
            let path = PathBuf::from(top).join(&name);
            fs::create_dir(&path).ok()?;
            let group = Group { path, events };
            let bytes = (kilobytes * 1024).to_string();
            fs::write(group.path.join(limit), &bytes).ok()?;
            // Nothing may go to a disk instead.
            let _ = fs::write(group.path.join("memory.memsw.limit_in_bytes"), bytes);
            let _ = fs::write(group.path.join("memory.swap.max"), "0");
            Some(group)
        })
    }

    /// Returns the number of processes that were killed in it.
    fn killed(&self) -> usize {
        let events = fs::read_to_string(self.path.join(self.events)).unwrap();
        let number = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        number.unwrap().parse().unwrap()
    }

    /// Returns the same command, which joins the group first.
    fn confine(&self, command: &Command) -> Command {
        let mut confined = common::command(User::Root, "sh");
        let script = format!("echo $$ >{}/cgroup.procs; exec \"$@\"", self.path.display());
        confined.args(["-c", &script, "sh"]);
        confined.arg(command.get_program()).args(command.get_args());
        let set = command.get_envs();
        confined.envs(set.filter_map(|(name, value)| Some((name, value?))));
        confined
    }

    fn wait_until_empty(&self) {
        wait_until("the end of all processes in the group", || {
            fs::read_to_string(self.path.join("cgroup.procs")).unwrap() == ""
        });
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        wait_until("the end of the group", || {
            fs::remove_dir(&self.path).is_ok() || !self.path.exists()
        });
    }
}

fn can_limit() -> bool {
    let can = can_be_root() && Group::with(1024).is_some();
    if !can {
        println!("left out: no control group limits memory here");
    }
    can
}

#[test]
fn too_little_for_a_run() {
    if !can_limit() {
        return;
    }
    // With the least a run cannot begin, and with the most it has enough.
    let mut sizes: Vec<u64> = (32..=1600).step_by(4).collect();
    if may_do_a_part() {
        let order = Random::new(0).order(sizes.len());
        sizes = order
            .into_iter()
            .take(30)
            .map(|index| sizes[index])
            .collect();
    }
    let place = Place::new(scenarios()[0]);
    let (mut ran, mut killed, mut failed, mut stubs) = (0, 0, 0, 0);
    for size in sizes {
        let mounts = host_mounts();
        let group = Group::with(size).unwrap();
        let ended = common::end(&mut group.confine(&place.command()));
        group.wait_until_empty();
        let victims = group.killed();
        let what = format!("{size} kB, {victims} killed: {ended:?}");
        match ended.status {
            STATUS => {
                assert!(
                    ended.stdout.starts_with(RAN) && ended.stderr.is_empty(),
                    "{what}"
                );
                ran += 1;
            }
            KILLED => {
                assert!(victims > 0 && ended.stderr.is_empty(), "{what}");
                killed += 1;
            }
            _ => {
                assert_eq!(ended.status, 125, "{what}");
                let line = ended.stderr.lines().next().unwrap_or_default();
                assert!(line.starts_with("rootlet: cannot "), "{what}");
                failed += 1;
            }
        }
        let may_stay = victims > 1;
        stubs += usize::from(assert_nothing_left(&place, may_stay, &mounts, &what));
    }
    summary(
        "kills",
        &format!(
            "with too little memory: {ran} ran, {killed} killed, {failed} reported why not; \
             {stubs} left stubs, which the next run removed"
        ),
    );
}

#[test]
fn too_little_for_the_command() {
    if !can_limit() {
        return;
    }
    let root = Root::busybox(User::Root);
    let before = root.tree();
    let fill = "exec dd if=/dev/zero of=FILE bs=BLOCK count=64";
    for (options, file, block) in [
        (&[][..], "/dev/null", "64M"),
        (&["--overlay"], "/file", "1M"),
        (&["-B", "tmpfs:/tmp:size=64m"], "/tmp/file", "1M"),
    ] {
        let fill = fill.replace("FILE", file).replace("BLOCK", block);
        let words = [options, &["ROOT", "sh", "-c", &fill]].concat();
        let group = Group::with(16 << 10).unwrap();
        let ended = common::end(&mut group.confine(&root.run(&words)));
        group.wait_until_empty();
        assert!(group.killed() > 0, "{options:?} {ended:?}");
        assert_eq!(
            (ended.status, &ended.stderr[..]),
            (KILLED, ""),
            "{options:?}"
        );
        assert_eq!(root.tree(), before, "{options:?}");
    }
}
