//! Which orphans are adopted and reaped, and what is printed about them.

use std::fs;

use super::common::{command, end, send_signal, state, succeed, wait_until};
use super::inits::{Init, Running, SIGINT, SIGKILL, SIGTERM, Variable, inits, parent};

/// A command that leaves an orphan behind, prints `orphan PID`, and ends with standard input.
const LEAVE_ORPHAN: &str = "$| = 1; \
     pipe my $from, my $to; \
     my $middle = fork // die; \
     if (!$middle) { \
         my $orphan = fork // die; \
         if (!$orphan) { close STDOUT; close STDERR; sleep 1000; exit } \
         print \"orphan $orphan\\n\"; exit \
     } \
     waitpid $middle, 0; print \"ready\\n\"; <STDIN>";

/// Returns whether the init adopted the orphan, and the lines of standard error, where the orphan's
/// pid is `ORPHAN`.
#[track_caller]
fn adopts(init: &Init, options: &[&str], variable: Variable) -> (bool, Vec<String>) {
    let words = [options, &["--", "perl", "-e", LEAVE_ORPHAN]].concat();
    let mut running = Running::start(init.command(&words).envs(variable));
    let line = running.next();
    let orphan = line.strip_prefix("orphan ").unwrap();
    let pid = orphan.parse().unwrap();
    running.expect("ready");
    let adopted = parent(pid) == running.pid();
    send_signal(pid, SIGKILL);
    if adopted {
        wait_until("the orphan to be reaped", || state(pid).is_none());
    }
    let (status, errors) = running.end();
    assert_eq!(status, 0, "{init:?}");
    let orphan = format!("pid={orphan}");
    let named = errors
        .iter()
        .map(|line| line.replace(&orphan, "pid=ORPHAN"));
    (adopted, named.collect())
}

/// The messages about an orphan.
#[derive(Clone, Copy, Debug)]
enum Said {
    /// A warning or the log of `-v`, which is not checked.
    Other,
    Nothing,
    Reaped,
}

#[test]
fn orphans_are_adopted_and_reported_as_by_the_original() {
    use Said::{Nothing, Other, Reaped};
    let subreaper = Some(("TINI_SUBREAPER", ""));
    let table: [(&str, &[&str], Variable, bool, Said); 12] = [
        ("tini", &[], None, false, Other),
        ("tini", &["-w"], None, false, Other),
        ("tini", &[], subreaper, true, Other),
        ("tini", &["-s"], Some(("TINI_SUBREAPER", "0")), true, Other),
        ("tini", &["-s", "-vvv"], None, true, Other),
        ("tini", &["-s"], None, true, Nothing),
        ("tini", &["-s", "-w"], None, true, Reaped),
        (
            "tini",
            &["-sw"],
            Some(("TINI_VERBOSITY", "0")),
            true,
            Nothing,
        ),
        ("dumb-init", &[], None, false, Other),
        ("dumb-init", &["-c"], None, false, Other),
        ("catatonit", &[], None, true, Nothing),
        ("catatonit", &["-g"], None, true, Nothing),
    ];
    for (name, options, variable, expected, says) in table {
        for init in inits(name) {
            let (adopted, output) = adopts(&init, options, variable);
            let case = format!("{options:?} {variable:?} {init:?} {output:?}");
            assert_eq!(adopted, expected, "{case}");
            match says {
                Other => {}
                Nothing => assert_eq!(output, [""; 0], "{case}"),
                Reaped => {
                    assert_eq!(output.len(), 1, "{case}");
                    assert!(output[0].starts_with("[WARN  tini ("), "{case}");
                    let end = ")] Reaped zombie process with pid=ORPHAN";
                    assert!(output[0].ends_with(end), "{case}");
                }
            }
        }
    }
}

#[test]
fn tini_warns_if_it_cannot_reap() {
    let table: [(&[&str], Variable, bool); 8] = [
        (&[], None, true),
        (&["-g"], None, true),
        (&[], Some(("TINI_VERBOSITY", "1")), true),
        (&[], Some(("TINI_VERBOSITY", "0")), false),
        (&[], Some(("TINI_VERBOSITY", "quiet")), false),
        (&[], Some(("TINI_SUBREAPER", "")), false),
        (&["-s"], None, false),
        (&["-sw"], Some(("TINI_VERBOSITY", "0")), false),
    ];
    for init in inits("tini") {
        for (options, variable, warns) in table {
            let words = [options, &["--", "true"]].concat();
            let ended = end(init.command(&words).envs(variable));
            let case = format!("{options:?} {variable:?} {init:?} {ended:?}");
            assert_eq!(ended.status, 0, "{case}");
            let output = ended.stderr;
            assert_eq!(!output.is_empty(), warns, "{case}");
            if warns {
                assert!(output.starts_with("[WARN  tini ("), "{case}");
                assert!(output.contains("zombie reaping won't work"), "{case}");
                assert!(output.contains("TINI_SUBREAPER"), "{case}");
            }
        }
        // pid 1 gets all orphans anyway.
        let mut pid1 = command(init.user, "unshare");
        pid1.args([
            "--user",
            "--map-root-user",
            "--fork",
            "--pid",
            "--kill-child",
        ]);
        assert_eq!(succeed(pid1.arg(&init.path).args(["-g", "true"])), "");
    }
}

/// Waits until a paused catatonit has blocked its signals and waits for one.
fn wait_for_pause(running: &Running) {
    wait_until("catatonit to block signals", || {
        let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("SigBlk:"));
        let mask = u64::from_str_radix(line.unwrap()[7..].trim(), 16).unwrap();
        mask & 1 << (SIGTERM - 1) != 0 && state(running.pid()) == Some('S')
    });
}

#[test]
fn a_paused_catatonit_ends_with_term_and_int() {
    for init in inits("catatonit") {
        for number in [SIGTERM, SIGINT] {
            // It has a child from the start, which ends with standard input.
            let mut running = Running::start(&mut init.behind("cat & exec \"$@\"", &["-P"]));
            wait_for_pause(&running);
            running.signal(number);
            assert_eq!(running.status(), 0, "{number} {init:?}");
        }
    }
}

#[test]
fn a_paused_catatonit_reaps() {
    for init in inits("catatonit") {
        // The standard input of a background command is /dev/null without this.
        let script = "exec 3<&0; cat <&3 & echo $!; exec 3<&-; exec \"$@\"";
        let mut running = Running::start(&mut init.behind(script, &["-P"]));
        let child = running.next().parse().unwrap();
        wait_for_pause(&running);
        running.input = None;
        wait_until("the child to be reaped", || state(child).is_none());
        assert_eq!(running.init.try_wait().unwrap(), None, "{init:?}");
        running.signal(SIGTERM);
        assert_eq!(running.status(), 0, "{init:?}");
    }
}
