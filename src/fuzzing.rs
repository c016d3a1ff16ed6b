//! The parsers of untrusted input, for the fuzzers in `tests/fuzz` and for the tests below. Each function
//! takes any bytes, and panics if a property does not hold.

use alloc::vec::Vec;
use std::format;
use std::string::String;

use crate::boot::cmdline::CommandLine;
use crate::boot::command::strings;
use crate::boot::disk::Read;
use crate::boot::disk::partition::{Known, Partition, partuuid_and_offset};
use crate::boot::disk::superblock::Superblock;
use crate::boot::fstab;
use crate::boot::modules;
use crate::boot::network::address;
use crate::boot::wanted::device_number;
use crate::mount::remount::Lines;
use crate::mount::{Mount, Source};
use crate::sys::fs::{pipe, write_all};
use crate::sys::mount::MOUNT_ATTR_RDONLY;
use crate::text::number::number;
use crate::user::accounts::{groups, users};
use crate::user::capability::Capabilities;

/// Parses a file like `/etc/passwd` or `/etc/group`.
pub fn accounts(file: &[u8]) {
    let lines: Vec<&[u8]> = file.split(|byte| *byte == b'\n').collect();
    let is_field = |text: &[u8]| !text.iter().any(|byte| b":\n\0".contains(byte));
    let mut count = 0;
    for user in users(file) {
        count += 1;
        assert!(user.id != u32::MAX && user.group != u32::MAX);
        assert!(!user.name.is_empty() && !b"#+-".contains(&user.name[0]));
        assert!([user.name, user.home, user.shell].into_iter().all(is_field));
        // The user's line in the standard form gives the same user.
        let numbers = format!(":x:{}:{}::", user.id, user.group);
        let parts = [user.name, numbers.as_bytes(), user.home, b":", user.shell];
        assert!(users(&parts.concat()).eq([user]));
        assert!(lines.iter().any(|line| line.starts_with(user.name)));
    }
    assert!(count <= lines.len());
    for (name, id, members) in groups(file) {
        assert!(id != u32::MAX && !name.is_empty());
        assert!(is_field(name) && is_field(members));
        let number = format!(":x:{id}:");
        let line = [name, number.as_bytes(), members].concat();
        assert!(groups(&line).eq([(name, id, members)]));
    }
}

/// Parses `SRC[:DEST[:OPT,…]]`, and the list of `--drop-caps`.
pub fn options(text: &[u8]) {
    let environment = |name: &[u8]| (name == b"HOME").then_some(&b"/home/a:b"[..]);
    if let Ok(Some(mount)) = Mount::parse(text, environment) {
        let source = mount.source.name().bytes();
        assert!(!source.is_empty());
        // The text form cannot express a path with `\:`, or one that would be taken for another form.
        let can_be_written =
            |path: &[u8]| !path.ends_with(b"\\") && !path.windows(2).any(|two| two == b"\\:");
        let target = mount.target.bytes();
        let is_plain = matches!(mount.source, Source::Path(_))
            && !text.starts_with(b"$")
            && !text.contains(&0)
            && !target.is_empty();
        if is_plain && can_be_written(source) && can_be_written(target) {
            let mut again = [&escaped(source)[..], b":", &escaped(target), b":"].concat();
            again.extend(if mount.flags & MOUNT_ATTR_RDONLY != 0 {
                &b"ro,"[..]
            } else {
                b""
            });
            again.extend(if mount.recursive { &b"rec,"[..] } else { b"" });
            let read = Mount::parse(&again, |_| None).unwrap().unwrap();
            assert_eq!((&read.source, &read.target), (&mount.source, &mount.target));
            assert_eq!(read.recursive, mount.recursive);
        }
    }
    if let Ok(set) = Capabilities::parse(text) {
        let mut line = crate::text::line::Line::new();
        set.describe(&mut line);
        assert_eq!(Capabilities::parse(line.bytes()), Ok(set));
    }
}

