//! Roots on file systems with fewer features than ext4: without modes, without locks, or with other
//! modes than requested. On each of them, nothing stays after a run, and no run removes a mount of
//! another.

#![allow(missing_docs)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use common::fuse::{Behaviour, Locks};
use common::guest::{Guest, Initramfs};
use common::place::{LOOK, ORDINARY, Place, finish, mount_ext4, on, on_fuse, wait_for_end};
use common::running::Running;
use common::{Root, User, can_be_root, end, send_signal, succeed, users, wait_until};
use rustix::mount::{MountFlags, mount_bind, mount_remount};

/// Nothing stays after a run that ends, is ended, or has one process killed.
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

/// Overlapping runs, which end in any order, and of which one begins when another ends.
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
    // Short runs side by side: one looks up mount points that another makes or removes.
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
    // Many runs begin at the same time.
    let many: Vec<Running> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..6).map(|_| scope.spawn(|| place.start())).collect();
        started.into_iter().map(|run| run.join().unwrap()).collect()
    });
    many.into_iter().for_each(finish);
    assert_eq!(place.tree(), before);
}

/// If all processes of a run are killed, the next run removes its mount points.
fn the_next_run_removes(place: &Place) {
    let before = place.tree();
    let mut running = place.start();
    let pid1 = running.pid1();
    // A stopped supervisor does not see pid 1 end.
    running.signal(19);
    send_signal(pid1, 9);
    running.signal(9);
    running.wait();
    wait_for_end(pid1);
    assert_ne!(place.tree(), before);
    finish(place.start());
    assert_eq!(place.tree(), before);
}

/// A directory that the command used becomes an ordinary one and stays.
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
            // A mask removes the mark from new directories, and they cannot be renamed.
            for umask in [0o022, 0o077] {
                on_fuse(user, behaviour, |place| {
                    all(&Place { umask, ..*place }, 0o755);
                });
            }
        }
    }
}

/// A running run looks the same as a killed one. Therefore a new run refuses to start, and disturbs
/// none.
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

/// Lustre and NFSv3 can have locks for directories but none for files.
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
fn a_full_or_read_only_file_system_is_reported() {
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

/// The same run, with this strace injection for a system call.
fn with_injection(place: &Place, call: &str, injection: &str, script: &str) -> Command {
    let run = place.run(script);
    let mut strace = common::command(place.user, "strace");
    strace
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .args([&format!("trace={call}"), "-e"])
        .arg(format!("inject={call}:{injection}"))
        .arg(run.get_program())
        .args(run.get_args());
    strace
}

fn with_default_acl(place: &Place) {
    let mut setfacl = Command::new("setfacl");
    let acl = "u::rwx,g::r-x,o::---";
    succeed(setfacl.args(["-d", "-m", acl]).arg(place.root.path()));
}

/// A run begins after another has made its mount points, and before it has marked them.
#[test]
fn no_mount_point_is_seen_without_its_mark() {
    if !can_be_root() {
        return;
    }
    for user in users() {
        on(user, mount_ext4, |place| {
            with_default_acl(place);
            let before = place.tree();
            let script = format!("touch /made/here/own; echo ready; read line; {LOOK}");
            let mut slow = with_injection(place, "fchmod", "delay_enter=300000", &script);
            let slow = slow.stdin(Stdio::piped()).stderr(Stdio::piped());
            let first = Running::start(slow);
            wait_until("something is made", || place.tree() != before);
            let second = place.start();
            first.expect("ready");
            finish(first);
            finish(second);
            assert_eq!(place.tree(), before);
        });
    }
}

/// pid 1 can be killed at any call for a mount point.
#[test]
fn a_pid_1_that_is_killed_at_a_mount_point_leaves_nothing() {
    if !can_be_root() {
        return;
    }
    let killed_everywhere = |place: &Place| {
        let before = place.tree();
        for call in ["mkdirat", "renameat2", "flock", "fchmod", "unlinkat"] {
            let mut killed = 0;
            for when in 1..=3 {
                let injection = format!("signal=KILL:when={when}");
                let ended = end(&mut with_injection(place, call, &injection, "exit 3"));
                assert!([3, 125, 137].contains(&ended.status), "{ended:?}");
                killed += u32::from(ended.status != 3);
                // The process outside makes these calls too, and is killed as well.
                if ["flock", "unlinkat"].contains(&call) {
                    finish(place.start());
                }
                assert_eq!(place.tree(), before, "{call} {when} {ended:?}");
            }
            // These are not called on every file system.
            assert!(
                killed > 0 || ["renameat2", "fchmod"].contains(&call),
                "{call}"
            );
        }
    };
    for user in users() {
        on(user, mount_ext4, |place| {
            with_default_acl(place);
            killed_everywhere(place);
        });
        let mode = Some(0o755);
        on_fuse(user, Behaviour { mode, ..ORDINARY }, killed_everywhere);
    }
}

/// Both kinds of that name: with modes kept by the file system, and without.
#[test]
fn leftovers_beside_a_mount_point_are_removed() {
    if !can_be_root() {
        return;
    }
    let stale = |place: &Place| {
        let before = place.tree();
        let name = place.root.path().join(".dev.rootlet");
        fs::create_dir(&name).unwrap();
        place.root.own(".dev.rootlet");
        finish(place.start());
        assert_eq!(place.tree(), before);
        place.root.file(".dev.rootlet", "");
        finish(place.start());
        assert_eq!(place.tree(), before);
        // Files of other programs stay.
        place.root.file(".dev.rootlet", "contents");
        let kept = place.tree();
        let ended = end(&mut place.run("exit 3"));
        common::hostile::assert_refused(&ended, "cannot make the mount point /dev: File exists");
        assert_eq!(place.tree(), kept);
    };
    for user in users() {
        on(user, |_| (), stale);
        let mode = Some(0o755);
        on_fuse(user, Behaviour { mode, ..ORDINARY }, stale);
    }
}

/// Between the lookup and the lock, another run has replaced a file with a directory.
#[test]
fn a_file_that_another_run_swaps_before_the_lock_does_no_harm() {
    if !can_be_root() {
        return;
    }
    let swapped = |place: &Place| {
        let before = place.tree();
        let swap = "for i in $(seq 200); do
            : >.dev.rootlet; usleep 700; rm .dev.rootlet
            mkdir .dev.rootlet; usleep 700; rmdir .dev.rootlet; done";
        let mut swapping = common::command(place.user, "busybox");
        swapping.args(["sh", "-c", swap]).stderr(Stdio::null());
        let mut swapping = swapping.current_dir(place.root.path()).spawn().unwrap();
        let ended = end(&mut with_injection(
            place,
            "openat",
            "delay_enter=5000",
            "exit 3",
        ));
        swapping.wait().unwrap();
        assert_eq!((ended.status, &*ended.stderr), (3, ""));
        assert_eq!(place.tree(), before);
    };
    for user in users() {
        on(user, mount_ext4, swapped);
        let locks = Locks::ExclusiveForWriters;
        on_fuse(user, Behaviour { locks, ..ORDINARY }, swapped);
    }
}

/// The tests above as a script of a guest. Its kernel has vfat, which the host's may lack.
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
    // The root of an initramfs cannot be pivoted (pivot_root(2), *NOTES*).
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
