//! `rootlet init` without any call newer than signalfd(2): a filter fails them, like the old
//! profiles of engines. The programs whose names it takes are run for comparison. `rootlet run` is
//! tested without optional calls.

#![allow(missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::filter::{
    self, CLONE, CLONE_PIDFD, CLONE3, CLOSE_RANGE, Call, MOUNT, MOVE_MOUNT, PIDFD_GET_INFO,
    PIDFD_OPEN, PIDFD_SEND_SIGNAL, PIVOT_ROOT, PR_GET_CHILD_SUBREAPER, PR_SET_CHILD_SUBREAPER,
    PRLIMIT64, UNSHARE, WAITID_PIDFD,
};
use common::init::{PLACES, Place, Started, descriptors};
use common::running::Running;
use common::{
    Root, User, can_be_root, children, command, end, rootlet_path, state, succeed, users,
    wait_until,
};

/// The calls of init that are newer than signalfd(2), grouped by the feature that uses them.
const CALLS: [(&str, &[Call]); 8] = [
    ("close_range", &[CLOSE_RANGE]),
    ("pidfd_send_signal", &[PIDFD_SEND_SIGNAL]),
    ("CLONE_PIDFD", &[CLONE_PIDFD]),
    ("CLONE_PIDFD, pidfd_open", &[CLONE_PIDFD, PIDFD_OPEN]),
    ("PIDFD_GET_INFO", &[PIDFD_GET_INFO]),
    (
        "PR_SET_CHILD_SUBREAPER",
        &[PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER],
    ),
    ("prlimit64, close_range", &[PRLIMIT64, CLOSE_RANGE]),
    (
        "all",
        &[
            CLOSE_RANGE,
            PIDFD_SEND_SIGNAL,
            CLONE_PIDFD,
            PIDFD_OPEN,
            PIDFD_GET_INFO,
            PR_SET_CHILD_SUBREAPER,
            PR_GET_CHILD_SUBREAPER,
            PRLIMIT64,
        ],
    ),
];

const EPERM: i32 = 1;
const EINVAL: i32 = 22;
const ENOSYS: i32 = 38;

/// The names, their original programs, and their arguments.
const NAMES: [(&str, Option<&str>, &[&str]); 6] = [
    ("rootlet", None, &["init", "--"]),
    ("tini", Some("tini"), &["--"]),
    ("docker-init", Some("tini"), &["--"]),
    ("dumb-init", Some("dumb-init"), &["--"]),
    ("catatonit", Some("catatonit"), &["--"]),
    ("podman-init", Some("catatonit"), &["--"]),
];

/// A command that leaves an orphan, which ends immediately, prints `ready`, then `got NAME` for
/// each signal, and ends with status 42 after USR2.
const COMMAND: &str = "\
    my $between = fork; \
    if (!$between) { my $pid = $$; exit 0 if fork; \
        select undef, undef, undef, 0.001 while getppid == $pid; exit 0 } \
    waitpid $between, 0; $| = 1; \
    for my $name (qw(TERM HUP USR1 NUM40)) { $SIG{$name} = sub { print \"got $name\\n\" } } \
    $SIG{USR2} = sub { exit 42 }; print \"ready\\n\"; \
    select undef, undef, undef, 0.05 while 1";

/// The result of a run.
#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    got: Vec<String>,
    status: i32,
}

/// This init with the command, in this place.
fn around(place: Place, user: User, init: &Path, words: &[&str]) -> Command {
    let mut run = match place {
        Place::Subreaper => command(user, init),
        Place::Pid1 => {
            let mut unshare = command(user, "unshare");
            if user == User::Ordinary {
                unshare.arg("--map-root-user");
            }
            unshare.args(["--pid", "--fork", "--kill-child"]).arg(init);
            unshare
        }
    };
    run.args(words).args(["perl", "-e", COMMAND]);
    run.stderr(Stdio::null());
    run
}

/// Starts the run and sends it signals. Returns `None` if the command was not run.
fn outcome(place: Place, run: &mut Command, signals: &[(i32, &str)]) -> Option<Outcome> {
    let running = Running::start(run);
    if running.try_line(Duration::from_secs(60)).as_deref() != Ok("ready") {
        return None;
    }
    let mut started = Started::find(place, running);
    if place == Place::Pid1 {
        // This list includes zombies.
        wait_until("the orphan to be reaped", || {
            children(started.init).len() == 1
        });
    }
    let mut got = Vec::new();
    for (number, _) in signals {
        started.signal(*number);
        got.push(started.line());
    }
    started.signal(12);
    let status = started.status();
    Some(Outcome { got, status })
}

