//! The reaper: pid 1 as a program of its own, which fits in a page.
//!
//! The pid 1 of a program with much memory is set up in a process that shares that memory, since a copy
//! of its page tables takes long. It cannot stay there: a process inside that traced it could write to the
//! program's memory. It therefore executes this program, which looks after the command from then on, like
//! [`crate::pid1`].
//!
//! The program is written for a simple machine, which three files of macros make of each processor. It uses no
//! stack, and its data follow the code.

mod headers;

use core::arch::global_asm;
use core::ffi::CStr;
use core::mem::{MaybeUninit, offset_of, size_of};

use linux_raw_sys::{elf_uapi as elf, general as raw};
use sc::nr;

use super::fs::Identity;
use super::{BorrowedFd, Errno, OwnedFd, check, done, fs};

/// The addresses of the file, as code and as data.
const CODE_AT: u64 = 0x41_0000;
const DATA_AT: usize = 0x42_0000;

const SEGMENTS: usize = 3;
/// The data start at the second page of 4 KiB.
const CODE_LENGTH: usize =
    4096 - size_of::<elf::elf64_hdr>() - SEGMENTS * size_of::<elf::elf64_phdr>();
const RECORDS_MAX: usize = 32;
const NAMES_MAX: usize = 2048;

/// The name of the process, and of the file.
const NAME: &[u8] = b"rootlet-pid1\0";

#[cfg(target_arch = "x86_64")]
macro_rules! machine {
    () => {
        include_str!("x86_64.s")
    };
}
#[cfg(target_arch = "x86_64")]
const MACHINE: u32 = elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
macro_rules! machine {
    () => {
        include_str!("aarch64.s")
    };
}
#[cfg(target_arch = "aarch64")]
const MACHINE: u32 = elf::EM_AARCH64;
#[cfg(target_arch = "riscv64")]
macro_rules! machine {
    () => {
        include_str!("riscv64.s")
    };
}
#[cfg(target_arch = "riscv64")]
const MACHINE: u32 = elf::EM_RISCV;

/// The name has the version in it, because two versions of this crate may be linked into one program.
macro_rules! symbol {
    () => {
        concat!("rootlet_reaper_", env!("CARGO_PKG_VERSION"))
    };
}

