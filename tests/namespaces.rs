//! The new namespaces of a run, and those that it shares with its caller.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use common::running::Running;
use common::{
    Root, User, can_be_root, end, processes_with, rootlet_path, send_signal, succeed, users,
    wait_until,
};
use rootlet::{Chroot, Namespace};

const NAMES: [&str; 7] = ["net", "ipc", "uts", "pid", "cgroup", "time", "user"];
const LOOK: &str =
    "for name in net ipc uts pid cgroup time user; do readlink /proc/self/ns/$name; done";

/// Returns the namespaces in the output of [`LOOK`] that differ from this process's.
#[track_caller]
fn changed(looked: &str) -> Vec<&'static str> {
    let looked: Vec<&str> = looked.lines().collect();
    assert_eq!(looked.len(), NAMES.len(), "{looked:?}");
    let ours = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
    let pairs = NAMES.into_iter().zip(looked);
    pairs
        .filter(|(name, theirs)| ours(name) != std::path::Path::new(theirs))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn namespaces_are_those_that_unshare_makes() {
    // Options of rootlet and the equivalent ones of unshare.
    let cases = [
        ("", "--ipc --uts --pid"),
        ("--unshare=net", "--net --ipc --uts --pid"),
        ("--unshare=cgroup,time", "--ipc --uts --pid --cgroup --time"),
        (
            "--unshare=net --unshare time",
            "--net --ipc --uts --pid --time",
        ),
        ("--share=ipc,uts", "--pid"),
        ("--share=pid", "--ipc --uts"),
        ("--share=ipc,uts,pid", ""),
        ("--share=pid --unshare=pid", "--ipc --uts --pid"),
        ("--unshare=net --share=net,uts", "--ipc --pid"),
        ("--unshare=user", "--ipc --uts --pid --user"),
        (
            "--unshare=net,ipc,uts,pid,cgroup,time,user",
            "--net --ipc --uts --pid --cgroup --time --user",
        ),
    ];
    for user in users() {
        for (ours, theirs) in cases {
            let root = Root::busybox(user);
            let options: Vec<&str> = ours.split_whitespace().collect();
            let looked =
                succeed(&mut root.run(&[&options[..], &["ROOT", "sh", "-c", LOOK]].concat()));
            let mut unshare = common::command(user, "unshare");
            unshare
                .args(["--mount", "--fork"])
                .args(theirs.split_whitespace());
            if theirs.contains("pid") {
                unshare.arg("--mount-proc");
            }
            if user == User::Ordinary || theirs.contains("user") {
                unshare.arg("--map-root-user");
            }
            let expected = changed(&succeed(unshare.args(["sh", "-c", LOOK])));
            assert_eq!(changed(&looked), expected, "{user:?} {ours}");
        }
    }
}

#[test]
fn a_new_network_has_only_loopback_which_is_up() {
    for user in users() {
        let root = Root::busybox(user);
        let script = "ls /sys/class/net; ping -c 1 -W 5 127.0.0.1 >/dev/null && echo up; \
            grep -c : /proc/net/dev; grep -o '/sys sysfs r[ow]' /proc/mounts";
        let shown = succeed(&mut root.run(&["--unshare", "net", "ROOT", "sh", "-c", script]));
        // With a new network namespace, an ordinary user can mount a new sysfs.
        assert_eq!(shown, "lo\nup\n1\n/sys sysfs rw\n", "{user:?}");
    }
}

#[test]
fn the_plan_shows_namespace_options() {
    let root = Root::busybox(users()[0]);
    let words = [
        "-n",
        "--unshare=net,user,pid",
        "--share=uts",
        "ROOT",
        "true",
    ];
    let plan = succeed(&mut root.run(&words));
    let printed = "unshare    net\nunshare    user\nshare      uts\n";
    assert!(plan.contains(printed), "{plan}");
    assert_eq!(plan.matches("share").count(), 3, "{plan}");
}

#[test]
fn an_unusable_namespace_option_is_named() {
    let root = Root::busybox(users()[0]);
    for (option, line) in [
        (
            "--unshare=net,mnt",
            "--unshare: 'mnt' is not a namespace: net, ipc, uts, pid, cgroup, time or user\n",
        ),
        (
            "--share=",
            "--share: '' is not a namespace: net, ipc, uts, pid, cgroup, time or user\n",
        ),
        (
            "--share=uts",
            "cannot set the host name: it belongs to the caller (--share uts)\n",
        ),
    ] {
        let ended = end(&mut root.run(&["--hostname=x", option, "ROOT", "true"]));
        assert_eq!(ended.status, 125);
        let line = format!("rootlet: {line}");
        assert!(ended.stderr.starts_with(&line), "{ended:?}");
    }
    let ordinary = Root::busybox(User::Ordinary);
    let ended = end(&mut ordinary.run(&["--share=user", "ROOT", "true"]));
    let line = "rootlet: cannot make new namespaces: Operation not permitted (EPERM)\nhint: ";
    assert!(ended.stderr.starts_with(line), "{ended:?}");
}

