//! Runs the case that the first argument names, in the root that the second one names; a check
//! that fails is a panic.

#![allow(missing_docs)]

mod closures;
mod streams;
mod surface;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rootlet::{Child, Chroot, Command as RootCommand, Mount, Stdio};

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGUSR1: i32 = 10;
const SIGPIPE: i32 = 13;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;
const EAGAIN: i32 = 11;
const EBADF: i32 = 9;

unsafe extern "C" {
    safe fn signal(number: i32, handler: usize) -> usize;
    safe fn raise(number: i32) -> i32;
    safe fn close(descriptor: i32) -> i32;
    safe fn alarm(seconds: u32) -> u32;
    safe fn getuid() -> u32;
    safe fn kill(pid: i32, number: i32) -> i32;
    safe fn waitpid(pid: i32, status: usize, options: i32) -> i32;
    safe fn setrlimit(resource: i32, limit: &[u64; 2]) -> i32;
}
const IGNORE: usize = 1;
const RLIMIT_NPROC: i32 = 6;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let case = arguments.next().expect("the name of a case");
    let root = arguments.next().expect("the path of a root");
    // A test that hangs must end.
    alarm(600);
    let before = Owned::look(&root);
    match case.as_str() {
        "drop" => dropped(&root),
        "wait" => wait(&root),
        "output" => output(&root),
        "threads" => threads(&root),
        "sigchld" => sigchld(&root),
        "handlers" => handlers(&root),
        "process-limit" => process_limit(&root),
        "stdio" => streams::stdio(&root),
        "closed-stdio" => streams::closed_stdio(&root),
        "run-stdio" => streams::run_stdio(&root),
        "errors" => errors(&root),
        "signals" => signals(&root),
        "hold" => hold(&root),
        "not-sent" => not_sent(&root),
        "reaped" => reaped(&root),
        "say" => say(&root),
        "detach" => detach(&root),
        "detach-ended" => detach_ended(&root),
        "pychroot" => pychroot(&root),
        "call" => closures::call(&root),
        "surface" => surface::surface(&root),
        "look" => closures::look(),
        "beside" => closures::beside(&root),
        case => panic!("there is no case {case}"),
    }
    if !["closed-stdio", "run-stdio", "detach"].contains(&case.as_str()) {
        assert_eq!(Owned::look(&root), before);
    }
}

/// Resources that a call must not leave in the program.
#[derive(PartialEq, Debug)]
struct Owned {
    descriptors: BTreeSet<String>,
    children: String,
    blocked_signals: String,
    mounts: Vec<String>,
    threads: usize,
}

impl Owned {
    fn look(root: &str) -> Owned {
        // The kernel takes a thread out of the list after it was joined.
        wait_until("threads to go", || names("/proc/self/task").len() == 1);
        let mut children = String::new();
        for task in names("/proc/self/task") {
            children += &fs::read_to_string(format!("/proc/self/task/{task}/children")).unwrap();
        }
        let descriptors = names("/proc/self/fd")
            .into_iter()
            .filter_map(|number| {
                let file = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
                Some(format!("{number} {}", file.display()))
            })
            .collect();
        Owned {
            descriptors,
            children,
            blocked_signals: status_line("self", "SigBlk"),
            // Others may mount meanwhile, but not there.
            mounts: fs::read_to_string("/proc/self/mountinfo")
                .unwrap()
                .lines()
                .filter(|line| line.contains(root))
                .map(str::to_owned)
                .collect(),
            threads: names("/proc/self/task").len(),
        }
    }
}

fn names(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// A line of `/proc/PID/status`.
fn status_line(pid: &str, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    find_line(&status, name)
}

fn find_line(status: &str, name: &str) -> String {
    let line = status.lines().find(|line| line.starts_with(name));
    line.unwrap().split_once('\t').unwrap().1.to_owned()
}

#[track_caller]
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A shell script in the root.
fn shell(root: &str, script: &str) -> RootCommand {
    in_root(&Chroot::new(root), script)
}

fn in_root(root: &Chroot, script: &str) -> RootCommand {
    let mut command = root.command("sh");
    command.args(["-c", script]);
    command
}

fn text(command: &mut RootCommand) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap()
}

