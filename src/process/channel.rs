//! The messages between the supervisor outside and pid 1 inside, over their socket.
//!
//! Each message has a type and checked ranges; any other bytes are dropped. A process that gets
//! hold of one end can therefore at most make its own run end with a wrong status. Each side sees
//! the end of the other as the end of the socket.

use crate::error::{Error, Step};
use crate::mount::removal::Record;
use crate::sys::memory::Page;
use crate::sys::net::{self, receive};
use crate::sys::poll::{NANOSECONDS, Poll, poll};
use crate::sys::reaper::Words;
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::line::Line;

/// Room for any message: an error with two paths of the greatest length.
pub(crate) type Buffer = Page<[u8; LONGEST]>;

/// The length of the longest message.
pub(crate) const LONGEST: usize = Line::LENGTH_MAX;

/// The time that pid 1 has to answer after a signal that asks for the end. It does so at once, unless
/// it is stopped or its set-up waits for a file system that does not answer.
pub(crate) const ANSWER_TIME: u64 = 5 * NANOSECONDS;

/// A message from pid 1.
pub(crate) enum Report<'a> {
    /// A signal stopped the command.
    Stopped,
    /// The command was stopped because it used the terminal from the background.
    NeedsForeground,
    /// These mount points were made, and must be removed after the run.
    Stubs(Records<'a>),
    /// Some of them could not be removed.
    Left,
    /// This signal killed the command. pid 1's own exit status cannot tell that from an exit with
    /// 128 plus the number.
    Killed(u8),
    /// The command was executed, unless an error came before.
    Executed,
    /// From the process that becomes the command: the kernel attaches its pid (unix(7),
    /// SCM_CREDENTIALS).
    WillBeCommand,
    /// A signal could not be sent to the command.
    NotSent(Errno),
    /// pid 1 has taken a signal that asks for the end. Before that, a process is ready for its ids.
    Took,
    /// The reaper could not protect itself, so the command was not executed.
    Unprotected,
    /// The reaper could not wait for the command.
    NotWaited(Errno),
    /// The master of the command's terminal is attached.
    Terminal,
    /// The caller's descriptor of this number is attached, because there will be another attempt.
    GivenBack(u32),
    /// A step failed.
    Failed(Error),
    /// A step failed that the run can do without.
    Warned(Error),
}

const STOPPED: u8 = b'S';
const NEEDS_FOREGROUND: u8 = b'T';
const STUBS: u8 = b'M';
const LEFT: u8 = b'L';
const KILLED: u8 = b'K';
const EXECUTED: u8 = b'X';
const WILL_BE_COMMAND: u8 = b'W';
const NOT_SENT: u8 = b'N';
const UNPROTECTED: u8 = b'U';
const NOT_WAITED: u8 = b'C';
const TOOK: u8 = b'A';
const TERMINAL: u8 = b'Y';
const GIVEN_BACK: u8 = b'B';
const FAILED: u8 = b'E';
const WARNED: u8 = b'V';

/// The kernel's last signal.
const SIGNAL_MAX: u8 = 64;

