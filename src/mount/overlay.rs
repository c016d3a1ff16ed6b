//! An overlay whose upper layer is in memory: changes to a tree are discarded after the run.
//!
//! The lower layer is the tree, and the upper layer lies in a tmpfs that only this mount namespace
//! holds. The kernel frees it with the namespace.

use core::ffi::CStr;

use crate::error::{Error, Step};
use crate::mount::pivot::ON_TOP_OF_ROOT;
use crate::sys::mount::{MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, mount, move_mount, open_tree};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::name::Name;
use crate::text::path::PathBuffer;

/// The file system of the upper layer and its flags.
pub(crate) const MEMORY: &CStr = c"tmpfs";
pub(crate) const MEMORY_FLAGS: u32 = MS_NOSUID | MS_NODEV;

/// Returns its options. Without a size, tmpfs takes at most half of the machine's memory
/// (tmpfs(5)).
pub(crate) fn memory_options(size: &[u8]) -> Name {
    let mut options = alloc::vec::Vec::from(b"mode=755");
    if !size.is_empty() {
        options.extend(b",size=");
        options.extend(size);
    }
    Name::new(&options)
}

/// Returns whether the text is digits with an optional unit, which cannot carry other options.
pub(crate) fn is_size(text: &[u8]) -> bool {
    let digits = match text {
        [digits @ .., b'k' | b'K' | b'm' | b'M' | b'g' | b'G' | b'%'] => digits,
        digits => digits,
    };
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// Makes the upper layer in `memory`, which becomes the current directory, and mounts the overlay
/// at `target`. `options` name `upper`, `work` and the lower layer, which `lower` has open. `fill`
/// is called with both layers before the mount.
pub(crate) fn mount_overlay(
    memory: BorrowedFd,
    lower: BorrowedFd,
    options: &CStr,
    target: &CStr,
    fill: &mut dyn FnMut(BorrowedFd, BorrowedFd),
) -> Result<(), Errno> {
    for name in [c"upper", c"work"] {
        fs::mkdirat(memory, name, 0o755)?;
    }
    // The root of an overlay takes its owner and mode from the upper directory.
    let below = fs::stat(lower)?;
    let upper = fs::openat(memory, c"upper", fs::O_RDONLY | fs::O_DIRECTORY, 0)?;
    match fs::fchown(upper.borrow(), below.user, below.group) {
        // This user namespace has no id for the owner.
        Err(Errno::EINVAL | Errno::EPERM) => {}
        result => result?,
    }
    fs::fchmod(upper.borrow(), below.permissions())?;
    fill(lower, upper.borrow());
    const KEPT: u32 = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    let flags = fs::statfs(lower)?.1 as u32 & KEPT;
    fs::fchdir(memory)?;
    mount(c"overlay", target, c"overlay", flags, options)
}

/// Attaches an overlay of the current directory, which is `new_root`, on top of our root, and
/// returns a descriptor for it, as [`attach_new_root`](crate::mount::pivot::attach_new_root) does.
/// Mounts below the directory are left out. The tmpfs lies in between and goes with the old root.
///
/// If a tree was already taken, it is the lower layer instead of the current directory.
///
/// In a user namespace the overlay keeps its own marks in `user.` attributes, because only root of
/// the host may set `trusted.` ones. `fill` prepares in the upper layer the files that cannot be
/// made through such an overlay.
pub(crate) fn attach_overlay<'a>(
    new_root: &'a Name,
    memory_options: &'a Name,
    in_user_namespace: bool,
    taken: Option<OwnedFd>,
    fill: &mut dyn FnMut(BorrowedFd, BorrowedFd),
) -> Result<OwnedFd, Error> {
    let failed = |errno| Error::new(Step::Overlay, new_root.bytes(), errno);
    let is_current = taken.is_none();
    let taken = taken.map_or_else(|| open_tree(BorrowedFd::CWD, c".", false), Ok);
    let tree = match taken {
        Err(Errno::ENOSYS) => None,
        tree => Some(tree.map_err(failed)?),
    };
    let mut lower_path = PathBuffer::new();
    lower_path
        .push(ON_TOP_OF_ROOT.to_bytes())
        .and_then(|()| lower_path.push_component(b"lower"))
        .map_err(failed)?;
    let lower_path = lower_path.as_c_str();

    mount(
        MEMORY,
        c"/",
        MEMORY,
        MEMORY_FLAGS,
        memory_options.as_c_str(),
    )
    .map_err(|errno| Error::between(Step::Mount, b"tmpfs", memory_options.bytes(), errno))?;
    let open = |path| fs::openat(BorrowedFd::CWD, path, fs::O_PATH | fs::O_DIRECTORY, 0);
    let memory = open(ON_TOP_OF_ROOT).map_err(failed)?;
    fs::mkdirat(memory.borrow(), c"lower", 0o755).map_err(failed)?;
    let attached = match tree {
        Some(tree) => open(lower_path).and_then(|point| move_mount(tree.borrow(), point.borrow())),
        None => Err(Errno::ENOSYS),
    };
    match attached {
        Err(Errno::ENOSYS) if is_current => mount(c".", lower_path, c"", MS_BIND, c""),
        result => result,
    }
    .map_err(failed)?;
    let lower = open(lower_path).map_err(failed)?;
    let options = match in_user_namespace {
        true => c"lowerdir=lower,upperdir=upper,workdir=work,userxattr",
        false => c"lowerdir=lower,upperdir=upper,workdir=work",
    };
    let mut fill = |lower: BorrowedFd<'_>, upper: BorrowedFd<'_>| {
        if in_user_namespace {
            fill(lower, upper);
        }
    };
    mount_overlay(memory.borrow(), lower.borrow(), options, c"/", &mut fill).map_err(failed)?;
    open(ON_TOP_OF_ROOT).map_err(failed)
}
