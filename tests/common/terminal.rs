//! A terminal, and a session on it.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, OutputModes, tcgetattr, tcgetpgrp, tcsetattr};

use super::{User, command, rootlet_path, wait_until};

pub const CTRL_C: &str = "\x03";
pub const CTRL_Z: &str = "\x1a";

/// A session on its own terminal.
pub struct Session {
    pub leader: Child,
    terminal: Option<OwnedFd>,
    pub output: String,
    /// How much of the output has been read by `expect`.
    pub seen: usize,
}

impl Session {
    pub fn start(mut leader: Command) -> Session {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = openpt(flags).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let side = rustix::fs::open(name, flags, Mode::empty()).unwrap();
        // Without echo, the output contains no typed text.
        let mut modes = tcgetattr(&side).unwrap();
        modes.local_modes -= LocalModes::ECHO;
        modes.output_modes -= OutputModes::OPOST;
        tcsetattr(&side, OptionalActions::Now, &modes).unwrap();
        leader
            .stdin(side.try_clone().unwrap())
            .stdout(side.try_clone().unwrap())
            .stderr(side);
        // SAFETY: only system calls are made.
        unsafe {
            leader.pre_exec(|| {
                setsid()?;
                Ok(ioctl_tiocsctty(rustix::stdio::stdin())?)
            })
        };
        Session {
            leader: leader.spawn().unwrap(),
            terminal: Some(terminal),
            output: String::new(),
            seen: 0,
        }
    }

    /// An interactive bash, in which `$rootlet` is rootlet.
    pub fn bash(user: User) -> Session {
        let mut bash = command(user, "bash");
        bash.args(["--norc", "--noprofile", "--noediting", "-i"])
            .env("PS1", "outer> ")
            .env("rootlet", rootlet_path());
        let mut session = Session::start(bash);
        session.expect("outer> ");
        session
    }

    /// Continues the last job in the foreground. The shell prints the job's name before the job has
    /// the foreground, therefore this waits for it.
    #[track_caller]
    pub fn foreground(&mut self) {
        self.enter("fg");
        wait_until("the shell to give away the terminal", || !self.is_leaders());
    }

    /// Returns whether the leader's process group has the foreground.
    pub fn is_leaders(&self) -> bool {
        tcgetpgrp(self.terminal()).is_ok_and(|group| group.as_raw_nonzero().get() == self.pid())
    }

    pub fn terminal(&self) -> &OwnedFd {
        self.terminal.as_ref().unwrap()
    }

    pub fn press(&self, keys: &str) {
        let written = rustix::io::write(self.terminal(), keys.as_bytes());
        assert_eq!(written, Ok(keys.len()));
    }

    pub fn enter(&self, line: &str) {
        self.press(&format!("{line}\n"));
    }

    /// Waits for this text, and returns the output before it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(at) = self.output[self.seen..].find(text) {
                let before = self.output[self.seen..][..at].to_owned();
                self.seen += at + text.len();
                return before;
            }
            let mut ready = [PollFd::new(self.terminal(), PollFlags::IN)];
            let second = Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            };
            let mut buffer = [0; 4096];
            let count = match poll(&mut ready, Some(&second)) {
                Ok(0) => 0,
                _ => rustix::io::read(self.terminal(), &mut buffer).unwrap_or(0),
            };
            self.output += &String::from_utf8_lossy(&buffer[..count]);
            assert!(
                Instant::now() < end,
                "no {text:?} after {:?}",
                &self.output[self.seen..]
            );
        }
    }

    /// Waits for the command's text and for the shell's prompt, each once, in any order.
    #[track_caller]
    pub fn expect_with_prompt(&mut self, text: &str) {
        let start = self.seen;
        self.expect(text);
        let after_text = self.seen;
        self.seen = start;
        self.expect("outer> ");
        self.seen = self.seen.max(after_text);
        let printed = &self.output[start..self.seen];
        assert_eq!(printed.matches(text).count(), 1, "{printed}");
    }

    /// Types a line to the outer shell, waits for its prompt, and returns the output before that.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.enter(line);
        self.expect("outer> ")
    }

    /// Returns the status of the outer shell's last command, once the shell prints its prompt.
    #[track_caller]
    pub fn status(&mut self) -> String {
        self.expect("outer> ");
        self.ask("echo $?")
    }

    /// Ends the outer shell, which must have the foreground and no jobs.
    #[track_caller]
    pub fn exit(mut self) {
        assert!(self.is_leaders());
        assert_eq!(self.ask("jobs"), "");
        self.enter("exit 9");
        assert_eq!(self.wait().code(), Some(9));
    }

    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the end of the session's leader", || {
            status = self.leader.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub fn pid(&self) -> i32 {
        self.leader.id() as i32
    }

    pub fn hang_up(&mut self) {
        self.terminal = None;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.hang_up();
        let _ = self.leader.kill();
        let _ = self.leader.wait();
    }
}
