//! What a run shows of the kernel and of the machine's settings: `/proc`, `/dev/pts`, `/sys`,
//! `/etc/hosts`.

#![allow(missing_docs)]

mod common;

use std::process::Command;

use common::running::Running;
use common::terminal::Session;
use common::{Root, User, can_be_root, command, end, succeed, users};
use rootlet::{Chroot, Namespace};

/// Runs a command as an ordinary user where things of the caller's mount namespace were changed by a
/// script of root's.
fn where_it_was(changed: &str, words: &Command) -> Command {
    let mut outer = command(User::Root, "unshare");
    let script =
        format!("{changed}; exec setpriv --reuid=54321 --regid=54321 --clear-groups \"$@\"");
    outer.args(["--mount", "sh", "-ec", &script, "sh"]);
    outer.arg(words.get_program()).args(words.get_args());
    outer
}

/// As container engines and systemd's ProtectKernelTunables= do: so the kernel allows no new proc in a
/// user namespace.
const MASKS: [&str; 3] = [
    "mount --bind /dev/null /proc/keys",
    "mount -t tmpfs none /proc/fs",
    "mount --bind -o ro /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys",
];

const SHARED: &str = "rootlet: a new /proc is not allowed here: the command shares the caller's pid \
                      namespace and /proc, as with --share pid\n";

/// Prints `own` where `/proc` is that of the shell's pid namespace.
const LOOK: &str = "read -r pid rest </proc/self/stat; test \"$pid\" = $$ && echo own";

#[test]
fn where_no_new_proc_is_allowed_the_pid_namespace_is_shared() {
    if !can_be_root() {
        return;
    }
    for mask in MASKS {
        let root = Root::busybox(User::Ordinary);
        let before = root.tree();
        let ended = end(&mut where_it_was(
            mask,
            &root.run(&["ROOT", "sh", "-c", LOOK]),
        ));
        let told = (ended.status, &ended.stdout[..], &ended.stderr[..]);
        assert_eq!(told, (0, "own\n", SHARED), "{mask}");
        assert_eq!(root.tree(), before);
        // Who wants it so is told nothing.
        let asked = root.run(&["--share", "pid", "ROOT", "sh", "-c", LOOK]);
        assert_eq!(succeed(&mut where_it_was(mask, &asked)), "own\n");
        // And who wants another has none.
        let own = root.run(&["--unshare", "pid", "ROOT", "true"]);
        let ended = end(&mut where_it_was(mask, &own));
        let line = "rootlet: cannot mount proc on /proc: Operation not permitted (EPERM)\n\
                    hint: the kernel allows no new /proc where";
        assert!(
            ended.status == 125 && ended.stderr.starts_with(line),
            "{ended:?}"
        );
        assert_eq!(root.tree(), before);
        let without = root.run(&[
            "--unshare",
            "pid",
            "--no-mounts",
            "ROOT",
            "sh",
            "-c",
            "echo $$",
        ]);
        assert_eq!(succeed(&mut where_it_was(mask, &without)), "2\n");
    }
}

/// The first attempt has taken what the caller gave the command, and gives it back.
#[test]
fn the_second_attempt_has_all_that_the_first_had() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Ordinary);
    for (number, file) in ["one", "two"].iter().enumerate() {
        root.file(file, format!("in {number}\n"));
    }
    let script = "cd \"$1\"; shift; echo typed | \"$@\" 7<one 3<two 5>status | cat; cat status";
    let inside = "cat; cat <&7; cat <&3; ls /proc/self/fd | tr '\\n' ' '; echo; exit 4";
    let options = ["--keep-fd=7", "--keep-fd=3", "--status-fd=5", "ROOT"];
    let run = root.run(&[&options[..], &["sh", "-c", inside]].concat());
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh", root.name()]);
    shell.arg(run.get_program()).args(run.get_args());
    let ended = end(&mut where_it_was(MASKS[0], &shell));
    // 4 is that of the directory.
    let given = "typed\nin 0\nin 1\n0 1 2 3 4 7 \n{\"child-pid\":";
    assert!(ended.stdout.starts_with(given), "{ended:?}");
    assert!(
        ended.stdout.ends_with("}\n{\"exit-code\":4}\n"),
        "{ended:?}"
    );
    assert_eq!(ended.stderr, SHARED);
}

#[test]
fn the_second_attempt_ends_by_a_signal_as_the_first() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Ordinary);
    let script = "trap 'echo got; exit 6' TERM; echo ready; while :; do sleep 0.05; done";
    let run = root.run(&["ROOT", "sh", "-c", script]);
    let mut running = Running::start_ready(&mut where_it_was(MASKS[0], &run));
    running.signal(15);
    assert_eq!(running.line(), "got");
    assert_eq!(running.status(), 6);
}

