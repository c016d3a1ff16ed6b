//! `Foreground`: a run that is the purpose of the program.

use alloc::vec::Vec;

use crate::chroot::command::Command;
use crate::error::{Error, Step};
use crate::process::stdio::Stdio;
use crate::run::Afterwards;
use crate::sys::Errno;
use crate::sys::process::ExitStatus;

/// A command that the program is there for, as `rootlet run` is: it takes the program's signals and its
/// terminal. [`Command::foreground`] makes one.
///
/// Any other program calls [`Command::status`], which leaves signals and the terminal as they are.
///
/// ```
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
    /// Has the program's signals and its terminal go to the command: see [`Foreground`].
    pub fn foreground(&mut self) -> Foreground<'_> {
        // One that was forgotten (core::mem::forget) has left a descriptor that may be closed by now.
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

    /// As [`Foreground::pty`].
    pub(crate) fn set_pty(&mut self) {
        self.pty = true;
    }

    /// As [`Foreground::status_raw_fd`].
    pub(crate) fn set_status_fd(&mut self, number: u32) {
        self.status_descriptor = Some(number);
    }
}

impl Foreground<'_> {
    /// Gives the command a terminal of its own (`pty(7)`) in the place of the caller's, where one of
    /// the standard descriptors is that: what it pushes into the input of its terminal
    /// (`ioctl(TIOCSTI)`) does not reach the caller's shell. Keys, job control and the window's size
    /// are passed on.
    ///
    /// It is opened in the run's own devpts where one is mounted on `/dev/pts`, as with
    /// [`Chroot::minimal_dev`](crate::Chroot::minimal_dev) and in a user namespace, else in the host's. It
    /// belongs to the user of [`Chroot::user`](crate::Chroot::user), with mode 620, and to the group `tty`
    /// of the new root if the user is named and there is such a group, else to the main group, in the
    /// host's devpts to the group that this gives.
    pub fn pty(&mut self) -> &mut Self {
        self.command.set_pty();
        self
    }

    /// Tells how the run goes on the caller's descriptor of this number, in lines of JSON:
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
    /// printed. Without a last line rootlet was killed. With the feature `std` there is
    /// `Foreground::status_fd`, which is safe.
    ///
    /// # Safety
    ///
    /// The descriptor is open, and stays so until the run is over.
    pub unsafe fn status_raw_fd(&mut self, number: i32) -> &mut Self {
        // None has so great a number.
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.command.set_status_fd(number);
        self
    }

    /// Runs the command and waits for it: all signals of the calling thread are blocked, and stay so,
    /// and go to the command instead; the command gets the foreground of the terminal, and a stop of the
    /// command stops this process. When a key that interrupts has ended the command, in a script on a
    /// terminal, it ends this process as well.
    ///
    /// The command has the standard descriptors and no others, and ends when this process does.
    /// What it leaves running is killed. Mount points that were made for the run are removed.
    ///
    /// The process inside is made by `clone3(2)` (Linux 5.3) or `clone(2)`, in new namespaces
    /// (`namespaces(7)`); the [front page](crate) lists the calls it makes there. Waiting is one
    /// `ppoll(2)` without a limit of time.
    ///
    /// # Errors
    ///
    /// Whatever keeps the command from running; [`Error::status`] is the exit status for it. EINVAL for
    /// a pipe as a standard descriptor, whose other end nobody would have.
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

    /// What was left out of the run, and what could not be removed, as for
    /// [`Child::warnings`](crate::Child::warnings).
    pub fn warnings(&self) -> &[Error] {
        &self.warnings
    }
}

impl Drop for Foreground<'_> {
    /// What was asked of this run does not hold for the command's next one.
    fn drop(&mut self) {
        self.command.forget_foreground();
    }
}
