//! `Chroot::call`: a closure in a new root, with the caller's memory.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Root, User, host_mounts, users};
use rootlet::{Chroot, Error, Mount};

unsafe extern "C" {
    safe fn _exit(status: i32) -> !;
    fn tgkill(process: i32, thread: i32, signal: i32) -> i32;
}

/// Calls in this process, and therefore as the user that runs the tests.
fn call<R>(chroot: &Chroot, closure: impl FnOnce() -> R) -> Result<R, Error> {
    // SAFETY: no closure of these tests leaves a descriptor or a lock behind.
    unsafe { chroot.call(closure) }
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

fn in_root(root: &Root) -> Chroot {
    Chroot::new(root.path())
}

/// A Chroot without mounts.
fn bare(root: &Root) -> Chroot {
    let mut chroot = in_root(root);
    chroot.no_mounts();
    chroot
}

/// Runs a test while eight threads allocate memory all the time.
fn beside_busy_threads(test: impl FnOnce()) {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop(std::hint::black_box(vec![1u8; 5000]));
                    std::thread::yield_now();
                }
            });
        }
        let _stop = Stop(&stop);
        test();
    });
}

#[test]
fn assignments_of_the_closure_stay() {
    let root = Root::busybox(users()[0]);
    let before = host_mounts();
    let mut names = Vec::new();
    let count = call(in_root(&root).hostname("inside.example.org"), || {
        names = names_in(Path::new("/"));
        fs::write("/written", "inside").unwrap();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        (names.len(), std::process::id(), host)
    });
    assert_eq!(names, ["bin", "dev", "etc", "proc", "sys"]);
    assert_eq!(count.unwrap(), (5, 2, "inside\n".to_owned()));
    let written = fs::read_to_string(root.path().join("written")).unwrap();
    assert_eq!(written, "inside");
    assert_eq!(names_in(root.path()), ["bin", "written"], "no stub stays");
    assert_eq!(host_mounts(), before);
}

#[test]
fn a_closure_starts_programs_and_threads_of_the_caller_go_on() {
    let root = Root::busybox(users()[0]);
    let chroot = in_root(&root);
    beside_busy_threads(|| {
        for round in 0..common::rounds(50) {
            let output = call(&chroot, || {
                Command::new("/bin/busybox")
                    .args(["sh", "-c", "echo inside; exit 3"])
                    .output()
                    .unwrap()
            });
            let output = output.unwrap();
            assert_eq!(output.stdout, b"inside\n", "{round}");
            assert_eq!(output.status.code(), Some(3));
        }
    });
}

#[test]
fn the_way_a_call_ended_is_reported() {
    let root = Root::empty(users()[0]);
    let chroot = bare(&root);
    let killed = call(&chroot, || {
        let process = rustix::process::getpid();
        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    });
    assert_eq!(
        killed.unwrap_err().to_string(),
        "cannot finish the closure: signal 9 killed it"
    );
    let ended: Result<(), _> = call(&chroot, || _exit(3));
    assert_eq!(
        ended.unwrap_err().to_string(),
        "cannot finish the closure: it ended its process"
    );
}

/// A panic is reported. If the closure catches it, it is an ordinary value.
#[test]
fn a_panic_is_reported() {
    let root = Root::empty(users()[0]);
    let chroot = bare(&root);
    // A separate thread, because it counts as panicking from then on.
    let outcome = std::thread::spawn(move || {
        let outcome: Result<(), _> = call(&chroot, || panic!("this is part of the test"));
        let caught = call(&chroot, || {
            std::panic::catch_unwind(|| std::hint::black_box(7) + 1).unwrap_or(0)
        });
        (outcome.unwrap_err().to_string(), caught.unwrap())
    });
    let (outcome, caught) = outcome.join().unwrap();
    assert_eq!(outcome, "cannot finish the closure: it panicked");
    assert_eq!(caught, 8);
}

/// The signal is pending for this thread, like TERM sent to the program, and still is after the
/// call.
#[test]
fn a_signal_ends_a_call_that_asks_for_it() {
    unsafe extern "C" {
        fn pthread_sigmask(how: i32, set: *const [u64; 16], old: *mut [u64; 16]) -> i32;
    }
    let root = Root::empty(users()[0]);
    let chroot = bare(&root);
    std::thread::spawn(move || {
        let mut term = [0; 16];
        term[0] = 1 << 14;
        // SAFETY: the set is as long as the C library's; SIG_BLOCK is 0.
        let blocked = unsafe { pthread_sigmask(0, &raw const term, std::ptr::null_mut()) };
        assert_eq!(blocked, 0);
        let us = rustix::thread::gettid();
        // SAFETY: the number is that of this thread, as tgkill(2) takes it.
        let sent = unsafe { tgkill(std::process::id() as i32, us.as_raw_nonzero().get(), 15) };
        assert_eq!(sent, 0);
        let sleep = || std::thread::sleep(std::time::Duration::from_secs(1000));
        // SAFETY: it holds no lock.
        let ended = unsafe { chroot.call_within(rootlet::Limits::new().signal(15), sleep) };
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), rootlet::ErrorKind::Interrupted);
        let outcome = "cannot finish the closure: a signal canceled it";
        assert_eq!(error.to_string(), outcome);
    })
    .join()
    .unwrap();
}