#[test]
fn the_command_runs_whatever_newer_calls_return() {
    let all = [(15, "TERM"), (1, "HUP"), (10, "USR1"), (40, "NUM40")];
    let user = users()[0];
    for (name, peer, words) in NAMES {
        let root = Root::empty(user);
        root.symlink(name, rootlet_path());
        let peer = peer.map(|peer| PathBuf::from("/usr/bin").join(peer));
        // A real-time signal ends the original dumb-init.
        let signals = match name {
            "dumb-init" => &all[..3],
            _ => &all[..],
        };
        let expected = Outcome {
            got: signals
                .iter()
                .map(|(_, name)| format!("got {name}"))
                .collect(),
            status: 42,
        };
        for ((calls, filtered), errno, place) in CALLS.iter().flat_map(|calls| {
            [EPERM, ENOSYS, EINVAL]
                .iter()
                .flat_map(move |errno| PLACES.map(|place| (calls, *errno, place)))
        }) {
            let context = format!("{calls}: {errno}, {name} as {place:?} of {user:?}");
            let run = |init: &Path| {
                let mut run = around(place, user, init, words);
                filter::answer(&mut run, errno, filtered);
                outcome(place, &mut run, signals)
            };
            let ours = run(&root.path().join(name));
            assert_eq!(ours.as_ref(), Some(&expected), "{context}");
            // If the original program runs here, it behaves the same.
            if let Some(theirs) = peer.as_deref().and_then(run) {
                assert_eq!(ours, Some(theirs), "{context}");
            }
        }
    }
}

#[test]
fn the_filter_takes_effect() {
    let user = users()[0];
    let (close_range, errno) = (sc::nr::CLOSE_RANGE, EINVAL);
    let mut perl = command(user, "perl");
    let call = format!("print syscall({close_range}, 5000, 5000, 0), ' ', $! + 0");
    filter::answer(perl.args(["-e", &call]), errno, &[CLOSE_RANGE]);
    assert_eq!(succeed(&mut perl), format!("-1 {errno}"));
}

#[test]
fn without_close_range_inherited_files_are_closed_one_by_one() {
    for user in users() {
        for calls in [&[CLOSE_RANGE][..], &[CLOSE_RANGE, PRLIMIT64]] {
            let mut bash = command(user, "bash");
            let script = "exec 3</dev/null 9</dev/null 200</dev/null; exec \"$@\"";
            bash.args(["-c", script, "bash"]).arg(rootlet_path());
            bash.args(["init", "sh", "-c", "echo ready; exec sleep 1000"]);
            filter::answer(&mut bash, EPERM, calls);
            let started = Started::ready(Place::Subreaper, &mut bash);
            let inherited = [3, 9, 200];
            wait_until("the closing", || {
                let open = descriptors(started.init);
                let is_null = |(number, what): &(i32, String)| {
                    inherited.contains(number) && what == "/dev/null"
                };
                !open.iter().any(is_null)
            });
            let of_command = descriptors(started.command());
            for number in inherited {
                let null = (number, "/dev/null".to_owned());
                assert!(of_command.contains(&null), "{of_command:?}");
            }
        }
    }
}

/// An init without CAP_KILL and a command of another user, which ends when standard input does.
/// Returns the messages after three signals, and the status.
fn without_the_right(init: &Path, words: &[&str]) -> (Vec<String>, i32) {
    let mut run = command(User::Root, "setpriv");
    run.args(["--bounding-set=-kill", "--inh-caps=-kill"]);
    run.arg(init).args(words);
    run.args(["setpriv", "--reuid=54321", "--regid=54321"]);
    run.args([
        "--clear-groups",
        "sh",
        "-c",
        "echo ready; read line; exit 7",
    ]);
    let mut running = Running::start_ready(run.stdin(Stdio::piped()).stderr(Stdio::piped()));
    for number in [15, 1, 15] {
        if state(running.pid()).is_some_and(|state| state != 'Z') {
            running.signal(number);
        }
        // An init that waits again has taken the signal.
        wait_until("the signal to be taken", || {
            let pending = common::init::status_field(running.pid(), "ShdPnd");
            state(running.pid()) == Some('Z') || u64::from_str_radix(&pending, 16) == Ok(0)
        });
    }
    drop(running.child.stdin.take());
    let status = running.status();
    let mut output = String::new();
    let mut stderr = running.child.stderr.take().unwrap();
    std::io::Read::read_to_string(&mut stderr, &mut output).unwrap();
    (output.lines().map(str::to_owned).collect(), status)
}

