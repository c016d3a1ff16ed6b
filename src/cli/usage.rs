//! Turns the parser's errors into the program's.

use crate::error::Error;

use crate::cli::parse::Wrong;

impl From<Wrong> for Error {
    #[inline(never)]
    fn from(wrong: Wrong) -> Error {
        Error::usage(wrong.role, &[&wrong.what], wrong.why)
    }
}
