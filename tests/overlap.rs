//! Runs that overlap in one root: none removes a mount of another, and the root is unchanged at the
//! end.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use common::running::Running;
use common::{Ended, Root, User, end, succeed, users, wait_until};
use rustix::process::{Pid, Signal, kill_process};

fn start(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait(child: Child) -> Ended {
    child.wait_with_output().unwrap().into()
}

/// Checks the mounts repeatedly: until all runs have started, and then for a different time in
/// each. `look` is a shell command that fails if a mount is missing.
fn looking(look: &str, number: usize) -> String {
    format!(
        "look() {{ {look} || {{ echo lost; exit 9; }}; }}
        look; : >/meet/ready-{number}
        until test -e /meet/go; do look; usleep 5000; done
        left={number}; while test $left -gt 0; do look; usleep 2000; left=$((left - 1)); done
        look; exit 3"
    )
}

/// Starts all runs at the same time and lets each end at its own time. They meet in a bound
/// directory.
fn overlap(root: &Root, user: User, runs: &[(Vec<&str>, &str)]) {
    let before = root.tree();
    let meeting = Root::empty(user);
    meeting.file("mark", "");
    let meet = format!("{}:/meet", meeting.name());
    let children: Vec<Child> = runs
        .iter()
        .enumerate()
        .map(|(number, (options, look))| {
            let script = looking(look, number);
            let mut words = options.clone();
            words.extend(["-B", &meet, "ROOT", "sh", "-c", &script]);
            start(&mut root.run(&words))
        })
        .collect();
    let mut children: Vec<Option<Child>> = children.into_iter().map(Some).collect();
    let mut ended = Vec::new();
    wait_until("all runs have started", || {
        for child in &mut children {
            if child
                .as_mut()
                .is_some_and(|child| child.try_wait().unwrap().is_some())
            {
                ended.push(wait(child.take().unwrap()));
            }
        }
        let ready = fs::read_dir(meeting.path()).unwrap().count() - 1;
        ready == runs.len() || !ended.is_empty()
    });
    meeting.file("go", "");
    ended.extend(children.into_iter().flatten().map(wait));
    for ended in ended {
        assert_eq!(
            (ended.status, ended.stdout.as_str(), ended.stderr.as_str()),
            (3, "", ""),
            "{user:?}"
        );
    }
    assert_eq!(root.tree(), before, "{user:?}");
}

const DEFAULTS_ARE_THERE: &str = "test -c /dev/null && test -d /proc/1 && test -d /sys/class && \
     test -s /etc/resolv.conf && test -d /dev/shm && test -f /meet/mark";

#[test]
fn fifty_runs_in_a_root_without_mount_points() {
    for user in users() {
        let root = Root::busybox(user);
        overlap(&root, user, &vec![(vec![], DEFAULTS_ARE_THERE); 50]);
        assert_eq!(root.tree(), [""; 0]);
    }
}

#[test]
fn a_path_that_leaves_the_mount_point_of_another_run() {
    for user in users() {
        let root = Root::busybox(user);
        root.directory("real");
        let before = root.tree();
        let data = Root::empty(user);
        data.file("inner", "");
        let at = |target: &str| format!("{}:{target}", data.name());
        let (stub, back) = (at("/real/stub"), at("/real/stub/.."));
        let hold = "echo ready; until test -e /real/stub/end; do usleep 5000; done";
        let mut first =
            Running::start_ready(&mut root.run(&["-B", &stub, "ROOT", "sh", "-c", hold]));
        let look = "test -f /real/inner && ! test -e /real/stub";
        succeed(&mut root.run(&["-B", &back, "ROOT", "sh", "-c", look]));
        data.file("end", "");
        assert_eq!(first.status(), 0, "{user:?}");
        assert_eq!(root.tree(), before, "{user:?}");
    }
}

#[test]
fn fifty_runs_with_different_mounts() {
    for user in users() {
        let root = Root::busybox(user);
        root.directory("proc");
        root.directory("etc");
        let data = Root::empty(user);
        data.file("inner", "");
        let [a, b, c] = ["a", "a/b", "a/b/c"].map(|at| format!("{}:/{at}", data.name()));
        let mut runs: Vec<(Vec<&str>, &str)> = Vec::new();
        let kinds: [(Vec<&str>, &str); 6] = [
            (
                vec!["-R", &a],
                "test -f /a/inner && test -c /dev/null && test -d /proc/1",
            ),
            (
                vec!["--no-mounts", "-R", &b],
                "test -f /a/b/inner && test -f /meet/mark && ! test -e /dev/null",
            ),
            (
                vec!["--no-mounts", "-R", &c],
                "test -f /a/b/c/inner && test -f /meet/mark && ! test -e /proc/1",
            ),
            (
                vec![
                    "--no-mounts",
                    "-B",
                    "tmpfs:/a",
                    "-B",
                    "tmpfs:/a/b",
                    "-R",
                    &c,
                ],
                "test -f /a/b/c/inner && touch /a/own /a/b/own && test -f /meet/mark",
            ),
            (vec![], DEFAULTS_ARE_THERE),
            (
                vec![
                    "--no-mounts",
                    "-B",
                    "tmpfs:/dev",
                    "-B",
                    "/etc/hostname:/etc/name",
                ],
                "touch /dev/own && test -s /etc/name && ! test -e /dev/null",
            ),
        ];
        for number in 0..50 {
            runs.push(kinds[number % kinds.len()].clone());
        }
        overlap(&root, user, &runs);
        assert_eq!(root.tree(), ["etc 40755 ", "proc 40755 "]);
    }
}

#[test]
fn a_storm_of_short_runs() {
    for user in users() {
        let root = Root::busybox(user);
        root.directory("proc");
        let before = root.tree();
        let data = Root::empty(user);
        data.file("inner", "");
        let bind = format!("{}:/a/b", data.name());
        let look = "test -c /dev/null && test -d /proc/1 && test -d /sys/class && \
            test -s /etc/resolv.conf && test -f /a/b/inner || exit 9";
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..common::rounds(60) {
                        succeed(&mut root.run(&["-R", &bind, "ROOT", "sh", "-c", look]));
                    }
                });
            }
        });
        assert_eq!(root.tree(), before, "{user:?}");
    }
}

