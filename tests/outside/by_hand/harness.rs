//! `harness`, by hand: with std, and rustix for unshare(2) and the mounts.
//!
//! usage: harness ROOT

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::exit;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, unmount,
};
use rustix::process::{Pid, Signal, WaitOptions, chdir, kill_process, pivot_root, waitpid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

type Check = fn() -> Result<String, String>;

unsafe extern "C" {
    safe fn fork() -> i32;
}

fn shell_is_there() -> Result<String, String> {
    let shell = fs::metadata("/bin/sh").map_err(|error| error.to_string())?;
    Ok(format!("/bin/sh has {} bytes", shell.len().min(1)))
}

fn is_alone() -> Result<String, String> {
    let processes = fs::read_dir("/proc").map_err(|error| error.to_string())?;
    let names = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let count = names.filter(|name| name.parse::<u32>().is_ok()).count();
    Ok(format!("{count} processes"))
}

fn hangs() -> Result<String, String> {
    std::thread::sleep(Duration::from_secs(1000));
    Ok(String::new())
}

/// Goes to the new root, in the first process of a new pid namespace.
fn enter(root: &Path) -> io::Result<()> {
    mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )?;
    mount_bind(root, root)?;
    chdir(root)?;
    for name in ["dev", "proc", "sys"] {
        fs::create_dir_all(name)?;
    }
    mount_bind_recursive("/dev", "dev")?;
    mount_bind_recursive("/sys", "sys")?;
    mount("proc", "proc", "proc", MountFlags::empty(), None)?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(())
}

/// Ends with the check's answer on the pipe.
fn answer(root: &Path, check: Check, mut pipe: impl Write) -> io::Result<()> {
    enter(root)?;
    match fork() {
        0 => {
            let (word, text) = match check() {
                Ok(text) => ("ok", text),
                Err(text) => ("failed", text),
            };
            write!(pipe, "{word}, {text}")
        }
        child => {
            drop(pipe);
            waitpid(Pid::from_raw(child), WaitOptions::empty())?;
            Ok(())
        }
    }
}

fn call(root: &Path, check: Check) -> io::Result<Option<String>> {
    let (mut reader, writer) = UnixStream::pair()?;
    let flags =
        UnshareFlags::NEWNS | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC | UnshareFlags::NEWPID;
    let child = match fork() {
        -1 => return Err(io::Error::last_os_error()),
        0 => {
            drop(reader);
            // SAFETY: this process has one thread, and no descriptors are shared.
            let unshared = unsafe { unshare_unsafe(flags) };
            if unshared.is_err() {
                exit(125);
            }
            match fork() {
                0 => exit(answer(root, check, writer).map_or(125, |()| 0)),
                pid1 => {
                    drop(writer);
                    let _ = rustix::process::set_child_subreaper(None);
                    let _ = waitpid(Pid::from_raw(pid1), WaitOptions::empty());
                    exit(0)
                }
            }
        }
        child => Pid::from_raw(child),
    };
    drop(writer);
    let limit = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let answered = poll(&mut [PollFd::new(&reader, PollFlags::IN)], Some(&limit))? > 0;
    let mut text = String::new();
    if answered {
        reader.read_to_string(&mut text)?;
    } else if let Some(child) = child {
        // pid 1 is a child of this one, and its child is the check.
        for process in descendants(child).into_iter().rev() {
            let _ = kill_process(process, Signal::KILL);
        }
    }
    waitpid(child, WaitOptions::empty())?;
    Ok(answered.then_some(text))
}

fn descendants(process: Pid) -> Vec<Pid> {
    let mut found = vec![process];
    let mut index = 0;
    while let Some(pid) = found.get(index).map(|pid| pid.as_raw_nonzero()) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        found.extend(
            children
                .split_whitespace()
                .filter_map(|child| Pid::from_raw(child.parse().ok()?)),
        );
        index += 1;
    }
    found
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: harness ROOT")?;
    for (name, check) in [
        ("shell_is_there", shell_is_there as Check),
        ("is_alone", is_alone),
        ("hangs", hangs),
    ] {
        match call(Path::new(&path), check)? {
            Some(text) => println!("{name}: {text}"),
            None => println!("{name}: no time left"),
        }
    }
    Ok(())
}
