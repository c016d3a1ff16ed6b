//! Shared by the integration tests: the binary, root trees to run it in, and the state of the host.
//!
//! No test mounts anything in the host's mount namespace, and no test depends on another one.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test file uses a part"
)]

pub mod filter;
pub mod fuse;
pub mod guest;
pub mod hostile;
pub mod init;
pub mod outside;
pub mod place;
pub mod running;
pub mod terminal;

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// The user that runs rootlet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum User {
    Root,
    /// A user without privileges.
    Ordinary,
}

/// The ordinary user's id when the tests run as root. /etc/passwd does not have to contain it.
const ORDINARY_ID: u32 = 54321;

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns whether tests that need this capability are left out. `scripts/test` lists those that
/// this machine lacks in `ROOTLET_TEST_WITHOUT`, for example `root,network`. All others have to
/// work then. A plain `cargo test` without root leaves out the tests that need root.
pub fn is_left_out(capability: &str) -> bool {
    let left_out = match std::env::var("ROOTLET_TEST_WITHOUT") {
        Ok(without) => without.split(',').any(|name| name == capability),
        Err(_) => capability == "root" && !is_root(),
    };
    if left_out {
        say_left_out(capability);
    }
    left_out
}

/// Prints one line for each test program. cargo shows it even if the test succeeds.
fn say_left_out(capability: &str) {
    static REPORTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut reported = REPORTED.lock().unwrap();
    if reported.iter().all(|known| known != capability) {
        let how = match capability {
            "root" => " (run as root, or scripts/test)",
            _ => "",
        };
        // cargo captures the output of the macros, and shows it only for failures.
        let line = format!("left out: {capability}{how}\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
        reported.push(capability.to_owned());
    }
}

/// Returns the users to test as: both when the tests run as root. Without root, the root user must
/// be left out explicitly.
pub fn users() -> Vec<User> {
    if is_root() {
        vec![User::Root, User::Ordinary]
    } else {
        assert!(
            is_left_out("root"),
            "run the tests as root, or leave that out: scripts/test --without root"
        );
        vec![User::Ordinary]
    }
}

/// Returns whether a test that needs root can run. If not, reports that it was left out.
pub fn can_be_root() -> bool {
    users().contains(&User::Root)
}

/// Returns whether the machine is emulated. Everything takes ten times as long there.
pub fn is_emulated() -> bool {
    std::env::var_os("ROOTLET_TEST_EMULATED").is_some()
}

/// Returns how many rounds of a race to run. The given number suits a real machine.
pub fn rounds(number: usize) -> usize {
    match is_emulated() {
        true => number.div_ceil(10),
        false => number,
    }
}

/// The binary under test, in a place where every user can execute it.
pub fn rootlet_path() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        // A throwaway kernel tests the release build, because emulation is slow.
        if let Some(path) = std::env::var_os("ROOTLET_UNDER_TEST") {
            return PathBuf::from(path);
        }
        for_every_user(Path::new(env!("CARGO_BIN_EXE_rootlet")))
    })
}

/// Returns the program, or a copy of it that every user can execute.
pub fn for_every_user(built: &Path) -> PathBuf {
    if !is_root() {
        return built.to_path_buf();
    }
    // The checkout may lie below a directory that only root can enter.
    if built.parent().is_some_and(is_reachable) {
        return built.to_path_buf();
    }
    let name = built.file_name().unwrap().to_str().unwrap();
    let copy = std::env::temp_dir().join(format!("{name}-under-test-{}", std::process::id()));
    copy_program(built, &copy);
    copy
}

/// Copies a program that will be executed. Another process has to write it: a child that another
/// thread forks meanwhile would inherit our open descriptor, and executing the program would fail
/// with ETXTBSY.
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let mut copy = Command::new("cp");
    let status = copy.arg("--").args([from.as_ref(), to.as_ref()]).status();
    assert!(status.unwrap().success(), "{copy:?}");
}

/// The kernels of `scripts/vm`, shared by all users and kept for later runs.
pub fn kernel_cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let mut cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        if is_root() && !is_reachable(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
            cache = std::env::temp_dir().join("rootlet-test-cache");
        }
        let kernels = cache.join("rootlet");
        fs::create_dir_all(&kernels).unwrap();
        // This fails for a directory that another user made earlier, which is usable already.
        let _ = fs::set_permissions(&kernels, Permissions::from_mode(0o777));
        cache
    })
}

/// Returns whether every user can reach this directory. A checkout may lie below one that only root
/// can enter.
fn is_reachable(directory: &Path) -> bool {
    directory
        .ancestors()
        .all(|path| fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 1 == 1))
}

