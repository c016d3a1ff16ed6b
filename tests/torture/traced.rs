//! A run under strace(1), which makes one of its system calls fail, or kills it there.

use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::init::kernel;
use crate::common::{self, Root, User, children, copy_program, processes_with, rootlet_path};
use crate::positions::{Position, number_of};
use crate::programs::{command_program, start_program, test_program};

/// The output of each scenario's command.
pub const RAN: &str = "ran\n";
/// Its name. A directory before the right one in `PATH` does not have it.
pub const COMMAND: &str = "torture-command";
/// Its exit status.
pub const STATUS: i32 = 7;

/// A run as root. The other scenarios are variations of it.
pub const RUN: Scenario = Scenario {
    name: "run",
    user: User::Root,
    words: &["run", "-B", "SOURCE:/data/deep:ro", "ROOT", "COMMAND"],
    start: Start::Program,
    first: None,
    is_old: false,
    prepared: false,
    ran: STATUS,
    failed: 125,
};

/// A run with private users, and a bind whose owners are mapped.
pub const PRIVATE: Scenario = Scenario {
    name: "run, private users",
    words: &[
        "run",
        "--private-users",
        "-B",
        "SOURCE:/data",
        "ROOT",
        "COMMAND",
    ],
    ..RUN
};

/// Calls that older kernels or filters do not have. rootlet has a fallback for each.
pub const NEWER: [&str; 8] = [
    "clone3",
    "close_range",
    "keyctl",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "openat2",
    "pidfd_open",
];

/// A way to run rootlet, and the expected result.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub user: User,
    /// The words after `rootlet`: `ROOT` and `SOURCE` stand for paths, `COMMAND` for a name.
    pub words: &'static [&'static str],
    pub start: Start,
    /// rootlet is process 1 in the root of a tmpfs, and this is the kernel's command line. If it is
    /// empty, none is read.
    pub first: Option<&'static str>,
    /// Each of the newer calls gives ENOSYS.
    pub is_old: bool,
    /// The root has all mount points already.
    pub prepared: bool,
    /// The status if the command has run, and if it has not.
    pub ran: i32,
    pub failed: i32,
}

/// The program that is started.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// rootlet itself.
    Program,
    /// rootlet, started by a user who has ranges of ids.
    WithRanges,
    /// A function of `library.rs`, which uses the library between two marking calls.
    Library(&'static str),
}

/// A place for the runs of a scenario, one after the other.
pub struct Place {
    pub scenario: Scenario,
    pub root: Root,
    before: Vec<String>,
    beside: Root,
}

/// The results of a traced run.
#[derive(Debug)]
pub struct Traced {
    /// `None` if it did not end.
    pub status: Option<i32>,
    pub stdout: String,
    /// The command's report of the restrictions on it.
    pub held: String,
    pub stderr: String,
    pub log: String,
}

const KILLED: &str = "+++ killed by SIGKILL +++";

impl Scenario {
    /// Returns whether the kernel has what it needs. If not, reports that it was left out.
    pub fn is_possible(&self) -> bool {
        let is_old =
            self.words.contains(&"--overlay") && self.user == User::Ordinary && kernel() < (5, 11);
        let is_private = self.words.contains(&"--private-users");
        if !is_old && !is_private {
            return true;
        }
        let ended = common::end(&mut Place::new(*self).command());
        let is_missing = is_old || ended.stderr.contains("cannot map the file owners of");
        if is_missing {
            println!("left out: {}: {}", self.name, ended.stderr);
        }
        !is_missing
    }
}

impl Traced {
    /// Returns whether the started process was killed. Its call is the first in the log.
    pub fn first_was_killed(&self) -> bool {
        let first = self.log.split(' ').next().unwrap_or_default();
        self.killed().any(|line| line.starts_with(first))
    }

    /// Returns whether the first child of the first process was killed. pid 1 is such a child.
    pub fn child_was_killed(&self) -> bool {
        let mut pids = self.log.lines().filter_map(|line| line.split(' ').next());
        let first = pids.next();
        let child = pids.find(|pid| Some(*pid) != first);
        child.is_some_and(|child| self.killed().any(|line| line.starts_with(child)))
    }

