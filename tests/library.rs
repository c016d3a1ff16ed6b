//! The library from outside of this package, with std and threads. Most checks are in the program
//! `tests/outside`. Three more programs there are written like those of users.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use common::filter::{
    self, CLONE_PIDFD, CLONE3, CLOSE_RANGE, PIDFD_OPEN, PIDFD_SEND_SIGNAL, WAITID_PIDFD,
};
use common::outside::outside;
use common::{
    Ended, Root, User, can_be_root, end, end_in_time, for_every_user, processes_with, send_signal,
    state, tree, users, wait_until,
};

const O_NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

fn case(user: User, name: &str, root: &Root) -> Command {
    let mut command = common::command(user, outside());
    command.args([name, root.name()]);
    command
}

/// Runs a case as each user, in a root that must be unchanged afterwards. Returns the output.
#[track_caller]
fn check(name: &str) -> Vec<Ended> {
    users()
        .into_iter()
        .map(|user| check_in(user, name, &Root::busybox(user)))
        .collect()
}

#[track_caller]
fn check_in(user: User, name: &str, root: &Root) -> Ended {
    let before = tree(root.path());
    let ended = end(&mut case(user, name, root));
    assert_eq!(ended.status, 0, "{user:?}\n{}", ended.stderr);
    assert_eq!(tree(root.path()), before, "{user:?}");
    assert_eq!(processes_with(root.name()), [], "{user:?}");
    ended
}

/// The directory of the three programs in `tests/outside`. Cargo builds them beside the tests,
/// except when only some tests were requested.
fn examples() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let tests = std::env::current_exe().unwrap();
        let profile = tests.parent().unwrap().parent().unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        if profile.ends_with("target/debug") {
            let built = Command::new(cargo)
                .args(["build", "--examples", "--quiet", "--offline", "--locked"])
                .arg("--target-dir")
                .arg(profile.parent().unwrap())
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .output()
                .unwrap();
            let built = Ended::from(built);
            assert_eq!(built.status, 0, "{}", built.stderr);
        }
        profile.join("examples")
    })
}

/// Runs one of them.
fn example(user: User, name: &str, words: &[&str]) -> Ended {
    let program = for_every_user(&examples().join(name));
    end(common::command(user, program).args(words))
}

fn all_built() -> String {
    let lines = (0..50).map(|number| format!("built {number} on builder\n"));
    lines.collect()
}

const CHECKED: &str =
    "shell_is_there: ok, /bin/sh has 1 bytes\nis_alone: ok, 2 processes\nhangs: no time left\n";

/// An ordinary user's overlay needs Linux 5.11.
#[test]
fn fifty_packages_are_built_at_once() {
    let user = users()[0];
    let root = Root::busybox(user);
    let before = tree(root.path());
    let built = example(user, "builder", &[root.name()]);
    assert_eq!(built.status, 0, "{}", built.stderr);
    assert_eq!((built.stdout, built.stderr), (all_built(), String::new()));
    assert_eq!(tree(root.path()), before);
}

#[test]
fn a_harness_runs_its_checks_inside_within_its_time_limit() {
    for user in users() {
        let root = Root::busybox(user);
        let before = tree(root.path());
        let checked = example(user, "harness", &[root.name()]);
        assert_eq!(
            (checked.stdout.as_str(), checked.status),
            (CHECKED, 0),
            "{}",
            checked.stderr
        );
        assert_eq!(tree(root.path()), before);
        assert_eq!(processes_with(root.name()), []);
    }
}