/// On a kernel without a type, clone3 fails and `/proc/self/ns` lacks its name.
#[test]
fn a_type_that_the_kernel_lacks_is_named() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    for lacking in ["time", "net", "ipc"] {
        let script = format!(
            "mount -t tmpfs proc /proc && mkdir -p /proc/self/ns && cd /proc/self/ns && \
             ln -s x net && ln -s x ipc && ln -s x uts && ln -s x pid && ln -s x time && \
             rm {lacking} && exec \"$@\""
        );
        let mut traced = common::command(User::Root, "strace");
        traced
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=clone3"])
            .args([
                "-e",
                "inject=clone3:error=EINVAL",
                "unshare",
                "-m",
                "sh",
                "-c",
                &script,
                "sh",
            ])
            .arg(rootlet_path())
            .args(["run", "--unshare=net,time", root.name(), "true"]);
        let ended = end(&mut traced);
        let line = format!(
            "rootlet: cannot make a new namespace of the type {lacking}: Invalid argument (EINVAL)\n\
             hint: the kernel, or a sandbox in its place (gVisor), lacks this type, or /proc is not mounted\n"
        );
        assert_eq!((ended.status, ended.stderr), (125, line));
    }
}

/// Only clone3 can make a time namespace. The fallback to clone must not drop the option.
#[test]
fn a_time_namespace_needs_clone3() {
    for user in users() {
        let root = Root::busybox(user);
        for (option, status) in [("--unshare=time", 125), ("--unshare=net", 0)] {
            let run = root.run(&[option, "ROOT", "true"]);
            let mut traced = common::command(user, "strace");
            traced
                .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=clone3"])
                .args(["-e", "inject=clone3:error=ENOSYS"])
                .arg(run.get_program())
                .args(run.get_args());
            let ended = end(&mut traced);
            assert_eq!(ended.status, status, "{ended:?}");
        }
    }
}

#[test]
fn a_limit_on_user_namespaces_is_reported_as_the_cause() {
    for user in users() {
        let root = Root::busybox(user);
        let script = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"";
        let run = root.run(&["--unshare=user", "ROOT", "true"]);
        let mut outer = common::command(user, "unshare");
        outer
            .args(["--user", "--map-root-user", "sh", "-c", script, "sh"])
            .arg(run.get_program())
            .args(run.get_args());
        let ended = end(&mut outer);
        let line = "rootlet: cannot make new namespaces: No space left on device (ENOSPC)\n\
                    hint: the limit on namespaces is reached (/proc/sys/user/max_*_namespaces)";
        assert!(ended.stderr.starts_with(line), "{user:?} {ended:?}");
    }
}

/// A length of sleep that no other test uses. It identifies processes.
fn mark() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1000);
    format!(
        "999.{}{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

fn shared(root: &Root, words: &[&str]) -> Command {
    root.run(&[&["--share", "pid", "ROOT"], words].concat())
}

#[test]
fn a_shared_pid_namespace_keeps_status_and_signals() {
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        for (script, status) in [("exit 7", 7), ("kill -9 $$", 137), ("no-such-command", 127)] {
            assert_eq!(
                end(&mut shared(&root, &["sh", "-c", script])).status,
                status
            );
        }
        assert_eq!(end(&mut shared(&root, &["no-such-command"])).status, 127);
        // The command's pid is the same inside and outside.
        let script =
            "trap 'echo ended; exit 5' TERM; echo ready; echo $$; while :; do sleep 0.01; done";
        let mut running = Running::start_ready(&mut shared(&root, &["sh", "-c", script]));
        assert_eq!(running.line(), running.command().to_string());
        running.signal(15);
        running.expect("ended");
        assert_eq!(running.child.wait().unwrap().code(), Some(5));
        assert_eq!(root.tree(), before);
    }
}