    /// Returns whether a call of rootlet failed, and not only one in front with the same number.
    pub fn failed_one_of_ours(&self, position: &Position) -> bool {
        let is_it = |line: &&str| line.ends_with("(INJECTED)") && line.contains(&position.call);
        let failed = self.log.lines().filter(is_it).count();
        failed > usize::from(!position.by_first && position.number <= position.before)
    }

    pub fn anyone_was_killed(&self) -> bool {
        self.killed().next().is_some()
    }

    fn killed(&self) -> impl Iterator<Item = &str> {
        self.log.lines().filter(|line| line.ends_with(KILLED))
    }
}

impl Place {
    pub fn new(scenario: Scenario) -> Place {
        let beside = Root::empty(scenario.user);
        beside.directory("source");
        let root = Root::empty(scenario.user);
        let bins: &[&str] = match scenario.first {
            None => &["bin"],
            Some(_) => &["initramfs/bin", "initramfs/lower/bin"],
        };
        for bin in bins {
            copy_program(command_program(), root.directory(bin).join(COMMAND));
        }
        copy_program(command_program(), beside.directory("bin").join(COMMAND));
        if scenario.prepared {
            for directory in ["dev", "proc", "sys", "etc", "data/deep"] {
                root.directory(directory);
            }
            for file in ["etc/resolv.conf", "etc/hosts"] {
                root.file(file, "");
            }
        }
        if let Some(line) = scenario.first {
            root.directory("tmpfs");
            for directory in ["dev", "empty", "lower/dev", "lower/proc", "lower/sys"] {
                root.directory(&format!("initramfs/{directory}"));
            }
            if !line.contains("init=") {
                root.file("initramfs/rootlet/command", format!("{COMMAND}\0"));
                root.file("initramfs/rootlet/environment", "PATH=/missing:/bin\0");
            }
            for name in ["init", "bin/rootlet"] {
                copy_program(rootlet_path(), root.path().join("initramfs").join(name));
            }
        }
        if scenario.start == Start::WithRanges {
            // The first id of the range.
            let mut chown = Command::new("chown");
            common::succeed(chown.args(["-R", "1200000:1200000"]).arg(root.path()));
        }
        Place {
            scenario,
            before: root.tree(),
            root,
            beside,
        }
    }

    /// Returns the leftovers of a run: files in the root, and processes.
    pub fn left(&self) -> Vec<String> {
        let mut left = self.root.tree();
        left.retain(|line| !self.before.contains(line));
        let pids = processes_with(self.root.name());
        left.extend(pids.iter().map(|pid| format!("process {pid}")));
        left
    }

    /// Returns whether the top of the root holds nothing new.
    pub fn is_bare(&self) -> bool {
        let is_at_top = |line: &&String| !line.split(' ').next().unwrap_or_default().contains('/');
        // The tree does not list programs.
        let before = self.before.iter().filter(is_at_top).count() + 1;
        fs::read_dir(self.root.path()).unwrap().count() <= before
    }

    /// Returns the leftovers after one more run, which removes the stubs that the last one could
    /// not.
    pub fn left_after_another(&self) -> Vec<String> {
        let processes = processes_with(self.root.name());
        assert_eq!(processes, [0; 0]);
        if self.scenario.start == Start::WithRanges {
            self.trace("exit_group", ("", 0), &[]);
        } else if self.scenario.first.is_none() {
            common::end(&mut self.command());
        }
        self.left()
    }

    /// Makes a line the same in each place.
    pub fn without_paths(&self, line: &str) -> String {
        line.replace(self.root.name(), "ROOT")
            .replace(self.beside("").to_str().unwrap(), "")
    }

    /// Returns a path in a directory beside the root.
    fn beside(&self, name: &str) -> PathBuf {
        self.beside.path().join(name)
    }

    fn path(&self) -> String {
        format!("/missing:/bin:{}", self.beside("bin").display())
    }

