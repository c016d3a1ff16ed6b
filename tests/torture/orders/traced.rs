//! Two runs under ptrace(2), stopped at each call that touches the root.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use sc::nr;

use super::step::{Call, Maker, Step};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Supervisor,
    Pid1,
    /// The command, or a program that is about to become it.
    Other,
}

struct Process {
    run: usize,
    role: Role,
    is_new: bool,
    /// The call that the process is in, with its arguments.
    call: Option<(Call, [u64; 6])>,
    /// It is stopped before that call.
    waits: bool,
}

pub struct Traced {
    root: PathBuf,
    device: u64,
    processes: HashMap<Pid, Process>,
    /// Children that stopped before their parent's event.
    early: Vec<Pid>,
    supervisors: [Pid; 2],
    statuses: [i32; 2],
    /// The makers by inode number.
    makers: HashMap<u64, Maker>,
    /// The files that are locked, by process and descriptor.
    locked: BTreeMap<(Pid, u64), (usize, Maker)>,
    made: [u64; 2],
    done: Option<(Pid, Step)>,
}

impl Traced {
    /// Starts both runs, each until its first call that touches the root.
    pub fn start(root: &Path, commands: [Command; 2]) -> Traced {
        let supervisors = commands.map(|mut command| {
            command.stdin(Stdio::null()).stdout(Stdio::null());
            // SAFETY: it makes one system call.
            unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
            #[allow(clippy::zombie_processes, reason = "all are waited for together")]
            let child = command.spawn().unwrap();
            let pid = Pid::from_raw(child.id() as i32);
            assert!(matches!(
                waitpid(pid, None),
                Ok(WaitStatus::Stopped(_, Signal::SIGTRAP))
            ));
            let options = Options::PTRACE_O_TRACESYSGOOD
                | Options::PTRACE_O_TRACEEXEC
                | Options::PTRACE_O_TRACEFORK
                | Options::PTRACE_O_TRACEVFORK
                | Options::PTRACE_O_TRACECLONE
                | Options::PTRACE_O_EXITKILL;
            ptrace::setoptions(pid, options).unwrap();
            pid
        });
        let mut traced = Traced {
            root: root.to_owned(),
            device: fs::metadata(root).unwrap().dev(),
            processes: HashMap::new(),
            early: Vec::new(),
            supervisors,
            statuses: [-1; 2],
            makers: HashMap::new(),
            locked: BTreeMap::new(),
            made: [0; 2],
            done: None,
        };
        for (run, pid) in supervisors.into_iter().enumerate() {
            traced.add(pid, run, Role::Supervisor, false);
            go_on(pid, None);
        }
        traced
    }

    fn add(&mut self, pid: Pid, run: usize, role: Role, is_new: bool) {
        let process = Process {
            run,
            role,
            is_new,
            call: None,
            waits: false,
        };
        self.processes.insert(pid, process);
    }

    fn waiting(&self, run: usize) -> Option<Pid> {
        let mut all = self.processes.iter();
        let found = all.find(|(_, process)| process.run == run && process.waits);
        found.map(|(pid, _)| *pid)
    }

    fn is_over(&self, run: usize) -> bool {
        !self.processes.values().any(|process| process.run == run)
    }

    /// Waits until each run is at a call or has ended. Returns which are at a call.
    pub fn ready(&mut self) -> [bool; 2] {
        while [0, 1]
            .into_iter()
            .any(|run| self.waiting(run).is_none() && !self.is_over(run))
        {
            self.wait();
        }
        [0, 1].map(|run| self.waiting(run).is_some())
    }

    pub fn pid1_is_ready(&self, run: usize) -> bool {
        let waiting = self.waiting(run).and_then(|pid| self.processes.get(&pid));
        waiting.is_some_and(|process| process.role == Role::Pid1)
    }

    pub fn statuses(&self) -> [i32; 2] {
        self.statuses
    }

    /// Returns the call that a run is at.
    pub fn next(&self, run: usize) -> &Call {
        let process = &self.processes[&self.waiting(run).unwrap()];
        &process.call.as_ref().unwrap().0
    }

    /// Lets a run make the call that it is at.
    pub fn step(&mut self, run: usize) -> Step {
        let pid = self.waiting(run).unwrap();
        let process = self.processes.get_mut(&pid).unwrap();
        process.waits = false;
        let (call, _) = process.call.clone().unwrap();
        go_on(pid, None);
        while self.processes.contains_key(&pid) {
            self.wait();
            if let Some((of, step)) = self.done.take_if(|(of, _)| *of == pid) {
                assert_eq!(of, pid);
                // The process has gone on meanwhile.
                return step;
            }
        }
        Step {
            call,
            result: 0,
            seen: None,
        }
    }

