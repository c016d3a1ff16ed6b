//! `rootlet boot`: the `/init` of an initramfs. It takes the machine from the kernel to the real root,
//! or runs one command and ends the machine.
//!
//! Process 1 must never end: the kernel would panic. Every failure is therefore printed on the console
//! and ends the machine in `end`, which never returns. All configuration comes from the kernel command
//! line and from the files in `/rootlet`.

pub(crate) mod cmdline;
pub(crate) mod command;
mod console;
mod device;
pub(crate) mod disk;
mod end;
mod events;
pub(crate) mod fstab;
pub(crate) mod network;
mod port;
mod real_root;
mod switch_root;
mod sysfs;
pub(crate) mod wanted;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::boot::cmdline::CommandLine;
use crate::boot::command::GuestCommand;
use crate::boot::events::Events;
use crate::boot::port::Record;
use crate::boot::sysfs::read_optional;
use crate::error::{Error, Step, Verbose};
use crate::mount::attach::{Mounts, Root};
use crate::mount::{Mount, Planned};
use crate::process::exec::Command;
use crate::sys::memory::Marked;
use crate::sys::poll::clock;
use crate::sys::process::{ExitStatus, id};
use crate::sys::system::load_module;
use crate::sys::{BorrowedFd, Errno, fs, split};
use crate::text::name::Name;
use crate::text::path::split_last;

/// Boots the machine as the first process of an initramfs.
///
/// Mounts `/dev`, `/proc`, `/sys` and `/run`, loads the modules in `/rootlet/modules`, mounts the file
/// system that `root=` names, and becomes its init. With a command, in `/rootlet/command` or after `--`
/// on the kernel command line, it runs that command instead and then ends the machine.
/// `rootlet help boot` lists the parameters and files.
///
/// `arguments` (without the program's name) and `environment` are passed to the init of the real root.
///
/// Uses `mount(2)`, `move_mount(2)` (Linux 5.2), `pivot_root(2)`, `finit_module(2)`, `reboot(2)`
/// and the events of `netlink(7)`'s NETLINK_KOBJECT_UEVENT.
///
/// # Errors
///
/// Returns only if it did nothing, because the caller is not process 1 or the root is not an initramfs.
/// Every other failure is printed on the console and ends the machine.
///
/// ```
/// let refused = rootlet::boot(&[], &[]);
/// assert!(refused.to_string().contains("process 1"));
/// ```
pub fn boot(arguments: &[&[u8]], environment: &[&[u8]]) -> Error {
    boot_with(arguments, environment, &())
}

/// Like [`boot`], for a program whose allocator does not free single blocks.
#[doc(hidden)]
pub fn boot_with(arguments: &[&[u8]], environment: &[&[u8]], allocator: &dyn Marked) -> Error {
    let entered = clock();
    if let Err(error) = check_place() {
        return error;
    }
    let mounted = mount_file_systems();
    console::open();
    let text = fs::read_all(c"/proc/cmdline");
    let line = CommandLine::new(text.as_deref().unwrap_or_default());
    let read = text.map_err(|errno| Error::new(Step::ReadFile, b"/proc/cmdline", errno));
    let mut record = None;
    let outcome = Events::open(allocator).and_then(|events| {
        // Failures of the mounts and of the module list go to the status port too, so it opens first.
        let loaded = load_modules(&line);
        let opened = Record::open(&line, &events).map(|port| record = port);
        if let Some(record) = &record {
            record.tell_time(b"entered", entered);
        }
        mounted.and(read).and(loaded).and(opened)?;
        go_on(&line, &events, record.as_ref(), arguments, environment)
    });
    end::end(&line, record.as_ref(), outcome)
}

/// Returns whether this is process 1 and the root is an initramfs. True also if the root cannot be
/// examined, since [`boot`] then reports why.
#[doc(hidden)]
#[allow(dead_code, reason = "the binary uses it")]
pub fn is_first_of_initramfs() -> bool {
    match check_place() {
        Ok(()) => true,
        Err(error) => error.errno().is_some(),
    }
}

/// Checks that this is the first process of an initramfs: booting would ruin a running system.
fn check_place() -> Result<(), Error> {
    /// From `<linux/magic.h>`: the kernel unpacks an initramfs to one of the two.
    const RAMFS_MAGIC: u64 = 0x8584_58f6;
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    let refused = |why| Err(Error::because(Step::Boot, b"", why));
    if id() != 1 {
        return refused("only process 1 can");
    }
    let root = fs::openat(BorrowedFd::CWD, c"/", fs::O_PATH, 0);
    match root.and_then(|root| fs::statfs(root.borrow())) {
        Ok((RAMFS_MAGIC | TMPFS_MAGIC, _)) => Ok(()),
        Ok(_) => refused("the root is not an initramfs"),
        Err(errno) => Err(Error::new(Step::Boot, b"", errno)),
    }
}

fn mount_file_systems() -> Result<(), Error> {
    // The kernel may have mounted /dev already, with flags of its own.
    const FSTAB: &[u8] = b"\
proc /proc proc nosuid,nodev,noexec
sysfs /sys sysfs nosuid,nodev,noexec
devtmpfs /dev devtmpfs
tmpfs /run tmpfs nosuid,nodev,mode=755";
    mount_all(b"/", &fstab::read(FSTAB)?)
}