    /// Returns rootlet and its words.
    pub fn words(&self) -> Vec<String> {
        if let Start::Library(_) = self.scenario.start {
            // The name of the root marks the processes, as in a run's words.
            let program = test_program().to_str().unwrap().to_owned();
            return Vec::from([program, self.root.name().to_owned()]);
        }
        let program = match self.scenario.first {
            Some("") => "/bin/rootlet",
            Some(_) => "/init",
            None => rootlet_path().to_str().unwrap(),
        };
        let words = self.scenario.words.iter().map(|word| {
            word.replace("ROOT", self.root.name())
                .replace("SOURCE", self.beside("source").to_str().unwrap())
                .replace("COMMAND", COMMAND)
        });
        std::iter::once(program.to_owned()).chain(words).collect()
    }

    /// Returns the command without strace, for a scenario that is no boot.
    pub fn command(&self) -> Command {
        let words = self.words();
        let mut command = common::command(self.scenario.user, &words[0]);
        command.args(&words[1..]);
        command.env("PATH", self.path());
        command.envs(self.environment());
        command
    }

    /// Returns the variables that the command's report and the program of `library.rs` need.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let source = self.beside("source").to_str().unwrap().to_owned();
        let mut variables = Vec::from([
            ("NAMESPACES", own_namespaces()),
            ("TORTURE_ROOT", self.root.name().to_owned()),
            ("TORTURE_SOURCE", source),
        ]);
        if let Start::Library(what) = self.scenario.start {
            variables.push(("TORTURE_LIBRARY", what.to_owned()));
        }
        variables
    }

    /// Runs the command without strace and waits for its end.
    pub fn run(&self, command: &mut Command) -> Traced {
        let output = |name| File::create(self.beside(name)).unwrap();
        let child = command.stdout(output("stdout")).stderr(output("stderr"));
        let _ = fs::remove_file(self.beside("log"));
        let child = child.spawn().unwrap();
        self.end(child)
    }

    /// Runs it under strace, which traces only these calls, after a number of failing calls.
    pub fn trace(&self, calls: &str, before: (&str, usize), rules: &[String]) -> Traced {
        self.end(self.start(calls, before, rules))
    }

    fn start(&self, calls: &str, before: (&str, usize), rules: &[String]) -> Child {
        let words = self.words();
        let log = self.beside("log");
        let _ = fs::remove_file(&log);
        let mut command = if self.scenario.first.is_some() {
            let mut unshare = common::command(User::Root, "unshare");
            unshare
                .args([
                    "-m",
                    "-n",
                    "--propagation",
                    "private",
                    "sh",
                    "-c",
                    TMPFS,
                    "sh",
                ])
                .arg(self.root.path())
                .arg(self.beside("stderr"))
                .arg("strace");
            unshare
        } else if self.scenario.start == Start::WithRanges {
            let mut unshare = common::command(User::Root, "unshare");
            let own = ["-m", "--propagation", "private", "sh", "-c", RANGES, "sh"];
            unshare.args(own).arg(self.beside.path()).arg("strace");
            // Set-user-ID programs keep their effect only if the tracer is root.
            unshare.args(["-u", "ordinary"]);
            unshare
        } else {
            common::command(self.scenario.user, "strace")
        };
        command
            .args(["-f", "-q", "-s", "64", "-E"])
            .arg(format!("PATH={}", self.path()))
            .args(
                self.environment()
                    .iter()
                    .flat_map(|(name, value)| ["-E".to_owned(), format!("{name}={value}")]),
            )
            .arg("-o")
            .arg(&log)
            .args([
                "-e",
                &format!("trace={calls}"),
                "-e",
                "signal=SIGSTOP,SIGKILL",
            ]);
        // strace loses a signal that it sends at a seccomp stop.
        let kills = rules.iter().any(|rule| rule.contains(":signal="));
        // Tracing by seccomp also sets no_new_privs. prctl(2) sets it too, and set-user-ID programs
        // cannot work with it.
        let needs_privileges = self.scenario.start == Start::WithRanges || before.0 == "prctl";
        if calls != "all" && !kills && !needs_privileges {
            command.arg("--seccomp-bpf");
        }
        for rule in rules {
            command.args(["-e", &format!("inject={rule}")]);
        }
        let (call, count) = before;
        let number = match count {
            0 => 0,
            _ => number_of(call),
        };
        command
            .arg(start_program())
            .args([number, count].map(|number| number.to_string()))
            .arg(match self.scenario.first {
                Some(_) => self.root.path().join("tmpfs"),
                None => PathBuf::new(),
            })
            .args(words);
        let output = |name| {
            let path = self.beside(name);
            let _ = fs::remove_file(&path);
            File::create(&path).unwrap();
            OpenOptions::new().append(true).open(&path).unwrap()
        };
        command
            .current_dir(self.root.path())
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .unwrap()
    }

    /// Waits for the end of the run and reads its results.
    pub fn end(&self, strace: Child) -> Traced {
        let status = end_in_time(strace);
        let read = |name| {
            String::from_utf8_lossy(&fs::read(self.beside(name)).unwrap_or_default()).into_owned()
        };
        let (mut stdout, mut stderr) = (read("stdout"), read("stderr"));
        // Lines from a terminal end with CR and LF. A library's output is part of a test's output.
        stdout = stdout.replace('\r', "");
        if matches!(self.scenario.start, Start::Library(_)) {
            stdout = stdout
                .find(RAN)
                .map_or(String::new(), |at| stdout.split_off(at));
        }
        // A program that is executed as init writes to the console.
        if let (Some(at), true) = (stderr.find(RAN), stdout.is_empty()) {
            stdout = stderr.split_off(at);
        }
        let mut held = String::new();
        if stdout.starts_with(RAN) {
            held = stdout.split_off(RAN.len());
        }
        Traced {
            status,
            held: sorted(&held, self.root.name()),
            stdout,
            stderr,
            log: read("log"),
        }
    }

    /// Makes one call fail, or kills there: `how` is `error=` or `signal=` and a value.
    pub fn inject(&self, position: &Position, how: &str) -> Traced {
        self.end(self.start_injected(position, how))
    }

    pub fn start_injected(&self, position: &Position, how: &str) -> Child {
        let Position { call, number, .. } = position;
        let mut rules = self.rules();
        let mut when = match (position.and_later, position.by_first) {
            (false, _) => number.to_string(),
            // Up to `before` only calls of its children fail. If it can make none first, its own fail too.
            (true, false) if *number <= position.before => format!("{number}..{}", position.before),
            (true, _) => format!("{number}+"),
        };
        // strace takes one rule for each call, and `read` has the rule for the kernel's command
        // line. Here a read fails instead, so no command line is read.
        if self.reads_command_line() && call == "read" {
            rules.clear();
            let first = position.before + 1;
            if *number > first {
                when = format!("{first}..{number}+{}", number - first);
            }
        }
        if position.opens_command_line {
            rules.clear();
        }
        rules.push(format!("{call}:{how}:when={when}"));
        let calls = format!("{call},read,write,{}", NEWER.join(","));
        self.start(&calls, (call, position.before), &rules)
    }

    /// Returns the processes that the log shows as stopped.
    pub fn stopped(&self) -> Vec<i32> {
        let log = fs::read_to_string(self.beside("log")).unwrap_or_default();
        log.lines()
            .filter(|line| line.contains("stopped by SIGSTOP"))
            .filter_map(|line| line.split(' ').next()?.parse().ok())
            .collect()
    }

    /// Makes all of these calls fail.
    pub fn inject_all(&self, calls: &str, how: &str) -> Traced {
        let mut rules = self.rules();
        rules.push(format!("{calls}:{how}"));
        self.trace(&format!("{calls},read"), ("", 0), &rules)
    }

    fn reads_command_line(&self) -> bool {
        self.scenario.first.is_some_and(|line| !line.is_empty())
    }

    /// Returns the rules for all that differs from this machine in every run. The machine's own
    /// kernel command line must not be acted on: the first read gets another in its place.
    pub fn rules(&self) -> Vec<String> {
        let mut rules = Vec::new();
        if let (true, Some(line)) = (self.reads_command_line(), self.scenario.first) {
            let hex: String = line.bytes().map(|byte| format!("{byte:02x}")).collect();
            let length = line.len();
            rules.push(format!("read:retval={length}:poke_exit=@arg2={hex}:when=1"));
        }
        if self.scenario.is_old {
            rules.push(format!("{}:error=ENOSYS", NEWER.join(",")));
        }
        rules
    }
}

