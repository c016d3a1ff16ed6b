//! Texts that were packed when rootlet was built.

use alloc::vec::Vec;

include!(concat!(env!("OUT_DIR"), "/text.rs"));

/// The text as it was.
pub(crate) fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    unpack(packed, &mut text);
    text
}

/// A byte from 128 on stands for two others, and so on.
fn unpack(packed: &[u8], text: &mut Vec<u8>) {
    for byte in packed {
        match PAIRS.get(usize::from(*byte).wrapping_sub(128)) {
            Some(pair) => unpack(pair, text),
            None => text.push(*byte),
        }
    }
}
