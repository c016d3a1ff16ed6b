//! `Capabilities`: the rights of root that are taken from the command.

use crate::error::Error;
use crate::sys::credentials::{
    CapabilitySets, capabilities, drop_from_bounding, is_bounding, set_capabilities,
};
use crate::sys::{Errno, split};
use crate::text::line::Line;

/// Every kernel that rootlet runs on knows the capabilities below this number. The last of them is
/// `audit_read` (Linux 3.16).
const IN_EVERY_KERNEL: u32 = 38;

/// The names from `capabilities(7)` without `CAP_`, in the order of their numbers. This is one
/// text, because a table of references would be larger.
const NAMES: &str = "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap \
    linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner \
    sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice \
    sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap \
    mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf \
    checkpoint_restore";

fn names() -> impl Iterator<Item = &'static [u8]> {
    split(NAMES.as_bytes(), b' ')
}

/// A set of capabilities, for [`Chroot::drop_capabilities`](crate::Chroot::drop_capabilities).
///
/// ```
/// use rootlet::Capabilities;
///
/// let set = Capabilities::parse(b"net_raw,CAP_SYS_ADMIN")?;
/// assert_eq!(set, Capabilities::parse(b"cap_sys_admin,NET_RAW,net_raw")?);
/// assert_eq!(Capabilities::parse(b"all")?, Capabilities::ALL);
/// # Ok::<(), rootlet::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities(u64);

impl Capabilities {
    /// All capabilities of the kernel, including those that rootlet has no name for.
    pub const ALL: Capabilities = Capabilities(!0);
    pub(crate) const NONE: Capabilities = Capabilities(0);

    /// Reads names separated by commas, as in `capabilities(7)`. Upper and lower case are the same,
    /// and `CAP_` may be left out. `all` is all of them.
    ///
    /// # Errors
    ///
    /// A name that does not exist.
    pub fn parse(list: &[u8]) -> Result<Capabilities, Error> {
        split(list, b',').try_fold(Capabilities::NONE, |set, word| {
            if word.eq_ignore_ascii_case(b"all") {
                return Ok(Capabilities::ALL);
            }
            let name = match word.split_at_checked(4) {
                Some((prefix, name)) if prefix.eq_ignore_ascii_case(b"cap_") => name,
                _ => word,
            };
            let number = names().position(|known| known.eq_ignore_ascii_case(name));
            match number {
                Some(number) => Ok(set.and(Capabilities(1 << number))),
                None => {
                    let why = "is not a capability: capabilities(7) lists them";
                    Err(Error::usage(b"", &[b"'", word, b"'"], why))
                }
            }
        })
    }

    pub(crate) fn and(self, others: Capabilities) -> Capabilities {
        Capabilities(self.0 | others.0)
    }

    /// Appends the names, separated by commas.
    pub(crate) fn describe(self, line: &mut Line) {
        if self == Capabilities::ALL {
            return line.push(b"all");
        }
        let mut separator: &[u8] = b"";
        for (number, name) in names().enumerate() {
            if self.0 & 1 << number != 0 {
                line.push(separator);
                line.push(name);
                separator = b",";
            }
        }
    }

    /// Removes them from the bounding set, so that the command can never get them again. This needs
    /// CAP_SETPCAP, unless they are already gone.
    pub(crate) fn leave_bounding(self) -> Result<(), Errno> {
        for number in (0..64).filter(|number| self.0 & 1 << number != 0) {
            match drop_from_bounding(number) {
                // The kernel knows no higher number. A seccomp filter may give this error for a known one.
                Err(Errno::EINVAL)
                    if self == Capabilities::ALL
                        && number >= IN_EVERY_KERNEL
                        && is_bounding(number).is_err() =>
                {
                    break;
                }
                Err(Errno::EPERM) if is_bounding(number) != Ok(true) => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Removes them from the effective and the permitted set.
    pub(crate) fn leave(self) -> Result<(), Errno> {
        let before = capabilities()?;
        set_capabilities(CapabilitySets {
            effective: before.effective & !self.0,
            permitted: before.permitted & !self.0,
            inheritable: 0,
        })
    }
}

/// Empties the inheritable set, and with it the ambient one, unless it is empty. A command would
/// pass these capabilities on to every program, regardless of the bounding set (capabilities(7)).
pub(crate) fn clear_inheritable(before: CapabilitySets) -> Result<(), Errno> {
    if before.inheritable == 0 {
        return Ok(());
    }
    set_capabilities(CapabilitySets {
        inheritable: 0,
        ..before
    })
}

#[cfg(test)]
mod tests {
    use std::prelude::rust_2024::*;

    use super::*;

    #[test]
    fn every_name_has_the_kernels_number() {
        use linux_raw_sys::general as raw;
        for (name, number) in [
            ("chown", raw::CAP_CHOWN),
            ("net_raw", raw::CAP_NET_RAW),
            ("sys_admin", raw::CAP_SYS_ADMIN),
            ("setfcap", raw::CAP_SETFCAP),
            ("syslog", raw::CAP_SYSLOG),
            ("checkpoint_restore", raw::CAP_CHECKPOINT_RESTORE),
        ] {
            assert_eq!(
                names().position(|known| known == name.as_bytes()),
                Some(number as usize)
            );
        }
        assert_eq!(names().count(), raw::CAP_LAST_CAP as usize + 1);
    }

    #[test]
    fn a_list_is_read_and_written() {
        let shown = |list: &str| {
            let mut line = Line::new();
            Capabilities::parse(list.as_bytes())?.describe(&mut line);
            Ok::<_, Error>(String::from_utf8_lossy(line.bytes()).into_owned())
        };
        assert_eq!(shown("bpf,CAP_CHOWN,cap_Bpf").unwrap(), "chown,bpf");
        assert_eq!(shown("chown,ALL").unwrap(), "all");
        for (list, word) in [
            ("", ""),
            (",", ""),
            ("chown,", ""),
            ("cap_", "cap_"),
            ("chown,cap_cap_bpf", "cap_cap_bpf"),
            ("0", "0"),
            ("chown bpf", "chown bpf"),
            ("\u{fc}", "\u{fc}"),
        ] {
            let why = "is not a capability: capabilities(7) lists them";
            let error = shown(list).unwrap_err();
            assert_eq!(error.to_string(), format!("'{word}' {why}"));
        }
    }
}