/// Loads the modules in `/rootlet/modules`. Each line is a path, and after a space the parameters.
/// Parameters from the kernel command line are appended, as by modprobe(8). A module that cannot be
/// loaded is reported and skipped: the boot fails later if something needs it.
fn load_modules(line: &CommandLine) -> Result<(), Error> {
    let list = read_optional(c"/rootlet/modules")?.unwrap_or_default();
    for (path, parameters) in modules(&list) {
        let failed = |step, errno| Error::new(step, path, errno).print();
        let file = fs::openat(BorrowedFd::CWD, Name::new(path).as_c_str(), fs::O_RDONLY, 0);
        let file = match file {
            Ok(file) => file,
            Err(errno) => {
                failed(Step::LoadModule, errno);
                continue;
            }
        };
        let mut parameters = Vec::from(parameters);
        line.push_module_parameters(module_name(path), &mut parameters);
        let parameters = Name::new(&parameters);
        let compressed = !path.ends_with(b".ko");
        match load_module(file.borrow(), parameters.as_c_str(), compressed) {
            // Loaded already, or no device for it in this machine.
            Ok(()) | Err(Errno::EEXIST | Errno::ENODEV) => {}
            Err(Errno::ENOENT) => failed(Step::LinkModule, Errno::ENOENT),
            Err(errno) => failed(Step::LoadModule, errno),
        }
    }
    Ok(())
}

/// Returns each module's path and parameters.
pub(crate) fn modules(list: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    split(list, b'\n').filter_map(|line| {
        let mut words = line.splitn(2, |byte| *byte == b' ');
        let path = words.next().unwrap_or_default();
        let is_none = path.is_empty() || path.starts_with(b"#");
        (!is_none).then_some((path, words.next().unwrap_or_default()))
    })
}

/// Returns the module's name in the kernel, except that dashes stay: the file name up to the first dot.
fn module_name(path: &[u8]) -> &[u8] {
    let file = split_last(path).1;
    split(file, b'.').next().unwrap_or_default()
}

/// Splits a text at a separator, into owned parts.
fn parts(text: &[u8], separator: u8) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    for part in split(text, separator) {
        parts.push(Vec::from(part));
    }
    parts
}

/// Mounts all of these below a directory, permanently. Nobody else uses the mount points of an
/// initramfs, so they are neither locked nor removed.
fn mount_all(root: &[u8], mounts: &[Mount]) -> Result<(), Error> {
    let root = Name::new(root);
    let flags = fs::O_PATH | fs::O_DIRECTORY;
    let directory = fs::openat(BorrowedFd::CWD, root.as_c_str(), flags, 0)
        .map_err(|errno| Error::new(Step::OpenRoot, root.bytes(), errno))?;
    let mut planned = Vec::new();
    for mount in mounts {
        planned.push(Planned::new(Cow::Borrowed(mount)));
    }
    let result = mount_in(directory.borrow(), &planned);
    // Mounting changes the working directory to the mount points.
    let _ = fs::chdir(c"/");
    result
}

fn mount_in(root: BorrowedFd, planned: &[Planned]) -> Result<(), Error> {
    let mut mounts = Mounts::with_room_for(planned.len(), Root::Initial, false);
    for (index, mount) in planned.iter().enumerate() {
        mounts.take_source(index, mount, Verbose::NOT)?;
    }
    for (index, mount) in planned.iter().enumerate() {
        mounts.find(root, index, mount, &[], Verbose::NOT)?;
    }
    for index in 0..planned.len() {
        mounts.attach(index, planned, Verbose::NOT)?;
    }
    Ok(())
}

fn go_on(
    line: &CommandLine,
    events: &Events,
    record: Option<&Record>,
    arguments: &[&[u8]],
    environment: &[&[u8]],
) -> Result<ExitStatus, Error> {
    let mut command = GuestCommand::read(line, environment)?;
    if let Some(command) = &mut command {
        command::mount_more()?;
        for mount in &mut command.mounts {
            device::find_for(mount, line, events)?;
        }
        let resolv_conf = network::set_up_network(line, events)?;
        command.mounts.extend(resolv_conf);
    }
    let Some(root) = line.value(b"root") else {
        return match command {
            Some(command) => {
                mount_all(b"/", &command.mounts)?;
                command.run(line, events, record)
            }
            None => Err(Error::because(
                Step::Boot,
                b"",
                "the kernel command line has neither root= nor a command",
            )),
        };
    };
    real_root::mount(line, root, events)?;
    if let Some(command) = &command {
        mount_all(real_root::NEW_ROOT.to_bytes(), &command.mounts)?;
    }
    switch_root::switch_root(real_root::NEW_ROOT, real_root::may_use_initramfs(line))?;
    match command {
        Some(command) => command.run(line, events, record),
        None => {
            console::open_again();
            Err(become_init(line, arguments, environment))
        }
    }
}

/// Executes the init of the real root. Returns only if none can be executed.
fn become_init(line: &CommandLine, arguments: &[&[u8]], environment: &[&[u8]]) -> Error {
    // The kernel's own list, for a root that it mounts itself.
    const USUAL: &[&[u8]] = &[b"/sbin/init", b"/etc/init", b"/bin/init", b"/bin/sh"];
    let wanted = line.value(b"init").map(|path| [path]);
    let candidates = wanted.as_ref().map_or(USUAL, |path| &path[..]);
    let environment = names(&[], environment);
    let mut result = None;
    for candidate in candidates {
        let words = names(&[candidate], arguments);
        let error = Command::new(&words, &environment).execute();
        // The error of an init that exists tells more than ENOENT for one that does not.
        if result.is_none() || error.errno() != Some(Errno::ENOENT.number()) {
            result = Some(error);
        }
    }
    result.unwrap_or_else(|| Error::new(Step::Execute, b"init", Errno::ENOENT))
}

fn names(first: &[&[u8]], others: &[&[u8]]) -> Vec<Name> {
    let mut names = Vec::new();
    for words in [first, others] {
        for word in words {
            names.push(Name::new(word));
        }
    }
    names
}
