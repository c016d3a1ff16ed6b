//! `Chroot`: the description of a run, and running it.

use alloc::vec::Vec;

use crate::error::{Error, Step, say};
use crate::exec::Command;
use crate::message;
use crate::mount::attach::{Attached, attach_all};
use crate::mount::path::{PATH_MAX, PathBuffer};
use crate::mount::{self, Mount, Source, stub};
use crate::name::Name;
use crate::namespace::{fork_into_namespaces, map_to_root, set_names};
use crate::pid1::{End, Pid1, kill_all};
use crate::root::{attach_new_root, enter, make_slave};
use crate::supervisor::Supervisor;
use crate::sys::mount::{MNT_DETACH, umount};
use crate::sys::process::{ExitStatus, Fork, effective_ids, exit, fork_command, lead_group};
use crate::sys::signal::{SignalSet, default_sigchld, set_blocked, signalfd};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs, net, process, tty};
use crate::terminal::{self, Job, Terminal};

/// A command to be run in a new root, in new mount, UTS, IPC and pid namespaces.
///
/// Without the right to make those, a user namespace is made too, in which the caller is user 0;
/// its network is the host's all the same.
///
/// ```no_run
/// use rootlet::{Chroot, Mount};
///
/// let status = Chroot::new("/srv/root")
///     .mount(Mount::bind("/srv/data").to("/data").read_only())
///     .hostname("build.example.org")
///     .command("make")
///     .args(["-C", "/data"])
///     .env("PATH=/usr/bin:/bin")
///     .run()?;
/// assert!(status.success());
/// # Ok::<(), rootlet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chroot {
    pub(crate) new_root: Name,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) hostname: Option<Name>,
    pub(crate) directory: WorkingDirectory,
    /// The command and its arguments.
    pub(crate) words: Vec<Name>,
    /// What is run where the command is not in the new root.
    pub(crate) fallback: Vec<Name>,
    environment: Vec<Name>,
    verbose: bool,
}

/// Where the command starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum WorkingDirectory {
    /// Here in the new root.
    Path(Name),
    /// Where the caller is.
    Kept,
}

impl Chroot {
    /// A run in this directory, with the [default mounts](Mount::defaults), in its `/`, with an
    /// empty environment.
    pub fn new(new_root: impl AsRef<[u8]>) -> Chroot {
        Chroot {
            new_root: Name::new(new_root.as_ref()),
            mounts: Mount::defaults(),
            hostname: None,
            directory: WorkingDirectory::Path(Name::new(b"/")),
            words: Vec::new(),
            fallback: Vec::new(),
            environment: Vec::new(),
            verbose: false,
        }
    }

    /// Adds a mount. One with the target of an earlier one, or of a default one, takes its place.
    pub fn mount(mut self, mount: Mount) -> Chroot {
        mount::add(&mut self.mounts, mount);
        self
    }

    /// Drops the default mounts, and what was added before.
    pub fn no_mounts(mut self) -> Chroot {
        self.mounts.clear();
        self
    }

    /// Sets the host name inside, by `sethostname(2)`; of a name with dots the part before the
    /// first, and the rest as the domain name by `setdomainname(2)`.
    pub fn hostname(mut self, name: impl AsRef<[u8]>) -> Chroot {
        self.hostname = Some(Name::new(name.as_ref()));
        self
    }

    /// Starts the command in this directory of the new root.
    pub fn current_dir(mut self, path: impl AsRef<[u8]>) -> Chroot {
        self.directory = WorkingDirectory::Path(Name::new(path.as_ref()));
        self
    }

    /// Starts the command in the directory of the new root that the caller is in, if the caller is
    /// below the new root, else in the one with the same path.
    pub fn keep_current_dir(mut self) -> Chroot {
        self.directory = WorkingDirectory::Kept;
        self
    }

    /// Sets the command, without arguments. One without a slash is looked for in the PATH that
    /// [`Chroot::env`] set, inside the new root.
    pub fn command(mut self, name: impl AsRef<[u8]>) -> Chroot {
        self.words = Vec::from([Name::new(name.as_ref())]);
        self
    }

