//! Unpacks the texts of the help, which `build.rs` packed.

use alloc::vec::Vec;

include!(concat!(env!("OUT_DIR"), "/text.rs"));

/// Returns the unpacked text.
pub(crate) fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    unpack(packed, &mut text);
    text
}

/// Unpacks recursively: each byte from 128 on is replaced by two others.
fn unpack(packed: &[u8], text: &mut Vec<u8>) {
    for byte in packed {
        match PAIRS.get(usize::from(*byte).wrapping_sub(128)) {
            Some(pair) => unpack(pair, text),
            None => text.push(*byte),
        }
    }
}
