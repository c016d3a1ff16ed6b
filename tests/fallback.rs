//! Older kernels, emulated by strace(1): each newer call fails with ENOSYS, and the run has the
//! same result without it.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Ended, Root, User, can_be_root, end, filter, rootlet_path, users};

/// The calls with a fallback, alone and all together.
const MISSING: [&str; 7] = [
    "openat2",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "clone3",
    "close_range",
    "openat2,open_tree,move_mount,mount_setattr,clone3,close_range",
];

/// The same command under strace, which fails these calls with `error`, and records them and their
/// fallbacks.
fn with_error(user: User, calls: &str, error: &str, command: &Command) -> Traced {
    let log = Root::empty(user);
    let mut strace = common::command(user, "strace");
    let traced = "trace=openat,openat2,open_tree,move_mount,mount_setattr,clone3,clone,\
        close_range,close,mount,pidfd_open,waitid";
    strace
        .args(["-f", "--seccomp-bpf", "-s", "300", "-o"])
        .arg(log.path().join("log"))
        .args(["-e", traced])
        .args(["-e", &format!("inject={calls}:error={error}")])
        .arg(command.get_program())
        .args(command.get_args());
    Traced {
        command: strace,
        log,
    }
}

struct Traced {
    command: Command,
    log: Root,
}

impl Traced {
    fn log(&self) -> String {
        fs::read_to_string(self.log.path().join("log")).unwrap()
    }
}

/// Checks that the calls failed with ENOSYS and that their fallbacks were used.
#[track_caller]
fn assert_fell_back(log: &str, calls: &str, stand_ins: &[(&str, &str)]) {
    for call in calls.split(',') {
        // A call that another process interrupts has two lines.
        let (answer, later) = (format!("{call}("), format!("<... {call} resumed>"));
        let injected = |line: &str| {
            (line.contains(&answer) || line.contains(&later)) && line.ends_with("(INJECTED)")
        };
        // Without open_tree there is no tree to move, and no tree to set options on.
        let has_no_tree =
            ["move_mount", "mount_setattr"].contains(&call) && calls.contains("open_tree");
        assert!(has_no_tree || log.lines().any(injected), "{call}: {log}");
        for (_, stand_in) in stand_ins.iter().filter(|(name, _)| *name == call) {
            let succeeded = |line: &str| line.contains(stand_in) && !line.contains(" = -1 ");
            assert!(log.lines().any(succeeded), "{call}: {stand_in}: {log}");
        }
    }
}

/// The fallback for each call. The one for mount_setattr is checked where there are options to set.
const STAND_INS: [(&str, &str); 5] = [
    ("openat2", "O_NOFOLLOW|O_CLOEXEC|O_PATH"),
    ("open_tree", "MS_BIND|MS_REC, "),
    ("move_mount", "MS_BIND|MS_REC, "),
    ("clone3", " clone(child_stack=NULL, flags="),
    ("close_range", " close("),
];

/// Prints the command's view: directories, mounts with their options, descriptors, and writable
/// files.
const LOOK: &str = r#"
    ls -l / | awk '{ print $1, $NF }'
    cut -d ' ' -f 4-6 /proc/self/mountinfo | sort
    ls /proc/self/fd
    cat /data/file /dev/null /etc/resolv.conf /file
    for name in /data/new /tree/new /deep/er/new /dev/shm/new /file; do
        (echo new >>$name) 2>&1
    done
    readlink /proc/self/ns/net
    echo $$; exit 37"#;

