//! `Foreground`: a run that is the whole purpose of the program.

use alloc::vec::Vec;

use crate::chroot::command::Command;
use crate::error::{Error, Step};
use crate::process::stdio::Stdio;
use crate::run::Afterwards;
use crate::sys::Errno;
use crate::sys::process::ExitStatus;

/// A command that is the whole purpose of the program, as in `rootlet run`. It takes over the
/// program's signals and terminal. [`Command::foreground`] makes one.
///
/// Any other program calls [`Command::status`], which leaves signals and the terminal alone.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// use rootlet::Chroot;
///
/// let mut command = Chroot::new("/").command("sh");
/// let status = command.args(["-c", "exit 3"]).foreground().run()?;
/// assert_eq!(status.code(), Some(3));
/// # Ok::<(), rootlet::Error>(())
/// ```
#[derive(Debug)]
pub struct Foreground<'a> {
    command: &'a mut Command,
    warnings: Vec<Error>,
}

impl Command {
    /// Passes the program's signals and terminal to the command: see [`Foreground`].
    pub fn foreground(&mut self) -> Foreground<'_> {
        // A forgotten one (core::mem::forget) has left a descriptor that may be closed by now.
        self.forget_foreground();
        Foreground {
            command: self,
            warnings: Vec::new(),
        }
    }

    fn forget_foreground(&mut self) {
        self.pty = false;
        self.status_descriptor = None;
    }

    /// Sets the option of [`Foreground::pty`].
    pub(crate) fn set_pty(&mut self) {
        self.pty = true;
    }

    /// Sets the option of [`Foreground::status_raw_fd`].
    pub(crate) fn set_status_fd(&mut self, number: u32) {
        self.status_descriptor = Some(number);
    }
}

impl Foreground<'_> {
    /// Gives the command its own terminal (`pty(7)`) in the place of the caller's, if one of the
    /// standard descriptors is the caller's terminal. Input that the command pushes into its
    /// terminal (`ioctl(TIOCSTI)`) then does not reach the caller's shell. Keys, job control and
    /// the window's size are passed on.
    ///
    /// The terminal is opened in the run's own devpts if one is mounted on `/dev/pts`, as with
    /// [`Chroot::minimal_dev`](crate::Chroot::minimal_dev) and in a user namespace, and otherwise
    /// in the host's. It belongs to the user of [`Chroot::user`](crate::Chroot::user), with mode
    /// 620. Its group is `tty` of the new root if the user is named and the group exists, and
    /// otherwise the user's main group. In the host's devpts it keeps the group that this devpts
    /// gives.
    pub fn pty(&mut self) -> &mut Self {
        self.command.set_pty();
        self
    }

    /// Reports the progress of the run on this descriptor of the caller, as lines of JSON:
    ///
    /// - `{"child-pid":N}` when the command was executed, with its pid in the caller's pid
    ///   namespace;
    /// - then `{"exit-code":N}` or `{"signal":N}`, when it has ended;
    /// - or, at any time, as the last line, `{"error":{"step":"open the new
    ///   root","object":"/srv","errno":2,"message":"…"}}`, when rootlet has failed: the step, its
    ///   object, the kernel's error number or `null`, and the whole error line.
    ///
    /// Real root inside may do anything to pid 1, so it can make its own run report a false end. No
    /// other process can.
    ///
    /// A byte that is not UTF-8 becomes U+FFFD. In the message, which is the printed line, it
    /// becomes `\xff`. If there is no last line, rootlet was killed. With the feature `std` there
    /// is `Foreground::status_fd`, which is safe.
    ///
    /// # Safety
    ///
    /// The descriptor is open, and stays open until the run is over.
    pub unsafe fn status_raw_fd(&mut self, number: i32) -> &mut Self {
        // No descriptor has such a large number.
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.command.set_status_fd(number);
        self
    }

    /// Runs the command and waits for it. All signals of the calling thread are blocked, stay
    /// blocked afterwards, and go to the command instead. The command gets the foreground of the
    /// terminal, and a stop of the command stops this process. An interrupt key that ends the
    /// command, in a script on a terminal, also ends this process.
    ///
    /// The command has the standard descriptors and no others, and ends when this process does.
    /// Processes that it leaves running are killed. Mount points that were made for the run are
    /// removed.
    ///
    /// The process inside is made by `clone3(2)` (Linux 5.3) or `clone(2)`, in new namespaces
    /// (`namespaces(7)`); the [front page](crate) lists the calls it makes there. Waiting is one
    /// `ppoll(2)` without a timeout.
    ///
    /// # Errors
    ///
    /// Every reason that keeps the command from running; [`Error::status`] is the exit status for
    /// it. EINVAL for a pipe as a standard descriptor, because nobody would have its other end.
    pub fn run(&mut self) -> Result<ExitStatus, Error> {
        if self.command.standard.iter().flatten().any(Stdio::is_piped) {
            return Err(Error::new(
                Step::StandardDescriptor,
                b"a pipe",
                Errno::EINVAL,
            ));
        }
        let (status, warnings, _) = self.command.run_with(Afterwards::GoesOn)?;
        self.warnings = warnings;
        Ok(status)
    }

    /// Returns the warnings of the last run: mounts that were left out and mount points that could
    /// not be removed, as for [`Child::warnings`](crate::Child::warnings).
    pub fn warnings(&self) -> &[Error] {
        &self.warnings
    }
}

impl Drop for Foreground<'_> {
    /// Resets the options, which were meant for this run and not for the command's next one.
    fn drop(&mut self) {
        self.command.forget_foreground();
    }
}