fn escaped(path: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in path {
        if *byte == b':' {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    text
}

/// Parses the input of `rootlet boot`: the kernel command line and the files of an initramfs.
pub fn boot(text: &[u8]) {
    command_line(text);
    for (path, parameters) in modules(text) {
        assert!(!path.is_empty() && !path.contains(&b' ') && path[0] != b'#');
        assert!(!path.contains(&b'\n') && !parameters.contains(&b'\n'));
    }
    if let Ok(mounts) = fstab::read(text) {
        assert!(mounts.len() <= text.split(|byte| *byte == b'\n').count());
        assert!(mounts.iter().all(|mount| mount.device.is_some()));
    }
    let mut words = strings(text).join(&0);
    if text.ends_with(b"\0") {
        words.push(0);
    }
    assert_eq!(words, text);
    if let Some(parts) = address(text) {
        assert_eq!(
            address(format!("{:?}", std::net::Ipv4Addr::from(parts)).as_bytes()),
            Some(parts)
        );
    }
    if let Some(value) = number(text) {
        assert_eq!(String::from_utf8_lossy(text).parse(), Ok(value));
    }
    if let Some((major, minor)) = device_number(text) {
        let plain = format!("{major}:{minor}");
        assert_eq!(device_number(plain.as_bytes()), Some((major, minor)));
    }
    if let Some((uuid, offset)) = partuuid_and_offset(text) {
        assert!(text.starts_with(uuid) && offset > i32::MIN);
    }
}

/// Compares the parser of the command line with a transcription of the kernel's.
fn command_line(text: &[u8]) {
    // A command line has no NUL.
    let text: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
    let line = CommandLine::new(&text);
    let (mut rest, mut for_init) = (skip_spaces(&text), None);
    while !rest.is_empty() {
        let (name, value, after) = next_arg(rest);
        rest = after;
        match &mut for_init {
            None if name == b"--" && value.is_none() => for_init = Some(Vec::new()),
            None => {
                assert!(line.has(&name));
                assert_eq!(line.last_of(&[&name]), Some(&name[..]));
            }
            Some(words) => words.push(match value {
                Some(value) => [&name[..], b"=", &value].concat(),
                None => name,
            }),
        }
    }
    assert_eq!(line.for_init, for_init.unwrap_or_default());
    // A module gets its parameters unchanged.
    let mut parameters = Vec::new();
    line.push_module_parameters(b"a", &mut parameters);
    let given = CommandLine::new(&parameters);
    let mut rest = skip_spaces(&text);
    while !rest.is_empty() {
        let (name, value, after) = next_arg(rest);
        rest = after;
        match name.strip_prefix(b"a.") {
            _ if name == b"--" && value.is_none() => break,
            Some(name) if name.len() > 1 && name.iter().all(u8::is_ascii_alphanumeric) => {
                assert!(given.has(name) || parameters.contains(&b'"'), "{text:?}");
            }
            _ => {}
        }
    }
}

/// `next_arg` of the kernel's `lib/cmdline.c`, on text where a NUL ends a string.
fn next_arg(args: &[u8]) -> (Vec<u8>, Option<Vec<u8>>, &[u8]) {
    let quoted = args[0] == b'"';
    let args = &args[usize::from(quoted)..];
    let at = |index: usize| args.get(index).copied().unwrap_or(0);
    let (mut i, mut equals, mut in_quote) = (0, 0, quoted);
    while at(i) != 0 {
        if is_space(at(i)) && !in_quote {
            break;
        }
        if equals == 0 && at(i) == b'=' {
            equals = i;
        }
        if at(i) == b'"' {
            in_quote = !in_quote;
        }
        i += 1;
    }
    let mut copy = args[..i].to_vec();
    let mut value_start = equals + 1;
    if equals != 0 {
        copy[equals] = 0;
        if at(equals + 1) == b'"' {
            value_start += 1;
            if at(i - 1) == b'"' {
                copy[i - 1] = 0;
            }
        }
    }
    if quoted && i > 0 && at(i - 1) == b'"' {
        copy[i - 1] = 0;
    }
    let string = |start: usize| {
        let rest = copy.get(start..).unwrap_or_default();
        rest.split(|byte| *byte == 0)
            .next()
            .unwrap_or_default()
            .to_vec()
    };
    let value = (equals != 0).then(|| string(value_start));
    (string(0), value, skip_spaces(&args[i..]))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0)
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_space(*byte));
    &text[start.unwrap_or(text.len())..]
}

/// Parses the kernel's list of mounts, whose paths may be chosen by others.
pub fn mountinfo(text: &[u8]) {
    // A pipe with one page holds no more.
    let text = &text[..text.len().min(4096)];
    let read = |text: &[u8]| {
        let (reader, writer) = pipe(0).unwrap();
        write_all(writer.borrow(), text).unwrap();
        drop(writer);
        let mut lines = Lines::new(reader.borrow());
        let mut found = Vec::new();
        while let Ok(Some((id, path))) = lines.next() {
            found.push((id, path.bytes().to_vec()));
        }
        found
    };
    read(text);
    // Paths in the kernel's escaped form are read back unchanged.
    let paths = text.split(|byte| *byte == 0).take(20);
    let expected: Vec<(u64, Vec<u8>)> = (7..).zip(paths.map(<[u8]>::to_vec)).collect();
    let mut listed = Vec::new();
    for (id, path) in &expected {
        listed.extend(format!("{id} 1 0:5 / ").bytes());
        for byte in path {
            match byte {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => {
                    listed.extend(format!("\\{byte:03o}").bytes())
                }
                byte => listed.push(*byte),
            }
        }
        listed.extend(b" rw shared:1 - tmpfs a\\040b rw\n");
    }
    if listed.len() <= 65536 {
        assert_eq!(read(&listed), expected);
    }
}

