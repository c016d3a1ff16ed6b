//! pid 1: forwards signals, reaps every orphan, and ends when the command does.
//!
//! One loop for all roles. It has no handlers, which would interrupt it anywhere, and no limit of
//! time: until something happens the process does not wake up.

pub(crate) mod init;

use crate::error::{Error, Step};
use crate::process::channel::{Order, Report};
use crate::sys::poll::{NANOSECONDS, Poll, clock, poll};
use crate::sys::process::{ExitStatus, Waited, Who, id, reaped_status, wait};
use crate::sys::signal::{
    self, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN,
    SIGTTOU, Signal, set_sigchld,
};
use crate::sys::{BorrowedFd, Errno, fs, tty};
use crate::text::short::Short;
use crate::tty::jobs::JobControl;
use crate::tty::terminal::Terminal;

/// What pid 1 looks after.
pub(crate) struct Pid1<'a> {
    /// All signals are blocked and read from here.
    pub(crate) signals: BorrowedFd<'a>,
    pub(crate) above: Above<'a>,
    /// The command, if there is one.
    pub(crate) command: Option<Process<'a>>,
    pub(crate) reaping: Reaping,
    /// The command leads a process group of its own.
    pub(crate) own_group: bool,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) orders: Orders<'a>,
}

/// A child.
#[derive(Clone, Copy)]
pub(crate) struct Process<'a> {
    pub(crate) pid: i32,
    pub(crate) pidfd: BorrowedFd<'a>,
}

/// Who is told when the command stops, and says which signals are for it.
pub(crate) enum Above<'a> {
    /// The supervisor of a run, at the other end of this socket.
    Supervisor(BorrowedFd<'a>),
    /// A program that has spawned the command, at the other end of this socket until it detaches
    /// it. It is not told that the command stops.
    Owner(Option<BorrowedFd<'a>>),
    /// Nobody: that is for us to see to.
    Nobody(JobControl),
}

/// How orphans are reaped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reaping {
    /// By waiting for them after SIGCHLD.
    ByUs,
    /// By the kernel, since SIGCHLD is ignored: we do not wake up for them at all. The command's
    /// status is read from its pidfd (Linux 6.15). That it was stopped is not told then.
    ByKernel,
}

/// What is done with signals and at the end.
pub(crate) struct Orders<'a> {
    /// What is sent for each signal; 0 is nothing.
    pub(crate) rewritten: [u8; 65],
    /// All signals go to the command's process group.
    pub(crate) to_group: bool,
    /// A signal that stops the command stops us too.
    pub(crate) suspend: bool,
    /// For how long, in nanoseconds, what was told to end may go on.
    pub(crate) grace: u64,
    pub(crate) habits: &'a dyn Habits,
}

impl Orders<'_> {
    /// Every signal to the command, as it comes.
    pub(crate) fn plain() -> Orders<'static> {
        let mut rewritten = [0; 65];
        for (number, to) in rewritten.iter_mut().enumerate() {
            *to = number as u8;
        }
        Orders {
            rewritten,
            to_group: false,
            suspend: false,
            grace: 0,
            habits: &Quiet,
        }
    }
}

/// What a person may want to be told of an [`Init`](crate::Init).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The command was started, with this pid.
    Started(i32),
    /// The command leads a session of its own. Told by its own process.
    LeadsSession,
    /// A signal came that the kernel sends when a terminal changes hands; it is not passed on.
    HandOver(u32),
    /// Orphans will not become our children.
    CannotReap,
    /// A signal came.
    Received(u32),
    /// This signal was sent on.
    Forwarded(u32),
    /// This signal was not sent on.
    NotForwarded(u32),
    /// An orphan was reaped.
    Reaped(i32, ExitStatus),
    /// The command has ended.
    Ended(i32, ExitStatus),
}

/// What an init says, and the status it ends with when it fails.
pub trait Habits {
    /// Something happened.
    fn event(&self, event: Event) {
        let _ = event;
    }

    /// Is each orphan to be told of ([`Event::Reaped`])? If not, the kernel may reap them.
    fn wants_orphans(&self) -> bool {
        false
    }

    /// The command could not be run: says so, and gives the exit status.
    fn failed(&self, error: &Error) -> u8 {
        error.print();
        error.status()
    }
}

/// Says nothing of what happens.
pub(crate) struct Quiet;

impl Habits for Quiet {}

/// Why pid 1 is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The command has ended.
    Command(ExitStatus),
    /// The supervisor is gone, or, where there is no command, INT or TERM came.
    Told,
}

