//! `rootlet` called as tini, dumb-init or catatonit, next to the program itself: the same input
//! gives the same status and the same behaviour.

#![allow(missing_docs)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::{
    PRINT_SIGNALS, Root, User, children, command, end, rootlet_path, send_signal, state, succeed,
    users, wait_until,
};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;
const SIGTSTP: i32 = 20;
const SIGTTIN: i32 = 21;
const SIGTTOU: i32 = 22;

/// An init: rootlet under its name, or the program itself.
struct Init {
    user: User,
    path: PathBuf,
    is_rootlet: bool,
    /// Holds rootlet's link, and is where the commands start.
    root: Root,
}

/// rootlet under this name and the program itself, each for every user.
fn inits(name: &str) -> Vec<Init> {
    let real = match name {
        "docker-init" => Path::new("/usr/bin/tini").to_path_buf(),
        name => Path::new("/usr/bin").join(name),
    };
    let package = match name {
        "tini-static" | "docker-init" => "tini",
        name => name,
    };
    assert!(
        real.exists(),
        "{} is missing, and rootlet is compared with it: apt-get install {package}",
        real.display()
    );
    let mut inits = Vec::new();
    for user in users() {
        for is_rootlet in [true, false] {
            let root = Root::empty(user);
            root.symlink(name, rootlet_path());
            inits.push(Init {
                user,
                path: match is_rootlet {
                    true => root.path().join(name),
                    false => real.clone(),
                },
                is_rootlet,
                root,
            });
        }
    }
    inits
}

/// The ones of `inits` that are rootlet, where the program itself is known to do worse.
fn only_rootlet(name: &str) -> impl Iterator<Item = Init> {
    inits(name).into_iter().filter(|init| init.is_rootlet)
}

impl Init {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = command(self.user, &self.path);
        command.args(words).current_dir(self.root.path());
        command
    }

    /// For a tini that is not to warn.
    fn quiet(&self, words: &[&str]) -> Command {
        let mut command = self.command(words);
        command.env("TINI_SUBREAPER", "");
        command
    }

    /// The command started by this script, which has the init's words as its own.
    fn behind(&self, script: &str, words: &[&str]) -> Command {
        let mut command = command(self.user, "sh");
        command.args(["-c", script, "sh"]).arg(&self.path);
        command.args(words).current_dir(self.root.path());
        command
    }
}

impl std::fmt::Debug for Init {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{} as {:?}", self.path.display(), self.user)
    }
}

/// An init, running.
struct Running {
    init: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

/// The lines of a stream as they come.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}

impl Running {
    fn start(command: &mut Command) -> Running {
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut init = command.spawn().unwrap();
        Running {
            input: init.stdin.take(),
            lines: lines(init.stdout.take().unwrap()),
            errors: lines(init.stderr.take().unwrap()),
            init,
        }
    }

    /// Starts it and waits until the command has said `ready`.
    #[track_caller]
    fn start_ready(command: &mut Command) -> Running {
        let running = Running::start(command);
        running.expect("ready");
        running
    }

    fn pid(&self) -> i32 {
        self.init.id() as i32
    }

    /// The command's pid.
    fn command(&self) -> i32 {
        children(self.pid())[0]
    }

    fn signal(&self, number: i32) {
        send_signal(self.pid(), number);
    }

