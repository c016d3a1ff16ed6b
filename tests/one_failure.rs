//! One call fails, at each place where it is made, or from one place on. A run that says nothing has
//! the same restrictions as one in which nothing failed: a run falls back to a weaker way only if the
//! kernel refuses the stronger one, and not if some other call fails.

#![allow(missing_docs)]

mod common;

use std::process::{Command, Stdio};

use rustix::process::{Resource, getrlimit, setrlimit};

use common::{
    Ended, Root, User, can_be_root, children, end, rootlet, send_signal, state, succeed, users,
    wait_until,
};

/// Prints mounts, rights, ids and the session. It makes no call that fails.
const HELD: &str = "cut -d' ' -f5,6 /proc/thread-self/mountinfo; cat /proc/self/uid_map; \
     grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|SigBlk|SigIgn)' /proc/self/status; \
     cut -d' ' -f5,6 /proc/$$/stat; id -u; grep 'open files' /proc/self/limits; \
     test \"$(readlink /proc/self/ns/user)\" = CALLERS && echo same; true";

#[derive(Clone, Copy)]
struct Failure {
    options: &'static [&'static str],
    call: &'static str,
    error: &'static str,
    /// Restricts the failure to this path, and to names in the open directory with this path.
    path: &'static str,
    /// Restricts it to the supervisor.
    outside: bool,
    /// All later calls of the process fail too.
    stays: bool,
}

const FAILURE: Failure = Failure {
    options: &[],
    call: "",
    error: "ENOMEM",
    path: "",
    outside: false,
    stays: false,
};

const FAILURES: [Failure; 11] = [
    // It finds the caller's control groups.
    Failure {
        options: &["--unshare=cgroup"],
        call: "openat",
        path: "/sys/fs/cgroup",
        ..FAILURE
    },
    // It gives the command the limit on open files that an overlay has raised.
    Failure {
        options: &["--overlay"],
        call: "prlimit64",
        error: "EINVAL",
        ..FAILURE
    },
    // It keeps processes inside from tracing rootlet.
    Failure {
        call: "prctl",
        error: "EPERM",
        outside: true,
        ..FAILURE
    },
    Failure {
        options: &["--drop-caps=all"],
        call: "prctl",
        error: "EINVAL",
        ..FAILURE
    },
    // It takes the caller's /sys.
    Failure {
        options: &["--share=net"],
        call: "open_tree",
        ..FAILURE
    },
    // It finds the mounts below /sys.
    Failure {
        options: &["--unshare=net"],
        call: "openat",
        path: "/proc/self/mountinfo",
        ..FAILURE
    },
    Failure {
        options: &["--new-session"],
        call: "setsid",
        error: "EPERM",
        ..FAILURE
    },
    // It reads the caller's map of users, all of which root has in a new user namespace.
    Failure {
        options: &["--unshare=user"],
        call: "read",
        error: "EPERM",
        outside: true,
        ..FAILURE
    },
    // They make the mount point of /etc/hosts.
    Failure {
        call: "openat",
        path: "/etc",
        ..FAILURE
    },
    Failure {
        call: "openat2",
        ..FAILURE
    },
    // It removes a tmpfs that a copy is bound from.
    Failure {
        options: &["--resolv-conf=copy"],
        call: "umount2",
        error: "EINVAL",
        ..FAILURE
    },
];

/// Makes the call with this number fail in each process. Returns `None` if no process makes
/// the call that often.
fn end_with(user: User, failure: Failure, number: usize, run: &Command) -> Option<Ended> {
    let Failure { call, error, .. } = failure;
    let beside = Root::empty(user);
    let log = beside.path().join("log");
    let mut strace = common::command(user, "strace");
    strace.args(["-q", "-e", &format!("trace={call}"), "-e"]);
    let stays = if failure.stays { "+" } else { "" };
    strace.arg(format!("inject={call}:error={error}:when={number}{stays}"));
    if !failure.outside {
        strace.arg("-f");
    }
    if !failure.path.is_empty() {
        strace.args(["-P", failure.path]);
    }
    strace.arg("-o").arg(&log);
    let ended = end(strace.arg(run.get_program()).args(run.get_args()));
    let log = std::fs::read_to_string(log).unwrap();
    log.contains("(INJECTED)").then_some(ended)
}

