//! `--pty`: the command has its own terminal, and rootlet connects it with the caller's.

#![allow(missing_docs)]

mod common;

use common::terminal::{CTRL_C, CTRL_Z, Session};
use common::{Root, User, can_be_root, end, rootlet, users, wait_until};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

fn set_size(session: &Session, rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(session.terminal(), size).unwrap();
}

#[test]
fn input_goes_to_the_command_and_output_to_the_caller() {
    for user in users() {
        let mut session = Session::bash(user);
        set_size(&session, 33, 99);
        session.enter("outer=$(stat -Lc %d.%i /dev/stdin); before=$(stty -g)");
        let script = r#"test "$(stat -Lc %d.%i /dev/stdin)" != "$0"; echo "other $?"; stty size; read -r line; echo "got <$line>"; exit 7"#;
        session.enter(&format!("$rootlet run --pty / sh -c '{script}' \"$outer\""));
        session.expect("other 0\n33 99\n");
        session.enter("typed  text");
        session.expect("got <typed  text>\n");
        assert_eq!(session.status(), "7\n");
        session.enter("test \"$before\" = \"$(stty -g)\"; echo \"same $?\"");
        session.expect("same 0\n");
        session.exit();
    }
}

#[test]
fn the_size_of_the_window_is_passed_on() {
    for user in users() {
        let mut session = Session::bash(user);
        let script = r#"trap "stty size" WINCH; trap "exit 3" INT; echo ready; while :; do sleep 0.01; done"#;
        session.enter(&format!("$rootlet run --pty / sh -c '{script}'"));
        session.expect("ready\n");
        for (rows, columns) in [(10, 20), (50, 160)] {
            set_size(&session, rows, columns);
            session.expect(&format!("{rows} {columns}\n"));
        }
        session.press(CTRL_C);
        assert_eq!(session.status(), "3\n");
        session.exit();
    }
}

#[test]
fn keys_interrupt_and_stop_it() {
    for user in users() {
        let mut session = Session::bash(user);
        session.enter("$rootlet run --pty / sh -c 'echo ready; exec sleep 1000'");
        session.expect("ready\n");
        session.press(CTRL_Z);
        session.expect("Stopped");
        session.expect("outer> ");
        session.enter("stty -a | grep -o ' icanon'");
        session.expect(" icanon\n");
        session.enter("fg");
        session.expect("sleep 1000'\n");
        wait_until("the keys to be the command's", || {
            let modes = tcgetattr(session.terminal()).unwrap().local_modes;
            !modes.contains(LocalModes::ICANON)
        });
        session.press(CTRL_C);
        assert_eq!(session.status(), "130\n");
        session.exit();
    }
}

/// A shell inside has its own jobs.
#[test]
fn jobs_inside_are_the_inner_shells() {
    for user in users() {
        let mut session = Session::bash(user);
        session.enter("PS1='inner> ' $rootlet run --pty / bash --norc --noprofile --noediting -i");
        session.expect("inner> ");
        session.enter("sh -c 'echo ready; exec sleep 1000'");
        session.expect("ready");
        session.press(CTRL_Z);
        session.expect("Stopped");
        session.expect("inner> ");
        session.enter("kill %1; fg");
        session.expect("inner> ");
        session.enter("exit 3");
        assert_eq!(session.status(), "3\n");
        session.exit();
    }
}

/// Types into the terminal that it was given, and pastes into a virtual console (TIOCLINUX), like a
/// hostile program.
const TYPES: &str = r#"import fcntl, struct, sys, termios
terminal, TIOCLINUX, SELECT, PASTE = int(sys.argv[1]), 0x541C, 2, 3
def ask(request, argument):
    try: fcntl.ioctl(terminal, request, argument)
    except OSError: pass
for key in "echo stolen $((6 * 7))\n": ask(termios.TIOCSTI, key)
ask(TIOCLINUX, struct.pack("=BHHHHH", SELECT, 1, 1, 80, 1, 2))
ask(TIOCLINUX, struct.pack("=B", PASTE))
print("done")"#;

#[test]
fn input_faked_by_the_command_does_not_reach_the_callers_shell() {
    for user in users() {
        let root = Root::empty(user);
        root.file("types.py", TYPES);
        let script = root.name();
        for descriptor in 0..3 {
            let mut session = Session::bash(user);
            session.enter(&format!(
                "$rootlet run --pty / python3 {script}/types.py {descriptor}"
            ));
            session.expect("done\n");
            // Text typed earlier would still be for the command.
            session.expect("outer> ");
            session.enter("echo next");
            session.expect("next\n");
            assert!(!session.output.contains("stolen 42"), "{}", session.output);
            session.exit();
        }
    }
    // The attack works if the kernel allows it and the terminal is the caller's.
    let knob = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti");
    if knob.is_ok_and(|knob| knob == "1\n") {
        let root = Root::empty(users()[0]);
        root.file("types.py", TYPES);
        let mut session = Session::bash(users()[0]);
        session.enter(&format!(
            "$rootlet run / python3 {}/types.py 0",
            root.name()
        ));
        session.expect("stolen 42\n");
        session.exit();
    }
}