/// The pid of the command, once pid 1 has it.
fn command_of(child: &Child) -> i32 {
    let id = child.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}

fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 2..].chars().next()
}

fn dropped(root: &str) {
    for _ in 0..20 {
        let script = "sleep 1000 & (setsid sleep 1000 &) ; trap '' TERM INT HUP; wait";
        let child = shell(root, script).spawn().unwrap();
        let (pid1, command) = (child.id(), command_of(&child));
        drop(child);
        assert_eq!(state(pid1 as i32), None);
        assert_eq!(state(command), None);
    }
    // While everything is still being set up for the next one, too.
    for _ in 0..20 {
        drop(shell(root, "sleep 1000").spawn().unwrap());
    }
}

fn wait(root: &str) {
    let (reader, mut writer) = pipe().unwrap();
    let mut child = shell(root, "read line; exit 3")
        .stdin(OwnedFd::from(reader))
        .spawn()
        .unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    let other = shell(root, "exit 4").status().unwrap();
    assert_eq!(other.code(), Some(4));
    assert_eq!(child.try_wait().unwrap(), None);
    writer.write_all(b"line\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(3));
    assert!(!names("/proc").contains(&child.id().to_string()));

    let mut child = shell(root, "exit 5").spawn().unwrap();
    let mut status = None;
    wait_until("the end", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(5));
    assert_eq!(child.wait().unwrap().code(), Some(5));

    let mut child = shell(root, "sleep 1000").spawn().unwrap();
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL));
    child.kill().unwrap();
}

fn output(root: &str) {
    const LENGTH: usize = 100 << 20;
    let script = format!("head -c {LENGTH} /dev/zero & head -c {LENGTH} /dev/zero >&2; wait");
    let output = shell(root, &script).output().unwrap();
    assert!(output.status.success());
    for collected in [output.stdout, output.stderr] {
        assert_eq!(collected.len(), LENGTH);
        assert!(collected.iter().all(|byte| *byte == 0));
    }

    // A process that is left running holds the pipes. It is killed.
    let mut output = shell(root, "sleep 1000 & echo out; echo err >&2; exit 6");
    let output = output.output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");

    // Standard input is empty, unless it was set, and what was set is not collected.
    assert_eq!(text(&mut shell(root, "cat; echo end")), "end\n");
    let (mut reader, writer) = pipe().unwrap();
    let mut set = shell(root, "echo away; echo here >&2");
    let output = set.stdout(OwnedFd::from(writer)).output().unwrap();
    drop(set);
    assert_eq!((output.stdout, output.stderr), (vec![], b"here\n".to_vec()));
    let mut away = String::new();
    reader.read_to_string(&mut away).unwrap();
    assert_eq!(away, "away\n");

    // Its own ends are closed before the command is.
    let closes = shell(root, "exec >&- 2>&-; sleep 0.1; exit 9")
        .output()
        .unwrap();
    assert_eq!(closes.status.code(), Some(9));
}

fn threads(root: &str) {
    let threads: Vec<_> = (0..64)
        .map(|number: u8| {
            let root = root.to_owned();
            thread::spawn(move || {
                for _ in 0..3 {
                    let script = "hostname; ls /proc/self/fd | wc -l; cat >/dev/null; exit $0";
                    let mut chroot = Chroot::new(&root);
                    chroot.hostname(format!("host-{number}"));
                    let mut command = chroot.command("sh");
                    let output = command.args(["-c", script, &number.to_string()]).output();
                    let output = output.unwrap();
                    assert_eq!(output.status.code(), Some(number.into()), "{output:?}");
                    // The fourth is ls's own.
                    let expected = format!("host-{number}\n4\n");
                    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
                    assert_eq!(output.stderr, b"");
                    let error = Chroot::new(&root).command("no-such").status().unwrap_err();
                    assert_eq!(error.status(), 127);
                }
            })
        })
        .collect();
    // Others allocate and start processes meanwhile.
    let ordinary = Command::new("true").status().unwrap();
    assert!(ordinary.success());
    for thread in threads {
        thread.join().unwrap();
    }
}