#[test]
fn a_run_that_says_nothing_is_restricted_as_ever() {
    let callers = std::fs::read_link("/proc/self/ns/user").unwrap();
    let held = HELD.replace("CALLERS", callers.to_str().unwrap());
    let mut files = getrlimit(Resource::Nofile);
    files.current = Some(256);
    setrlimit(Resource::Nofile, files).unwrap();
    for user in users() {
        let root = Root::busybox(user);
        root.file("etc/resolv.conf", "");
        let before = root.tree();
        for failure in FAILURES {
            let Failure { options, call, .. } = failure;
            let run = || root.run(&[options, &["ROOT", "sh", "-c", &held]].concat());
            let usual = succeed(&mut run());
            let mut count = 0;
            while let Some(ended) = end_with(user, failure, count + 1, &run()) {
                count += 1;
                let what = format!("{user:?} {options:?} {call} {count}: {ended:?}");
                assert!(matches!(ended.status, 0 | 125), "{what}");
                let says = ended
                    .stderr
                    .lines()
                    .any(|line| line.starts_with("rootlet: "));
                assert!(says || ended.stdout == usual, "{what}\nusual: {usual}");
            }
            assert_eq!(root.tree(), before, "{call}");
            // An ordinary user copies its /sys, and removes the tmpfs, in other ways.
            assert!(count > 0 || user == User::Ordinary, "{options:?} {call}");
        }
    }
}

#[test]
fn an_init_without_its_new_session_does_not_run_the_command() {
    let user = users()[0];
    let mut init = rootlet(user);
    init.args(["init", "--new-session", "--", "true"]);
    let failure = Failure {
        call: "setsid",
        error: "EPERM",
        ..FAILURE
    };
    let ended = end_with(user, failure, 1, &init).unwrap();
    let line = "rootlet: cannot set up the run: Operation not permitted (EPERM)\n";
    assert_eq!((ended.status, &ended.stderr[..]), (125, line));
}

#[test]
fn a_limit_on_open_files_that_cannot_be_read_stays() {
    for user in users() {
        let root = Root::busybox(user);
        let limits = ["sh", "-c", "ulimit -n; ulimit -Hn"];
        let run = || root.run(&[&["--overlay", "ROOT"], &limits[..]].concat());
        let failure = Failure {
            call: "prlimit64",
            error: "EPERM",
            ..FAILURE
        };
        let ended = end_with(user, failure, 1, &run()).unwrap();
        let usual = succeed(&mut run());
        let found = (ended.status, &ended.stdout[..], &ended.stderr[..]);
        // The first call of the command's process is the one that restores it.
        let line = "rootlet: cannot set up the run: Operation not permitted (EPERM)\n";
        let expected = [(0, &usual[..], ""), (125, "", line)];
        assert!(expected.contains(&found), "{user:?} {found:?}");
    }
}

/// The command's process gets its maps from another process, and reports the error of that one.
#[test]
fn the_reason_for_a_missing_map_is_that_of_the_write() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let run = root.run(&["--unshare=user", "--read-only-root", "ROOT", "true"]);
    // The first process writes more often than that process, so that only the latter's writes fail.
    let mut after_writes = common::command(User::Root, "sh");
    let script = r#"for i in 1 2 3; do printf x; done >/dev/null 2>&1; exec "$@""#;
    after_writes.args(["-c", script, "sh"]);
    after_writes.arg(run.get_program()).args(run.get_args());
    for number in [1, 2] {
        let failure = Failure {
            call: "write",
            ..FAILURE
        };
        let ended = end_with(User::Root, failure, number, &after_writes).unwrap();
        let line =
            "rootlet: cannot lock the mounts of the command: Cannot allocate memory (ENOMEM)\n";
        assert_eq!((ended.status, &ended.stderr[..]), (125, line));
    }
}

#[test]
fn a_proc_that_cannot_be_looked_at_is_not_taken_for_anothers() {
    for user in users() {
        let root = Root::busybox(user);
        let run = || root.run(&["--share=pid", "--unshare=user", "ROOT", "true"]);
        let failure = Failure {
            call: "readlinkat",
            ..FAILURE
        };
        let mut number = 1;
        while let Some(ended) = end_with(user, failure, number, &run()) {
            let mut lines = ended
                .stderr
                .lines()
                .filter(|line| !line.starts_with("hint: "));
            assert!(
                lines.all(|line| line.ends_with("(ENOMEM)")),
                "{number}: {ended:?}"
            );
            number += 1;
        }
        assert!(number > 1, "{user:?}");
    }
}

/// The message for the failure fails as well.
#[test]
fn a_failure_that_stays_has_its_line() {
    for user in users() {
        let root = Root::busybox(user);
        for (options, call, error) in [
            (&["--overlay"][..], "mmap", "ENOMEM"),
            (&[], "sendto", "EPERM"),
            (&[], "sendto", "ENOBUFS"),
        ] {
            let run = root.run(&[options, &["ROOT", "true"]].concat());
            let failure = Failure {
                call,
                error,
                stays: true,
                ..FAILURE
            };
            let ended = end_with(user, failure, 1, &run).unwrap();
            let line = ended.stderr.strip_suffix(&format!("({error})\n"));
            let is_line = |line: &str| line.starts_with("rootlet: cannot ") && !line.contains('\n');
            assert!(
                ended.status == 125 && line.is_some_and(is_line),
                "{user:?} {options:?} {call}: {ended:?}"
            );
        }
    }
}

