//! A call of a run, and whether its order with a call of the other run matters.

use std::fs;

use nix::libc;
use nix::unistd::Pid;
use sc::nr;

use super::traced::text_at;

/// A call that touches the root, before it is made.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Call {
    pub number: usize,
    /// The names that it looks up, makes, changes or removes.
    pub names: Vec<String>,
    pub flags: u64,
    /// The name of the directory in which it changes a name.
    above: String,
}

/// The influence of a call on calls of another run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It only looks at names and files.
    Looks,
    /// It takes or releases a lock.
    Locks,
    /// It ends a process, which releases locks and mounts.
    Ends,
    Changes,
}

/// The flag of statx(2) that lets an empty path name the descriptor's file.
const EMPTY_PATH: u64 = libc::AT_EMPTY_PATH as u64;

impl Call {
    pub fn new(pid: Pid, number: usize, arguments: [u64; 6]) -> Call {
        let at = |index: usize| text_at(pid, arguments[index]);
        let mut call = Call {
            number,
            names: match number {
                nr::RENAMEAT2 => vec![at(1), at(3)],
                nr::MKDIRAT | nr::OPENAT | nr::OPENAT2 | nr::UNLINKAT | nr::STATX => vec![at(1)],
                _ => Vec::new(),
            },
            flags: match number {
                nr::FLOCK => arguments[1],
                nr::OPENAT => arguments[2],
                nr::STATX => arguments[2] & EMPTY_PATH,
                _ => 0,
            },
            above: String::new(),
        };
        if call.effect() == Effect::Changes {
            let above = fs::read_link(format!("/proc/{pid}/fd/{}", arguments[0]));
            let name = above.as_deref().ok().and_then(|above| above.file_name());
            call.above = name.unwrap_or_default().to_string_lossy().into_owned();
        }
        call
    }

    /// Returns whether it is the first call of a search for the mount point: the first name is opened
    /// with O_PATH.
    pub fn begins_search(&self) -> bool {
        self.number == nr::OPENAT && self.flags & libc::O_PATH as u64 != 0
    }

    fn effect(&self) -> Effect {
        match self.number {
            nr::OPENAT if self.flags & libc::O_CREAT as u64 != 0 => Effect::Changes,
            nr::OPENAT | nr::OPENAT2 | nr::STATX | nr::GETDENTS64 => Effect::Looks,
            nr::NEWFSTATAT | nr::FACCESSAT => Effect::Looks,
            nr::FLOCK | nr::CLOSE => Effect::Locks,
            nr::EXIT_GROUP => Effect::Ends,
            _ => Effect::Changes,
        }
    }

    /// Returns whether the order of these calls makes no difference to either.
    pub fn is_independent(&self, other: &Call) -> bool {
        match (self.effect(), other.effect()) {
            (Effect::Looks, Effect::Changes) => self.looks_elsewhere(other),
            (Effect::Changes, Effect::Looks) => other.looks_elsewhere(self),
            (Effect::Locks | Effect::Ends, Effect::Locks | Effect::Ends) => false,
            (Effect::Changes, Effect::Changes | Effect::Ends) => false,
            (Effect::Ends, Effect::Changes) => false,
            _ => true,
        }
    }

    /// Returns whether all names that it looks at are others than those of a change. A look at a
    /// descriptor, or at all names, may be at any.
    fn looks_elsewhere(&self, change: &Call) -> bool {
        let looks_at = |name: &str| {
            let mut names = self.names.iter().flat_map(|path| path.split('/'));
            names.any(|looked| looked == name)
        };
        let named = !self.names.is_empty() && !self.names.iter().any(String::is_empty);
        let changes_names = !change.names.is_empty();
        named
            && changes_names
            && !looks_at(&change.above)
            && !change.names.iter().any(|name| looks_at(name))
    }
}

/// A call of a run, and its result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub call: Call,
    pub result: i64,
    /// The file that was opened or looked at: its maker, its mode, its links.
    pub seen: Option<(Maker, u32, u64)>,
}

/// The run that made a file, and the file's number among those of that run.
pub type Maker = Option<(usize, u64)>;

impl Step {
    /// Returns whether another run has the lock or the name that this one wants.
    pub fn is_refused(&self) -> bool {
        [-libc::EAGAIN, -libc::EEXIST]
            .map(i64::from)
            .contains(&self.result)
    }
}