/// Returns the pid of the only child, which is pid 1 of the run.
fn only_child(of: u32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).ok()?;
    children.trim().parse().ok()
}

fn send(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Starts a run with the default mounts, and kills all its processes at the same time.
fn kill_a_run(root: &Root) {
    let script = "echo started; sleep 1000";
    let mut child = start(&mut root.run(&["-B", "tmpfs:/made/here", "ROOT", "sh", "-c", script]));
    let mut line = String::new();
    let output = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
    assert_eq!(line, "started\n");
    let supervisor = child.id() as i32;
    let pid1 = only_child(child.id()).unwrap();
    // A stopped supervisor does not see pid 1 end. Therefore neither of them cleans up.
    send(supervisor, Signal::STOP);
    send(pid1, Signal::KILL);
    send(supervisor, Signal::KILL);
    child.wait().unwrap();
    wait_until("pid 1 is gone", || {
        fs::read_to_string(format!("/proc/{pid1}/cmdline")).is_ok_and(|line| line.is_empty())
            || !fs::exists(format!("/proc/{pid1}")).unwrap()
    });
}

#[test]
fn leftovers_of_a_killed_run_are_removed_by_the_next() {
    for user in users() {
        let root = Root::busybox(user);
        root.directory("proc");
        let before = root.tree();
        kill_a_run(&root);
        let left = root.tree();
        for name in ["dev", "sys", "etc", "etc/resolv.conf", "made", "made/here"] {
            let start = format!("{name} ");
            assert!(left.iter().any(|line| line.starts_with(&start)), "{left:?}");
        }
        // The next run cleans up only the mount points that it uses.
        let words = ["--no-mounts", "-B", "tmpfs:/dev", "ROOT", "true"];
        succeed(&mut root.run(&words));
        let kept: Vec<String> = left
            .iter()
            .filter(|line| !line.starts_with("dev "))
            .cloned()
            .collect();
        assert_eq!(root.tree(), kept);
        let words = ["-B", "tmpfs:/made/here", "ROOT", "true"];
        succeed(&mut root.run(&words));
        assert_eq!(root.tree(), before, "{user:?}");
    }
}

/// pid 1 cleans up in place of the supervisor, including a temporary mount point behind a symbolic
/// link.
#[test]
fn a_killed_supervisor_leaves_nothing() {
    for user in users() {
        let root = Root::busybox(user);
        root.symlink("data", "/run/shm");
        let script = "echo >/data/file; echo started; exec sleep 1000";
        let words = [
            "-B",
            "tmpfs:/data",
            "-B",
            "tmpfs:/made/here",
            "ROOT",
            "sh",
            "-c",
            script,
        ];
        let mut child = start(&mut root.run(&words));
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        assert_eq!(line, "started\n");
        assert!(root.path().join("run/shm").exists());
        send(child.id() as i32, Signal::KILL);
        child.wait().unwrap();
        wait_until("pid 1 has cleaned up", || {
            fs::read_dir(root.path()).unwrap().count() == 2
        });
    }
}

/// Half of the runs are killed while the others check their mounts.
#[test]
fn runs_that_are_killed_take_nothing_from_the_others() {
    for user in users() {
        let root = Root::busybox(user);
        let script = "echo started; while read line; do test -c /dev/null && test -d /proc/1 && \
            test -s /etc/resolv.conf && test -d /made/here && echo seen || exit 9; done; exit 3";
        let words = ["-B", "tmpfs:/made/here", "ROOT", "sh", "-c", script];
        let mut run = root.run(&words);
        let mut looking = start(run.stdin(Stdio::piped()));
        let mut answers = std::io::BufReader::new(looking.stdout.take().unwrap());
        let mut answer = || {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut answers, &mut line).unwrap();
            line
        };
        assert_eq!(answer(), "started\n");
        let mut question = looking.stdin.take().unwrap();
        for _ in 0..common::rounds(10) {
            kill_a_run(&root);
            succeed(&mut root.run(&["ROOT", "true"]));
            std::io::Write::write_all(&mut question, b"look\n").unwrap();
            assert_eq!(answer(), "seen\n", "{user:?}");
        }
        drop(question);
        assert_eq!(wait(looking).status, 3);
        assert_eq!(root.tree(), [""; 0]);
    }
}

