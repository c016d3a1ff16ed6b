//! Every system call of rootlet fails with each of several errors, once and from then on. The tests
//! check the message, and that nothing is left.
//!
//! The calls of one name that a process makes are numbered in order, and strace's `when=` takes
//! that number. strace counts the calls of each process separately. With the same number a call of pid 1
//! and one of the command's process fail.

mod options;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Instant;

use crate::common::{User, can_be_root, host_mounts, users};
use crate::host_mounts_are;
use crate::positions::{Position, positions};
use crate::sweep::sweep;
use crate::traced::{NEWER, PRIVATE, Place, RAN, RUN, STATUS, Scenario, Start, Traced, difference};
use crate::{end_of_part, is_short, summary};

/// Calls for which the manual pages document no error. No kernel lets them fail.
const CANNOT_FAIL: [&str; 10] = [
    "exit",
    "exit_group",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getppid",
    "getuid",
    "sync",
    "umask",
];

/// Calls whose failure cannot be handled.
const LEFT_OUT: [&str; 2] = [
    // The kernel closes a file even if close(2) fails, but strace skips the call. A process would wait
    // for the end of what it holds open itself.
    "close",
    // Called at the end of boot. The first process must not end itself: all it can do is wait.
    "reboot",
];

/// Calls that make descriptors, and fail if the process has too many.
const MAKES_DESCRIPTORS: [&str; 14] = [
    "clone3",
    "dup",
    "dup3",
    "epoll_create1",
    "fcntl",
    "memfd_create",
    "open_tree",
    "openat",
    "openat2",
    "pidfd_open",
    "pipe2",
    "recvmsg",
    "signalfd4",
    "socketpair",
];

/// Calls that came after the first kernels and have no fallback.
const LATER: [&str; 8] = [
    "memfd_create",
    "name_to_handle_at",
    "pidfd_send_signal",
    "prlimit64",
    "renameat2",
    "seccomp",
    "setns",
    "statx",
];

/// Calls that a signal may interrupt, by their manual pages or by those of a file system.
const INTERRUPTIBLE: [&str; 18] = [
    "connect",
    "dup3",
    "fcntl",
    "finit_module",
    "flock",
    "ioctl",
    "mount",
    "open_tree",
    "openat",
    "openat2",
    "ppoll",
    "read",
    "recvfrom",
    "recvmsg",
    "sendmsg",
    "sendto",
    "waitid",
    "write",
];

/// Calls whose failure in the command's process would change its report, or that no kernel fails twice.
/// After a failed sendto a process whose ids are awaited prints its error, and so does the supervisor.
const ONCE: &str = "execve getdents64 getsid keyctl openat ppoll prctl prlimit64 read readlinkat \
    sendto uname waitid write";

/// Calls whose refusal has the kernel's own meaning: the feature is not available, and the command
/// needs no message.
const SILENT: [(&str, &[&str]); 4] = [
    // A process that may not make namespaces makes them in a user namespace.
    ("clone3", &["EPERM"]),
    ("clone", &["EPERM"]),
    // Keys do not exist then, not even for the command.
    ("keyctl", &["EPERM", "ENOSYS"]),
    // A process that may not make device nodes uses the host's.
    ("mknodat", &["EPERM"]),
];

/// Part of the message for a refused new proc or sysfs, which says that the caller's is used.
const NOT_ALLOWED: &str = "here: the command ";

/// A mount that is left out if it is not available.
const HOSTS: &str = "-mount  /etc/hosts ";

