//! The names and numbers of signals.

use crate::text::number::number;

/// Parses a signal: a number from 1 to 64, or a name with or without `SIG`. Real-time signals are counted
/// from libc's first one, `RTMIN`, to `RTMAX`, like in kill(1) and systemd.
pub(crate) fn signal(text: &[u8]) -> Option<i32> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    if let Some(number) = number(text) {
        return i32::try_from(number)
            .ok()
            .filter(|number| (1..=64).contains(number));
    }
    let name = text.strip_prefix(b"SIG").unwrap_or(text);
    let real_time = [(b"RTMIN", 34u32), (b"RTMAX", 64)];
    let strip = |(end, base): (&[u8; 5], u32)| Some((base, name.strip_prefix(end)?));
    if let Some((base, offset)) = real_time.into_iter().find_map(strip) {
        let number = match offset {
            [] => base,
            [b'+', offset @ ..] => base.checked_add(number(offset)?)?,
            [b'-', offset @ ..] => base.checked_sub(number(offset)?)?,
            _ => return None,
        };
        return (34..=64).contains(&number).then_some(number as i32);
    }
    let index = NAMES.iter().position(|known| known.as_bytes() == name)?;
    Some(index as i32 + 1)
}
