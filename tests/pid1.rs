//! Attacks of a program inside on pid 1 and the supervisor, and the end of a run whose pid 1 does
//! not answer.
//!
//! `tests/pid1/attack.c` is the program. It runs in the host's own root, where it needs no files.

#![allow(missing_docs)]

mod common;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::hostile::end;
use common::running::Running;
use common::{
    Ended, Root, User, can_be_root, command, processes_with, rootlet, send_signal, state, users,
    wait_until,
};

/// The attacker, in a place where every user can execute it.
fn attack() -> &'static str {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = directory.join("attack");
        let built = directory.join(format!("attack-{}", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pid1/attack.c");
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-static", "-o"]).arg(&built).arg(source);
        assert!(cc.status().unwrap().success(), "{cc:?}");
        // Another run of the tests may be using the old file.
        std::fs::rename(built, &program).unwrap();
        common::for_every_user(&program)
    });
    program.to_str().unwrap()
}

/// rootlet's name, as the kernel has it.
fn name() -> String {
    let path = common::rootlet_path().file_name().unwrap();
    path.to_str().unwrap().chars().take(15).collect()
}

fn run(user: User, options: &[&str], words: &[&str]) -> Command {
    let mut run = rootlet(user);
    run.arg("run")
        .args(options)
        .arg("/")
        .arg(attack())
        .args(words);
    run
}

#[track_caller]
fn shows(ended: &Ended, stdout: &str) {
    let shown = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
    assert_eq!(shown, (0, stdout, ""));
}

#[test]
fn a_program_inside_gets_nothing_from_pid_1_or_the_supervisor() {
    for user in users() {
        for (options, processes) in [
            (&[][..], 1),
            (&["--share", "pid"], 2),
            (&["--share", "pid", "--ro", "/etc:/mnt"], 2),
            (&["--map-users", "current"], 1),
            (&["--pty"], 1),
            (&["--ro", "/etc:/mnt", "--mask-proc"], 1),
            (&["--share", "net,ipc,uts"], 1),
        ] {
            let rights: &[&[&str]] = match user {
                User::Root => &[
                    &["-u", "54321"],
                    &["-u", "54321:0"],
                    &["--drop-caps", "all"],
                    // With one of these capabilities, the program is real root and the attack is
                    // allowed.
                    &["--drop-caps", "sys_ptrace,sys_admin,perfmon"],
                    &["--unshare", "user"],
                ],
                User::Ordinary => &[&[]],
            };
            for rights in rights {
                // A user namespace can map no other users. `current` needs a user namespace.
                let is_mapped = options.contains(&"--map-users");
                if user == User::Root && is_mapped != rights.contains(&"--unshare") {
                    continue;
                }
                let options = [options, *rights].concat();
                let ended = end(&mut run(user, &options, &["look", &name()]));
                let stdout = ended.stdout.replace('\r', "");
                let expected = format!("looked at {processes}\n");
                assert_eq!(
                    (ended.status, stdout),
                    (0, expected),
                    "{user:?} {options:?} {ended:?}"
                );
            }
        }
    }
}

#[test]
fn real_root_reads_no_variable_and_no_argument_that_pid_1_was_started_with() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    root.executable("attack", std::fs::read(attack()).unwrap());
    for options in [
        &["--clear-env"][..],
        &["--unset-env", "SECRET"],
        &["--env", "SECRET=1"],
        &["--clear-env", "--overlay"],
    ] {
        let look = "cat /proc/1/environ /proc/1/cmdline | tr '\\0' '\\n'";
        let words = [options, &["ROOT", "sh", "-c", look]].concat();
        let ended = end(root.run(&words).env("SECRET", "swordfish"));
        assert_eq!(ended.status, 0, "{ended:?}");
        // The program's own name is left.
        for line in ended
            .stdout
            .lines()
            .filter(|line| !line.ends_with("/rootlet"))
        {
            assert_eq!(line, "", "{ended:?}");
        }
        let find = |wanted| {
            let words = [options, &["ROOT", "/attack", "find", wanted]].concat();
            end(root.run(&words).env("SECRET", "swordfish")).stdout
        };
        assert_eq!(find("hsifdrows"), "not found\n", "{options:?}");
        // The search works: it finds text that is there.
        assert!(find("=HTAP").starts_with("found in "), "{options:?}");
    }
}

