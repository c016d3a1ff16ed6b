//! rootlet gives up the standard descriptors of `rootlet init` and `rootlet run`. Once the command
//! is executed, only the command has them.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use common::init::{Place, cases, descriptors};
use common::running::Running;
use common::{Root, User, command, end, rootlet, rootlet_path, succeed, users, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);

/// Sends the contents of a named pipe once its writers have closed it.
fn to_its_end(pipe: &Path) -> Receiver<String> {
    let (sender, text) = channel();
    let pipe = pipe.to_owned();
    std::thread::spawn(move || sender.send(fs::read_to_string(pipe).unwrap()));
    text
}

/// A shell in this place that runs the script and can execute `$rootlet`. No other process, such as
/// unshare(1), inherits the files it opens.
fn shell(place: Place, user: User, script: &str) -> Command {
    let mut shell = match place {
        Place::Subreaper => command(user, "sh"),
        Place::Pid1 => {
            let mut unshare = command(user, "unshare");
            if user == User::Ordinary {
                unshare.arg("--map-root-user");
            }
            unshare.args(["--pid", "--fork", "--kill-child", "sh"]);
            unshare
        }
    };
    shell.args(["-c", script]).env("rootlet", rootlet_path());
    shell
}

#[test]
fn a_reader_sees_the_end_when_the_command_has_closed_its_output() {
    let closes = "echo text; echo more >&2; exec >&- 2>&-; read line; exit 7";
    for (place, user) in cases() {
        for (streams, options, stdout, stderr) in [
            (">out 2>err", "", "text\n", Some("more\n")),
            (">out 2>&1", "", "text\nmore\n", None),
            (">out 2>err", "--grace=9", "text\n", Some("more\n")),
            // With -w the init keeps standard error, because it may still print a warning.
            (">out", "-w", "text\n", None),
        ] {
            let context = format!("{streams} {options} {place:?} {user:?}");
            let root = Root::empty(user);
            succeed(
                command(user, "mkfifo")
                    .args(["out", "err"])
                    .current_dir(root.path()),
            );
            let script = format!("exec $rootlet init {options} sh -c '{closes}' {streams}");
            let mut run = shell(place, user, &script);
            run.current_dir(root.path()).stdin(Stdio::piped());
            run.stderr(Stdio::null());
            let mut running = Running::start(&mut run);
            let out = to_its_end(&root.path().join("out"));
            let err = stderr.map(|_| to_its_end(&root.path().join("err")));
            assert_eq!(
                out.recv_timeout(PATIENCE).as_deref(),
                Ok(stdout),
                "{context}"
            );
            let err = err.map(|err| err.recv_timeout(PATIENCE).expect(&context));
            assert_eq!(err.as_deref(), stderr, "{context}");
            assert_eq!(running.child.try_wait().unwrap(), None, "{context}");
            drop(running.child.stdin.take());
            assert_eq!(running.status(), 7, "{context}");
        }
    }
}

#[test]
fn the_last_words_of_a_verbose_init_are_read() {
    for (place, user) in cases() {
        let script = "exec $rootlet init -v sh -c 'exec 2>&-; read line' 2>&1";
        let mut run = shell(place, user, script);
        let mut running = Running::start(run.stdin(Stdio::piped()));
        assert!(running.line().starts_with("rootlet: started the command"));
        drop(running.child.stdin.take());
        running.expect("rootlet: the command exited with status 1");
        assert_eq!(running.status(), 1, "{place:?} {user:?}");
    }
}

#[test]
fn the_terminal_stays_for_job_control_and_pipes_go() {
    // cat ends while init and its command still run.
    let closes = "exec >&-; read line; exit 7";
    for user in users() {
        for role in ["init", "run --no-mounts /", "run --no-mounts --pty /"] {
            let mut session = common::terminal::Session::bash(user);
            session.enter(&format!(
                "$rootlet {role} sh -c '{closes}' | {{ cat; echo ended; }}"
            ));
            session.expect("ended\n");
            session.enter("");
            session.expect("outer> ");
            session.exit();
        }
    }
}

/// `rootlet run` with its pipes directly, without a shell between.
fn run(user: User, options: &[&str], script: &str) -> Command {
    let mut run = rootlet(user);
    run.args(["run", "--no-mounts"]).args(options);
    run.args(["/", "sh", "-c", script]);
    run
}

/// With some of these options, a process that does not share the memory of pid 1 executes the
/// command.
const RUNS: [&[&str]; 6] = [
    &[],
    &["--share", "pid"],
    &["--unshare", "user", "--ro", "/etc:/mnt"],
    &["--new-session"],
    &["--pty"],
    &["--grace=9"],
];