/// Runs that together make the system calls of every role.
fn scenarios() -> Vec<Scenario> {
    let run = Scenario {
        words: &[
            "run",
            "-B",
            "SOURCE:/data/deep:ro",
            "--hostname",
            "a.b",
            "ROOT",
            "COMMAND",
        ],
        ..RUN
    };
    let init = Scenario {
        name: "init",
        words: &["init", "--grace", "1", "--", "COMMAND"],
        ..run
    };
    // A power-off: the kernel ends a pid namespace's first process with SIGINT.
    let powered_off = 128 + 2;
    let boot = Scenario {
        name: "boot",
        words: &[],
        first: Some("quiet\n"),
        ran: powered_off,
        failed: powered_off,
        ..run
    };
    let scenarios = [
        run,
        Scenario {
            name: "run on an old kernel",
            is_old: true,
            ..run
        },
        Scenario {
            name: "run, fewer rights",
            words: &[
                "run",
                "--read-only-root",
                "--dev=minimal",
                "--share=pid",
                "--unshare=net",
                "--grace=1",
                "--new-session",
                "--mask-proc",
                "--user=7:8",
                "--groups=9",
                "--drop-caps=all",
                "--no-new-privs",
                "ROOT",
                "COMMAND",
            ],
            ..run
        },
        Scenario {
            name: "run in an overlay",
            words: &[
                "run",
                "--overlay",
                "--resolv-conf=copy",
                "-R",
                "SOURCE:/data/deep:ro",
                "--skip-chdir",
                "ROOT",
                "COMMAND",
            ],
            ..run
        },
        Scenario {
            name: "run as an ordinary user",
            user: User::Ordinary,
            ..run
        },
        Scenario {
            name: "run in a prepared root",
            prepared: true,
            ..run
        },
        Scenario {
            name: "run, read-only",
            words: &[
                "run",
                "--read-only-root",
                "--mask-proc",
                "-R",
                "SOURCE:/data/deep:ro",
                "ROOT",
                "COMMAND",
            ],
            ..run
        },
        Scenario {
            name: "run with a terminal",
            words: &["run", "--pty", "--dev=minimal", "ROOT", "COMMAND"],
            ..run
        },
        Scenario {
            name: "run, a user's ranges",
            user: User::Ordinary,
            words: &[
                "run",
                "--map-users=auto",
                "-B",
                "SOURCE:/data",
                "ROOT",
                "COMMAND",
            ],
            start: Start::WithRanges,
            ..run
        },
        PRIVATE,
        Scenario {
            name: "spawn",
            start: Start::Library("spawn"),
            ..run
        },
        Scenario {
            name: "spawn as an ordinary user",
            user: User::Ordinary,
            start: Start::Library("spawn"),
            ..run
        },
        Scenario {
            name: "call",
            start: Start::Library("call"),
            ..run
        },
        Scenario {
            name: "call as an ordinary user",
            user: User::Ordinary,
            start: Start::Library("call"),
            ..run
        },
        init,
        Scenario {
            name: "init as pid 1",
            first: Some(""),
            ..init
        },
        boot,
        Scenario {
            name: "boot into a root",
            first: Some(
                "root=none rootfstype=overlay rootflags=lowerdir=/lower:/empty \
                 init=/bin/torture-command\n",
            ),
            ran: STATUS,
            ..boot
        },
    ];
    let users = users();
    // The machine's own command line follows the one that strace puts in front. In a guest of
    // scripts/vm it is for another rootlet.
    let line = std::fs::read_to_string("/proc/cmdline").unwrap();
    let is_in_vm = line.contains(" rootlet.");
    if is_in_vm {
        println!("left out: boot, in the guest of another one");
    }
    // Restricts the test to the scenarios whose name contains this.
    let only = std::env::var("ROOTLET_TORTURE_SCENARIO").ok();
    let wanted = |scenario: &Scenario| {
        let needs_root = scenario.start == Start::WithRanges && !can_be_root();
        let is_asked = only
            .as_ref()
            .is_none_or(|only| scenario.name.contains(only));
        let is_boot = scenario.first.is_some_and(|line| !line.is_empty());
        users.contains(&scenario.user)
            && !needs_root
            && is_asked
            && !(is_boot && is_in_vm)
            && scenario.is_possible()
    };
    scenarios.into_iter().filter(wanted).collect()
}

/// A call that fails, and its error.
struct Fault {
    position: Position,
    error: &'static str,
}

