//! What was being done, to what, and why it failed; and the one place where it becomes words.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use crate::short::Short;
use crate::sys::memory::Page;
use crate::sys::poll::{NANOSECONDS, clock};
use crate::sys::{self, BorrowedFd, Errno, fs, net};

/// What went wrong: the step, the objects it was about, and the reason.
///
/// Shown, it is one line without a program's name in front and without a newline at the end:
/// `cannot mount proc on /proc: Operation not permitted (EPERM)`. Control characters in paths are
/// written as `\x0a`.
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
}

/// The reason: the kernel's, or ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    Errno(Errno),
    Because(&'static str),
    Signal(u8),
}

macro_rules! steps {
    ($($(#[doc = $doc:literal])* $name:ident: $verb:literal $(, $preposition:literal)?;)*) => {
        /// The steps of a run, in the words that `--verbose` and error lines share.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Step {
            $($(#[doc = $doc])* $name,)*
        }

        impl Step {
            const ALL: &[Step] = &[$(Step::$name),*];
            // One text, since a table of references would be larger than it.
            const WORDS: &str = concat!($($verb, "|", $($preposition,)? "\n"),*);

            /// What is done to the object, and the word between the object and the place.
            fn words(self) -> (&'static str, &'static str) {
                sys::line(Step::WORDS, self as usize, b'|')
            }
        }
    };
}

steps! {
    /// Reading the command line.
    Usage: "use";
    /// Help, a version or a plan.
    Print: "write to";
    /// A mount's text form.
    ReadMount: "understand the mount";
    /// A name or path given to the library.
    TakeName: "take";
    /// The directory that becomes the root.
    OpenRoot: "open the new root";
    /// The working directory, where a relative path needs it.
    WorkingDirectory: "find the current directory";
    /// A terminal of the command's own.
    Pty: "give the command a terminal of its own";
    /// Descriptors for signals and for talking between our processes.
    Prepare: "prepare the run";
    /// A standard descriptor of the command.
    StandardDescriptor: "give the command";
    /// How it goes, for whoever asked to be told.
    TellStatus: "tell the status on";
    /// The process in its new namespaces.
    Namespaces: "make new namespaces";
    /// Ranges of ids in a user namespace.
    MapUsers: "map the caller's range of ids:";
    /// The caller's range of ids.
    FindRange: "find in", "a line such as";
    /// A type of namespace that the kernel lacks.
    Namespace: "make a new namespace of the type";
    /// The maps of a user namespace.
    MapIds: "write";
    /// Inherited descriptors.
    CloseFiles: "close inherited files";
    /// The propagation of the new mount namespace.
    Propagation: "make the new mount namespace a slave of the host's";
    /// The host and domain name.
    Hostname: "set the host name";
    /// As above.
    Domainname: "set the domain name";
    /// A copy of the new root's mounts.
    CloneRoot: "take the mounts of";
    /// The new root, for reading alone.
    ReadOnlyRoot: "make read-only the new root";
    /// Memory over the new root, for writes.
    Overlay: "put an overlay on";
    /// What a bind mount shows.
    OpenSource: "open";
    /// Where a mount goes.
    OpenTarget: "find the mount point";
    /// A directory or file made to be mounted on.
    MakeMountPoint: "make the mount point";
    /// The same, below something that is bound from the host.
    MakeOutside: "make the mount point";
    /// A mount point shared with another run.
    LockMountPoint: "lock the mount point";
    /// A mount.
    Mount: "mount", "on";
    /// A bind of the host's file system because a new one is not allowed.
    BindInstead: "mount the host's", "on";
    /// A mount's options.
    MountOptions: "set the mount options of";
    /// A minimal /dev.
    MakeDevices: "make the devices in";
    /// What is dangerous in proc.
    Mask: "mask";
    /// The new root in place of the old one.
    PivotRoot: "enter the new root";
    /// The old root.
    DetachOldRoot: "detach the old root";
    /// The command's process.
    Fork: "start a process for";
    /// The command's working directory.
    ChangeDirectory: "change to the directory";
    /// Users and groups of the new root.
    ReadOfRoot: "read the new root's";
    /// Who the command is to be.
    FindUser: "find the user";
    /// As above.
    FindGroup: "find the group";
    /// The supplementary groups.
    SetGroups: "set the supplementary groups";
    /// The main group.
    SetGroup: "take the group of";
    /// The user.
    SetUser: "become the user";
    /// What the command may not do.
    DropCapabilities: "drop capabilities";
    /// The command itself.
    Execute: "run";
    /// The command, which is there, but not what it needs to be run.
    ExecuteWithoutInterpreter: "run";
    /// The command, a program for another kind of machine.
    ExecuteForeign: "run";
    /// What the command writes.
    ReadOutput: "read the command's output";
    /// The end of a process.
    Wait: "wait for";
    /// A signal for a command that was spawned.
    Signal: "send a signal to";
    /// A command that was spawned, and is to live on.
    Detach: "detach";
    /// What the command asked for with reboot(2).
    Restart: "the command asked for a restart, and ended its root with that";
    /// As above.
    PowerOff: "the command asked for a power off, and ended its root with that";
    /// The role of `/init`.
    Boot: "boot here";
    /// A file of the initramfs.
    ReadFile: "read";
    /// What the kernel tells of devices.
    AwaitDevices: "hear of devices";
    /// A kernel module.
    LoadModule: "load the module";
    /// A virtio serial port.
    OpenPort: "open the port";
    /// The terminal for a guest's command.
    OpenTerminal: "open the terminal";
    /// What `root=` names.
    FindRoot: "find the root device";
    /// A file system of a device.
    MountAs: "mount", "as";
    /// One of /dev, /proc, /sys and /run.
    MoveMount: "move the mount", "into the new root";
    /// A network device.
    Network: "set up the network device";
    /// A closure in the new root.
    Call: "finish the closure";
    /// The mount points that rootlet made.
    RemoveMountPoint: "remove the mount point";
}

impl<'a> Error<'a> {
    /// The kernel refused a step.
    #[doc(hidden)]
    pub fn new(step: Step, object: &'a [u8], errno: Errno) -> Error<'a> {
        Error::between(step, object, b"", errno)
    }

    /// The kernel refused a step that has an object and a place.
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
        }))
    }

    /// A signal ended what was being done.
    pub(crate) fn signal(step: Step, signal: u8) -> Error<'static> {
        Error(Page::new(Failure {
            step,
            object: Cow::Borrowed(b""),
            place: Cow::Borrowed(b""),
            why: Why::Signal(signal),
        }))
    }

    /// The same error, borrowing nothing.
    pub(crate) fn into_owned(self) -> Error<'static> {
        Error(Page::new(Failure {
            step: self.0.step,
            object: Cow::Owned(self.0.object.to_vec()),
            place: Cow::Owned(self.0.place.to_vec()),
            why: self.0.why,
        }))
    }

    /// The kernel's reason, if it was the kernel that refused.
    pub fn errno(&self) -> Option<i32> {
        match self.0.why {
            Why::Errno(errno) => Some(errno.number()),
            Why::Because(_) | Why::Signal(_) => None,
        }
    }

    /// The reason alone, in words: `No such file or directory`.
    pub fn reason(&self) -> &'static str {
        match self.0.why {
            Why::Errno(errno) => errno.describe().1,
            Why::Because(words) => words,
            Why::Signal(_) => "a signal killed it",
        }
    }

    /// What was done in words, and to what.
    pub(crate) fn step_and_object(&self) -> (&'static str, &[u8]) {
        (self.0.step.words().0, &self.0.object)
    }

    /// Is it that what should be mounted is not there?
    pub(crate) fn is_missing_source(&self) -> bool {
        (self.0.step, self.0.why) == (Step::OpenSource, Why::Errno(Errno::ENOENT))
    }

    /// Is it that the limit on open files was reached?
    pub(crate) fn is_of_too_many_files(&self) -> bool {
        self.0.why == Why::Errno(Errno::EMFILE)
    }

    /// Is it that the end of a process could not be waited for?
    pub(crate) fn is_of_waiting(&self) -> bool {
        self.0.step == Step::Wait
    }

    /// The exit status that says it: 127 for a command that is not there, 126 for one that cannot
    /// be run, 125 for everything else.
    pub fn status(&self) -> u8 {
        match (self.0.step, self.0.why) {
            (Step::Execute | Step::ExecuteWithoutInterpreter, Why::Errno(Errno::ENOENT)) => 127,
            (Step::Execute | Step::ExecuteWithoutInterpreter | Step::ExecuteForeign, _) => 126,
            _ => 125,
        }
    }

    /// What to do about it, where the cause is known.
    pub fn hint(&self) -> Option<&'static str> {
        let errno = match self.0.why {
            Why::Errno(errno) => errno,
            Why::Because(_) if self.0.step == Step::Usage => {
                return Some(
                    "'rootlet help', 'rootlet help run' and 'rootlet help init' list what can be \
                     given; the options of a command come after it",
                );
            }
            Why::Because(_) | Why::Signal(_) => return None,
        };
        if errno == Errno::EMFILE {
            return Some("the limit on open files is reached (ulimit -n)");
        }
        if let (Step::Execute, Errno::ENOENT) = (self.0.step, errno) {
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
        match cfg!(any(feature = "run", feature = "boot")) {
            true => hint.or_else(|| Hints::OF_RUN.find(self.0.step, errno)),
            false => hint,
        }
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
        line.push(b"cannot ");
        line.push_step(self.0.step, &self.0.object, &self.0.place);
        line.push(b": ");
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
                } else {
                    line.push(words.as_bytes());
                    line.push(b" (");
                    line.push(name.as_bytes());
                    line.push(b")");
                }
            }
        }
    }

    /// Sends the error to our other process: step, errno, length of the object, object, place.
    /// The message has room for what a path can be: what is longer is cut.
    pub(crate) fn send(&self, socket: BorrowedFd) {
        const LONGEST: usize = 4096;
        let Why::Errno(errno) = self.0.why else {
            return;
        };
        let object = &self.0.object[..self.0.object.len().min(LONGEST)];
        let place = &self.0.place[..self.0.place.len().min(LONGEST)];
        let mut line = Line::new();
        line.push(&[b'E', self.0.step as u8]);
        line.push(&errno.number().to_ne_bytes());
        line.push(&(object.len() as u32).to_ne_bytes());
        line.push(object);
        line.push(place);
        // If nobody listens any more there is nobody to tell.
        let _ = net::send(socket, line.bytes());
    }

    /// The error that [`Error::send`] sent; `None` for any other message.
    pub(crate) fn receive(message: &[u8]) -> Option<Error<'static>> {
        let (head, rest) = message.split_first_chunk::<10>()?;
        let step = *Step::ALL.get(usize::from(head[1]))?;
        let errno = i32::from_ne_bytes([head[2], head[3], head[4], head[5]]);
        let length = u32::from_ne_bytes([head[6], head[7], head[8], head[9]]) as usize;
        let (object, place) = rest.split_at_checked(length)?;
        (head[0] == b'E').then(|| {
            Error(Page::new(Failure {
                step,
                object: Cow::Owned(object.to_vec()),
                place: Cow::Owned(place.to_vec()),
                why: Why::Errno(Errno::from_number(errno)),
            }))
        })
    }
}

