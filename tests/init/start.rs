//! The state that the command inherits, and the resources that init needs and keeps while it runs.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::common::init::{PLACES, Place, Started, cases, descriptors, init, kernel, status_field};
use super::common::running::Running;
use super::common::{Root, command, end, rootlet_path, succeed, users, wait_until};
use super::{SIGTERM, SIGWINCH};

#[test]
fn the_command_starts_with_a_clean_slate() {
    // There is no shell between, because some shells reset signals.
    let show = ["grep", "-E", "^Sig(Blk|Ign|Cgt):", "/proc/self/status"];
    for (place, user) in cases() {
        for options in [
            &[][..],
            &["--ignore-signal=HUP"],
            &["--block-signal=USR1"],
            &[
                "--block-signal=TSTP,TTIN,CHLD,TERM",
                "--ignore-signal=INT,TTOU",
            ],
        ] {
            let outside = succeed(command(user, "env").args(options).args(show));
            let inner = init(place, user, &show);
            let mut inside = command(user, "env");
            inside
                .args(options)
                .arg(inner.get_program())
                .args(inner.get_args());
            assert_eq!(
                succeed(&mut inside),
                outside,
                "{options:?} {place:?} {user:?}"
            );
        }
        // TSTP, TTIN and TTOU are 20, 21 and 22, which are the bits of 0x380000.
        let plain = succeed(&mut init(place, user, &show));
        assert!(plain.starts_with("SigBlk:\t0000000000000000\n"), "{plain}");
    }
}

#[test]
fn only_the_command_keeps_inherited_files_and_the_directory() {
    for (place, user) in cases() {
        for options in [&[][..], &["-w"]] {
            let root = Root::empty(user);
            let file = root.file("file", "");
            let file = file.to_str().unwrap();
            let words = [options, &["sh", "-c", "echo ready; exec sleep 1000"]].concat();
            let init = init(place, user, &words);
            let mut bash = command(user, "bash");
            let script = "exec 3<file 4<file 9<file 200<file; exec \"$@\"";
            bash.args(["-c", script, "bash"]);
            bash.arg(init.get_program()).args(init.get_args());
            bash.current_dir(root.path());
            let started = Started::ready(place, &mut bash);

            // init has a pidfd if the kernel can reap, and a file of pidfs since Linux 6.9.
            let kernel_reaps = place == Place::Pid1 && options.is_empty() && kernel() >= (6, 15);
            // The command may run before init has closed its descriptors.
            let count = if kernel_reaps { 3 } else { 2 };
            wait_until("the closing", || descriptors(started.init).len() == count);
            let of_init = descriptors(started.init);
            assert_eq!(of_init[0].0, 2, "{of_init:?}");
            let own: Vec<&str> = of_init.iter().skip(1).map(|(_, what)| &what[..]).collect();
            assert!(own.contains(&"anon_inode:[signalfd]"), "{of_init:?}");
            let is_pidfd = |what: &&str| what.contains("pidfd");
            assert_eq!(own.iter().any(is_pidfd), kernel_reaps, "{of_init:?}");

            let of_command = descriptors(started.command());
            // The tests themselves may have inherited others.
            let mut inherited = of_command.clone();
            inherited.retain(|(_, what)| what == file);
            let expected = [3, 4, 9, 200].map(|number| (number, file.to_owned()));
            assert_eq!(inherited, expected, "{place:?} {user:?}");
            let of_init_too = |(_, what): &(i32, String)| what.contains("anon_inode");
            assert!(!of_command.iter().any(of_init_too), "{of_command:?}");

            let directory = |pid: i32| fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
            assert_eq!(directory(started.init), Path::new("/"));
            assert_eq!(directory(started.command()), root.path());
        }
    }
}

#[test]
fn closed_standard_descriptors_do_no_harm() {
    for (place, user) in cases() {
        for closed in ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"] {
            let init = init(place, user, &["sh", "-c", "exit 7"]);
            let mut bash = command(user, "bash");
            bash.args(["-c", &format!("exec \"$@\" {closed}"), "bash"]);
            bash.arg(init.get_program()).args(init.get_args());
            assert_eq!(end(&mut bash).status, 7, "{closed} {place:?} {user:?}");
        }
    }
}

#[test]
fn sockets_handed_to_init_go_to_the_command() {
    let ask = "echo \"$LISTEN_PID\" $$ $LISTEN_FDS; cat <&3";
    for user in users() {
        // (The value of LISTEN_PID, whether it becomes the command's.)
        for (listen_pid, ours) in [("$$", true), ("1", false), ("1$$", false), ("", false)] {
            let root = Root::empty(user);
            root.file("socket", "handed over");
            let script = format!(
                "LISTEN_PID={listen_pid} LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; \
                 echo $LISTEN_PID; exec 3<socket; exec \"$0\" init sh -c '{ask}'"
            );
            let mut bash = command(user, "bash");
            bash.args(["-c", &script]).arg(rootlet_path());
            bash.current_dir(root.path());
            let output = succeed(&mut bash);
            let mut lines = output.lines();
            let given = lines.next().unwrap();
            let line = lines.next().unwrap();
            let mut words = line.split(' ');
            let (listen, own) = (words.next().unwrap(), words.next().unwrap());
            assert_eq!(
                listen,
                if ours { own } else { given },
                "{listen_pid} {output}"
            );
            assert_eq!(words.next(), Some("1"));
            assert_eq!(lines.next(), Some("handed over"));
        }
    }
    // As pid 1 of its namespace, it has pid 1.
    let mut run = init(
        Place::Pid1,
        users()[0],
        &["sh", "-c", "echo $LISTEN_PID $$"],
    );
    let output = succeed(run.env("LISTEN_PID", "1"));
    let (listen, own) = output.trim().split_once(' ').unwrap();
    assert_eq!(listen, own);
    assert_ne!(own, "1");
}

