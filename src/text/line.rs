//! One line of output, without allocation.

use crate::process::stderr::write_error;
use crate::sys::memory::Page;
use crate::text::short::Short;

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

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.page {
            Some(page) => &page[..self.length],
            None => b"",
        }
    }

    pub(crate) fn print(&self) {
        write_error(self.bytes());
    }
}