    /// Adds arguments to the command.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Chroot {
        let names = arguments
            .into_iter()
            .map(|argument| Name::new(argument.as_ref()));
        self.words.extend(names);
        self
    }

    /// Sets what is run instead, with its arguments, where the command is not in the new root.
    pub fn or_command(mut self, words: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Chroot {
        self.fallback = words
            .into_iter()
            .map(|word| Name::new(word.as_ref()))
            .collect();
        self
    }

    /// Adds `NAME=VALUE` to the command's environment.
    pub fn env(mut self, variable: impl AsRef<[u8]>) -> Chroot {
        self.environment.push(Name::new(variable.as_ref()));
        self
    }

    /// Says each step on standard error.
    pub fn verbose(mut self) -> Chroot {
        self.verbose = true;
        self
    }

    /// Runs the command and waits for it, for a program whose purpose that is, as `rootlet run`
    /// is: all signals of the calling thread are blocked, and stay so, and go to the command
    /// instead; the command gets the foreground of the terminal, and a stop of the command stops
    /// this process.
    ///
    /// The command has the standard descriptors and no others, and ends when this process does.
    /// What it leaves running is killed. Mount points that were made for the run are removed.
    ///
    /// # Errors
    ///
    /// Whatever keeps the command from running; [`Error::status`] is the exit status for it.
    pub fn run(&self) -> Result<ExitStatus, Error<'static>> {
        self.check_names()?;
        let prepare = |errno| Error::new(Step::Prepare, b"", errno);
        let chroot = self.with_absolute_sources()?;
        let mut new_root = self.open_new_root()?;
        if new_root.number() <= 2 {
            drop(new_root);
            fs::open_standard_descriptors().map_err(prepare)?;
            new_root = self.open_new_root()?;
        }

        let caller_mask = set_blocked(SignalSet::FORWARDED);
        let signals = signalfd(SignalSet::FORWARDED).map_err(prepare)?;
        let (inside, outside) = net::socketpair().map_err(prepare)?;
        let (job, terminal) = terminal::look();
        let child = Child {
            chroot: &chroot,
            command: Command::new(&chroot.words, &chroot.environment),
            fallback: Command::new(&chroot.fallback, &chroot.environment),
            attached: Attached::with_room_for(&chroot.mounts),
            supervisor: outside,
            signals,
            caller_mask,
            caller: effective_ids(),
            job,
            terminal,
        };
        // SAFETY: all that the child allocates with is allocated already.
        let pid1 = match unsafe { fork_into_namespaces() } {
            Ok((Fork::Parent(_, pid1), _)) => pid1,
            Ok((Fork::Child, new_user_namespace)) => {
                drop(inside);
                child.run(new_user_namespace)
            }
            Err(errno) => return Err(Error::new(Step::Namespaces, b"", errno)),
        };
        let Child {
            supervisor,
            signals,
            ..
        } = child;
        drop(supervisor);

        let ending = Supervisor {
            signals: signals.borrow(),
            inside: inside.borrow(),
            pid1: pid1.borrow(),
            job,
            terminal,
        }
        .run()?;
        let cleaned = match ending.stubs {
            true => chroot.remove_stubs(new_root.borrow()),
            false => Ok(()),
        };
        match ending.error {
            Some(error) => Err(error),
            // pid 1 says in its exit status what signal killed the command.
            None => {
                // The command's status is worth more than what could not be removed.
                cleaned.unwrap_or_else(|error| error.print());
                Ok(match ending.status {
                    ExitStatus::Exited(code) if code > 128 => ExitStatus::Signaled(code - 128),
                    status => status,
                })
            }
        }
    }

    pub(crate) fn check_names(&self) -> Result<(), Error<'static>> {
        let mount_names = self
            .mounts
            .iter()
            .flat_map(|mount| [mount.source.name(), &mount.target, &mount.data]);
        let directory = match &self.directory {
            WorkingDirectory::Path(path) => Some(path),
            WorkingDirectory::Kept => None,
        };
        let bad = [&self.new_root]
            .into_iter()
            .chain(mount_names)
            .chain(&self.hostname)
            .chain(directory)
            .chain(&self.words)
            .chain(&self.fallback)
            .chain(&self.environment)
            .find(|name| name.held_nul());
        match bad {
            Some(name) => Err(Error::because(
                Step::TakeName,
                name.bytes(),
                "it is followed by a NUL byte",
            )),
            None => Ok(()),
        }
    }

    pub(crate) fn open_new_root(&self) -> Result<OwnedFd, Error<'static>> {
        let path = self.new_root.as_c_str();
        fs::openat(BorrowedFd::CWD, path, fs::O_PATH | fs::O_DIRECTORY, 0)
            .map_err(|errno| Error::new(Step::OpenRoot, path.to_bytes(), errno).into_owned())
    }

    /// The same run with relative sources made absolute, since mounting file systems changes the
    /// current directory. Where such a mount has no target of its own, it follows.
    pub(crate) fn with_absolute_sources(&self) -> Result<Chroot, Error<'static>> {
        let mut chroot = self.clone();
        for mount in &mut chroot.mounts {
            let Source::Path(path) = &mut mount.source else {
                continue;
            };
            if path.bytes().first() == Some(&b'/') {
                continue;
            }
            let mut absolute = PathBuffer::new();
            current_directory(&mut absolute)
                .and_then(|()| absolute.push_component(path.bytes()))
                .map_err(|errno| Error::new(Step::WorkingDirectory, b"", errno))?;
            let absolute = Name::new(absolute.bytes());
            if mount.target == *path {
                mount.target = absolute.clone();
            }
            *path = absolute;
        }
        Ok(chroot)
    }

    /// Removes the mount points that the run made, and with them what a killed run left there.
    fn remove_stubs(&self, root: BorrowedFd) -> Result<(), Error<'static>> {
        let mut result = Ok(());
        for mount in self.mounts.iter().rev() {
            let target = &mount.target;
            if let Err(errno) = stub::remove(root, target.as_c_str()) {
                let error = Error::new(Step::RemoveMountPoint, target.bytes(), errno);
                result = result.and(Err(error.into_owned()));
            }
        }
        result
    }
}