#[test]
fn a_run_is_the_same_without_the_newer_calls() {
    for user in users() {
        let root = Root::busybox(user);
        root.directory("proc");
        root.symlink("tree", "/var/tree");
        let before = root.tree();
        let source = Root::empty(user);
        source.file("file", "bound\n");
        let (data, tree) = (format!("{}:/data:ro,nodev", source.name()), source.name());
        let (tree, deep) = (
            format!("{tree}:/tree:noexec"),
            format!("{tree}:/deep/er:nosuid"),
        );
        let file = format!("{}/file:/file:ro", source.name());
        let words = [
            "-R", &data, "-R", &tree, "-R", &deep, "-B", &file, "ROOT", "sh", "-c", LOOK,
        ];
        let run = root.run(&words);
        let without = || {
            for name in ["file", "new"] {
                let _ = fs::remove_file(source.path().join(name));
            }
            source.file("file", "bound\n");
        };
        let expected = end(&mut root.run(&words));
        assert_eq!((expected.status, expected.stderr.as_str()), (37, ""));
        for part in [
            "/data/new: Read-only file system",
            "/file: Read-only",
            "bound\n",
        ] {
            assert!(expected.stdout.contains(part), "{}", expected.stdout);
        }
        for calls in MISSING {
            without();
            let mut traced = with_error(user, calls, "ENOSYS", &run);
            let ended = end(&mut traced.command);
            assert_eq!(ended.stdout, expected.stdout, "{user:?} {calls}");
            assert_eq!((ended.status, ended.stderr.as_str()), (37, ""), "{calls}");
            assert_eq!(root.tree(), before, "{user:?} {calls}");
            let log = traced.log();
            assert_fell_back(&log, calls, &STAND_INS);
            assert_fell_back(&log, calls, &[("mount_setattr", "MS_REMOUNT|MS_BIND")]);
        }
    }
}

/// Runs the script, and then the command, in a new mount namespace. The words after the script are
/// $1, $2…
fn after(script: &str, words: &[&Path], user: User, command: &Command) -> Command {
    let mut outer = common::command(User::Root, "unshare");
    let script = format!("set -e\n{script}\nshift {}\nexec \"$@\"", words.len());
    outer.args(["-m", "--propagation", "private", "sh", "-c", &script, "sh"]);
    outer.args(words);
    if user == User::Ordinary {
        outer.args([
            "setpriv",
            "--reuid=54321",
            "--regid=54321",
            "--clear-groups",
        ]);
    }
    outer.arg(command.get_program()).args(command.get_args());
    outer
}

#[test]
fn a_read_only_tree_is_read_only_with_all_below_it() {
    if !can_be_root() {
        return;
    }
    let mounts = r#"cd "$1"
        mkdir -p one two "with space" && touch file && echo bound >on-file
        mount -t tmpfs -o nosuid,mode=777 one one
        mkdir -m 777 one/deeper && mount -t tmpfs -o noexec,mode=777 deeper one/deeper
        mkdir -m 777 one/deeper/directory && chmod 777 .
        mount -t tmpfs -o mode=777 hidden two && mount -t tmpfs -o mode=777 over two
        mount -t tmpfs -o mode=777 space "with space"
        mkdir -m 777 "with space/back\\slash" && mount -t tmpfs -o nodev,mode=777 back "with space/back\\slash"
        mount --bind on-file file
        chmod 666 on-file"#;
    let look = r#"
        for name in . one one/deeper one/deeper/directory two "with space" "with space/back\\slash"; do
            touch "/tree/$name/new" && echo "wrote in $name"
        done
        for name in file on-file; do (echo new >>/tree/$name) && echo "wrote $name"; done
        cut -d ' ' -f 5,6 /proc/self/mountinfo | grep /tree"#;
    for user in users() {
        for target in ["/tree", "/link/to", "/a/b/c"] {
            let root = Root::busybox(user);
            root.symlink("link", "real");
            root.directory("real");
            let look = look.replace("/tree/", &format!("{target}/"));
            let look = look.replace("grep /tree", "grep -e /tree -e /real -e /a/");
            let before = root.tree();
            let tree = Root::empty(User::Root);
            let bind = format!("{}:{target}:ro,rec", tree.name());
            let run = root.run(&["-B", &bind, "ROOT", "sh", "-c", &look]);
            let expected = end(&mut after(mounts, &[tree.path()], user, &run));
            assert_eq!(expected.status, 0, "{expected:?}");
            assert!(!expected.stdout.contains("wrote"), "{expected:?}");
            assert_eq!(expected.stderr.matches("Read-only file system").count(), 9);
            for calls in MISSING {
                let traced = with_error(user, calls, "ENOSYS", &run);
                let ended = end(&mut after(mounts, &[tree.path()], user, &traced.command));
                assert_eq!(ended.stderr, expected.stderr, "{user:?} {calls}");
                // The hidden mount may differ, because it cannot be reached.
                assert_eq!(
                    without_hidden(&ended.stdout),
                    without_hidden(&expected.stdout),
                    "{user:?} {calls}"
                );
                assert_eq!(ended.status, 0);
                assert_eq!(root.tree(), before);
                let log = traced.log();
                assert_fell_back(&log, calls, &STAND_INS);
                assert_fell_back(&log, calls, &[("mount_setattr", "MS_REMOUNT|MS_BIND")]);
            }
        }
    }
}

