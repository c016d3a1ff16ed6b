//! Roots on file systems that keep less than ext4 does: no modes, no locks, other modes than asked for.
//! Wherever it is, nothing stays after a run, and no run takes a mount from another.

#![allow(missing_docs)]

mod common;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::fuse::{Behaviour, Locks, mount_fuse};
use common::guest::{Guest, Initramfs};
use common::running::Running;
use common::{Root, User, can_be_root, end, send_signal, state, succeed, users, wait_until};
use rustix::fs::Mode;
use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind, mount_change, mount_remount};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Mounts in a mount namespace of one thread, makes a root there, and tests it.
fn on(user: User, make: impl FnOnce(&Path) + Send, test: impl FnOnce(&Place) + Send) {
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
            common::copy_program("/bin/busybox", root.path().join("bin/busybox"));
            test(&Place {
                root: &root,
                filter: None,
                umask: 0o022,
            });
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// A root, and what flock(2) fails with there.
#[derive(Clone, Copy)]
struct Place<'a> {
    root: &'a Root,
    filter: Option<u32>,
    umask: u32,
}

/// What every run sees all the while.
const LOOK: &str = "for file in /dev/null /proc/1/stat /sys/class /etc/resolv.conf /made/here/own; do \
     test -e $file || { echo $file is lost; exit 9; }; done; grep -q /etc/resolv.conf /proc/mounts || \
     { echo resolv.conf is not mounted; exit 9; }; exit 3";

impl Place<'_> {
    fn tree(&self) -> Vec<String> {
        self.root.tree()
    }

    /// The default mounts, with a file that does not depend on the host's, and one more, for a script
    /// of busybox.
    fn run(&self, script: &str) -> Command {
        let script = script
            .replace("test ", "busybox test ")
            .replace("grep ", "busybox grep ")
            .replace("touch ", "busybox touch ");
        let words = "--resolv-conf off -B /bin/busybox:/etc/resolv.conf -B tmpfs:/made/here ROOT \
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

    /// A run that has made a file in its tmpfs, and waits for a line.
    fn start(&self) -> Running {
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

/// Lets it go on, and finds that all its mounts are still there.
#[track_caller]
fn finish(mut running: Running) {
    let mut input = running.child.stdin.take().unwrap();
    input.write_all(b"go on\n").unwrap();
    let status = running.status();
    assert_eq!((status, errors(running).as_str()), (3, ""));
}

/// A seccomp filter that fails flock(2).
fn refuse_flock(errno: u32) -> std::io::Result<()> {
    #[repr(C)]
    struct Program {
        length: u16,
        filter: *const u64,
    }
    // struct sock_filter is a u16, two u8 and a u32; each of these is one.
    let instruction = |code: u16, if_true: u8, if_false: u8, value: u32| {
        let [low, high] = code.to_ne_bytes();
        let [a, b, c, d] = value.to_ne_bytes();
        u64::from_ne_bytes([low, high, if_true, if_false, a, b, c, d])
    };
    let filter = [
        // The number of the call: equal to that of flock? Then SECCOMP_RET_ERRNO, else _ALLOW.
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

fn wait_for_end(pid1: i32) {
    wait_until("pid 1 is gone", || matches!(state(pid1), None | Some('Z')));
}

/// Nothing stays after a run that ends by itself, is ended, or of which one process is killed.
fn nothing_stays(place: &Place) {
    let before = place.tree();
    let script = format!("touch /made/here/own; {LOOK}");
    let ended = end(&mut place.run(&script));
    assert_eq!((ended.status, ended.stderr.as_str()), (3, ""), "{ended:?}");
    assert_eq!(place.tree(), before);

    let mut running = place.start();
    running.signal(15);
    assert_eq!(running.status(), 128 + 15);
    assert_eq!(place.tree(), before);

    let mut running = place.start();
    let pid1 = running.pid1();
    running.signal(9);
    running.wait();
    wait_for_end(pid1);
    assert_eq!(place.tree(), before);

    let mut running = place.start();
    send_signal(running.pid1(), 9);
    assert_eq!(running.status(), 128 + 9);
    assert_eq!(place.tree(), before);
}

/// Runs that overlap, whichever ends first, and in which one begins when another ends.
fn overlap(place: &Place) {
    let before = place.tree();
    for first_ends_first in [true, false] {
        let (first, second) = (place.start(), place.start());
        let (sooner, later) = match first_ends_first {
            true => (first, second),
            false => (second, first),
        };
        finish(sooner);
        let third = place.start();
        finish(later);
        finish(third);
        assert_eq!(place.tree(), before);
    }
    // Short ones beside each other: one looks for what another makes or removes.
    let script = format!("touch /made/here/own; {LOOK}");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..common::rounds(6) {
                    let ended = end(&mut place.run(&script));
                    assert_eq!((ended.status, ended.stderr.as_str()), (3, ""), "{ended:?}");
                }
            });
        }
    });
    assert_eq!(place.tree(), before);
    // Many begin at one time.
    let many: Vec<Running> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..6).map(|_| scope.spawn(|| place.start())).collect();
        started.into_iter().map(|run| run.join().unwrap()).collect()
    });
    many.into_iter().for_each(finish);
    assert_eq!(place.tree(), before);
}