/// All that the process inside needs, made before the fork: it allocates nothing itself, since
/// another thread of the program might have held the allocator's lock at the fork.
struct Child<'a> {
    chroot: &'a Chroot,
    command: Command<'a>,
    fallback: Command<'a>,
    attached: Attached,
    supervisor: OwnedFd,
    signals: OwnedFd,
    caller_mask: SignalSet,
    caller: (u32, u32),
    job: Job,
    terminal: Option<Terminal>,
}

impl<'a> Child<'a> {
    /// The whole life of pid 1.
    fn run(mut self, new_user_namespace: bool) -> ! {
        let end = self
            .set_up(new_user_namespace)
            .map_err(|error| {
                error.send(self.supervisor.borrow());
                error.status()
            })
            .and_then(|kept| self.run_command(&kept));
        match end {
            Ok(End::Command(status)) => exit(status.shell()),
            Ok(End::Supervisor) => {
                self.clean_up();
                exit(125)
            }
            Err(status) => exit(status),
        }
    }

    /// mounts, enter. Gives the caller's directory where it is to be kept.
    fn set_up(&mut self, new_user_namespace: bool) -> Result<PathBuffer, Error<'a>> {
        self.close_inherited_files()?;
        default_sigchld();
        if new_user_namespace {
            map_to_root(self.caller)?;
        }
        let chroot = self.chroot;
        let outside = make_slave(new_user_namespace)?;
        let mut new_root = chroot.new_root.as_c_str();
        let mut kept = PathBuffer::new();
        if chroot.directory == WorkingDirectory::Kept {
            keep_current_directory(new_root, &mut kept)?;
            new_root = c".";
        }
        let root = attach_new_root(new_root)
            .map_err(|errno| Error::new(Step::CloneRoot, chroot.new_root.bytes(), errno))?;

