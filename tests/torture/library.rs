//! The program that is traced as it spawns a command in a new root, or calls a function there.
//!
//! The traced tests start this program once more, with the name of the task in its environment. The
//! task runs before main, in the first thread, whose calls strace counts. The calls that will fail
//! lie between two marking calls, which nothing else makes.

use std::fs;
use std::process::{Command, Stdio, exit};

use rootlet::{Chroot, Error, Limits, Mount};

use crate::positions::MARKS;
use crate::traced::COMMAND;

/// The exit status for a command that a signal has ended.
pub const KILLED: i32 = 9;

unsafe extern "C" {
    safe fn getpgid(pid: i32) -> i32;
}

fn root() -> Chroot {
    let path = |name| std::env::var_os(name).expect("the traced tests start this one");
    let mut root = Chroot::new(path("TORTURE_ROOT"));
    root.mount(
        Mount::bind(path("TORTURE_SOURCE"))
            .to("/data/deep")
            .read_only(),
    );
    root
}

/// Prints warnings as rootlet would.
fn print(warnings: &[Error]) {
    for warning in warnings {
        eprintln!("rootlet: left out: {warning}");
    }
}

/// Ends the process as rootlet would.
fn finish(ended: Result<Option<i32>, rootlet::Error>) -> ! {
    getpgid(MARKS[1]);
    exit(match ended {
        Ok(status) => status.unwrap_or(99),
        Err(error) => {
            eprintln!("rootlet: {error}");
            125
        }
    })
}

/// The loader calls this before main.
#[used]
// SAFETY: it is a pointer to a function that the loader may call.
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    match std::env::var("TORTURE_LIBRARY").as_deref() {
        Ok("spawn") => spawn(),
        Ok("survive") => survive(),
        Ok("call") => call(),
        _ => {}
    }
}

fn spawn() {
    let root = root();
    let mut command = root.command(COMMAND);
    command.envs(std::env::vars_os());
    getpgid(MARKS[0]);
    let ended = command.spawn().and_then(|mut child| {
        let status = child.wait();
        print(child.warnings());
        status
    });
    finish(ended.map(|status| status.code()));
}

/// Spawns a command, and checks that everything else of this program is unharmed.
fn survive() {
    let mut other = Command::new("/bin/cat");
    let other = other.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut other = other.spawn().unwrap();
    let memory: Vec<usize> = (0..100_000).collect();
    let before = owned();
    let root = root();
    let mut command = root.command(COMMAND);
    command.envs(std::env::vars_os());
    getpgid(MARKS[0]);
    let ended = command.spawn().and_then(|mut child| child.wait());
    getpgid(MARKS[1]);
    assert_eq!(owned(), before);
    assert!(memory.into_iter().eq(0..100_000));
    assert_eq!(other.try_wait().unwrap(), None);
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    exit(match ended {
        Ok(status) => status.code().unwrap_or(KILLED),
        Err(error) => {
            eprintln!("rootlet: {error}");
            125
        }
    })
}

/// Returns the descriptors, children and blocked signals, which a spawn must not change.
fn owned() -> [Vec<String>; 3] {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().map(|entry| {
        let path = entry.unwrap().path();
        format!("{path:?} {:?}", fs::read_link(&path).ok())
    });
    let children = fs::read_to_string("/proc/thread-self/children").unwrap();
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let blocked = status.lines().filter(|line| line.starts_with("SigBlk:"));
    [
        descriptors.collect(),
        Vec::from([children]),
        blocked.map(str::to_owned).collect(),
    ]
}

fn call() {
    let root = root();
    let mut command = Command::new(COMMAND);
    getpgid(MARKS[0]);
    let closure = || {
        getpgid(MARKS[1]);
        // One of its own calls may fail too.
        let status = command.status().or_else(|_| command.status());
        getpgid(MARKS[0]);
        status.unwrap().code()
    };
    let mut warnings = Vec::new();
    // SAFETY: the closure keeps no descriptor and no lock, and ends no process.
    let ended = unsafe { root.call_with_warnings(&Limits::new(), &mut warnings, closure) };
    print(&warnings);
    finish(ended);
}
