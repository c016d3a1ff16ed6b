//! The standard descriptors of a `rootlet init`: the command's alone, once it has them.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::init::{Place, cases};
use common::running::Running;
use common::{Root, User, command, rootlet_path, succeed};

/// What is read from a pipe with a name, when its end has come.
fn to_its_end(pipe: &Path) -> Receiver<String> {
    let (sender, text) = channel();
    let pipe = pipe.to_owned();
    std::thread::spawn(move || sender.send(fs::read_to_string(pipe).unwrap()));
    text
}

/// A shell in this place that runs the script and can become `$rootlet`. No other process, such as
/// unshare(1), has what it opens.
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
    const PATIENCE: Duration = Duration::from_secs(60);
    let closes = "echo text; echo more >&2; exec >&- 2>&-; read line; exit 7";
    for (place, user) in cases() {
        for (streams, options, stdout, stderr) in [
            (">out 2>err", "", "text\n", Some("more\n")),
            (">out 2>&1", "", "text\nmore\n", None),
            (">out 2>err", "--grace=9", "text\n", Some("more\n")),
            // Here the init has more to say, and keeps standard error.
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
fn what_a_verbose_init_says_at_the_end_is_read() {
    for (place, user) in cases() {
        let script = "exec $rootlet init -v sh -c 'exec 2>&-; read line' 2>&1";
        let mut run = shell(place, user, script);
        let mut running = Running::start(run.stdin(Stdio::piped()));
        assert!(running.line().starts_with("rootlet: started the command"));
        drop(running.child.stdin.take());
        running.expect("rootlet: the command ended with 1");
        assert_eq!(running.status(), 1, "{place:?} {user:?}");
    }
}

#[test]
fn the_terminal_stays_for_job_control_and_pipes_go() {
    // cat ends while init and its command still run.
    let closes = "exec >&-; read line; exit 7";
    for user in common::users() {
        let mut session = common::terminal::Session::bash(user);
        session.enter(&format!(
            "$rootlet init sh -c '{closes}' | {{ cat; echo ended; }}"
        ));
        session.expect("ended\n");
        session.enter("");
        session.expect("outer> ");
        session.exit();
    }
}