    /// Kills processes of the first run, and waits for their end.
    pub fn kill(&mut self, supervisor: bool, pid1: bool) {
        for (role, is_meant) in [(Role::Supervisor, supervisor), (Role::Pid1, pid1)] {
            let mut all = self.processes.iter();
            let found = all.find(|(_, process)| process.run == 0 && process.role == role);
            let Some(pid) = found.map(|(pid, _)| *pid).filter(|_| is_meant) else {
                continue;
            };
            kill(pid, Signal::SIGKILL).unwrap();
            while self.processes.contains_key(&pid) {
                self.wait();
            }
        }
    }

    /// Returns the contents of the root: the name, mode and maker of each file.
    pub fn tree(&self) -> Vec<(String, u32, Maker)> {
        fn visit(top: &Path, of: &dyn Fn(u64) -> Maker, found: &mut Vec<(String, u32, Maker)>) {
            for entry in fs::read_dir(top).unwrap().map(Result::unwrap) {
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                let path = entry.path();
                if path.ends_with("bin") {
                    continue;
                }
                let name = path.display().to_string();
                found.push((name, metadata.mode(), of(metadata.ino())));
                if metadata.is_dir() {
                    visit(&path, of, found);
                }
            }
        }
        let mut found = Vec::new();
        visit(&self.root, &|number| self.maker(number), &mut found);
        found.sort();
        found
    }

    /// Returns the files that a run has locked.
    pub fn locked(&self, run: usize) -> Vec<Maker> {
        let of_run = self.locked.values().filter(|(locker, _)| *locker == run);
        of_run.map(|(_, maker)| *maker).collect()
    }

    fn maker(&self, number: u64) -> Maker {
        self.makers.get(&number).copied().flatten()
    }

    /// Waits for something to happen to a process of either run.
    fn wait(&mut self) {
        // Wait only for this thread's children: other tests have their own.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        match waitpid(None, Some(flags)).unwrap() {
            WaitStatus::Exited(pid, status) => self.end(pid, status),
            WaitStatus::Signaled(pid, signal, _) => self.end(pid, 128 + signal as i32),
            WaitStatus::PtraceSyscall(pid) => self.at_call(pid),
            WaitStatus::PtraceEvent(pid, _, event) => {
                if event != libc::PTRACE_EVENT_EXEC {
                    self.begin(pid);
                }
                go_on(pid, None);
            }
            WaitStatus::Stopped(pid, signal) => match self.processes.get_mut(&pid) {
                None => self.early.push(pid),
                Some(process) if process.is_new => {
                    process.is_new = false;
                    go_on(pid, None);
                }
                Some(_) => go_on(pid, Some(signal)),
            },
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, pid: Pid, status: i32) {
        self.processes.remove(&pid);
        self.locked.retain(|(locker, _), _| *locker != pid);
        if let Some(run) = self
            .supervisors
            .iter()
            .position(|supervisor| *supervisor == pid)
        {
            self.statuses[run] = status;
        }
    }

    /// Adds the new child of a process.
    fn begin(&mut self, parent: Pid) {
        let Ok(child) = ptrace::getevent(parent) else {
            return;
        };
        let child = Pid::from_raw(child as i32);
        let Some(Process { run, role, .. }) = self.processes.get(&parent) else {
            return;
        };
        let (run, is_first) = (*run, *role == Role::Supervisor);
        let role = if is_first { Role::Pid1 } else { Role::Other };
        let early = self.early.iter().position(|pid| *pid == child);
        self.add(child, run, role, early.is_none());
        if let Some(early) = early {
            self.early.remove(early);
            go_on(child, None);
        }
    }