/// Some file systems say that of a directory whose files they hide.
#[test]
fn an_empty_directory_that_is_said_not_to_be_empty_is_not_removed_forever() {
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let run = || root.run(&["ROOT", "true"]);
        let failure = Failure {
            call: "unlinkat",
            error: "ENOTEMPTY",
            stays: true,
            ..FAILURE
        };
        // The first two are files.
        let ended = end_with(user, failure, 3, &run()).unwrap();
        let says = ended
            .stderr
            .starts_with("rootlet: cannot remove the mount point /");
        let why = ended
            .stderr
            .ends_with(": Directory not empty (ENOTEMPTY)\n");
        assert!(ended.status == 0 && says && why, "{user:?} {ended:?}");
        succeed(&mut run());
        assert_eq!(root.tree(), before);
    }
}

/// A directory in which something cannot be removed is checked for what the command has created.
#[test]
fn a_mount_point_that_cannot_be_checked_stays_a_mount_point() {
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let run = || root.run(&["ROOT", "true"]);
        let beside = Root::empty(user);
        let log = beside.path().join("log");
        let end_with = |rules: &[&str]| {
            let mut strace = common::command(user, "strace");
            strace.args(["-q", "-f", "-e", "trace=unlinkat,statx", "-o"]);
            strace.arg(&log);
            for rule in [&["unlinkat:error=EIO:when=1"], rules].concat() {
                strace.args(["-e", &format!("inject={rule}")]);
            }
            let run = run();
            let ended = end(strace.arg(run.get_program()).args(run.get_args()));
            (ended, std::fs::read_to_string(&log).unwrap())
        };
        let (_, log) = end_with(&[]);
        succeed(&mut run());
        // Both the looks before and after the failed removal are pid 1's.
        let removal = log.find("(INJECTED)").unwrap();
        let line = log[..removal].lines().next_back().unwrap();
        let pid1 = line.split_once(' ').unwrap().0;
        let is_look = |line: &&str| line.starts_with(pid1) && line.contains(" statx(");
        let looks = log[..removal].lines().filter(is_look).count();
        for number in looks + 1..looks + 7 {
            let (ended, _) = end_with(&[&format!("statx:error=EIO:when={number}")]);
            assert_eq!(ended.status, 0, "{ended:?}");
            succeed(&mut run());
            assert_eq!(root.tree(), before, "{user:?} {number}: {ended:?}");
        }
    }
}

/// The kernel reports once that pid 1 has not read an order, before the last messages of pid 1.
#[test]
fn an_error_is_heard_after_an_order_that_was_not_read() {
    for user in users() {
        let root = Root::busybox(user);
        let run = root.run(&["-B", "/missing:/mnt", "ROOT", "true"]);
        let failure = Failure {
            call: "recvmsg",
            error: "ECONNRESET",
            outside: true,
            ..FAILURE
        };
        let ended = end_with(user, failure, 1, &run).unwrap();
        let line = "rootlet: cannot open /missing: No such file or directory (ENOENT)\n";
        let found = (ended.status, ended.stderr.starts_with(line));
        assert_eq!(found, (125, true), "{user:?} {ended:?}");
    }
}

/// Returns a run with private users under strace(1). Its pid 1 gets this signal before it has its ids.
fn signalled_without_ids(root: &Root, signal: &str) -> Command {
    let run = root.run(&["--private-users", "ROOT", "true"]);
    let mut strace = common::command(User::Root, "strace");
    strace.args(["-qq", "-f", "-o", "/dev/null", "-e", "trace=unshare"]);
    let rule = format!("inject=unshare:signal={signal}:when=1");
    strace.args(["-e", &rule]);
    strace.arg(run.get_program()).args(run.get_args());
    strace
}

#[test]
fn a_process_that_is_killed_before_it_has_its_ids_ends_the_run() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let ended = end(&mut signalled_without_ids(&root, "KILL"));
    let line = "rootlet: cannot set up the run: the process inside was killed\n";
    assert_eq!((ended.status, &ended.stderr[..]), (125, line));
}

#[test]
fn a_run_whose_process_is_stopped_before_it_has_its_ids_can_be_ended() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let mut strace = signalled_without_ids(&root, "STOP");
    let strace = strace.stderr(Stdio::piped()).spawn().unwrap();
    let mut supervisor = 0;
    wait_until("the process inside is stopped", || {
        let of_strace = children(strace.id() as i32);
        supervisor = of_strace.first().copied().unwrap_or_default();
        let inside = children(supervisor).first().copied();
        inside.and_then(state) == Some('t')
    });
    send_signal(supervisor, 15);
    let ended = strace.wait_with_output().unwrap();
    let line = "rootlet: cannot wait for pid 1: it does not answer: it is stopped or blocked on a file \
                system\n";
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((ended.status.code(), &stderr[..]), (Some(125), line));
}