/// Parses a disk. The data are its first two kilobytes and the one at 64 KiB; the rest of the data repeats
/// everywhere else.
pub fn disk(data: &[u8]) {
    let (parameters, data) = data.split_at(data.len().min(5));
    let parameter = |index: usize| parameters.get(index).copied().unwrap_or(0);
    let byte = |offset: u64| {
        let offset = match offset {
            0..2048 => offset as usize,
            65536..66560 => (offset - 65536) as usize + 2048,
            _ if data.len() > 3072 => 3072 + (offset % (data.len() as u64 - 3072)) as usize,
            _ => return 0,
        };
        data.get(offset).copied().unwrap_or(0)
    };
    // Limits the number of reads, for any content.
    fn limited<T>(
        byte: impl Fn(u64) -> u8,
        limit: usize,
        disk_size: u64,
        test: impl Fn(&mut Read) -> T,
    ) -> T {
        let mut reads = 0;
        test(&mut |offset, buffer| {
            reads += 1;
            assert!(reads <= limit && buffer.len() <= 1024);
            let end = offset.checked_add(buffer.len() as u64);
            let is_there = end.is_some_and(|end| end <= disk_size);
            if is_there {
                for (offset, place) in (offset..).zip(buffer) {
                    *place = byte(offset);
                }
            }
            is_there
        })
    }
    let disk_size = 1 << (parameter(0) % 64);
    if let Some(found) = limited(byte, 400, disk_size, |read| {
        Superblock::read(read, disk_size)
    }) {
        let (uuid, label) = (found.uuid.bytes(), found.label.bytes());
        assert_eq!(
            found.uuid.is_uuid(&uuid.to_ascii_uppercase()),
            !uuid.is_empty()
        );
        assert_eq!(found.label.is(label), !label.is_empty());
        assert!(!found.uuid.is_uuid(&[uuid, b"0"].concat()));
        assert!(!found.label.is(&[label, b"0"].concat()));
    }
    let block_size = match parameter(1) {
        0..16 => 512 << parameter(1),
        byte => u32::from(byte) * 16_843_009,
    };
    let number = u32::from(parameter(2)) << (parameter(3) % 32);
    let known = Known {
        number,
        start: u64::from(block_size) << (parameter(4) % 16),
        disk_size,
        block_size: block_size.into(),
    };
    let found = limited(byte, 5, disk_size, |read| Partition::read(read, known));
    if let Some(found) = found {
        agrees_with_itself(&found);
    }
}

/// Checks that the names of a partition are text, and that only these names match it.
pub(crate) fn agrees_with_itself(found: &Partition) {
    let (uuid, label) = (found.uuid.bytes(), found.label.bytes());
    assert!(std::str::from_utf8(label).is_ok());
    assert_eq!(
        found.uuid.is_uuid(&uuid.to_ascii_uppercase()),
        !uuid.is_empty()
    );
    assert_eq!(found.label.is(label), !label.is_empty());
    assert!(!found.uuid.is_uuid(&[uuid, b"0"].concat()));
    assert!(!found.label.is(&[label, b"0"].concat()));
}

#[cfg(all(test, in_clone))]
#[path = "../tests/fuzz/cases.rs"]
mod cases;

#[cfg(all(test, in_clone))]
mod tests {
    use std::println;

    use super::cases::{share, try_all};

    /// The shares that the whole time is divided into, some for the fuzzers of the command line.
    const SHARES: u32 = 7;

    fn holds(name: &str, parser: fn(&[u8])) {
        let count = try_all(name, parser, share(SHARES));
        println!("torture fuzz: {name}: {count} cases, no finding");
    }

    #[test]
    fn what_holds_for_accounts() {
        holds("accounts", super::accounts);
    }

    #[test]
    fn what_holds_for_options() {
        holds("options", super::options);
    }

    #[test]
    fn what_holds_for_boot() {
        holds("boot", super::boot);
    }

    #[test]
    fn what_holds_for_mountinfo() {
        holds("mountinfo", super::mountinfo);
    }

    #[test]
    fn what_holds_for_disks() {
        holds("disk", super::disk);
    }
}
