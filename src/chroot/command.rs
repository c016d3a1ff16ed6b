//! `Command`: a command for a new root, with its arguments, environment and descriptors.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::chroot::Chroot;
use crate::error::{Error, Step};
use crate::process::environment::Change;
use crate::process::stdio::Stdio;
use crate::sys::{Errno, OwnedFd};
use crate::text::bytes::AsBytes;
use crate::text::name::Name;

/// A command in a new root, used like `std::process::Command`; [`Chroot::command`] makes one. It
/// can be started any number of times.
///
/// Its environment is empty, unlike that of a command of std, which inherits the program's: a new
/// root rarely has the program's paths. It has only the variables from [`Command::env`] and
/// [`Command::envs`], and those that [`Chroot::user`] sets. To inherit, write
/// `.envs(std::env::vars_os())`.
///
/// It has its standard descriptors and no others, unless they are given with `keep_fd`.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// use rootlet::{Chroot, Stdio};
///
/// let mut command = Chroot::new("/").command("sh");
/// command.arg("-c").arg("echo $WORD").env("WORD", "hello");
/// assert_eq!(command.output()?.stdout, b"hello\n");
///
/// let mut child = command.stdout(Stdio::piped()).spawn()?;
/// let output = child.stdout.take();
/// assert!(output.is_some() && child.wait()?.success());
/// # Ok::<(), rootlet::Error>(())
/// ```
pub struct Command {
    pub(crate) chroot: Chroot,
    /// The command and its arguments.
    pub(crate) words: Vec<Name>,
    /// The command to run if the new root does not have the first one.
    pub(crate) fallback: Vec<Name>,
    pub(crate) environment: Vec<Name>,
    pub(crate) changes: Vec<Change>,
    /// Leave out variables of the environment that name paths which only the host has.
    pub(crate) leaves_out_host_paths: bool,
    pub(crate) argv0: Option<Name>,
    /// The numbers of the caller's descriptors that the command gets as well.
    pub(crate) kept_descriptors: Vec<u32>,
    /// Those of them that we must close.
    owned: Vec<OwnedFd>,
    pub(crate) status_descriptor: Option<u32>,
    pub(crate) own_group: bool,
    pub(crate) pty: bool,
    /// The command's standard descriptors, where they were set.
    pub(crate) standard: [Option<Stdio>; 3],
    pub(crate) hooks: Vec<Hook>,
    /// The first invalid argument of a method.
    pub(crate) wrong: Option<Error>,
    /// The warnings of the last [`Command::status`].
    pub(crate) warnings: Vec<Error>,
}

/// A function that the command's process calls before it executes the command.
pub(crate) type Hook = Box<dyn Fn() -> Result<(), Errno> + Send + Sync>;

impl Command {
    /// Makes a description without a command.
    pub(crate) fn in_root(chroot: Chroot) -> Command {
        Command {
            chroot,
            words: Vec::new(),
            fallback: Vec::new(),
            environment: Vec::new(),
            changes: Vec::new(),
            leaves_out_host_paths: false,
            argv0: None,
            kept_descriptors: Vec::new(),
            owned: Vec::new(),
            status_descriptor: None,
            own_group: false,
            pty: false,
            standard: [None, None, None],
            hooks: Vec::new(),
            wrong: None,
            warnings: Vec::new(),
        }
    }

    /// Returns the root that the command runs in. Changes to it count for this command alone.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// let mut command = rootlet::Chroot::new("/").command("hostname");
    /// command.chroot().hostname("build");
    /// assert_eq!(command.output()?.stdout, b"build\n");
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    pub fn chroot(&mut self) -> &mut Chroot {
        &mut self.chroot
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsBytes) -> &mut Command {
        self.words.push(Name::new(argument.as_bytes()));
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, arguments: impl IntoIterator<Item = impl AsBytes>) -> &mut Command {
        for argument in arguments {
            self.arg(argument);
        }
        self
    }

    /// Sets the command's `argv[0]`, instead of the name it is run by.
    pub fn arg0(&mut self, name: impl AsBytes) -> &mut Command {
        self.argv0 = Some(Name::new(name.as_bytes()));
        self
    }

    /// Sets a command, with its arguments, to run instead if the new root does not have the first
    /// one.
    pub fn or_command(&mut self, words: impl IntoIterator<Item = impl AsBytes>) -> &mut Command {
        self.fallback.clear();
        for word in words {
            self.fallback.push(Name::new(word.as_bytes()));
        }
        self
    }

    /// Sets a variable in the command's environment, which is empty at first.
    ///
    /// A command without a slash is looked up in the PATH that is set here, inside the new root;
    /// without a PATH, in the usual directories.
    ///
    /// An empty name, or one with a `=`, is an error when the command is started:
    ///
    /// ```
    /// use rootlet::{Chroot, ErrorKind};
    ///
    /// let error = Chroot::new("/").command("true").env("A=B", "").status().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidInput);
    /// assert_eq!(
    ///     error.to_string(),
    ///     "cannot use A=B: Command::env: a name must not be empty or contain '='"
    /// );
    /// ```
    pub fn env(&mut self, name: impl AsBytes, value: impl AsBytes) -> &mut Command {
        let why = "Command::env: a name must not be empty or contain '='";
        self.check_variable(name.as_bytes(), why);
        let variable = Name::joined(&[name.as_bytes(), b"=", value.as_bytes()]);
        self.changes.push(Change::Set(variable));
        self
    }

