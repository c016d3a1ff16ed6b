//! The command as a process: its session, its end, its descriptors, and its reported status.

#![allow(missing_docs)]

mod common;

use common::running::Running;
use common::terminal::{CTRL_C, Session};
use common::{Root, end, processes_with, rootlet, send_signal, succeed, users, wait_until};

/// Session, process group and terminal of the shell that runs this, from proc_pid_stat(5).
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

/// A command that leaves a child that traps TERM and a child that ignores it.
const LEAVE_CHILDREN: &str = "rm -f one two; (trap 'sleep 0.2; echo finished; exit' TERM; touch /one; \
     while :; do sleep 0.05; done) & (trap '' TERM; touch /two; exec sleep 1000) >/dev/null 2>&1 & \
     while ! [ -e /one ] || ! [ -e /two ]; do sleep 0.05; done; exit 3";

#[test]
fn remaining_processes_have_the_grace_to_end_and_are_killed_then() {
    for user in users() {
        let root = Root::busybox(user);
        let mark = root.name();
        let options = ["--grace", "1", "ROOT", "sh", "-c", LEAVE_CHILDREN, mark];
        let ended = end(&mut root.run(&options));
        assert_eq!((ended.status, ended.stdout.as_str()), (3, "finished\n"));
        assert_eq!(processes_with(mark), [0; 0]);
        // Without --grace, they are killed immediately.
        let options = ["ROOT", "sh", "-c", LEAVE_CHILDREN, mark];
        assert_eq!(end(&mut root.run(&options)).stdout, "");
    }
}

