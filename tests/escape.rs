//! Escapes that would work if mount points were looked up in a tree that already has mounts: links
//! that a mount hides or uncovers, roots that change between two steps, and locks of other
//! processes.
//!
//! More hostile roots are in `tests/hostile`. Here the host's `/dev` is a directory of the test,
//! bound there in a new mount namespace. The test sees each change of it, however short.

#![allow(missing_docs)]

mod common;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::hostile::{Outside, assert_refused, end, outer_namespace};
use common::running::Running;
use common::{
    Root, User, can_be_root, children, command, processes_with, rootlet_path, send_signal, users,
    wait_until,
};
use rustix::fs::{CWD, FlockOperation, Mode, RenameFlags, flock, renameat_with};

/// `rootlet` in a mount namespace in which `/dev` is this directory.
fn with_dev(outside: &Outside, user: User, words: &[&str]) -> Command {
    let drop = match user {
        User::Root => "",
        User::Ordinary => "setpriv --reuid=54321 --regid=54321 --clear-groups",
    };
    let script = format!(r#"mount --bind "$0" /dev && exec {drop} "$@""#);
    let mut outer = outer_namespace(&script);
    outer
        .arg(outside.directory.path())
        .arg(rootlet_path())
        .arg("run")
        .args(words);
    outer
}

type Links = &'static [(&'static str, &'static str)];

/// Options, and the links of a root that lead through the mounts of these options.
const THROUGH_MOUNTS: &[(&[&str], Links)] = &[
    // The sysfs hides the link to the path where the host's /dev appears.
    (
        &[],
        &[
            ("dev", "/sys/link"),
            ("sys/link", "/d1"),
            ("etc", "/d1/planted/by"),
        ],
    ),
    (
        &[],
        &[
            ("dev", "/proc/link"),
            ("proc/link", "/d1"),
            ("etc", "/d1/planted"),
        ],
    ),
    (&[], &[("etc", "/dev/planted/by")]),
    (&[], &[("etc", "/sys/../dev/planted/by")]),
    (
        &["-B", "FILE:/var/run/f", "-B", "FILE:/srv/f"],
        &[
            ("dev", "/sys/link"),
            ("sys/link", "/d1"),
            ("var/run", "/d1/planted"),
            ("srv", "/sys/../d1/by"),
        ],
    ),
    // A bind of the host in a tmpfs of the run, where mount points can be created.
    (
        &["-B", "tmpfs:/run", "-R", "/dev:/run/x", "-B", "FILE:/srv/f"],
        &[("srv", "/run/x/planted/by")],
    ),
    (
        &["-B", "tmpfs:/run", "-R", "/dev:/run/x", "-B", "FILE:/srv/f"],
        &[("srv", "/run/x")],
    ),
    (
        &["-B", "tmpfs:/run", "-R", "/dev:/run/x", "-B", "FILE:/srv/f"],
        &[("srv", "/run/missing/../x/planted")],
    ),
    (
        &["-B", "tmpfs:/run", "-R", "/dev:/run/x", "-B", "FILE:/srv/f"],
        &[("srv", "../link"), ("link", "run/./x//planted")],
    ),
    (
        &["--dev=minimal", "-R", "/dev:/dev/x", "-B", "FILE:/srv/f"],
        &[("srv", "/dev/x/planted/by")],
    ),
    (
        &[
            "--dev=minimal",
            "-R",
            "/dev:/dev/shm/x",
            "-B",
            "FILE:/srv/f",
        ],
        &[("srv", "/dev/shm/x/planted/by")],
    ),
];

/// A root with these links, and the words of a run there.
fn linked<'a>(
    user: User,
    links: &[(&str, &str)],
    options: &[&'a str],
    file: &'a str,
) -> (Root, Vec<String>) {
    let root = Root::busybox(user);
    root.directory("d1");
    for (name, target) in links {
        root.symlink(name, target);
    }
    let words = options.iter().map(|word| word.replace("FILE", file));
    let words: Vec<String> = words.chain([root.name().to_owned()]).collect();
    (root, words)
}

#[test]
fn no_link_through_a_mount_leads_into_the_hosts_dev() {
    if !can_be_root() {
        return;
    }
    for user in users() {
        let outside = Outside::with_devices(user);
        let file = outside.directory.path().join("marker");
        for (options, links) in THROUGH_MOUNTS {
            for more in [&[][..], &["--overlay"], &["--read-only-root"]] {
                let options = [more, options].concat();
                let (root, words) = linked(user, links, &options, file.to_str().unwrap());
                let before = root.tree();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let ended = end(&mut with_dev(
                    &outside,
                    user,
                    &[&words[..], &["true"]].concat(),
                ));
                let what = (user, &options, links, &ended);
                assert!(matches!(ended.status, 0 | 125), "{what:?}");
                outside.assert_untouched(&what);
                assert_eq!(root.tree(), before, "{what:?}");
            }
        }
    }
}

#[test]
fn nothing_stays_in_the_hosts_dev_after_a_kill() {
    if !can_be_root() {
        return;
    }
    for user in users() {
        for more in [&[][..], &["--overlay"]] {
            let outside = Outside::with_devices(user);
            let (_, links) = THROUGH_MOUNTS[0];
            let (root, words) = linked(user, links, more, "");
            let before = root.tree();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let command = ["sh", "-c", "echo ready; exec sleep 1000"];
            let words = [&words[..], &command].concat();
            let running = Running::start_ready(&mut with_dev(&outside, user, &words));
            let pid1 = running.pid1();
            running.signal(9);
            // It may have ended together with the other one.
            let _ = rustix::process::kill_process(
                rustix::process::Pid::from_raw(pid1).unwrap(),
                rustix::process::Signal::KILL,
            );
            wait_until("the end", || processes_with(root.name()).is_empty());
            wait_until("the end of pid 1", || common::state(pid1).is_none());
            outside.assert_untouched(&(user, more));
            // The next run removes the leftovers from the root.
            let words = [&words[..words.len() - 3], &["true"]].concat();
            let ended = end(&mut with_dev(&outside, user, &words));
            assert_eq!(ended.status, 0, "{ended:?}");
            outside.assert_untouched(&(user, more));
            assert_eq!(root.tree(), before, "{user:?} {more:?}");
        }
    }
}

/// Looks for a writable core_pattern at these paths, by writing its own contents to it.
const WRITE_CORE_PATTERN: &str = r#"
    exec 2>&-
    while umount -l /sys; do :; done
    seen=0
    for proc in "$@"; do
        file=$proc/sys/kernel/core_pattern
        held=$(cat "$file") || continue
        seen=$((seen + 1))
        printf '%s\n' "$held" >"$file" && echo "written: $file"
    done
    echo "seen: $seen""#;

#[test]
fn every_path_to_proc_is_masked() {
    if !can_be_root() {
        return;
    }
    for (options, links, paths) in [
        (&[][..], &[("proc", "/sys/p")][..], &["/sys/p", "/proc"][..]),
        (
            &[],
            &[("proc", "/sys/link"), ("sys/link", "/p")],
            &["/p", "/proc"],
        ),
        (&[], &[("proc", "sys/../sys/./p")], &["/sys/p"]),
        (&["-B", "/proc:/p1"], &[], &["/proc", "/p1"]),
        (
            &["-R", "/proc:/p1", "-B", "proc:/p2"],
            &[],
            &["/proc", "/p1", "/p2"],
        ),
        (&["--no-mounts", "-R", "/proc:/p1"], &[], &["/p1"]),
        (
            &["-B", "tmpfs:/run", "-R", "/proc:/var/p"],
            &[("var", "run/v")],
            &["/proc", "/run/v/p"],
        ),
    ] {
        let root = Root::busybox(User::Root);
        root.directory("sys/p");
        for (name, target) in links {
            root.symlink(name, target);
        }
        let before = root.tree();
        let command = ["ROOT", "sh", "-c", WRITE_CORE_PATTERN, "sh"];
        let words = [&["--mask-proc"], options, &command, paths].concat();
        let ended = end(&mut root.run(&words));
        let number = paths.len();
        let what = (options, links, &ended);
        assert_eq!(ended.stdout, format!("seen: {number}\n"), "{what:?}");
        assert_eq!(root.tree(), before, "{what:?}");
    }
}

/// A proc that is mounted in the root itself.
#[test]
fn the_proc_of_the_root_itself_is_masked() {
    if !can_be_root() {
        return;
    }
    for link in [false, true] {
        let root = Root::busybox(User::Root);
        if link {
            root.symlink("proc", "p/q");
        }
        root.directory(if link { "p/q" } else { "proc" });
        let script = r#"mount -t proc proc "$0/proc" && exec "$@""#;
        let mut outer = outer_namespace(script);
        outer.arg(root.path()).arg(rootlet_path());
        outer.args(["run", "--no-mounts", "--mask-proc", root.name()]);
        outer.args(["sh", "-c", WRITE_CORE_PATTERN, "sh", "/proc"]);
        let ended = end(&mut outer);
        assert_eq!(ended.stdout, "seen: 1\n", "{ended:?}");
    }
}

/// Repeats a change as long as the runs continue.
fn meanwhile(mut change: impl FnMut() + Send, runs: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                change();
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(runs));
        stop.store(true, Ordering::Relaxed);
        changing.join().unwrap();
        result.unwrap();
    });
}