fn faults(scenario: &Scenario, positions: &[Position]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for position in positions {
        let call = &position.call[..];
        // The first execve is strace's own.
        let is_straces = call == "execve" && position.number == 1;
        // libc takes an error of brk for an address.
        let is_libcs = call == "brk" && matches!(scenario.start, Start::Library(_));
        if is_libcs || CANNOT_FAIL.contains(&call) || LEFT_OUT.contains(&call) || is_straces {
            continue;
        }
        let mut errors = Vec::from(["EPERM", "ENOMEM", "EINVAL"]);
        if MAKES_DESCRIPTORS.contains(&call) {
            errors.push("EMFILE");
        }
        // strace applies one rule to a call: a read that fails does not get the command line, and a
        // repeated one would get the host's.
        if call == "mmap" {
            // Anonymous memory can only run short.
            errors = Vec::from(["ENOMEM"]);
        }
        let is_given = call == "read" && scenario.first.is_some_and(|line| !line.is_empty());
        if INTERRUPTIBLE.contains(&call) && !is_given {
            errors.push("EINTR");
        }
        if NEWER.contains(&call) || LATER.contains(&call) {
            errors.push("ENOSYS");
        }
        // A library's program makes the same calls, and a boot reads what strace gives it.
        let may_stay = matches!(scenario.start, Start::Program) && scenario.first.is_none();
        let may_stay = may_stay && !ONCE.split(' ').any(|once| once == call);
        for error in errors {
            faults.push(Fault {
                position: position.clone(),
                error,
            });
            if may_stay && error != "EINTR" {
                let position = Position {
                    and_later: true,
                    ..position.clone()
                };
                faults.push(Fault { position, error });
            }
        }
    }
    faults
}