#[test]
fn a_signal_that_was_not_sent_is_reported_as_failed() {
    if !can_be_root() {
        return;
    }
    let why = "to the command: Operation not permitted";
    let root = Root::empty(User::Root);
    let named = |name: &str| {
        root.symlink(name, rootlet_path());
        root.path().join(name)
    };
    // The message appears once, without -v.
    for (name, words, who) in [
        ("rootlet", &["init"][..], "rootlet: "),
        ("dumb-init", &[], "[dumb-init] "),
        ("catatonit", &["--"], "rootlet: "),
    ] {
        let (output, status) = without_the_right(&named(name), words);
        assert_eq!(
            output,
            [format!("{who}cannot send signal 15 {why}")],
            "{name}"
        );
        assert_eq!(status, 7, "{name}");
    }
    // In a run, pid 1 reports the error to the supervisor, which has standard error.
    let (output, status) = without_the_right(rootlet_path(), &["run", "--no-mounts", "/"]);
    let line = "rootlet: cannot send a signal to the command: Operation not permitted (EPERM)";
    assert_eq!((output, status), (vec![line.to_owned()], 7));
    let (output, _) = without_the_right(rootlet_path(), &["init", "-v"]);
    let not_sent = |line: &&String| line.contains(why);
    assert_eq!(output.iter().filter(not_sent).count(), 3, "{output:?}");
    assert!(
        !output.iter().any(|line| line.contains("forwarded signal")),
        "{output:?}"
    );
    // tini ends with an error.
    let [ours, theirs] = [named("tini"), PathBuf::from("/usr/bin/tini")].map(|tini| {
        let (output, status) = without_the_right(&tini, &["-s", "--"]);
        let output: Vec<String> = output
            .iter()
            .map(|line| line.split_once(")] ").unwrap().1.to_owned())
            .collect();
        (output, status)
    });
    assert_eq!(ours, theirs);
    assert_eq!(ours.1, 1);
}

#[test]
fn a_verbose_init_without_a_subreaper_warns() {
    for user in users() {
        let output = |words: &[&str]| {
            let mut run = command(user, rootlet_path());
            run.arg("init").args(words);
            filter::answer(&mut run, EINVAL, &[PR_SET_CHILD_SUBREAPER]);
            let ended = end(&mut run);
            assert_eq!(ended.status, 0, "{ended:?}");
            ended.stderr
        };
        assert_eq!(output(&["true"]), "");
        assert!(output(&["-v", "true"]).contains("cannot adopt orphans"));
    }
}

/// Prints how much processor time it has used itself.
const BURN: &str = "1 while (times)[0] < 0.5; printf qq(own %.3f end\\n), (times)[0]";

const ROLES: [&str; 4] = [
    "init --",
    "init --grace=1 --",
    "run --no-mounts /",
    "run --no-mounts --share=pid /",
];

/// Checks that bash's `time` and the command differ by less than a twentieth.
#[track_caller]
fn assert_times_agree(printed: &str, context: &str) {
    let number = |name: &str| -> f64 {
        let (_, after) = printed.rsplit_once(name).expect(printed);
        after.split_once(" end").unwrap().0.parse().unwrap()
    };
    let (own, time) = (number("own "), number("time "));
    assert!((own - time).abs() < 0.05 * own, "{context}: {printed}");
}

#[test]
fn the_commands_cpu_time_is_for_the_caller_to_read() {
    for user in users() {
        for role in ROLES {
            let mut bash = command(user, "bash");
            let script = format!(
                "TIMEFORMAT='time %U end'; time {} {role} perl -e '{BURN}'",
                rootlet_path().display()
            );
            let ended = end(bash.args(["-c", &script]));
            assert_times_agree(&(ended.stdout + &ended.stderr), &format!("{role} {user:?}"));

            let mut session = common::terminal::Session::bash(user);
            session.ask("TIMEFORMAT=\"time %U end\"");
            let printed = session.ask(&format!("time $rootlet {role} perl -e '{BURN}'"));
            assert_times_agree(&printed, &format!("{role} {user:?} on a terminal"));
            session.exit();
        }
    }
}

/// The calls that a run can do without, whatever error they return.
const COMFORTS_OF_RUN: [(&str, &[Call]); 7] = [
    ("clone3", &[CLONE3]),
    ("clone3, CLONE_PIDFD", &[CLONE3, CLONE_PIDFD]),
    (
        "clone3, CLONE_PIDFD, pidfd_open",
        &[CLONE3, CLONE_PIDFD, PIDFD_OPEN],
    ),
    ("pidfd_send_signal", &[PIDFD_SEND_SIGNAL]),
    ("waitid of a pidfd", &[WAITID_PIDFD]),
    ("close_range", &[CLOSE_RANGE]),
    (
        "all",
        &[
            CLONE3,
            CLONE_PIDFD,
            PIDFD_OPEN,
            PIDFD_SEND_SIGNAL,
            WAITID_PIDFD,
            CLOSE_RANGE,
            PRLIMIT64,
        ],
    ),
];

