//! Job control: the command as a job of the shell that started us.
//!
//! A terminal has one foreground process group. The kernel sends the signals of its keys to that
//! group, and stops a background group that reads from the terminal.

use crate::sys::process::{ExitStatus, group, id, session, setpgid};
use crate::sys::signal::{
    SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, Signal, kill,
};
use crate::sys::{BorrowedFd, Errno, tty};
use crate::tty::terminal::Terminal;

const STANDARD: [BorrowedFd<'static>; 3] =
    [BorrowedFd::STDIN, BorrowedFd::STDOUT, BorrowedFd::STDERR];

/// The process group of the command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Job {
    /// Our group, which has the foreground, because we are part of a larger job: a pipeline, or a
    /// script whose output goes elsewhere. Keys reach the whole job at once, and other members can
    /// still read the terminal. The same holds if our group is outside our pid namespace and has no
    /// number here. It is then unknown whether it has the foreground, and it could not get it back.
    Shared,
    /// Its own group. Keys reach the command and not us. A signal to our group reaches us, and the
    /// command once.
    Own {
        /// It gets the foreground, because we have it and nobody shares the terminal with us.
        foreground: bool,
    },
}

/// The job control for a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobControl {
    /// `foreground` says whether the command has it now.
    pub(crate) job: Job,
    pub(crate) terminal: Option<Terminal>,
}

impl JobControl {
    /// Returns the job control for a command in the present situation. Only those standard
    /// descriptors that `may_be_terminals` are examined.
    pub(crate) fn look(may_be_terminals: [bool; 3]) -> JobControl {
        let mut foregrounds = STANDARD.map(|descriptor| (descriptor, Err(Errno::ENOTTY)));
        for ((descriptor, foreground), may_be) in foregrounds.iter_mut().zip(may_be_terminals) {
            if may_be {
                *foreground = tty::foreground(*descriptor);
            }
        }
        let Some((descriptor, Ok(foreground))) = foregrounds
            .into_iter()
            .find(|(_, foreground)| foreground.is_ok())
        else {
            return JobControl {
                job: Job::Own { foreground: false },
                terminal: None,
            };
        };
        let group = group();
        let terminal = Some(Terminal { descriptor, group });
        if group == 0 {
            let job = Job::Shared;
            return JobControl { job, terminal };
        }
        if foreground != group {
            return JobControl {
                job: Job::Own { foreground: false },
                terminal,
            };
        }
        let alone = foregrounds.iter().all(|(_, foreground)| foreground.is_ok());
        let job = if alone {
            Job::Own { foreground: true }
        } else {
            Job::Shared
        };
        JobControl { job, terminal }
    }

    /// Returns the job control for a command with its own session.
    pub(crate) fn without_terminal() -> JobControl {
        JobControl {
            job: Job::Own { foreground: false },
            terminal: None,
        }
    }

    /// Puts the process that becomes the command into its group, and gives it the foreground if
    /// required. SIGTTOU must still be blocked, so that this works from the background.
    pub(crate) fn lead_command(&self) {
        if let Job::Own { foreground } = self.job {
            let _ = setpgid();
            if let (true, Some(terminal)) = (foreground, &self.terminal) {
                let _ = tty::set_foreground(terminal.descriptor, id());
            }
        }
    }

    /// Returns whether a signal must be passed on to the command. Two kinds are not: signals that
    /// we sent to our own group, and those that the terminal sent to the command as well, because
    /// both are in one group.
    pub(crate) fn is_for_command(&self, signal: &Signal) -> bool {
        match signal.number {
            SIGCHLD => false,
            SIGINT | SIGQUIT | SIGTSTP | SIGTTIN | SIGTTOU | SIGWINCH if signal.from_kernel => {
                self.job != Job::Shared
            }
            // The kernel sends a hang-up of the terminal only to the leader of the session.
            SIGHUP if signal.from_kernel => self.job != Job::Shared || session(0) == Ok(id()),
            _ => signal.sender != id(),
        }
    }

    /// Returns whether our group has the foreground and can give it to the command.
    pub(crate) fn may_give_foreground(&self) -> bool {
        self.job != Job::Shared && self.terminal.is_some_and(|terminal| terminal.is_ours())
    }

    /// Notes that the command has the foreground from now on.
    pub(crate) fn gave_foreground(&mut self) {
        self.job = Job::Own { foreground: true };
    }

    /// Stops this process after the command was stopped, so that the shell which started us sees a
    /// stopped job. The whole group stops, as it would have by the key if the command had not had
    /// the foreground.
    pub(crate) fn stop(&mut self) {
        let Some(terminal) = &self.terminal else {
            return;
        };
        if self.job == (Job::Own { foreground: true }) {
            terminal.take();
            // If it goes on in the background and stops there, the terminal is the shell's.
            self.job = Job::Own { foreground: false };
            if terminal.group_has_others() {
                let _ = kill(0, SIGTSTP);
            }
        }
        let _ = kill(id(), SIGSTOP);
    }

    /// Takes the terminal back from the command. If a key ended the command and our group has other
    /// members, sends the same signal to our group, us included, because the key was meant for all.
    /// Returns whether it did.
    pub(crate) fn regain_terminal(&self, status: ExitStatus) -> bool {
        let Some(terminal) = &self.terminal else {
            return false;
        };
        terminal.take_from_the_dead();
        // A command that exits with 130 has handled the key itself, as an interactive shell does.
        let Some(signal) = status.signal().map(|signal| signal as u32) else {
            return false;
        };
        self.job == (Job::Own { foreground: true })
            && terminal.group_has_others()
            && (signal == SIGINT || signal == SIGQUIT)
            && kill(0, signal).is_ok()
    }
}
