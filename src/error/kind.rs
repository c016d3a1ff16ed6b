//! The kinds of errors, for programs that react to them.

use crate::error::{Error, Step, Why};
use crate::sys::Errno;

/// The reason of a closure that had no more time.
pub(crate) const TIMED_OUT: &str = "it timed out";
/// The reason of a closure that a signal canceled.
pub(crate) const CANCELED: &str = "a signal canceled it";

/// The kind of thing that failed: see [`Error::kind`].
///
/// The kernel's reason is separate: see [`Error::errno`]. A mount can fail with EPERM or with ENOENT.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// use rootlet::{Chroot, ErrorKind};
///
/// let error = Chroot::new("/").command("no-such-command").status().unwrap_err();
/// match error.kind() {
///     ErrorKind::CommandNotFound => {}
///     ErrorKind::NewRoot | ErrorKind::Mount => panic!("the root is not as it should be"),
///     _ => panic!("{error}"),
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value is invalid: a name with a NUL byte, a variable without a name, a mount that cannot be
    /// parsed, two calls that exclude each other.
    InvalidInput,
    /// The new root cannot be opened, its mounts cannot be copied, or it cannot be entered.
    NewRoot,
    /// The namespaces cannot be made or set up, often because the caller lacks a right.
    Namespace,
    /// A mount, its source or its mount point.
    Mount,
    /// The user, the groups, the capabilities or the keys of the command.
    User,
    /// The command, or the interpreter that it needs, does not exist: status 127 or 126.
    CommandNotFound,
    /// The command exists, but cannot be executed: status 126.
    CommandNotExecutable,
    /// The working directory of the command.
    WorkingDirectory,
    /// A descriptor of the command, a pipe from it, or its terminal.
    Descriptor,
    /// A process cannot be started, waited for, signaled or detached.
    Process,
    /// A closure did not return: it panicked, a signal killed it, or it ended its process.
    Closure,
    /// A closure exceeded its time limit: `call_timeout`.
    TimedOut,
    /// A signal canceled a closure.
    Interrupted,
    /// A file of the new root cannot be used.
    File,
    /// A mount point that was made for a run could not be removed.
    Removal,
    /// Something else.
    Other,
}

impl Error {
    /// Returns the kind of thing that failed.
    pub fn kind(&self) -> ErrorKind {
        match self.step() {
            Step::Usage | Step::ReadWords | Step::ReadMount | Step::TakeName => {
                ErrorKind::InvalidInput
            }
            Step::OpenRoot
            | Step::CloneRoot
            | Step::MapOwners
            | Step::MapOwnersBelow
            | Step::ReadOnlyRoot
            | Step::Overlay
            | Step::PivotRoot
            | Step::DetachOldRoot => ErrorKind::NewRoot,
            Step::Namespaces
            | Step::Namespace
            | Step::MapUsers
            | Step::FindRange
            | Step::ReadFile
            | Step::PrivateUsers
            | Step::LockIds
            | Step::SharePid
            | Step::MapIds
            | Step::Propagation
            | Step::Hostname
            | Step::Domainname
            | Step::Network => ErrorKind::Namespace,
            Step::OpenSource
            | Step::OpenTarget
            | Step::MakeMountPoint
            | Step::MakeOutside
            | Step::LockMountPoint
            | Step::LockMounts
            | Step::Mount
            | Step::MountAs
            | Step::MoveMount
            | Step::MapOwnersOfBind
            | Step::BindInstead
            | Step::MountProc
            | Step::OthersSys
            | Step::OthersProc
            | Step::MountOptions
            | Step::MakeDevices
            | Step::Mask => ErrorKind::Mount,
            Step::ReadOfRoot
            | Step::FindUser
            | Step::FindGroup
            | Step::SetGroups
            | Step::SetGroup
            | Step::SetUser
            | Step::DropCapabilities
            | Step::Keyring => ErrorKind::User,
            Step::Execute | Step::ExecuteInPlace if self.why() == Why::Errno(Errno::ENOENT) => {
                ErrorKind::CommandNotFound
            }
            Step::ExecuteWithoutInterpreter | Step::ExecuteWithCarriageReturn => {
                ErrorKind::CommandNotFound
            }
            Step::Execute | Step::ExecuteInPlace | Step::ExecuteForeign => {
                ErrorKind::CommandNotExecutable
            }
            Step::ChangeDirectory | Step::WorkingDirectory => ErrorKind::WorkingDirectory,
            Step::StandardDescriptor | Step::TellStatus | Step::ReadOutput | Step::Pty => {
                ErrorKind::Descriptor
            }
            Step::Fork | Step::Wait | Step::Signal | Step::Detach | Step::Subreaper => {
                ErrorKind::Process
            }
            Step::Call => match self.why() {
                Why::Because(TIMED_OUT) => ErrorKind::TimedOut,
                Why::Because(CANCELED) => ErrorKind::Interrupted,
                _ => ErrorKind::Closure,
            },
            Step::OpenInRoot | Step::ReadInRoot | Step::WriteInRoot => ErrorKind::File,
            Step::RemoveMountPoint => ErrorKind::Removal,
            _ => ErrorKind::Other,
        }
    }
}
