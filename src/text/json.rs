//! JSON strings from bytes. JSON is Unicode, and the bytes of a path may be anything.

use alloc::vec::Vec;

/// How to write bytes that are not UTF-8.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// As U+FFFD.
    Replaced,
    /// As lone surrogates U+DC80 to U+DCFF, from which the bytes can be restored.
    Kept,
}

/// Appends a JSON string in quotes.
pub(crate) fn push_string(text: &mut Vec<u8>, string: &[u8], invalid: Invalid) {
    text.push(b'"');
    for chunk in string.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' | b'\\' => push(text, &[b'\\', byte]),
                0..0x20 => push_escape(text, b"00", byte),
                byte => text.push(byte),
            }
        }
        match (invalid, chunk.invalid()) {
            (_, []) => {}
            (Invalid::Replaced, _) => push(text, "\u{fffd}".as_bytes()),
            (Invalid::Kept, bytes) => bytes
                .iter()
                .for_each(|byte| push_escape(text, b"dc", *byte)),
        }
    }
    text.push(b'"');
}

fn push_escape(text: &mut Vec<u8>, high: &[u8; 2], low: u8) {
    let digit = |number: u8| b"0123456789abcdef"[usize::from(number & 15)];
    push(
        text,
        &[b'\\', b'u', high[0], high[1], digit(low >> 4), digit(low)],
    );
}

/// Appends bytes; not inlined, which saves code at each call.
#[inline(never)]
pub(crate) fn push(text: &mut Vec<u8>, bytes: &[u8]) {
    text.extend_from_slice(bytes);
}