global_asm!(
    machine!(),
    ".pushsection .rodata.rootlet_reaper, \"a\"",
    concat!(".globl \"", symbol!(), "\""),
    concat!(".hidden \"", symbol!(), "\""),
    concat!("\"", symbol!(), "\":"),
    ".Lreaper_start:",
    include_str!("program.s"),
    // An error of the assembler if the program is longer.
    ".org .Lreaper_start + {LENGTH}",
    ".popsection",
    // Another crate's assembly may follow in the same unit.
    ".irp name, arg1, arg2, arg3, arg4, arg5, word1, word2, field1, field2, field3, system, load, load_field",
    ".purgem \\name",
    ".endr",
    ".irp name, store, store_arg1, store_byte_arg1, keep_bits, keep_bits_of_field, shift, increase, negate",
    ".purgem \\name",
    ".endr",
    ".irp name, if_equal, if_less, if_word, unless_field, unless_same, record_at, next_record, goto",
    ".purgem \\name",
    ".endr",
    LENGTH = const CODE_LENGTH,
    PRCTL = const nr::PRCTL,
    PPOLL = const nr::PPOLL,
    CLOSE = const nr::CLOSE,
    READ = const nr::READ,
    SENDTO = const nr::SENDTO,
    RECVFROM = const nr::RECVFROM,
    KILL = const nr::KILL,
    WAIT4 = const nr::WAIT4,
    FCHDIR = const nr::FCHDIR,
    UMOUNT2 = const nr::UMOUNT2,
    FLOCK = const nr::FLOCK,
    STATX = const nr::STATX,
    UNLINKAT = const nr::UNLINKAT,
    EXIT_GROUP = const nr::EXIT_GROUP,
    SET_DUMPABLE = const linux_raw_sys::prctl::PR_SET_DUMPABLE,
    SET_PDEATHSIG = const linux_raw_sys::prctl::PR_SET_PDEATHSIG,
    SET_NAME = const linux_raw_sys::prctl::PR_SET_NAME,
    NOSIGNAL = const linux_raw_sys::net::MSG_NOSIGNAL,
    DONTWAIT = const linux_raw_sys::net::MSG_DONTWAIT,
    SIGCHLD = const raw::SIGCHLD,
    SIGKILL = const raw::SIGKILL,
    ESRCH = const linux_raw_sys::errno::ESRCH,
    ECHILD = const linux_raw_sys::errno::ECHILD,
    EINTR = const linux_raw_sys::errno::EINTR,
    NOHANG = const raw::WNOHANG | raw::__WALL,
    WALL = const raw::__WALL,
    DETACH_NOFOLLOW = const raw::MNT_DETACH | raw::UMOUNT_NOFOLLOW,
    LOCK = const raw::LOCK_EX | raw::LOCK_NB,
    NOFOLLOW = const raw::AT_SYMLINK_NOFOLLOW,
    REMOVEDIR = const raw::AT_REMOVEDIR,
    BASIC_STATS = const raw::STATX_BASIC_STATS,
    polls = const at(offset_of!(Data, polls)),
    signals = const at(offset_of!(Data, polls) + offset_of!(raw::pollfd, fd)),
    signals_events = const at(offset_of!(Data, polls) + offset_of!(raw::pollfd, events)),
    socket = const at(offset_of!(Data, polls) + size_of::<raw::pollfd>()),
    socket_events = const at(offset_of!(Data, polls) + size_of::<raw::pollfd>() + offset_of!(raw::pollfd, events)),
    executed = const at(offset_of!(Data, polls) + 2 * size_of::<raw::pollfd>()),
    executed_events = const at(offset_of!(Data, polls) + 2 * size_of::<raw::pollfd>() + offset_of!(raw::pollfd, events)),
    go = const at(offset_of!(Data, go)),
    command = const at(offset_of!(Data, command)),
    number = const at(offset_of!(Data, number)),
    status = const at(offset_of!(Data, status)),
    code = const at(offset_of!(Data, code)),
    has_reported = const at(offset_of!(Data, has_reported)),
    count = const at(offset_of!(Data, count)),
    has_left = const at(offset_of!(Data, has_left)),
    detached = const at(offset_of!(Data, detached)),
    slash = const at(offset_of!(Data, slash)),
    executed_report = const at(offset_of!(Data, words) + offset_of!(Words, executed)),
    unprotected_report = const at(offset_of!(Data, words) + offset_of!(Words, unprotected)),
    took_report = const at(offset_of!(Data, words) + offset_of!(Words, took)),
    left_report = const at(offset_of!(Data, words) + offset_of!(Words, left)),
    killed_report = const at(offset_of!(Data, words) + offset_of!(Words, killed)),
    not_sent_report = const at(offset_of!(Data, words) + offset_of!(Words, not_sent)),
    failed_report = const at(offset_of!(Data, words) + offset_of!(Words, failed)),
    order_end = const at(offset_of!(Data, words) + offset_of!(Words, end)),
    order_detach = const at(offset_of!(Data, words) + offset_of!(Words, detach)),
    message = const at(offset_of!(Data, message)),
    message_value = const at(offset_of!(Data, message_value)),
    name = const at(offset_of!(Data, name)),
    buffer = const at(offset_of!(Data, buffer)),
    found_mode = const at(offset_of!(Data, buffer) + offset_of!(raw::statx, stx_mode)),
    found_inode = const at(offset_of!(Data, buffer) + offset_of!(raw::statx, stx_ino)),
    found_size = const at(offset_of!(Data, buffer) + offset_of!(raw::statx, stx_size)),
    found_device = const at(offset_of!(Data, buffer) + offset_of!(raw::statx, stx_dev_major)),
    records = const DATA_AT + offset_of!(File, records),
    PARENT = const offset_of!(Record, parent),
    FILE = const offset_of!(Record, file),
    NAME = const offset_of!(Record, name),
    FLAGS = const offset_of!(Record, flags),
    MODE_BITS = const offset_of!(Record, mode_bits),
    MODE = const offset_of!(Record, mode),
    INODE = const offset_of!(Record, inode),
    DEVICE = const offset_of!(Record, device),
    NO_SIZE = const offset_of!(Record, no_size),
    RECORD = const size_of::<Record>(),
);