/// A command that starts as this user, with the usual PATH as its only environment, and with no
/// signal ignored. A shell that runs the tests in the background makes them ignore SIGINT.
pub fn command(user: User, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .stdin(Stdio::null());
    if user == User::Ordinary && is_root() {
        command.uid(ORDINARY_ID).gid(ORDINARY_ID);
    }
    // SAFETY: only system calls are made.
    unsafe {
        command.pre_exec(|| {
            (1..=64).for_each(default_signal);
            Ok(())
        })
    };
    command
}

/// This makes the system call itself, because libc rejects signals 32 and 33.
fn default_signal(number: usize) {
    let default = [0u64; 4];
    // SAFETY: `default` is as large as a kernel_sigaction, and all zero is SIG_DFL.
    unsafe {
        sc::syscall4(
            sc::nr::RT_SIGACTION,
            number,
            default.as_ptr() as usize,
            0,
            8,
        )
    };
}

unsafe extern "C" {
    /// `kill(2)`: rustix has no name for some of the 64 signals.
    safe fn kill(pid: i32, number: i32) -> i32;
}

/// Sends a signal to a process that the test started, or to a descendant of one.
#[track_caller]
pub fn send_signal(pid: i32, number: i32) {
    assert!(pid > 1);
    assert_eq!(kill(pid, number), 0, "signal {number} to {pid}");
}

/// Returns the letter of the process's state in /proc/PID/stat, or `None` if the process has ended.
pub fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 2..].chars().next()
}

/// Returns the children of a process.
pub fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace()
        .map(|child| child.parse().unwrap())
        .collect()
}

/// A command that prints `ready`, then `got N` for each signal that it receives, and ends with
/// status 5 after SIGUSR2. Stop signals keep their default action.
pub const PRINT_SIGNALS: &str = "\
import signal, sys
signals = set(range(1, 65)) - {4, 5, 7, 8, 9, 11, 19, 20, 21, 22, 31, 32, 33}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print('ready', flush=True)
number = 0
while number != signal.SIGUSR2:
    number = signal.sigwaitinfo(signals).si_signo
    print('got', number, flush=True)
sys.exit(5)
";

/// `rootlet` as this user.
pub fn rootlet(user: User) -> Command {
    command(user, rootlet_path())
}