        let attached = attach_all(
            root.borrow(),
            &chroot.mounts,
            &mut self.attached,
            chroot.verbose,
        );
        if self.attached.made_stubs {
            let _ = net::send(self.supervisor.borrow(), message::STUBS);
        }
        attached?;
        if let Some(name) = &chroot.hostname {
            set_names(name.bytes())?;
        }
        enter(root.borrow(), outside)?;
        Ok(kept)
    }

    /// pid 1.
    fn run_command(&mut self, kept: &PathBuffer) -> Result<End, u8> {
        if self.chroot.verbose {
            say(Step::Execute, self.command.name(), b"");
        }
        // SAFETY: this process has one thread.
        let command = match unsafe { fork_command() } {
            Ok(Some(pid)) => pid,
            Ok(None) => {
                let error = self.become_command(kept);
                error.send(self.supervisor.borrow());
                exit(error.status())
            }
            Err(errno) => {
                let error = Error::new(Step::Fork, self.command.name(), errno);
                error.send(self.supervisor.borrow());
                return Err(error.status());
            }
        };
        // Out of the caller's group: its signals, and the terminal's, are not for us.
        let _ = lead_group();
        let pid1 = Pid1 {
            signals: self.signals.borrow(),
            supervisor: self.supervisor.borrow(),
            command,
            own_group: self.job != Job::Shared,
            terminal: self.terminal,
        };
        pid1.run().map_err(|error| {
            error.send(self.supervisor.borrow());
            error.status()
        })
    }

    /// Returns only when the command cannot be executed.
    fn become_command(&mut self, kept: &PathBuffer) -> Error<'a> {
        if let Job::Own { foreground } = self.job {
            let _ = lead_group();
            if let (true, Some(terminal)) = (foreground, &self.terminal) {
                // SIGTTOU is blocked still, so this works from the background.
                let _ = tty::set_foreground(terminal.descriptor, process::id());
            }
        }
        let directory = match &self.chroot.directory {
            WorkingDirectory::Path(path) => path.as_c_str(),
            WorkingDirectory::Kept => kept.as_c_str(),
        };
        if directory != c"/" {
            if let Err(errno) = fs::chdir(directory) {
                let shown = match &self.chroot.directory {
                    WorkingDirectory::Path(path) => path.bytes(),
                    WorkingDirectory::Kept => b"that the caller is in",
                };
                return Error::new(Step::ChangeDirectory, shown, errno);
            }
        }
        set_blocked(self.caller_mask);
        let error = self.command.execute();
        if error.status() == 127 && !self.chroot.fallback.is_empty() {
            return self.fallback.execute();
        }
        error
    }

    /// What the supervisor would do if it were still there.
    fn clean_up(&mut self) {
        kill_all();
        if !self.attached.made_stubs {
            return;
        }
        self.attached.shares.clear();
        for mount in self.chroot.mounts.iter().rev() {
            // As often as something is mounted there, so that the stub is bare.
            while umount(mount.target.as_c_str(), MNT_DETACH).is_ok() {}
        }
        if let Ok(root) = fs::openat(BorrowedFd::CWD, c"/", fs::O_PATH | fs::O_DIRECTORY, 0) {
            for mount in self.chroot.mounts.iter().rev() {
                // There is nobody left to be told.
                let _ = stub::remove(root.borrow(), mount.target.as_c_str());
            }
        }
    }

    /// Only the standard descriptors reach the command, and nothing else keeps files busy.
    fn close_inherited_files(&self) -> Result<(), Error<'static>> {
        let mut ours = [self.supervisor.number(), self.signals.number()];
        ours.sort_unstable();
        let [low, high] = ours.map(|number| number as u32);
        for (first, last) in [(3, low - 1), (low + 1, high - 1), (high + 1, u32::MAX)] {
            if first <= last {
                // SAFETY: of what this process owns, only the two descriptors between are used.
                let closed = unsafe { fs::close_range(first, last) };
                match closed {
                    Err(Errno::ENOSYS) => return close_one_by_one(low, high),
                    result => result.map_err(|errno| Error::new(Step::CloseFiles, b"", errno))?,
                }
            }
        }
        Ok(())
    }
}

/// Where `close_range(2)` is missing.
fn close_one_by_one(low: u32, high: u32) -> Result<(), Error<'static>> {
    let close = |number: u32| {
        if number > 2 && number != low && number != high {
            // SAFETY: of what this process owns, only `low` and `high` are used.
            let _ = unsafe { fs::close(number) };
        }
    };
    let flags = fs::O_RDONLY | fs::O_DIRECTORY;
    let Ok(open) = fs::openat(BorrowedFd::CWD, c"/proc/self/fd", flags, 0) else {
        (0..process::open_files_limit()).for_each(|number| close(number as u32));
        return Ok(());
    };
    fs::visit_names(open.borrow(), |name| {
        let number = name.iter().fold(0, |number, digit| {
            number * 10 + u32::from(digit.wrapping_sub(b'0'))
        });
        if number != open.number() as u32 {
            close(number);
        }
        true
    })
    .map_err(|errno| Error::new(Step::CloseFiles, b"", errno))
}

/// The caller's directory as the new root will name it; and goes to the new root.
fn keep_current_directory<'a>(
    new_root: &'a core::ffi::CStr,
    kept: &mut PathBuffer,
) -> Result<(), Error<'a>> {
    let unknown = |errno| Error::new(Step::WorkingDirectory, b"", errno);
    let mut current = PathBuffer::new();
    current_directory(&mut current).map_err(unknown)?;
    fs::chdir(new_root).map_err(|errno| Error::new(Step::OpenRoot, new_root.to_bytes(), errno))?;
    let mut above = PathBuffer::new();
    current_directory(&mut above).map_err(unknown)?;
    let below = match current.bytes().strip_prefix(above.bytes()) {
        Some(below) if below.is_empty() || below[0] == b'/' => below,
        _ => current.bytes(),
    };
    kept.push(if below.is_empty() { b"/" } else { below })
        .map_err(unknown)
}

/// `getcwd(2)`, which says "(unreachable)" in front of a path outside our root.
fn current_directory(path: &mut PathBuffer) -> Result<(), Errno> {
    let mut buffer = [0; PATH_MAX];
    let length = fs::getcwd(&mut buffer)?;
    match &buffer[..length.saturating_sub(1)] {
        absolute @ [b'/', ..] => path.push(absolute),
        _ => Err(Errno::ENOENT),
    }
}