/// What no run is left of to remove goes with the next run.
fn the_next_run_removes(place: &Place) {
    let before = place.tree();
    let mut running = place.start();
    let pid1 = running.pid1();
    // A supervisor that is stopped does not see pid 1 end.
    running.signal(19);
    send_signal(pid1, 9);
    running.signal(9);
    running.wait();
    wait_for_end(pid1);
    assert_ne!(place.tree(), before);
    finish(place.start());
    assert_eq!(place.tree(), before);
}

/// A directory that the command used stays, as one like any other.
fn what_the_command_made_stays(place: &Place, mode: u32) {
    let before = place.tree();
    let script = "busybox mkdir /etc/mine /made/mine; busybox chmod 700 /etc/mine /made/mine";
    for _ in 0..2 {
        succeed(&mut place.run(script));
        for name in ["etc", "made"] {
            let kept = place.root.path().join(name);
            let mode_now = fs::metadata(&kept).unwrap().permissions().mode() & 0o7777;
            assert_eq!(format!("{mode_now:o}"), format!("{mode:o}"));
            fs::remove_dir(kept.join("mine")).unwrap();
        }
        let after: Vec<String> = place.tree();
        let is_kept = |line: &&String| !line.starts_with("etc ") && !line.starts_with("made ");
        let others: Vec<&String> = after.iter().filter(is_kept).collect();
        assert_eq!(others, before.iter().collect::<Vec<_>>());
    }
    for name in ["etc", "made"] {
        fs::remove_dir(place.root.path().join(name)).unwrap();
    }
}

fn all(place: &Place, mode: u32) {
    nothing_stays(place);
    overlap(place);
    the_next_run_removes(place);
    what_the_command_made_stays(place, mode);
}