/// The result of a finished command.
#[derive(Debug)]
pub struct Ended {
    /// As in a shell, 128+N for a signal. A signal never ends rootlet itself.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            status: output
                .status
                .code()
                .unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

pub fn end(command: &mut Command) -> Ended {
    command.output().unwrap().into()
}

/// Waits for the end of a command like [`end`]. Fails if it hangs, and then kills its process group.
#[track_caller]
pub fn end_in_time(command: &mut Command, what: &str) -> Ended {
    let child = command.process_group(0).stdin(Stdio::null());
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            let group = Pid::from_child(&child);
            kill_process_group(group, Signal::KILL).unwrap();
            child.wait().unwrap();
            panic!("{what}: it hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap().into()
}

/// Runs a command that must succeed and print nothing to standard error. Returns its standard
/// output.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let ended = end(command);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
    ended.stdout
}

/// A directory to use as a root. It is removed at the end of the test.
pub struct Root {
    directory: TempDir,
    user: User,
}

impl Root {
    /// An empty root.
    pub fn empty(user: User) -> Root {
        let directory = tempfile::Builder::new()
            .prefix("rootlet-test-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let root = Root { directory, user };
        root.own("");
        root
    }

    /// A root with only a static busybox, under all its names, in /bin.
    pub fn busybox(user: User) -> Root {
        let root = Root::empty(user);
        root.directory("bin");
        let busybox = Path::new("/bin/busybox");
        assert!(
            busybox.exists(),
            "busybox is missing: apt-get install busybox-static"
        );
        copy_program(busybox, root.path().join("bin/busybox"));
        let names = Command::new(busybox).arg("--list").output().unwrap().stdout;
        for name in String::from_utf8(names).unwrap().lines() {
            if name != "busybox" {
                symlink("busybox", root.path().join("bin").join(name)).unwrap();
            }
        }
        root
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the path as text, for arguments and messages.
    pub fn name(&self) -> &str {
        self.path().to_str().unwrap()
    }

    /// Makes the user that will run rootlet the owner of a path in the root.
    pub fn own(&self, path: &str) {
        if self.user == User::Ordinary && is_root() {
            let path = self.path().join(path);
            std::os::unix::fs::lchown(path, Some(ORDINARY_ID), Some(ORDINARY_ID)).unwrap();
        }
    }

    /// Makes a directory in the root, with its parents.
    pub fn directory(&self, path: &str) -> PathBuf {
        let mut made = PathBuf::new();
        for part in Path::new(path) {
            made.push(part);
            if fs::create_dir(self.path().join(&made)).is_ok() {
                self.own(made.to_str().unwrap());
            }
        }
        self.path().join(path)
    }

    /// Makes a file in the root, with its parent directories.
    pub fn file(&self, path: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        self.above(path);
        let file = self.path().join(path);
        fs::write(&file, contents).unwrap();
        self.own(path);
        file
    }

    /// Makes an executable file in the root.
    pub fn script(&self, path: &str, contents: &str) -> PathBuf {
        self.executable(path, contents)
    }

    /// Makes an executable file in the root, whose contents may be binary.
    pub fn executable(&self, path: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let written = self.file(&format!("{path}.written"), contents);
        fs::set_permissions(&written, Permissions::from_mode(0o755)).unwrap();
        let file = self.path().join(path);
        copy_program(&written, &file);
        fs::remove_file(written).unwrap();
        self.own(path);
        file
    }

    /// Makes a symbolic link in the root, with its parent directories.
    pub fn symlink(&self, path: &str, target: impl AsRef<Path>) {
        self.above(path);
        symlink(target, self.path().join(path)).unwrap();
        self.own(path);
    }

    fn above(&self, path: &str) {
        if let Some(parent) = Path::new(path).parent() {
            self.directory(parent.to_str().unwrap());
        }
    }

    /// `rootlet run [OPTION]… ROOT COMMAND…` as the root's user, where `words` contains `ROOT`.
    pub fn run(&self, words: &[&str]) -> Command {
        let mut command = rootlet(self.user);
        command.arg("run");
        command.args(words.iter().map(|word| match *word {
            "ROOT" => self.name(),
            word => word,
        }));
        command
    }

    /// Lists everything in the root except /bin: one line for each name, with its mode and link
    /// target.
    pub fn tree(&self) -> Vec<String> {
        let mut lines = tree(self.path());
        lines.retain(|line| !line.starts_with("bin"));
        lines
    }
}

/// Lists everything below a directory, sorted: one line for each name, with its mode and link
/// target. Names that a run removes meanwhile are left out.
pub fn tree(top: &Path) -> Vec<String> {
    /// `None` if the name has vanished.
    fn there<T>(found: std::io::Result<T>) -> Option<T> {
        match found {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            found => Some(found.unwrap()),
        }
    }
    fn visit(top: &Path, directory: &Path, lines: &mut Vec<String>) {
        let entries = there(fs::read_dir(directory)).into_iter().flatten();
        for path in entries.filter_map(there).map(|entry| entry.path()) {
            let Some(metadata) = there(fs::symlink_metadata(&path)) else {
                continue;
            };
            let name = path.strip_prefix(top).unwrap().display();
            let target = fs::read_link(&path).unwrap_or_default();
            lines.push(format!("{name} {:o} {}", metadata.mode(), target.display()));
            if metadata.is_dir() {
                visit(top, &path, lines);
            }
        }
    }
    let mut lines = Vec::new();
    visit(top, top, &mut lines);
    lines.sort();
    lines
}

/// Returns the mounts of this process's mount namespace.
pub fn host_mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

/// Waits until the condition holds. Fails after a time that only a hang can take.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    // The clock of an emulated machine goes on while its host runs other processes.
    let end = Instant::now() + Duration::from_secs(if is_emulated() { 600 } else { 60 });
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns the host's processes with `mark` in their command line, which is empty for kernel
/// threads and zombies. A test marks its processes with the name of its own temporary directory.
pub fn processes_with(mark: &str) -> Vec<i32> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let holds = line
            .windows(mark.len())
            .any(|window| window == mark.as_bytes());
        if holds && pid != std::process::id() as i32 {
            pids.push(pid);
        }
    }
    pids
}

/// A minimal Debian, made by mmdebstrap.
pub fn debian() -> Root {
    debian_as("debian-bookworm", &["--variant=minbase"])
}

/// A Debian that boots.
pub fn debian_with_systemd() -> Root {
    debian_as(
        "debian-bookworm-systemd",
        &["--variant=minbase", "--include=systemd-sysv,udev,dbus"],
    )
}

/// Made once for all tests, and unpacked for each.
fn debian_as(name: &str, options: &[&str]) -> Root {
    let tarball = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.tar"));
    let lock = fs::File::create(tarball.with_extension("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    if !tarball.exists() {
        let unfinished = tarball.with_extension("unfinished.tar");
        let mut mmdebstrap = Command::new("mmdebstrap");
        mmdebstrap
            .arg("--quiet")
            .args(options)
            .arg("bookworm")
            .arg(&unfinished);
        let made = mmdebstrap
            .output()
            .expect("mmdebstrap is missing: apt-get install mmdebstrap");
        assert!(made.status.success(), "{made:?}");
        fs::rename(unfinished, &tarball).unwrap();
    }
    drop(lock);
    let root = Root::empty(User::Root);
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(&tarball).arg("-C").arg(root.path());
    assert!(tar.status().unwrap().success());
    root
}
