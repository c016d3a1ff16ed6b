//! QEMU machines that boot a test's own initramfs with rootlet as `/init`. The kernel and the way
//! to start it come from scripts/vm.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::running::Running;
use super::{Root, User, copy_program, succeed};

/// A machine that prints nothing for this long hangs. Time spent waiting for a processor of the
/// host does not count.
const PATIENCE: Duration = Duration::from_secs(100);

/// The configuration that scripts/vm would use here.
struct Machine {
    kernel: PathBuf,
    /// QEMU's arguments that make the machine.
    qemu: Vec<String>,
    /// Kernel parameters that make booting fast.
    append: String,
}

fn machine() -> &'static Machine {
    static MACHINE: OnceLock<Machine> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/vm");
        let printed = succeed(
            Command::new(script)
                .args([
                    "--root",
                    "none",
                    "--memory",
                    "512",
                    "--dry-run",
                    "--",
                    "true",
                ])
                .env("ROOTLET", env!("CARGO_BIN_EXE_rootlet"))
                .stderr(Stdio::inherit()),
        );
        let words = succeed(
            Command::new("bash").args(["-c", &format!("printf '%s\\n' {}", printed.trim_end())]),
        );
        let mut words = words.lines().map(String::from);
        let mut machine = Machine {
            kernel: PathBuf::new(),
            qemu: vec![words.next().unwrap()],
            append: String::new(),
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap();
            match word.as_str() {
                "-nodefaults" | "-no-user-config" | "-no-reboot" => machine.qemu.push(word),
                "-M" | "-cpu" | "-smp" | "-m" | "-object" | "-display" => {
                    let value = value();
                    machine.qemu.extend([word, value]);
                }
                "-kernel" => machine.kernel = value().into(),
                "-append" => {
                    let all = value();
                    let all = all.split(' ');
                    let rest: Vec<&str> = all.filter(|word| !word.contains("rootlet")).collect();
                    machine.append = rest.join(" ");
                }
                _ => {}
            }
        }
        machine
    })
}

/// Returns the kernel that guests boot.
pub fn kernel() -> &'static Path {
    &machine().kernel
}

/// The files of an initramfs with rootlet as `/init`.
pub struct Initramfs(Root);

impl Initramfs {
    pub fn new() -> Initramfs {
        let initramfs = Initramfs(Root::empty(User::Root));
        let init = initramfs.0.path().join("init");
        // Without stripping, most of the loaded bytes would be debugging information.
        let mut strip = Command::new("strip");
        strip.args(["--strip-debug", env!("CARGO_BIN_EXE_rootlet"), "-o"]);
        succeed(strip.arg(init));
        initramfs
    }

    pub fn program(self, path: &str, from: impl AsRef<Path>) -> Initramfs {
        if let Some(parent) = Path::new(path).parent() {
            self.0.directory(parent.to_str().unwrap());
        }
        copy_program(from, self.0.path().join(path));
        self
    }

    pub fn busybox(self) -> Initramfs {
        self.program("bin/busybox", "/bin/busybox")
            .link("bin/sh", "busybox")
    }

    pub fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Initramfs {
        self.0.file(path, contents);
        self
    }

    pub fn link(self, path: &str, target: &str) -> Initramfs {
        self.0.symlink(path, target);
        self
    }

    /// Writes `/rootlet/command`.
    pub fn command(self, words: &[&str]) -> Initramfs {
        let text: Vec<u8> = words
            .iter()
            .flat_map(|word| [word.as_bytes(), b"\0"].concat())
            .collect();
        self.file("rootlet/command", text)
    }

    /// Adds modules of the kernel and their dependencies.
    pub fn modules(self, names: &[&str]) -> Initramfs {
        let mut tree = machine().kernel.ancestors().skip(2);
        let tree = tree.next().unwrap();
        let version = fs::read_dir(tree.join("lib/modules")).unwrap().next();
        let mut list: Vec<String> = Vec::new();
        for name in names {
            let shown = succeed(
                Command::new("modprobe")
                    // Ignore the options in this machine's modprobe.d.
                    .args(["--show-depends", "-C", "/dev/null", "-d"])
                    .arg(tree)
                    .arg("-S")
                    .arg(version.as_ref().unwrap().as_ref().unwrap().file_name())
                    .arg(name),
            );
            for line in shown.lines() {
                // Other lines name built-in modules.
                if let Some(path) = line.strip_prefix("insmod ") {
                    let path = Path::new(path.trim());
                    let inside = format!("modules/{}", path.file_name().unwrap().to_str().unwrap());
                    self.0.file(&inside, fs::read(path).unwrap());
                    if !list.contains(&inside) {
                        list.push(inside);
                    }
                }
            }
        }
        let lines: Vec<String> = list.iter().map(|path| format!("/{path}\n")).collect();
        self.more_modules(&lines.concat())
    }

    /// Appends lines to the list of modules.
    pub fn more_modules(self, lines: &str) -> Initramfs {
        let list = self.0.path().join("rootlet/modules");
        let before = fs::read_to_string(list).unwrap_or_default();
        self.file("rootlet/modules", before + lines)
    }

    /// Returns the cpio archive that a kernel unpacks.
    pub fn archive(&self) -> Vec<u8> {
        let archive = Command::new("bash")
            .args([
                "-c",
                "find . -print0 | cpio --null --quiet -o -H newc -R 0:0",
            ])
            .current_dir(self.0.path())
            .output()
            .unwrap();
        assert!(archive.status.success(), "{archive:?}");
        archive.stdout
    }
}

