//! The command as a process: its session, its end, its descriptors, and what is told of it.

#![allow(missing_docs)]

mod common;

use common::running::Running;
use common::terminal::{CTRL_C, Session};
use common::{Root, end, processes_with, rootlet, send_signal, succeed, users, wait_until};

/// Session, process group and terminal of the shell that runs it, as proc_pid_stat(5) has them.
const SESSION: &str = "set -- $(cat /proc/$$/stat); echo $(($6 == $$)) $(($5 == $$)) $7";

#[test]
fn a_session_of_its_own_has_no_terminal_and_still_gets_its_keys_signals() {
    for user in users() {
        let mut session = Session::bash(user);
        let plain = session.ask(&format!("$rootlet run / sh -c '{SESSION}'"));
        assert!(
            plain.starts_with("0 1 ") && !plain.ends_with(" 0\n"),
            "{plain}"
        );
        let script = format!("{SESSION}; (: </dev/tty) 2>/dev/null || echo no terminal");
        let own = session.ask(&format!("$rootlet run --new-session / sh -c '{script}'"));
        assert_eq!(own, "1 1 0\nno terminal\n");
        session.enter("$rootlet run --new-session / sh -c 'echo rea\"\"dy; exec sleep 1000'");
        session.expect("ready\n");
        session.press(CTRL_C);
        assert_eq!(session.status(), "130\n");
        session.exit();
    }
}

#[test]
fn without_a_terminal_there_can_be_a_session_too() {
    for user in users() {
        let mut run = rootlet(user);
        run.args(["run", "--new-session", "/", "sh", "-c", SESSION]);
        assert_eq!(succeed(&mut run), "1 1 0\n");
        let mut run = rootlet(user);
        let script = "trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.1; done";
        run.args(["run", "--new-session", "/", "sh", "-c", script]);
        let mut running = Running::start_ready(&mut run);
        send_signal(running.pid(), 15);
        running.expect("got it");
        assert_eq!(running.wait().code(), Some(5));
    }
}

/// A command that leaves a child which traps TERM, and one that ignores it.
const LEAVE_CHILDREN: &str = "rm -f one two; (trap 'sleep 0.2; echo finished; exit' TERM; touch /one; \
     while :; do sleep 0.05; done) & (trap '' TERM; touch /two; exec sleep 1000) >/dev/null 2>&1 & \
     while ! [ -e /one ] || ! [ -e /two ]; do sleep 0.05; done; exit 3";

#[test]
fn what_is_left_has_the_grace_to_end_and_the_deaf_are_killed() {
    for user in users() {
        let root = Root::busybox(user);
        let mark = root.name();
        let options = ["--grace", "1", "ROOT", "sh", "-c", LEAVE_CHILDREN, mark];
        let ended = end(&mut root.run(&options));
        assert_eq!((ended.status, ended.stdout.as_str()), (3, "finished\n"));
        assert_eq!(processes_with(mark), [0; 0]);
        // Without it there is none.
        let options = ["ROOT", "sh", "-c", LEAVE_CHILDREN, mark];
        assert_eq!(end(&mut root.run(&options)).stdout, "");
    }
}

#[test]
fn a_deaf_command_is_killed_after_the_grace() {
    for user in users() {
        let root = Root::busybox(user);
        let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
        let mut run = root.run(&["--grace=1", "ROOT", "sh", "-c", script]);
        let mut running = Running::start_ready(&mut run);
        send_signal(running.pid(), 15);
        assert_eq!(running.wait().code(), Some(137));
        assert_eq!(root.tree(), [""; 0]);
    }
}

#[test]
fn a_killed_rootlet_grants_no_grace() {
    for user in users() {
        let root = Root::busybox(user);
        let mark = root.name();
        let script = "(trap '' TERM; : >/deaf; while :; do sleep 1; done) & \
             while ! [ -e /deaf ]; do sleep 0.05; done; echo ready; \
             while ! [ -e /go ]; do sleep 0.05; done";
        let options = ["--grace", "4000000", "ROOT", "sh", "-c", script, mark];
        let mut running = Running::start_ready(&mut root.run(&options));
        let command = running.command();
        root.file("go", "");
        wait_until("the command ends", || {
            !common::children(running.pid1()).contains(&command)
        });
        send_signal(running.pid(), 9);
        running.wait();
        wait_until("all ends", || processes_with(mark).is_empty());
    }
}

