//! The messages between rootlet's processes, as a hostile process inside may write them.

use std::prelude::rust_2024::*;

use crate::error::{Error, Step};
use crate::mount::removal::Record;
use crate::process::channel::{LONGEST, Order, Report, Taken, send_error, send_records};
use crate::sys::net::{receive, receive_with_more, send, send_with_descriptor, socketpair};
use crate::sys::{BorrowedFd, Errno, fs};

/// Takes a message in either direction. A valid one is sent again, and read back unchanged.
pub fn channel(message: &[u8]) {
    let message = &message[..message.len().min(LONGEST)];
    let (here, there) = socketpair().unwrap();
    let (here, there) = (here.borrow(), there.borrow());
    if let Some(report) = Report::parse(message) {
        reported(here, there, message, &report);
    }
    if !message.is_empty() {
        ordered(here, there, message);
        taken(here, there, message);
    }
    // Nothing is left over.
    assert_eq!(receive(there, &mut [0]), Err(Errno::EAGAIN));
}

fn reported(here: BorrowedFd, there: BorrowedFd, message: &[u8], report: &Report) {
    match report {
        Report::Stubs(_) => {
            let Some(Report::Stubs(records)) = Report::parse(message) else {
                std::panic!("it was parsed before");
            };
            records_hold(here, there, &records.collect::<Vec<_>>());
        }
        Report::Failed(error) | Report::Warned(error) => error_holds(here, there, error),
        Report::GivenBack(number) => assert_eq!(message[1..], number.to_ne_bytes()),
        Report::Terminal | Report::Executed => assert_eq!(message.len(), 1),
        // Only the reaper sends it.
        Report::NotWaited(errno) => assert_eq!(message[1..], (errno.number() as u16).to_ne_bytes()),
        report => {
            if let Report::Killed(signal) = report {
                assert!((1..=64).contains(signal));
            }
            report.send(here);
            assert_eq!(next(there), message);
        }
    }
}

fn next(socket: BorrowedFd) -> Vec<u8> {
    let mut buffer = vec![0; LONGEST + 1];
    let length = receive(socket, &mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

/// Each record is a name in a directory below the root.
fn records_hold(here: BorrowedFd, there: BorrowedFd, records: &[Record]) {
    for Record { above, name, .. } in records {
        let is_name = |name: &[u8]| {
            let not = [&b""[..], b".", b".."];
            !not.contains(&name) && !name.iter().any(|byte| b"/\0".contains(byte))
        };
        assert!(is_name(name));
        let mut names = above.split(|byte| *byte == b'/');
        assert!(names.next() == Some(b"") && names.all(is_name));
    }
    let fitting = || {
        let fits = |record: &&Record| record.above.len() + record.name.len() < 4096;
        records.iter().filter(fits)
    };
    send_records(here, fitting().map(copied)).unwrap();
    let mut left = fitting();
    loop {
        let message = next(there);
        let Some(Report::Stubs(read)) = Report::parse(&message) else {
            std::panic!("{message:?}");
        };
        for (read, sent) in read.zip(&mut left) {
            assert_eq!((read.above, read.name), (sent.above, sent.name));
            assert_eq!(read.identity, sent.identity);
            let flags = |of: &Record| [of.is_directory, of.has_companion, of.is_locked];
            assert_eq!(flags(&read), flags(sent));
        }
        if left.clone().next().is_none() {
            return;
        }
    }
}

fn copied<'a>(record: &Record<'a>) -> Record<'a> {
    Record { ..*record }
}

/// The error line is one line without control characters, and ends with the reason.
fn error_holds(here: BorrowedFd, there: BorrowedFd, error: &Error) {
    let text = error.to_string();
    let (step, object, place, _) = error.parts().unwrap();
    let was_there = [object, place]
        .concat()
        .windows(3)
        .any(|three| three == "\u{fffd}".as_bytes());
    assert!(
        !text.contains(char::is_control) && (was_there || !text.contains('\u{fffd}')),
        "{text:?}"
    );
    assert!((1..4096).contains(&error.errno().unwrap()));
    assert!((125..=127).contains(&error.status()));
    let words = error.step_and_object().0;
    if step != Step::Usage && text.starts_with("cannot ") {
        assert!(text.contains(words));
        let ends = [
            std::format!("({})", error.reason()),
            std::format!(": error {}", error.errno().unwrap()),
        ];
        let has_reason = text.contains(&std::format!(": {}", error.reason()));
        assert!(
            has_reason || ends.iter().any(|end| text.ends_with(end)),
            "{text:?}"
        );
    }
    if object.len() + place.len() + 6 < LONGEST {
        send_error(here, error).unwrap();
        match Report::parse(&next(there)) {
            Some(Report::Failed(read)) => {
                assert_eq!((read.parts(), read.to_string()), (error.parts(), text));
            }
            _ => std::panic!("{text:?} is not read back"),
        }
    }
    let _ = (error.hint(), error.kind());
}

/// An order is one known byte, or one and the number of a signal.
fn ordered(here: BorrowedFd, there: BorrowedFd, message: &[u8]) {
    send(here, message).unwrap();
    match Order::receive(there) {
        Some(Some(order)) => {
            order.send(here).unwrap();
            assert_eq!(next(there), message);
        }
        Some(None) => match message {
            [kind] => assert!(!b"FUDQ".contains(kind)),
            [b'P', number] => assert!(!(1..=64).contains(number)),
            _ => {}
        },
        None => std::panic!("the other end is open"),
    }
}

/// A tree has a descriptor, and an index that the message names.
fn taken(here: BorrowedFd, there: BorrowedFd, message: &[u8]) {
    let (reader, _) = fs::pipe(0).unwrap();
    for with_descriptor in [false, true] {
        match with_descriptor {
            true => send_with_descriptor(here, message, reader.borrow()).unwrap(),
            false => send(here, message).unwrap(),
        }
        match (Taken::receive(there), message) {
            (Ok(Some(Taken::Root(_))), message) => assert!(with_descriptor && message == b"R"),
            (Ok(Some(Taken::Source(index, tree))), [kind, low, high]) => {
                assert_eq!(index, usize::from(u16::from_ne_bytes([*low, *high])));
                assert_eq!(tree.is_some(), with_descriptor);
                assert!(*kind == b'B' && with_descriptor || *kind == b'V');
            }
            (Ok(Some(Taken::All)), message) => assert!(!with_descriptor && message == b"U"),
            (Err(errno), message) => {
                assert_eq!(errno, Errno::EMFILE);
                assert!(!with_descriptor && matches!(message, b"R" | [b'B', _, _]));
            }
            (Ok(None), _) => {}
            (Ok(Some(Taken::Source(..))), message) => std::panic!("{message:?}"),
        }
    }
    // The general reader returns the descriptor with any message.
    send_with_descriptor(here, message, reader.borrow()).unwrap();
    let mut buffer = vec![0; LONGEST];
    let received = receive_with_more(there, &mut buffer).unwrap();
    assert_eq!(&buffer[..received.length], message);
    let copy = received.descriptor.unwrap();
    let [copy, original] = [copy.borrow(), reader.borrow()].map(|file| fs::stat(file).unwrap());
    assert!(copy.is_same_file(&original));
}
