//! Runs checks of a root inside it, as functions of this program, each for at most a second.
//!
//! usage: harness ROOT

use std::fs;
use std::time::Duration;

use rootlet::{Chroot, ErrorKind};

type Check = fn() -> Result<String, String>;

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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: harness ROOT")?;
    let root = Chroot::new(path);
    for (name, check) in [
        ("shell_is_there", shell_is_there as Check),
        ("is_alone", is_alone),
        ("hangs", hangs),
    ] {
        // SAFETY: a check closes everything that it opens and starts no thread. This program has one
        // thread, so no other can wait for a lock held by a check that timed out.
        match unsafe { root.call_timeout(Duration::from_secs(1), check) } {
            Ok(Ok(report)) => println!("{name}: ok, {report}"),
            Ok(Err(why)) => println!("{name}: failed, {why}"),
            Err(error) if error.kind() == ErrorKind::TimedOut => println!("{name}: no time left"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