/// A run whose command prints `ready`, with temporary mount points in its root.
fn start(root: &Root) -> Running {
    let command = [
        "ROOT",
        "sh",
        "-c",
        "trap '' TERM; echo ready; while :; do sleep 1000; done",
    ];
    Running::start_ready(&mut root.run(&command))
}

#[test]
fn a_pid_1_that_is_stopped_ends_with_its_supervisor() {
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let running = start(&root);
        let (pid1, command) = (running.pid1(), running.command());
        send_signal(pid1, 19);
        wait_until("the stop", || state(pid1) == Some('T'));
        running.signal(9);
        wait_until("the end of pid 1", || {
            state(pid1).is_none_or(|state| state == 'Z')
        });
        wait_until("the end of the command", || state(command).is_none());
        wait_until("the end of all", || processes_with(root.name()).is_empty());
        wait_until("the removal of mount points", || root.tree() == before);
    }
}

/// The tracer inside, and pid 1, which it has stopped.
fn traced(options: &[&str]) -> (Root, Running) {
    let root = Root::busybox(User::Root);
    root.executable("attack", std::fs::read(attack()).unwrap());
    let words = [options, &["ROOT", "/attack", "trace"]].concat();
    let running = Running::start(&mut root.run(&words));
    running.expect("traced");
    assert_eq!(state(running.pid1()), Some('t'));
    (root, running)
}

#[test]
fn a_pid_1_that_is_traced_does_not_keep_the_run_from_ending() {
    if !can_be_root() {
        return;
    }
    for number in [15, 2, 1] {
        let (root, mut running) = traced(&[]);
        let command = running.command();
        let begun = Instant::now();
        running.signal(number);
        assert_ne!(running.status(), 0);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?}");
        wait_until("the end of the tracer", || state(command).is_none());
        assert_eq!(root.tree(), ["attack 100755 "]);
    }
}

#[test]
fn a_pid_1_that_is_traced_ends_with_its_supervisor() {
    if !can_be_root() {
        return;
    }
    // pid 1 has no mount point to remove first.
    let (_root, mut running) = traced(&["--no-mounts"]);
    let (pid1, command) = (running.pid1(), running.command());
    running.signal(9);
    assert_eq!(running.wait().code(), None);
    wait_until("the end of pid 1", || {
        state(pid1).is_none_or(|state| state == 'Z')
    });
    wait_until("the end of the tracer", || state(command).is_none());
}

#[test]
fn no_process_of_a_run_is_dumpable() {
    let user = User::Ordinary;
    let root = Root::busybox(user);
    for options in [&[][..], &["--share", "pid"], &["--pty"]] {
        let words = [
            options,
            &["ROOT", "sh", "-c", "echo ready; exec sleep 1000"],
        ]
        .concat();
        let running = Running::start_ready(&mut root.run(&words));
        let command = running.command();
        let owner = |pid: i32| {
            std::fs::metadata(format!("/proc/{pid}/environ"))
                .unwrap()
                .uid()
        };
        // The files in /proc/PID belong to root if the process is not dumpable: proc(5).
        assert_ne!(owner(command), 0, "{options:?}");
        let ours = [running.pid(), running.pid1()];
        assert_eq!(ours.map(owner), [0, 0], "{options:?}");
    }
}

/// Malformed messages and nearly correct ones, and the statuses that may result.
#[test]
fn forged_messages_give_no_status_out_of_range() {
    if !can_be_root() {
        return;
    }
    let long = "4d".repeat(9000);
    let records = format!("4d{}", "ff".repeat(300));
    let up = format!(
        "4d{}01{}{}{}{}",
        "00".repeat(16),
        "0300",
        "0200",
        "2f2e2e", // `/..`
        "2e2e"
    );
    for (message, status) in [
        ("4bd7", 0),
        ("4b00", 0),
        ("4b41", 0),
        ("4bff", 0),
        ("4b", 0),
        ("4b0f00", 0),
        ("4b09", 137),
        ("4b40", 192),
        ("45", 0),
        ("4500000000", 0),
        ("4501ffff0000", 0),
        ("45010100ffff41", 0),
        ("4d", 0),
        ("00", 0),
        (long.as_str(), 0),
        (&records, 0),
        (&up, 0),
        ("7b227369676e616c223a3231357d", 0), // {"signal":215}
        ("58", 0),
        ("57", 0),
        ("41", 0),
        ("43", 0),
    ] {
        let ended = end(&mut run(User::Root, &[], &["forge", message]));
        assert!(ended.stdout.starts_with("sent "), "{ended:?}");
        assert_ne!(ended.stdout, "sent 0\n");
        let shown = (ended.status, ended.stderr.as_str());
        assert_eq!(shown, (status, ""), "{message:.40}: {ended:?}");
    }
}