/// The lines about mounts. Of two with one path, only the last one.
fn without_hidden(shown: &str) -> Vec<&str> {
    let path = |line: &str| line.split(' ').next().map(str::to_owned);
    let lines: Vec<&str> = shown.lines().collect();
    let is_last = |index: &usize| {
        lines[index + 1..]
            .iter()
            .all(|line| path(line) != path(lines[*index]))
    };
    (0..lines.len())
        .filter(is_last)
        .map(|index| lines[index])
        .collect()
}

#[test]
fn hostile_roots_stay_contained() {
    if can_be_root() {
        contains_hostile_roots(User::Root);
    }
}

#[test]
fn hostile_roots_stay_contained_without_root() {
    contains_hostile_roots(User::Ordinary);
}

#[track_caller]
fn contains_hostile_roots(user: User) {
    let outside = Root::empty(user);
    outside.directory("point");
    outside.file("mark", "");
    let before_outside = outside.tree();
    let up = format!("{}{}", "../".repeat(20), &outside.name()[1..]);
    let source = Root::empty(user);
    source.file("mark", "");
    let bind = format!("{}:/a/point", source.name());
    for calls in ["openat2", "open_tree", "move_mount", MISSING[6]] {
        for link in [outside.name(), &up, &format!("{}/missing", outside.name())] {
            for name in [
                "dev",
                "proc",
                "sys",
                "etc",
                "etc/resolv.conf",
                "a",
                "a/point",
            ] {
                let root = Root::busybox(user);
                root.symlink(name, link);
                let before = root.tree();
                let look = "test -c /dev/null && test -d /proc/1 && test -d /sys/class && \
                    test -s /etc/resolv.conf && test -f /a/point/mark && echo there";
                let run = root.run(&["-R", &bind, "ROOT", "sh", "-c", look]);
                let ended = end(&mut with_error(user, calls, "ENOSYS", &run).command);
                let what = format!("{user:?} {calls} {name} -> {link}: {ended:?}");
                assert_eq!(outside.tree(), before_outside, "{what}");
                assert_eq!(root.tree(), before, "{what}");
                assert_eq!(
                    (ended.status, ended.stdout.as_str()),
                    (0, "there\n"),
                    "{what}"
                );
                assert_eq!(ended.stderr, "", "{what}");
            }
        }
        for (link, target) in [("loop", "/loop/x"), ("/proc/self/root", "/loop/tmp/x")] {
            let root = Root::busybox(user);
            root.symlink("loop", link);
            let before = root.tree();
            let run = root.run(&["-B", &format!("tmpfs:{target}"), "ROOT", "true"]);
            let ended = end(&mut with_error(user, calls, "ENOSYS", &run).command);
            let line = format!(
                "rootlet: cannot find the mount point {target}: Too many levels of symbolic links (ELOOP)\n"
            );
            assert_eq!(
                (ended.status, ended.stderr),
                (125, line),
                "{user:?} {calls}"
            );
            assert_eq!(root.tree(), before);
        }
    }
}

#[test]
fn only_the_standard_descriptors_reach_the_command() {
    for user in users() {
        let root = Root::busybox(user);
        let look = "for fd in /proc/self/fd/* /proc/1/fd/*; do readlink $fd; done; true";
        let run = root.run(&["ROOT", "sh", "-c", look]);
        for calls in ["close_range", MISSING[6]] {
            let traced = with_error(user, calls, "ENOSYS", &run);
            let mut bash = common::command(user, "bash");
            bash.args([
                "-c",
                "exec 3</usr 4</var 7</usr 9</var 200</var; exec \"$@\"",
                "bash",
            ]);
            bash.arg(traced.command.get_program());
            let ended = end(bash.args(traced.command.get_args()));
            assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
            for line in ended.stdout.lines() {
                assert!(!["/var", "/usr"].contains(&line), "{ended:?}");
            }
            assert_fell_back(&traced.log(), calls, &STAND_INS);
        }
    }
}

