//! The table of superblock formats: where each is, its magic number, and where its UUID and label are.
//!
//! The order matters; the comment at the table says why.

use core::ops::Range;

/// How to recognise a superblock, and where its fields are.
pub(super) struct Format {
    pub(super) place: Place,
    pub(super) magic_at: u16,
    /// The magic number, padded with zeros that are not compared.
    pub(super) magic: [u8; 8],
    pub(super) magic_length: u8,
    pub(super) check: Check,
    pub(super) uuid: Uuid,
    pub(super) uuid_at: u16,
    /// Whether the label has two bytes for each character.
    pub(super) wide_label: bool,
    pub(super) label_at: u16,
    /// In units of four bytes.
    pub(super) label_length: u8,
}

/// Where a superblock begins.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// In units of 512 bytes, from the start of the device, or, below zero, from its end.
    sectors: i16,
    /// The offset is rounded down to a multiple of this power of two, in bytes.
    aligned: u8,
}

impl Place {
    const FIRST: Place = Place::start(0);
    const LAST: Place = Place::end(1024, 9);

    const fn start(offset: u32) -> Place {
        Place {
            sectors: (offset / 512) as i16,
            aligned: 0,
        }
    }

    const fn end(length: u32, aligned: u8) -> Place {
        Place {
            sectors: -((length / 512) as i16),
            aligned,
        }
    }

    /// Returns the offset in bytes on a device of this size; `None` if the device is too small.
    pub(super) fn offset(self, size: u64) -> Option<u64> {
        let bytes = i64::from(self.sectors) * 512;
        if bytes >= 0 {
            return Some(bytes as u64);
        }
        let offset = size.checked_add_signed(bytes)?;
        Some(offset >> self.aligned << self.aligned)
    }
}

/// A further check, where the magic number is short or several formats share it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Nothing,
    /// An external journal of ext3 or ext4.
    Jbd,
    Ext2,
    Ext3,
    Ext4,
    Erofs,
    Xfs,
    Squashfs,
    Fat,
    Exfat,
    Ntfs,
    Bcache,
    Bcachefs,
    Btrfs,
    Jmicron,
    Silicon,
    Via,
    Promise,
}

/// The form of a UUID.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Uuid {
    None,
    Plain,
    /// A serial number of four bytes.
    Serial,
    /// A serial number of four bytes, at the offset of FAT16 or of FAT32.
    Fat,
    /// A serial number of eight bytes.
    LongSerial,
    /// A time, in digits.
    Date,
    /// Digits and dashes.
    Text,
}

/// The part of a superblock that is read: one kilobyte.
pub(super) type Block = [u8; 1024];

const PLAIN: Format = Format {
    place: Place::FIRST,
    magic_at: 0,
    magic: [0; 8],
    magic_length: 0,
    check: Check::Nothing,
    uuid: Uuid::None,
    uuid_at: 0,
    wide_label: false,
    label_at: 0,
    label_length: 0,
};

impl Format {
    const fn new(place: Place, magic_at: u16, magic: &[u8]) -> Format {
        let mut format = Format {
            place,
            magic_at,
            magic_length: magic.len() as u8,
            ..PLAIN
        };
        let mut index = 0;
        while index < magic.len() {
            format.magic[index] = magic[index];
            index += 1;
        }
        format
    }

    const fn check(self, check: Check) -> Format {
        Format { check, ..self }
    }

    const fn uuid(self, uuid: Uuid, uuid_at: u16) -> Format {
        Format {
            uuid,
            uuid_at,
            ..self
        }
    }

    const fn label(self, label_at: u16, label_length: u16) -> Format {
        Format {
            label_at,
            label_length: (label_length / 4) as u8,
            ..self
        }
    }

    const fn wide_label(self, label_at: u16, label_length: u16) -> Format {
        Format {
            wide_label: true,
            ..self.label(label_at, label_length)
        }
    }
}

