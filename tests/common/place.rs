//! A root on a file system of the test's own, in the mount namespace of one thread.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::Mode;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::fuse::{Behaviour, Locks, mount_fuse};
use super::running::Running;
use super::{Root, User, copy_program, end, state, succeed, wait_until};

/// Mounts a file system in the mount namespace of one thread, makes a root on it, and runs the
/// test.
pub fn on(user: User, make: impl FnOnce(&Path) + Send, test: impl FnOnce(&Place) + Send) {
    let root = Root::empty(user);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: no descriptor table is unshared.
            unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount_change("/", private).unwrap();
            make(root.path());
            fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
            root.own("");
            fs::create_dir(root.path().join("bin")).unwrap();
            copy_program("/bin/busybox", root.path().join("bin/busybox"));
            test(&Place {
                root: &root,
                user,
                filter: None,
                umask: 0o022,
            });
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// A root, and the error of flock(2) there, if it has to fail.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub root: &'a Root,
    pub user: User,
    pub filter: Option<u32>,
    pub umask: u32,
}

/// A script that checks that every mount of a run is still there.
pub const LOOK: &str = "for file in /dev/null /proc/1/stat /sys/class /etc/resolv.conf /made/here/own; do \
     test -e $file || { echo $file is lost; exit 9; }; done; grep -q /etc/resolv.conf /proc/mounts || \
     { echo resolv.conf is not mounted; exit 9; }; exit 3";

impl Place<'_> {
    pub fn tree(&self) -> Vec<String> {
        self.root.tree()
    }

    /// Runs a script of busybox with the default mounts and two more. The file for resolv.conf does
    /// not depend on the host's.
    pub fn run(&self, script: &str) -> Command {
        let script = script
            .replace("test ", "busybox test ")
            .replace("grep ", "busybox grep ")
            .replace("touch ", "busybox touch ");
        let words = "--resolv-conf off --hosts off -B /bin/busybox:/etc/resolv.conf -B tmpfs:/made/here ROOT \
             /bin/busybox sh -c";
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut command = self.root.run(&[&words[..], &[&script]].concat());
        command.stderr(Stdio::piped());
        let (filter, umask) = (self.filter, Mode::from_raw_mode(self.umask));
        let prepare = move || {
            rustix::process::umask(umask);
            filter.map_or(Ok(()), refuse_flock)
        };
        // SAFETY: only system calls are made.
        unsafe { command.pre_exec(prepare) };
        command
    }

    /// Starts a run that makes a file in its tmpfs and then waits for a line.
    pub fn start(&self) -> Running {
        let script = format!("touch /made/here/own; echo ready; read line; {LOOK}");
        let running = Running::start(self.run(&script).stdin(Stdio::piped()));
        if let Ok(line) = running.try_line(std::time::Duration::from_secs(60)) {
            assert_eq!(line, "ready");
        } else {
            panic!("{:?}", errors(running));
        }
        running
    }
}

fn errors(mut running: Running) -> String {
    let mut text = String::new();
    let mut errors = running.child.stderr.take().unwrap();
    std::io::Read::read_to_string(&mut errors, &mut text).unwrap();
    text
}

/// Lets the run continue, and checks that all its mounts are still there.
#[track_caller]
pub fn finish(mut running: Running) {
    let mut input = running.child.stdin.take().unwrap();
    input.write_all(b"go on\n").unwrap();
    let status = running.status();
    assert_eq!((status, errors(running).as_str()), (3, ""));
}

/// Installs a seccomp filter that fails flock(2).
fn refuse_flock(errno: u32) -> std::io::Result<()> {
    #[repr(C)]
    struct Program {
        length: u16,
        filter: *const u64,
    }
    // Each u64 is a `struct sock_filter`: a u16, two u8 and a u32.
    let instruction = |code: u16, if_true: u8, if_false: u8, value: u32| {
        let [low, high] = code.to_ne_bytes();
        let [a, b, c, d] = value.to_ne_bytes();
        u64::from_ne_bytes([low, high, if_true, if_false, a, b, c, d])
    };
    let filter = [
        // Load the number of the call. For flock, return SECCOMP_RET_ERRNO, otherwise
        // SECCOMP_RET_ALLOW.
        instruction(0x20, 0, 0, 0),
        instruction(0x15, 0, 1, sc::nr::FLOCK as u32),
        instruction(0x06, 0, 0, 0x0005_0000 | errno),
        instruction(0x06, 0, 0, 0x7fff_0000),
    ];
    let program = Program {
        length: 4,
        filter: filter.as_ptr(),
    };
    // SAFETY: no memory is passed to the first; the second reads the program.
    let results = unsafe {
        [
            sc::syscall5(sc::nr::PRCTL, 38, 1, 0, 0, 0),
            sc::syscall3(sc::nr::PRCTL, 22, 2, &raw const program as usize),
        ]
    };
    match results {
        [0, 0] => Ok(()),
        _ => Err(std::io::Error::other("no seccomp filter")),
    }
}

pub fn wait_for_end(pid1: i32) {
    wait_until("pid 1 is gone", || matches!(state(pid1), None | Some('Z')));
}

/// Mounts an ext4 file system from a file. Without loop devices, the test uses the file system of
/// temporary files.
pub fn mount_ext4(at: &Path) {
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(32 << 20).unwrap();
    let mut make = Command::new("mkfs.ext4");
    succeed(make.args(["-q", "-O", "^has_journal"]).arg(image.path()));
    let mut mount = Command::new("mount");
    let mounted = end(mount.args(["-o", "loop"]).arg(image.path()).arg(at));
    if mounted.status == 0 {
        fs::remove_dir(at.join("lost+found")).unwrap();
    } else {
        eprintln!("not on ext4 for certain: {mounted:?}");
    }
}

pub fn on_fuse(user: User, behaviour: Behaviour, test: impl FnOnce(&Place) + Send) {
    let behind = tempfile::tempdir().unwrap();
    let make = |at: &Path| mount_fuse(behind.path(), at, behaviour);
    on(user, make, test);
}

pub const ORDINARY: Behaviour = Behaviour {
    mode: None,
    loses_sticky: false,
    locks: Locks::Local,
    no_rename_flags: false,
    full_at: None,
};
