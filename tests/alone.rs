//! NEWROOT in a mount namespace that contains nothing else, which Linux 7.0 can make. A run keeps
//! its promises on every kernel. Therefore only the tests of its system calls depend on the
//! version.

#![allow(missing_docs)]

mod common;

use std::path::Path;

use common::hostile::outer_namespace;
use common::{Root, User, can_be_root, end, rootlet_path, succeed, users};

/// Returns whether this kernel can make such a namespace.
fn has_it() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    release.split('.').next().unwrap().parse::<u32>().unwrap() >= 7
}

/// Runs `rootlet run WORDS` in a new mount namespace, after a script with the directories of both
/// roots as `$root` and `$host`. Nothing of it remains.
fn run_after(script: &str, root: &Root, host: &Root, words: &str, after: &str) -> common::Ended {
    let rootlet = rootlet_path().display();
    let (root, host) = (root.name(), host.name());
    end(&mut outer_namespace(&format!(
        "root={root} host={host}; {{ {script}; }} || exit 99; {rootlet} run {words}; status=$?; {after}; exit $status"
    )))
}

const PIN: &str = "mount --bind $host $host && mount --make-private $host && touch $host/pin &&
    for try in {1..99}; do unshare --mount=$host/pin true 2>/dev/null && break; done && mkdir -p $host/below && mount -t tmpfs below $host/below &&
    touch $host/below/file";

/// `unshare --mount=FILE`, and snapd with it, pin mount namespaces in files. A copy of such a mount
/// cannot be attached in a newer namespace (ELOOP). The kernel compares numbers that each processor
/// assigns separately. Therefore rootlet tries again when the kernel takes its namespace for the
/// newer one.
#[test]
fn a_source_with_a_pinned_mount_namespace_is_bound_without_the_pin() {
    if !can_be_root() {
        return;
    }
    let (root, host) = (Root::busybox(User::Root), Root::empty(User::Root));
    let before = root.tree();
    for options in [
        "",
        "--read-only-root",
        "--overlay",
        "--mask-proc",
        "--dev minimal",
    ] {
        for bind in ["-R $host:/in", "-R $host:/in:ro -B $host:/other"] {
            let words = format!(
                "{options} {bind} $root sh -c 'ls /in/below; test -s /in/pin; echo $?; cat /proc/self/comm'"
            );
            if options == "--read-only-root" {
                root.directory("in");
                root.directory("other");
            }
            let ended = run_after(PIN, &root, &host, &words, ":");
            assert_eq!(ended.stdout, "file\n1\ncat\n", "{words}: {ended:?}");
            assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{words}");
            if options == "--read-only-root" {
                std::fs::remove_dir(root.path().join("in")).unwrap();
                std::fs::remove_dir(root.path().join("other")).unwrap();
            }
            assert_eq!(root.tree(), before, "{words}");
        }
    }
}

#[test]
fn a_root_with_a_pinned_mount_namespace_works() {
    if !can_be_root() {
        return;
    }
    let (root, host) = (Root::busybox(User::Root), Root::busybox(User::Root));
    let words = "$host sh -c 'ls /below; test -s /pin; echo $?'";
    let ended = run_after(PIN, &root, &host, words, ":");
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "file\n1\n"),
        "{ended:?}"
    );
}

/// An optional bind must not be left out either because its source cannot be attached at first.
#[test]
fn an_optional_bind_with_a_pinned_mount_namespace_is_not_left_out() {
    if !can_be_root() {
        return;
    }
    let (root, host) = (Root::busybox(User::Root), Root::empty(User::Root));
    // The host's /dev is a default, which is left out if it is unavailable.
    let pin = format!(
        "host=/dev; {}",
        "mount -t tmpfs dev $host && mknod $host/null c 1 3 &&
        mount --make-private $host && mkdir $host/pts $host/shm && touch $host/pin &&
        for try in {1..99}; do unshare --mount=$host/pin true 2>/dev/null && break; done"
    );
    let words = "$root sh -c 'ls /dev'";
    let ended = run_after(&pin, &root, &host, words, ":");
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert_eq!(ended.stdout, "null\npin\npts\nshm\n");
}

/// A mount copied from the host is its peer until it is made a slave.
#[test]
fn mounts_made_inside_appear_nowhere_outside() {
    if !can_be_root() {
        return;
    }
    let (root, host) = (Root::busybox(User::Root), Root::empty(User::Root));
    let prepare = "mount -t tmpfs one $host && mkdir $host/a $host/b && touch $host/f &&
        mount -t tmpfs two $host/b && mkdir $host/b/c && mount --make-rshared / &&
        mount --bind $root $root && mkdir -p $root/own && mount -t tmpfs own $root/own";
    for options in [
        "",
        "--overlay",
        "--dev minimal",
        "--mask-proc",
        "--read-only-root",
    ] {
        if options == "--read-only-root" {
            for name in ["r", "in", "own"] {
                root.directory(name);
            }
            root.file("file", "");
        }
        // In binds, in mounts below them, on a file, on nodes of /dev, and in NEWROOT.
        let inside = "for place in /r/a /r/b/c /in/a /file /r/f /dev/null /dev/shm /own /bin; do
            test -d $place && mount -t tmpfs inner $place || mount --bind /bin/busybox $place || echo no $place
        done; grep -c ' inner \\|busybox' /proc/self/mountinfo";
        let words = format!(
            "{options} -R $host:/r -B $host:/in -B $host/f:/file $root sh -c {}",
            shell_word(inside)
        );
        let after = "grep 'inner\\|busybox' /proc/self/mountinfo";
        let ended = run_after(prepare, &root, &host, &words, after);
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (0, "9\n"),
            "{words}: {ended:?}"
        );
        let outer =
            end(common::command(User::Root, "grep").args([" inner ", "/proc/self/mountinfo"]));
        assert_eq!(outer.stdout, "");
    }
}

fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The other direction stays open: later mounts of the host appear inside.
#[test]
fn later_mounts_of_the_host_below_a_source_appear_inside() {
    if !can_be_root() {
        return;
    }
    let (root, host) = (Root::busybox(User::Root), Root::empty(User::Root));
    root.directory("later");
    // `timeout` ends both processes if one of them fails.
    let prepare = "mount -t tmpfs one $host && mkdir $host/a && mount --make-rshared / &&
        mount --bind $root $root && { timeout 100 bash -c 'until [ -e $1/go ]; do sleep 0.01; done
            mount -t tmpfs late $1/a; touch $1/a/late; mount -t tmpfs late $2/later
            touch $2/later/root $1/gone' later $host $root & }";
    let words = "-R $host:/r $root timeout 100 \
        sh -c 'touch /r/go; until [ -e /r/gone ]; do sleep 0.01; done; ls /r/a /later'";
    let ended = run_after(prepare, &root, &host, words, "wait");
    assert_eq!(ended.stdout, "/later:\nroot\n\n/r/a:\nlate\n", "{ended:?}");
}

/// The system calls of a run, with and without the kernel's new one.
#[test]
fn a_run_copies_no_mount_table_where_the_kernel_allows_that() {
    let strace = |user: User, root: &Root, words: &[&str]| {
        let log = Root::empty(user);
        let mut traced = common::command(user, "strace");
        traced.args([
            "-fqq",
            "-e",
            "trace=unshare,setns,pivot_root,open_tree",
            "-o",
        ]);
        traced.arg(log.path().join("log"));
        traced
            .arg(rootlet_path())
            .arg("run")
            .args(words)
            .arg(root.path())
            .arg("true");
        let ended = end(&mut traced);
        assert_eq!(ended.status, 0, "{ended:?}");
        std::fs::read_to_string(log.path().join("log")).unwrap()
    };
    for user in users() {
        let root = Root::busybox(user);
        for (words, may_do_without) in [
            (&[][..], true),
            (&["--pty"], true),
            (&["--read-only-root"], true),
            (&["--share", "pid,ipc,uts"], true),
            (&["--unshare", "net"], true),
            (&["--overlay"], false),
            (&["--mask-proc"], false),
            (&["--dev", "minimal"], true),
            (&["--unshare", "user"], false),
        ] {
            // Before Linux 5.11, ordinary users cannot mount an overlay.
            if words == ["--overlay"] && user == User::Ordinary {
                continue;
            }
            if words == ["--read-only-root"] {
                for name in ["dev", "proc", "sys"] {
                    root.directory(name);
                }
            }
            let log = strace(user, &root, words);
            let copies = log.contains("unshare(CLONE_NEWNS)") && log.contains("pivot_root(");
            let does_without = has_it() && user == User::Root && may_do_without;
            assert_eq!(copies, !does_without, "{user:?} {words:?}: {log}");
        }
    }
}

/// If entering the namespace is refused half-way, rootlet falls back to the old way.
#[test]
fn a_filter_that_forbids_setns_does_not_stop_a_run() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let host = Root::empty(User::Root);
    host.file("file", "bound\n");
    let bind = format!("{}:/in", host.name());
    for calls in [
        "open_tree:error=EPERM:when=1",
        "open_tree:error=EINVAL:when=1",
        "open_tree:error=ELOOP:when=1",
        "open_tree:error=ENOSYS:when=2+",
        "setns:error=EPERM:when=1",
        "setns:error=EINVAL:when=1",
        "mount_setattr:error=ENOSYS",
        "move_mount:error=ENOSYS",
        "move_mount:error=ENOSYS:when=2+",
        "move_mount:error=ELOOP:when=2",
    ] {
        // Before Linux 7.0 the first setns is for another purpose.
        if calls.starts_with("setns") && !has_it() {
            continue;
        }
        // The second call attaches a bind. Before Linux 7.0 it would not fail like this.
        if calls.contains("move_mount:error=ELOOP") && !has_it() {
            continue;
        }
        let mut traced = common::command(User::Root, "strace");
        traced.args(["-fqq", "-o", "/dev/null", "-e", &format!("inject={calls}")]);
        traced
            .arg(rootlet_path())
            .args(["run", "-B", &bind, "-R", &format!("{}:/r", host.name())]);
        traced.arg(root.path()).args([
            "sh",
            "-c",
            "cat /in/file /r/file; echo $$; ls /dev/null; exit 7",
        ]);
        let ended = end(&mut traced);
        assert_eq!(
            (ended.status, ended.stderr.as_str()),
            (7, ""),
            "{calls}: {ended:?}"
        );
        assert_eq!(ended.stdout, "bound\nbound\n2\n/dev/null\n", "{calls}");
        assert_eq!(root.tree(), Root::busybox(User::Root).tree(), "{calls}");
    }
}

