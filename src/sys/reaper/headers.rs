//! The headers of the reaper's file.

use core::mem::{offset_of, size_of};

use linux_raw_sys::elf_uapi as raw;

use super::{CODE_AT, DATA_AT, File, MACHINE, SEGMENTS};

pub(super) fn header() -> raw::elf64_hdr {
    let mut identification = [0; 16];
    identification[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    raw::elf64_hdr {
        e_ident: identification,
        e_type: raw::ET_EXEC as u16,
        e_machine: MACHINE as u16,
        e_version: raw::EV_CURRENT,
        e_entry: CODE_AT + offset_of!(File, code) as u64,
        e_phoff: offset_of!(File, segments) as u64,
        e_shoff: 0,
        e_flags: 0,
        e_ehsize: size_of::<raw::elf64_hdr>() as u16,
        e_phentsize: size_of::<raw::elf64_phdr>() as u16,
        e_phnum: SEGMENTS as u16,
        e_shentsize: 0,
        e_shnum: 0,
        e_shstrndx: 0,
    }
}

pub(super) fn segments() -> [raw::elf64_phdr; SEGMENTS] {
    let segment = |kind, flags, start: usize, end: usize, at: u64| raw::elf64_phdr {
        p_type: kind,
        p_flags: flags,
        p_offset: start as u64,
        p_vaddr: at + start as u64,
        p_paddr: at + start as u64,
        p_filesz: (end - start) as u64,
        p_memsz: (end - start) as u64,
        p_align: 0x1_0000,
    };
    let (data, end) = (offset_of!(File, data), size_of::<File>());
    [
        segment(raw::PT_LOAD, raw::PF_R | raw::PF_X, 0, data, CODE_AT),
        segment(
            raw::PT_LOAD,
            raw::PF_R | raw::PF_W,
            data,
            end,
            DATA_AT as u64,
        ),
        segment(raw::PT_GNU_STACK, raw::PF_R | raw::PF_W, 0, 0, 0),
    ]
}