#[test]
fn a_supervisor_on_tokio_sees_each_end() {
    for user in users() {
        let root = Root::busybox(user);
        let words = [root.name(), "exit 0", "exit 3", "kill -9 $$"];
        let ended = example(user, "supervisor", &words);
        let mut lines: Vec<&str> = ended.stdout.lines().collect();
        lines.sort_unstable();
        let expected = [
            "exit 0: exit status: 0, started 1 times",
            "exit 3: exit status: 3, started 3 times",
            "kill -9 $$: signal: 9, started 3 times",
        ];
        assert_eq!(
            (&lines[..], ended.status),
            (&expected[..], 0),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn the_interface_matches_std_and_prints_nothing() {
    for ended in check("surface") {
        assert_eq!((ended.stdout, ended.stderr), Default::default());
    }
}

/// A program with its own panic handler must not be linked with std, which has one too.
#[test]
fn without_the_feature_there_is_no_std() {
    let source = "#![no_std]\nextern crate rootlet;\n\
        #[panic_handler]\nfn panic(_: &core::panic::PanicInfo) -> ! { loop {} }\n";
    for (feature, checks) in [("call", true), ("std", false)] {
        let place = tempfile::tempdir().unwrap();
        let package = format!(
            "[package]\nname = \"bare\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [dependencies]\nrootlet = {{ path = {:?}, default-features = false, features = [{feature:?}] }}\n\
             [workspace]\n",
            env!("CARGO_MANIFEST_DIR")
        );
        fs::create_dir(place.path().join("src")).unwrap();
        fs::write(place.path().join("Cargo.toml"), package).unwrap();
        fs::write(place.path().join("src/lib.rs"), source).unwrap();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bare");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut checked = Command::new(cargo);
        checked
            .args(["check", "--quiet", "--offline", "--target-dir"])
            .arg(&target)
            .current_dir(place.path())
            .env_remove("CARGO_BUILD_TARGET_DIR")
            .env_remove("CARGO_TARGET_DIR");
        let checked = Ended::from(checked.output().unwrap());
        assert_eq!(checked.status == 0, checks, "{feature}: {}", checked.stderr);
        assert_eq!(
            checked.stderr.contains("panic_impl"),
            !checks,
            "{}",
            checked.stderr
        );
    }
}

#[test]
fn a_dropped_child_ends_with_all_its_processes() {
    check("drop");
}

#[test]
fn a_status_can_be_asked_for_again_and_without_waiting() {
    check("wait");
}

#[test]
fn closures_use_the_variables_of_their_caller() {
    check("call");
}

#[test]
fn output_is_collected_from_both_at_once() {
    check("output");
}

#[test]
fn many_threads_each_have_their_own() {
    check("threads");
}

#[test]
fn a_program_may_ignore_or_handle_sigchld() {
    check("sigchld");
}

#[test]
fn no_handler_of_the_program_is_in_our_processes() {
    check("handlers");
}

/// Runs a case under strace, which fails the call with this error. Returns the recorded calls.
#[track_caller]
fn check_with_error(user: User, name: &str, call: &str, error: &str) -> String {
    let root = Root::busybox(user);
    let before = tree(root.path());
    let log = Root::empty(user);
    let mut strace = common::command(user, "strace");
    strace
        .args(["-f", "--seccomp-bpf", "-o"])
        .arg(log.path().join("log"))
        .args(["-e", &format!("trace=clone3,clone,{call}")])
        .args(["-e", &format!("inject={call}:error={error}")])
        .arg(outside())
        .args([name, root.name()]);
    let ended = end(&mut strace);
    assert_eq!(ended.status, 0, "{user:?}\n{}", ended.stderr);
    assert_eq!(tree(root.path()), before, "{user:?}");
    let log = fs::read_to_string(log.path().join("log")).unwrap();
    assert!(log.contains(error), "{log}");
    log
}

#[test]
fn without_clone3_the_handlers_are_reset_one_by_one() {
    for user in users() {
        let log = check_with_error(user, "handlers", "clone3", "ENOSYS");
        assert!(log.contains("CLONE_NEWPID"), "{log}");
    }
}

/// rootlet also concludes from this call whether the kernel lets it read the status of a reaped
/// child. The root still ends in a program that has lost the right to send signals.
#[test]
fn a_program_that_may_not_send_signals_works() {
    for user in users() {
        for name in ["sigchld", "handlers"] {
            check_with_error(user, name, "pidfd_send_signal", "EPERM");
        }
    }
}

/// The same programs with std, rustix and unshare(1). They need root, and leave mount points behind.
#[test]
fn each_program_is_shorter_than_by_hand() {
    let lines = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .filter(|line| !line.is_empty() && !line.contains("//"))
            .count()
    };
    let root = Root::busybox(users()[0]);
    let supervised = "exit 0: exit status: 0, started 1 times\n";
    for (name, words, expected) in [
        ("builder", &[][..], all_built()),
        ("harness", &[], CHECKED.to_owned()),
        ("supervisor", &["exit 0"], supervised.to_owned()),
    ] {
        let ours = lines(&format!("tests/outside/{name}.rs"));
        let by_hand = lines(&format!("tests/outside/by_hand/{name}.rs"));
        println!("{name}: {ours} lines, {by_hand} by hand");
        assert!(ours < by_hand, "{name}: {ours} lines, {by_hand} by hand");
        if !can_be_root() {
            continue;
        }
        let words = [&[root.name()][..], words].concat();
        let by_hand = example(User::Root, &format!("{name}_by_hand"), &words);
        assert_eq!(by_hand.stdout, expected, "{name}: {}", by_hand.stderr);
    }
}

/// Runs a case under strace, and returns the calls of this kind.
fn traced(user: User, name: &str, calls: &str) -> String {
    let root = Root::busybox(user);
    let log = Root::empty(user);
    let mut strace = common::command(user, "strace");
    strace
        .args(["-f", "--seccomp-bpf", "-o"])
        .arg(log.path().join("log"))
        .args(["-e", &format!("trace={calls}")])
        .arg(outside())
        .args([name, root.name()]);
    let ended = end(&mut strace);
    assert_eq!(ended.status, 0, "{user:?}\n{}", ended.stderr);
    fs::read_to_string(log.path().join("log")).unwrap()
}

/// Whatever the program uses, no copy of its page tables is made.
#[test]
fn a_spawn_copies_no_memory() {
    if !can_be_root() {
        return;
    }
    let log = traced(User::Root, "wait", "clone,clone3,fork,vfork,execveat");
    let clones: Vec<_> = log.lines().filter(|line| line.contains("clone")).collect();
    let starts = |line: &&&str| line.contains("flags=") || line.contains("clone(");
    assert!(clones.iter().filter(starts).count() >= 3, "{log}");
    for clone in clones.iter().filter(starts) {
        let by_busybox = clone.contains("CLONE_CHILD_SETTID");
        assert!(by_busybox || clone.contains("CLONE_VM"), "{clone}\n{log}");
    }
    assert!(log.contains("[\"rootlet-pid1\"]"), "{log}");
}

/// A filter or a mount option may forbid to execute a file in memory.
#[test]
fn a_spawn_without_the_reaper_is_the_same() {
    if !can_be_root() {
        return;
    }
    for name in ["wait", "output", "detach-ended"] {
        for (call, error) in [("execveat", "EACCES"), ("memfd_create", "ENOSYS")] {
            check_with_error(User::Root, name, call, error);
        }
    }
}

/// pid 1 is a program of one page by then: it removes only what it made.
#[test]
fn a_mount_point_that_was_replaced_stays_after_its_owner_was_killed() {
    for user in users() {
        let root = Root::busybox(user);
        let mut owner = case(user, "hold", &root);
        let mut owner = owner.stdout(Stdio::piped()).spawn().unwrap();
        let pid1 = first_number(owner.stdout.as_mut().unwrap());
        fs::rename(root.path().join("dev"), root.path().join("moved")).unwrap();
        fs::create_dir(root.path().join("dev")).unwrap();
        send_signal(owner.id() as i32, 9);
        owner.wait().unwrap();
        wait_until("the end of pid 1", || state(pid1).is_none());
        assert!(root.path().join("dev").is_dir(), "{user:?}");
        assert!(!root.path().join("proc").exists(), "{user:?}");
        fs::remove_dir(root.path().join("dev")).unwrap();
        let _ = fs::remove_dir(root.path().join("moved"));
    }
}

#[test]
fn a_limit_on_processes_is_an_error() {
    if !can_be_root() {
        return;
    }
    // A user id for this test only, because the limit counts all processes of a user.
    let user = 700_000 + std::process::id();
    let root = Root::busybox(User::Root);
    for path in ["", "bin"] {
        let path = root.path().join(path);
        std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
    }
    let mut command = case(User::Root, "process-limit", &root);
    let ended = end(command.uid(user).gid(user));
    assert_eq!(ended.status, 0, "{}", ended.stderr);
}

#[test]
fn standard_descriptors_are_inherited_null_or_given() {
    for ended in check("stdio") {
        assert_eq!(ended.stdout, "to stdout\nto stdout\n");
        assert_eq!(ended.stderr, "to stderr\n");
    }
}

#[test]
fn standard_descriptors_may_be_closed() {
    check("closed-stdio");
}

#[test]
fn standard_descriptors_hold_for_run_too() {
    check("run-stdio");
}

/// Engines with filters older than these calls fail them. libc's threads need clone3 to work or to
/// fail with ENOSYS.
#[test]
fn a_run_is_the_same_without_optional_calls() {
    let pidfds = [
        CLONE_PIDFD,
        PIDFD_OPEN,
        PIDFD_SEND_SIGNAL,
        WAITID_PIDFD,
        CLOSE_RANGE,
    ];
    let all = [&[CLONE3], &pidfds[..]].concat();
    let clone = [&[CLONE3], &pidfds[1..]].concat();
    for user in users() {
        for name in ["wait", "output", "drop", "signals", "detach-ended", "call"] {
            for (errno, calls) in [
                (1, &pidfds[1..]),
                (22, &pidfds[1..]),
                (38, &all),
                (38, &clone),
            ] {
                let root = Root::busybox(user);
                let before = tree(root.path());
                let mut case = case(user, name, &root);
                filter::answer(&mut case, errno, calls);
                let ended = end(&mut case);
                let context = format!("{name} {errno} {user:?}: {}", ended.stderr);
                assert_eq!(ended.status, 0, "{context}");
                assert_eq!(tree(root.path()), before, "{context}");
                assert_eq!(processes_with(root.name()), [], "{context}");
            }
        }
    }
}

#[test]
fn errors_before_the_command_runs_are_reported_by_spawn() {
    for user in users() {
        let root = Root::busybox(user);
        root.file("plain", "");
        root.script("no-interpreter", "#!/no/such/interpreter\n");
        root.executable("foreign", b"\x7fELF is all that it has");
        check_in(user, "errors", &root);
    }
}

#[test]
fn signals_reach_the_command() {
    check("signals");
}

/// The report that there are mount points to remove is in one of these messages.
#[test]
fn a_report_that_is_not_received_leaves_no_mount_point() {
    for user in users() {
        let root = Root::busybox(user);
        let before = tree(root.path());
        let log = Root::empty(user);
        let log = log.path().join("log");
        for when in 1..=12 {
            let mut strace = common::command(user, "strace");
            strace.args(["--seccomp-bpf", "-o"]).arg(&log);
            strace.args(["-e", "trace=recvfrom"]);
            strace.args(["-e", &format!("inject=recvfrom:error=ENOMEM:when={when}")]);
            strace.arg(outside()).args(["wait", root.name()]);
            end_in_time(&mut strace, &format!("{user:?} {when}"));
            assert_eq!(tree(root.path()), before, "{user:?} {when}");
        }
    }
}

#[test]
fn a_child_that_the_program_reaps_leaves_no_mount_point() {
    check("reaped");
}

/// pid 1 reports the execution with one of these calls, and waits for the command with another.
#[test]
fn a_failed_call_of_pid_1_is_the_reason_that_spawn_gives() {
    for user in users() {
        let root = Root::busybox(user);
        let before = tree(root.path());
        let beside = Root::empty(user);
        let log = beside.path().join("log");
        let mut failed = 0;
        for call in ["sendto", "wait4", "waitid"] {
            for when in 1..=4 {
                let what = format!("{user:?} {call} {when}");
                let mut strace = common::command(user, "strace");
                strace.args(["-f", "--seccomp-bpf", "-o"]).arg(&log);
                strace.args(["-e", &format!("trace={call}")]);
                strace.args(["-e", &format!("inject={call}:error=ENOMEM:when={when}")]);
                strace.arg(outside()).args(["say", root.name()]);
                let ended = end_in_time(&mut strace, &what);
                let said = ended.stdout.trim_end();
                assert!(
                    said == "0" || said.ends_with("(ENOMEM)"),
                    "{what}: {ended:?}"
                );
                assert_eq!(tree(root.path()), before, "{what}");
                failed += usize::from(said != "0");
            }
        }
        assert!(failed > 1, "{user:?}");
    }
}

#[test]
fn a_signal_that_cannot_be_sent_is_a_warning() {
    if can_be_root() {
        check_with_error(User::Root, "not-sent", "kill", "EPERM");
    }
}

#[test]
fn a_root_ends_with_its_owner() {
    for user in users() {
        let root = Root::busybox(user);
        let before = tree(root.path());
        let mut owner = case(user, "hold", &root);
        let mut owner = owner.stdout(Stdio::piped()).spawn().unwrap();
        let pid1 = first_number(owner.stdout.as_mut().unwrap());
        assert_ne!(state(pid1), None);
        send_signal(owner.id() as i32, 9);
        owner.wait().unwrap();
        wait_until("the end of pid 1", || state(pid1).is_none());
        assert_eq!(tree(root.path()), before, "{user:?}");
    }
}

#[test]
fn a_root_that_is_detached_outlives_its_owner() {
    for user in users() {
        let root = Root::busybox(user);
        let fifo = root.path().join("fifo");
        let mode = rustix::fs::Mode::from(0o666);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        fs::set_permissions(&fifo, fs::Permissions::from_mode(0o666)).unwrap();
        let before = tree(root.path());
        let mut owner = case(user, "detach", &root);
        let mut owner = owner.stdout(Stdio::piped()).spawn().unwrap();
        let mut pids = String::new();
        // Reading to the end shows that no process inside holds the other end.
        let mut from_owner = owner.stdout.take().unwrap();
        from_owner.read_to_string(&mut pids).unwrap();
        assert!(owner.wait().unwrap().success());
        let pids: Vec<i32> = pids
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect();
        let [pid1, command] = pids[..] else {
            panic!("{pids:?}");
        };
        // With this flag, opening does not wait for a reader that is gone.
        wait_until("the command to read", || {
            let mut writer = fs::OpenOptions::new();
            writer.write(true).custom_flags(O_NONBLOCK);
            writer
                .open(&fifo)
                .is_ok_and(|mut fifo| fifo.write_all(b"go on\n").is_ok())
        });
        wait_until("the result", || root.path().join("result").exists());
        wait_until("the end of pid 1", || {
            matches!(state(pid1), None | Some('Z'))
        });
        assert!(matches!(state(command), None | Some('Z')));
        fs::remove_file(root.path().join("result")).unwrap();
        assert_eq!(tree(root.path()), before, "{user:?}");
    }
}

#[test]
fn a_process_detached_after_its_end_leaves_no_zombie() {
    check("detach-ended");
}

#[test]
fn pychroots_own_tests_hold() {
    check("pychroot");
}

#[test]
fn a_program_that_uses_the_library_has_nothing_of_the_binary() {
    let symbols = end(Command::new("nm")
        .args(["--defined-only", "-C"])
        .arg(outside()));
    assert_eq!(symbols.status, 0, "{}", symbols.stderr);
    let defined = |name: &str| {
        let lines = symbols.stdout.lines();
        let names = lines.filter_map(|line| line.splitn(3, ' ').nth(2));
        names.filter(|defined| *defined == name).count()
    };
    // In a library, these are libc's.
    for name in ["memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"] {
        assert_eq!(defined(name), 0, "{name}");
    }
    // The C library provides this one.
    assert_eq!(defined("_start"), 1);
    assert!(!symbols.stdout.contains("rootlet::rt::"));
    assert!(symbols.stdout.contains("rootlet::"));
}

fn first_number(from: &mut impl Read) -> i32 {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\n") {
        from.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap().trim().parse().unwrap()
}
