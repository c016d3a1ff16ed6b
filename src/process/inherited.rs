//! The caller's standard descriptors, which are the command's once it has them.

use crate::process::stdio::STANDARD;
use crate::sys::fs::{self, Stat};

/// What they are, each where that can be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inherited([Option<Stat>; 3]);

impl Inherited {
    pub(crate) fn look() -> Inherited {
        Inherited(STANDARD.map(|standard| fs::stat(standard).ok()))
    }

    /// May each be a terminal? `/dev/null` is a device, but none that can.
    pub(crate) fn may_be_terminals(&self) -> [bool; 3] {
        let may_be = |stat: Stat| stat.is_character_device() && stat.special.0 != fs::MEM_MAJOR;
        self.0.map(|stat| stat.is_none_or(may_be))
    }

    /// Which of them are to be closed once the command has them, since somebody may wait for that: the
    /// other end of a pipe or a socket. Not devices: a terminal is needed for job control.
    pub(crate) fn to_close(&self) -> [bool; 3] {
        self.0
            .map(|stat| stat.is_some_and(|stat| !stat.is_character_device()))
    }

    /// Is standard error a pipe?
    pub(crate) fn has_pipe_for_errors(&self) -> bool {
        self.0[2].is_some_and(|stat| stat.is_pipe())
    }

    /// Do standard output and standard error lead into one pipe, as with `2>&1 |`?
    pub(crate) fn has_one_pipe(&self) -> bool {
        let [_, output, errors] = self.0;
        let is_output = |errors| output.is_some_and(|output| output.is_same_file(errors));
        self.has_pipe_for_errors() && errors.as_ref().is_some_and(is_output)
    }
}
