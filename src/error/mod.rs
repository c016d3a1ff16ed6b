//! Errors: what was being done, to what, and why it failed. This is the one place that turns an error
//! into words.
//!
//! An error may arise in a forked child of a program with threads, where the allocator's lock may be
//! held. Nothing here allocates.

mod hint;
pub(crate) mod kind;
#[cfg(all(test, in_clone))]
mod messages;
mod step;
mod verbose;

use alloc::string::String;
use core::fmt;

use crate::error::hint::{Hints, of_usage};
use crate::sys::Errno;
use crate::sys::memory::{Noted, Page};
use crate::sys::process::is_filtered;
use crate::text::line::Line;

pub(crate) use step::Step;
pub(crate) use verbose::Verbose;

/// An error: the step that failed, the objects it was about, and the reason.
///
/// Its text is one line, without a program's name in front and without a newline at the end:
/// `cannot mount proc on /proc: Operation not permitted (EPERM)`. In paths, control characters (C0
/// and C1), overrides of the text direction and bytes that are not UTF-8 are escaped, as in `\x1b`.
///
/// ```
/// use rootlet::Chroot;
///
/// let error = Chroot::new("/no/such/root").command("true").status().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "cannot open the new root /no/such/root: No such file or directory (ENOENT)"
/// );
/// assert_eq!(error.status(), 125);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Page<Noted<Failure>>);

/// The parts of an error besides its object and its place. They are behind a pointer, so that a result
/// is returned in registers. The memory is a mapping, since there are errors after a fork too.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Failure {
    step: Step,
    why: Why,
    /// The hint for the cause that was found.
    hint: Option<&'static str>,
}

/// The reason: the kernel's, or rootlet's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    Errno(Errno),
    Because(&'static str),
    #[cfg_attr(not(feature = "call"), allow(dead_code))]
    Signal(u8),
}

impl Error {
    /// Returns the error of a step that the kernel refused.
    // Not inlined, since it is called wherever a step fails.
    #[inline(never)]
    pub(crate) fn new(step: Step, object: &[u8], errno: Errno) -> Error {
        Error::between(step, object, b"", errno)
    }

    /// Returns the error of a step with an object and a place that the kernel refused.
    #[inline(never)]
    pub(crate) fn between(step: Step, object: &[u8], place: &[u8], errno: Errno) -> Error {
        Error::made(step, object, place, Why::Errno(errno))
    }

    /// Returns the error of a step that rootlet itself refused.
    pub(crate) fn because(step: Step, object: &[u8], why: &'static str) -> Error {
        Error::made(step, object, b"", Why::Because(why))
    }

    /// Returns the error for the end of a process inside that reported no error.
    pub(crate) fn killed_inside() -> Error {
        Error::because(Step::Prepare, b"", "the process inside was killed")
    }

    /// Returns the error for a pid 1 that did not answer in time, and was killed.
    pub(crate) fn no_answer() -> Error {
        let why = "it does not answer: it is stopped or blocked on a file system";
        Error::because(Step::Wait, b"pid 1", why)
    }

    /// Returns the error for a wrong command line: `what` and `why` make the line. `role` selects the
    /// help that the hint names.
    #[inline(never)]
    pub(crate) fn usage(role: &'static [u8], what: &[&[u8]], why: &'static str) -> Error {
        Error::made(Step::Usage, &what.concat(), role, Why::Because(why))
    }

    /// Puts the name of the option in front, if this is an error of usage.
    #[allow(dead_code, reason = "the binary uses it")]
    pub(crate) fn of_option(self, role: &'static [u8], option: &[u8]) -> Error {
        match (self.step(), self.why()) {
            (Step::Usage, Why::Because(why)) => {
                Error::usage(role, &[option, b": ", self.object()], why)
            }
            _ => self,
        }
    }

    /// Returns a warning: its text is the words of the step alone.
    pub(crate) fn instead(step: Step) -> Error {
        Error::new(step, b"", Errno::EPERM)
    }

    /// Returns the error of a step that a signal ended.
    #[cfg_attr(not(feature = "call"), allow(dead_code))]
    pub(crate) fn signal(step: Step, signal: u8) -> Error {
        Error::made(step, b"", b"", Why::Signal(signal))
    }