#[test]
fn a_stub_directory_that_the_command_filled_becomes_an_ordinary_one() {
    for user in users() {
        let root = Root::busybox(user);
        let script = "echo built here >/etc/motd; mkdir /made/mine";
        let words = ["-B", "tmpfs:/made/here", "ROOT", "sh", "-c", script];
        succeed(&mut root.run(&words));
        let expected = [
            "etc 40755 ",
            "etc/motd 100644 ",
            "made 40755 ",
            "made/mine 40755 ",
        ];
        assert_eq!(root.tree(), expected, "{user:?}");
        // The file belongs to the root now. A later run keeps it even if it is empty.
        fs::remove_file(root.path().join("etc/motd")).unwrap();
        succeed(&mut root.run(&["ROOT", "true"]));
        assert_eq!(
            root.tree(),
            ["etc 40755 ", "made 40755 ", "made/mine 40755 "]
        );
    }
}

#[test]
fn existing_files_stay_even_if_they_are_empty() {
    for user in users() {
        let above = Root::empty(user);
        let empty = above.directory("parent/root");
        let mut run = common::rootlet(user);
        let ended = end(run.arg("run").arg(&empty).arg("true"));
        assert_eq!(ended.status, 127, "{ended:?}");
        assert_eq!(above.tree(), ["parent 40755 ", "parent/root 40755 "]);

        let root = Root::busybox(user);
        for name in ["etc", "dev", "proc", "sys", "dev/shm"] {
            root.directory(name);
        }
        root.file("etc/resolv.conf", "");
        let before = root.tree();
        for _ in 0..2 {
            succeed(&mut root.run(&["ROOT", "true"]));
            assert_eq!(root.tree(), before, "{user:?}");
        }
    }
}

