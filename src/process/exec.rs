//! The command, found and executed the way `execvp(3)` does it.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::{Error, Step, Verbose};
use crate::process::host_paths;
use crate::sys::exec::{StringArray, execve};
use crate::sys::memory::Page;
use crate::sys::process::{id, pidfd_open};
use crate::sys::{BorrowedFd, Errno, fs, split};
use crate::text::name::Name;
use crate::text::path::PathBuffer;
use crate::text::short::Short;

/// The directories in which a command without a slash is looked up when there is no PATH.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program that runs a script without `#!`.
const SHELL: &CStr = c"/bin/sh";

/// The program that could not be executed.
enum Failed {
    Program(Errno),
    /// The shell, for a script.
    Shell(Errno),
}

/// A command with all arguments of execve(2). It is made before the fork, because nothing may
/// allocate afterwards.
pub(crate) struct Command<'a> {
    name: &'a CStr,
    path: &'a [u8],
    arguments: StringArray<'a>,
    /// `/bin/sh`, then the script's path, then the arguments: for a script without `#!`.
    shell_arguments: StringArray<'a>,
    environment: StringArray<'a>,
    /// The index in the environment of each of `RECIPIENTS` that names this process.
    recipients: [Option<usize>; 3],
    /// The variables that may name a path which only the host has, with their index in the
    /// environment, and whether the omitted ones are logged.
    host_paths: (Vec<(usize, &'a CStr)>, Verbose),
}

/// The prefix of a variable, and a function for the value that would name this process.
type Recipient = (&'static [u8], fn() -> Option<u64>);

/// The variables that assign sockets and a watchdog to a process, by its pid or by its pidfd's
/// inode: sd_listen_fds(3), sd_watchdog_enabled(3).
const RECIPIENTS: [Recipient; 3] = [
    (b"LISTEN_PID=", pid),
    (b"WATCHDOG_PID=", pid),
    (b"LISTEN_PIDFDID=", pidfd_inode),
];

fn pid() -> Option<u64> {
    u64::try_from(id()).ok()
}

fn pidfd_inode() -> Option<u64> {
    let pidfd = pidfd_open(id()).ok()?;
    fs::stat(pidfd.borrow()).ok().map(|stat| stat.inode())
}

/// Returns the variable with the value that names this process.
#[inline(never)]
fn naming_us((name, number): Recipient) -> Option<Short> {
    let mut variable = Short::new();
    variable.push(name);
    variable.push_number(number()?);
    Some(variable)
}

impl<'a> Command<'a> {
    /// Makes a command from `words`, its name and arguments. Without words it is an empty command.
    pub(crate) fn new(words: &'a [Name], environment: &'a [Name]) -> Command<'a> {
        let name = words.first().map_or(c"", |name| name.as_c_str());
        let path = environment
            .iter()
            .find_map(|variable| variable.bytes().strip_prefix(b"PATH="));
        let arguments = words.iter().skip(1).map(Name::as_c_str);
        Command {
            name,
            path: path.unwrap_or(DEFAULT_PATH.as_bytes()),
            arguments: StringArray::new(&mut words.iter().map(Name::as_c_str)),
            shell_arguments: StringArray::new(&mut [SHELL, name].into_iter().chain(arguments)),
            environment: StringArray::new(&mut environment.iter().map(Name::as_c_str)),
            recipients: [None; 3],
            host_paths: (Vec::new(), Verbose::NOT),
        }
    }

    /// Passes on the sockets and the watchdog that were given to this process: variables that name
    /// this process in the environment, which is the same as for `new`, will name the command.
    pub(crate) fn with_what_is_ours(mut self, environment: &[Name]) -> Command<'a> {
        for (index, recipient) in self.recipients.iter_mut().zip(RECIPIENTS) {
            *index = environment.iter().position(|variable| {
                variable.bytes().starts_with(recipient.0)
                    && naming_us(recipient).is_some_and(|ours| ours.bytes() == variable.bytes())
            });
        }
        self
    }

    /// Leaves out those of these variables that name a path which does not exist where it is
    /// executed.
    pub(crate) fn without_missing(
        mut self,
        variables: Vec<(usize, &'a CStr)>,
        verbose: Verbose,
    ) -> Command<'a> {
        self.host_paths = (variables, verbose);
        self
    }

    /// Sets another name as its first argument.
    pub(crate) fn with_argv0(mut self, name: &'a Option<Name>) -> Command<'a> {
        if let Some(name) = name {
            self.arguments.replace(0, name.as_c_str());
        }
        self
    }

    pub(crate) fn name(&self) -> &'a [u8] {
        self.name.to_bytes()
    }

    /// Executes the command; returns only on failure.
    ///
    /// A name with a slash is the path. Any other name is tried in each directory of PATH. If a
    /// file does not exist, the search continues. If it may not be executed, the search continues
    /// and this error counts unless a later directory has the command. Any other error ends the
    /// search.
    pub(crate) fn execute(&mut self) -> Error {
        for (index, recipient) in self.recipients.into_iter().zip(RECIPIENTS) {
            let variable = index.and_then(|_| naming_us(recipient));
            if let (Some(index), Some(variable)) = (index, variable) {
                // Not the allocator's memory, as after any fork.
                let variable = Page::new(variable).leak();
                self.environment.replace(index, variable.as_c_str());
            }
        }
        let (variables, verbose) = &self.host_paths;
        for (index, variable) in variables.iter().rev() {
            if host_paths::is_missing(variable) {
                verbose.say(Step::LeaveOutVariable, variable.to_bytes(), b"");
                self.environment.remove(*index);
            }
        }
        let name = self.name.to_bytes();
        if name.contains(&b'/') {
            return match self.try_path(self.name) {
                Failed::Shell(errno) => Error::new(Step::Execute, SHELL.to_bytes(), errno),
                Failed::Program(errno) => Error::new(step(self.name, errno), name, errno),
            };
        }
        let mut result = (Step::Execute, Errno::ENOENT);
        let mut forbidden = false;
        let mut path = PathBuffer::new();
        for directory in split(self.path, b':') {
            if name.is_empty() {
                break;
            }
            path.truncate(0);
            let joined = match directory {
                b"" => path.push(name),
                directory => path
                    .push(directory)
                    .and_then(|()| path.push_component(name)),
            };
            match joined {
                Ok(()) => {}
                Err(Errno::ENAMETOOLONG) => continue,
                Err(errno) => return Error::new(Step::Execute, name, errno),
            }
            let errno = match self.try_path(path.as_c_str()) {
                Failed::Shell(errno) => return Error::new(Step::Execute, SHELL.to_bytes(), errno),
                Failed::Program(errno) => errno,
            };
            match errno {
                Errno::ENOENT | Errno::ENOTDIR => {
                    let step = step(path.as_c_str(), errno);
                    if !forbidden && step != Step::Execute {
                        result = (step, errno);
                    }
                }
                Errno::EACCES => {
                    forbidden = true;
                    result = (Step::Execute, errno);
                }
                Errno::ESTALE | Errno::ENODEV | Errno::ETIMEDOUT => {}
                errno => return Error::new(step(path.as_c_str(), errno), name, errno),
            }
        }
        Error::new(result.0, name, result.1)
    }

    /// Executes one path. A script without `#!` goes to the shell, as POSIX demands. Returns only
    /// on failure.
    fn try_path(&mut self, path: &CStr) -> Failed {
        let errno = execve(path, &self.arguments, &self.environment);
        if errno != Errno::ENOEXEC || is_program(path) {
            return Failed::Program(errno);
        }
        let environment = &self.environment;
        let errno = self
            .shell_arguments
            .replaced(1, path, |arguments| execve(SHELL, arguments, environment));
        Failed::Shell(errno)
    }
}

