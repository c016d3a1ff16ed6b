//! The command of a description: its words, its environment, its descriptors.

use alloc::vec::Vec;

use crate::chroot::Chroot;
use crate::process::cwd::WorkingDirectory;
use crate::process::environment::Change;
use crate::process::host_paths;
use crate::text::name::Name;

impl Chroot {
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
        for argument in arguments {
            self.words.push(Name::new(argument.as_ref()));
        }
        self
    }

    /// Sets what is run instead, with its arguments, where the command is not in the new root.
    pub fn or_command(mut self, words: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Chroot {
        self.fallback.clear();
        for word in words {
            self.fallback.push(Name::new(word.as_ref()));
        }
        self
    }

    /// Sets a variable of the command's environment, `NAME=VALUE`.
    pub fn env(mut self, variable: impl AsRef<[u8]>) -> Chroot {
        self.changes.push(Change::Set(Name::new(variable.as_ref())));
        self
    }

    /// Leaves a variable, `NAME`, out of the command's environment.
    pub fn env_remove(mut self, name: impl AsRef<[u8]>) -> Chroot {
        self.changes.push(Change::Unset(Name::new(name.as_ref())));
        self
    }

    /// Leaves out all variables that were set before.
    pub fn env_clear(mut self) -> Chroot {
        self.changes.push(Change::Clear);
        self
    }

    /// Sets the environment that [`Chroot::env`], [`Chroot::env_remove`] and [`Chroot::env_clear`]
    /// change: `NAME=VALUE` each, by default none.
    pub fn envs(mut self, variables: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Chroot {
        self.environment.clear();
        for variable in variables {
            self.environment.push(Name::new(variable.as_ref()));
        }
        self
    }

    /// Leaves out variables of [`Chroot::envs`] that name a path which is not in the new root, such as
    /// TMPDIR or LD_PRELOAD.
    #[doc(hidden)]
    pub fn leave_out_host_paths(mut self) -> Chroot {
        self.leaves_out_host_paths = true;
        self
    }

    /// The variables that may have to be left out so. SHELL is the root's own where a user is set.
    pub(crate) fn host_paths(&self, environment: &[Name]) -> Vec<usize> {
        let mut found = host_paths::find(environment, &self.changes);
        if self.user.is_some() {
            found.retain(|index| !environment[*index].bytes().starts_with(b"SHELL="));
        }
        found
    }

    /// Tells the command this name for itself, its `argv[0]`, instead of the one it is run by.
    pub fn arg0(mut self, name: impl AsRef<[u8]>) -> Chroot {
        self.argv0 = Some(Name::new(name.as_ref()));
        self
    }

    /// Gives the command the caller's descriptor of this number, under the same number. It is borrowed,
    /// as by [`Stdio::fd`](crate::Stdio::fd).
    ///
    /// A directory is a way out of the new root.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::os::fd::AsRawFd;
    ///
    /// use rootlet::Chroot;
    ///
    /// let (mut reader, writer) = std::io::pipe()?;
    /// let number = writer.as_raw_fd() as u32;
    /// let script = format!("echo done >/proc/self/fd/{number}");
    /// let chroot = Chroot::new("/").keep_fd(number).command("sh").args(["-c", &script]);
    /// assert!(chroot.status()?.success());
    /// drop(writer);
    /// let mut written = String::new();
    /// reader.read_to_string(&mut written)?;
    /// assert_eq!(written, "done\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep_fd(mut self, number: u32) -> Chroot {
        self.kept_descriptors.push(number);
        self
    }

    /// Has [`Chroot::run`] tell how it goes on the caller's descriptor of this number, in lines of JSON:
    ///
    /// - `{"child-pid":N}` when the command was executed, with its pid in the caller's pid namespace;
    /// - then `{"exit-code":N}` or `{"signal":N}`, when it has ended;
    /// - or, at any time, as the last,
    ///   `{"error":{"step":"open the new root","object":"/srv","errno":2,"message":"…"}}`, when rootlet
    ///   has failed: what it was doing, to what, the kernel's reason or `null`, and all of it in one
    ///   line of words.
    ///
    /// Real root inside, which may do anything to pid 1, can have a false end reported of its own run;
    /// nobody else can.
    ///
    /// A byte that is not UTF-8 becomes U+FFFD, but `\xff` in the message, which is the line that is
    /// printed. Without a last line rootlet was killed.
    pub fn status_fd(mut self, number: u32) -> Chroot {
        self.status_descriptor = Some(number);
        self
    }
}