unsafe extern "C" {
    #[link_name = symbol!()]
    static CODE: [u8; CODE_LENGTH];
}

/// The address of this offset in the data.
const fn at(offset: usize) -> usize {
    DATA_AT + offset_of!(File, data) + offset
}

/// The file that is executed: its headers, the code, and the data that the code works on.
#[repr(C)]
struct File {
    header: elf::elf64_hdr,
    segments: [elf::elf64_phdr; SEGMENTS],
    code: [u8; CODE_LENGTH],
    data: Data,
    records: [Record; RECORDS_MAX],
    names: [u8; NAMES_MAX],
}

#[repr(C)]
struct Data {
    /// The signalfd, the socket, and the pipe that the command's process closes.
    polls: [raw::pollfd; 3],
    go: i32,
    command: i32,
    /// The signal to send.
    number: i32,
    status: u32,
    /// The status to exit with.
    code: u32,
    has_reported: u32,
    /// The number of records that are left.
    count: u32,
    /// A mount point was not removed.
    has_left: u32,
    /// The result of detaching all mounts at once.
    detached: u32,
    /// A path.
    slash: [u8; 4],
    rest: [u8; 3],
    /// A message of a byte and a number.
    message: u8,
    message_value: u32,
    words: Words,
    name: [u8; 16],
    /// A `struct signalfd_siginfo`, an order, or a `struct statx`.
    buffer: [u64; 32],
}

/// The words of the protocol with the program, each one byte.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Words {
    /// Report: the command's process has executed it, or ended.
    pub executed: u32,
    /// Report: this process could not be protected, and the command was not executed.
    pub unprotected: u32,
    /// Report: the order to detach was executed.
    pub took: u32,
    /// Report: a mount point could not be removed.
    pub left: u32,
    /// Report: the signal that killed the command follows.
    pub killed: u32,
    /// Report: the errno with which a signal could not be sent follows.
    pub not_sent: u32,
    /// Report: the errno with which this process failed to look after the command follows.
    pub failed: u32,
    /// Order: end.
    pub end: u32,
    /// Order: go on without the program.
    pub detach: u32,
}

/// A mount point to remove.
#[repr(C)]
struct Record {
    parent: i32,
    file: i32,
    flags: u32,
    name: u32,
    mode_bits: u32,
    mode: u32,
    inode: u64,
    device: [u32; 2],
    no_size: u64,
}

/// A temporary mount point that this process has locked.
pub struct MountPoint<'a> {
    /// The directory that it is in.
    pub parent: BorrowedFd<'a>,
    /// Its name there.
    pub name: &'a CStr,
    /// The mount point itself.
    pub file: BorrowedFd<'a>,
    pub identity: Identity,
    pub is_directory: bool,
    /// Its permissions, and those that may differ.
    pub permissions: u32,
    pub may_differ: u32,
}

/// The descriptors of this process that the reaper takes over.
#[derive(Clone, Copy)]
pub struct Descriptors<'a> {
    /// A signalfd with all signals, which are blocked.
    pub signals: BorrowedFd<'a>,
    /// The socket to the program.
    pub socket: BorrowedFd<'a>,
    /// The end of a pipe, whose other end the command's process closes when it executes or ends.
    pub executed: BorrowedFd<'a>,
    /// The end of a pipe that the command's process waits for.
    pub go: BorrowedFd<'a>,
}

/// The reaper, before it is executed.
pub struct Reaper<'a> {
    descriptors: Descriptors<'a>,
    file: &'a mut File,
    names: usize,
}

/// Memory for a [`Reaper`].
pub struct Memory(MaybeUninit<File>);

impl Memory {
    pub fn new() -> Memory {
        Memory(MaybeUninit::zeroed())
    }
}