#[test]
fn errors_before_the_closure_are_reported() {
    let root = Root::empty(users()[0]);
    let bad = call(&Chroot::new("/no/such/root"), || ());
    assert_eq!(bad.unwrap_err().status(), 125);
    let mut mount = in_root(&root);
    mount.mount(Mount::bind("/no/such/source"));
    let outcome = call(&mount, || ()).unwrap_err().to_string();
    assert!(
        outcome.starts_with("cannot open /no/such/source: "),
        "{outcome}"
    );
    let outcome = call(bare(&root).current_dir("/missing"), || ())
        .unwrap_err()
        .to_string();
    assert!(
        outcome.starts_with("cannot change to the directory /missing"),
        "{outcome}"
    );
    let all = rootlet::Capabilities::ALL;
    let fewer: [fn(&mut Chroot) -> &mut Chroot; 3] = [
        |chroot| chroot.user("1"),
        |chroot| chroot.groups("1"),
        Chroot::no_new_privileges,
    ];
    let mut fewer = fewer.map(|ask| ask(&mut in_root(&root)).clone()).to_vec();
    fewer.push(in_root(&root).drop_capabilities(all).clone());
    for fewer in fewer {
        let outcome = call(&fewer, || ()).unwrap_err().to_string();
        assert!(
            outcome.ends_with("cannot change its user or drop rights"),
            "{outcome}"
        );
    }
    assert_eq!(names_in(root.path()), [""; 0]);
}

#[test]
fn processes_left_by_the_closure_are_killed() {
    let root = Root::busybox(users()[0]);
    let mark = root.path().file_name().unwrap().to_str().unwrap();
    let left = call(&in_root(&root), || {
        // The shell becomes an orphan when its parent ends.
        let script = format!("sh -c 'sleep 1000; : {mark}' & echo left");
        let mut shell = Command::new("/bin/busybox");
        shell.args(["sh", "-c", &script]).status().unwrap().code()
    });
    assert_eq!(left.unwrap(), Some(0));
    assert!(common::processes_with(mark).is_empty());
    assert_eq!(names_in(root.path()), ["bin"]);
}

#[test]
fn a_call_inside_a_call_goes_on_from_there() {
    let outer = Root::busybox(users()[0]);
    fs::create_dir_all(outer.path().join("inner/mark")).unwrap();
    let names = call(&in_root(&outer), || {
        call(Chroot::new("/inner").no_mounts(), || {
            let process = rustix::process::getpid();
            (names_in(Path::new("/")), process.as_raw_nonzero().get())
        })
    });
    assert_eq!(names.unwrap().unwrap(), (vec!["mark".to_owned()], 2));
}

#[test]
fn a_thousand_files_and_the_callers_own_can_be_used() {
    let root = Root::empty(users()[0]);
    let caller = tempfile::tempfile().unwrap();
    let opened = call(&bare(&root), || {
        std::io::Write::write_all(&mut &caller, b"from inside").unwrap();
        let files = (0..1000).map(|number| fs::File::create(format!("/{number}")).unwrap());
        files.collect::<Vec<_>>().len()
    });
    assert_eq!(opened.unwrap(), 1000);
    assert_eq!(caller.metadata().unwrap().len(), 11);
    assert_eq!(names_in(root.path()).len(), 1000);
}

#[test]
fn many_threads_call_at_once() {
    let roots: Vec<Root> = (0..16).map(|_| Root::empty(users()[0])).collect();
    std::thread::scope(|scope| {
        for (number, root) in roots.iter().enumerate() {
            scope.spawn(move || {
                for _ in 0..common::rounds(20) {
                    let value = call(&in_root(root), || {
                        fs::write("/number", number.to_string()).unwrap();
                        fs::read("/number").unwrap()
                    });
                    assert_eq!(value.unwrap(), number.to_string().into_bytes());
                }
            });
        }
    });
}

/// When a call fails, pid 1 still has descriptors of its own. Their numbers are those of files that
/// other threads of the program open meanwhile.
#[test]
fn a_failed_call_closes_no_file_of_the_program() {
    let root = Root::busybox(users()[0]);
    let mut chroot = in_root(&root);
    for number in 0..20 {
        chroot.mount(Mount::file_system("tmpfs", format!("/{number}")));
    }
    chroot.mount(Mount::file_system("no-such-type", "/last"));
    let own = tempfile::NamedTempFile::new().unwrap();
    let inode = |file: &fs::File| std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap());
    let is_over = AtomicBool::new(false);
    let files = std::thread::scope(|scope| {
        let opening = scope.spawn(|| {
            let mut files = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                files.push(own.reopen().unwrap());
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            files
        });
        let ended = call(&chroot, || ());
        is_over.store(true, Ordering::Relaxed);
        let error = ended.unwrap_err().to_string();
        assert!(error.starts_with("cannot mount no-such-type"), "{error}");
        opening.join().unwrap()
    });
    for file in &files {
        assert_eq!(inode(file), inode(own.as_file()));
    }
    assert_eq!(names_in(root.path()), ["bin"]);
}