impl Report<'_> {
    /// Reads a message. Returns `None` if it is not valid.
    pub(crate) fn parse(message: &[u8]) -> Option<Report<'_>> {
        let (kind, rest) = message.split_first()?;
        Some(match (*kind, rest) {
            (STOPPED, []) => Report::Stopped,
            (NEEDS_FOREGROUND, []) => Report::NeedsForeground,
            (LEFT, []) => Report::Left,
            (EXECUTED, []) => Report::Executed,
            (WILL_BE_COMMAND, []) => Report::WillBeCommand,
            (TOOK, []) => Report::Took,
            (UNPROTECTED, []) => Report::Unprotected,
            (TERMINAL, []) => Report::Terminal,
            (GIVEN_BACK, &[a, b, c, d]) => Report::GivenBack(u32::from_ne_bytes([a, b, c, d])),
            (NOT_SENT, &[low, high]) => Report::NotSent(parse_errno([low, high])?),
            (NOT_WAITED, &[low, high]) => Report::NotWaited(parse_errno([low, high])?),
            (KILLED, [signal @ 1..=SIGNAL_MAX]) => Report::Killed(*signal),
            (STUBS, records) => Report::Stubs(Records(records)),
            (FAILED, rest) => Report::Failed(parse_error(rest)?),
            (WARNED, rest) => Report::Warned(parse_error(rest)?),
            _ => return None,
        })
    }

    /// Sends it. Errors are ignored: if the supervisor is gone, nobody needs the report.
    pub(crate) fn send(&self, socket: BorrowedFd) {
        let message: &[u8] = match self {
            Report::Stopped => &[STOPPED],
            Report::NeedsForeground => &[NEEDS_FOREGROUND],
            Report::Left => &[LEFT],
            Report::WillBeCommand => &[WILL_BE_COMMAND],
            Report::Took => &[TOOK],
            Report::Unprotected => &[UNPROTECTED],
            Report::NotSent(errno) => {
                let [low, high] = (errno.number() as u16).to_ne_bytes();
                &[NOT_SENT, low, high]
            }
            Report::Killed(signal) => &[KILLED, *signal],
            // These have their own functions.
            Report::Executed
            | Report::Stubs(_)
            | Report::NotWaited(_)
            | Report::Failed(_)
            | Report::Warned(_)
            | Report::Terminal
            | Report::GivenBack(_) => {
                return;
            }
        };
        let _ = net::send(socket, message);
    }
}

/// Reports that the command was executed. The program waits for this.
pub(crate) fn send_execution(socket: BorrowedFd) -> Result<(), Errno> {
    net::send(socket, &[EXECUTED])
}

/// Reports that this process waits for the supervisor's part of the set-up.
pub(crate) fn send_readiness(socket: BorrowedFd) -> Result<(), Errno> {
    net::send(socket, &[TOOK])
}

/// Sends the master of the command's terminal.
pub(crate) fn send_terminal(socket: BorrowedFd, master: BorrowedFd) -> Result<(), Errno> {
    net::send_with_descriptor(socket, &[TERMINAL], master)
}

/// A tree that was taken outside, for a process inside that may not take it itself.
pub(crate) enum Taken {
    /// The mounts of NEWROOT.
    Root(OwnedFd),
    /// The source of the mount with this index, or `None` if it is left out.
    Source(usize, Option<OwnedFd>),
    /// Nothing follows.
    All,
}

const ROOT: u8 = b'R';
const SOURCE: u8 = b'B';
const LEFT_OUT: u8 = b'V';

impl Taken {
    pub(crate) fn send(&self, socket: BorrowedFd) -> Result<(), Errno> {
        match self {
            Taken::Root(tree) => net::send_with_descriptor(socket, &[ROOT], tree.borrow()),
            Taken::Source(index, tree) => {
                let [low, high] = (*index as u16).to_ne_bytes();
                match tree {
                    Some(tree) => {
                        let message = [SOURCE, low, high];
                        net::send_with_descriptor(socket, &message, tree.borrow())
                    }
                    None => net::send(socket, &[LEFT_OUT, low, high]),
                }
            }
            Taken::All => Order::Mapped.send(socket),
        }
    }

    /// Waits for a message. Returns `None` if the other end is closed.
    pub(crate) fn receive(socket: BorrowedFd) -> Result<Option<Taken>, Errno> {
        let mut message = [0; 4];
        let received = loop {
            poll(&mut [Poll::new(socket)], None)?;
            match net::receive_with_more(socket, &mut message) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                received => break received?,
            }
        };
        let message = message.get(..received.length).unwrap_or_default();
        Ok(match (message, received.descriptor) {
            ([ROOT], Some(tree)) => Some(Taken::Root(tree)),
            // There was no room for its descriptor.
            ([ROOT] | [SOURCE, _, _], None) => return Err(Errno::EMFILE),
            ([SOURCE | LEFT_OUT, low, high], tree) => {
                let index = u16::from_ne_bytes([*low, *high]);
                Some(Taken::Source(usize::from(index), tree))
            }
            ([kind], None) if *kind == MAPPED => Some(Taken::All),
            _ => None,
        })
    }
}

