//! `/etc/hosts` of a run with its own host name.
//!
//! Programs look up their own host name, so the file must have a line for it.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::mount::{Mount, Planned, Source};
use crate::sys::fs;
use crate::text::name::Name;

pub(crate) const PATH: &str = "/etc/hosts";

/// The contents for a host that has no such file.
const LOCALHOST: &[u8] = b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// The conventional address of a host's own name where no other is known.
const OWN: &[u8] = b"127.0.1.1\t";

/// Replaces the mount of `/etc/hosts` by a copy with a line for this host name. Only the default
/// mount or a copy is replaced; a bind that the caller asked for stays.
pub(crate) fn add_name(planned: &mut Planned, name: &Name) {
    let mount = &planned.mount;
    let may_be_changed = match &mount.source {
        Source::Path(path) => mount.by_default && path.bytes() == PATH.as_bytes(),
        Source::Copy(path) => path.bytes() == PATH.as_bytes(),
        _ => false,
    };
    if !may_be_changed || !mount.has_target_of(&Mount::bind(PATH)) {
        return;
    }
    let mut copy = Mount::copy(PATH).optional();
    copy.flags = mount.flags;
    let hosts = fs::read_all(Name::new(PATH.as_bytes()).as_c_str());
    planned.contents = Ok(with_name(
        hosts.unwrap_or_else(|_| LOCALHOST.to_vec()),
        name.bytes(),
    ));
    planned.mount = Cow::Owned(copy);
}

/// Returns the contents with a line for this name, if a line can hold it: the whole name, and the
/// part before the first dot.
pub(crate) fn with_name(mut hosts: Vec<u8>, name: &[u8]) -> Vec<u8> {
    let fits = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#';
    if name.is_empty() || !name.iter().all(fits) {
        return hosts;
    }
    if hosts.last().is_some_and(|last| *last != b'\n') {
        hosts.push(b'\n');
    }
    let host = name.split(|byte| *byte == b'.').next().unwrap_or_default();
    for part in [OWN, name] {
        hosts.extend_from_slice(part);
    }
    if !host.is_empty() && host != name {
        hosts.push(b' ');
        hosts.extend_from_slice(host);
    }
    hosts.push(b'\n');
    hosts
}