static SIGCHLDS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: i32) {
    SIGCHLDS.fetch_add(1, Ordering::SeqCst);
}

fn sigchld(root: &str) {
    signal(SIGCHLD, IGNORE);
    assert_eq!(shell(root, "exit 3").status().unwrap().code(), Some(3));
    let mut child = shell(root, "kill -9 $$").spawn().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL));

    // A program that waits for its own children does not see the library's.
    signal(SIGCHLD, count as extern "C" fn(i32) as usize);
    let mut own = Command::new("sh")
        .args(["-c", "read x; exit 8"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..10 {
        assert_eq!(
            shell(root, "(exit 1) & wait").status().unwrap().code(),
            Some(0)
        );
        drop(shell(root, "sleep 1000").spawn().unwrap());
    }
    assert_eq!(SIGCHLDS.load(Ordering::SeqCst), 0);
    drop(own.stdin.take());
    assert_eq!(own.wait().unwrap().code(), Some(8));
    assert_eq!(SIGCHLDS.load(Ordering::SeqCst), 1);
    signal(SIGCHLD, 0);
}

/// No handler of the program is in pid 1, and the command gets its dispositions and mask.
fn handlers(root: &str) {
    signal(SIGUSR1, count as extern "C" fn(i32) as usize);
    signal(11, count as extern "C" fn(i32) as usize);
    signal(SIGINT, IGNORE);
    signal(SIGPIPE, IGNORE);
    let (reader, _writer) = pipe().unwrap();
    let child = shell(root, "exec cat")
        .stdin(OwnedFd::from(reader))
        .spawn()
        .unwrap();
    assert_eq!(
        status_line(&child.id().to_string(), "SigCgt"),
        "0".repeat(16)
    );
    let command = command_of(&child).to_string();
    wait_until("cat", || status_line(&command, "Name") == "cat");
    let ignored = u64::from_str_radix(&status_line(&command, "SigIgn"), 16).unwrap();
    assert_eq!(ignored & (1 << (SIGINT - 1)), 1 << (SIGINT - 1));
    assert_eq!(ignored & (1 << (SIGPIPE - 1)), 0);
    assert_eq!(ignored & (1 << (SIGCHLD - 1)), 0);
    let blocked = status_line("thread-self", "SigBlk");
    assert_eq!(status_line(&command, "SigBlk"), blocked);
    assert_eq!(group_of(&command), group_of("self"));
    drop(child);
    // The program's own handler works as before.
    raise(SIGUSR1);
    assert_eq!(SIGCHLDS.load(Ordering::SeqCst), 1);
}

fn group_of(pid: &str) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = &stat[stat.rfind(')').unwrap() + 2..];
    rest.split(' ').nth(2).unwrap().to_owned()
}

fn process_limit(root: &str) {
    assert_ne!(getuid(), 0, "no limit holds for root");
    let mut limited = shell(root, "exit 3");
    // This process; with pid 1; with the command.
    for (limit, says) in [
        (1, "cannot make new namespaces"),
        (2, "cannot start a process for sh"),
    ] {
        // The greatest, so that it can be set back.
        assert_eq!(setrlimit(RLIMIT_NPROC, &[limit, 1000]), 0);
        for _ in 0..10 {
            let error = limited.spawn().unwrap_err();
            assert_eq!((error.errno(), error.status()), (Some(EAGAIN), 125));
            assert!(error.to_string().starts_with(says), "{error}");
        }
    }
    assert_eq!(setrlimit(RLIMIT_NPROC, &[1000, 1000]), 0);
    assert_eq!(limited.status().unwrap().code(), Some(3));
}

