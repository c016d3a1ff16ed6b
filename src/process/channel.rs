//! What the supervisor outside and pid 1 inside say to each other over their socket; an error
//! travels there too. Either side knows by its end that the other is gone.

use crate::sys::memory::Page;

/// From pid 1: a signal stopped the command.
pub(crate) const STOPPED: &[u8] = b"S";
/// From pid 1: the command was stopped because it used the terminal from the background.
pub(crate) const NEEDS_FOREGROUND: &[u8] = b"T";
/// From pid 1: there are stubs in the root, to be removed after the run.
pub(crate) const STUBS: &[u8] = b"M";
/// From pid 1: it has removed them.
pub(crate) const CLEAN: &[u8] = b"C";
/// From pid 1, before the number of the signal: it killed the command. pid 1's own exit status
/// cannot tell that from an exit with 128 and the number.
pub(crate) const KILLED: u8 = b'K';
/// From pid 1, for a program that does not wait: the command was executed, or an error came before.
pub(crate) const EXECUTED: &[u8] = b"X";
/// From the process that becomes the command: the kernel tells its pid with it (unix(7),
/// SCM_CREDENTIALS).
pub(crate) const WILL_BE_COMMAND: &[u8] = b"W";
/// To pid 1: the run is in the foreground again; the command is to have it and to go on.
pub(crate) const FOREGROUND: &[u8] = b"F";
/// To pid 1: its users are mapped.
pub(crate) const MAPPED: &[u8] = b"U";
/// To pid 1: stop the command. A SIGSTOP would stop pid 1 instead.
pub(crate) const STOP: &[u8] = b"P";
/// To pid 1: go on when nobody is there any more.
pub(crate) const DETACH: &[u8] = b"D";
/// To pid 1: end, as if nobody were there any more.
pub(crate) const END: &[u8] = b"Q";
/// Room for any message.
pub(crate) type Buffer = Page<[u8; 2 * 4096 + 512]>;