#[test]
fn a_reader_sees_the_end_when_the_command_of_a_run_has_closed_its_output() {
    let closes = "echo text; echo more >&2; exec >&- 2>&-; read line; exit 7";
    for user in users() {
        for options in RUNS {
            for (streams, stdout) in [(">out 2>err", "text\n"), (">out 2>&1", "text\nmore\n")] {
                let context = format!("{streams} {options:?} {user:?}");
                let root = Root::empty(user);
                let pipes = ["out", "err"].map(|name| root.path().join(name));
                succeed(command(user, "mkfifo").args(&pipes));
                let script = format!("exec \"$@\" {streams}");
                let mut shell = command(user, "sh");
                let inner = run(user, options, closes);
                shell.args(["-c", &script, "sh"]).arg(inner.get_program());
                shell.args(inner.get_args()).current_dir(root.path());
                let mut running = Running::start(shell.stdin(Stdio::piped()));
                let out = to_its_end(&pipes[0]);
                let err = streams.contains("err").then(|| to_its_end(&pipes[1]));
                let out = out.recv_timeout(PATIENCE);
                assert_eq!(out.as_deref(), Ok(stdout), "{context}");
                assert_eq!(running.child.try_wait().unwrap(), None, "{context}");
                let open = |pid| {
                    let mut open = descriptors(pid);
                    let is_pipe = |what: &str| pipes.iter().any(|pipe| pipe.to_str() == Some(what));
                    open.retain(|(_, what)| is_pipe(what));
                    open
                };
                // pid 1 closes its standard descriptors one after the other.
                wait_until(&context, || open(running.pid1()).is_empty());
                // The supervisor keeps standard error for its errors. If both streams are one pipe,
                // it keeps only standard error.
                if err.is_some() {
                    let errors = (2, pipes[1].to_str().unwrap().to_owned());
                    assert_eq!(open(running.pid()), [errors], "{context}");
                }
                drop(running.child.stdin.take());
                assert_eq!(running.status(), 7, "{context}");
                let err = err.map(|err| err.recv_timeout(PATIENCE).expect(&context));
                assert_eq!(err.as_deref().unwrap_or("more\n"), "more\n", "{context}");
            }
        }
    }
}

#[test]
fn a_writer_sees_that_the_command_has_closed_its_input() {
    for user in users() {
        let script = "echo ready; exec <&-; echo closed; exec sleep 1000";
        let mut run = run(user, &[], script);
        let mut running = Running::start_ready(run.stdin(Stdio::piped()));
        running.expect("closed");
        let input = running.child.stdin.take().unwrap();
        // The supervisor and pid 1 may still have to close it.
        wait_until("the pipe to be broken", || {
            let mut poll = [PollFd::new(&input, PollFlags::empty())];
            rustix::event::poll(&mut poll, Some(&Timespec::default())).unwrap();
            poll[0].revents().contains(PollFlags::ERR)
        });
        running.signal(15);
        assert_eq!(running.status(), 143, "{user:?}");
    }
}

#[test]
fn only_the_command_keeps_a_socket_or_a_handed_over_descriptor() {
    for user in users() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut run = run(user, &["--keep-fd=3"], "exec >&- 3>&-; read line; exit 7");
        let mut shell = command(user, "sh");
        shell.args(["-c", "exec \"$@\" 3>&1", "sh"]);
        shell.arg(run.get_program()).args(run.get_args());
        run = shell;
        let output = OwnedFd::from(theirs);
        let mut running = run.stdin(Stdio::piped()).stdout(output).spawn().unwrap();
        // `run` in this process also has the other end.
        drop(run);
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!((&ours).read(&mut [0]).unwrap(), 0, "{user:?}");
        assert_eq!(running.try_wait().unwrap(), None);
        drop(running.stdin.take());
        assert_eq!(running.wait().unwrap().code(), Some(7));
    }
}

/// rootlet closes nothing before the command is executed, and opens the output again afterwards.
#[test]
fn messages_of_a_run_come_through_the_pipe_of_its_output() {
    for user in users() {
        for options in RUNS {
            let run = run(user, options, "exit 3");
            let mut shell = command(user, "sh");
            shell.args(["-c", "exec \"$@\" no-such-command 2>&1", "sh"]);
            let words: Vec<_> = run.get_args().take(2 + options.len()).collect();
            shell.arg(run.get_program()).args(words).arg("/");
            let ended = end(&mut shell);
            assert_eq!(ended.status, 127, "{ended:?}");
            assert!(
                ended.stdout.contains("cannot run no-such-command"),
                "{options:?} {user:?} {ended:?}"
            );
        }
        // The shell keeps the pipe open, so that it still has a reader at the end.
        let root = Root::busybox(user);
        let host = fs::read_link("/proc/self/ns/pid").unwrap();
        let host = host.to_str().unwrap();
        let inside = format!(
            "test -d /proc/1 && [ \"$(readlink /proc/self/ns/pid)\" != '{host}' ] && reboot -nf; \
             sleep 1000"
        );
        let mut shell = command(user, "sh");
        shell.args(["-c", "\"$@\" 2>&1; echo $?", "sh"]);
        let run = root.run(&["ROOT", "sh", "-c", &inside]);
        let ended = end(shell.arg(run.get_program()).args(run.get_args()));
        assert!(ended.stdout.starts_with("rootlet: "), "{ended:?}");
        assert!(ended.stdout.contains("restart"), "{ended:?}");
        assert!(ended.stdout.ends_with("\n129\n"), "{ended:?}");
    }
}