macro_rules! formats {
    (
        parts { $($part:literal $part_format:expr;)* }
        file_systems { $($file_system:literal $format:expr;)* }
        others { $($other:literal $other_format:expr;)* }
    ) => {
        // One text, since a table of references would be larger. An empty name repeats the one before.
        pub(super) const NAMES: &str = concat!($($part, "\n",)* $($file_system, "\n",)* $($other, "\n"),*);
        pub(super) const FORMATS: &[Format] = &[$($part_format,)* $($format,)* $($other_format),*];
        /// The names of the file systems, each after a space.
        pub(crate) const KNOWN: &str = concat!($(" ", $file_system),*);
        /// The formats of file systems in [`FORMATS`].
        pub(super) const FILE_SYSTEMS: Range<usize> = {
            let first = [$($part),*].len();
            first..first + [$($file_system),*].len()
        };
    };
}

const fn md(place: Place) -> Format {
    Format::new(place, 0, b"\xfc\x4e\x2b\xa9\x01\0\0\0")
        .uuid(Uuid::Plain, 16)
        .label(32, 32)
}

/// The format of Promise firmware, which may be this many sectors before the end of the disk.
const fn promise(sectors: u32) -> Format {
    Format::new(Place::end(sectors * 512, 9), 0, b"Promise ").check(Check::Promise)
}

const fn ext(check: Check) -> Format {
    Format::new(Place::start(1024), 56, b"\x53\xef")
        .check(check)
        .uuid(Uuid::Plain, 104)
        .label(120, 16)
}