/// Tries to undo read-only and masked mounts, and prints the results.
const UNDO: &str = r#"
    exec 2>&-
    undo() {
        for at in /data / /proc/sys /proc/keys /data/sub; do
            # A device has nothing that could be written.
            test -c $at || { mount -o remount,bind,rw $at && echo "remounted $at"; }
            umount $at && echo "unmounted $at"
            umount -l $at && echo "detached $at"
        done
        mount --bind /data /tmp && mount -o remount,bind,rw /tmp && echo "remounted a bind"
        mount --rbind / /tmp && mount -o remount,bind,rw /tmp/data && echo "remounted in a bind"
        test -s /proc/keys && echo "read the keys"
        touch /data/written && echo "written"
        touch /written && echo "written in the root"
        touch /data/sub/written && echo "written below"
    }
    case $1 in undo) undo; exit;; esac
    undo; unshare -r -m sh /undo undo
    mount -t tmpfs none /tmp && touch /tmp/x && echo a tmpfs
    hostname other && hostname"#;

#[test]
fn an_ordinary_user_cannot_undo_read_only_or_masked_mounts() {
    let user = User::Ordinary;
    // `auto`, which needs a range in /etc/subuid, is in `tests/map_users.rs`.
    for map in ["root", "current"] {
        let (root, data) = (Root::busybox(user), Root::empty(user));
        root.file("undo", UNDO);
        root.directory("tmp");
        data.directory("sub");
        let ro = format!("{}:/data", data.name());
        let options = [
            "--map-users",
            map,
            "--read-only-root",
            "--mask-proc",
            "--ro",
            &ro,
        ];
        let words = [
            &options[..],
            &["--unshare", "uts,net", "ROOT", "sh", "/undo"],
        ]
        .concat();
        let ended = end(&mut root.run(&words));
        // A command that keeps its own user id has no capabilities, so it cannot mount either.
        let expected = match map {
            "root" => "a tmpfs\nother\n",
            _ => "",
        };
        assert_eq!(ended.stdout, expected, "{map} {ended:?}");
        assert!(data.tree().iter().all(|line| !line.contains("written")));
    }
}

/// The library's program, with the attacker's path.
fn outside(user: User, case: &str, root: &str) -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .args(["build", "--quiet", "--offline", "--locked", "--target-dir"])
            .arg(&target)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside"))
            .env_remove("CARGO_BUILD_TARGET_DIR")
            .env_remove("CARGO_TARGET_DIR")
            .stdin(Stdio::null());
        assert!(build.status().unwrap().success());
        common::for_every_user(&target.join("debug/outside"))
    });
    let mut outside = command(user, program);
    outside.args([case, root]).env("ATTACK", attack());
    outside
}

#[test]
fn a_program_inside_gets_nothing_from_the_librarys_processes() {
    for user in users() {
        let mut look = outside(user, "look", "/");
        if user == User::Root {
            look.env("AS", "54321");
        }
        let ended = end(&mut look);
        assert_eq!(ended.status, 0, "{ended:?}");
        let mut lines = ended.stdout.lines();
        assert!(
            lines.all(|line| line.starts_with("looked at ")),
            "{ended:?}"
        );
        assert!(!ended.stdout.contains("looked at 0"), "{ended:?}");
        let times = if user == User::Root { 2 } else { 4 };
        assert_eq!(ended.stdout.lines().count(), times, "{ended:?}");
    }
}

#[test]
fn closures_in_one_thread_do_not_keep_others_from_running() {
    for user in users() {
        let root = Root::busybox(user);
        let ended = end(&mut outside(user, "beside", root.name()));
        shows(&ended, "");
        assert_eq!(root.tree(), [""; 0]);
    }
}