macro_rules! hints {
    ($($($step:ident $errno:tt),+ => $text:literal;)*) => {
        Hints {
            cases: &[$($(Some((Step::$step, hints!(@$errno))),)* None,)*],
            // One text, since a table of references would be larger than it.
            texts: concat!($($text, "\n"),*),
        }
    };
    (@_) => { None };
    (@$errno:ident) => { Some(Errno::$errno) };
}

/// What to do where a step fails with an errno, or with any.
struct Hints {
    /// The cases of the first text, `None`, those of the second, and so on.
    cases: &'static [Option<(Step, Option<Errno>)>],
    texts: &'static str,
}

impl Hints {
    const OF_ALL: Hints = hints! {
        Namespaces EAGAIN, Fork EAGAIN =>
            "the limit on processes is reached (ulimit -u)";
        Execute E2BIG =>
            "the kernel's limit on arguments and environment together is a quarter of that on \
                 the stack (ulimit -s), and 128 KiB for each";
        Execute ENOENT =>
            "there is no such command in the root that it is to run in (PATH is searched there)";
        ExecuteWithoutInterpreter _ =>
            "the file is there: its '#!' interpreter, its dynamic loader or, for another \
                 architecture, its emulator is not, in the root that it is to run in (an emulator \
                 registered with flag F of binfmt_misc need not be)";
        Execute EACCES =>
            "it is not executable (chmod +x), or on a file system mounted noexec (mount -o \
                 remount,exec)";
        ExecuteForeign _ =>
            "it is not a program for this machine: for another architecture, on the host, \
                 apt-get install qemu-user-static binfmt-support";
        ChangeDirectory ENOENT =>
            "the directory is looked up inside the new root";
    };

