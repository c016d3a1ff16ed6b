//! `--status-fd`: progress and end of a run, as lines of JSON (RFC 8259).

use alloc::vec::Vec;

use crate::error::{Error, Step};
use crate::sys::process::ExitStatus;
use crate::sys::{OwnedFd, fs};
use crate::text::json::{self, Invalid, push};
use crate::text::line::Line;

/// The descriptor for the reports, if there is one.
pub(crate) struct Status(Option<OwnedFd>);

impl Status {
    /// Opens the reports on this descriptor of the caller. They are lost once nobody reads it.
    pub(crate) fn open(number: Option<u32>) -> Result<Status, Error> {
        let Some(number) = number else {
            return Ok(Status(None));
        };
        let descriptor = i32::try_from(number).map_or(-1, |number| number);
        let duplicate = fs::duplicate(descriptor).map_err(|errno| {
            let mut line = Line::new();
            line.push(b"descriptor ");
            line.push_number(number);
            Error::new(Step::TellStatus, line.bytes(), errno)
        });
        duplicate.map(|descriptor| Status(Some(descriptor)))
    }

    /// Reports that the command was executed, as this process.
    pub(crate) fn started(&self, pid: i32) {
        self.tell_number("child-pid", pid as u32);
    }

    /// Reports how the command ended.
    pub(crate) fn ended(&self, status: ExitStatus) {
        match status.signal() {
            Some(signal) => self.tell_number("signal", signal as u32),
            None => self.tell_number("exit-code", status.shell().into()),
        }
    }

    /// Reports that rootlet has failed.
    pub(crate) fn failed(&self, error: &Error) {
        if self.0.is_none() {
            return;
        }
        let mut text = Vec::from(&b"{\"error\":{\"step\":"[..]);
        let (step, object) = error.step_and_object();
        push_string(&mut text, step.as_bytes());
        push(&mut text, b",\"object\":");
        push_string(&mut text, object);
        push(&mut text, b",\"errno\":");
        match error.errno() {
            Some(errno) => push_number(&mut text, errno as u32),
            None => push(&mut text, b"null"),
        }
        text.extend(b",\"message\":");
        push_string(&mut text, error.line().bytes());
        push(&mut text, b"}}\n");
        self.write(&text);
    }

    fn tell_number(&self, name: &str, number: u32) {
        if self.0.is_none() {
            return;
        }
        let mut text = Vec::from(&b"{"[..]);
        push_string(&mut text, name.as_bytes());
        text.push(b':');
        push_number(&mut text, number);
        push(&mut text, b"}\n");
        self.write(&text);
    }

    fn write(&self, text: &[u8]) {
        if let Some(descriptor) = &self.0 {
            // The reader may be gone.
            let _ = fs::write_all(descriptor.borrow(), text);
        }
    }
}

fn push_number(text: &mut Vec<u8>, number: u32) {
    let mut line = Line::new();
    line.push_number(number);
    push(text, line.bytes());
}

fn push_string(text: &mut Vec<u8>, string: &[u8]) {
    json::push_string(text, string, Invalid::Replaced);
}

#[cfg(test)]
mod tests {
    use std::prelude::rust_2024::*;

    use super::*;

    #[test]
    fn any_bytes_are_a_string() {
        for (bytes, expected) in [
            (&b""[..], "\"\""),
            (b"/srv/root", "\"/srv/root\""),
            (b"a\"b\\c", "\"a\\\"b\\\\c\""),
            (b"\0\n\x1f\x20\x7f", "\"\\u0000\\u000a\\u001f \x7f\""),
            ("\u{fc}\u{1f600}".as_bytes(), "\"\u{fc}\u{1f600}\""),
            (b"a\xff\xc3", "\"a\u{fffd}\u{fffd}\""),
        ] {
            let mut text = Vec::new();
            push_string(&mut text, bytes);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