#[test]
fn a_resolv_conf_that_is_a_dangling_link_works_and_stays() {
    let hosts = fs::read_to_string("/etc/resolv.conf").unwrap();
    for user in users() {
        for target in [
            "../run/systemd/resolve/stub-resolv.conf",
            "/run/systemd/resolve/stub-resolv.conf",
            "../../../../run/resolv.conf",
            "other",
        ] {
            let root = Root::busybox(user);
            root.symlink("etc/resolv.conf", target);
            let before = root.tree();
            let shown = succeed(&mut root.run(&["ROOT", "cat", "/etc/resolv.conf"]));
            assert_eq!(shown, hosts, "{user:?} {target}");
            assert_eq!(root.tree(), before, "{user:?} {target}");
        }
    }
}

#[test]
fn a_resolv_conf_that_is_a_loop_is_reported_and_stays() {
    for user in users() {
        let root = Root::busybox(user);
        root.symlink("etc/resolv.conf", "other");
        root.symlink("etc/other", "../etc/resolv.conf");
        let before = root.tree();
        let ended = end(&mut root.run(&["ROOT", "sh", "-c", "exit 3"]));
        let line = "rootlet: left out: cannot find the mount point /etc/resolv.conf: \
            Too many levels of symbolic links (ELOOP)\n";
        assert_eq!((ended.status, ended.stderr.as_str()), (3, line), "{user:?}");
        assert_eq!(root.tree(), before);
    }
}

#[test]
fn one_runs_mounts_change_no_other() {
    for user in users() {
        let (first, second) = (Root::busybox(user), Root::busybox(user));
        for name in ["dev", "proc", "sys"] {
            second.directory(name);
        }
        second.file("etc/resolv.conf", "nameserver 192.0.2.1");
        let before = second.tree();
        let words = ["-B", "tmpfs:/dev", "-B", "tmpfs:/etc", "ROOT", "true"];
        succeed(&mut first.run(&words));
        succeed(&mut second.run(&["ROOT", "test", "-c", "/dev/null"]));
        assert_eq!(second.tree(), before);
    }
    let other = rootlet::Chroot::new("/").command("true");
    let before = other.plan().unwrap();
    let mut changed = rootlet::Chroot::new("/");
    changed.mount(rootlet::Mount::file_system("tmpfs", "/dev"));
    let changed = changed.command("true");
    assert_ne!(changed.plan().unwrap(), before);
    assert_eq!(other.plan().unwrap(), before);
    let new = rootlet::Chroot::new("/").command("true");
    assert_eq!(new.plan().unwrap(), before);
}

#[test]
fn a_signal_takes_no_mount_from_the_living_command() {
    for user in users() {
        let root = Root::busybox(user);
        let script = "trap 'test -c /dev/null && test -d /proc/1 && test -s /etc/resolv.conf && \
            exit 3; exit 9' TERM; echo started; while :; do sleep 0.01; done";
        let mut child = start(&mut root.run(&["ROOT", "sh", "-c", script]));
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        assert_eq!(line, "started\n");
        send(child.id() as i32, Signal::TERM);
        assert_eq!(wait(child).status, 3, "{user:?}");
        assert_eq!(root.tree(), [""; 0]);
    }
}