/// Returns the message if it fits the status and nothing is left, and an error otherwise.
fn check(
    place: &Place,
    fault: &Fault,
    traced: &Traced,
    held: &str,
    before: &str,
) -> Result<String, String> {
    let Fault { position, error } = fault;
    let Scenario { ran, failed, .. } = place.scenario;
    let output: Vec<&str> = traced.stderr.lines().collect();
    let output: Vec<&str> = output
        .into_iter()
        .filter(|line| !line.starts_with("hint: "))
        // Another program has its own errors.
        .filter(|line| !line.starts_with("newuidmap: ") && !line.starts_with("newgidmap: "))
        // This does not end the run, which goes on without it and may meet the same fault again.
        .filter(|line| !line.starts_with("rootlet: cannot adopt orphans: "))
        // Only a mount that fails with EPERM may be replaced by the caller's.
        .filter(|line| {
            !(position.call == "mount" && *error == "EPERM" && line.contains(NOT_ALLOWED))
        })
        .collect();
    // There are more groups than asked for, which is reported as another error.
    let named = match (&position.call[..], *error) {
        ("getgroups", "EINVAL") => "EPERM",
        (_, error) => error,
    };
    let names_all = |line: &str| {
        let line = line.strip_prefix("rootlet: ").unwrap_or_default();
        let line = line.strip_prefix("left out: ").unwrap_or(line);
        let is_anothers = line.ends_with("map: it failed, and printed the reason")
            || traced
                .stderr
                .contains("error while loading shared libraries");
        // If the caller's capabilities are unknown, rootlet assumes none. It then maps the caller's id
        // alone, as it does if other ids cannot be mapped.
        let is_rights = position.call == "capget" && line.contains("only root can")
            || line.ends_with(" 7:8: Invalid argument (EINVAL)");
        is_anothers
            || is_rights
            || line.starts_with("cannot ") && line.ends_with(&format!("({named})"))
    };
    let is_left_out = |line: &&str| line.starts_with("rootlet: left out: ") && names_all(line);
    let clear = match (traced.status, &output[..]) {
        (Some(status), []) => status == ran && traced.stdout == RAN,
        (Some(status), [line]) => {
            let has_run = status == ran && traced.stdout == RAN;
            // 126 if the command cannot be executed, 125 before a boot has begun.
            names_all(line) && (has_run || [failed, 125, 126].contains(&status))
        }
        // A mount that cannot be unmounted blocks the next step too.
        (Some(125), [line, _]) if position.call == "umount2" => names_all(line),
        // The same call of two processes failed, one of which could do without.
        (Some(125), [left_out, line]) if is_left_out(left_out) => names_all(line),
        (Some(status), [left_out @ .., last]) if position.and_later => {
            let has_run = status == ran && traced.stdout == RAN;
            left_out.iter().all(is_left_out) && names_all(last) && (has_run || status == failed)
        }
        _ => false,
    };
    if !clear {
        return Err("no clear end".into());
    }
    let change = difference(held, &traced.held);
    let is_known = SILENT
        .iter()
        .any(|(call, errors)| *call == position.call && errors.contains(error));
    let is_known = match &position.call[..] {
        // The command's own call has the same number.
        "getsid" => change == "-session 1; +session 0",
        "mount" if *error == "EPERM" => traced.stderr.contains(NOT_ALLOWED),
        // A process that may not map other ids, or does not know its rights, maps only its own.
        "openat" | "write" if change.split("; ").all(is_of_maps) => {
            ["EPERM", "EINVAL"].contains(error)
        }
        "capget" => change.split("; ").all(is_of_maps),
        // /etc/hosts is bound only if the file exists or can be made.
        _ if *error == "EPERM" => change.starts_with(HOSTS) && !change.contains("; ") || is_known,
        _ => is_known,
    };
    if output.is_empty() && !change.is_empty() && !is_known {
        return Err(format!("silently: {change}"));
    }
    let line = output.first().copied().unwrap_or_default();
    // The next run removes a mount point that is reported as left. A run with ranges removes mount
    // points in another process, whose call fails too.
    let is_said = ["rootlet: ", "rootlet: left out: "]
        .iter()
        .filter_map(|said| line.strip_prefix(said))
        .any(|line| line.starts_with("cannot remove the mount point"));
    let removes_elsewhere = place.scenario.start == Start::WithRanges;
    let left = match is_said || removes_elsewhere || position.and_later {
        true => place.left_after_another(),
        false => place.left(),
    };
    if !left.is_empty() {
        return Err(format!("left: {left:?}"));
    }
    if !host_mounts_are(before) {
        return Err("the host's mounts have changed".into());
    }
    Ok(place.without_paths(line))
}

/// The results of failing calls.
#[derive(Default)]
struct Found {
    calls: usize,
    injected: usize,
    messages: BTreeSet<String>,
    findings: Vec<String>,
}

impl Found {
    fn add(&mut self, other: Found) {
        self.calls += other.calls;
        self.injected += other.injected;
        self.messages.extend(other.messages);
        self.findings.extend(other.findings);
    }
}

/// Makes every call of a scenario fail, or as many as there is time for. The time begins when its
/// calls are known.
fn sweep_faults(scenario: Scenario, end: impl FnOnce() -> Option<Instant>) -> Found {
    let (positions, held) = positions(&Place::new(scenario));
    let found = Mutex::new(Found {
        calls: positions.len(),
        ..Found::default()
    });
    let faults = faults(&scenario, &positions);
    sweep(scenario, &faults, end(), |place, fault| {
        let Fault { position, error } = fault;
        let mounts = host_mounts();
        let traced = place.inject(position, &format!("error={error}"));
        let checked = check(place, fault, &traced, &held, &mounts);
        let mut found = found.lock().unwrap();
        found.injected += usize::from(traced.failed_one_of_ours(position));
        match checked {
            Ok(message) => drop(found.messages.insert(message)),
            Err(what) => {
                let ended = (traced.status, traced.stdout, traced.stderr);
                let name = scenario.name;
                let finding = format!("{name}: {position:?} {error}: {what}: {ended:?}");
                println!("finding: {finding}");
                found.findings.push(finding);
            }
        }
    });
    found.into_inner().unwrap()
}

