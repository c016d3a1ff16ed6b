//! `builder`, by hand: with std, unshare(1) and a script.
//!
//! usage: builder ROOT

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

const SCRIPT: &str = "echo built $PACKAGE on $(hostname) >/package && cat /package";

/// Makes a root in memory above `$ROOT`, and executes its arguments there.
const SETUP: &str = r#"
set -e
hostname builder
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$ROOT,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
cd /mnt/root
mkdir -p dev proc sys
mount --rbind /dev dev
mount --rbind /sys sys
mount -t proc proc proc
pivot_root . .
umount -l .
exec "$@"
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: builder ROOT")?;
    // A colon or a comma would end the option, and a relative path would be another's.
    let path = Path::new(&path).canonicalize()?;
    if path
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .any(|byte| b":,\\".contains(byte))
    {
        return Err("the path of the root has a character that overlay does not take".into());
    }
    let outputs = thread::scope(|scope| {
        let builds: Vec<_> = (0..50)
            .map(|number| {
                let mut build = Command::new("unshare");
                build
                    .args([
                        "--mount",
                        "--uts",
                        "--ipc",
                        "--pid",
                        "--fork",
                        "--kill-child",
                    ])
                    .args(["sh", "-c", SETUP, "sh", "sh", "-c", SCRIPT])
                    .stdin(Stdio::null())
                    .env("ROOT", &path)
                    .env("PACKAGE", number.to_string());
                scope.spawn(move || build.output())
            })
            .collect();
        builds
            .into_iter()
            .map(|build| build.join().expect("no build panics"))
            .collect::<Vec<_>>()
    });
    for output in outputs {
        let output = output?;
        print!("{}", String::from_utf8_lossy(&output.stdout));
        output
            .status
            .success()
            .then_some(())
            .ok_or_else(|| output.status.to_string())?;
    }
    Ok(())
}