/// `rootlet run` with this command under a filter.
fn filtered_run(user: User, errno: i32, calls: &[Call], words: &[&str]) -> Command {
    let mut run = command(user, rootlet_path());
    run.args(["run", "--no-mounts"]).args(words);
    filter::answer(&mut run, errno, calls);
    run
}

#[test]
fn a_run_works_whatever_optional_calls_return() {
    let signals = [(15, "TERM"), (1, "HUP"), (10, "USR1"), (40, "NUM40")];
    for user in users() {
        for (calls, filtered) in COMFORTS_OF_RUN {
            for errno in [EPERM, ENOSYS, EINVAL] {
                let context = format!("{calls}: {errno}, {user:?}");
                let words = ["/", "perl", "-e", COMMAND];
                let mut run = filtered_run(user, errno, filtered, &words);
                let mut running = Running::start(run.stderr(Stdio::piped()));
                let ready = running.try_line(Duration::from_secs(60));
                assert_eq!(ready.as_deref(), Ok("ready"), "{context}");
                wait_until("the orphan to be reaped", || {
                    children(running.pid1()).len() == 1
                });
                for (number, name) in signals {
                    running.signal(number);
                    assert_eq!(running.line(), format!("got {name}"), "{context}");
                }
                running.signal(12);
                assert_eq!(running.status(), 42, "{context}");
                let mut output = String::new();
                let mut stderr = running.child.stderr.take().unwrap();
                std::io::Read::read_to_string(&mut stderr, &mut output).unwrap();
                assert_eq!(output, "", "{context}");
            }
        }
    }
}

#[test]
fn without_a_pidfd_the_end_of_pid_1_is_seen() {
    let (_, all) = COMFORTS_OF_RUN[6];
    for user in users() {
        for options in [&[][..], &["--unshare=user"], &["--status-fd=2"]] {
            let words = [options, &["/", "sh", "-c", "echo ready; exec sleep 1000"]].concat();
            let mut run = filtered_run(user, EPERM, all, &words);
            let mut running = Running::start_ready(run.stderr(Stdio::null()));
            common::send_signal(running.pid1(), 9);
            assert_eq!(running.status(), 137, "{options:?} {user:?}");
        }
    }
}

#[test]
fn a_run_without_a_subreaper_works_and_warns() {
    for user in users() {
        for errno in [EPERM, ENOSYS, EINVAL] {
            let run = |options: &[&str]| {
                let words = [options, &["/", "sh", "-c", "exit 7"]].concat();
                let ended = end(&mut filtered_run(
                    user,
                    errno,
                    &[PR_SET_CHILD_SUBREAPER],
                    &words,
                ));
                assert_eq!(ended.status, 7, "{ended:?}");
                ended.stderr
            };
            // A new pid namespace needs no subreaper.
            assert_eq!(run(&[]), "");
            let output = run(&["--share=pid"]);
            assert!(
                output.starts_with("rootlet: cannot adopt orphans: "),
                "{output}"
            );
            assert!(output.contains("may outlive the run"), "{output}");
        }
    }
}

#[test]
fn a_run_that_a_filter_forbids_names_the_filter() {
    for user in users() {
        for (calls, step) in [
            (&[CLONE3, CLONE][..], "make new namespaces"),
            (&[UNSHARE], "make new namespaces"),
            (&[MOUNT], "change the propagation of"),
            (&[MOVE_MOUNT], "copy the mounts of"),
            (&[PIVOT_ROOT], "enter the new root"),
        ] {
            let ended = end(&mut filtered_run(user, EPERM, calls, &["/", "true"]));
            let context = format!("{user:?} {step}: {ended:?}");
            assert_eq!(
                (ended.status, ended.stdout.as_str()),
                (125, ""),
                "{context}"
            );
            let lines: Vec<&str> = ended.stderr.lines().collect();
            assert!(lines[0].contains(step), "{context}");
            assert!(lines[1].starts_with("hint: a seccomp filter"), "{context}");
        }
        // Without one, rootlet claims no protection.
        let mut run = command(User::Ordinary, rootlet_path());
        let ended = end(run.args(["run", "--no-mounts", "--share=user", "/", "true"]));
        let unfiltered = common::init::status_field(std::process::id() as i32, "Seccomp") == "0";
        assert_eq!(ended.status, 125, "{ended:?}");
        assert!(
            !(unfiltered && ended.stderr.contains("seccomp")),
            "{ended:?}"
        );
    }
}