/// rootlet looks up users in the root that it mounts. A pause between reading its files and making
/// the process inside leaves time for a swap.
#[test]
fn a_root_that_is_swapped_is_one_root_for_the_run() {
    if !can_be_root() {
        return;
    }
    let top = Root::empty(User::Root);
    let roots = [Root::busybox(User::Root), Root::busybox(User::Root)];
    for (root, id) in roots.iter().zip(["1111", "2222"]) {
        root.file("etc/passwd", format!("u:x:{id}:{id}::/:/bin/sh\n"));
        root.file("id", id);
    }
    let paths = [top.path().join("a"), top.path().join("b")];
    top.symlink("a", roots[0].path());
    top.symlink("b", roots[1].path());
    let swap = || {
        renameat_with(CWD, &paths[0], CWD, &paths[1], RenameFlags::EXCHANGE).unwrap();
        std::thread::sleep(Duration::from_micros(300));
    };
    meanwhile(swap, || {
        for _ in 0..common::rounds(20) {
            let mut strace = command(User::Root, "strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=clone3,clone"]);
            strace.args(["-e", "inject=clone3:delay_enter=5000"]);
            strace.arg(rootlet_path()).args(["run", "-u", "u"]);
            strace.arg(&paths[0]);
            let ended = end(strace.args(["sh", "-c", "echo $(id -u) $(cat /id)"]));
            let ids: Vec<&str> = ended.stdout.split_whitespace().collect();
            assert_eq!(ended.status, 0, "{ended:?}");
            assert_eq!(ids[0], ids[1], "{ended:?}");
        }
    });
}

