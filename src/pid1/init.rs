//! `Init`: the description of pid 1 alone, around a command.

use alloc::vec::Vec;

use crate::error::{Error, Step};
use crate::pid1::around::Around;
use crate::pid1::observer::Habits;
use crate::sys::poll::NANOSECONDS;
use crate::text::bytes::AsBytes;
use crate::text::name::Name;

/// A command with an init around it. The init passes signals on, reaps orphans, and ends when the
/// command does.
///
/// It takes over the whole process, which must have only one thread. All signals are blocked, the
/// current directory is left, and descriptors are closed. Standard error and
/// the terminal stay open; standard error that is a pipe stays open only if [`Habits::is_verbose`].
///
/// ```no_run
/// use rootlet::{Habits, Init};
///
/// struct Quiet;
/// impl Habits for Quiet {}
/// let mut init = Init::new();
/// let status = init.command("server").arg("--port=80").grace(10).run(&Quiet)?;
/// # Ok::<(), rootlet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Init {
    pub(super) words: Vec<Name>,
    pub(super) environment: Vec<Name>,
    /// The last variable that cannot be meant.
    wrong: Option<Error>,
    pub(super) directory: Option<Name>,
    pub(super) rewritten: [Option<u8>; 65],
    pub(super) to_group: bool,
    pub(super) grouping: Grouping,
    pub(super) suspend: bool,
    pub(super) subreaper: bool,
    pub(super) parent_death: Option<u32>,
    pub(super) grace: u64,
    pub(super) expected: [bool; 256],
}

/// The process group and the session of the command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Grouping {
    /// Depending on the terminal.
    ByTerminal,
    /// Its own group, with the foreground if we have it.
    Own,
    /// Our group.
    Shared,
    /// Its own session, with the terminal.
    Session,
}

impl Default for Init {
    fn default() -> Init {
        Init::new()
    }
}

impl Init {
    /// Makes an init without a command. It only reaps, until INT or TERM arrives.
    pub fn new() -> Init {
        Init {
            words: Vec::new(),
            environment: Vec::new(),
            wrong: None,
            directory: None,
            rewritten: [None; 65],
            to_group: false,
            grouping: Grouping::ByTerminal,
            suspend: false,
            subreaper: true,
            parent_death: None,
            grace: 0,
            expected: [false; 256],
        }
    }

    /// Sets the command, and keeps its arguments.
    pub fn command(&mut self, name: impl AsBytes) -> &mut Init {
        let name = Name::new(name.as_bytes());
        match self.words.first_mut() {
            Some(first) => *first = name,
            None => self.words.push(name),
        }
        self
    }

    /// Adds an argument to the command. Without a command, this sets an empty one, which cannot be
    /// run.
    pub fn arg(&mut self, argument: impl AsBytes) -> &mut Init {
        if self.words.is_empty() {
            self.command("");
        }
        self.words.push(Name::new(argument.as_bytes()));
        self
    }

    /// Sets a variable of the command's environment, which is empty at first. Sockets and a watchdog
    /// that were handed to us become the command's: a LISTEN_PID or WATCHDOG_PID with our pid gets the
    /// command's, and a LISTEN_PIDFDID likewise (sd_listen_fds(3), sd_watchdog_enabled(3)).
    ///
    /// A name that is empty or has a `=` is an error when the command is started:
    ///
    /// ```
    /// use rootlet::{ErrorKind, Habits, Init};
    ///
    /// struct Quiet;
    /// impl Habits for Quiet {}
    /// let error = Init::new().command("true").env("A=B", "").run(&Quiet).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidInput);
    /// ```
    pub fn env(&mut self, name: impl AsBytes, value: impl AsBytes) -> &mut Init {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        if name.is_empty() || name.contains(&b'=') {
            let why = "Init::env: a name must not be empty or contain '='";
            self.wrong = Some(Error::because(Step::TakeName, name, why));
        }
        self.environment.push(Name::joined(&[name, b"=", value]));
        self
    }

    /// Adds a variable, `NAME=VALUE`, as another process had it.
    #[allow(dead_code, reason = "the library has no drop-in names")]
    pub(crate) fn variable(&mut self, variable: &[u8]) -> &mut Init {
        self.environment.push(Name::new(variable));
        self
    }

    /// Starts the command in this directory instead of the current one.
    pub fn current_dir(&mut self, directory: impl AsBytes) -> &mut Init {
        self.directory = Some(Name::new(directory.as_bytes()));
        self
    }

    /// Sends signals to the command's process group, which is then its own.
    pub fn signal_group(&mut self) -> &mut Init {
        self.to_group = true;
        self.own_group()
    }

    /// Gives the command its own process group, regardless of the terminal.
    pub fn own_group(&mut self) -> &mut Init {
        self.grouping = Grouping::Own;
        self
    }

    /// Leaves the command in our process group.
    pub fn shared_group(&mut self) -> &mut Init {
        self.grouping = Grouping::Shared;
        self.to_group = false;
        self
    }

    /// Gives the command its own session, with the terminal on standard input if there is one.
    /// Signals go to the whole process group, and it gets TERM when the command has ended.
    pub fn new_session(&mut self) -> &mut Init {
        self.grouping = Grouping::Session;
        self.to_group = true;
        self
    }

    /// Stops this process too when a signal arrives that stops a job (TSTP, TTIN, TTOU).
    pub fn suspend(&mut self) -> &mut Init {
        self.suspend = true;
        self
    }

    /// Sends `new` when `old` arrives, or nothing if `new` is 0. Numbers that are no signals are
    /// ignored.
    pub fn rewrite(&mut self, old: i32, new: i32) -> &mut Init {
        let slot = usize::try_from(old).ok();
        let slot = slot.and_then(|old| self.rewritten.get_mut(old));
        if let (Some(to), 0..=64) = (slot, new) {
            *to = Some(new as u8);
        }
        self
    }

    /// Returns whether `old` is rewritten.
    pub fn is_rewritten(&self, old: i32) -> bool {
        self.rewritten
            .get(old as usize)
            .is_some_and(Option::is_some)
    }

    /// Leaves orphans to another process, instead of becoming a child subreaper when we are not pid
    /// 1.
    pub fn no_subreaper(&mut self) -> &mut Init {
        self.subreaper = false;
        self
    }

    /// Requests this signal for the end of our parent, by `prctl(2)`.
    pub fn parent_death(&mut self, signal: i32) -> &mut Init {
        self.parent_death = Some(signal as u32);
        self
    }

    /// Sends TERM to the remaining processes when the command has ended, and KILL after this many
    /// seconds. The command has the same time to end after HUP, INT, QUIT or TERM was sent on.
    ///
    /// The remaining processes are the whole pid namespace for its pid 1, including children of
    /// others. For any other process they are its descendants or, without `/proc` to find them, the
    /// command's process group.
    pub fn grace(&mut self, seconds: u32) -> &mut Init {
        self.grace = u64::from(seconds) * NANOSECONDS;
        self
    }

    /// Treats this exit status as success.
    pub fn expect(&mut self, status: u8) -> &mut Init {
        self.expected[usize::from(status)] = true;
        self
    }

    /// Runs the command, and returns the status to exit with: the command's, or 128 plus the number
    /// of the signal that killed it.
    ///
    /// # Errors
    ///
    /// The reason that keeps us from being an init. A command that cannot be run is no error here:
    /// its process reports that, and exits with the status from [`Habits::failed`].
    pub fn run(&self, habits: &dyn Habits) -> Result<u8, Error> {
        if let Some(error) = &self.wrong {
            return Err(error.clone());
        }
        self.run_in(&Around::default(), habits)
    }
}
