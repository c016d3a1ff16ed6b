//! `/rootlet/fstab`: more mounts for the root that a command runs in, in the format of fstab(5).

use alloc::vec::Vec;

use crate::error::{Error, Step};
use crate::mount::Mount;
use crate::sys::split;

/// Parses the device, mount point, type and options of each line.
pub(crate) fn read(text: &[u8]) -> Result<Vec<Mount>, Error> {
    let mut mounts = Vec::new();
    for line in split(text, b'\n') {
        let mut fields = line
            .split(|byte| *byte == b' ' || *byte == b'\t')
            .filter(|field| !field.is_empty())
            .map(unescape);
        let Some(device) = fields.next().filter(|device| !device.starts_with(b"#")) else {
            continue;
        };
        let (Some(target), Some(kind)) = (fields.next(), fields.next()) else {
            let why = "a line of fstab needs a device, a mount point and a type";
            return Err(Error::because(Step::ReadMount, line, why));
        };
        let options = fields.next().unwrap_or_default();
        // `mount -a` skips both; swap has no mount point.
        let is_left = split(&options, b',').any(|option| option == b"noauto");
        if is_left || kind == b"swap" {
            continue;
        }
        let mount = Mount::file_system(kind, target).device(device);
        mounts.push(mount.options(&options));
    }
    Ok(mounts)
}

/// Replaces each `\` with three octal digits by its byte.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = field;
    loop {
        rest = match rest {
            [] => return text,
            [
                b'\\',
                high @ b'0'..=b'3',
                middle @ b'0'..=b'7',
                low @ b'0'..=b'7',
                after @ ..,
            ] => {
                text.push(((high - b'0') << 6) | ((middle - b'0') << 3) | (low - b'0'));
                after
            }
            [byte, after @ ..] => {
                text.push(*byte);
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_mount() {
        let text = b"# out\n\nrw0 /srv/my\\040out\\011\\134 virtiofs rw,nosuid 0 0\n\ttmpfs  /tmp\ttmpfs  size=1m,noatime";
        let expected = [
            Mount::file_system("virtiofs", "/srv/my out\t\\")
                .device("rw0")
                .no_suid(),
            Mount::file_system("tmpfs", "/tmp")
                .device("tmpfs")
                .options(b"noatime,size=1m"),
        ];
        assert_eq!(read(text).unwrap(), expected);
        let left = b"a /b ext4 nosuid,noauto 0 0\n/dev/c none swap sw 0 0\n";
        assert!(read(left).unwrap().is_empty());
        assert!(read(b"/dev/vdb /srv").is_err());
        assert!(read(b"").unwrap().is_empty());
    }
}