/// Sends a copy of the caller's descriptor with this number, if it is open.
pub(crate) fn give_back(socket: BorrowedFd, number: u32) {
    let [a, b, c, d] = number.to_ne_bytes();
    let message = [GIVEN_BACK, a, b, c, d];
    let copy = i32::try_from(number).map(fs::duplicate);
    if let Ok(Ok(copy)) = copy {
        let _ = net::send_with_descriptor(socket, &message, copy.borrow());
    }
}

/// Sends an error of the kernel: step, errno, length of the object, object, place. Object and place
/// are each no longer than a path.
pub(crate) fn send_error(socket: BorrowedFd, error: &Error) -> Result<(), Errno> {
    send_as(FAILED, socket, error)
}

/// Sends an error of the kernel that the run can continue after.
pub(crate) fn send_warning(socket: BorrowedFd, error: &Error) {
    let _ = send_as(WARNED, socket, error);
}

fn send_as(kind: u8, socket: BorrowedFd, error: &Error) -> Result<(), Errno> {
    let Some((step, object, place, errno)) = error.parts() else {
        return Ok(());
    };
    let mut line = Line::new();
    line.push(&[kind, step as u8]);
    line.push(&(errno.number() as u16).to_ne_bytes());
    line.push(&(object.len() as u16).to_ne_bytes());
    line.push(object);
    line.push(place);
    net::send(socket, line.bytes())
}

fn parse_error(message: &[u8]) -> Option<Error> {
    let (&[step, low, high, length @ ..], rest) = message.split_first_chunk::<5>()?;
    let step = Step::from_number(step)?;
    let errno = parse_errno([low, high])?;
    let length = usize::from(u16::from_ne_bytes(length));
    let (object, place) = rest.split_at_checked(length)?;
    Some(Error::between(step, object, place, errno))
}

fn parse_errno(number: [u8; 2]) -> Option<Errno> {
    let number = u16::from_ne_bytes(number);
    let number = (1..=4095).contains(&number).then_some(number)?;
    Some(Errno::from_number(number.into()))
}

/// The recorded mount points in a message.
pub(crate) struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (head, rest) = self.0.split_first_chunk::<21>()?;
        let (&inode, head) = head.split_first_chunk::<8>()?;
        let (&device, head) = head.split_first_chunk::<8>()?;
        let &[flags, a, b, c, d] = head else {
            return None;
        };
        let (above, rest) = rest.split_at_checked(u16::from_ne_bytes([a, b]).into())?;
        let (name, rest) = rest.split_at_checked(u16::from_ne_bytes([c, d]).into())?;
        self.0 = rest;
        // The name must be one component, and the path must consist of components.
        let is_name = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&0);
        let is_path = |path: &[u8]| path.is_empty() || path.first() == Some(&b'/');
        let mut names = above.split(|byte| *byte == b'/').skip(1);
        let fits = is_name(name) && !name.contains(&b'/') && is_path(above) && names.all(is_name);
        fits.then_some(Record {
            above,
            name,
            identity: [u64::from_ne_bytes(inode), u64::from_ne_bytes(device)],
            is_directory: flags & 1 != 0,
            has_companion: flags & 2 != 0,
            is_locked: flags & 4 != 0,
        })
    }
}

/// Sends the mount points that were made, in as many messages as necessary.
pub(crate) fn send_records<'a>(
    socket: BorrowedFd,
    records: impl Iterator<Item = Record<'a>>,
) -> Result<(), Errno> {
    // Room for one record with a path of the greatest length.
    let mut message = [STUBS; 4096 + 512];
    let mut end = 1;
    for record in records {
        let flags = [record.is_directory, record.has_companion, record.is_locked];
        let [directory, companion, locked] = flags.map(u8::from);
        let [inode, device] = record.identity.map(u64::to_ne_bytes);
        let [above, name] =
            [record.above, record.name].map(|text| (text.len() as u16).to_ne_bytes());
        let flags = [directory | companion << 1 | locked << 2];
        let head = [&inode[..], &device, &flags, &above, &name];
        if message.len() - end < 21 + record.above.len() + record.name.len() {
            net::send(socket, &message[..end])?;
            end = 1;
        }
        for part in head.into_iter().chain([record.above, record.name]) {
            let room = message.get_mut(end..end + part.len());
            room.ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(part);
            end += part.len();
        }
    }
    net::send(socket, &message[..end])
}

