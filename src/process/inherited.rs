//! The caller's standard descriptors, which belong to the command once it has them.

use crate::process::stdio::STANDARD;
use crate::sys::fs;

/// Their kinds. A descriptor that cannot be examined may be a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inherited {
    /// Which may be terminals: devices, except `/dev/null` and its like.
    pub(crate) may_be_terminals: [bool; 3],
    /// Which to close once the command has them, because the reader of a pipe or the peer of a
    /// socket may wait for that. Devices are not closed: job control needs a terminal.
    pub(crate) to_close: [bool; 3],
    /// Standard error is a pipe.
    pub(crate) has_pipe_for_errors: bool,
    /// Standard output is the same pipe, as with `2>&1 |`.
    pub(crate) has_one_pipe: bool,
}

impl Inherited {
    // Not inlined: both roles share one copy of the code.
    #[inline(never)]
    pub(crate) fn look() -> Inherited {
        let mut inherited = Inherited {
            may_be_terminals: [true; 3],
            to_close: [false; 3],
            has_pipe_for_errors: false,
            has_one_pipe: false,
        };
        let mut before = None;
        for (index, standard) in STANDARD.into_iter().enumerate() {
            let stat = fs::stat(standard).ok();
            // After the last round this describes standard error, with standard output before it.
            let identity = stat.as_ref().map(|stat| stat.identity());
            inherited.has_pipe_for_errors = stat.as_ref().is_some_and(|stat| stat.is_pipe());
            inherited.has_one_pipe = inherited.has_pipe_for_errors && identity == before;
            before = identity;
            if let Some(stat) = stat {
                let is_device = stat.is_character_device();
                inherited.may_be_terminals[index] = is_device && stat.special.0 != fs::MEM_MAJOR;
                inherited.to_close[index] = !is_device;
            }
        }
        inherited
    }
}