#[test]
fn a_session_of_its_own_keeps_all_but_real_root_from_typing() {
    for user in users() {
        let root = Root::empty(user);
        root.file("types.py", TYPES);
        let script = root.name();
        let mut session = Session::bash(user);
        session.enter(&format!(
            "$rootlet run --new-session / python3 {script}/types.py 0"
        ));
        session.expect("done\n");
        match user {
            User::Root => drop(session.expect("stolen 42\n")),
            User::Ordinary => {
                session.expect("outer> ");
                session.enter("echo next");
                session.expect("next\n");
                assert!(!session.output.contains("stolen 42"), "{}", session.output);
            }
        }
    }
}

/// The form in which the outer shell prints a terminal: file system and device.
const WHICH: &str = "stat -L -c %d:%r";

#[test]
fn the_console_is_the_runs_own_and_the_terminal_has_its_name_inside() {
    for user in users() {
        let root = Root::empty(user);
        root.file("types.py", TYPES);
        let types = format!("{}/types.py", root.name());
        for options in [
            "--dev minimal",
            "--dev minimal --share pid",
            "-B devpts:/dev/pts",
        ] {
            let mut session = Session::bash(user);
            let callers = session.ask(&format!("{WHICH} $(tty)"));
            let has_console = options.contains("minimal");
            let console = if has_console { "/dev/console" } else { "" };
            let script = format!("{WHICH} $(tty) /dev/stdin {console}; echo end");
            session.enter(&format!("$rootlet run --pty {options} / sh -c '{script}'"));
            let shown = session.expect("end\n");
            let shown: Vec<&str> = shown.lines().collect();
            assert_eq!(shown.len(), 2 + usize::from(has_console), "{shown:?}");
            assert!(shown.iter().all(|one| *one == shown[0]), "{shown:?}");
            assert!(!callers.contains(shown[0]), "{shown:?}");
            session.expect("outer> ");
            // Input typed into the console does not reach the caller's shell.
            if has_console {
                let script = format!("exec 7<>/dev/console; python3 {types} 7");
                session.enter(&format!("$rootlet run --pty {options} / sh -c '{script}'"));
                session.expect("done\n");
                session.expect("outer> ");
                session.enter("echo next");
                session.expect("next\n");
                session.expect("outer> ");
                assert!(!session.output.contains("stolen 42"), "{}", session.output);
            }
            session.exit();
        }
    }
}

#[test]
fn the_terminal_belongs_to_the_commands_user() {
    if !can_be_root() {
        return;
    }
    let script = "exec 2>&1; echo one >/dev/stderr && echo two >\"$(tty)\" && stat -L -c %u:%a $(tty) && echo end";
    for options in ["", "--dev minimal"] {
        for (name, id) in [("65534", 65534), ("daemon", 1), ("4000:4001", 4000)] {
            let mut session = Session::bash(User::Root);
            session.enter(&format!(
                "$rootlet run --pty {options} -u {name} / sh -c '{script}'"
            ));
            assert_eq!(
                session.expect("end\n"),
                format!("one\ntwo\n{id}:620\n"),
                "{options} {name}"
            );
            session.expect("outer> ");
            session.exit();
        }
    }
    // The group of terminals is the one in the root's own files, if there is one.
    let root = Root::busybox(User::Root);
    root.file("etc/passwd", "alice:x:1000:1000::/:\n");
    root.file("etc/group", "tty:x:77:\n");
    for (name, group) in [("alice", 77), ("1000", 1000), ("1000:2000", 2000)] {
        let mut session = Session::bash(User::Root);
        let root = root.name();
        session.enter(&format!(
            "$rootlet run --pty --dev minimal -u {name} {root} sh -c 'stat -c %g:%a $(tty)'"
        ));
        session.expect(&format!("{group}:620\n"));
        session.expect("outer> ");
        session.exit();
    }
}

#[test]
fn a_dry_run_shows_whose_terminal_is_the_console() {
    for user in users() {
        let mut session = Session::bash(user);
        session.enter("$rootlet run -n --pty --dev minimal / true");
        session.expect("/dev/console    the command's terminal\n");
        session.expect("outer> ");
        session.enter("$rootlet run -n --dev minimal / true");
        session.expect("/dev/console    /dev/pts/");
        session.expect("outer> ");
        session.exit();
    }
}

#[test]
fn much_goes_through_both_ways_at_once() {
    for user in users() {
        let mut session = Session::bash(user);
        // The command reads nothing before it has written everything.
        let script = "stty raw -echo; echo ready; head -c 200000 /dev/zero | tr \"\\0\" x; echo; head -c 3000 | wc -c";
        session.enter(&format!("$rootlet run --pty / sh -c '{script}'"));
        session.expect("ready");
        session.press(&"k".repeat(3000));
        let before = session.expect("3000");
        assert_eq!(before.matches('x').count(), 200_000);
        assert_eq!(session.status(), "0\n");
        session.exit();
    }
}

#[test]
fn pty_does_nothing_without_a_terminal() {
    for user in users() {
        let mut run = rootlet(user);
        run.args(["run", "--pty", "/", "sh", "-c", "tty; cat; exit 4"]);
        run.stdin(std::process::Stdio::null());
        let ended = end(&mut run);
        let printed = (ended.status, &*ended.stdout, &*ended.stderr);
        assert_eq!(printed, (4, "not a tty\n", ""));
    }
}
