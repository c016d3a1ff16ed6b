//! The views of a run: `/proc`, `/dev/pts`, `/sys`, `/etc/hosts`.

#![allow(missing_docs)]

mod common;

use std::process::Command;

use common::running::Running;
use common::terminal::Session;
use common::{Root, User, can_be_root, command, end, succeed, users};
use rootlet::{Chroot, Namespace};

/// Runs a command as this user, after a script of root's has changed the caller's mount namespace.
fn changed_for(user: User, changed: &str, words: &Command) -> Command {
    let mut outer = command(User::Root, "unshare");
    let become_user = match user {
        User::Root => "",
        User::Ordinary => "setpriv --reuid=54321 --regid=54321 --clear-groups",
    };
    let script = format!("{changed}\nexec {become_user} \"$@\"");
    outer.args(["--mount", "sh", "-ec", &script, "sh"]);
    outer.arg(words.get_program()).args(words.get_args());
    outer
}

fn where_it_was(changed: &str, words: &Command) -> Command {
    changed_for(User::Ordinary, changed, words)
}

/// Mask parts of proc, as container engines and systemd's ProtectKernelTunables= do. The kernel
/// then allows no new proc in a user namespace.
const MASKS: [&str; 3] = [
    "mount --bind /dev/null /proc/keys",
    "mount -t tmpfs none /proc/fs",
    "mount --bind -o ro /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys",
];

const SHARED: &str = "rootlet: the kernel allows no new /proc here: the command shares the \
                      caller's pid namespace and /proc, as with --share pid\n";

/// Prints `own` if `/proc` belongs to the shell's pid namespace.
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
        let printed = (ended.status, &ended.stdout[..], &ended.stderr[..]);
        assert_eq!(printed, (0, "own\n", SHARED), "{mask}");
        assert_eq!(root.tree(), before);
        // If the user asks for it, there is no message.
        let asked = root.run(&["--share", "pid", "ROOT", "sh", "-c", LOOK]);
        assert_eq!(succeed(&mut where_it_was(mask, &asked)), "own\n");
        // If the user asks for a new pid namespace, there is no fallback.
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

/// The first attempt has already moved the command's descriptors. The second attempt gets them
/// back.
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
    // 4 is the descriptor of the directory.
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
    let mut chroot = Chroot::new("/");
    let mut look = chroot.command("sh");
    look.args(["-c", LOOK]).env("PATH", "/usr/bin:/bin");
    let output = look.output().unwrap();
    assert_eq!(output.stdout, b"own\n");
    let printed: Vec<String> = output.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(printed, [SHARED.trim_start_matches("rootlet: ").trim_end()]);
    let mut foreground = look.foreground();
    assert!(foreground.run().unwrap().success());
    assert_eq!(foreground.warnings(), output.warnings);
    let number = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: the closure reads a link.
    let (own, shown) = unsafe {
        chroot.call(|| {
            let shown = std::fs::read_link("/proc/self").unwrap();
            (rustix::process::getpid().as_raw_nonzero().get(), shown)
        })
    }
    .unwrap();
    assert!(own != number && shown != std::path::Path::new(&own.to_string()));
    let own = chroot.unshare(Namespace::Pid).command("true").status();
    assert_eq!(own.unwrap_err().errno(), Some(1));
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
    assert_eq!(ended.stderr, "");
}

/// The usual mount options of distributions.
const TERMINALS: &str = "mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 none /dev/pts";

/// The user, group and mode of a new terminal, and whether its user can change its owner.
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
        // The options of LXC, and those of most engines.
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
    // Root of an existing user namespace.
    let run = root.run(&["/", "sh", "-c", OPEN]);
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount"]);
    unshare.arg(run.get_program()).args(run.get_args());
    assert_eq!(succeed(&mut where_it_was(TERMINALS, &unshare)), own);
    // A bind shows the host's terminals.
    let look = "stat -c %i /dev/pts/ptmx; ls /dev/pts | wc -l; stat -f -c %T /dev/pts; exec 3<>/dev/ptmx; ls /dev/pts | wc -l";
    let hosts = root.run(&["-B", "/dev/pts", "/", "sh", "-c", look]);
    let open = format!("{TERMINALS}; exec 9<>/dev/ptmx");
    assert_eq!(
        succeed(&mut where_it_was(&open, &hosts)),
        "2\n2\ndevpts\n3\n"
    );
    assert_eq!(root.tree(), Vec::<String>::new());
}

/// On a host without /dev/pts nothing changes, and nothing is printed.
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

/// File systems below /sys, as the kernel and systemd mount them, in a fresh sysfs. The second
/// group covers a part of it, and the kernel then allows no new sysfs in a user namespace.
const BELOW_SYS: [&str; 2] = [
    "umount -l /sys; mount -t sysfs none /sys
    mount -t tmpfs cgroups /sys/fs/cgroup; mkdir /sys/fs/cgroup/mine /sys/fs/cgroup/deep
    mount -t tmpfs deep /sys/fs/cgroup/deep; chown 54321 /sys/fs/cgroup/mine",
    "mount -t tmpfs variables /sys/firmware",
];