    /// What an init alone does not meet.
    const OF_RUN: Hints = hints! {
        OpenRoot ENOENT, OpenRoot ENOTDIR =>
            "NEWROOT is the directory that holds the new root file system, such as 'mmdebstrap \
                 --variant=minbase stable NEWROOT' makes";
        OpenRoot EACCES, CloneRoot EACCES =>
            "every directory on the way to NEWROOT must be open to this user, and with \
                 --map-users auto to others (chmod o+x)";
        Namespaces EPERM =>
            "run as root, or allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 \
                 where that exists; inside a chroot or a container they may be forbidden";
        Namespaces ENOSPC, Namespaces EUSERS =>
            "the limit on namespaces is reached: see sysctl user.max_user_namespaces and its \
                 neighbours in /proc/sys/user; where it is 0, run as root, or: sysctl \
                 user.max_user_namespaces=10000";
        FindRange _ =>
            "that line gives this user a range of ids (see subuid(5)): root adds it, to \
                 /etc/subuid and to /etc/subgid";
        MapUsers ENOENT =>
            "the program is in the package uidmap of Debian, else in shadow or shadow-utils";
        Namespace _ =>
            "this kernel was built without that type";
        Namespaces EINVAL =>
            "this kernel lacks one of the mount, UTS, IPC, pid and user namespaces";
        MapIds EPERM, MapIds EACCES, Propagation EPERM, Propagation EACCES =>
            "AppArmor may forbid user namespaces to unknown programs: see sysctl \
                 kernel.apparmor_restrict_unprivileged_userns, or run as root";
        MapIds ENOENT =>
            "/proc must be mounted to map users";
        CloneRoot EPERM, Mount EPERM, PivotRoot EPERM =>
            "a new user namespace may lack the right to this: try it as root";
        Overlay EINVAL =>
            "an ordinary user needs Linux 5.11 for it, and a directory without mounts of the \
                 host below it";
        Overlay ENODEV =>
            "the kernel has no overlay file system";
        OpenSource EINVAL =>
            "an ordinary user cannot bind a directory without the mounts below it: use --rbind";
        OpenSource ENOENT =>
            "SRC is a path of the host; the option 'optional' leaves the mount out instead";
        MakeMountPoint EROFS, MakeMountPoint EACCES, MakeMountPoint ENOSPC, MakeMountPoint EDQUOT =>
            "make it beforehand, have it made in memory (--overlay), or leave the mount out \
                 with the option 'optional' (of a default: --no-mounts)";
        CloneRoot ENOSPC, OpenSource ENOSPC, Mount ENOSPC =>
            "the limit on mounts is reached: see sysctl fs.mount-max";
        MakeOutside _ =>
            "it lies below a directory bound from the host, where nothing is created: make it \
                 beforehand";
        Mount ENOTDIR =>
            "a directory goes on a directory, a file on a file";
        Mount EINVAL =>
            "the file system may not know one of these options";
        Mount ENODEV =>
            "the kernel has no such file system";
        DropCapabilities EPERM =>
            "the caller needs CAP_SETPCAP for that, as root has it and every user in a user \
                 namespace";
        SetGroups EINVAL, SetGroups EPERM, SetGroup EINVAL, SetGroup EPERM, SetUser EINVAL, SetUser EPERM =>
            "the user namespace of an ordinary user has one user and one group, and its \
                 groups cannot be changed: run as root, or, where /etc/subuid has a range for you, \
                 with --map-users auto";
        ReadOfRoot EINVAL =>
            "it is no plain file; a user and a group by their numbers need no file";
    };