/// Returns whether a line of a difference is one of a map of ids, or says whether setgroups(2) is
/// allowed.
fn is_of_maps(line: &str) -> bool {
    let Some(line) = line.get(1..) else {
        return false;
    };
    let is_number = |field: &str| field.bytes().all(|byte| byte.is_ascii_digit());
    ["allow", "deny"].contains(&line) || line.split_whitespace().all(is_number)
}

#[test]
fn every_call_fails() {
    let mut all = Found::default();
    let mut scenarios = scenarios();
    if is_short() {
        // A fault in a library call can take many seconds under strace.
        scenarios.retain(|scenario| !matches!(scenario.start, Start::Library(_)));
    }
    for scenario in &scenarios {
        let found = sweep_faults(*scenario, || end_of_part(scenarios.len()));
        let (name, findings) = (scenario.name, found.findings.len());
        let what = format!(
            "{name}: {} system calls, {} faults, {findings} findings",
            found.calls, found.injected
        );
        summary("faults", &what);
        all.add(found);
    }
    let what = format!(
        "{} system calls, {} faults, {} distinct messages, {} findings",
        all.calls,
        all.injected,
        all.messages.len(),
        all.findings.len()
    );
    summary("faults", &what);
    assert!(all.findings.is_empty(), "{}", all.findings.join("\n"));
}

/// Calls without which the owners of files cannot be mapped.
const MAP_OWNERS: [&str; 3] = ["mount_setattr", "move_mount", "open_tree"];

/// A run does not fail if a newer call gives ENOSYS.
#[test]
fn newer_calls_fall_back() {
    let mut cases = 0;
    for scenario in scenarios() {
        let place = Place::new(scenario);
        let (positions, held) = positions(&place);
        for call in NEWER.iter().copied().chain([&NEWER.join(",")[..]]) {
            let made = |call: &str| positions.iter().any(|position| position.call == call);
            if !call.split(',').any(made) {
                continue;
            }
            let traced = place.inject_all(call, "error=ENOSYS");
            let ended = (traced.status, &traced.stdout[..], &traced.stderr[..]);
            let name = scenario.name;
            let maps_owners = scenario.words.contains(&"--private-users");
            if maps_owners && MAP_OWNERS.iter().any(|needed| call.contains(needed)) {
                // The failure is reported: no fallback could be as strict.
                assert_eq!(ended.0, Some(125), "{name}: {call} {ended:?}");
                assert!(ended.2.starts_with("rootlet: cannot "), "{call} {ended:?}");
                assert_eq!(place.left(), [""; 0], "{name}: {call}");
                continue;
            }
            assert_eq!(ended, (Some(scenario.ran), RAN, ""), "{name}: {call}");
            assert!(traced.log.contains("(INJECTED)"), "{name}: {call}");
            let change = difference(&held, &traced.held);
            let is_known = call.contains("keyctl");
            assert!(change.is_empty() || is_known, "{name}: {call}: {change}");
            assert_eq!(place.left(), [""; 0], "{name}: {call}");
            cases += 1;
        }
    }
    summary(
        "faults",
        &format!("{cases} runs without a newer call, all succeeded"),
    );
}

/// Before Linux 7.0 the initramfs cannot be left by pivot_root(2). Its files are deleted, but not
/// under an overlay, whose layers they may be.
#[test]
fn a_root_of_initramfs_files_is_entered_on_older_kernels_too() {
    let mut scenarios = scenarios();
    scenarios.retain(|scenario| scenario.name == "boot into a root");
    for scenario in scenarios {
        let place = Place::new(scenario);
        let traced = place.inject_all("pivot_root", "error=EINVAL");
        assert!(traced.log.contains("(INJECTED)"), "{traced:?}");
        assert_eq!((traced.status, &traced.stdout[..]), (Some(STATUS), RAN));
    }
}
