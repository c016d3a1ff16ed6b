//! Job control: what the terminal, and the shell that started us, see of the command.

use crate::sys::process::{ExitStatus, group, id, session, setpgid};
use crate::sys::signal::{
    SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, Signal, kill,
};
use crate::sys::{BorrowedFd, Errno, tty};
use crate::tty::terminal::Terminal;

const STANDARD: [BorrowedFd<'static>; 3] =
    [BorrowedFd::STDIN, BorrowedFd::STDOUT, BorrowedFd::STDERR];

/// In which process group the command runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Job {
    /// In ours, which has the foreground, since we are a part of something larger there: a
    /// pipeline, a script whose output goes elsewhere. Keys reach all of it at once, and whoever
    /// else reads the terminal still may. So, too, where ours is outside of our pid namespace and
    /// cannot be named: nothing tells then whether it has the foreground, and it could not be
    /// given that back.
    Shared,
    /// In one of its own. A person's keys reach the command and not us, a signal sent to our
    /// group reaches us and, once, the command.
    Own {
        /// It gets the foreground, because we have it and are alone with the terminal.
        foreground: bool,
    },
}

/// What is kept up for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobControl {
    /// Says of the foreground whether the command has it now.
    pub(crate) job: Job,
    pub(crate) terminal: Option<Terminal>,
}

impl JobControl {
    /// How a command is to be run, as things stand. Only those of the standard descriptors that
    /// `may_be_terminals` are asked.
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

    /// For a command with a session of its own.
    pub(crate) fn without_terminal() -> JobControl {
        JobControl {
            job: Job::Own { foreground: false },
            terminal: None,
        }
    }

    /// In the process that becomes the command: puts it into its group, with the foreground if it
    /// is to have that. SIGTTOU has to be blocked still, so that it works from the background.
    pub(crate) fn lead_command(&self) {
        if let Job::Own { foreground } = self.job {
            let _ = setpgid();
            if let (true, Some(terminal)) = (foreground, &self.terminal) {
                let _ = tty::set_foreground(terminal.descriptor, id());
            }
        }
    }

    /// Not what we sent ourselves with our whole group, and not what the terminal has sent to the
    /// command as well because both are in one group.
    pub(crate) fn is_for_command(&self, signal: &Signal) -> bool {
        match signal.number {
            SIGCHLD => false,
            SIGINT | SIGQUIT | SIGTSTP | SIGTTIN | SIGTTOU | SIGWINCH if signal.from_kernel => {
                self.job != Job::Shared
            }
            // A hang-up of the terminal is told to the leader of the session alone.
            SIGHUP if signal.from_kernel => self.job != Job::Shared || session(0) == Ok(id()),
            _ => signal.sender != id(),
        }
    }

    /// Has our group the foreground, for the command to have it instead?
    pub(crate) fn may_give_foreground(&self) -> bool {
        self.job != Job::Shared && self.terminal.is_some_and(|terminal| terminal.is_ours())
    }

    /// The command has the foreground from now on.
    pub(crate) fn gave_foreground(&mut self) {
        self.job = Job::Own { foreground: true };
    }

    /// The command was stopped. On a terminal the shell that started us has to see a stopped job:
    /// all of our group, as the key would have stopped it, had the command not had the foreground.
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

    /// Takes the terminal back from the command, and interrupts our group, us too, if that is how
    /// the command ended and there are others: the key was meant for all. Says whether it did.
    pub(crate) fn regain_terminal(&self, status: ExitStatus) -> bool {
        let Some(terminal) = &self.terminal else {
            return false;
        };
        terminal.take_from_the_dead();
        // A command that exits with 130 has dealt with the key, as an interactive shell does.
        let Some(signal) = status.signal().map(|signal| signal as u32) else {
            return false;
        };
        self.job == (Job::Own { foreground: true })
            && terminal.group_has_others()
            && (signal == SIGINT || signal == SIGQUIT)
            && kill(0, signal).is_ok()
    }
}
