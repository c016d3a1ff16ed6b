//! The identity and the rights of a process: `credentials(7)`, `capabilities(7)`.

use linux_raw_sys::{general as raw, prctl};
use sc::nr;

use super::abi::{KEYCTL_JOIN_SESSION_KEYRING, LANDLOCK_CREATE_RULESET_VERSION};
use super::{Errno, check, done};

pub use linux_raw_sys::general::{CAP_SETFCAP, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN};

/// The sets of `capget(2)`: bit N is the capability with that number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CapabilitySets {
    /// The capabilities in force.
    pub effective: u64,
    /// The capabilities that the process may put in force.
    pub permitted: u64,
    /// The capabilities that an execve(2) may keep. The ambient set is a subset of these.
    pub inheritable: u64,
}

impl CapabilitySets {
    /// Returns whether the capability is in force.
    pub fn has(&self, capability: u32) -> bool {
        self.effective & 1 << capability != 0
    }
}

fn header() -> raw::__user_cap_header_struct {
    raw::__user_cap_header_struct {
        version: raw::_LINUX_CAPABILITY_VERSION_3,
        pid: 0,
    }
}

/// `capget(2)` of this process.
pub fn capabilities() -> Result<CapabilitySets, Errno> {
    let mut header = header();
    let mut data = [[0u32; 3]; 2];
    // SAFETY: this version has two structs of three 32-bit sets each.
    done(unsafe {
        let data = data.as_mut_ptr() as usize;
        sc::syscall2(nr::CAPGET, &raw mut header as usize, data)
    })?;
    let [low, high] = data;
    let set = |index: usize| u64::from(low[index]) | u64::from(high[index]) << 32;
    Ok(CapabilitySets {
        effective: set(0),
        permitted: set(1),
        inheritable: set(2),
    })
}

/// `capset(2)` of this process. A capability that leaves the inheritable or the permitted set also leaves
/// the ambient set.
pub fn set_capabilities(sets: CapabilitySets) -> Result<(), Errno> {
    let mut header = header();
    let sets = [sets.effective, sets.permitted, sets.inheritable];
    let data = [
        sets.map(|set| set as u32),
        sets.map(|set| (set >> 32) as u32),
    ];
    // SAFETY: as for `capabilities`.
    done(unsafe {
        let data = data.as_ptr() as usize;
        sc::syscall2(nr::CAPSET, &raw mut header as usize, data)
    })
}

/// `prctl(2)` with two arguments after the option.
#[inline(never)]
fn control(option: u32, second: usize, third: usize) -> Result<usize, Errno> {
    // SAFETY: the options used here take no memory.
    check(unsafe { sc::syscall5(nr::PRCTL, option as usize, second, third, 0, 0) })
}

/// `prctl(PR_CAP_AMBIENT_IS_SET)`.
#[allow(dead_code, reason = "the binary uses it")]
pub fn is_ambient(capability: u32) -> bool {
    let is_set = prctl::PR_CAP_AMBIENT_IS_SET as usize;
    control(prctl::PR_CAP_AMBIENT, is_set, capability as usize) == Ok(1)
}

/// `prctl(PR_CAPBSET_READ)`: EINVAL for a capability that the kernel does not know.
pub fn is_bounding(capability: u32) -> Result<bool, Errno> {
    control(prctl::PR_CAPBSET_READ, capability as usize, 0).map(|is_there| is_there == 1)
}

/// `prctl(PR_CAPBSET_DROP)`: EINVAL for a capability that the kernel does not know.
pub fn drop_from_bounding(capability: u32) -> Result<(), Errno> {
    control(prctl::PR_CAPBSET_DROP, capability as usize, 0).map(drop)
}

/// `prctl(PR_SET_NO_NEW_PRIVS)`: from now on no execve(2) grants rights.
pub fn set_no_new_privileges() -> Result<(), Errno> {
    control(prctl::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

/// `prctl(PR_GET_NO_NEW_PRIVS)`.
pub fn has_no_new_privileges() -> bool {
    control(prctl::PR_GET_NO_NEW_PRIVS, 0, 0) == Ok(1)
}

/// `landlock_create_ruleset(2)` for its version: returns whether the kernel has Landlock (Linux 5.13), and
/// has it enabled.
pub fn has_landlock() -> bool {
    let version = LANDLOCK_CREATE_RULESET_VERSION;
    // SAFETY: no memory is passed.
    check(unsafe { sc::syscall3(raw::__NR_landlock_create_ruleset as usize, 0, 0, version) })
        .is_ok()
}

/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING)` without a name: replaces the session keyring of this process by a
/// new, empty one. EDQUOT if the real user's quota is used up.
pub fn join_session_keyring() -> Result<(), Errno> {
    // SAFETY: no name is passed, and no other memory.
    done(unsafe { sc::syscall2(nr::KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, 0) })
}

/// `setgroups(2)`.
pub fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: the kernel reads as many numbers as the slice has.
    done(unsafe { sc::syscall2(nr::SETGROUPS, groups.len(), groups.as_ptr() as usize) })
}

/// `getgroups(2)`: returns the number of groups; EINVAL if there are more than the slice can hold.
pub fn groups(groups: &mut [u32]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most as many numbers as the slice has.
    check(unsafe { sc::syscall2(nr::GETGROUPS, groups.len(), groups.as_mut_ptr() as usize) })
}

/// The kind of an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `setresgid(2)`, `getresgid(2)`.
    Group,
    /// `setresuid(2)`, `getresuid(2)`.
    User,
}

/// Sets the real, effective, saved and file-system id.
#[inline(never)]
pub fn set_ids(kind: Kind, id: u32) -> Result<(), Errno> {
    let number = match kind {
        Kind::Group => nr::SETRESGID,
        Kind::User => nr::SETRESUID,
    };
    let id = id as usize;
    // SAFETY: no memory is passed.
    done(unsafe { sc::syscall3(number, id, id, id) })
}

/// Returns the real, effective and saved id.
pub fn ids(kind: Kind) -> Result<[u32; 3], Errno> {
    let number = match kind {
        Kind::Group => nr::GETRESGID,
        Kind::User => nr::GETRESUID,
    };
    let mut ids = [0u32; 3];
    let [real, effective, saved] = ids.each_mut().map(|id| &raw mut *id as usize);
    // SAFETY: the kernel writes three numbers.
    done(unsafe { sc::syscall3(number, real, effective, saved) })?;
    Ok(ids)
}