#[test]
fn a_grace_is_a_number_and_told_by_a_dry_run() {
    for value in ["", "x", "-1", "1.5", "4294967296"] {
        let ended = end(rootlet(users()[0]).args(["run", "--grace", value, "/", "true"]));
        let space = if value.is_empty() { "" } else { " " };
        let line = format!("rootlet: cannot use{space}{value}: a number of seconds is wanted\n");
        assert!(
            ended.status == 125 && ended.stderr.starts_with(&line),
            "{ended:?}"
        );
    }
    let mut run = rootlet(users()[0]);
    run.args([
        "run",
        "-n",
        "--no-mounts",
        "--grace=7",
        "--new-session",
        "/",
        "true",
    ]);
    let shown = succeed(&mut run);
    assert!(
        shown.contains("\nsession    of its own\ngrace      7\n"),
        "{shown}"
    );
}

/// A bash script of this user that runs rootlet as `$0` in the root `$1`.
fn script(user: common::User, root: &Root, script: &str) -> common::Ended {
    let mut command = common::command(user, "bash");
    command.args(["-c", script]).arg(common::rootlet_path());
    end(command.arg(root.path()))
}

#[test]
fn descriptors_that_are_asked_for_reach_the_command_and_no_others() {
    for user in users() {
        let root = Root::busybox(user);
        root.file("in", "of the caller\n");
        let ended = script(
            user,
            &root,
            "exec 7<\"$1/in\" 8<\"$1/in\" 40>\"$1/out\" 41<\"$1/in\"
             \"$0\" run --keep-fd 40 --keep-fd=7 --keep-fd 1 --keep-fd 7 \"$1\" sh -c '
                cat <&7; echo written >/proc/self/fd/40
                (cd /proc/$$/fd; echo *; cd /proc/1/fd; echo *)'",
        );
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
        let mut lines = ended.stdout.lines();
        assert_eq!(lines.next(), Some("of the caller"));
        let own: Vec<&str> = lines.next().unwrap().split(' ').collect();
        // 3 is what they are listed through.
        assert_eq!(own, ["0", "1", "2", "3", "40", "7"]);
        let pid1: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        assert!(!pid1.contains(&"7") && !pid1.contains(&"40"), "{pid1:?}");
        let written = std::fs::read_to_string(root.path().join("out")).unwrap();
        assert_eq!(written, "written\n");
    }
}

#[test]
fn a_descriptor_that_is_not_open_is_an_error() {
    for user in users() {
        let root = Root::busybox(user);
        // Also where one of rootlet's own would come to have the number.
        for number in (3..10).chain([99, 2_000_000_000, u32::MAX]) {
            let number = number.to_string();
            for more in [&[][..], &["-n"]] {
                let words = [&["--keep-fd", &number], more, &["ROOT", "true"]].concat();
                let ended = end(&mut root.run(&words));
                let why = "Bad file descriptor (EBADF)";
                let line = format!("rootlet: cannot give the command descriptor {number}: {why}\n");
                let told = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
                assert_eq!(told, (125, "", line.as_str()));
            }
        }
        for value in ["", "-1", "x", "4294967296"] {
            let ended = end(&mut root.run(&["--keep-fd", value, "ROOT", "true"]));
            assert!(
                ended.stderr.contains(": a descriptor is a number\n"),
                "{ended:?}"
            );
        }
    }
}

#[test]
fn a_dry_run_tells_the_descriptors() {
    let root = Root::busybox(users()[0]);
    let run = "\"$0\" run -n --no-mounts --keep-fd 7 \"$1\" true 7</dev/null";
    let ended = script(users()[0], &root, run);
    assert!(ended.stdout.contains("\ndescriptor 7\n"), "{ended:?}");
}