#[test]
#[ignore = "run by the test below, where no new proc is allowed"]
fn library_without_a_new_proc() {
    let chroot = || Chroot::new("/").env("PATH=/usr/bin:/bin");
    let output = chroot().command("sh").args(["-c", LOOK]).output().unwrap();
    assert_eq!(output.stdout, b"own\n");
    let own = chroot().unshare(Namespace::Pid).command("true");
    assert_eq!(own.status().unwrap_err().errno(), Some(1));
    let number = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: the closure reads a link.
    let (own, shown) = unsafe {
        chroot().call(|| {
            let shown = std::fs::read_link("/proc/self").unwrap();
            (rustix::process::getpid().as_raw_nonzero().get(), shown)
        })
    }
    .unwrap();
    assert!(own != number && shown != std::path::Path::new(&own.to_string()));
}

#[test]
fn the_library_shares_the_pid_namespace_too() {
    if !can_be_root() {
        return;
    }
    let place = Root::empty(User::Root);
    let copy = place.path().join("tests");
    common::copy_program(std::env::current_exe().unwrap(), &copy);
    let mut tests = Command::new(copy);
    tests.args([
        "--include-ignored",
        "--exact",
        "--nocapture",
        "library_without_a_new_proc",
    ]);
    let ended = end(&mut where_it_was(MASKS[0], &tests));
    assert!(ended.stdout.contains("1 passed"), "{ended:?}");
    let others = "rootlet: a new /proc is not allowed here: the caller's is shown, whose process \
                  numbers are not those of this pid namespace\n";
    assert_eq!(ended.stderr, [SHARED, others].concat());
}

/// As every usual distribution mounts it.
const TERMINALS: &str = "mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 none /dev/pts";

/// The user, group and mode of a new terminal, and whether its user can give it away.
const OPEN: &str =
    "script -qc 'stat -c \"%u %g %a\" $(tty); chown 0:0 $(tty) && tty' /dev/null | tr -d '\\r'";

#[test]
fn terminals_of_a_user_namespace_are_its_own() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Ordinary);
    let own = "0 0 620\n/dev/pts/0\n";
    for (changed, options) in [
        (TERMINALS, &[][..]),
        (TERMINALS, &["--unshare", "user,net"]),
        // As LXC has it, and as most engines have it.
        (
            "mount -t devpts -o newinstance,gid=5,ptmxmode=666 none /dev/pts
             mount --bind /dev/pts/ptmx /dev/ptmx",
            &[],
        ),
        (
            "mount -t tmpfs -o mode=755 none /mnt; mkdir /mnt/pts /mnt/shm; ln -s pts/ptmx /mnt/ptmx
             for file in null tty zero console; do : >/mnt/$file; mount --bind /dev/$file /mnt/$file; done
             mount --move /mnt /dev; mount -t devpts -o newinstance,gid=5,ptmxmode=666 none /dev/pts",
            &[],
        ),
    ] {
        let words = [options, &["/", "sh", "-c", OPEN]].concat();
        let shown = succeed(&mut where_it_was(changed, &root.run(&words)));
        assert_eq!(shown, own, "{changed} {options:?}");
    }
    // Root of a user namespace that is there already.
    let run = root.run(&["/", "sh", "-c", OPEN]);
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount"]);
    unshare.arg(run.get_program()).args(run.get_args());
    assert_eq!(succeed(&mut where_it_was(TERMINALS, &unshare)), own);
    // Who binds them gets the host's.
    let look = "stat -c %i /dev/pts/ptmx; ls /dev/pts | wc -l; stat -f -c %T /dev/pts; exec 3<>/dev/ptmx; ls /dev/pts | wc -l";
    let hosts = root.run(&["-B", "/dev/pts", "/", "sh", "-c", look]);
    let open = format!("{TERMINALS}; exec 9<>/dev/ptmx");
    assert_eq!(
        succeed(&mut where_it_was(&open, &hosts)),
        "2\n2\ndevpts\n3\n"
    );
    assert_eq!(root.tree(), Vec::<String>::new());
}

/// A host without a place for them loses nothing, and hears nothing.
#[test]
fn a_dev_without_pts_stays_as_it_is() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Ordinary);
    let changed = "mount -t tmpfs -o mode=755 none /mnt; mkdir /mnt/shm; : >/mnt/null
                   mount --bind /dev/null /mnt/null; mount --move /mnt /dev";
    let run = root.run(&["ROOT", "ls", "/dev"]);
    assert_eq!(succeed(&mut where_it_was(changed, &run)), "null\nshm\n");
}

#[test]
fn the_callers_terminal_has_a_name_beside_own_terminals() {
    for user in users() {
        let mut session = Session::bash(user);
        for (options, is_console) in [
            ("", user == User::Ordinary),
            ("--unshare user", true),
            ("--pty", false),
        ] {
            session.enter(&format!("$rootlet run {options} / sh -c 'tty; echo end'"));
            let shown = session.expect("end\n");
            let name = if is_console {
                "/dev/console\n"
            } else {
                "/dev/pts/"
            };
            assert!(shown.contains(name), "{user:?} {options}: {shown}");
            assert_eq!(session.status(), "0\n");
        }
        session.exit();
    }
}