fn errors(root: &str) {
    let spawn = |mut command: RootCommand, status: u8, line: &str| {
        let error = command.spawn().unwrap_err();
        assert_eq!((error.to_string().as_str(), error.status()), (line, status));
        let again = command.output().unwrap_err();
        assert_eq!(again, error);
    };
    spawn(
        Chroot::new(root).command("no-such"),
        127,
        "cannot run no-such: No such file or directory (ENOENT)",
    );
    spawn(
        Chroot::new(root).command("/plain"),
        126,
        "cannot run /plain: Permission denied (EACCES)",
    );
    spawn(
        Chroot::new(root).command("/no-interpreter"),
        127,
        "cannot run /no-interpreter: No such file or directory (ENOENT)",
    );
    spawn(
        Chroot::new(root).command("/foreign"),
        126,
        "cannot run /foreign: Exec format error (ENOEXEC)",
    );
    let mut elsewhere = Chroot::new(root);
    elsewhere.current_dir("/no/such");
    spawn(
        elsewhere.command("sh"),
        125,
        "cannot change to the directory /no/such: No such file or directory (ENOENT)",
    );
    let mut mounts = Chroot::new(root);
    mounts.mount(Mount::bind("/no/such/source").to("/mnt"));
    spawn(
        mounts.command("sh"),
        125,
        "cannot open /no/such/source: No such file or directory (ENOENT)",
    );
    spawn(
        Chroot::new(root).command("sh\0"),
        125,
        "cannot use sh: it contains a NUL byte",
    );
    let mut fallback = Chroot::new(root).command("no-such");
    fallback.or_command(["sh", "-c", "exit 4"]);
    assert_eq!(fallback.status().unwrap().code(), Some(4));
}

fn signals(root: &str) {
    let start = |script: &str| {
        let (mut reader, writer) = pipe().unwrap();
        let child = shell(root, script)
            .stdout(OwnedFd::from(writer))
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        reader.read_exact(&mut ready).unwrap();
        assert_eq!(&ready, b"ready\n");
        child
    };
    let mut child = start("echo ready; exec sleep 1000");
    child.signal(SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(SIGTERM));
    assert_eq!(child.signal(SIGTERM).unwrap_err().errno(), Some(3));

    let mut child = start("trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done");
    assert_eq!(child.signal(99).unwrap_err().errno(), Some(22));
    child.signal(SIGUSR1).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));

    let mut child = start("echo ready; exec sleep 1000");
    let command = command_of(&child);
    for _ in 0..3 {
        child.signal(SIGSTOP).unwrap();
        wait_until("it to stop", || state(command) == Some('T'));
        assert_eq!(child.try_wait().unwrap(), None);
        assert_ne!(state(child.id() as i32), Some('T'));
        child.signal(SIGCONT).unwrap();
        wait_until("it to go on", || state(command) == Some('S'));
    }
    child.signal(SIGKILL).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL));

    // The command's own stops and signals do not fill up anything that nobody reads.
    let script = "echo ready; i=0; while [ $i -lt 600 ]; do \
        sh -c 'kill -STOP $$' & kill -STOP $!; kill -CONT $!; kill -KILL $!; wait $!; \
        i=$((i+1)); done; exit 3";
    assert_eq!(start(script).wait().unwrap().code(), Some(3));
}

/// The program itself reaps the process that `wait` would wait for.
fn reaped(root: &str) {
    const WALL: i32 = 0x4000_0000;
    let mut child = shell(root, "exit 3").spawn().unwrap();
    wait_until("the end", || state(child.id() as i32) == Some('Z'));
    // The parent of a small pid 1, which keeps the pid until it is asked, or pid 1.
    let children = fs::read_to_string("/proc/thread-self/children").unwrap();
    let ours: i32 = children.trim().parse().unwrap();
    kill(ours, SIGKILL);
    assert_eq!(waitpid(-1, 0, WALL), ours);
    for _ in 0..2 {
        assert_eq!(child.wait().unwrap_err().errno(), Some(10));
    }
}

