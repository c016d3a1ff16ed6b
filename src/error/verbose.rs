//! The log of steps, for `--verbose`.

use crate::error::Step;
use crate::sys::poll::{NANOSECONDS, clock};
use crate::text::line::Line;

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
