//! What was being done, to what, and why it failed; and the one place where it becomes words.

mod hint;
mod step;
mod verbose;

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use crate::error::hint::{Hints, of_usage};
use crate::sys::Errno;
use crate::sys::memory::Page;
use crate::sys::process::is_filtered;
use crate::text::line::Line;

pub use step::Step;
pub(crate) use verbose::Verbose;

/// What went wrong: the step, the objects it was about, and the reason.
///
/// Shown, it is one line without a program's name in front and without a newline at the end:
/// `cannot mount proc on /proc: Operation not permitted (EPERM)`. Control characters (C0 and
/// C1), overrides of the text direction and bytes that are not UTF-8 are escaped in paths, such as
/// `\x1b`.
///
/// ```
/// use rootlet::Chroot;
///
/// let error = Chroot::new("/no/such/root").command("true").run().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "cannot open the new root /no/such/root: No such file or directory (ENOENT)"
/// );
/// assert_eq!(error.status(), 125);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error<'a>(Page<Failure<'a>>);

/// What an error tells. It is behind a pointer, so that a result is returned in registers, and not
/// in the allocator's memory, since there are errors after a fork too.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Failure<'a> {
    step: Step,
    object: Cow<'a, [u8]>,
    place: Cow<'a, [u8]>,
    why: Why,
    /// What to do about the cause that was found.
    hint: Option<&'static str>,
}

/// The reason: the kernel's, or ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    Errno(Errno),
    Because(&'static str),
    Signal(u8),
}

impl<'a> Error<'a> {
    /// The kernel refused a step.
    // Once, not wherever something fails.
    #[inline(never)]
    #[doc(hidden)]
    pub fn new(step: Step, object: &'a [u8], errno: Errno) -> Error<'a> {
        Error::between(step, object, b"", errno)
    }

    /// The kernel refused a step that has an object and a place.
    #[inline(never)]
    pub(crate) fn between(
        step: Step,
        object: &'a [u8],
        place: &'a [u8],
        errno: Errno,
    ) -> Error<'a> {
        Error(Page::new(Failure {
            step,
            object: Cow::Borrowed(object),
            place: Cow::Borrowed(place),
            why: Why::Errno(errno),
            hint: None,
        }))
    }

    /// We refused, for a reason of our own.
    #[doc(hidden)]
    pub fn because(step: Step, object: &[u8], why: &'static str) -> Error<'static> {
        Error(Page::new(Failure {
            step,
            object: Cow::Owned(object.to_vec()),
            place: Cow::Borrowed(b""),
            why: Why::Because(why),
            hint: None,
        }))
    }

    /// What is wrong with the command line: `what` and `why` are the line. `role` is what the help is
    /// asked for by, if it is known.
    #[inline(never)]
    #[doc(hidden)]
    pub fn usage(role: &'static [u8], what: &[&[u8]], why: &'static str) -> Error<'static> {
        Error(Page::new(Failure {
            step: Step::Usage,
            object: Cow::Owned(what.concat()),
            place: Cow::Borrowed(role),
            why: Why::Because(why),
            hint: None,
        }))
    }

    /// The same error, if it is one of usage, as that of an option: its name stands in front.
    #[doc(hidden)]
    pub fn of_option(self, role: &'static [u8], option: &[u8]) -> Error<'static> {
        match (self.0.step, self.0.why) {
            (Step::Usage, Why::Because(why)) => {
                Error::usage(role, &[option, b": ", &self.0.object], why)
            }
            _ => self.into_owned(),
        }
    }

    /// A signal ended what was being done.
    pub(crate) fn signal(step: Step, signal: u8) -> Error<'static> {
        Error(Page::new(Failure {
            step,
            object: Cow::Borrowed(b""),
            place: Cow::Borrowed(b""),
            why: Why::Signal(signal),
            hint: None,
        }))
    }