/// Without /proc there is no list of the descriptors to close.
#[test]
fn descriptors_are_closed_without_proc() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let look = "for fd in /proc/self/fd/*; do readlink $fd; done; true";
    // Before Linux 5.12 there is also no way to make the mount of a file read-only.
    let run = root.run(&[
        "--resolv-conf",
        "off",
        "--hosts=off",
        "ROOT",
        "sh",
        "-c",
        look,
    ]);
    let traced = with_error(User::Root, "close_range", "ENOSYS", &run);
    // strace itself needs /proc, therefore it is unmounted after the start of strace.
    let mut words: Vec<String> = traced
        .command
        .get_args()
        .map(|word| word.to_str().unwrap().to_owned())
        .collect();
    let at = words
        .iter()
        .position(|word| Path::new(word) == rootlet_path())
        .unwrap();
    let rest = words.split_off(at);
    let mut outer = common::command(User::Root, "unshare");
    outer
        .args(["-m", "--propagation", "private", "strace"])
        .args(words);
    outer.args(["bash", "-c"]);
    outer
        .arg("exec 7</etc 9</usr 200</etc; ulimit -n 4096; mount -t tmpfs none /proc; exec \"$@\"");
    outer.arg("bash").args(rest);
    let ended = end(&mut outer);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
    for line in ended.stdout.lines() {
        assert!(!["/var", "/usr"].contains(&line), "{ended:?}");
    }
}

#[track_caller]
fn assert_refused(ended: &Ended, step: &str) {
    let line = format!("rootlet: cannot {step}: Operation not permitted (EPERM)\n");
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (125, ""),
        "{ended:?}"
    );
    assert!(ended.stderr.starts_with(&line), "{line}{ended:?}");
}

/// openat2(2) fails with EAGAIN if something in the system is renamed or mounted meanwhile, which may be
/// the case each time.
#[test]
fn a_system_that_never_rests_selects_the_walk() {
    for user in users() {
        let root = Root::busybox(user);
        let source = Root::empty(user);
        let binds = ["/data/in", "/t/in"].map(|place| format!("{}:{place}", source.name()));
        let [outer, inner] = &binds;
        let words = ["--no-mounts", "-B", outer, "-B", "tmpfs:/t", "-B", inner];
        let run = root.run(&[&words[..], &["ROOT", "true"]].concat());
        let mut traced = with_error(user, "openat2", "EAGAIN", &run);
        let ended = end(&mut traced.command);
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{user:?}");
        assert!(traced.log().contains("(INJECTED)"));
        assert_eq!(root.tree(), [""; 0], "{user:?}");
    }
}

/// close_range(2) is not in the list, because closing one by one is equally strict.
#[test]
fn eperm_selects_no_fallback() {
    for user in users() {
        let root = Root::busybox(user);
        let source = Root::empty(user);
        let bind = format!("{}:/data/in:ro", source.name());
        let words = ["--no-mounts", "-R", &bind, "ROOT", "true"];
        let run = root.run(&words);
        let name = root.name();
        // Root first asks for a mount namespace that contains only NEWROOT, and continues if that
        // is refused.
        let [first_tree, second_tree] = match user {
            User::Root => ["2", "3"],
            User::Ordinary => ["1", "2"],
        };
        for (calls, which, step) in [
            ("openat2", "1+", "find the mount point /data/in"),
            ("open_tree", first_tree, &format!("open {}", source.name())),
            (
                "open_tree",
                second_tree,
                &format!("copy the mounts of {name}"),
            ),
            ("move_mount", "1", &format!("copy the mounts of {name}")),
            (
                "move_mount",
                "2",
                &format!("mount {} on /data/in", source.name()),
            ),
            (
                "mount_setattr",
                "1+",
                &format!("set the mount options of {}", source.name()),
            ),
        ] {
            let error = format!("EPERM:when={which}");
            let mut traced = with_error(user, calls, &error, &run);
            let ended = end(&mut traced.command);
            assert_refused(&ended, step);
            let log = traced.log();
            assert!(log.contains("(INJECTED)"), "{log}");
            assert!(!log.contains("MS_BIND"), "{log}");
            assert_eq!(root.tree(), [""; 0], "{user:?} {calls}");
        }
    }
}

