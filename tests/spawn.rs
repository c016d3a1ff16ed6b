//! `Command::spawn` in this process, whose pid 1 is a program of one page for root: one for each
//! kind of processor.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use common::{Root, User, host_mounts, is_root, state, wait_until};
use rootlet::{Child, Chroot, Mount, Stdio};
use rustix::process::{Pid, Signal, kill_process};

const SIGKILL: i32 = 9;
const SIGUSR1: i32 = 10;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

fn me() -> User {
    if is_root() {
        User::Root
    } else {
        User::Ordinary
    }
}

fn spawn(root: &Root, script: &str) -> Child {
    let mut command = Chroot::new(root.path()).command("sh");
    command.args(["-c", script]).spawn().unwrap()
}

/// Waits until the command has made this file.
fn wait_for(root: &Root, name: &str) {
    wait_until(name, || root.path().join(name).exists());
}

#[test]
fn a_status_and_a_signal_are_those_of_the_command() {
    let root = Root::busybox(me());
    let before = root.tree();
    for status in [0, 3, 125, 255] {
        let ended = spawn(&root, &format!("exit {status}")).wait().unwrap();
        assert_eq!((ended.code(), ended.signal()), (Some(status), None));
    }
    for signal in [SIGKILL, SIGTERM, SIGUSR1, 64] {
        let ended = spawn(&root, &format!("kill -{signal} $$")).wait().unwrap();
        assert_eq!((ended.code(), ended.signal()), (None, Some(signal)));
    }
    assert_eq!(root.tree(), before);
}

#[test]
fn pid_1_is_a_program_of_one_page_for_root() {
    let root = Root::busybox(me());
    let mut child = spawn(&root, "exec sleep 1000");
    let name = fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap();
    assert_eq!(name == "rootlet-pid1\n", is_root(), "{name}");
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL));
}

#[test]
fn signals_are_passed_on_and_orphans_reaped() {
    let root = Root::busybox(me());
    let script = "trap 'exit 7' USR1; for i in 1 2 3 4 5; do (true &); done; : >/ready; \
        while :; do sleep 0.01; done";
    let mut child = spawn(&root, script);
    wait_for(&root, "ready");
    let id = child.id() as i32;
    let command = common::children(id)[0];
    child.signal(SIGSTOP).unwrap();
    wait_until("it to stop", || state(command) == Some('T'));
    assert_eq!(child.try_wait().unwrap(), None);
    child.signal(SIGCONT).unwrap();
    wait_until("it to go on", || state(command) != Some('T'));
    wait_until("no zombie", || {
        let children = common::children(id);
        !children.iter().any(|pid| state(*pid) == Some('Z'))
    });
    child.signal(SIGUSR1).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));
    fs::remove_file(root.path().join("ready")).unwrap();
}

/// A command that is left stopped never ends.
#[test]
fn a_continuation_does_not_overtake_the_stop_before_it() {
    let root = Root::busybox(me());
    let small = Chroot::new(root.path());
    // pid 1 is a copy of this program then.
    let mut copied = small.clone();
    copied.grace(1);
    for chroot in [small, copied] {
        for _ in 0..20 {
            let mut command = chroot.command("sh");
            let mut child = command
                .args(["-c", "read _; exit 7"])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            child.signal(SIGSTOP).unwrap();
            child.signal(SIGCONT).unwrap();
            drop(child.stdin.take());
            let id = child.id() as i32;
            wait_until("the continued command to end", || state(id) == Some('Z'));
            // It takes signals until it is waited for.
            child.signal(SIGCONT).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(7));
            let error = child.signal(SIGCONT).unwrap_err();
            assert_eq!(error.errno(), Some(3));
        }
    }
}

/// pid 1 removes them itself then, also one on which another mount lies.
#[test]
fn mount_points_are_removed_after_a_detached_command() {
    let root = Root::busybox(me());
    let (before, mounts) = (root.tree(), host_mounts());
    let mut chroot = Chroot::new(root.path());
    chroot.mount(Mount::bind("/bin/busybox").to("/deep/below/file"));
    let script = "trap 'exit 0' TERM; while :; do sleep 0.01; done";
    let mut command = chroot.command("sh");
    let child = command.args(["-c", script]).spawn().unwrap();
    let id = child.id() as i32;
    assert!(root.path().join("deep/below/file").exists());
    child.detach().unwrap();
    assert!(matches!(state(id), Some('S' | 'R')));
    // The command takes the signal once it has set its trap.
    wait_until("the end of pid 1", || {
        let pid1 = Pid::from_raw(id).unwrap();
        let _ = kill_process(pid1, Signal::TERM);
        state(id).is_none_or(|state| state == 'Z')
    });
    wait_until("the mount points to go", || root.tree() == before);
    assert_eq!(host_mounts(), mounts);
}

/// The program may be killed before it waits.
#[test]
fn mount_points_are_removed_before_the_program_waits() {
    let root = Root::busybox(me());
    let before = root.tree();
    // A process that is left running is killed first.
    let mut child = spawn(&root, "sleep 1000 & exit 3");
    let id = child.id() as i32;
    wait_until("the end", || state(id) == Some('Z'));
    assert_eq!(root.tree(), before);
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

/// Somebody else writes to one, changes the mode of another, and puts a third one's name on an own
/// directory. A run that goes on uses them all.
#[test]
fn only_what_was_made_and_is_unused_is_removed() {
    let root = Root::busybox(me());
    let small = Chroot::new(root.path());
    // pid 1 is a copy of this program then.
    let mut copied = small.clone();
    copied.grace(1);
    for chroot in [small, copied] {
        let before = root.tree();
        let script = "while read _; do test -e /proc/self || exit 9; done; exit 7";
        let start = || {
            let mut command = chroot.command("sh");
            let command = command.args(["-c", script]).stdin(Stdio::piped());
            command.spawn().unwrap()
        };
        let mut children = [start(), start()];
        let path = |name| root.path().join(name);
        let held = root.tree();
        for (number, child) in children.iter_mut().enumerate() {
            if number == 1 {
                assert_eq!(root.tree(), held);
                fs::write(path("etc/hosts"), "ours").unwrap();
                fs::set_permissions(path("dev"), fs::Permissions::from_mode(0o700)).unwrap();
                fs::rename(path("sys"), path("renamed")).unwrap();
                fs::create_dir(path("sys")).unwrap();
                // It differs only in its identity.
                let permissions = fs::metadata(path("renamed")).unwrap().permissions();
                fs::set_permissions(path("sys"), permissions).unwrap();
            }
            child.stdin.take().unwrap().write_all(b"line\n").unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(7));
        }
        assert_eq!(fs::read(path("etc/hosts")).unwrap(), b"ours");
        fs::remove_file(path("etc/hosts")).unwrap();
        for directory in ["etc", "dev", "renamed", "sys"] {
            fs::remove_dir(path(directory)).unwrap();
        }
        assert_eq!(root.tree(), before);
    }
}

#[test]
fn a_dropped_child_is_gone_with_its_mount_points() {
    let root = Root::busybox(me());
    let before = root.tree();
    let child = spawn(&root, "sleep 1000 & exec sleep 1000");
    let id = child.id() as i32;
    drop(child);
    assert_eq!(state(id), None);
    assert_eq!(root.tree(), before);
}
