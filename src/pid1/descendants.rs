//! The end of processes that the command has left: asked to end, killed, reaped.
//!
//! pid 1 can signal its whole pid namespace with `kill(-1)`. Another process finds its descendants
//! in `/proc`, or falls back to the command's process group.

use crate::sys::memory::Page;
use crate::sys::poll::{NANOSECONDS, Poll, clock, poll};
use crate::sys::process::{Waited, Who, id, is_first_of_machine, wait};
use crate::sys::signal::{self, SIGKILL, SIGTERM, set_sigchld};
use crate::sys::{BorrowedFd, Errno, fs};
use crate::text::short::Short;

/// How long killed processes may take to end, in nanoseconds. A process that waits for a dead file
/// system must not delay us indefinitely.
const AFTER_KILL: u64 = NANOSECONDS;

/// How often pid 1 looks for processes that are not its children. No signal reports their end.
const LOOK_AGAIN: u64 = NANOSECONDS / 20;

/// Sends TERM to the remaining processes, kills them after `grace` nanoseconds, and reaps them.
/// `group` is the command's process group. They are killed at once if nobody is at the other end of
/// the socket `above`.
pub(crate) fn end_others(
    signals: BorrowedFd,
    above: Option<BorrowedFd>,
    grace: u64,
    group: i32,
) -> Result<(), Errno> {
    // From now on the end of every child must be visible to us.
    set_sigchld(false);
    for (number, time) in [(SIGTERM, grace), (SIGKILL, AFTER_KILL)] {
        if time == 0 {
            continue;
        }
        let deadline = clock() + time;
        signal_others(number, group);
        loop {
            let mut some_ended = false;
            let has_children = loop {
                match wait(Who::AnyNow)? {
                    Waited::NoChildren => break false,
                    Waited::Nothing => break true,
                    Waited::Ended(..) | Waited::Stopped(..) => some_ended = true,
                }
            };
            let mut until = deadline;
            if !has_children {
                if !has_others() {
                    return Ok(());
                }
                until = deadline.min(clock() + LOOK_AGAIN);
            }
            // The children of a killed process become ours and are killed next.
            if some_ended && number == SIGKILL {
                signal_others(number, group);
            }
            let above = above.map_or(Poll::none(), Poll::for_hangup);
            let mut ready = [Poll::new(signals), above];
            let in_time = poll(&mut ready, Some(until))? || until < deadline;
            let [signal_came, is_alone] = ready.map(|poll| poll.is_ready());
            if !in_time || is_alone {
                break;
            }
            if signal_came {
                signal::read(signals)?;
            }
        }
    }
    Ok(())
}

/// Returns whether our pid namespace, if we are its pid 1, has processes that are not our children.
/// nsenter(1) and `docker exec` bring in children of an outside process. Nobody can enter the first
/// pid namespace of a machine, where the kernel's threads would be counted.
fn has_others() -> bool {
    id() == 1 && !is_first_of_machine() && signal::kill(-1, 0) != Err(Errno::ESRCH)
}

/// Signals the whole pid namespace if we are its pid 1, otherwise our descendants, or without a
/// proc to find them in, the command's process group.
fn signal_others(number: u32, group: i32) {
    if id() == 1 {
        let _ = signal::kill(-1, number);
    } else if !has_proc_of_ours() || !signal_descendants(number) {
        let _ = signal::kill(-group, number);
    }
}

/// Returns whether `/proc` is a real proc that numbers processes as we do. A directory that only
/// looks like one must not decide which processes we kill.
fn has_proc_of_ours() -> bool {
    let mut us = Short::new();
    us.push_number(id() as u32);
    let mut named = [0; 16];
    fs::openat(BorrowedFd::CWD, c"/proc", fs::O_PATH, 0)
        .and_then(|proc| {
            let is_proc = fs::statfs(proc.borrow())?.0 == fs::PROC_SUPER_MAGIC;
            let length = fs::readlink_at(proc.borrow(), c"self", &mut named)?;
            Ok(is_proc && &named[..length] == us.bytes())
        })
        .unwrap_or(false)
}

/// A list of processes, each after its parent. It does not use the allocator, which is not safe
/// after a fork of a program with threads. Unused pages take no memory.
struct Family {
    pids: Page<[i32; Family::MOST]>,
    count: usize,
}

impl Family {
    /// The kernel's greatest number of processes (`PID_MAX_LIMIT`).
    const MOST: usize = 4 << 20;

    fn members(&self) -> &[i32] {
        self.pids.get(..self.count).unwrap_or_default()
    }

    fn add(&mut self, pid: i32) {
        if let Some(place) = self.pids.get_mut(self.count) {
            *place = pid;
            self.count += 1;
        }
    }

    /// Adds the children of a process from `/proc/PID/task/TID/children`
    /// (proc_pid_tid_children(5)). Returns false if there is no such file.
    fn add_children(&mut self, pid: i32) -> bool {
        let mut path = Short::new();
        path.push(b"/proc/");
        path.push_number(pid as u32);
        path.push(b"/task");
        let flags = fs::O_RDONLY | fs::O_DIRECTORY;
        let Ok(threads) = fs::openat(BorrowedFd::CWD, path.as_c_str(), flags, 0) else {
            return false;
        };
        let mut listed = false;
        let visited = fs::visit_names(threads.borrow(), &mut |thread| {
            let mut path = Short::new();
            path.push(thread);
            path.push(b"/children");
            if let Ok(children) = fs::openat(threads.borrow(), path.as_c_str(), fs::O_RDONLY, 0) {
                listed = true;
                let mut child = 0;
                let mut buffer = [0; 512];
                while let Ok(length @ 1..) = fs::read(children.borrow(), &mut buffer) {
                    for byte in &buffer[..length] {
                        if byte.is_ascii_digit() {
                            child = child * 10 + i32::from(byte - b'0');
                        } else if child != 0 {
                            self.add(child);
                            child = 0;
                        }
                    }
                }
            }
            true
        });
        listed && visited.is_ok()
    }
}

/// Signals our descendants, the youngest generation first: if a parent ended first, its children
/// could not be found any more. Returns false if the kernel has no lists of children.
fn signal_descendants(number: u32) -> bool {
    let Ok(pids) = Page::zeros() else {
        return false;
    };
    let mut family = Family { pids, count: 0 };
    if !family.add_children(id()) {
        return false;
    }
    let mut parents = 0;
    while let Some(parent) = family.members().get(parents) {
        let parent = *parent;
        family.add_children(parent);
        parents += 1;
    }
    for pid in family.members().iter().rev() {
        let _ = signal::kill(*pid, number);
    }
    true
}

/// Kills and reaps all other processes of this pid namespace. Only its pid 1 may call this: for any
/// other process, they would be all processes of the machine.
pub(crate) fn kill_all() {
    let _ = signal::kill(-1, SIGKILL);
    while let Ok(Waited::Ended(..)) = wait(Who::Any) {}
}