// Members of a RAID and the like come first: the file system of a mirror is also visible on each of its
// disks, and mounting it there would make the disks differ. Then come the file systems whose superblock
// may be next to a stale one of another format. ext and erofs leave the first kilobyte to boot loaders,
// which may have filled it like FAT. ext may not have overwritten old superblocks of btrfs and swap yet.
formats! {
    parts {
        // md(4): metadata 0.90 in both byte orders, 1.0, 1.1 and 1.2.
        "linux_raid_member" Format::new(Place::end(65536, 16), 0, b"\xfc\x4e\x2b\xa9\0\0\0\0");
        "" Format::new(Place::end(65536, 16), 0, b"\xa9\x2b\x4e\xfc\0\0\0\0");
        "" md(Place::end(8192, 12));
        "" md(Place::FIRST);
        "LVM2_member" Format::new(Place::FIRST, 24, b"LVM2 001");
        "" Format::new(Place::FIRST, 536, b"LVM2 001");
        "crypto_LUKS" Format::new(Place::FIRST, 0, b"LUKS\xba\xbe\0").uuid(Uuid::Text, 168).label(24, 48);
        "LVM2_member" Format::new(Place::start(1024), 24, b"LVM2 001");
        "" Format::new(Place::start(1024), 536, b"LVM2 001");
        "linux_raid_member" md(Place::start(4096));
        "hpt37x_raid_member" Format::new(Place::start(4096), 544, b"\xf0\x16\x78\x5a");
        "" Format::new(Place::start(4096), 544, b"\xfd\x16\x78\x5a");
        "bcache" Format::new(Place::start(4096), 24, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca").check(Check::Bcache).uuid(Uuid::Plain, 40);
        "zfs_member" Format::new(Place::start(16384), 20, b"\0\0\0\x07vers");
        "drbd" Format::new(Place::end(4096, 12), 60, b"\x83\x74\x02\x6b");
        "" Format::new(Place::end(4096, 12), 60, b"\x83\x74\x02\x6c");
        "" Format::new(Place::end(4096, 12), 60, b"\x83\x74\x02\x6d");
        // The metadata of RAID in PC firmware, which md(4) or dmraid(8) can read.
        "isw_raid_member" Format::new(Place::LAST, 0, b"Intel Ra");
        "nvidia_raid_member" Format::new(Place::LAST, 0, b"NVIDIA  ");
        "ddf_raid_member" Format::new(Place::LAST, 512, b"\xde\x11\xde\x11");
        "lsi_mega_raid_member" Format::new(Place::LAST, 512, b"$XIDE$");
        "adaptec_raid_member" Format::new(Place::LAST, 512, b"\x37\xfc\x4d\x1e");
        "jmicron_raid_member" Format::new(Place::LAST, 512, b"JM").check(Check::Jmicron);
        "silicon_medley_raid_member" Format::new(Place::LAST, 608, b"\0\0\0\x2f").check(Check::Silicon);
        "via_raid_member" Format::new(Place::LAST, 512, b"\x55\xaa").check(Check::Via);
        "hpt45x_raid_member" Format::new(Place::end(5632, 9), 0, b"\xf3\x16\x78\x5a");
        "" Format::new(Place::end(5632, 9), 0, b"\xfd\x16\x78\x5a");
        "promise_fasttrack_raid_member" promise(63);
        "" promise(255);
        "" promise(256);
        "" promise(16);
        "" promise(399);
        "" promise(591);
        "" promise(675);
        "" promise(735);
        "" promise(911);
        "" promise(974);
        "" promise(991);
        "" promise(951);
        "" promise(3087);
    }
    file_systems {
        "ext2" ext(Check::Ext2);
        "ext3" ext(Check::Ext3);
        "ext4" ext(Check::Ext4);
        "erofs" Format::new(Place::start(1024), 0, b"\xe2\xe1\xf5\xe0").check(Check::Erofs).uuid(Uuid::Plain, 48).label(64, 16);
        "f2fs" Format::new(Place::start(1024), 0, b"\x10\x20\xf5\xf2").uuid(Uuid::Plain, 108).wide_label(124, 512);
        "nilfs2" Format::new(Place::start(1024), 0, b"\x02\0\0\0\0\0\x34\x34").uuid(Uuid::Plain, 152).label(168, 80);
        "xfs" Format::new(Place::FIRST, 0, b"XFSB").check(Check::Xfs).uuid(Uuid::Plain, 32).label(108, 12);
        "squashfs" Format::new(Place::FIRST, 0, b"hsqs").check(Check::Squashfs);
        "vfat" Format::new(Place::FIRST, 510, b"\x55\xaa").check(Check::Fat).uuid(Uuid::Fat, 0);
        "exfat" Format::new(Place::FIRST, 3, b"EXFAT   ").check(Check::Exfat).uuid(Uuid::Serial, 100);
        "ntfs" Format::new(Place::FIRST, 3, b"NTFS    ").check(Check::Ntfs).uuid(Uuid::LongSerial, 72);
        "romfs" Format::new(Place::FIRST, 0, b"-rom1fs-").label(16, 256);
        "cramfs" Format::new(Place::FIRST, 0, b"\x45\x3d\xcd\x28").label(48, 16);
        // Only the first half of the magic: in its first years bcachefs had all of bcache's magic.
        "bcachefs" Format::new(Place::start(4096), 24, b"\xc6\x85\x73\xf6").check(Check::Bcachefs).uuid(Uuid::Plain, 56).label(72, 32);
        "jfs" Format::new(Place::start(32768), 0, b"JFS1").uuid(Uuid::Plain, 136).label(152, 16);
        "iso9660" Format::new(Place::start(32768), 1, b"CD001").uuid(Uuid::Date, 813).label(40, 32);
        "udf" Format::new(Place::start(32768), 1, b"BEA01");
        "btrfs" Format::new(Place::start(65536), 64, b"_BHRfS_M").check(Check::Btrfs).uuid(Uuid::Plain, 32).label(299, 256);
        "reiserfs" Format::new(Place::start(65536), 52, b"ReIsEr").uuid(Uuid::Plain, 84).label(100, 16);
    }
    others {
        "swap" Format::new(Place::start(3072), 1014, b"SWAPSPAC");
        "swap" Format::new(Place::start(3072), 1014, b"SWAP-SPA");
        "jbd" ext(Check::Jbd);
    }
}