    /// Sets several variables in the command's environment, in addition to those it has.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// let mut command = rootlet::Chroot::new("/").command("env");
    /// command.env("A", "1").envs([("B", "2"), ("C", "3")]).env_remove("A");
    /// assert_eq!(command.output()?.stdout, b"B=2\nC=3\n");
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    pub fn envs<N: AsBytes, V: AsBytes>(
        &mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> &mut Command {
        for (name, value) in variables {
            self.env(name, value);
        }
        self
    }

    /// Removes a variable from the command's environment.
    pub fn env_remove(&mut self, name: impl AsBytes) -> &mut Command {
        let why = "Command::env_remove: a name must not be empty or contain '='";
        self.check_variable(name.as_bytes(), why);
        self.changes.push(Change::Unset(Name::new(name.as_bytes())));
        self
    }

    /// Removes all variables that were set before, and those that [`Chroot::user`] sets.
    pub fn env_clear(&mut self) -> &mut Command {
        self.changes.push(Change::Clear);
        self
    }

    #[inline(never)]
    fn check_variable(&mut self, name: &[u8], why: &'static str) {
        if name.is_empty() || name.contains(&b'=') {
            let wrong = || Error::because(Step::TakeName, name, why);
            self.wrong.get_or_insert_with(wrong);
        }
    }

    /// Leaves out variables that name a path which the new root does not have, such as TMPDIR or
    /// LD_PRELOAD.
    #[allow(dead_code, reason = "the binary uses it")]
    pub(crate) fn leave_out_host_paths(&mut self) {
        self.leaves_out_host_paths = true;
    }

    /// Starts the command in this directory of the new root: [`Chroot::current_dir`].
    pub fn current_dir(&mut self, path: impl AsBytes) -> &mut Command {
        self.chroot.current_dir(path);
        self
    }

    /// Sets the command's standard input. The default is the caller's, or [null](Stdio::null) for
    /// [`Command::output`].
    pub fn stdin(&mut self, stdio: impl Into<Stdio>) -> &mut Command {
        self.standard[0] = Some(stdio.into());
        self
    }

    /// Sets the command's standard output. The default is the caller's, or a pipe for
    /// [`Command::output`].
    pub fn stdout(&mut self, stdio: impl Into<Stdio>) -> &mut Command {
        self.standard[1] = Some(stdio.into());
        self
    }

    /// Sets the command's standard error. The default is the caller's, or a pipe for
    /// [`Command::output`].
    pub fn stderr(&mut self, stdio: impl Into<Stdio>) -> &mut Command {
        self.standard[2] = Some(stdio.into());
        self
    }

    /// Runs the command in its own process group (`setpgid(2)`), which keys and signals to the
    /// caller's group do not reach. It cannot join another group, because the caller's groups have
    /// no number in a new pid namespace.
    pub fn new_process_group(&mut self) -> &mut Command {
        self.own_group = true;
        self
    }

    /// Gives the command the caller's descriptor of this number, under the same number.
    ///
    /// A directory is a way out of the new root. With the feature `std` there is
    /// `Command::keep_fd`, which is safe.
    ///
    /// # Safety
    ///
    /// The descriptor is open whenever the command is started. If it is closed and another file
    /// gets its number, the command gets that file.
    ///
    /// # Errors
    ///
    /// EBADF, when the command is started, for a number that is not open.
    pub unsafe fn keep_raw_fd(&mut self, number: i32) -> &mut Command {
        // No descriptor has such a large number.
        self.kept_descriptors
            .push(u32::try_from(number).unwrap_or(u32::MAX));
        self
    }

    /// Gives the command this descriptor, as [`Command::keep_raw_fd`] does, and owns it from now
    /// on.
    #[allow(dead_code, reason = "it needs a type of std")]
    pub(crate) fn keep_owned(&mut self, descriptor: OwnedFd) {
        self.kept_descriptors.push(descriptor.number() as u32);
        self.owned.push(descriptor);
    }

    /// Calls a function in the command's process before the command is executed, when it has its
    /// descriptors, its root, its user and its rights. If the function returns an error, the
    /// command is not executed. Another call adds another function.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// use rootlet::{Chroot, Errno};
    ///
    /// let mut command = Chroot::new("/").command("true");
    /// // SAFETY: it does nothing.
    /// unsafe { command.pre_exec(|| Err(Errno::EXDEV)) };
    /// let error = command.status().unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "cannot run the hook of Command::pre_exec: Invalid cross-device link (EXDEV)"
    /// );
    /// ```
    ///
    /// # Safety
    ///
    /// As for `pre_exec` of std. The process is a copy of a program that may have had other
    /// threads, any of which may have held a lock, even the allocator's. The function must
    /// therefore not allocate, must take no lock, and may do only what is async-signal-safe
    /// (`signal-safety(7)`). It shares its memory with pid 1, which looks after the command, so it
    /// must not start anything that goes on in this memory.
    pub unsafe fn pre_exec(
        &mut self,
        hook: impl Fn() -> Result<(), Errno> + Send + Sync + 'static,
    ) -> &mut Command {
        self.hooks.push(Box::new(hook));
        self
    }
}

impl fmt::Debug for Command {
    /// Writes the command and its arguments in the style of a shell.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(formatter, "{space}{word:?}")?;
        }
        write!(formatter, " in {:?}", self.chroot.new_root)
    }
}