impl<'a> Reaper<'a> {
    /// Prepares the reaper.
    pub fn new(memory: &'a mut Memory, descriptors: Descriptors<'a>, words: Words) -> Reaper<'a> {
        // SAFETY: all fields are integers, for which zero is a value.
        let file = unsafe { memory.0.assume_init_mut() };
        file.header = headers::header();
        file.segments = headers::segments();
        // SAFETY: the assembly above defines it, and nothing changes it.
        file.code = unsafe { CODE };
        let poll = |fd: BorrowedFd, events: u32| raw::pollfd {
            fd: fd.number(),
            events: events as i16,
            revents: 0,
        };
        let data = &mut file.data;
        data.polls = [
            poll(descriptors.signals, raw::POLLIN),
            poll(descriptors.socket, raw::POLLIN),
            poll(descriptors.executed, 0),
        ];
        data.go = descriptors.go.number();
        data.code = 125;
        data.slash[0] = b'/';
        data.words = words;
        data.name[..NAME.len()].copy_from_slice(NAME);
        Reaper {
            descriptors,
            file,
            names: 0,
        }
    }

    /// Adds a mount point, which is removed at the end.
    ///
    /// ENOSPC: there is no room for it.
    pub fn add(&mut self, point: &MountPoint) -> Result<(), Errno> {
        let (start, name) = (self.names, point.name.to_bytes_with_nul());
        let room = self.file.names.get_mut(start..start + name.len());
        room.ok_or(Errno::ENOSPC)?.copy_from_slice(name);
        self.names += name.len();
        let record = self.file.records.get_mut(self.file.data.count as usize);
        let [inode, device] = point.identity;
        let (kind, flags) = match point.is_directory {
            true => (raw::S_IFDIR, raw::AT_REMOVEDIR),
            false => (raw::S_IFREG, 0),
        };
        *record.ok_or(Errno::ENOSPC)? = Record {
            parent: point.parent.number(),
            file: point.file.number(),
            flags,
            name: (DATA_AT + offset_of!(File, names) + start) as u32,
            mode_bits: raw::S_IFMT | 0o7777 & !point.may_differ,
            mode: kind | point.permissions,
            inode,
            device: [(device >> 32) as u32, device as u32],
            no_size: 0,
        };
        self.file.data.count += 1;
        Ok(())
    }

    /// `memfd_create(2)`, and `execveat(2)`: this process becomes the reaper of `command`, its child. Returns
    /// only if that fails.
    pub fn execute(self, command: i32) -> Result<(), Errno> {
        self.file.data.command = command;
        let file = memfd()?;
        // SAFETY: the file is plain integers without padding, all of them initialised.
        let bytes = unsafe {
            core::slice::from_raw_parts((&raw const *self.file).cast::<u8>(), size_of::<File>())
        };
        fs::write_all(file.borrow(), bytes)?;
        let Descriptors {
            signals,
            socket,
            executed,
            go,
        } = self.descriptors;
        // The command's process has copies of these, which are closed when it executes.
        for kept in [signals, socket, executed, go] {
            fs::keep_for_command(kept.number() as u32)?;
        }
        for record in &self.file.records[..self.file.data.count as usize] {
            fs::keep_for_command(record.parent as u32)?;
            fs::keep_for_command(record.file as u32)?;
        }
        let arguments = [NAME.as_ptr(), core::ptr::null()];
        let environment = [core::ptr::null::<u8>()];
        // SAFETY: two C strings, and two arrays of C strings that end with null.
        done(unsafe {
            sc::syscall5(
                nr::EXECVEAT,
                file.borrow().raw(),
                c"".as_ptr() as usize,
                arguments.as_ptr() as usize,
                environment.as_ptr() as usize,
                raw::AT_EMPTY_PATH as usize,
            )
        })
    }
}

/// `memfd_create(2)`: a file in memory that may be executed.
fn memfd() -> Result<OwnedFd, Errno> {
    let create = |flags: u32| {
        // SAFETY: a C string.
        check(unsafe { sc::syscall2(nr::MEMFD_CREATE, NAME.as_ptr() as usize, flags as usize) })
    };
    // Before Linux 6.3 every such file may be executed, and the flag is unknown.
    match create(raw::MFD_CLOEXEC | raw::MFD_EXEC) {
        Err(Errno::EINVAL) => create(raw::MFD_CLOEXEC),
        created => created,
    }
    .map(OwnedFd::new)
}