/// At most two machines run at a time, because each keeps one processor busy.
struct Turn;

static TURNS: (Mutex<u32>, Condvar) = (Mutex::new(2), Condvar::new());

impl Turn {
    fn take() -> Turn {
        let (left, returned) = &TURNS;
        let mut left = returned
            .wait_while(left.lock().unwrap(), |left| *left == 0)
            .unwrap();
        *left -= 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // If the test panics, its turn still becomes free.
        *TURNS.0.lock().unwrap() += 1;
        TURNS.1.notify_one();
    }
}

/// A running machine.
pub struct Guest {
    qemu: Running,
    console: String,
    directory: tempfile::TempDir,
    _turn: Turn,
}

/// The output of a machine.
#[derive(Debug)]
pub struct Over {
    pub console: String,
    /// The lines of the status port.
    pub record: Vec<String>,
}

/// Returns how long the threads of a process were runnable without a processor.
fn waited_for_processor(pid: i32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let nanoseconds = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').nth(1)?.parse::<u64>().ok()
        });
    Duration::from_nanos(nanoseconds.sum())
}

impl Guest {
    /// Boots the initramfs, with additional kernel parameters and QEMU arguments.
    pub fn start(initramfs: &Initramfs, append: &str, qemu: &[&str]) -> Guest {
        let turn = Turn::take();
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        fs::write(at("initramfs"), initramfs.archive()).unwrap();
        let machine = machine();
        let mut command = Command::new(&machine.qemu[0]);
        command
            .args(&machine.qemu[1..])
            .arg("-kernel")
            .arg(&machine.kernel)
            .args(["-initrd", &at("initramfs")])
            .args(["-chardev", "stdio,id=console,signal=off"])
            .args(["-serial", "chardev:console"])
            .args(["-device", "virtio-serial-pci"])
            .args(["-chardev", &format!("file,id=status,path={}", at("status"))])
            .args(["-device", "virtserialport,chardev=status,name=status"])
            .arg("-chardev")
            .arg(format!(
                "socket,id=monitor,path={},server=on,wait=off",
                at("monitor")
            ))
            .args(["-mon", "chardev=monitor"])
            .arg("-append")
            // On a busy host the kernel may miss the first ticks of the emulated timer, and panic.
            .arg(format!(
                "{} no_timer_check rootlet.status=status {append}",
                machine.append
            ))
            .args(qemu)
            .stdin(Stdio::piped());
        Guest {
            qemu: Running::start(&mut command),
            console: String::new(),
            directory,
            _turn: turn,
        }
    }

    /// Returns the console's next line, or `None` once the machine has ended.
    fn line(&mut self) -> Option<String> {
        let (began, waited) = (Instant::now(), waited_for_processor(self.qemu.pid()));
        loop {
            match self.qemu.try_line(PATIENCE / 10) {
                Ok(line) => {
                    let line = line.trim_end_matches('\r');
                    self.console.push_str(line);
                    self.console.push('\n');
                    return Some(line.into());
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let waited = waited_for_processor(self.qemu.pid()).saturating_sub(waited);
            let had = began.elapsed().saturating_sub(waited);
            assert!(had < PATIENCE, "the machine hangs:\n{}", self.console);
        }
    }

    /// Reads the console up to a line that contains this text, and returns the line.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        while let Some(line) = self.line() {
            if line.contains(text) {
                return line;
            }
        }
        panic!("there was no {text:?}:\n{}", self.console)
    }

    /// Types on the console.
    pub fn enter(&mut self, text: &str) {
        let keys = self.qemu.child.stdin.as_mut().unwrap();
        keys.write_all(text.as_bytes()).unwrap();
    }

    /// Runs a command of QEMU's monitor.
    pub fn monitor(&self, command: &str) {
        let mut monitor = UnixStream::connect(self.directory.path().join("monitor")).unwrap();
        monitor
            .write_all(format!("{command}\n").as_bytes())
            .unwrap();
        // The next prompt shows that the command is done.
        let mut screen = String::new();
        let mut byte = [0];
        let is_done = |screen: &str| screen.matches("(qemu) ").count() > 1;
        while !is_done(&screen) && monitor.read(&mut byte).unwrap() == 1 {
            screen.push(byte[0].into());
        }
    }

    /// Waits until the machine has ended by itself.
    #[track_caller]
    pub fn end(mut self) -> Over {
        while self.line().is_some() {}
        assert!(self.qemu.wait().success(), "{}", self.console);
        self.over()
    }

    /// Returns the output so far.
    pub fn over(&self) -> Over {
        let record = fs::read_to_string(self.directory.path().join("status")).unwrap_or_default();
        assert!(!self.console.contains("Kernel panic"), "{}", self.console);
        Over {
            console: self.console.clone(),
            record: record.lines().map(String::from).collect(),
        }
    }
}

impl Over {
    /// Returns the last line of the record: how the machine ended.
    pub fn outcome(&self) -> &str {
        self.record.last().map_or("", String::as_str)
    }

    /// Returns when this line was recorded, in microseconds since the machine started.
    pub fn time(&self, what: &str) -> u64 {
        let line = self.record.iter().find_map(|line| line.strip_prefix(what));
        line.unwrap_or_else(|| panic!("{self:?}"))
            .trim()
            .parse()
            .unwrap()
    }

    #[track_caller]
    pub fn says(&self, lines: &[&str]) {
        for line in lines {
            assert!(
                self.console.contains(line),
                "{line:?} is not in\n{}",
                self.console
            );
        }
    }
}
