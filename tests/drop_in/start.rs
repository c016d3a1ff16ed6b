//! The start of the command, and the init's own messages.

use std::fs;
use std::path::Path;

use super::common::{PRINT_SIGNALS, command, succeed, wait_until};
use super::inits::{
    Init, Running, SIGHUP, SIGTERM, SIGUSR2, Variable, group, inits, only_rootlet, session,
};

#[derive(Clone, Copy, Debug)]
enum Leads {
    Session,
    Group,
    Nothing,
}

#[test]
fn the_command_leads_a_session_or_a_group() {
    use Leads::{Group, Nothing, Session};
    let table: [(&str, &[&str], Variable, Leads); 11] = [
        ("tini", &[], None, Group),
        ("tini", &["-g"], None, Group),
        ("tini", &["-w"], None, Group),
        ("dumb-init", &[], None, Session),
        ("dumb-init", &["-v"], None, Session),
        ("dumb-init", &[], Some(("DUMB_INIT_SETSID", "1")), Session),
        ("dumb-init", &[], Some(("DUMB_INIT_SETSID", "")), Session),
        ("dumb-init", &["-c"], None, Nothing),
        ("dumb-init", &["--single-child"], None, Nothing),
        (
            "dumb-init",
            &["-c"],
            Some(("DUMB_INIT_SETSID", "1")),
            Nothing,
        ),
        ("dumb-init", &[], Some(("DUMB_INIT_SETSID", "0")), Nothing),
    ];
    for (name, options, variable, leads) in table {
        for init in inits(name) {
            let case = format!("{options:?} {variable:?} {init:?}");
            let words = [options, &["--", "sh", "-c", "echo ready; read line"]].concat();
            let mut running = Running::start_ready(init.quiet(&words).envs(variable));
            let (pid, command) = (running.pid(), running.command());
            let expected = match leads {
                Session => (command, command),
                Group => (session(pid), command),
                Nothing => (session(pid), group(pid)),
            };
            assert_eq!((session(command), group(command)), expected, "{case}");
            assert_eq!(running.status(), 1, "{case}");
        }
    }
}

#[test]
fn blocked_and_ignored_signals_are_the_callers() {
    let callers: [&[&str]; 4] = [
        &[],
        &["--ignore-signal=HUP"],
        &["--block-signal=USR1"],
        &["--block-signal=TSTP,TTIN", "--ignore-signal=INT,TTOU"],
    ];
    let grep = ["grep", "-E", "^Sig(Blk|Ign|Cgt):", "/proc/self/status"];
    let as_outside = |init: &Init, options: &[&str], own: &[&str]| {
        let outside = succeed(command(init.user, "env").args(options).args(grep));
        let mut inside = command(init.user, "env");
        inside.args(options).arg(&init.path).args(own).arg("--");
        assert_eq!(succeed(inside.args(grep)), outside, "{options:?} {init:?}");
    };
    for init in inits("tini") {
        for options in callers {
            as_outside(&init, options, &["-s"]);
        }
    }
    for name in ["dumb-init", "catatonit"] {
        for init in only_rootlet(name) {
            as_outside(&init, &["--ignore-signal=HUP", "--block-signal=USR1"], &[]);
        }
    }
}

#[test]
fn catatonit_blocks_no_signal_in_the_command() {
    // The original leaves TSTP, TTIN and TTOU blocked or ignored.
    for init in only_rootlet("catatonit") {
        let words = ["--", "grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"];
        let none = "0000000000000000";
        let expected = format!("SigBlk:\t{none}\nSigIgn:\t{none}\n");
        assert_eq!(succeed(&mut init.command(&words)), expected, "{init:?}");
    }
}

#[test]
fn dumb_init_leaves_the_current_directory() {
    for init in inits("dumb-init") {
        let words = ["sh", "-c", "pwd; echo ready; read line"];
        let mut running = Running::start(&mut init.command(&words));
        running.expect(init.root.name());
        running.expect("ready");
        let directory = format!("/proc/{}/cwd", running.pid());
        let left = || fs::read_link(&directory).is_ok_and(|path| path == Path::new("/"));
        wait_until("dumb-init to go to /", left);
        assert_eq!(running.status(), 1, "{init:?}");
    }
}

#[test]
fn a_verbose_dumb_init_logs_what_the_original_logs() {
    let debug = Some(("DUMB_INIT_DEBUG", "1"));
    let table: [(&[&str], Variable, bool); 7] = [
        (&["-v"], None, true),
        (&["--verbose", "-c"], None, true),
        (&[], debug, true),
        (&["-c"], debug, true),
        (&[], None, false),
        (&[], Some(("DUMB_INIT_DEBUG", "0")), false),
        (&[], Some(("DUMB_INIT_DEBUG", "")), false),
    ];
    for (options, variable, is_verbose) in table {
        let mut all = Vec::new();
        for init in inits("dumb-init") {
            let words = [options, &["python3", "-c", PRINT_SIGNALS]].concat();
            let mut running = Running::start_ready(init.command(&words).envs(variable));
            let command = running.command().to_string();
            running.signal(SIGTERM);
            running.expect("got 15");
            running.signal(SIGHUP);
            let line = running.next();
            assert!(["got 1", "got 2"].contains(&&*line), "{line} {init:?}");
            running.signal(SIGUSR2);
            running.expect("got 12");
            let (status, errors) = running.end();
            assert_eq!(status, 5, "{init:?}");
            // At the start the two processes may write in either order. Only an original without a
            // terminal reports that.
            let mut errors: Vec<String> = errors
                .into_iter()
                .map(|line| line.replace(&command, "PID"))
                .filter(|line| !line.contains("controlling tty"))
                .collect();
            let is_of_start = |line: &&String| line.ends_with("complete.");
            let start = errors.iter().filter(is_of_start).count();
            errors.retain(|line| !is_of_start(&line));
            all.push((start, errors));
        }
        for other in &all {
            assert_eq!(other, &all[0], "{options:?} {variable:?}");
        }
        let output = &all[0].1;
        assert_eq!(!output.is_empty(), is_verbose, "{options:?} {output:?}");
        let has_head = |line: &String| line.starts_with("[dumb-init] ");
        assert!(output.iter().all(has_head), "{output:?}");
        if is_verbose {
            for line in [
                "[dumb-init] Received signal 15.",
                "[dumb-init] Forwarded signal 12 to children.",
            ] {
                assert!(
                    output.iter().any(|output| output == line),
                    "{line} {output:?}"
                );
            }
        }
    }
}
