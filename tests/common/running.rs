//! A process that a test communicates with while it runs.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::{children, send_signal, wait_until};

/// A running rootlet.
pub struct Running {
    /// The started process: rootlet, or a program that runs it.
    pub child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Running { child, lines }
    }

    /// Starts the command and waits until it has printed `ready`.
    #[track_caller]
    pub fn start_ready(command: &mut Command) -> Running {
        let running = Running::start(command);
        running.expect("ready");
        running
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn pid1(&self) -> i32 {
        children(self.pid())[0]
    }

    pub fn command(&self) -> i32 {
        children(self.pid1())[0]
    }

    /// Waits until the command is executed.
    #[track_caller]
    pub fn wait_for_command(&self, name: &str) {
        wait_until("the command", || {
            let pid1 = children(self.pid()).into_iter().next();
            let command = pid1.and_then(|pid1| children(pid1).into_iter().next());
            let comm = command.map(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")));
            comm.is_some_and(|comm| comm.is_ok_and(|comm| comm.trim() == name))
        });
    }

    pub fn signal(&self, number: i32) {
        send_signal(self.pid(), number);
    }

    /// Returns the command's next line.
    #[track_caller]
    pub fn line(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// Returns the next line, or an error if the output has ended or no line comes in that time.
    pub fn try_line(&self, patience: Duration) -> Result<String, RecvTimeoutError> {
        self.lines.recv_timeout(patience)
    }

    /// Checks that the command's next line is this one.
    #[track_caller]
    pub fn expect(&self, line: &str) {
        let next = self.lines.recv_timeout(Duration::from_secs(60));
        assert_eq!(next.as_deref(), Ok(line));
    }

    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the end of rootlet", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Returns rootlet's exit status. A signal never ends rootlet.
    #[track_caller]
    pub fn status(&mut self) -> i32 {
        let status = self.wait();
        status.code().unwrap_or_else(|| panic!("{status}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
