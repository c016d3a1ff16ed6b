//! Builds packages in one root, fifty at once: each build has a root of its own in memory above it.
//!
//! usage: builder ROOT

use std::error::Error;
use std::thread;

use rootlet::Chroot;

const SCRIPT: &str = "echo built $PACKAGE on $(hostname) >/package && cat /package";

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: builder ROOT")?;
    let mut root = Chroot::new(path);
    root.overlay().hostname("builder");
    let outputs = thread::scope(|scope| {
        let builds: Vec<_> = (0..50)
            .map(|number| {
                let mut build = root.command("sh");
                build
                    .args(["-c", SCRIPT])
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