/// With EPERM from clone3, the kernel says that this user needs a user namespace. If clone3 fails
/// again with the user namespace, a filter may be the reason, and rootlet tries clone(2).
#[test]
fn eperm_of_clone3_asks_for_a_user_namespace_and_then_for_clone() {
    for user in users() {
        let root = Root::busybox(user);
        let look = "id -u; readlink /proc/self/ns/user";
        let run = root.run(&["ROOT", "sh", "-c", look]);
        let ours = std::fs::read_link("/proc/self/ns/user").unwrap();
        let ours = format!("0\n{}\n", ours.display());
        let mut traced = with_error(user, "clone3", "EPERM:when=1", &run);
        let ended = end(&mut traced.command);
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
        assert_ne!(ended.stdout, ours, "{user:?}");
        assert!(ended.stdout.starts_with("0\nuser:["), "{ended:?}");

        let mut traced = with_error(user, "clone3", "EPERM", &run);
        let ended = end(&mut traced.command);
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
        // Root keeps its capabilities.
        assert_eq!(ended.stdout == ours, user == User::Root, "{ended:?}");

        let mut traced = with_error(user, "clone3,clone", "EPERM", &run);
        assert_refused(&end(&mut traced.command), "make new namespaces");
        assert_eq!(root.tree(), [""; 0]);
    }
}

/// Like a kernel or an emulator that ignores `CLONE_PIDFD`.
#[test]
fn a_clone_that_gives_no_pidfd_is_no_reason_to_wait() {
    for user in users() {
        let root = Root::busybox(user);
        let run = root.run(&["ROOT", "sh", "-c", "echo text; exit 37"]);
        for missing in ["clone3", "clone3,pidfd_open"] {
            let mut traced = with_error(user, missing, "ENOSYS", &run);
            let no_pidfd = "inject=clone:poke_exit=@arg3=ffffffff";
            let mut strace = common::command(user, "strace");
            strace
                .args(["-e", no_pidfd])
                .args(traced.command.get_args());
            traced.command = strace;
            let ended = end(&mut traced.command);
            let printed = (ended.status, ended.stdout.as_str());
            assert_eq!(printed, (37, "text\n"), "{user:?} {missing} {ended:?}");
            // strace cannot write to the memory of pid 1.
            let own = |line: &&str| !line.starts_with("strace: ");
            assert_eq!(ended.stderr.lines().find(own), None, "{ended:?}");
            let by_pid = missing.contains("pidfd_open");
            let log = traced.log();
            assert_eq!(log.contains("waitid(P_PID,"), by_pid, "{log}");
            assert_eq!(log.contains("waitid(P_PIDFD,"), !by_pid, "{log}");
        }
    }
}

/// Without statx(2) a run cannot tell its own mount points from others. From Linux 7.0 on it has
/// made the first one before it needs the call.
#[test]
fn a_run_without_statx_leaves_nothing() {
    for user in users() {
        let root = Root::busybox(user);
        for (errno, name) in [(1, "EPERM"), (22, "EINVAL"), (38, "ENOSYS")] {
            for options in [&["--share=pid", "--dev=minimal"][..], &[]] {
                let mut run = root.run(&[options, &["ROOT", "true"]].concat());
                filter::answer(&mut run, errno, &[filter::whole(sc::nr::STATX)]);
                let ended = end(&mut run);
                assert_eq!(ended.status, 125, "{user:?} {ended:?}");
                let reason = format!("({name})");
                assert!(ended.stderr.contains(&reason), "{user:?} {ended:?}");
                assert_eq!(root.tree(), [""; 0], "{user:?} {ended:?}");
            }
        }
    }
}

#[test]
fn errors_are_the_same_without_the_newer_calls() {
    for user in users() {
        let root = Root::busybox(user);
        root.file("file", "");
        let before = root.tree();
        for words in [
            &["-R", "/missing", "ROOT", "true"][..],
            &["-R", "/missing:/x:ro,optional", "ROOT", "true"],
            &["-R", "/usr:/file", "ROOT", "true"],
            &["-R", "/usr:/file/x", "ROOT", "true"],
            &[
                "-R",
                "/usr:/usr",
                "-B",
                "tmpfs:/usr/no-such-directory",
                "ROOT",
                "true",
            ],
            &["ROOT", "/no/such/command"],
            &["ROOT", "/file"],
            &["-C", "/missing", "ROOT", "true"],
            &["ROOT", "sh", "-c", "kill -9 $$"],
        ] {
            let expected = end(&mut root.run(words));
            for calls in MISSING {
                let run = root.run(words);
                let ended = end(&mut with_error(user, calls, "ENOSYS", &run).command);
                let what = format!("{user:?} {calls} {words:?}");
                assert_eq!(ended.stderr, expected.stderr, "{what}");
                assert_eq!(ended.status, expected.status, "{what}");
                assert_eq!(root.tree(), before, "{what}");
            }
        }
    }
}