    #[inline(never)]
    fn find(&self, step: Step, errno: Errno) -> Option<&'static str> {
        let mut number = 0;
        for case in self.cases {
            match case {
                None => number += 1,
                Some((of, why)) if *of == step && why.is_none_or(|why| why == errno) => {
                    return Some(sys::line(self.texts, number, b'\n').0);
                }
                Some(_) => {}
            }
        }
        None
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(self.line().bytes()))
    }
}

impl core::error::Error for Error<'_> {}

/// Are the steps said on standard error, for `--verbose`, and since when?
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verbose(Option<u64>);

impl Verbose {
    pub(crate) const NOT: Verbose = Verbose(None);

    pub(crate) fn from_now() -> Verbose {
        Verbose(Some(clock()))
    }

    pub(crate) fn is_on(self) -> bool {
        self.0.is_some()
    }

    /// Says what is being done, and how many seconds after the start.
    pub(crate) fn say(self, step: Step, object: &[u8], place: &[u8]) {
        let Some(start) = self.0 else { return };
        let time = clock() - start;
        let mut line = Line::new();
        line.push(b"rootlet: [");
        line.push_number((time / NANOSECONDS) as u32);
        // Seven digits, of which the first is no more than a place for the dot.
        let mut fraction = Line::new();
        fraction.push_number((time % NANOSECONDS / 1000 + 1_000_000) as u32);
        line.push(b".");
        line.push(fraction.bytes().get(1..).unwrap_or_default());
        line.push(b"] ");
        line.push_step(step, object, place);
        line.push(b"\n");
        line.print();
    }
}

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