#[test]
fn processes_left_in_a_shared_pid_namespace_are_killed() {
    for user in users() {
        let root = Root::busybox(user);
        let mark = mark();
        // One process in the command's group, one in its own session with a child, and one orphan
        // that ignores signals.
        let script = "(trap '' TERM HUP INT; sleep $0 & wait) & \
            setsid sh -c 'sleep $0 & sleep $0; :' $0 & (sleep $0 &); echo ready";
        let ended = end(&mut shared(&root, &["sh", "-c", script, &mark]));
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (0, "ready\n"),
            "{ended:?}"
        );
        assert_eq!(processes_with(&mark), Vec::<i32>::new(), "{user:?}");

        // Kill the supervisor.
        let script = format!("{script}; exec sleep $0");
        let words = ["sh", "-c", &script, &mark];
        let mut running = Running::start_ready(&mut shared(&root, &words));
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        wait_until("all is gone", || processes_with(&mark).is_empty());
        wait_until("the mount points are gone", || {
            fs::read_dir(root.path()).unwrap().count() == 1
        });

        // Kill the process that acts as pid 1. This ends the command and removes the mount points.
        let words = ["sh", "-c", "echo ready; sleep $0; :", &mark];
        let mut running = Running::start_ready(&mut shared(&root, &words));
        let command = running.command();
        send_signal(running.pid1(), 9);
        assert_eq!(running.child.wait().unwrap().code(), Some(137));
        wait_until("the command is gone", || {
            !processes_with(&mark).contains(&command)
        });
        assert_eq!(root.tree(), Vec::<String>::new());
        // Processes that it started stay, as the help says. The test ends them.
        processes_with(&mark)
            .into_iter()
            .for_each(|pid| send_signal(pid, 9));
    }
}

#[test]
fn orphans_in_a_shared_pid_namespace_are_reaped() {
    for user in users() {
        let root = Root::busybox(user);
        let script = "for i in 1 2 3 4 5; do (sleep 0 &); done; echo ready; read line";
        let mut run = shared(&root, &["sh", "-c", script]);
        run.stdin(std::process::Stdio::piped());
        let mut running = Running::start_ready(&mut run);
        wait_until("only the command is left", || {
            common::children(running.pid1()) == [running.command()]
        });
        drop(running.child.stdin.take());
        running.child.wait().unwrap();
    }
}

#[test]
fn the_command_ends_without_proc_too() {
    for user in users() {
        let root = Root::busybox(user);
        let mark = mark();
        let words = ["--no-mounts", "--share=pid", "ROOT", "sh", "-c"];
        let run = |script| root.run(&[&words[..], &[script, &mark]].concat());
        assert_eq!(end(&mut run("exit 4")).status, 4);
        let mut running = Running::start_ready(&mut run("echo ready; exec sleep $0"));
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        wait_until("the command is gone", || processes_with(&mark).is_empty());
    }
}

/// A root may contain a fake proc, which must not decide which processes are killed.
#[test]
fn a_fake_proc_names_no_victims() {
    for user in users() {
        let root = Root::busybox(user);
        let mut bystander = common::command(user, "sleep").arg("1000").spawn().unwrap();
        // The command forges it, with the number of the process that acts as pid 1.
        let script = format!(
            "mkdir -p /proc/$PPID/task/$PPID; ln -s $PPID /proc/self; \
             echo {} >/proc/$PPID/task/$PPID/children",
            bystander.id()
        );
        let words = ["--no-mounts", "--share=pid", "ROOT", "sh", "-c", &script];
        assert_eq!(succeed(&mut root.run(&words)), "");
        assert!(bystander.try_wait().unwrap().is_none());
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }
}

#[test]
fn a_child_of_the_library_is_killed_with_its_descendants() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let mark = mark();
    let script = "sleep $0 & exec sleep $0";
    for way in ["kill", "signal", "drop"] {
        let mut chroot = Chroot::new(root.name());
        let mut child = chroot
            .share(Namespace::Pid)
            .command("/bin/sh")
            .args(["-c", script, &mark])
            .env("PATH", "/bin")
            .spawn()
            .unwrap();
        wait_until("both run", || processes_with(&mark).len() > 1);
        match way {
            "kill" => child.kill().unwrap(),
            "signal" => child.signal(9).unwrap(),
            _ => {}
        }
        drop(child);
        wait_until("all is gone", || processes_with(&mark).is_empty());
    }
    // SAFETY: the closure is never called.
    let called = unsafe { Chroot::new(root.name()).share(Namespace::Pid).call(|| ()) };
    assert_eq!(
        called.unwrap_err().to_string(),
        "cannot finish the closure: a closure needs a pid namespace of its own"
    );
}

#[test]
fn user_0_of_a_user_namespace_without_mounts_of_its_own_can_run() {
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let mut outer = common::command(user, "unshare");
        outer
            .args(["--user", "--map-root-user"])
            .arg(common::rootlet_path());
        let ended = end(outer.args(["run", root.name(), "sh", "-c", "test -d /proc/1; echo $?"]));
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (0, "0\n"),
            "{ended:?}"
        );
        assert_eq!(root.tree(), before);
    }
}