/// Returns the step to name in the error: ENOENT may mean the interpreter, and ENOEXEC another
/// architecture.
fn step(path: &CStr, errno: Errno) -> Step {
    match errno {
        Errno::ENOENT if fs::openat(BorrowedFd::CWD, path, fs::O_PATH, 0).is_ok() => {
            match names_with_carriage_return(path) {
                true => Step::ExecuteWithCarriageReturn,
                false => Step::ExecuteWithoutInterpreter,
            }
        }
        Errno::ENOEXEC | Errno::ELIBBAD => Step::ExecuteForeign,
        _ => Step::Execute,
    }
}

/// Returns whether the interpreter's name in the `#!` line ends with a carriage return. The kernel
/// reads 256 bytes, and the name up to a blank.
fn names_with_carriage_return(path: &CStr) -> bool {
    let mut start = [0; 256];
    // O_NONBLOCK: somebody may have put a FIFO there meanwhile.
    let flags = fs::O_RDONLY | fs::O_NONBLOCK | fs::O_NOCTTY;
    let file = fs::openat(BorrowedFd::CWD, path, flags, 0);
    let length = file.and_then(|file| fs::read(file.borrow(), &mut start));
    let start = start.get(..length.unwrap_or_default()).unwrap_or_default();
    let Some(line) = start.strip_prefix(b"#!") else {
        return false;
    };
    let line = split(line, b'\n').next().unwrap_or_default();
    let name = line.trim_ascii_start();
    let name = split(name, b' ').next().unwrap_or_default();
    split(name, b'\t')
        .next()
        .is_some_and(|name| name.ends_with(b"\r"))
}

/// Returns whether the file is a binary of some architecture rather than text for a shell.
fn is_program(path: &CStr) -> bool {
    let mut magic = [0; 4];
    let file = fs::openat(BorrowedFd::CWD, path, fs::O_RDONLY, 0);
    file.and_then(|file| fs::read(file.borrow(), &mut magic))
        .is_err()
        || magic == *b"\x7fELF"
}