    #[track_caller]
    fn next(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// The command's next line.
    #[track_caller]
    fn expect(&self, line: &str) {
        assert_eq!(self.next(), line);
    }

    /// Its status as a shell tells it, and what it wrote to standard error.
    #[track_caller]
    fn end(&mut self) -> (i32, Vec<String>) {
        self.input = None;
        let mut status = None;
        wait_until("the end of the init", || {
            status = self.init.try_wait().unwrap();
            status.is_some()
        });
        let status = status.unwrap();
        let by_signal = std::os::unix::process::ExitStatusExt::signal(&status);
        let status = status.code().unwrap_or_else(|| 128 + by_signal.unwrap());
        (status, self.errors.iter().collect())
    }

    #[track_caller]
    fn status(&mut self) -> i32 {
        self.end().0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.init.try_wait() {
            for child in children(self.pid()) {
                send_signal(child, SIGKILL);
            }
            let _ = self.init.kill();
            let _ = self.init.wait();
        }
    }
}

/// The number in the n-th field, from 1, of /proc/PID/stat (proc_pid_stat(5)).
fn stat(pid: i32, field: usize) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = &stat[stat.rfind(')').unwrap() + 2..];
    let mut fields = after_name.split(' ');
    fields.nth(field - 3).unwrap().parse().unwrap()
}

fn parent(pid: i32) -> i32 {
    stat(pid, 4)
}

fn group(pid: i32) -> i32 {
    stat(pid, 5)
}

fn session(pid: i32) -> i32 {
    stat(pid, 6)
}

/// `PRINT_SIGNALS` that takes these signals, too, instead of dying or stopping.
fn print_signals(too: &[i32]) -> String {
    let too: Vec<String> = too.iter().map(i32::to_string).collect();
    let blocked = format!("signals = {{{}}} | set(", too.join(", "));
    PRINT_SIGNALS.replace("signals = set(", &blocked)
}

/// What a python program gets of these signals when they are sent to its init: each is sent and
/// waited for with a 64 behind it, which is delivered last.
#[track_caller]
fn forwarded(init: &Init, options: &[&str], program: &str, numbers: &[i32]) -> Vec<Vec<i32>> {
    let words = [options, &["--", "python3", "-c", program]].concat();
    let mut running = Running::start_ready(&mut init.quiet(&words));
    let mut all = Vec::new();
    for number in numbers {
        running.signal(*number);
        running.signal(64);
        let mut got = Vec::new();
        loop {
            let line = running.next();
            let number = line.strip_prefix("got ").unwrap().parse().unwrap();
            if number == 64 {
                break;
            }
            got.push(number);
        }
        all.push(got);
    }
    running.signal(SIGUSR2);
    running.expect("got 12");
    assert_eq!(running.status(), 5, "{init:?}");
    all
}

/// As `forwarded`, for an init that knows no signal above 31, so that nothing can come behind. The
/// signals are all passed on, or this waits in vain.
#[track_caller]
fn all_forwarded(init: &Init, options: &[&str], program: &str, pairs: &[(i32, i32)]) {
    let words = [options, &["--", "python3", "-c", program]].concat();
    let mut running = Running::start_ready(&mut init.command(&words));
    for (sent, got) in pairs {
        running.signal(*sent);
        assert_eq!(running.next(), format!("got {got}"), "{sent} to {init:?}");
    }
    running.signal(SIGUSR2);
    running.expect("got 12");
    assert_eq!(running.status(), 5, "{init:?}");
}

/// A command that says `trapped` for USR1, with a python program beside it that prints its signals
/// and ends with USR2; then the command ends with status 9.
const WITH_NEIGHBOUR: &str = "trap 'echo trapped' USR1; python3 -c \"$0\" & \
                              while wait $!; [ $? -gt 128 ]; do :; done; exit 9";

/// Does a signal that is sent to the init reach the command's neighbour, too?
#[track_caller]
fn reaches_group(init: &Init, options: &[&str], variable: Option<(&str, &str)>) -> bool {
    let words = [options, &["--", "sh", "-c", WITH_NEIGHBOUR, PRINT_SIGNALS]].concat();
    let mut running = Running::start_ready(init.quiet(&words).envs(variable));
    let neighbour = children(running.command())[0];
    running.signal(SIGUSR1);
    // The lower number is delivered first, so this is the last that the neighbour prints.
    let mut said = BTreeSet::new();
    while !said.contains("trapped") {
        said.insert(running.next());
    }
    send_signal(neighbour, SIGUSR2);
    while !said.contains("got 12") {
        said.insert(running.next());
    }
    assert_eq!(running.status(), 9, "{init:?}");
    said.contains("got 10")
}

/// A command that leaves an orphan behind, says `orphan PID`, and ends with standard input.
const LEAVE_ORPHAN: &str = "$| = 1; \
     pipe my $from, my $to; \
     my $middle = fork // die; \
     if (!$middle) { \
         my $orphan = fork // die; \
         if (!$orphan) { close STDOUT; close STDERR; sleep 1000; exit } \
         print \"orphan $orphan\\n\"; exit \
     } \
     waitpid $middle, 0; print \"ready\\n\"; <STDIN>";

/// Is an orphan adopted by the init? And what does the init say, when it has ended meanwhile?
#[track_caller]
fn adopts(
    init: &Init,
    options: &[&str],
    variable: Option<(&str, &str)>,
) -> (bool, i32, Vec<String>) {
    let words = [options, &["--", "perl", "-e", LEAVE_ORPHAN]].concat();
    let mut running = Running::start(init.command(&words).envs(variable));
    let line = running.next();
    let orphan = line.strip_prefix("orphan ").unwrap().parse().unwrap();
    running.expect("ready");
    let adopted = parent(orphan) == running.pid();
    send_signal(orphan, SIGKILL);
    if adopted {
        wait_until("the orphan to be reaped", || state(orphan).is_none());
    }
    let (status, errors) = running.end();
    assert_eq!(status, 0, "{init:?}");
    (adopted, orphan, errors)
}

/// Runs a table of words and the status that comes out.
#[track_caller]
fn statuses(name: &str, table: &[(&[&str], i32)]) {
    for init in inits(name) {
        init.root.file("plain", "");
        init.root.script("no-shebang", "exit 4\n");
        init.root.script("no-interpreter", "#!/nonexistent\n");
        for (words, status) in table {
            let ended = end(&mut init.quiet(words));
            assert_eq!(ended.status, *status, "{words:?} {init:?} {ended:?}");
        }
    }
}

const COMMAND_STATUSES: &[(&[&str], i32)] = &[
    (&["true"], 0),
    (&["--", "true"], 0),
    (&["false"], 1),
    (&["--", "sh", "-c", "exit 3"], 3),
    (&["--", "sh", "-c", "exit 77"], 77),
    (&["--", "sh", "-c", "exit 127"], 127),
    (&["--", "sh", "-c", "exit 128"], 128),
    (&["--", "sh", "-c", "exit 255"], 255),
    (&["--", "sh", "-c", "kill -HUP $$"], 129),
    (&["--", "sh", "-c", "kill -INT $$"], 130),
    (&["--", "sh", "-c", "ulimit -c 0; kill -QUIT $$"], 131),
    (&["--", "sh", "-c", "ulimit -c 0; kill -ABRT $$"], 134),
    (&["--", "sh", "-c", "ulimit -c 0; kill -SEGV $$"], 139),
    (&["--", "sh", "-c", "kill -KILL $$"], 137),
    (&["--", "sh", "-c", "kill -PIPE $$"], 141),
    (&["--", "sh", "-c", "kill -TERM $$"], 143),
    (&["--", "sh", "-c", "kill -34 $$"], 162),
    (&["--", "sh", "-c", "kill -64 $$"], 192),
    (&["./no-shebang"], 4),
    (&["--", "-x"], -1),
];

/// The command statuses, with this one where the command cannot be run.
#[track_caller]
fn command_statuses(name: &str, not_found: i32) {
    let table: Vec<_> = COMMAND_STATUSES
        .iter()
        .map(|(words, status)| match status {
            -1 => (*words, not_found),
            status => (*words, *status),
        })
        .collect();
    statuses(name, &table);
}

#[test]
fn tini_ends_with_the_commands_status() {
    for name in ["tini", "tini-static", "docker-init"] {
        command_statuses(name, 127);
    }
}

#[test]
fn tini_cannot_run_it() {
    let table: [(&[&str], i32, &str, &str); 7] = [
        (
            &["nonexistent"],
            127,
            "nonexistent",
            "No such file or directory",
        ),
        (
            &["/nonexistent"],
            127,
            "/nonexistent",
            "No such file or directory",
        ),
        (
            &["./no-interpreter"],
            127,
            "./no-interpreter",
            "No such file or directory",
        ),
        (&["./plain"], 126, "./plain", "Permission denied"),
        (&["/"], 126, "/", "Permission denied"),
        (&[""], 127, "", "No such file or directory"),
        (
            &["-w", "-g", "nonexistent", "arg"],
            127,
            "nonexistent",
            "No such file or directory",
        ),
    ];
    for init in inits("tini") {
        init.root.file("plain", "");
        init.root.script("no-interpreter", "#!/nonexistent\n");
        for (words, status, name, reason) in table {
            let ended = end(&mut init.quiet(words));
            assert_eq!(
                (ended.status, ended.stdout.as_str()),
                (status, ""),
                "{init:?}"
            );
            let (start, rest) = ended.stderr.split_once(" (").unwrap();
            assert_eq!(start, "[FATAL tini", "{init:?}");
            let (pid, rest) = rest.split_once(")] ").unwrap();
            assert!(pid.parse::<u32>().is_ok(), "{ended:?}");
            assert_eq!(rest, format!("exec {name} failed: {reason}\n"), "{init:?}");
        }
    }
}

#[test]
fn tini_options() {
    statuses(
        "tini",
        &[
            (&["--version"], 0),
            (&["-h"], 0),
            (&["-l"], 0),
            (&["-v", "true"], 0),
            (&["-vv", "true"], 0),
            (&["-vvv", "--", "true"], 0),
            (&["-v", "-v", "-v", "-s", "-g", "-w", "true"], 0),
            (&["-vsgw", "--", "sh", "-c", "exit 3"], 3),
            (&["-p", "SIGKILL", "true"], 0),
            (&["-pSIGTERM", "--", "sh", "-c", "exit 3"], 3),
            (&["-p", "SIGWINCH", "true"], 0),
            (&["-p", "SIGNOT", "true"], 1),
            (&["-p", ""], 1),
            (&["-p"], 1),
            (&["-x", "true"], 1),
            (&["-vx", "true"], 1),
            (&["--nonsense", "true"], 1),
            (&[], 1),
            (&["--"], 1),
            (&["-s"], 1),
            // As its usage line has it.
            (&["sh", "--", "-c", "exit 3"], 3),
            (&["-s", "sh", "--", "-c", "exit 3"], 3),
            (&["--", "sh", "--", "-c", "exit 3"], 2),
        ],
    );
    for init in inits("tini") {
        let version = succeed(&mut init.command(&["--version"]));
        assert!(version.starts_with("tini version 0.19.0"), "{version}");
    }
}

#[test]
fn tini_takes_a_status_for_success() {
    for init in inits("tini") {
        let status = |words: &[&str]| end(&mut init.quiet(words)).status;
        let mut all: Vec<String> = Vec::new();
        for code in 0..256 {
            let (expected, exit) = (code.to_string(), format!("exit {code}"));
            let ended = status(&["-e", &expected, "--", "sh", "-c", &exit]);
            assert_eq!(ended, 0, "{code} {init:?}");
            all.extend(["-e".to_string(), expected]);
        }
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        for code in [0, 1, 7, 31, 32, 63, 64, 128, 254, 255] {
            let exit = format!("exit {code}");
            let command = ["--", "sh", "-c", &exit];
            assert_eq!(status(&[&all, &command[..]].concat()), 0, "{code} {init:?}");
            let others = ["-e", "2", "-e33", "-e", "127", "-e", "253"];
            let ended = status(&[&others, &command[..]].concat());
            assert_eq!(ended, code, "{init:?}");
        }
        assert_eq!(status(&["-e2", "-e", "3", "--", "sh", "-c", "exit 3"]), 0);
        assert_eq!(status(&["-e", "143", "--", "sh", "-c", "kill $$"]), 0);
        assert_eq!(status(&["-e", "137", "--", "sh", "-c", "kill $$"]), 143);
        // The status of a command that was not found is one, too.
        assert_eq!(status(&["-e", "127", "nonexistent"]), 0);
        for wrong in ["256", "-1", "x", "1x", "99999999999999999999"] {
            assert_eq!(status(&["-e", wrong, "true"]), 1, "{wrong} {init:?}");
        }
        assert_eq!(status(&["-e"]), 1, "{init:?}");
    }
}

#[test]
fn tini_signals_the_command_or_its_group() {
    for init in inits("tini") {
        let variable = "TINI_KILL_PROCESS_GROUP";
        assert!(!reaches_group(&init, &[], None), "{init:?}");
        assert!(reaches_group(&init, &["-g"], None), "{init:?}");
        for value in ["", "0", "1"] {
            let reaches = reaches_group(&init, &[], Some((variable, value)));
            assert!(reaches, "{value} {init:?}");
        }
        assert!(
            reaches_group(&init, &["-g"], Some((variable, "1"))),
            "{init:?}"
        );
    }
}

#[test]
fn tini_gives_the_command_a_group() {
    for init in inits("tini") {
        for options in [&[][..], &["-g"], &["-w"]] {
            let words = [options, &["--", "sh", "-c", "echo ready; read line"]].concat();
            let mut running = Running::start_ready(&mut init.quiet(&words));
            let command = running.command();
            assert_eq!(group(command), command, "{options:?} {init:?}");
            assert_eq!(session(command), session(running.pid()), "{init:?}");
            assert_eq!(running.status(), 1);
        }
    }
}

#[test]
fn tini_adopts_orphans_when_told() {
    for init in inits("tini") {
        let variable = Some(("TINI_SUBREAPER", ""));
        for (options, variable, expected) in [
            (&[][..], None, false),
            (&["-w"], None, false),
            (&["-s"], None, true),
            (&[], variable, true),
            (&["-s"], Some(("TINI_SUBREAPER", "0")), true),
            (&["-s", "-vvv"], None, true),
            (&["-s", "-w"], None, true),
        ] {
            let (adopted, ..) = adopts(&init, options, variable);
            assert_eq!(adopted, expected, "{options:?} {variable:?} {init:?}");
        }
    }
}

#[test]
fn tini_warns_that_it_cannot_reap() {
    for init in inits("tini") {
        let said = |options: &[&str], variable| {
            let words = [options, &["--", "true"]].concat();
            let ended = end(init.command(&words).envs(variable));
            assert_eq!(ended.status, 0, "{init:?} {ended:?}");
            ended.stderr
        };
        for (options, variable) in [
            (&[][..], None),
            (&["-g"], None),
            (&[], Some(("TINI_VERBOSITY", "1"))),
        ] {
            let said = said(options, variable);
            assert!(said.starts_with("[WARN  tini ("), "{said} {init:?}");
            assert!(
                said.contains("zombie reaping won't work"),
                "{said} {init:?}"
            );
            assert!(said.contains("TINI_SUBREAPER"), "{said} {init:?}");
        }
        for (options, variable) in [
            (&[][..], Some(("TINI_VERBOSITY", "0"))),
            (&[], Some(("TINI_VERBOSITY", "quiet"))),
            (&[], Some(("TINI_SUBREAPER", ""))),
            (&["-s"], None),
            (&["-sw"], Some(("TINI_VERBOSITY", "0"))),
        ] {
            let said = said(options, variable);
            assert_eq!(said, "", "{options:?} {variable:?} {init:?}");
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

#[test]
fn tini_says_what_it_reaps() {
    for init in inits("tini") {
        let (adopted, orphan, said) = adopts(&init, &["-s", "-w"], None);
        assert!(adopted, "{init:?}");
        let [line] = &said[..] else {
            panic!("{said:?} {init:?}");
        };
        assert!(line.starts_with("[WARN  tini ("), "{line}");
        let end = format!(")] Reaped zombie process with pid={orphan}");
        assert!(line.ends_with(&end), "{line} {init:?}");

        let (_, _, said) = adopts(&init, &["-s"], None);
        assert_eq!(said, [""; 0], "{init:?}");
        let quiet = Some(("TINI_VERBOSITY", "0"));
        let (_, _, said) = adopts(&init, &["-s", "-w"], quiet);
        assert_eq!(said, [""; 0], "{init:?}");
    }
}

#[test]
fn tini_gets_a_signal_when_its_parent_ends() {
    for init in inits("tini") {
        for (name, number) in [
            ("SIGTERM", SIGTERM),
            ("SIGUSR1", SIGUSR1),
            ("SIGHUP", SIGHUP),
        ] {
            let words = ["-s", "-p", name, "--", "python3", "-c", PRINT_SIGNALS];
            let mut running = Running::start_ready(&mut init.behind("\"$@\" & wait", &words));
            let tini = running.command();
            running.signal(SIGKILL);
            running.expect(&format!("got {number}"));
            send_signal(tini, SIGUSR2);
            running.expect("got 12");
            running.status();
            wait_until("the end of tini", || {
                state(tini).is_none_or(|state| state == 'Z')
            });
        }
        let words = ["-s", "-p", "SIGKILL", "--", "python3", "-c", PRINT_SIGNALS];
        let running = Running::start_ready(&mut init.behind("\"$@\" & wait", &words));
        let tini = running.command();
        let command = children(tini)[0];
        running.signal(SIGKILL);
        wait_until("the end of tini", || {
            state(tini).is_none_or(|state| state == 'Z')
        });
        send_signal(command, SIGUSR2);
        running.expect("got 12");

        // Without it, the parent's end is nothing to tini.
        let words = ["-s", "--", "python3", "-c", PRINT_SIGNALS];
        let mut running = Running::start_ready(&mut init.behind("\"$@\" & wait", &words));
        let tini = running.command();
        running.signal(SIGKILL);
        running.init.wait().unwrap();
        send_signal(tini, SIGUSR2);
        running.expect("got 12");
    }
}

#[test]
fn tini_passes_signals_on() {
    // The faults and what stops have tests of their own; 32 and 33 kill the real one.
    let elsewhere = [4, 5, 6, 7, 8, 9, 11, 12, 17, 19, 20, 21, 22, 31, 32, 33, 64];
    let numbers: Vec<i32> = (1..=64).filter(|n| !elsewhere.contains(n)).collect();
    let expected: Vec<Vec<i32>> = numbers.iter().map(|number| vec![*number]).collect();
    for init in inits("tini") {
        for options in [&[][..], &["-g"], &["-w"]] {
            let got = forwarded(&init, options, PRINT_SIGNALS, &numbers);
            assert_eq!(got, expected, "{options:?} {init:?}");
        }
    }
}

#[test]
fn tini_ends_by_a_fault_that_is_sent() {
    for init in inits("tini") {
        for number in [4, 5, 6, 7, 8, 11, 31] {
            let script = "ulimit -c 0; \"$@\"; exit $?";
            let words = ["-s", "--", "sh", "-c", "echo ready; exec sleep 1000"];
            let mut running = Running::start_ready(&mut init.behind(script, &words));
            let tini = running.command();
            let command = children(tini)[0];
            wait_until("the command", || {
                let name = fs::read_to_string(format!("/proc/{command}/comm"));
                name.is_ok_and(|name| name == "sleep\n")
            });
            send_signal(tini, number);
            // The real one leaves the command behind, which has its standard error.
            wait_until("the end of tini", || state(tini).is_none());
            if state(command).is_some_and(|state| state != 'Z') {
                assert!(!init.is_rootlet, "{number} left the command behind");
                send_signal(command, SIGKILL);
            }
            assert_eq!(running.status(), 128 + number, "{init:?}");
        }
    }
}

#[test]
fn tini_is_not_stopped_with_the_command() {
    for init in inits("tini") {
        for options in [&["-s"][..], &["-s", "-g"], &["-s", "-w"]] {
            let words = [options, &["--", "python3", "-c", PRINT_SIGNALS]].concat();
            let mut running = Running::start_ready(&mut init.command(&words));
            let command = running.command();
            running.signal(SIGTSTP);
            wait_until("the stop", || state(command) == Some('T'));
            running.signal(SIGCONT);
            running.expect("got 18");
            assert_ne!(state(running.pid()), Some('T'), "{init:?}");
            running.signal(SIGUSR2);
            running.expect("got 12");
            assert_eq!(running.status(), 5, "{options:?} {init:?}");
        }
    }
}

#[test]
fn blocked_and_ignored_signals_are_the_callers() {
    let pattern = "^Sig(Blk|Ign|Cgt):";
    let grep = ["grep", "-E", pattern, "/proc/self/status"];
    for init in inits("tini") {
        for options in [
            &[][..],
            &["--ignore-signal=HUP"],
            &["--block-signal=USR1"],
            &["--block-signal=TSTP,TTIN", "--ignore-signal=INT,TTOU"],
        ] {
            let outside = succeed(command(init.user, "env").args(options).args(grep));
            let mut inside = command(init.user, "env");
            inside.args(options).arg(&init.path);
            let inside = succeed(inside.args(["-s", "--"]).args(grep));
            assert_eq!(inside, outside, "{options:?} {init:?}");
        }
    }
    for name in ["dumb-init", "catatonit"] {
        for init in only_rootlet(name) {
            let mut outside = command(init.user, "env");
            outside.args(["--ignore-signal=HUP", "--block-signal=USR1"]);
            let outside = succeed(outside.args(grep));
            let mut inside = command(init.user, "env");
            inside.args(["--ignore-signal=HUP", "--block-signal=USR1"]);
            let inside = succeed(inside.arg(&init.path).arg("--").args(grep));
            assert_eq!(inside, outside, "{init:?}");
        }
    }
}

#[test]
fn dumb_init_ends_with_the_commands_status() {
    command_statuses("dumb-init", 2);
}

#[test]
fn dumb_init_options() {
    statuses(
        "dumb-init",
        &[
            (&["-h"], 0),
            (&["--help"], 0),
            (&["-V"], 0),
            (&["--version"], 0),
            (&["-c", "true"], 0),
            (&["--single-child", "sh", "-c", "exit 3"], 3),
            (&["-v", "true"], 0),
            (&["--verbose", "true"], 0),
            (&["-cv", "sh", "-c", "exit 3"], 3),
            (&["-r", "15:3", "true"], 0),
            (&["-r15:3", "-r", "1:0", "true"], 0),
            (&["--rewrite", "15:3", "true"], 0),
            (&["--rewrite=31:31", "true"], 0),
            (&["-r", "0:1", "true"], 1),
            (&["-r", "32:1", "true"], 1),
            (&["-r", "1:32", "true"], 1),
            (&["-r", "64:1", "true"], 1),
            (&["-r", "1:-1", "true"], 1),
            (&["-r", "-1:1", "true"], 1),
            (&["-r", "1:", "true"], 1),
            (&["-r", ":1", "true"], 1),
            (&["-r", "1", "true"], 1),
            (&["-r", "x:y", "true"], 1),
            (&["-r", "", "true"], 1),
            (&["-r"], 1),
            (&["-x", "true"], 1),
            (&["--nonsense", "true"], 1),
            (&[], 1),
            (&["-c"], 1),
            (&["--"], 1),
            // Options end at the command.
            (&["sh", "-c", "exit 3"], 3),
        ],
    );
    for init in inits("dumb-init") {
        // Both go to standard error.
        for option in ["-V", "--version"] {
            let ended = end(&mut init.command(&[option]));
            assert_eq!(ended.stdout, "", "{init:?}");
            assert!(ended.stderr.starts_with("dumb-init v1.2.5"), "{ended:?}");
        }
        let ended = end(&mut init.command(&["-h"]));
        assert_eq!(ended.stdout, "", "{init:?}");
        assert!(ended.stderr.contains("--rewrite"), "{ended:?}");
    }
}

#[test]
fn dumb_init_cannot_run_it() {
    let table = [
        ("nonexistent", "No such file or directory"),
        ("/nonexistent", "No such file or directory"),
        ("./no-interpreter", "No such file or directory"),
        ("./plain", "Permission denied"),
        ("/", "Permission denied"),
        ("/dev/null/x", "Not a directory"),
    ];
    for init in inits("dumb-init") {
        init.root.file("plain", "");
        init.root.script("no-interpreter", "#!/nonexistent\n");
        for (name, reason) in table {
            let ended = end(&mut init.command(&[name]));
            assert_eq!(ended.status, 2, "{name} {init:?}");
            assert_eq!(ended.stdout, "", "{name} {init:?}");
            assert_eq!(
                ended.stderr,
                format!("[dumb-init] {name}: {reason}\n"),
                "{init:?}"
            );
        }
    }
}

#[test]
fn dumb_init_gives_the_command_a_session() {
    for init in inits("dumb-init") {
        for (options, variable, has_session) in [
            (&[][..], None, true),
            (&["-v"], None, true),
            (&[], Some(("DUMB_INIT_SETSID", "1")), true),
            (&[], Some(("DUMB_INIT_SETSID", "")), true),
            (&["-c"], None, false),
            (&["--single-child"], None, false),
            (&["-c"], Some(("DUMB_INIT_SETSID", "1")), false),
            (&[], Some(("DUMB_INIT_SETSID", "0")), false),
        ] {
            let case = format!("{options:?} {variable:?} {init:?}");
            let words = [options, &["sh", "-c", "echo ready; read line"]].concat();
            let mut running = Running::start_ready(init.command(&words).envs(variable));
            let command = running.command();
            if has_session {
                assert_eq!(session(command), command, "{case}");
                assert_eq!(group(command), command, "{case}");
            } else {
                assert_eq!(session(command), session(running.pid()), "{case}");
                assert_eq!(group(command), group(running.pid()), "{case}");
            }
            assert_eq!(running.status(), 1, "{case}");
        }
    }
}

#[test]
fn dumb_init_signals_the_session_or_the_command() {
    for init in inits("dumb-init") {
        assert!(reaches_group(&init, &[], None), "{init:?}");
        assert!(!reaches_group(&init, &["-c"], None), "{init:?}");
        let variable = Some(("DUMB_INIT_SETSID", "0"));
        assert!(!reaches_group(&init, &[], variable), "{init:?}");
    }
}

#[test]
fn dumb_init_tells_the_rest_when_the_command_ends() {
    for init in inits("dumb-init") {
        for (options, is_told) in [(&[][..], true), (&["-c"], false)] {
            // The command waits until its child blocks signals, then for standard input.
            let script = "python3 -c \"$0\" & read line; exit 3";
            let words = [options, &["sh", "-c", script, PRINT_SIGNALS]].concat();
            let mut running = Running::start_ready(&mut init.command(&words));
            let rest = children(running.command())[0];
            running.input = None;
            // Standard error is the rest's, too, so its end is not waited for.
            wait_until("the end of dumb-init", || {
                running.init.try_wait().unwrap().is_some()
            });
            let status = running.init.wait().unwrap();
            assert_eq!(status.code(), Some(3), "{init:?}");
            if is_told {
                running.expect("got 15");
            }
            send_signal(rest, SIGUSR2);
            running.expect("got 12");
        }
    }
}

#[test]
fn dumb_init_leaves_orphans_to_others() {
    for init in inits("dumb-init") {
        for options in [&[][..], &["-c"]] {
            let (adopted, ..) = adopts(&init, options, None);
            assert!(!adopted, "{options:?} {init:?}");
        }
    }
}

#[test]
fn dumb_init_passes_every_signal_on() {
    // The faults, too, and SIGUSR2 comes last.
    let elsewhere = [SIGKILL, 17, 19, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR2];
    let numbers: Vec<i32> = (1..=31).filter(|n| !elsewhere.contains(n)).collect();
    let pairs: Vec<(i32, i32)> = numbers.iter().map(|number| (*number, *number)).collect();
    let program = print_signals(&[4, 5, 7, 8, 11, 31]);
    for init in inits("dumb-init") {
        for options in [&[][..], &["-c"], &["-v"]] {
            all_forwarded(&init, options, &program, &pairs);
        }
    }
}

#[test]
fn dumb_init_rewrites_signals() {
    for init in inits("dumb-init") {
        let options = [
            "-r",
            "15:10",
            "--rewrite",
            "1:2",
            "-r2:1",
            "-r",
            "3:28",
            "-r10:15",
        ];
        let pairs = [(15, 10), (1, 2), (2, 1), (3, 28), (10, 15), (14, 14)];
        all_forwarded(&init, &options, PRINT_SIGNALS, &pairs);
        all_forwarded(
            &init,
            &[&["-c"], &options[..]].concat(),
            PRINT_SIGNALS,
            &pairs,
        );
        // The last one holds.
        all_forwarded(&init, &["-r15:1", "-r15:3"], PRINT_SIGNALS, &[(15, 3)]);

        // What is rewritten to 0 is not passed on: a TERM does not end this.
        for options in [&["-r", "15:0"][..], &["-c", "-r", "15:0", "-r", "2:0"]] {
            let words = [options, &["python3", "-c", PRINT_SIGNALS]].concat();
            let mut running = Running::start_ready(&mut init.command(&words));
            running.signal(SIGTERM);
            if options.len() > 2 {
                running.signal(SIGINT);
            }
            // dumb-init has read both, since it takes the lower number first.
            running.signal(28);
            running.expect("got 28");
            running.signal(SIGUSR2);
            running.expect("got 12");
            assert_eq!(running.status(), 5, "{init:?}");
        }
    }
}

#[test]
fn dumb_init_stops_and_goes_on_with_the_session() {
    for init in inits("dumb-init") {
        for number in [SIGTSTP, SIGTTIN, SIGTTOU] {
            let words = ["python3", "-c", PRINT_SIGNALS];
            let mut running = Running::start_ready(&mut init.command(&words));
            let command = running.command();
            for _ in 0..3 {
                running.signal(number);
                wait_until("the stop of the command", || state(command) == Some('T'));
                wait_until("the stop of dumb-init", || {
                    state(running.pid()) == Some('T')
                });
                running.signal(SIGCONT);
                running.expect("got 18");
                wait_until("it to go on", || state(running.pid()) == Some('S'));
            }
            running.signal(SIGUSR2);
            running.expect("got 12");
            assert_eq!(running.status(), 5, "{number} {init:?}");

            // The command gets the signal as it came in single-child mode, or what it is made.
            let program = print_signals(&[SIGTSTP, SIGTTIN, SIGTTOU]);
            let rewrite = format!("{number}:10");
            for (options, got) in [(&["-c"][..], number), (&["-r", &rewrite], SIGUSR1)] {
                let words = [options, &["python3", "-c", &program]].concat();
                let mut running = Running::start_ready(&mut init.command(&words));
                running.signal(number);
                running.expect(&format!("got {got}"));
                wait_until("the stop of dumb-init", || {
                    state(running.pid()) == Some('T')
                });
                running.signal(SIGCONT);
                running.expect("got 18");
                running.signal(SIGUSR2);
                running.expect("got 12");
                assert_eq!(running.status(), 5, "{number} {init:?}");
            }
        }
    }
}

#[test]
fn dumb_init_says_what_it_does_when_asked() {
    let variable = Some(("DUMB_INIT_DEBUG", "1"));
    for (options, variable) in [
        (&["-v"][..], None),
        (&["--verbose", "-c"], None),
        (&[], variable),
        (&["-c"], variable),
        (&[], None),
        (&[], Some(("DUMB_INIT_DEBUG", "0"))),
        (&[], Some(("DUMB_INIT_DEBUG", ""))),
    ] {
        let mut all = Vec::new();
        for init in inits("dumb-init") {
            let words = [options, &["python3", "-c", PRINT_SIGNALS]].concat();
            let mut running = Running::start_ready(init.command(&words).envs(variable));
            let command = running.command().to_string();
            running.signal(SIGTERM);
            running.expect("got 15");
            running.signal(SIGHUP);
            let line = running.next();
            assert!(
                ["got 1", "got 2"].contains(&line.as_str()),
                "{line} {init:?}"
            );
            running.signal(SIGUSR2);
            running.expect("got 12");
            let (status, errors) = running.end();
            assert_eq!(status, 5, "{init:?}");
            // The two processes may write in either order at the start, and about the terminal
            // that there is none.
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
        let is_verbose = options.len() > 1 || variable == Some(("DUMB_INIT_DEBUG", "1"));
        let is_verbose = is_verbose || options == ["-v"];
        let said = &all[0].1;
        assert_eq!(!said.is_empty(), is_verbose, "{options:?} {said:?}");
        assert!(
            said.iter().all(|line| line.starts_with("[dumb-init] ")),
            "{said:?}"
        );
        if is_verbose {
            let named = |line: &str| said.iter().any(|said| said.as_str() == line);
            assert!(named("[dumb-init] Received signal 15."), "{said:?}");
            assert!(
                named("[dumb-init] Forwarded signal 12 to children."),
                "{said:?}"
            );
        }
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
fn catatonit_ends_with_the_commands_status() {
    command_statuses("catatonit", 1);
}

#[test]
fn catatonit_options() {
    statuses(
        "catatonit",
        &[
            (&["-V"], 0),
            (&["--version"], 0),
            (&["-h"], 0),
            (&["-L"], 0),
            (&["-g", "true"], 0),
            (&["-g", "--", "sh", "-c", "exit 3"], 3),
            (&["nonexistent"], 1),
            (&["/nonexistent"], 1),
            (&["./plain"], 1),
            (&["/"], 1),
            (&["./no-interpreter"], 1),
            (&["-x", "true"], 1),
            (&["--nonsense", "true"], 1),
            (&[], 1),
            (&["--"], 1),
            (&["-g"], 1),
            (&["sh", "--", "-c", "exit 3"], 3),
        ],
    );
    for init in inits("catatonit") {
        let version = succeed(&mut init.command(&["-V"]));
        assert!(version.starts_with("tini version 0."), "{version}");
        assert!(version.contains("catatonit"), "{version}");
        assert_ne!(succeed(&mut init.command(&["-L"])), "", "{init:?}");
        let ended = end(&mut init.command(&["-h"]));
        assert_eq!(ended.stdout, "", "{init:?}");
        assert!(ended.stderr.contains("-P"), "{ended:?}");
        // The command that cannot be run is named by somebody.
        let ended = end(&mut init.command(&["./nonexistent"]));
        assert!(
            ended.stderr.contains("No such file or directory"),
            "{ended:?}"
        );
    }
}

#[test]
fn catatonit_pauses() {
    for init in inits("catatonit") {
        for number in [SIGTERM, SIGINT] {
            // It has a child from the start, which ends with standard input.
            let mut running = Running::start(&mut init.behind("cat & exec \"$@\"", &["-P"]));
            let status = format!("/proc/{}/status", running.pid());
            wait_until("catatonit to block signals", || {
                let status = fs::read_to_string(&status).unwrap();
                let line = status.lines().find(|line| line.starts_with("SigBlk:"));
                let mask = u64::from_str_radix(line.unwrap()[7..].trim(), 16).unwrap();
                mask & 1 << (SIGTERM - 1) != 0 && state(running.pid()) == Some('S')
            });
            running.signal(number);
            assert_eq!(running.status(), 0, "{number} {init:?}");
        }
    }
}

#[test]
fn catatonit_in_a_pause_reaps() {
    for init in inits("catatonit") {
        // Background commands have /dev/null for standard input, but for this.
        let script = "exec 3<&0; cat <&3 & echo $!; exec 3<&-; exec \"$@\"";
        let mut running = Running::start(&mut init.behind(script, &["-P"]));
        let child = running.next().parse().unwrap();
        let blocks = || {
            let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
            let line = status.lines().find(|line| line.starts_with("SigBlk:"));
            let mask = u64::from_str_radix(line.unwrap()[7..].trim(), 16).unwrap();
            mask & 1 << (SIGTERM - 1) != 0 && state(running.pid()) == Some('S')
        };
        wait_until("catatonit to block signals", blocks);
        running.input = None;
        wait_until("the child to be reaped", || state(child).is_none());
        assert_eq!(running.init.try_wait().unwrap(), None, "{init:?}");
        running.signal(SIGTERM);
        assert_eq!(running.status(), 0, "{init:?}");
    }
}

#[test]
fn catatonit_signals_the_command_or_its_group() {
    for init in inits("catatonit") {
        assert!(!reaches_group(&init, &[], None), "{init:?}");
        assert!(reaches_group(&init, &["-g"], None), "{init:?}");
    }
}

#[test]
fn catatonit_adopts_orphans_unasked() {
    for init in inits("catatonit") {
        let (adopted, _, said) = adopts(&init, &[], None);
        assert!(adopted, "{init:?}");
        assert_eq!(said, [""; 0], "{init:?}");
    }
}

#[test]
fn catatonit_passes_signals_on() {
    let elsewhere = [4, 5, 6, 7, 8, 9, 11, 12, 17, 19, 20, 21, 22, 31, 32, 33, 64];
    let numbers: Vec<i32> = (1..=64).filter(|n| !elsewhere.contains(n)).collect();
    let expected: Vec<Vec<i32>> = numbers.iter().map(|number| vec![*number]).collect();
    // What stops a job is not for the command.
    let stops = [SIGTSTP, SIGTTIN, SIGTTOU];
    let program = print_signals(&stops);
    for init in inits("catatonit") {
        for options in [&[][..], &["-g"]] {
            let got = forwarded(&init, options, &program, &numbers);
            assert_eq!(got, expected, "{options:?} {init:?}");
            let got = forwarded(&init, options, &program, &stops);
            assert_eq!(got, [[0; 0]; 3], "{options:?} {init:?}");
        }
    }
}

#[test]
fn catatonit_blocks_nothing_in_the_command() {
    // The program itself leaves TSTP, TTIN and TTOU blocked or ignored.
    for init in only_rootlet("catatonit") {
        let words = ["--", "grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"];
        let none = "0000000000000000";
        let expected = format!("SigBlk:\t{none}\nSigIgn:\t{none}\n");
        assert_eq!(succeed(&mut init.command(&words)), expected, "{init:?}");
    }
}