impl Pid1<'_> {
    /// Waits until there is a reason to end.
    pub(crate) fn run(&mut self) -> Result<End, Error<'static>> {
        let failed = |errno| Error::new(Step::Wait, b"the command", errno);
        let mut deadline = None;
        loop {
            let mut ready = [
                Poll::new(self.signals),
                match (self.reaping, &self.command) {
                    (Reaping::ByKernel, Some(command)) => Poll::for_hangup(command.pidfd),
                    _ => Poll::none(),
                },
                match self.above {
                    Above::Supervisor(socket) | Above::Owner(Some(socket)) => Poll::new(socket),
                    Above::Owner(None) | Above::Nobody(_) => Poll::none(),
                },
            ];
            if !poll(&mut ready, deadline).map_err(failed)? {
                // The command was told to end, and has not.
                self.send(SIGKILL);
                deadline = None;
            }
            let [signal_came, command_ended, supervisor_spoke] = ready.map(|poll| poll.is_ready());
            // First of all, since the command's pid may soon be another's.
            if let (true, Some(command)) = (command_ended, &self.command) {
                let status = reaped_status(command.pidfd).map_err(failed)?;
                self.orders.habits.event(Event::Ended(command.pid, status));
                return Ok(End::Command(status));
            }
            if signal_came {
                let signal = signal::read(self.signals).map_err(failed)?;
                self.orders.habits.event(Event::Received(signal.number));
                match signal.number {
                    SIGCHLD => {
                        if let Some(status) = self.reap().map_err(failed)? {
                            return Ok(End::Command(status));
                        }
                    }
                    SIGINT | SIGTERM if self.command.is_none() => return Ok(End::Told),
                    _ => self.forward(&signal),
                }
                if self.orders.grace > 0
                    && deadline.is_none()
                    && self.rewritten(signal.number) != 0
                    && [SIGHUP, SIGINT, SIGQUIT, SIGTERM].contains(&signal.number)
                {
                    deadline = Some(clock() + self.orders.grace);
                }
            }
            if supervisor_spoke && !self.listen() {
                return Ok(End::Told);
            }
        }
    }

    /// Reaps all that have ended, since one SIGCHLD may stand for many; the command's status if it
    /// is among them.
    fn reap(&mut self) -> Result<Option<ExitStatus>, Errno> {
        let command = self.command.map(|command| command.pid);
        let mut ended = None;
        loop {
            match wait(Who::AnyNow)? {
                Waited::Nothing | Waited::NoChildren => return Ok(ended),
                Waited::Ended(pid, status) => {
                    let is_command = Some(pid) == command;
                    if is_command {
                        ended = Some(status);
                        self.orders.habits.event(Event::Ended(pid, status));
                    } else {
                        self.orders.habits.event(Event::Reaped(pid, status));
                    }
                }
                Waited::Stopped(pid, signal) if Some(pid) == command => self.stopped(signal),
                Waited::Stopped(..) => {}
            }
        }
    }

    /// A signal has stopped the command.
    fn stopped(&mut self, signal: u32) {
        match &mut self.above {
            Above::Supervisor(socket) => {
                let report = match signal {
                    SIGTTIN | SIGTTOU => Report::NeedsForeground,
                    _ => Report::Stopped,
                };
                report.send(*socket);
            }
            Above::Owner(_) => {}
            // Nobody could continue the first process of a system.
            Above::Nobody(_) if id() == 1 => {}
            Above::Nobody(jobs) => {
                // A shell's `fg` tells a job that runs nothing.
                let used_terminal = signal == SIGTTIN || signal == SIGTTOU;
                if used_terminal && jobs.may_give_foreground() {
                    jobs.gave_foreground();
                    self.give_foreground();
                } else {
                    jobs.stop();
                }
            }
        }
    }

    fn forward(&mut self, signal: &Signal) {
        match &mut self.above {
            // We lead a group of our own, so whatever reaches us was meant for the command: it
            // comes from the supervisor, or from someone who names our pid.
            Above::Supervisor(socket) => {
                // It waits for no longer than this.
                if let SIGHUP | SIGINT | SIGQUIT | SIGTERM = signal.number {
                    Report::Took.send(*socket);
                }
            }
            Above::Owner(_) => {}
            Above::Nobody(jobs) if !jobs.is_for_command(signal) => return,
            Above::Nobody(jobs) => {
                if signal.number == SIGCONT && jobs.may_give_foreground() {
                    jobs.gave_foreground();
                    return self.give_foreground();
                }
            }
        }
        match self.rewritten(signal.number) {
            0 => self.orders.habits.event(Event::NotForwarded(signal.number)),
            number => {
                self.send(number);
                self.orders.habits.event(Event::Forwarded(number));
            }
        }
        if self.orders.suspend && [SIGTSTP, SIGTTIN, SIGTTOU].contains(&signal.number) {
            let _ = signal::kill(id(), SIGSTOP);
        }
    }

    /// What is sent for a signal; 0 is nothing.
    fn rewritten(&self, number: u32) -> u32 {
        self.orders
            .rewritten
            .get(number as usize)
            .map_or(0, |to| u32::from(*to))
    }

    /// The socket to whoever is above.
    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self.above {
            Above::Supervisor(socket) => Some(socket),
            Above::Owner(socket) => socket,
            Above::Nobody(_) => None,
        }
    }

    fn send(&self, number: u32) {
        let Some(command) = &self.command else { return };
        // The keys for these reach all of a job.
        let of_job = self.own_group && [SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT].contains(&number);
        let to_group = self.orders.to_group || of_job;
        // The command may not lead its group yet. And it may have ended just now: where the kernel
        // reaps, its pid may be another's, but never its pidfd.
        if !to_group || signal::kill(-command.pid, number) == Err(Errno::ESRCH) {
            let _ = signal::send(command.pidfd, number);
        }
    }

    /// False when the supervisor is gone.
    fn listen(&mut self) -> bool {
        let (Above::Supervisor(socket) | Above::Owner(Some(socket))) = self.above else {
            return true;
        };
        match Order::receive(socket) {
            None | Some(Some(Order::End)) => return false,
            Some(Some(Order::Foreground)) => self.give_foreground(),
            Some(Some(Order::Stop)) => self.send(SIGSTOP),
            Some(Some(Order::Detach)) => self.above = Above::Owner(None),
            Some(Some(Order::Mapped) | None) => {}
        }
        true
    }

    /// Gives the command the terminal, and lets it go on.
    fn give_foreground(&self) {
        if let (Some(terminal), Some(command)) = (&self.terminal, &self.command) {
            let _ = tty::set_foreground(terminal.descriptor, command.pid);
        }
        self.send(SIGCONT);
    }
}