    /// The same error of an `init`, which has no new root that a hint could speak of.
    pub(crate) fn in_place(mut self) -> Error<'a> {
        if self.0.step == Step::Execute {
            self.0.step = Step::ExecuteInPlace;
        }
        self
    }

    /// The same error, borrowing nothing.
    pub(crate) fn into_owned(self) -> Error<'static> {
        Error(Page::new(Failure {
            step: self.0.step,
            object: Cow::Owned(self.0.object.to_vec()),
            place: Cow::Owned(self.0.place.to_vec()),
            why: self.0.why,
            hint: self.0.hint,
        }))
    }

    /// The kernel's reason, if it was the kernel that refused.
    pub fn errno(&self) -> Option<i32> {
        match self.0.why {
            Why::Errno(errno) => Some(errno.number()),
            Why::Because(_) | Why::Signal(_) => None,
        }
    }

    /// The reason alone, in words: `No such file or directory`; a rare one by its name, such as `EPROTO`.
    pub fn reason(&self) -> &'static str {
        match self.0.why {
            Why::Errno(errno) => match errno.describe() {
                (name, "") => name,
                (_, words) => words,
            },
            Why::Because(words) => words,
            Why::Signal(_) => "a signal killed it",
        }
    }

    /// What was done in words, and to what.
    pub(crate) fn step_and_object(&self) -> (&'static str, &[u8]) {
        (self.0.step.words().0, &self.0.object)
    }

    /// What failed, of what, and the kernel's reason, to look for the cause.
    pub(crate) fn failed(&self) -> (Step, &[u8], Option<Errno>) {
        let errno = match self.0.why {
            Why::Errno(errno) => Some(errno),
            Why::Because(_) | Why::Signal(_) => None,
        };
        (self.0.step, &self.0.object, errno)
    }

    /// The same error, with what to do about the cause that was found.
    pub(crate) fn with_hint(mut self, hint: &'static str) -> Error<'a> {
        self.0.hint = Some(hint);
        self
    }

    /// Is it that what should be mounted is not there?
    pub(crate) fn is_missing_source(&self) -> bool {
        (self.0.step, self.0.why) == (Step::OpenSource, Why::Errno(Errno::ENOENT))
    }

    /// Is it that a mount point is missing, and cannot be made?
    pub(crate) fn is_missing_mount_point(&self) -> bool {
        matches!(self.0.step, Step::MakeOutside | Step::MakeMountPoint)
    }

    /// Is it that a pid namespace of the run's own could have no proc?
    pub(crate) fn is_of_own_proc(&self) -> bool {
        self.0.step == Step::MountProc
    }

    /// The exit status that says it: 127 for a command that is not there, 126 for one that cannot
    /// be run, 125 for any other error.
    pub fn status(&self) -> u8 {
        match (self.0.step, self.0.why) {
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

    /// What to do about it, where the cause is known.
    pub fn hint(&self) -> Option<&'static str> {
        if self.0.hint.is_some() {
            return self.0.hint;
        }
        let errno = match self.0.why {
            Why::Errno(errno) => errno,
            Why::Because(_) if self.0.step == Step::Usage => return of_usage(&self.0.place),
            Why::Because(_) | Why::Signal(_) => return None,
        };
        if errno == Errno::EMFILE {
            return Some("the limit on open files is reached (ulimit -n)");
        }
        if (self.0.step, errno) == (Step::ExecuteInPlace, Errno::ENOENT)
            && self.0.object.starts_with(b"-")
        {
            return Some("rootlet's own options come first: rootlet init [OPTION]... [--] COMMAND");
        }
        if let (Step::Execute, Errno::ENOENT, true) = (
            self.0.step,
            errno,
            cfg!(any(feature = "run", feature = "boot")),
        ) {
            if self.0.object.starts_with(b"-") {
                return Some(
                    "rootlet's own options come first: rootlet run [OPTION]... NEWROOT COMMAND",
                );
            }
            if *self.0.object == *b"/bin/sh" {
                return Some(
                    "NEWROOT has no shell: name a COMMAND that is there, or fill it: 'mmdebstrap \
                     --variant=minbase stable NEWROOT', or a static busybox as NEWROOT/bin/sh",
                );
            }
        }
        let hint = Hints::OF_ALL.find(self.0.step, errno);
        if hint.is_some() || !cfg!(any(feature = "run", feature = "boot")) {
            return hint;
        }
        if matches!(errno, Errno::EPERM | Errno::ENOSYS) && is_filtered() {
            let of_filters = Hints::OF_FILTERS.find(self.0.step, Errno::EPERM);
            if of_filters.is_some() {
                return of_filters;
            }
        }
        Hints::OF_RUN.find(self.0.step, errno)
    }

    /// The line alone.
    pub(crate) fn line(&self) -> Line {
        let mut line = Line::new();
        self.write(&mut line);
        line
    }

    /// The line, and the `hint:` line where there is one, on standard error in one write.
    #[doc(hidden)]
    pub fn print(&self) {
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
        if self.0.step == Step::Usage {
            line.push_name(&self.0.object);
            if !self.0.object.is_empty() && self.0.why != Why::Because("") {
                line.push(b" ");
            }
        } else {
            line.push(b"cannot ");
            line.push_step(self.0.step, &self.0.object, &self.0.place);
            line.push(b": ");
        }
        match self.0.why {
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

    /// The parts of an error of the kernel's, as they are sent to our other process.
    pub(crate) fn parts(&self) -> Option<(Step, &[u8], &[u8], Errno)> {
        match self.0.why {
            Why::Errno(errno) => Some((self.0.step, &self.0.object, &self.0.place, errno)),
            Why::Because(_) | Why::Signal(_) => None,
        }
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(self.line().bytes()))
    }
}

impl core::error::Error for Error<'_> {}

/// Says on standard error what has happened.
pub(crate) fn say(step: Step) {
    let mut line = Line::new();
    line.push(b"rootlet: ");
    line.push_step(step, b"", b"");
    line.push(b"\n");
    line.print();
}

/// Says on standard error that an optional mount is left out, and why.
pub(crate) fn say_left_out(error: &Error) {
    let mut line = Line::new();
    line.push(b"rootlet: left out: ");
    error.write(&mut line);
    line.push(b"\n");
    line.print();
}