    #[inline(never)]
    fn made(step: Step, object: &[u8], place: &[u8], why: Why) -> Error {
        let failure = Failure {
            step,
            why,
            hint: None,
        };
        Error(Page::noted(failure, [object, place]))
    }

    fn step(&self) -> Step {
        self.0.value.step
    }

    fn why(&self) -> Why {
        self.0.value.why
    }

    fn object(&self) -> &[u8] {
        self.0.texts()[0]
    }

    fn place(&self) -> &[u8] {
        self.0.texts()[1]
    }

    /// Marks the error as one of `init`, which has no new root, so that no hint mentions one.
    pub(crate) fn in_place(mut self) -> Error {
        if self.step() == Step::Execute {
            self.0.value.step = Step::ExecuteInPlace;
        }
        self
    }

    /// Returns the errno, if the kernel refused the step.
    pub fn errno(&self) -> Option<i32> {
        match self.why() {
            Why::Errno(errno) => Some(errno.number()),
            Why::Because(_) | Why::Signal(_) => None,
        }
    }

    /// Returns the reason alone, such as `No such file or directory`. A rare errno is only its name,
    /// such as `EPROTO`.
    pub fn reason(&self) -> &'static str {
        match self.why() {
            Why::Errno(errno) => match errno.describe() {
                (name, "") => name,
                (_, words) => words,
            },
            Why::Because(words) => words,
            Why::Signal(_) => "a signal killed it",
        }
    }

    /// Returns the words of the step, and its object.
    pub(crate) fn step_and_object(&self) -> (&'static str, &[u8]) {
        (self.step().words().0, self.object())
    }

    /// Returns the step, its object and the errno, for the search for the cause.
    pub(crate) fn failed(&self) -> (Step, &[u8], Option<Errno>) {
        let errno = match self.why() {
            Why::Errno(errno) => Some(errno),
            Why::Because(_) | Why::Signal(_) => None,
        };
        (self.step(), self.object(), errno)
    }

    /// Adds the hint for the cause that was found.
    pub(crate) fn with_hint(mut self, hint: &'static str) -> Error {
        self.0.value.hint = Some(hint);
        self
    }

    /// Returns whether the source of a mount does not exist.
    pub(crate) fn is_missing_source(&self) -> bool {
        (self.step(), self.why()) == (Step::OpenSource, Why::Errno(Errno::ENOENT))
    }

    /// Returns whether a mount point is missing and must not be made there.
    pub(crate) fn is_missing_mount_point(&self) -> bool {
        let is_made = matches!(self.step(), Step::MakeOutside | Step::MakeMountPoint);
        let refused = [Errno::EACCES, Errno::EPERM, Errno::EROFS, Errno::EXDEV];
        let absent = [Errno::ENOENT, Errno::ENOTDIR];
        let is_meant = |errno: &Errno| self.why() == Why::Errno(*errno);
        is_made && refused.iter().chain(&absent).any(is_meant)
    }

    /// Returns whether no new proc could be mounted for the run's own pid namespace.
    pub(crate) fn is_of_own_proc(&self) -> bool {
        self.step() == Step::MountProc
    }

    /// Returns the exit status for this error: 127 for a command that does not exist, 126 for one that
    /// cannot be executed, 125 for any other error.
    pub fn status(&self) -> u8 {
        match (self.step(), self.why()) {
            (
                Step::Execute
                | Step::ExecuteInPlace
                | Step::ExecuteWithoutInterpreter
                | Step::ExecuteWithCarriageReturn,
                Why::Errno(Errno::ENOENT),
            ) => 127,
            (
                Step::Execute
                | Step::ExecuteInPlace
                | Step::ExecuteWithoutInterpreter
                | Step::ExecuteWithCarriageReturn
                | Step::ExecuteForeign,
                _,
            ) => 126,
            _ => 125,
        }
    }

    /// Returns advice on what to do, if the cause is known.
    pub fn hint(&self) -> Option<&'static str> {
        if self.0.value.hint.is_some() {
            return self.0.value.hint;
        }
        let errno = match self.why() {
            Why::Errno(errno) => errno,
            Why::Because(_) if self.step() == Step::Usage => return of_usage(self.place()),
            Why::Because(_) | Why::Signal(_) => return None,
        };
        if errno == Errno::EMFILE {
            return Some("the limit on open files is reached (ulimit -n)");
        }
        if (self.step(), errno) == (Step::ExecuteInPlace, Errno::ENOENT)
            && self.object().starts_with(b"-")
        {
            return Some("rootlet's own options come first: rootlet init [OPTION]... [--] COMMAND");
        }
        if let (Step::Execute, Errno::ENOENT, true) = (
            self.step(),
            errno,
            cfg!(any(feature = "run", feature = "boot")),
        ) {
            if self.object().starts_with(b"-") {
                return Some(
                    "rootlet's own options come first: rootlet run [OPTION]... NEWROOT COMMAND",
                );
            }
            if self.object() == b"/bin/sh" {
                return Some(
                    "NEWROOT has no shell: name a COMMAND that exists there, or fill NEWROOT with \
                     'mmdebstrap --variant=minbase stable NEWROOT' or a static busybox as \
                     NEWROOT/bin/sh",
                );
            }
        }
        let hint = Hints::OF_ALL.find(self.step(), errno);
        if hint.is_some() || !cfg!(any(feature = "run", feature = "boot")) {
            return hint;
        }
        if matches!(errno, Errno::EPERM | Errno::ENOSYS) && is_filtered() {
            let of_filters = Hints::OF_FILTERS.find(self.step(), Errno::EPERM);
            if of_filters.is_some() {
                return of_filters;
            }
        }
        Hints::OF_RUN.find(self.step(), errno)
    }

    /// Returns the line, without the hint.
    pub(crate) fn line(&self) -> Line {
        let mut line = Line::new();
        self.write(&mut line);
        line
    }

    /// Prints the line, and the `hint:` line if there is one, on standard error in one write.
    pub(crate) fn print(&self) {
        let mut line = Line::new();
        line.push(b"rootlet: ");
        self.write(&mut line);
        line.push(b"\n");
        if let Some(hint) = self.hint() {
            line.push(b"hint: ");
            line.push(hint.as_bytes());
            line.push(b"\n");
        }
        line.print();
    }

    fn write(&self, line: &mut Line) {
        if self.step() == Step::Usage {
            line.push_name(self.object());
            if !self.object().is_empty() && self.why() != Why::Because("") {
                line.push(b" ");
            }
        } else if self.step().is_whole() {
            return line.push_step(self.step(), b"", b"");
        } else {
            line.push(b"cannot ");
            line.push_step(self.step(), self.object(), self.place());
            line.push(b": ");
        }
        match self.why() {
            Why::Because(words) => line.push(words.as_bytes()),
            Why::Signal(signal) => {
                line.push(b"signal ");
                line.push_number(signal.into());
                line.push(b" killed it");
            }
            Why::Errno(errno) => {
                let (name, words) = errno.describe();
                if name.is_empty() {
                    line.push(b"error ");
                    line.push_number(errno.number() as u32);
                } else if words.is_empty() {
                    line.push(name.as_bytes());
                } else {
                    line.push(words.as_bytes());
                    line.push(b" (");
                    line.push(name.as_bytes());
                    line.push(b")");
                }
            }
        }
    }

    /// Returns the parts of an error of the kernel's, to send them to the supervisor.
    pub(crate) fn parts(&self) -> Option<(Step, &[u8], &[u8], Errno)> {
        match self.why() {
            Why::Errno(errno) => Some((self.step(), self.object(), self.place(), errno)),
            Why::Because(_) | Why::Signal(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(self.line().bytes()))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("Error")
            .field("kind", &self.kind())
            .field("message", &format_args!("{self}"))
            .finish()
    }
}

impl core::error::Error for Error {
    /// Returns the [`Errno`], if the kernel refused the step.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.0.value.why {
            Why::Errno(errno) => Some(errno),
            Why::Because(_) | Why::Signal(_) => None,
        }
    }
}

/// Prints the words of a step on standard error.
pub(crate) fn say(step: Step) {
    let mut line = Line::new();
    line.push(b"rootlet: ");
    line.push_step(step, b"", b"");
    line.push(b"\n");
    line.print();
}

/// Prints on standard error that an optional mount is left out, and why.
pub(crate) fn say_left_out(error: &Error) {
    let mut line = Line::new();
    line.push(b"rootlet: left out: ");
    error.write(&mut line);
    line.push(b"\n");
    line.print();
}