/// If nodes cannot be made, they are bound from the host.
#[test]
fn a_minimal_dev_binds_the_hosts_nodes_where_none_can_be_made() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let mut command = common::command(User::Root, "setpriv");
    command.args(["--bounding-set", "-mknod", "--inh-caps", "-mknod"]);
    command
        .arg(rootlet_path())
        .args(["run", "--dev", "minimal"]);
    command.arg(root.path()).args([
        "sh",
        "-c",
        "head -c 3 /dev/zero | wc -c; echo >/dev/null; ls /dev/tty",
    ]);
    assert_eq!(succeed(&mut command), "3\n/dev/tty\n");
    assert_eq!(root.tree(), Root::busybox(User::Root).tree());
}

/// `/sys` is then the first tree of the host's that is attached.
#[test]
fn sys_is_the_callers_beside_a_minimal_dev_without_move_mount() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let mut traced = common::command(User::Root, "strace");
    traced.args(["-fqqo/dev/null", "-e", "inject=move_mount:error=ENOSYS"]);
    traced
        .arg(rootlet_path())
        .args(["run", "--dev", "minimal"])
        .arg(root.path());
    traced.args(["sh", "-c", "ls -d /sys/kernel /dev/null; exit 7"]);
    let ended = end(&mut traced);
    assert_eq!((ended.status, ended.stderr.as_str()), (7, ""), "{ended:?}");
    assert_eq!(ended.stdout, "/dev/null\n/sys/kernel\n");
    assert_eq!(root.tree(), Root::busybox(User::Root).tree());
}

/// A caller in a chroot has its own root, and keeps it when the first way fails.
#[test]
fn it_works_in_a_chroot_with_a_pinned_mount_namespace() {
    if !can_be_root() {
        return;
    }
    let (root, host) = (Root::busybox(User::Root), Root::busybox(User::Root));
    std::fs::copy(rootlet_path(), host.path().join("bin/rootlet")).unwrap();
    let script = format!(
        "host={host} root={root}; {PIN}; cp -r $root $host/below/root; mkdir -p $host/proc $host/dev; \
         mount -t proc proc $host/proc; mount --bind /dev $host/dev; \
         exec chroot $host /bin/rootlet run -R /:/in /below/root sh -c 'ls /in/below; test -s /in/pin; echo $?; ls /..'",
        host = host.name(),
        root = root.name()
    );
    let ended = end(&mut outer_namespace(&script));
    assert!(
        ended.stdout.starts_with("file\nroot\n1\nbin\n"),
        "{ended:?}"
    );
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
}

/// Root of a user namespace, as in a container. There, a new proc or sysfs needs a visible one.
#[test]
fn root_of_a_user_namespace_sees_the_proc_of_its_run() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let mut outer = common::command(User::Root, "unshare");
    outer
        .args(["-Urmpf", "--mount-proc"])
        .arg(rootlet_path())
        .args(["run"])
        .arg(root.path());
    outer.args(["sh", "-c", "echo $$; ls -d /proc/[0-9]*"]);
    let stdout = succeed(&mut outer);
    assert!(stdout.starts_with("2\n/proc/1\n/proc/2\n"), "{stdout}");
    assert!(Path::new(root.name()).exists());
}

/// The fallbacks for missing calls read /proc, which NEWROOT can forge.
#[test]
fn a_fake_proc_is_not_trusted() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    for name in ["0", "1", "2"] {
        root.file(&format!("proc/self/fd/{name}"), "");
    }
    root.file("proc/self/mountinfo", "");
    root.directory("own");
    let below = format!("{}/own", root.name());
    let look = "exec 2>&-; for n in 3 4 5 6 7 8 9 10 11 12 13 14 15; do (: <&$n) && echo $n; done
        touch /new /own/new && echo written; exit 7";
    for (calls, options) in [
        ("close_range", ""),
        ("mount_setattr", "--read-only-root"),
        (
            "mount_setattr,close_range,move_mount,open_tree",
            "--read-only-root",
        ),
        ("move_mount", "--resolv-conf copy"),
    ] {
        let script = format!(
            "mount -t tmpfs own {below}; exec 7</usr 9</; exec strace -fqq -o /dev/null -e inject={calls}:error=ENOSYS \
             {} run --no-mounts {options} {} sh -c {}",
            rootlet_path().display(),
            root.name(),
            shell_word(look)
        );
        let ended = end(&mut outer_namespace(&script));
        assert_eq!(
            (ended.status, ended.stderr.as_str()),
            (7, ""),
            "{calls}: {ended:?}"
        );
        let written = if options.contains("read-only") {
            ""
        } else {
            "written\n"
        };
        assert_eq!(ended.stdout, written, "{calls} {options}");
    }
}