/// The mounts, by path and type.
const SYS_MOUNTS: &str = "while read -r kind path type options rest; do
    case $path in /sys | /sys/*) echo $path $type ;; esac; done </proc/mounts | sort";

const OTHERS_SYS: &str = "rootlet: the kernel allows no new /sys here: the command sees the \
                          caller's, with its network devices\n";

fn sys_is_the_callers(user: User, changed: &str, is_covered: bool) {
    let mut look = Command::new("sh");
    look.args(["-c", SYS_MOUNTS]);
    let outside = succeed(&mut changed_for(User::Root, changed, &look));
    assert!(outside.contains("/sys/fs/cgroup/deep tmpfs\n"), "{outside}");
    let callers = succeed(command(user, "ls").arg("/sys/class/net"));
    let root = Root::busybox(user);
    for options in [
        &[][..],
        &["--unshare=net"],
        &["--overlay"],
        &["--share=pid,uts,ipc"],
    ] {
        let script = format!("{SYS_MOUNTS}; ls /sys/class/net");
        let words = [options, &["ROOT", "sh", "-c", &script]].concat();
        let ended = end(&mut changed_for(user, changed, &root.run(&words)));
        let context = format!("{user:?} {options:?} {changed}: {ended:?}");
        let devices = ended.stdout.strip_prefix(&outside).expect(&context);
        let has_net = options == ["--unshare=net"];
        let is_refused = has_net && is_covered && user == User::Ordinary;
        assert_eq!(
            ended.stderr,
            if is_refused { OTHERS_SYS } else { "" },
            "{context}"
        );
        let own = if has_net && !is_refused {
            "lo\n"
        } else {
            &callers
        };
        assert_eq!(devices, own, "{context}");
    }
}

#[test]
fn sys_is_the_callers_with_all_mounts_below_it() {
    if !can_be_root() {
        return;
    }
    for user in [User::Root, User::Ordinary] {
        sys_is_the_callers(user, BELOW_SYS[0], false);
        sys_is_the_callers(user, &BELOW_SYS.join("\n"), true);
        let root = Root::busybox(user);
        // Every user can write its own files, and root the devices too.
        let script = "touch /sys/fs/cgroup/mine/new && echo mine
            grep -o ' /sys sysfs r[ow]' /proc/mounts";
        let run = root.run(&["ROOT", "sh", "-c", script]);
        let access = if user == User::Root { "rw" } else { "ro" };
        let shown = succeed(&mut changed_for(user, BELOW_SYS[0], &run));
        assert_eq!(shown, format!("mine\n /sys sysfs {access}\n"));
        // A read-only mount stays read-only.
        let fixed = "mount -o remount,bind,ro /sys";
        let shown = succeed(changed_for(user, fixed, &run).stderr(std::process::Stdio::null()));
        assert_eq!(shown, " /sys sysfs ro\n");
    }
}

#[test]
fn a_caller_without_sys_has_a_new_one() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let run = root.run(&["ROOT", "ls", "/sys/class/net/lo/mtu"]);
    for changed in ["mount -t tmpfs none /sys", "umount -l /sys"] {
        let shown = succeed(&mut changed_for(User::Root, changed, &run));
        assert_eq!(shown, "/sys/class/net/lo/mtu\n");
    }
}

#[test]
fn control_groups_are_mounted_as_a_new_file_system() {
    if !can_be_root() {
        return;
    }
    let look = "grep ' /sys/fs/cgroup ' /proc/mounts | tail -n 1 | cut -d ' ' -f 3; cat /proc/self/cgroup | grep ^0; \
                ls -d /sys/fs/cgroup/cgroup.procs; ls -d /sys/fs/cgroup/rootlet-test-*/cgroup.procs";
    let place = Root::empty(User::Root);
    let name = place.path().file_name().unwrap().to_str().unwrap();
    let group = format!("/sys/fs/cgroup/{name}/cgroup.procs");
    // A control group of this test. The run is moved into it, and back at its end.
    let inside = format!(
        "mount -t cgroup2 none /sys/fs/cgroup; mkdir /sys/fs/cgroup/{name}
         trap 'rmdir /sys/fs/cgroup/{name}' EXIT; enter() {{ (echo 0 >{group}; \"$@\"); }}; enter"
    );
    let all = format!("cgroup2\n0::/{name}\n/sys/fs/cgroup/cgroup.procs\n{group}\n");
    let own = "cgroup2\n0::/\n/sys/fs/cgroup/cgroup.procs\n";
    for user in [User::Root, User::Ordinary] {
        let root = Root::busybox(user);
        let shown = |options: &[&str]| {
            let run = root.run(&[options, &["ROOT", "sh", "-c", look]].concat());
            let mut outer = changed_for(user, &inside, &run);
            let script = outer
                .get_args()
                .nth(3)
                .unwrap()
                .to_str()
                .unwrap()
                .replace("enter\nexec", "enter");
            let words: Vec<_> = outer
                .get_args()
                .skip(4)
                .map(|word| word.to_owned())
                .collect();
            outer = command(User::Root, "unshare");
            end(outer.args(["--mount", "sh", "-ec", &script]).args(words)).stdout
        };
        assert_eq!(shown(&[]), all, "{user:?}");
        assert_eq!(shown(&["--unshare=cgroup"]), own, "{user:?}");
        assert_eq!(shown(&["--unshare=cgroup,net"]), own, "{user:?}");
        assert_eq!(
            shown(&["--unshare=cgroup", "-B", "cgroup2"]),
            own,
            "{user:?}"
        );
        let elsewhere = root.run(&[
            "--unshare=cgroup",
            "-B",
            "cgroup2:/groups:ro",
            "ROOT",
            "ls",
            "/groups/cgroup.procs",
        ]);
        assert_eq!(
            succeed(&mut changed_for(user, ":", &elsewhere)),
            "/groups/cgroup.procs\n"
        );
    }
}

#[test]
fn hosts_comes_from_the_host_like_resolv_conf() {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap();
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let shown = |options: &[&str], script: &str| {
            end(&mut root.run(&[options, &["ROOT", "sh", "-c", script]].concat())).stdout
        };
        let write =
            "cat /etc/hosts; echo x 2>/dev/null >>/etc/hosts && echo written; tail -n 1 /etc/hosts";
        let last = hosts.lines().last().unwrap();
        assert_eq!(shown(&[], write), format!("{hosts}{last}\n"), "{user:?}");
        for options in [&["--hosts=copy"][..], &["--hosts", "copy", "--overlay"]] {
            assert_eq!(shown(options, write), format!("{hosts}written\nx\n"));
        }
        assert_eq!(shown(&["--hosts=off"], "ls /etc"), "resolv.conf\n");
        assert_eq!(shown(&["--no-mounts"], "ls /etc"), "");
        assert_eq!(root.tree(), before);
        // NEWROOT's own file is hidden and stays unchanged.
        root.file("etc/hosts", "its own\n");
        let before = root.tree();
        assert_eq!(shown(&[], "cat /etc/hosts"), hosts);
        assert_eq!(shown(&["--hosts=off"], "cat /etc/hosts"), "its own\n");
        let name = ["--hostname=build.example.org"];
        let own = "127.0.1.1\tbuild.example.org build\n";
        assert_eq!(shown(&name, "cat /etc/hosts"), format!("{hosts}{own}"));
        assert_eq!(
            shown(&[&name[..], &["--hosts=off"]].concat(), "cat /etc/hosts"),
            "its own\n"
        );
        for options in [
            &["--hosts=copy"][..],
            &["--overlay"],
            &["--unshare=net", "--read-only-root"],
        ] {
            let shown = shown(&[&name[..], options].concat(), "cat /etc/hosts");
            assert_eq!(shown, format!("{hosts}{own}"), "{options:?}");
        }
        // A bind by name shows the file itself.
        assert_eq!(
            shown(
                &[&name[..], &["-B", "/etc/hosts"]].concat(),
                "cat /etc/hosts"
            ),
            hosts
        );
        for (name, line) in [
            ("plain", "127.0.1.1\tplain\n"),
            ("a b", ""),
            ("a\n6.6.6.6 b", ""),
            ("#a", ""),
        ] {
            assert_eq!(
                shown(&["--hostname", name], "cat /etc/hosts"),
                format!("{hosts}{line}"),
                "{name}"
            );
        }
        assert_eq!(root.tree(), before);
    }
}

#[test]
fn names_are_found_without_a_network() {
    for user in users() {
        let mut run = common::rootlet(user);
        run.args([
            "run",
            "--unshare=net",
            "--hostname=build.example.org",
            "/",
            "python3",
            "-c",
        ]);
        run.arg(
            "import socket; print(socket.gethostname(), socket.gethostbyname_ex('build')[0], \
                 socket.gethostbyname('localhost'))",
        );
        assert_eq!(
            succeed(&mut run),
            "build build.example.org 127.0.0.1\n",
            "{user:?}"
        );
    }
}

#[test]
fn a_host_without_hosts_still_has_localhost() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let run = root.run(&["--hostname=alone", "ROOT", "cat", "/etc/hosts"]);
    let shown = succeed(&mut changed_for(
        User::Root,
        "mount -t tmpfs none /etc",
        &run,
    ));
    let local = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    assert_eq!(shown, format!("{local}127.0.1.1\talone\n"));
}

/// Only the refusal of the new file system itself selects the caller's /proc or /sys.
#[test]
fn a_failure_of_another_call_shares_nothing() {
    for user in users() {
        let root = Root::busybox(user);
        let run = root.run(&["--overlay", "ROOT", "true"]);
        for number in 1..=8 {
            let mut strace = common::command(user, "strace");
            strace.args(["-f", "-q", "-o", "/dev/null", "-e", "trace=fchdir", "-e"]);
            strace.arg(format!("inject=fchdir:error=EPERM:when={number}"));
            let ended = end(strace.arg(run.get_program()).args(run.get_args()));
            assert!(!ended.stderr.contains("allowed here"), "{number} {ended:?}");
        }
    }
}