/// Text without allocation, since a forked child of a program with threads must not allocate.
/// What does not fit is cut off: two paths of the greatest length do fit.
pub(crate) struct Line {
    /// None where there is no memory, and nothing can be told then.
    page: Option<Page<[u8; Line::LENGTH_MAX]>>,
    length: usize,
    /// Names are as they are.
    is_verbatim: bool,
}

impl Line {
    const LENGTH_MAX: usize = 2 * 4096 + 512;

    pub(crate) fn new() -> Line {
        Line {
            page: Page::zeros().ok(),
            length: 0,
            is_verbatim: false,
        }
    }

    /// One for whoever writes control characters in a way of its own.
    pub(crate) fn verbatim() -> Line {
        Line {
            is_verbatim: true,
            ..Line::new()
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let Some(page) = &mut self.page else { return };
        for (to, from) in page[self.length..].iter_mut().zip(bytes) {
            *to = *from;
            self.length += 1;
        }
    }

    /// A path or name, with control characters spelled out, so that it stays on one line and no
    /// file name talks to a terminal.
    pub(crate) fn push_name(&mut self, name: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in name {
            if byte.is_ascii_control() && !self.is_verbatim {
                let (high, low) = (byte >> 4, byte & 15);
                self.push(&[b'\\', b'x', DIGITS[high as usize], DIGITS[low as usize]]);
            } else {
                self.push(&[*byte]);
            }
        }
    }

    pub(crate) fn push_number(&mut self, number: u32) {
        let mut digits = Short::new();
        digits.push_number(number);
        self.push(digits.bytes());
    }

    pub(crate) fn push_step(&mut self, step: Step, object: &[u8], place: &[u8]) {
        let (verb, preposition) = step.words();
        self.push(verb.as_bytes());
        for (word, name) in [("", object), (preposition, place)] {
            if !name.is_empty() {
                self.push(if word.is_empty() { b"" } else { b" " });
                self.push(word.as_bytes());
                self.push(b" ");
                self.push_name(name);
            }
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.page {
            Some(page) => &page[..self.length],
            None => b"",
        }
    }

    fn print(&self) {
        // There is nowhere to report that standard error cannot be written.
        let _ = fs::write_all(BorrowedFd::STDERR, self.bytes());
    }
}