/// If an optional mount is left out, the directory of the root is visible there, and mount points
/// can be created in it.
#[test]
fn a_mount_that_is_left_out_forbids_no_other() {
    for user in users() {
        let root = Root::busybox(user);
        root.directory("a");
        let words = [
            "-B",
            "/no/such:/a:optional",
            "-B",
            "tmpfs:/a/new",
            "-B",
            "tmpfs:/b",
            "ROOT",
            "true",
        ];
        succeed(&mut root.run(&words));
        assert_eq!(root.tree(), ["a 40755 "], "{user:?}");
    }
}

/// Only its mode marks a temporary mount point. Nothing else may be mistaken for one.
#[test]
fn files_that_only_resemble_a_temporary_mount_point_stay() {
    for user in users() {
        let root = Root::busybox(user);
        root.file("etc/resolv.conf", "not empty");
        root.directory("dev");
        for (path, mode) in [("etc/resolv.conf", 0o1404), ("dev", 0o1755), ("etc", 0o715)] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(root.path().join(path), mode).unwrap();
        }
        let before = root.tree();
        succeed(&mut root.run(&["ROOT", "true"]));
        assert_eq!(root.tree(), before, "{user:?}");
        let size = fs::metadata(root.path().join("etc/resolv.conf"))
            .unwrap()
            .size();
        assert_eq!(size, 9);
    }
}

/// Between the opening and the locking of a mount point, the run that made it ends, and another one
/// makes it again. The one that was opened is gone then, although there is one of this name.
#[test]
fn a_mount_point_that_was_replaced_before_it_was_locked_is_not_used() {
    let user = users()[0];
    let root = Root::busybox(user);
    let before = root.tree();
    let source = Root::empty(user);
    source.file("mark", "");
    let bind = format!("{}:/a", source.name());
    let run = |script: &str| {
        let look = format!("test -e /a/mark || exit 9; {script}");
        root.run(&["--no-mounts", "-B", &bind, "ROOT", "sh", "-c", &look])
    };
    let start_other = || Running::start_ready(&mut run("echo ready; exec sleep 1000"));
    let end_other = |mut other: Running| {
        other.signal(15);
        other.wait();
    };
    let mut replaced = 0;
    for number in 1.. {
        let mut other = Some(start_other());
        let log = Root::empty(user);
        let log = log.path().join("log");
        let run = run("exit 3");
        let mut strace = common::command(user, "strace");
        strace.args(["-f", "-q", "-e", "trace=openat", "-e"]);
        strace.arg(format!("inject=openat:signal=STOP:when={number}"));
        strace.arg("-o").arg(&log).arg(run.get_program());
        let mut child = start(strace.args(run.get_args()));
        let mut continued = 0;
        let mut is_replaced = false;
        wait_until("the end of the stopped run", || {
            if child.try_wait().unwrap().is_some() {
                return true;
            }
            let log = fs::read_to_string(&log).unwrap_or_default();
            let lines = log
                .lines()
                .filter(|line| line.contains("stopped by SIGSTOP"));
            let stopped: Vec<i32> = lines
                .filter_map(|line| line.split(' ').next()?.parse().ok())
                .collect();
            for pid in &stopped[continued..] {
                // The supervisor opens other files.
                if !is_replaced && only_child(child.id()) != Some(*pid) {
                    other.take().map(end_other);
                    other = Some(start_other());
                    is_replaced = true;
                }
                send(*pid, Signal::CONT);
            }
            continued = stopped.len();
            false
        });
        let ended = wait(child);
        let found = (ended.status, ended.stderr.as_str());
        assert_eq!(found, (3, ""), "stopped after openat {number}");
        other.take().map(end_other);
        assert_eq!(root.tree(), before, "stopped after openat {number}");
        replaced += usize::from(is_replaced);
        if continued == 0 {
            break;
        }
    }
    assert!(replaced > 0);
}