#[test]
fn a_command_that_ignores_term_is_killed_after_the_grace() {
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
fn a_killed_rootlet_gives_no_grace() {
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
fn a_grace_is_a_number_and_shown_by_a_dry_run() {
    for value in ["", "x", "-1", "1.5", "4294967296"] {
        let ended = end(rootlet(users()[0]).args(["run", "--grace", value, "/", "true"]));
        let line = format!("rootlet: --grace: '{value}' is not a number of seconds\n");
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
fn only_requested_descriptors_reach_the_command() {
    for user in users() {
        let root = Root::busybox(user);
        root.file("in", "of the caller\n");
        let ended = script(
            user,
            &root,
            "exec 7<\"$1/in\" 8<\"$1/in\" 40>\"$1/out\" 41<\"$1/in\"
             \"$0\" run --keep-fd 40 --keep-fd=7 --keep-fd 1 --keep-fd 7 \"$1\" sh -c '
                cat <&7; echo written >/proc/self/fd/40
                (cd /proc/$$/fd; echo *; cd /proc/1/fd 2>/dev/null && echo *); true'",
        );
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
        let mut lines = ended.stdout.lines();
        assert_eq!(lines.next(), Some("of the caller"));
        let own: Vec<&str> = lines.next().unwrap().split(' ').collect();
        assert_eq!(own, ["0", "1", "2", "40", "7"]);
        // Only real root can inspect pid 1.
        let pid1: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        assert_eq!(pid1 == [""], user == common::User::Ordinary, "{pid1:?}");
        assert!(!pid1.contains(&"7") && !pid1.contains(&"40"), "{pid1:?}");
        let written = std::fs::read_to_string(root.path().join("out")).unwrap();
        assert_eq!(written, "written\n");
    }
}

#[test]
fn a_descriptor_that_is_not_open_is_an_error() {
    for user in users() {
        let root = Root::busybox(user);
        // This includes numbers that rootlet's own descriptors could get.
        for number in (3..10).chain([99, 2_000_000_000, u32::MAX]) {
            let number = number.to_string();
            for more in [&[][..], &["-n"]] {
                let words = [&["--keep-fd", &number], more, &["ROOT", "true"]].concat();
                let ended = end(&mut root.run(&words));
                let why = "Bad file descriptor (EBADF)";
                let line = format!("rootlet: cannot give the command descriptor {number}: {why}\n");
                let printed = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
                assert_eq!(printed, (125, "", line.as_str()));
            }
        }
        for value in ["", "-1", "x", "4294967296"] {
            let ended = end(&mut root.run(&["--keep-fd", value, "ROOT", "true"]));
            assert!(
                ended
                    .stderr
                    .contains("' is not the number of a descriptor\n"),
                "{ended:?}"
            );
        }
    }
}

#[test]
fn a_dry_run_shows_the_descriptors() {
    let root = Root::busybox(users()[0]);
    let run = "\"$0\" run -n --no-mounts --keep-fd 7 \"$1\" true 7</dev/null";
    let ended = script(users()[0], &root, run);
    assert!(ended.stdout.contains("\ndescriptor 7\n"), "{ended:?}");
}

/// Runs rootlet with these words and `--status-fd 9`. Returns its end and the messages.
fn printed(user: common::User, root: &Root, words: &str) -> (common::Ended, String) {
    let status = root.file("status", "");
    let run = format!("exec \"$0\" run --status-fd 9 {words} 9>\"$1/status\"");
    let ended = script(user, root, &run);
    (ended, std::fs::read_to_string(status).unwrap())
}

#[test]
fn the_end_of_the_command_is_reported() {
    for user in users() {
        let root = Root::busybox(user);
        for (script, status, line) in [
            ("true", 0, "{\"exit-code\":0}\n"),
            ("exit 125", 125, "{\"exit-code\":125}\n"),
            ("exit 137", 137, "{\"exit-code\":137}\n"),
            ("kill -9 $$", 137, "{\"signal\":9}\n"),
            ("kill -TERM $$", 143, "{\"signal\":15}\n"),
        ] {
            let (ended, printed) = printed(user, &root, &format!("\"$1\" sh -c '{script}'"));
            assert_eq!(
                (ended.status, ended.stderr.as_str()),
                (status, ""),
                "{script}"
            );
            let (started, end) = printed.split_once('\n').unwrap();
            assert_eq!(end, line, "{script}");
            let pid = started.strip_prefix("{\"child-pid\":").unwrap();
            let pid: i32 = pid.strip_suffix('}').unwrap().parse().unwrap();
            assert!(pid > 2, "{started}");
        }
    }
}

#[test]
fn failures_are_reported_in_json_for_all_names() {
    for user in users() {
        let root = Root::busybox(user);
        root.file("text", "no program");
        let errno = |name: &str| format!("({name})\"}}}}\n");
        for (words, step, object, number, end) in [
            ("\"$1\" nothing", "run", "nothing", "2", errno("ENOENT")),
            ("\"$1\" /text", "run", "/text", "13", errno("EACCES")),
            (
                "\"$1/none\" true",
                "open the new root",
                "",
                "2",
                errno("ENOENT"),
            ),
            (
                "$'/no\\n\\t\"such\\\\\\xff\\xc3\\xbcroot' true",
                "open the new root",
                "/no\\u000a\\u0009\\\"such\\\\\u{fffd}\u{fc}root",
                "2",
                errno("ENOENT"),
            ),
            (
                "-C /none \"$1\" true",
                "change to the directory",
                "/none",
                "2",
                errno("ENOENT"),
            ),
            (
                "-B /none:/x \"$1\" true",
                "open",
                "/none",
                "2",
                errno("ENOENT"),
            ),
            (
                "--keep-fd 8 \"$1\" true",
                "give the command",
                "descriptor 8",
                "9",
                errno("EBADF"),
            ),
            (
                "-u nobody \"$1\" true",
                "find the user",
                "nobody",
                "null",
                "it is not in the new root's /etc/passwd\"}}\n".to_owned(),
            ),
        ] {
            let (ended, printed) = printed(user, &root, words);
            assert!(ended.status >= 125 && !ended.stderr.is_empty(), "{ended:?}");
            let start = format!("{{\"error\":{{\"step\":\"{step}\",\"object\":\"{object}");
            assert!(
                printed.starts_with(&start) && printed.ends_with(&end),
                "{printed}"
            );
            assert!(
                printed.contains(&format!("\",\"errno\":{number},\"message\":\"cannot ")),
                "{printed}"
            );
            assert_eq!(printed.lines().count(), 1, "{printed}");
            let mut python = std::process::Command::new("python3");
            python.args(["-c", "import json, sys; json.loads(sys.argv[1])", &printed]);
            succeed(&mut python);
        }
    }
}

#[test]
fn the_pid_is_that_in_the_callers_namespace() {
    for user in users() {
        let root = Root::busybox(user);
        let status = root.file("status", "");
        let mut command = common::command(user, "bash");
        let script = "exec \"$0\" run --status-fd 9 \"$1\" sleep 1000 9>\"$1/status\"";
        command.args(["-c", script]).arg(common::rootlet_path());
        let mut running = Running::start(command.arg(root.path()));
        let mut printed = String::new();
        wait_until("the pid", || {
            printed = std::fs::read_to_string(&status).unwrap();
            printed.ends_with('\n')
        });
        // The message comes after the command is executed, and not at its start. The kernel names the
        // process last, after it has closed the descriptor that shows us the execution.
        let pid = running.command();
        assert_eq!(printed, format!("{{\"child-pid\":{pid}}}\n"));
        if let Ok(program) = std::fs::read_link(format!("/proc/{pid}/exe")) {
            assert!(program.ends_with("bin/busybox"), "{program:?}");
        }
        wait_until("the name of the process", || {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name == "sleep\n")
        });
        send_signal(pid, 9);
        assert_eq!(running.wait().code(), Some(137));
        let printed = std::fs::read_to_string(&status).unwrap();
        assert!(printed.ends_with("}\n{\"signal\":9}\n"), "{printed}");
        // A caller in a new pid namespace gets the pid in that namespace.
        let inner = format!(
            "{} run --status-fd 9 / true 9>&1",
            common::rootlet_path().display()
        );
        let mut outer = rootlet(user);
        let printed = succeed(outer.args(["run", "/", "sh", "-c", &inner]));
        let pid: u32 = printed["{\"child-pid\":".len()..]
            .split('}')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!((3..20).contains(&pid), "{printed}");
    }
}

#[test]
fn a_status_that_nobody_reads_or_that_cannot_be_written() {
    for user in users() {
        let root = Root::busybox(user);
        // The reader has closed the pipe.
        let run = "exec 9> >(exit); wait $!; \"$0\" run --status-fd 9 \"$1\"";
        let ended = script(user, &root, &format!("{run} sh -c 'exit 6'"));
        assert_eq!((ended.status, ended.stderr.as_str()), (6, ""));
        let ended = script(user, &root, &format!("{run}/none true"));
        assert_eq!(ended.status, 125);
        assert!(
            ended
                .stderr
                .starts_with("rootlet: cannot open the new root"),
            "{ended:?}"
        );
        // The command does not inherit it.
        let shown = script(
            user,
            &root,
            "\"$0\" run --status-fd 9 \"$1\" ls /proc/self/fd 9>/dev/null",
        );
        assert_eq!(shown.stdout, "0\n1\n2\n3\n");
        for number in ["9", "4294967295"] {
            let ended = end(&mut root.run(&["--status-fd", number, "ROOT", "true"]));
            let why = "Bad file descriptor (EBADF)";
            let line = format!("rootlet: cannot report the status on descriptor {number}: {why}\n");
            assert_eq!((ended.status, ended.stderr), (125, line));
        }
        let shown = script(user, &root, "\"$0\" run -n --status-fd 9 \"$1\" true 9>&1");
        assert!(
            shown.stdout.contains("\nstatus     on descriptor 9\n"),
            "{shown:?}"
        );
    }
}
