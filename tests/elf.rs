//! The binary is one static file that needs no other to start.

#![allow(missing_docs)]

use std::fs;

/// A 64-bit little-endian ELF file, as described in elf(5).
struct Elf(Vec<u8>);

impl Elf {
    fn number(&self, at: usize, length: usize) -> u64 {
        let bytes = &self.0[at..at + length];
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Returns the types of the program headers.
    fn segments(&self) -> Vec<u64> {
        let (table, size, count) = (self.number(32, 8), self.number(54, 2), self.number(56, 2));
        (0..count)
            .map(|index| self.number((table + index * size) as usize, 4))
            .collect()
    }

    /// Returns the types of the section headers.
    fn sections(&self) -> Vec<u64> {
        let (table, size, count) = (self.number(40, 8), self.number(58, 2), self.number(60, 2));
        (0..count)
            .map(|index| self.number((table + index * size) as usize + 4, 4))
            .collect()
    }
}

#[test]
fn the_binary_is_static_and_needs_no_relocation() {
    const EXECUTABLE: u64 = 2;
    const DYNAMIC: u64 = 2;
    const INTERPRETER: u64 = 3;
    const RELOCATIONS: [u64; 3] = [4, 9, 19];

    let elf = Elf(fs::read(env!("CARGO_BIN_EXE_rootlet")).unwrap());
    assert_eq!(&elf.0[..5], b"\x7fELF\x02");
    assert_eq!(elf.number(16, 2), EXECUTABLE, "not position-independent");
    let segments = elf.segments();
    assert!(!segments.is_empty());
    assert!(!segments.contains(&INTERPRETER), "INTERP");
    assert!(
        !segments.contains(&DYNAMIC),
        "a dynamic section could name NEEDED libraries"
    );
    let sections = elf.sections();
    assert!(!sections.is_empty());
    assert!(
        !sections.iter().any(|kind| RELOCATIONS.contains(kind)),
        "relocations"
    );
}