#[test]
fn a_link_to_the_root_is_no_mount_point() {
    for user in users() {
        for (name, link) in [
            ("dev", "/"),
            ("proc", "."),
            ("sys", "../.."),
            ("dev", "bin/.."),
        ] {
            let root = Root::busybox(user);
            root.symlink(name, link);
            let before = root.tree();
            let ended = end(&mut root.run(&["ROOT", "true"]));
            assert_refused(&ended, &format!("/{name}: Device or resource busy (EBUSY)"));
            assert!(ended.stderr.contains("\nhint: "), "{ended:?}");
            assert_eq!(root.tree(), before, "{ended:?}");
        }
    }
}

/// Links that lead down into a deep directory and up again, each through the next one.
#[test]
fn links_that_go_up_and_down_cost_linear_work() {
    for user in users() {
        let root = Root::busybox(user);
        let deep = vec!["d"; 100].join("/");
        root.directory(&deep);
        let (down, up) = (deep + "/", vec![".."; 100].join("/") + "/");
        for link in 0..39 {
            root.symlink(
                &link.to_string(),
                format!("{}{}", (down.clone() + &up).repeat(7), link + 1),
            );
        }
        root.directory("39/point");
        let before = root.tree();
        // rootlet walks the path of a missing mount point itself. The kernel resolves the others.
        let binds = ["-B", "/etc:/0/point", "-B", "/etc:/0/missing"];
        let words = [&["--no-mounts"][..], &binds, &["ROOT"]].concat();
        // Measure processor time, which does not depend on the load of the machine.
        let script = [&words[..], &["sh", "-c", "echo $(ls /39/point | wc -l)"]].concat();
        let mut run = root.run(&script);
        let mut timed = command(user, "bash");
        timed.args(["-c", r#"TIMEFORMAT='%S %U'; time "$@""#, "bash"]);
        timed.arg(run.get_program()).args(run.get_args());
        run = timed;
        let ended = end(&mut run);
        assert_eq!(ended.status, 0, "{ended:?}");
        let seconds = ended.stderr.split_whitespace();
        let seconds: f64 = seconds.map(|text| text.parse::<f64>().unwrap()).sum();
        assert!(seconds < 15.0, "{ended:?}");
        assert_eq!(root.tree(), before);
    }
}

/// A link that needs more mount points than a run creates leaves none of them.
#[test]
fn a_link_to_more_missing_directories_than_are_made_leaves_none() {
    for user in users() {
        for depth in [60, 74, 75, 76, 100, 128, 129] {
            let root = Root::busybox(user);
            root.symlink("etc", "d/".repeat(depth));
            let before = root.tree();
            let ended = end(&mut root.run(&["ROOT", "true"]));
            assert_eq!(ended.status, 0, "{depth} {ended:?}");
            assert_eq!(root.tree(), before, "{depth} {ended:?}");
        }
    }
}

/// A file that looks like a mount point of another run, locked by a process that never unlocks it.
fn locked_root(user: User) -> (Root, File) {
    let root = Root::busybox(user);
    let stub = root.directory("dev");
    fs::set_permissions(&stub, Permissions::from_mode(0o1715)).unwrap();
    let lock = File::open(&stub).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    (root, lock)
}

#[test]
fn a_lock_that_is_held_is_an_error_that_names_the_mount_point() {
    for user in users() {
        let (root, lock) = locked_root(user);
        let begun = Instant::now();
        let ended = end(&mut root.run(&["ROOT", "true"]));
        assert_refused(&ended, "lock the mount point /dev");
        assert!(begun.elapsed() < Duration::from_secs(30), "{ended:?}");
        drop(lock);
        let ended = end(&mut root.run(&["ROOT", "true"]));
        assert_eq!(ended.status, 0, "{ended:?}");
        assert_eq!(root.tree(), [""; 0]);
    }
}

#[test]
fn a_run_that_waits_for_a_lock_is_ended_by_a_signal() {
    for user in users() {
        for number in [15, 2] {
            let (root, lock) = locked_root(user);
            let mut running = Running::start(&mut root.run(&["ROOT", "true"]));
            wait_until("pid 1", || !children(running.pid()).is_empty());
            let begun = Instant::now();
            send_signal(running.pid(), number);
            assert_ne!(running.status(), 0);
            // rootlet itself would give up after three seconds.
            let took = begun.elapsed();
            assert!(took < Duration::from_millis(2900), "{took:?}");
            drop(lock);
        }
    }
}

/// A directory that replaces a new mount point keeps its mode and its contents.
#[test]
fn a_replacement_of_a_mount_point_keeps_its_mode() {
    let user = User::Ordinary;
    let root = Root::busybox(user);
    let secret = root.directory("secret");
    root.file("secret/file", "");
    fs::set_permissions(&secret, Permissions::from_mode(0o700)).unwrap();
    let held = File::open(&secret).unwrap();
    let dev = root.path().join("dev");
    let swap = || {
        // Most of the time there is nothing at this path.
        let _ = renameat_with(CWD, &secret, CWD, &dev, RenameFlags::EXCHANGE);
    };
    // The runner can open and change it, but another user owns it.
    let runner = users()[0];
    meanwhile(swap, || {
        for _ in 0..common::rounds(100) {
            let mut run = common::rootlet(runner);
            run.args(["run", "--no-mounts", "-B", "/usr:/dev", root.name(), "true"]);
            let ended = end(&mut run);
            assert!(matches!(ended.status, 0 | 125), "{ended:?}");
            let mode = held.metadata().unwrap().mode();
            assert_eq!(mode & 0o7777, 0o700, "{ended:?}");
        }
    });
}

/// The host mounts in two directories while a run shows them: below a bind, and in the root.
fn flow(options: &str, expected: &str) {
    let (root, source) = (Root::busybox(User::Root), Root::empty(User::Root));
    for name in ["flow", "data"] {
        root.directory(name);
    }
    source.directory("sub");
    for name in ["from-inside", "to-inside"] {
        let (path, mode) = (root.path().join(name), Mode::from_raw_mode(0o600));
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }
    let script = format!(
        r#"cd "$0"
        "$1" run {options} "$0" sh -c '
            echo mounted >/from-inside; read word </to-inside
            for directory in /data/sub /flow; do
                test -e $directory/file && echo "arrives: $directory"
                {{ echo >$directory/new; }} 2>/dev/null && echo "written: $directory"
            done; echo done' &
        read word <from-inside
        for directory in "$2/sub" flow; do mount -t tmpfs none "$directory" && : >"$directory/file"; done
        echo look >to-inside
        wait $!"#
    )
    .replace("SOURCE", source.name());
    let mut outer = outer_namespace(&script);
    outer.arg(root.path()).arg(rootlet_path());
    let ended = end(outer.arg(source.path()));
    let shown = (ended.status, ended.stdout.as_str());
    assert_eq!(
        shown,
        (0, format!("{expected}done\n").as_str()),
        "{options} {ended:?}"
    );
}

#[test]
fn later_mounts_of_the_host_are_never_writable_below_a_read_only_tree() {
    if !can_be_root() {
        return;
    }
    let both = |directory: &str| format!("arrives: {directory}\nwritten: {directory}\n");
    let (sub, root) = (both("/data/sub"), both("/flow"));
    flow("-R SOURCE:/data", &format!("{sub}{root}"));
    flow("-R SOURCE:/data:ro", &root);
    flow("--ro SOURCE:/data", &root);
    flow("-B SOURCE:/data:ro", &root);
    flow("--read-only-root -R SOURCE:/data", &sub);
    flow("--read-only-root -R SOURCE:/data:ro", "");
    flow("--read-only-root", "");
    flow("", &root);
    // In a user namespace the mounts are slaves as well.
    flow("--unshare user -R SOURCE:/data:ro", &root);
}
