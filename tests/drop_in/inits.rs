//! The programs under test: the original, and rootlet under its name.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::common::{
    PRINT_SIGNALS, Root, User, children, command, rootlet_path, send_signal, users, wait_until,
};

pub const SIGHUP: i32 = 1;
pub const SIGINT: i32 = 2;
pub const SIGKILL: i32 = 9;
pub const SIGUSR1: i32 = 10;
pub const SIGUSR2: i32 = 12;
pub const SIGTERM: i32 = 15;
pub const SIGCONT: i32 = 18;
pub const SIGTSTP: i32 = 20;
pub const SIGTTIN: i32 = 21;
pub const SIGTTOU: i32 = 22;

/// An environment variable in a table of cases.
pub type Variable = Option<(&'static str, &'static str)>;

/// rootlet under an original's name, or the original.
pub struct Init {
    pub user: User,
    pub path: PathBuf,
    pub is_rootlet: bool,
    /// Holds rootlet's link, and is the current directory of the command.
    pub root: Root,
}

/// rootlet under this name and the original, each for every user.
pub fn inits(name: &str) -> Vec<Init> {
    let original = match name {
        "docker-init" => Path::new("/usr/bin/tini").to_path_buf(),
        name => Path::new("/usr/bin").join(name),
    };
    let package = match name {
        "tini-static" | "docker-init" => "tini",
        name => name,
    };
    assert!(
        original.exists(),
        "{} is missing, and rootlet is compared with it: apt-get install {package}",
        original.display()
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
                    false => original.clone(),
                },
                is_rootlet,
                root,
            });
        }
    }
    inits
}

/// Only rootlet under this name, because the original is known to behave worse.
pub fn only_rootlet(name: &str) -> impl Iterator<Item = Init> {
    inits(name).into_iter().filter(|init| init.is_rootlet)
}

impl Init {
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = command(self.user, &self.path);
        command.args(words).current_dir(self.root.path());
        command
    }

    /// The same, without the warning that tini prints if it is not a subreaper.
    pub fn quiet(&self, words: &[&str]) -> Command {
        let mut command = self.command(words);
        command.env("TINI_SUBREAPER", "");
        command
    }

    /// A shell script whose arguments are the init and these words.
    pub fn behind(&self, script: &str, words: &[&str]) -> Command {
        let mut command = command(self.user, "sh");
        command.args(["-c", script, "sh"]).arg(&self.path);
        command.args(words).current_dir(self.root.path());
        command
    }

    /// Makes files that cannot be executed, for three reasons, and one without a `#!` line that can.
    pub fn make_files(&self) {
        self.root.file("plain", "");
        self.root.script("no-shebang", "exit 4\n");
        self.root.script("no-interpreter", "#!/nonexistent\n");
    }
}

impl std::fmt::Debug for Init {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{} as {:?}", self.path.display(), self.user)
    }
}

/// A running init.
pub struct Running {
    pub init: Child,
    pub input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

/// Sends each line of a stream when it arrives.
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
    pub fn start(command: &mut Command) -> Running {
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

    /// Starts it and waits until the command has printed `ready`.
    #[track_caller]
    pub fn start_ready(command: &mut Command) -> Running {
        let running = Running::start(command);
        running.expect("ready");
        running
    }

    pub fn pid(&self) -> i32 {
        self.init.id() as i32
    }

    /// The command's pid.
    pub fn command(&self) -> i32 {
        children(self.pid())[0]
    }

    pub fn signal(&self, number: i32) {
        send_signal(self.pid(), number);
    }

    #[track_caller]
    pub fn next(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// Checks that the command's next line is this one.
    #[track_caller]
    pub fn expect(&self, line: &str) {
        assert_eq!(self.next(), line);
    }

    /// Closes standard input and waits for the end: returns the status as a shell counts it, and the
    /// lines of standard error.
    #[track_caller]
    pub fn end(&mut self) -> (i32, Vec<String>) {
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
    pub fn status(&mut self) -> i32 {
        self.end().0
    }

    /// Ends a command that is `PRINT_SIGNALS`.
    #[track_caller]
    pub fn end_print_signals(&mut self) {
        self.signal(SIGUSR2);
        self.expect("got 12");
        assert_eq!(self.status(), 5);
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

/// Reads the n-th field, from 1, of /proc/PID/stat (proc_pid_stat(5)).
fn stat(pid: i32, field: usize) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = &stat[stat.rfind(')').unwrap() + 2..];
    let mut fields = after_name.split(' ');
    fields.nth(field - 3).unwrap().parse().unwrap()
}

pub fn parent(pid: i32) -> i32 {
    stat(pid, 4)
}

pub fn group(pid: i32) -> i32 {
    stat(pid, 5)
}

pub fn session(pid: i32) -> i32 {
    stat(pid, 6)
}

/// `PRINT_SIGNALS` that also prints these signals, which would otherwise kill or stop it.
pub fn print_signals(too: &[i32]) -> String {
    let too: Vec<String> = too.iter().map(i32::to_string).collect();
    let blocked = format!("signals = {{{}}} | set(", too.join(", "));
    PRINT_SIGNALS.replace("signals = set(", &blocked)
}
