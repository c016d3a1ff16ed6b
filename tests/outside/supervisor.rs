//! Looks after services in a root, on tokio: starts one again that fails, and stops with the last.
//!
//! usage: supervisor ROOT SCRIPT...

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;

use rootlet::{Chroot, ExitStatus};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;

/// How often one is started.
const STARTS: u32 = 3;

async fn look_after(root: Chroot, script: OsString) -> io::Result<(OsString, u32, ExitStatus)> {
    let mut starts = 0;
    loop {
        starts += 1;
        let mut child = root.command("sh").arg("-c").arg(&script).spawn()?;
        // SAFETY: it is one descriptor, which is open for as long as it is borrowed.
        let ended = unsafe { AsyncFd::register_with_interest(child.as_fd(), Interest::READABLE) }?;
        let _ = ended.readable().await?;
        drop(ended);
        let status = child.wait()?;
        if status.success() || starts == STARTS {
            return Ok((script, starts, status));
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let root = Chroot::new(arguments.next().unwrap_or_default());
    let mut services = JoinSet::new();
    for script in arguments {
        services.spawn(look_after(root.clone(), script));
    }
    while let Some(ended) = services.join_next().await {
        let (script, starts, status) = ended??;
        println!(
            "{}: {status}, started {starts} times",
            script.to_string_lossy()
        );
    }
    Ok(())
}