/// Descriptors, mappings, memory and children of this process.
fn resources() -> (usize, usize, usize) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    (
        descriptors,
        maps.lines().count(),
        kilobytes.parse().unwrap(),
    )
}

/// A separate process, because the other tests open and map files meanwhile.
#[test]
#[ignore = "run by calls_leave_nothing_behind"]
fn ten_thousand_calls() {
    let root = Root::empty(users()[0]);
    let chroot = bare(&root);
    beside_busy_threads(|| {
        let mut sum = 0;
        let mut calls = |number: usize| {
            for value in 0..number {
                sum += call(&chroot, || vec![value; 10].len()).unwrap();
            }
        };
        calls(100);
        let before = resources();
        calls(common::rounds(10_000));
        let after = resources();
        assert_eq!(sum, 10 * (100 + common::rounds(10_000)));
        // Allocations of the other threads change the mappings from time to time.
        assert_eq!(after.0, before.0, "descriptors");
        assert!(after.1 <= before.1 + 10, "mappings: {before:?} {after:?}");
        assert!(
            after.2 <= before.2 + 2000,
            "kilobytes: {before:?} {after:?}"
        );
    });
    let no_children = rustix::process::wait(rustix::process::WaitOptions::NOHANG);
    assert_eq!(no_children.unwrap_err(), rustix::io::Errno::CHILD);
}

/// The closure's process and pid 1 share the caller's memory, therefore the command must not read
/// it. Root's processes can trace all others.
#[test]
#[ignore = "run by an_ordinary_user_calls_too"]
fn a_command_inside_cannot_look_into_the_caller() {
    let root = Root::busybox(User::Ordinary);
    let refused = call(&in_root(&root), || {
        [1, 2].map(|pid| {
            let mut cat = Command::new("/bin/busybox");
            let output = cat.args(["cat", &format!("/proc/{pid}/maps")]).output();
            String::from_utf8(output.unwrap().stderr).unwrap()
        })
    });
    for refused in refused.unwrap() {
        assert!(refused.contains("Permission denied"), "{refused}");
    }
}

/// Runs tests of this file in a separate process.
fn run_apart(user: User, environment: &[(&str, &str)], tests: &[&str]) {
    run_by(&["env"], user, environment, tests);
}

/// Runs them by another program, whose words come first.
fn run_by(program: &[&str], user: User, environment: &[(&str, &str)], tests: &[&str]) {
    let place = Root::empty(users()[0]);
    let copy = place.path().join("tests");
    common::copy_program(std::env::current_exe().unwrap(), &copy);
    let mut apart = common::command(user, program[0]);
    apart.args(&program[1..]).arg(&copy);
    apart.args(["--include-ignored", "--exact"]).args(tests);
    for name in ["ROOTLET_TEST_EMULATED", "ROOTLET_UNDER_TEST"] {
        if let Some(value) = std::env::var_os(name) {
            apart.env(name, value);
        }
    }
    apart.envs(environment.iter().copied());
    let ended = common::end(&mut apart);
    assert_eq!(ended.status, 0, "{ended:?}");
    let passed = format!("{} passed", tests.len());
    assert!(ended.stdout.contains(&passed), "{ended:?}");
}

/// A separate process, whose message `a_message_that_is_not_sent_ends_the_call` makes fail.
#[test]
#[ignore = "run by a_message_that_is_not_sent_ends_the_call"]
fn a_call_that_fails() {
    let root = Root::empty(User::Ordinary);
    let error = call(&bare(&root), || ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot set up the run: Cannot allocate memory (ENOMEM)"
    );
    assert_eq!(names_in(root.path()), [""; 0]);
}

/// The processes that make a user namespace wait for each other's messages.
#[test]
fn a_message_that_is_not_sent_ends_the_call() {
    let strace = [
        "timeout",
        "60",
        "strace",
        "-f",
        "-q",
        "-o",
        "/dev/null",
        "-e",
        "trace=sendto",
        "-e",
        "inject=sendto:error=ENOMEM:when=1",
        "setpriv",
        "--pdeathsig=KILL",
    ];
    let environment = [("ROOTLET_TEST_WITHOUT", "root")];
    run_by(
        &strace,
        User::Ordinary,
        &environment,
        &["a_call_that_fails"],
    );
}

#[test]
fn calls_leave_nothing_behind() {
    run_apart(users()[0], &[], &["ten_thousand_calls"]);
}

#[test]
fn an_ordinary_user_calls_too() {
    run_apart(
        User::Ordinary,
        &[("ROOTLET_TEST_WITHOUT", "root")],
        &[
            "assignments_of_the_closure_stay",
            "a_closure_starts_programs_and_threads_of_the_caller_go_on",
            "the_way_a_call_ended_is_reported",
            "a_panic_is_reported",
            "processes_left_by_the_closure_are_killed",
            "a_call_inside_a_call_goes_on_from_there",
            "many_threads_call_at_once",
            "a_command_inside_cannot_look_into_the_caller",
        ],
    );
}
