//! `supervisor`, by hand: with tokio, unshare(1) and a script.
//!
//! usage: supervisor ROOT SCRIPT...

use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;

use tokio::process::Command;
use tokio::task::JoinSet;

/// How often one is started.
const STARTS: u32 = 3;

/// Executes its arguments in `$ROOT`. A mount point that is missing stays there afterwards.
const SETUP: &str = r#"
set -e
mount --bind "$ROOT" "$ROOT"
cd "$ROOT"
mkdir -p dev proc sys
mount --rbind /dev dev
mount --rbind /sys sys
mount -t proc proc proc
pivot_root . .
umount -l .
exec "$@"
"#;

async fn look_after(root: OsString, script: OsString) -> io::Result<(OsString, u32, ExitStatus)> {
    let mut starts = 0;
    loop {
        starts += 1;
        let status = Command::new("unshare")
            .args([
                "--mount",
                "--uts",
                "--ipc",
                "--pid",
                "--fork",
                "--kill-child",
            ])
            .args(["sh", "-c", SETUP, "sh", "sh", "-c"])
            .arg(&script)
            .env("ROOT", &root)
            .kill_on_drop(true)
            .status()
            .await?;
        if status.success() || starts == STARTS {
            return Ok((script, starts, status));
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let root = arguments.next().unwrap_or_default();
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