    fn at_call(&mut self, pid: Pid) {
        let Ok(info) = ptrace::syscall_info(pid) else {
            return;
        };
        // SAFETY: `op` says which of them it is.
        let (entry, exit) = unsafe { (info.u.entry, info.u.exit) };
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
            let (number, arguments) = (entry.nr as usize, entry.args);
            if touches_root(pid, process.role, self.device, number, arguments) {
                process.call = Some((Call::new(pid, number, arguments), arguments));
                process.waits = true;
                return;
            }
        } else if let Some((call, arguments)) = process.call.take() {
            let run = process.run;
            let step = self.seen(pid, run, call, arguments, exit.sval);
            self.done = Some((pid, step));
        }
        go_on(pid, None);
    }

    /// Returns the step of a finished call.
    fn seen(&mut self, pid: Pid, run: usize, call: Call, arguments: [u64; 6], result: i64) -> Step {
        let (number, name) = (call.number, call.names.first().cloned().unwrap_or_default());
        let makes = match number {
            nr::MKDIRAT => true,
            nr::OPENAT => call.flags & libc::O_CREAT as u64 != 0,
            _ => false,
        };
        let mut step = Step {
            call,
            result: result.min(0),
            seen: None,
        };
        if result < 0 {
            return step;
        }
        match number {
            nr::FLOCK => {
                let file = fs::metadata(format!("/proc/{pid}/fd/{}", arguments[0]));
                let maker = file.map_or(None, |metadata| self.maker(metadata.ino()));
                self.locked.insert((pid, arguments[0]), (run, maker));
            }
            nr::CLOSE => {
                self.locked.remove(&(pid, arguments[0]));
            }
            _ => {}
        }
        let file = match number {
            nr::OPENAT | nr::OPENAT2 => format!("/proc/{pid}/fd/{result}"),
            nr::MKDIRAT => format!("/proc/{pid}/fd/{}/{}", arguments[0] as i32, name),
            nr::STATX => {
                step.seen = self.seen_at(pid, arguments[4]);
                return step;
            }
            _ => return step,
        };
        if let Ok(metadata) = fs::symlink_metadata(&file).and_then(|link| match number {
            nr::MKDIRAT => Ok(link),
            _ => fs::metadata(&file),
        }) {
            if makes {
                self.made[run] += 1;
                let maker = (run, self.made[run]);
                self.makers.insert(metadata.ino(), Some(maker));
            }
            step.seen = Some((
                self.maker(metadata.ino()),
                metadata.mode(),
                metadata.nlink(),
            ));
        }
        step
    }

    /// Reads the result that statx(2) has stored.
    fn seen_at(&self, pid: Pid, address: u64) -> Option<(Maker, u32, u64)> {
        let mut buffer = [0; 40];
        let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
        memory.read_exact_at(&mut buffer, address).ok()?;
        let links = u32::from_ne_bytes(buffer[16..20].try_into().ok()?);
        let mode = u16::from_ne_bytes(buffer[28..30].try_into().ok()?);
        let number = u64::from_ne_bytes(buffer[32..40].try_into().ok()?);
        Some((self.maker(number), mode.into(), links.into()))
    }
}

/// Lets a process go on, unless it has been killed meanwhile.
fn go_on(pid: Pid, signal: Option<Signal>) {
    let _ = ptrace::syscall(pid, signal);
}

fn touches_root(pid: Pid, role: Role, device: u64, call: usize, arguments: [u64; 6]) -> bool {
    if role == Role::Other {
        let path = match call {
            nr::NEWFSTATAT | nr::STATX | nr::FACCESSAT => arguments[1],
            _ => return false,
        };
        return text_at(pid, path).ends_with("mark");
    }
    let directory = match call {
        nr::MKDIRAT
        | nr::OPENAT
        | nr::OPENAT2
        | nr::RENAMEAT2
        | nr::UNLINKAT
        | nr::STATX
        | nr::FCHMOD
        | nr::FLOCK
        | nr::GETDENTS64
        | nr::CLOSE => arguments[0],
        nr::MOVE_MOUNT => arguments[2],
        nr::EXIT_GROUP => return true,
        _ => return false,
    };
    let path = match directory as i32 {
        libc::AT_FDCWD => format!("/proc/{pid}/cwd"),
        number => format!("/proc/{pid}/fd/{number}"),
    };
    fs::metadata(path).is_ok_and(|metadata| metadata.dev() == device)
}

/// Reads a text in a process's memory.
pub fn text_at(pid: Pid, address: u64) -> String {
    let mut text = Vec::new();
    let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else {
        return String::new();
    };
    let mut byte = [0];
    while text.len() < 256
        && memory
            .read_exact_at(&mut byte, address + text.len() as u64)
            .is_ok()
    {
        if byte == [0] {
            break;
        }
        text.push(byte[0]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

impl Drop for Traced {
    /// Kills the processes of a test that fails in the middle.
    fn drop(&mut self) {
        for pid in self.processes.keys() {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        while !self.processes.is_empty() {
            self.wait();
        }
    }
}