/// Prints the status of a command that starts no other, or the error.
fn say(root: &str) {
    match Chroot::new(root).command("true").status() {
        Ok(status) => println!("{}", status.code().unwrap()),
        Err(error) => println!("{error}"),
    }
}

/// kill(2) fails here.
fn not_sent(root: &str) {
    let mut command = shell(root, "exec cat");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let pid1 = child.id() as i32;
    for _ in 0..3 {
        child.signal(SIGTERM).unwrap();
        wait_until("pid 1 to take it", || {
            let status = fs::read_to_string(format!("/proc/{pid1}/status")).unwrap();
            status.contains("ShdPnd:\t0000000000000000") && state(pid1) == Some('S')
        });
    }
    assert!(child.wait().unwrap().success());
    let warnings: Vec<_> = child.warnings().iter().map(ToString::to_string).collect();
    let line = "cannot send a signal to the command: Operation not permitted (EPERM)";
    assert_eq!(warnings, [line]);
}

/// Prints the pid, and waits to be ended.
fn hold(root: &str) {
    let child = shell(root, "sleep 1000").spawn().unwrap();
    println!("{}", child.id());
    loop {
        thread::park();
    }
}

/// The test goes on when this program has ended.
fn detach(root: &str) {
    let (reader, writer) = pipe().unwrap();
    // It would keep the test waiting for the end of our standard output.
    let child = shell(root, "cat /fifo >/dev/null; echo told >/result")
        .stdin(OwnedFd::from(reader))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(writer);
    println!("{} {}", child.id(), command_of(&child));
    child.detach().unwrap();
}

fn detach_ended(root: &str) {
    let child = shell(root, "exit 3").spawn().unwrap();
    let pid1 = child.id() as i32;
    wait_until("the end", || state(pid1) == Some('Z'));
    child.detach().unwrap();
    assert_eq!(state(pid1), None);
}

/// The promises of pychroot's own tests.
fn pychroot(root: &str) {
    // A path that is not there, and one that is no directory.
    let error = Chroot::new("/nonexistent/path")
        .command("sh")
        .spawn()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot open the new root /nonexistent/path: No such file or directory (ENOENT)"
    );
    assert!(Chroot::new("/dev/null").command("sh").spawn().is_err());

    // A variable that is not set: an error, or left out where the mount is optional.
    let unset = |_: &[u8]| None;
    assert!(Mount::parse(b"$FAKEVAR:/mnt", unset).is_err());
    assert_eq!(Mount::parse(b"$FAKEVAR:/mnt:optional", unset), Ok(None));
    let set = |name: &[u8]| (name == b"VAR").then_some(&b"/data"[..]);
    assert_eq!(
        Mount::parse(b"$VAR:/mnt", set),
        Ok(Some(Mount::bind("/data").to("/mnt")))
    );

    // No mounts at all.
    let mut bare = Chroot::new(root);
    bare.no_mounts();
    assert_eq!(text(&mut in_root(&bare, "ls /")), "bin\n");

    // One's own are added to the defaults, which stay what they are.
    let defaults = Mount::defaults();
    let data = std::env::temp_dir().join(format!("outside-{}", std::process::id()));
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "").unwrap();
    let mut custom = Chroot::new(root);
    custom.mount(Mount::bind(&data).to("/data"));
    let script = "ls /data; test -e /proc/self && test -c /dev/null";
    assert_eq!(text(&mut in_root(&custom, script)), "file\n");
    assert_eq!(Mount::defaults(), defaults);
    assert_eq!(text(&mut shell(root, "ls /")), "bin\ndev\netc\nproc\nsys\n");
    fs::remove_dir_all(data).unwrap();

    // The host name is set inside only.
    let hostname = || fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let before = hostname();
    let mut named = Chroot::new(root);
    named.hostname("name.example.org");
    let script = "hostname; cat /proc/sys/kernel/domainname";
    assert_eq!(text(&mut in_root(&named, script)), "name\nexample.org\n");
    assert_eq!(hostname(), before);
}