/// The root of a boot. It has the host's devices, read-only, and a file as its console.
const TMPFS: &str = "set -e
mount -t tmpfs -o mode=755 none $1/tmpfs
cp -a $1/initramfs/. $1/tmpfs
mount -t devtmpfs none $1/tmpfs/dev
mount --bind $2 $1/tmpfs/dev/console
mount -o remount,bind,ro $1/tmpfs/dev
shift 2
exec \"$@\"";

/// Gives the ordinary user a name, and ranges of ids that nobody else has.
pub const RANGES: &str = "set -e
cd \"$1\"
grep -v :54321: /etc/passwd >passwd
echo ordinary:x:54321:54321::/: >>passwd
grep -v :54321: /etc/group >group
echo ordinary:x:54321: >>group
echo ordinary:1200000:65536 >ranges
for file in /etc/subuid /etc/subgid; do
    [ -e $file ] || mount -t tmpfs etc /etc
    [ -e $file ] || touch /etc/subuid /etc/subgid /etc/passwd /etc/group /etc/resolv.conf /etc/hosts
    mount --bind ranges $file
done
mount --bind passwd /etc/passwd
mount --bind group /etc/group
shift
cd \"$OLDPWD\"
exec \"$@\"";

/// Returns the status as a shell reports it, or `None` for a hang, which is killed.
fn end_in_time(mut child: Child) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    // After this time rootlet counts as hung.
    let patience = if common::is_emulated() { 600 } else { 60 };
    let end = Instant::now() + Duration::from_secs(patience);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(
                status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            );
        }
        if Instant::now() > end {
            kill_all_below(child.id() as i32);
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kill_all_below(pid: i32) {
    for child in children(pid) {
        kill_all_below(child);
        let child = rustix::process::Pid::from_raw(child).unwrap();
        // It may have ended with the others.
        let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
    }
}

/// Returns the namespaces of this process.
fn own_namespaces() -> String {
    let kinds = ["user", "pid", "net", "uts", "ipc", "mnt", "cgroup", "time"];
    let links =
        kinds.map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap_or_default());
    links
        .map(|link| link.to_str().unwrap().to_owned())
        .join(",")
}

/// Sorts the lines, since mounts can be made in more than one order, and drops mounts of other
/// tests.
fn sorted(held: &str, root: &str) -> String {
    let mut lines: Vec<&str> = held.lines().collect();
    lines.retain(|line| !line.contains("/rootlet-test-") || line.contains(root));
    lines.sort_unstable();
    lines.join("\n").replace(root, "ROOT")
}

/// Returns the lines that only one of the two has.
pub fn difference(before: &str, after: &str) -> String {
    let is_filtered = after.contains("Seccomp:\t2");
    let is_straces = |line: &&str| line.starts_with("NoNewPrivs:") || line.starts_with("Seccomp:");
    let only = |sign: char, from: &str, other: &str| -> Vec<String> {
        let mut others: Vec<&str> = other.lines().collect();
        let mut only = Vec::new();
        for line in from
            .lines()
            .filter(|line| !is_filtered || !is_straces(line))
        {
            match others.iter().position(|other| *other == line) {
                Some(at) => drop(others.swap_remove(at)),
                None => only.push(format!("{sign}{line}")),
            }
        }
        only
    };
    [only('-', before, after), only('+', after, before)]
        .concat()
        .join("; ")
}