/// How long killed processes may take to go, in nanoseconds: one that waits for a dead file system
/// must not keep us.
const AFTER_KILL: u64 = NANOSECONDS;

/// Gives what still runs `grace` nanoseconds after a TERM, then kills it, and reaps it all. `group`
/// is the command's process group. Killed at once where `above`, a socket, has nobody at its other
/// end.
pub(crate) fn end_others(
    signals: BorrowedFd,
    above: Option<BorrowedFd>,
    grace: u64,
    group: i32,
) -> Result<(), Errno> {
    // From now on we have to see each one end.
    set_sigchld(false);
    for (number, time) in [(SIGTERM, grace), (SIGKILL, AFTER_KILL)] {
        if time == 0 {
            continue;
        }
        let deadline = clock() + time;
        signal_others(number, group);
        loop {
            match wait(Who::AnyNow)? {
                Waited::NoChildren => return Ok(()),
                Waited::Nothing => {}
                Waited::Ended(..) | Waited::Stopped(..) => {
                    // A killed process leaves its children to us, who are killed next.
                    if number == SIGKILL {
                        signal_others(number, group);
                    }
                    continue;
                }
            }
            let above = above.map_or(Poll::none(), Poll::for_hangup);
            let mut ready = [Poll::new(signals), above];
            let in_time = poll(&mut ready, Some(deadline))?;
            let [_, is_alone] = ready;
            if !in_time || is_alone.is_ready() {
                break;
            }
            signal::read(signals)?;
        }
    }
    Ok(())
}

/// To all of our pid namespace if we are its pid 1, else to our descendants, and where there is no
/// proc to find them in, to the command's process group.
fn signal_others(number: u32, group: i32) {
    if id() == 1 {
        let _ = signal::kill(-1, number);
    } else if !has_proc_of_ours() || !signal_descendants(id(), number) {
        let _ = signal::kill(-group, number);
    }
}

/// Is there a proc, and does it number processes as we do? What only looks like one is not to say
/// whom we kill.
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

/// To the descendants of a process, the youngest generation first, as
/// `/proc/PID/task/TID/children` lists them (proc_pid_tid_children(5)); false where there is none.
fn signal_descendants(pid: i32, number: u32) -> bool {
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
                        signal_descendants(child, number);
                        let _ = signal::kill(child, number);
                        child = 0;
                    }
                }
            }
        }
        true
    });
    listed && visited.is_ok()
}

/// As pid 1, and never as another, for whom they would be all of the machine's: kills every other
/// process of this pid namespace and reaps them all.
pub(crate) fn kill_all() {
    let _ = signal::kill(-1, SIGKILL);
    while let Ok(Waited::Ended(..)) = wait(Who::Any) {}
}