/// An ext4 file system in a file; where there are no loop devices, what temporary files are on.
fn mount_ext4(at: &Path) {
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

#[test]
fn default_acls_take_bits_from_what_is_made() {
    if !can_be_root() {
        return;
    }
    for user in users() {
        for acl in [
            "u::rwx,g::r-x,o::---",
            "u::rwx,g::rwx,o::rwx",
            "u::rwx,g::r-x,o::r-x,u:nobody:rwx,m::r-x",
            "u::rwx,g::---,o::---,g:nogroup:r-x,m::---",
            "u::r-x,g::rwx,o::rwx",
        ] {
            on(user, mount_ext4, |place| {
                let mut setfacl = Command::new("setfacl");
                succeed(setfacl.args(["-d", "-m", acl]).arg(place.root.path()));
                all(place, 0o755);
            });
        }
    }
}

#[test]
fn a_mask_for_new_files_takes_bits_from_what_is_made() {
    if !can_be_root() {
        return;
    }
    for user in users() {
        on(user, mount_ext4, |place| {
            for umask in [0, 0o077, 0o777] {
                all(&Place { umask, ..*place }, 0o755);
            }
        });
    }
}

#[test]
fn a_set_group_id_directory_gives_its_bit_to_what_is_made() {
    if !can_be_root() {
        return;
    }
    for user in users() {
        on(user, mount_ext4, |place| {
            let mode = Permissions::from_mode(0o2755);
            fs::set_permissions(place.root.path(), mode).unwrap();
            all(place, 0o2755);
        });
    }
}

fn on_fuse(user: User, behaviour: Behaviour, test: impl FnOnce(&Place) + Send) {
    let behind = tempfile::tempdir().unwrap();
    let make = |at: &Path| mount_fuse(behind.path(), at, behaviour);
    on(user, make, test);
}

const ORDINARY: Behaviour = Behaviour {
    mode: None,
    loses_sticky: false,
    locks: Locks::Local,
    no_rename_flags: false,
    full_at: None,
};

#[test]
fn file_systems_that_keep_no_modes() {
    if !can_be_root() {
        return;
    }
    let mode = Some(0o755);
    let locks = Locks::ExclusiveForWriters;
    for user in users() {
        on_fuse(user, Behaviour { mode, ..ORDINARY }, |place| {
            all(place, 0o755)
        });
        let behaviour = Behaviour {
            mode,
            locks,
            no_rename_flags: true,
            ..ORDINARY
        };
        on_fuse(user, behaviour, |place| all(place, 0o755));
        let loses_sticky = true;
        let behaviour = Behaviour {
            loses_sticky,
            ..ORDINARY
        };
        on_fuse(user, behaviour, |place| all(place, 0o755));
    }
}

#[test]
fn file_systems_with_older_servers() {
    if !can_be_root() {
        return;
    }
    for user in users() {
        for locks in [Locks::Local, Locks::ExclusiveForWriters] {
            let behaviour = Behaviour {
                locks,
                no_rename_flags: true,
                ..ORDINARY
            };
            // A mask takes the mark from what is made, and it cannot be renamed.
            for umask in [0o022, 0o077] {
                on_fuse(user, behaviour, |place| {
                    all(&Place { umask, ..*place }, 0o755);
                });
            }
        }
    }
}

/// Another run cannot be told from one that was killed: so it refuses, and harms nobody.
fn without_locks(place: &Place) {
    nothing_stays(place);
    let before = place.tree();
    let first = place.start();
    let ended = end(&mut place.run("exit 3"));
    common::hostile::assert_refused(&ended, "cannot lock the mount point /dev: ");
    finish(first);
    assert_eq!(place.tree(), before);
    what_the_command_made_stays(place, 0o755);
}

#[test]
fn file_systems_without_locks() {
    if !can_be_root() {
        return;
    }
    // EBADF, ENOLCK, ENOSYS, EOPNOTSUPP.
    for errno in [9, 37, 38, 95] {
        for user in users() {
            let filter = Some(errno);
            on(
                user,
                |_| (),
                |place| without_locks(&Place { filter, ..*place }),
            );
            let mode = Some(0o755);
            let fixed = Behaviour { mode, ..ORDINARY };
            on_fuse(user, fixed, |place| {
                without_locks(&Place { filter, ..*place })
            });
        }
    }
}

/// As on Lustre and NFSv3: directories have locks, files have none.
#[test]
fn file_systems_without_locks_for_files() {
    if !can_be_root() {
        return;
    }
    for user in users() {
        let locks = Locks::Refused(37);
        on_fuse(user, Behaviour { locks, ..ORDINARY }, |place| {
            nothing_stays(place);
            let before = place.tree();
            let first = place.start();
            let ended = end(&mut place.run("exit 3"));
            let line = "cannot lock the mount point /etc/resolv.conf: ";
            common::hostile::assert_refused(&ended, line);
            finish(first);
            assert_eq!(place.tree(), before);
        });
    }
}

#[test]
fn a_full_or_read_only_file_system_is_told() {
    if !can_be_root() {
        return;
    }
    for user in users() {
        for (full_at, mode, target) in [
            (".dev.rootlet", None, "/dev"),
            ("sys", None, "/sys"),
            ("dev", Some(0o755), "/dev"),
            (".sys.rootlet", Some(0o755), "/sys"),
        ] {
            let full_at = Some(full_at);
            on_fuse(
                user,
                Behaviour {
                    full_at,
                    mode,
                    ..ORDINARY
                },
                |place| {
                    let before = place.tree();
                    let ended = end(&mut place.run("exit 3"));
                    let line = format!("cannot make the mount point {target}: No space left");
                    common::hostile::assert_refused(&ended, &line);
                    assert_eq!(place.tree(), before);
                },
            );
        }
        on(
            user,
            |_| (),
            |place| {
                let top = place.root.path();
                mount_bind(top, top).unwrap();
                mount_remount(top, MountFlags::BIND | MountFlags::RDONLY, "").unwrap();
                let before = place.tree();
                let ended = end(&mut place.run("exit 3"));
                let line = "cannot make the mount point /dev: Read-only file system";
                common::hostile::assert_refused(&ended, line);
                assert_eq!(place.tree(), before);
            },
        );
    }
}

/// What the tests above do, as a script of a guest: its kernel has vfat, which the host's may lack.
const ON_VFAT: &str = r#"
    fail() { echo "FAILED: $*"; find /mnt; exit 1; }
    is_clean() { test "$(ls -A /mnt)" = busybox || fail "something stays after $*"; }
    run() {
        exec rootlet run --resolv-conf off -B /bin/busybox:/etc/resolv.conf -B tmpfs:/made/here \
            -B /meet:/meet /mnt /busybox sh -c "PATH=/; $1"
    }
    look='for file in /dev/null /proc/1/stat /etc/resolv.conf /made/here/own; do
        busybox test -e $file || exit 9; done; exit 3'
    # A run that goes on when it is let go.
    start() {
        run "busybox touch /made/here/own; : >/meet/ready-$1
            until busybox test -e /meet/go-$1; do busybox usleep 10000; done; $look" &
        pid=$!
        until test -e /meet/ready-$1; do usleep 10000; done
        pid1=$(cat /proc/$pid/task/$pid/children)
        pid1=${pid1% }
    }
    finish() {
        : >/meet/go-$1
        wait $2
        test $? = 3 || fail "run $1 lost a mount"
    }
    mount -t vfat -o "$OPTIONS,iocharset=ascii" /dev/vdb /mnt || fail "no vfat"
    cp /bin/busybox /mnt/busybox || fail "no busybox"

    (run "busybox touch /made/here/own; $look")
    test $? = 3 || fail "an orderly run"
    is_clean "an orderly run"
    start a; kill -TERM $pid; wait $pid; is_clean TERM
    start b; kill -KILL $pid1; wait $pid; is_clean "KILL of pid 1"
    start c; kill -KILL $pid; wait $pid
    while test -e /proc/$pid1; do usleep 10000; done
    is_clean "KILL of rootlet"

    start d; first=$pid; start e; second=$pid
    finish d $first; start f; third=$pid
    finish e $second; finish f $third; is_clean "the first ends first"
    start g; first=$pid; start h; second=$pid
    finish h $second; finish g $first; is_clean "the second ends first"

    start i; kill -STOP $pid; kill -KILL $pid1 $pid; wait $pid
    test "$(ls -A /mnt)" != busybox || fail "nothing was killed"
    (run "busybox touch /made/here/own; $look"); is_clean "the next run"

    (run "busybox mkdir /etc/mine")
    test "$(find /mnt/etc /mnt/.*.rootlet 2>/dev/null)" = "/mnt/etc
/mnt/etc/mine" || fail "what the command made does not stay alone"
    echo "all is well"
"#;

#[test]
fn vfat_keeps_no_modes() {
    // Not in the root of an initramfs, which cannot be pivoted (pivot_root(2), *NOTES*).
    let root = Root::busybox(User::Root);
    for directory in ["dev", "proc", "sys", "mnt", "meet"] {
        root.directory(directory);
    }
    common::copy_program(common::rootlet_path(), root.path().join("bin/rootlet"));
    for options in ["umask=022", "umask=000,quiet"] {
        let script = format!("#!/bin/sh\ntrap 'poweroff -f' EXIT; OPTIONS={options}; {ON_VFAT}");
        root.executable("vfat", script);
        let directory = tempfile::tempdir().unwrap();
        let image = |name| directory.path().join(name);
        let mut make = Command::new("mkfs.vfat");
        succeed(make.arg("-C").arg(image("vfat")).arg("16384"));
        let mut make = Command::new("mke2fs");
        make.args(["-q", "-t", "ext4", "-d", root.name()]);
        succeed(make.arg(image("root")).arg("64m"));
        let drive = |name| format!("file={},format=raw,if=virtio", image(name).display());
        let initramfs =
            Initramfs::new().modules(&["virtio_blk", "ext4", "vfat", "nls_cp437", "nls_ascii"]);
        let drives = ["-drive", &drive("root"), "-drive", &drive("vfat")];
        let append = "root=/dev/vda rw init=/vfat";
        let over = Guest::start(&initramfs, append, &drives).end();
        over.says(&["all is well"]);
    }
}