/// A program without libc that writes `here` and ends with status 42.
const TINY: &str = r#"
static long call(long number, long a, long b, long c) {
#if defined(__x86_64__)
    __asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return number;
#else
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
#endif
}

void _start(void) {
    call(WRITE, 1, (long)"here\n", 5);
    for (;;) call(EXIT, 42, 0, 0);
}
"#;

#[test]
fn an_image_needs_no_other_file() {
    for user in users() {
        let root = Root::empty(user);
        let binary = fs::read(rootlet_path()).unwrap();
        root.executable("rootlet", binary);
        // This is the only file.
        let words = [
            "--no-mounts",
            "ROOT",
            "/rootlet",
            "init",
            "--",
            "/rootlet",
            "--version",
        ];
        let version = succeed(&mut root.run(&words));
        assert!(version.starts_with("rootlet "), "{version}");
        let words = ["--no-mounts", "ROOT", "/rootlet", "init", "-P"];
        let mut paused = Running::start(&mut root.run(&words));
        paused.wait_for_command("rootlet");
        let init = paused.command();
        wait_until("init to wait", || {
            let call = fs::read_to_string(format!("/proc/{init}/syscall"));
            let line = fs::read_to_string(format!("/proc/{init}/cmdline"));
            call.is_ok_and(|call| call.starts_with(&format!("{} ", sc::nr::PPOLL)))
                && line.is_ok_and(|line| line.contains("-P"))
                && descriptors(init).len() == 4
        });
        paused.signal(SIGTERM);
        assert_eq!(paused.status(), 0);

        let elsewhere = Root::empty(user);
        let source = elsewhere.file("tiny.c", TINY);
        let mut cc = Command::new("cc");
        cc.args(["-static", "-nostdlib", "-o"])
            .arg(root.path().join("program"));
        cc.arg(format!("-DWRITE={}", sc::nr::WRITE));
        cc.arg(format!("-DEXIT={}", sc::nr::EXIT)).arg(source);
        succeed(&mut cc);
        for options in [&[][..], &["-w"], &["--grace=5"]] {
            let words = ["--no-mounts", "ROOT", "/rootlet", "init"];
            let words = [&words, options, &["--", "/program"]].concat();
            let ended = end(&mut root.run(&words));
            let printed = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
            assert_eq!(printed, (42, "here\n", ""), "{options:?} {user:?}");
        }
    }
}

#[test]
fn an_idle_init_makes_no_system_call() {
    let user = users()[0];
    let directory = Root::empty(user);
    let mut traced = Vec::new();
    for (place, options) in PLACES.into_iter().flat_map(|place| {
        [
            (place, &["-w"][..]),
            (place, &["--grace=9"]),
            (place, &["-P"]),
        ]
    }) {
        let words = [options, &["sleep", "1000"]].concat();
        let mut run = init(place, user, &words);
        let started = match options {
            ["-P"] => Started::find(place, Running::start(&mut run)),
            _ => Started::executed(place, &mut run, "sleep"),
        };
        started.settle();
        let log = directory.path().join(format!("trace-{}", traced.len()));
        let mut strace = command(user, "strace");
        strace
            .args(["-f", "-qq", "-o"])
            .arg(&log)
            .arg("-p")
            .arg(started.init.to_string());
        let strace = Running::start(&mut strace);
        wait_until("strace", || {
            status_field(started.init, "TracerPid") == strace.pid().to_string()
        });
        // The system call in which init waits.
        wait_until("the first call", || {
            fs::metadata(&log).is_ok_and(|log| log.len() > 0)
        });
        traced.push((started, strace, log));
    }
    let sizes = || -> Vec<u64> {
        let size =
            |(_, _, log): &(_, _, _)| fs::metadata(log as &std::path::PathBuf).unwrap().len();
        traced.iter().map(size).collect()
    };
    for (started, ..) in &traced {
        started.settle();
    }
    let before = sizes();
    // This fixed time is necessary, because the test checks that nothing happens.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(sizes(), before);
    // strace would have recorded any call.
    traced
        .iter()
        .for_each(|(started, ..)| started.signal(SIGWINCH));
    wait_until("calls", || {
        sizes()
            .iter()
            .zip(&before)
            .all(|(now, before)| now > before)
    });
}
