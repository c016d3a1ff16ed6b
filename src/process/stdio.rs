//! `Stdio`: a standard descriptor of the command.

use alloc::vec::Vec;

use crate::chroot::command::Command;
use crate::error::{Error, Step};
use crate::sys::{BorrowedFd, OwnedFd, fs};

/// The standard descriptors.
pub(crate) const STANDARD: [BorrowedFd<'static>; 3] =
    [BorrowedFd::STDIN, BorrowedFd::STDOUT, BorrowedFd::STDERR];

/// The command's standard descriptors that are not the caller's. Each has a number above those, and
/// comes with the one that it replaces.
pub(crate) type Standard = Vec<(OwnedFd, BorrowedFd<'static>)>;

/// The caller's ends of the command's pipes.
pub(crate) type Ends = [Option<OwnedFd>; 3];

/// The object behind one of the command's standard descriptors, for [`Command::stdin`], `stdout`
/// and `stderr`.
///
/// With the feature `std` it can be made from a `File`, an `OwnedFd`, the end of a pipe, or the
/// output of another child. The command then has a copy (`fcntl(F_DUPFD_CLOEXEC)`). Ours is closed
/// with the [`Command`], so the reader of a pipe sees the end when both are gone.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// use rootlet::{Chroot, Stdio};
///
/// let mut command = Chroot::new("/").command("cat");
/// let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
/// assert_eq!(output.stdout, b"");
/// # Ok::<(), rootlet::Error>(())
/// ```
#[derive(Debug)]
pub struct Stdio(Kind);

#[derive(Debug)]
enum Kind {
    Inherit,
    Null,
    Piped,
    Given(OwnedFd),
    /// Another standard descriptor of the caller.
    #[cfg_attr(not(feature = "std"), allow(dead_code))]
    Ours(BorrowedFd<'static>),
}

impl Stdio {
    /// Uses the caller's.
    pub fn inherit() -> Stdio {
        Stdio(Kind::Inherit)
    }

    /// Uses the host's `/dev/null`: reads return nothing, and written data is discarded.
    pub fn null() -> Stdio {
        Stdio(Kind::Null)
    }

    /// Makes a pipe, whose other end belongs to the [`Child`](crate::Child). It is an error for
    /// [`Foreground::run`](crate::Foreground::run), which returns no `Child`.
    pub fn piped() -> Stdio {
        Stdio(Kind::Piped)
    }

    /// Uses this descriptor, which is closed with the [`Command`]. With the feature `std` there is
    /// `From<OwnedFd>`, which is safe.
    ///
    /// # Safety
    ///
    /// The descriptor is open, and nobody else closes it: as for `FromRawFd` of std.
    pub unsafe fn from_raw_fd(number: i32) -> Stdio {
        // SAFETY: the caller's promise.
        Stdio::given(unsafe { OwnedFd::from_raw(number) })
    }

    #[cfg(feature = "std")]
    pub(crate) fn ours(standard: BorrowedFd<'static>) -> Stdio {
        Stdio(Kind::Ours(standard))
    }

    pub(crate) fn is_piped(&self) -> bool {
        matches!(self.0, Kind::Piped)
    }

    pub(crate) fn given(descriptor: OwnedFd) -> Stdio {
        Stdio(Kind::Given(descriptor))
    }
}

impl Command {
    /// Opens the command's standard descriptors and the caller's ends of its pipes. `unset` is used
    /// for each one that was not set.
    pub(crate) fn open_standard(&self, unset: [Stdio; 3]) -> Result<(Standard, Ends), Error> {
        let mut standard = Standard::with_capacity(3);
        let mut ends = Ends::default();
        for (index, number) in STANDARD.into_iter().enumerate() {
            let stdio = self.standard[index].as_ref().unwrap_or(&unset[index]);
            let failed = |object| move |errno| Error::new(Step::StandardDescriptor, object, errno);
            let given = match &stdio.0 {
                Kind::Inherit => continue,
                Kind::Null => fs::openat(BorrowedFd::CWD, c"/dev/null", fs::O_RDWR, 0)
                    .and_then(OwnedFd::above_standard)
                    .map_err(failed(b"/dev/null")),
                Kind::Piped => fs::pipe(fs::O_CLOEXEC)
                    .and_then(|(reader, writer)| {
                        let (its, ours) = match index {
                            0 => (reader, writer),
                            _ => (writer, reader),
                        };
                        ends[index] = Some(ours.above_standard()?);
                        its.above_standard()
                    })
                    .map_err(failed(b"a pipe")),
                Kind::Given(descriptor) => {
                    fs::duplicate(descriptor.number()).map_err(failed(b"a descriptor"))
                }
                Kind::Ours(standard) => {
                    fs::duplicate(standard.number()).map_err(failed(b"a standard descriptor"))
                }
            };
            standard.push((given?, number));
        }
        Ok((standard, ends))
    }
}