/// An order from the supervisor to pid 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// The run is in the foreground again: give it to the command and continue the command.
    Foreground,
    /// The ids of the new user namespace are mapped.
    Mapped,
    /// Send this signal to the command.
    Signal(u8),
    /// Continue after the other side has gone.
    Detach,
    /// End, as if the other side had gone.
    End,
}

const FOREGROUND: u8 = b'F';
const MAPPED: u8 = b'U';
const SIGNAL: u8 = b'P';
const DETACH: u8 = b'D';
const END: u8 = b'Q';

/// The part of the protocol that the reaper knows. It takes a message of two bytes for
/// [`Order::Signal`].
pub(crate) const WORDS: Words = Words {
    executed: EXECUTED as u32,
    unprotected: UNPROTECTED as u32,
    took: TOOK as u32,
    left: LEFT as u32,
    killed: KILLED as u32,
    not_sent: NOT_SENT as u32,
    failed: NOT_WAITED as u32,
    end: END as u32,
    detach: DETACH as u32,
};

impl Order {
    pub(crate) fn send(self, socket: BorrowedFd) -> Result<(), Errno> {
        let message: &[u8] = match self {
            Order::Foreground => &[FOREGROUND],
            Order::Mapped => &[MAPPED],
            Order::Signal(number) => &[SIGNAL, number],
            Order::Detach => &[DETACH],
            Order::End => &[END],
        };
        net::send(socket, message)
    }

    /// Waits for [`Order::Mapped`]. Returns false if the other end is closed or sends another message.
    pub(crate) fn wait_for_map(socket: BorrowedFd) -> Result<bool, Errno> {
        let mut message = [0; 2];
        poll(&mut [Poll::new(socket)], None)?;
        let length = receive(socket, &mut message)?;
        Ok(message.get(..length) == Some(&[MAPPED]))
    }

    /// Receives an order without waiting. Returns `None` if the other end is closed, and
    /// `Some(None)` for a message that is no order.
    pub(crate) fn receive(socket: BorrowedFd) -> Option<Option<Order>> {
        let mut message = [0; 3];
        let Ok(length) = receive(socket, &mut message) else {
            return Some(None);
        };
        Some(match &message[..length] {
            [] => return None,
            [FOREGROUND] => Some(Order::Foreground),
            [MAPPED] => Some(Order::Mapped),
            [SIGNAL, number @ 1..=SIGNAL_MAX] => Some(Order::Signal(*number)),
            [DETACH] => Some(Order::Detach),
            [END] => Some(Order::End),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::prelude::rust_2024::*;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any bytes are read as values in range, or dropped.
        #[test]
        fn any_message_is_in_range_or_dropped(mut message in prop::collection::vec(any::<u8>(), 0..64), kind in any::<prop::sample::Index>()) {
            if let Some(first) = message.first_mut() {
                *first = *kind.get(b"STMLKXWAYBENVUC");
            }
            match Report::parse(&message) {
                Some(Report::Killed(signal)) => prop_assert!((1..=64).contains(&signal)),
                Some(Report::NotSent(errno) | Report::NotWaited(errno)) => prop_assert!((1..=4095).contains(&errno.number())),
                Some(Report::Failed(error) | Report::Warned(error)) => prop_assert!((1..=4095).contains(&error.errno().unwrap())),
                Some(Report::Stubs(records)) => for record in records {
                    prop_assert!(!record.name.contains(&b'/') && record.name != b".." && !record.name.is_empty());
                    prop_assert!(!record.above.split(|byte| *byte == b'/').any(|name| name == b".."));
                },
                _ => {}
            }
        }
    }

    #[test]
    fn a_signal_out_of_range_is_rejected() {
        for signal in [0, 65, 128, 215, 255] {
            assert!(Report::parse(&[KILLED, signal]).is_none());
        }
        assert!(matches!(
            Report::parse(&[KILLED, 64]),
            Some(Report::Killed(64))
        ));
    }
}
