//! Support for tests of hostile roots: a directory outside of the root that must stay untouched,
//! and runs that are stopped if they hang.

use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, inotify, makedev, mknodat};

use super::{Ended, Root, User, host_mounts, tree};

/// The target of a hostile root's links: a directory of the host that the user who runs rootlet
/// could change.
pub struct Outside {
    pub directory: Root,
    before: Vec<String>,
    events: std::os::fd::OwnedFd,
}

impl Outside {
    pub fn new(user: User) -> Outside {
        Outside::of(user, |_| {})
    }

    /// Returns a directory that can replace the host's `/dev`.
    pub fn with_devices(user: User) -> Outside {
        Outside::of(user, |directory| {
            for (name, minor) in [("null", 3), ("zero", 5), ("full", 7), ("urandom", 9)] {
                let path = directory.path().join(name);
                let (mode, device) = (Mode::from_raw_mode(0o666), makedev(1, minor));
                mknodat(CWD, &path, FileType::CharacterDevice, mode, device).unwrap();
            }
        })
    }

    fn of(user: User, fill: impl FnOnce(&Root)) -> Outside {
        let directory = Root::empty(user);
        fill(&directory);
        directory.file("marker", "of the host");
        directory.file("resolv.conf", "of the host");
        directory.directory("shm");
        directory.directory("point");
        let events =
            inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        let changes = inotify::WatchFlags::CREATE
            | inotify::WatchFlags::DELETE
            | inotify::WatchFlags::MOVE
            | inotify::WatchFlags::ATTRIB
            | inotify::WatchFlags::MODIFY;
        for path in ["", "shm", "point"] {
            inotify::add_watch(&events, directory.path().join(path), changes).unwrap();
        }
        Outside {
            before: tree(directory.path()),
            directory,
            events,
        }
    }

    pub fn name(&self) -> &str {
        self.directory.name()
    }

    /// Returns links to this directory and to missing names below it, absolute and relative.
    pub fn links(&self) -> Vec<String> {
        let up = "../".repeat(20);
        let name = self.name();
        vec![
            name.to_owned(),
            format!("{up}{}", &name[1..]),
            format!("{name}/missing"),
            format!("{name}/missing/deeper"),
            format!("{up}{}/missing", &name[1..]),
        ]
    }

    /// Returns a link that reaches this directory through `..`, after a name that roots lack.
    /// Inside a root it is therefore dangling.
    pub fn link_back(&self) -> String {
        format!("{}/shm/../missing", self.name())
    }

    /// Checks that nothing was changed here, even for a moment, and that nothing is mounted here.
    #[track_caller]
    pub fn assert_untouched(&self, what: &dyn std::fmt::Debug) {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let event = inotify::Reader::new(&self.events, &mut buffer)
            .next()
            .map(|event| format!("{event:?}"));
        assert_eq!(event, Err(rustix::io::Errno::AGAIN), "{what:?}");
        assert_eq!(tree(self.directory.path()), self.before, "{what:?}");
        assert!(!host_mounts().contains(self.name()), "{what:?}");
    }
}

/// Runs a command to its end, and fails if it hangs.
#[track_caller]
pub fn end(command: &mut Command) -> Ended {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    match receiver.recv_timeout(Duration::from_secs(60)) {
        Ok(output) => output.into(),
        Err(_) => {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            // Descendants of a hanging run may keep the pipes open, therefore its output is not
            // read.
            panic!("hangs: {command:?}");
        }
    }
}

/// Checks for an error of rootlet: status 125, and one line that names the path. A hint may follow.
#[track_caller]
pub fn assert_refused(ended: &Ended, path: &str) {
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (125, ""),
        "{ended:?}"
    );
    let mut lines = ended.stderr.lines();
    let line = lines.next().unwrap_or_default();
    assert!(line.starts_with("rootlet: cannot "), "{ended:?}");
    assert!(line.contains(path), "{path}: {ended:?}");
    assert!(lines.all(|line| line.starts_with("hint: ")), "{ended:?}");
}

/// Returns the same command on a kernel without openat2(2).
pub fn without_openat2(user: User, command: &Command) -> Command {
    without("openat2", user, command)
}

/// Returns the same command on a kernel without this system call.
pub fn without(call: &str, user: User, command: &Command) -> Command {
    let mut strace = super::command(user, "strace");
    strace
        .args(["-f", "--seccomp-bpf", "-o", "/dev/null", "-e"])
        .args([format!("trace={call}"), "-e".to_owned()])
        .arg(format!("inject={call}:error=ENOSYS"))
        .arg(command.get_program())
        .args(command.get_args());
    strace
}

#[track_caller]
pub fn assert_success(ended: &Ended, stdout: &str) {
    assert_eq!(
        (ended.status, ended.stdout.as_str(), ended.stderr.as_str()),
        (0, stdout, ""),
        "{ended:?}"
    );
}

/// `bash -c SCRIPT` as root in a new mount namespace, whose mounts are shared, but not with the
/// host.
pub fn outer_namespace(script: &str) -> Command {
    let mut command = super::command(User::Root, "unshare");
    command.args(["-m", "--propagation", "private", "bash", "-uc"]);
    command.arg(format!("mount --make-rshared / || exit\n{script}"));
    command
}
