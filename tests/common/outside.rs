//! The program in `tests/outside`, which uses the library as any other program would.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{Ended, for_every_user};

/// Returns the program, in a place where every user can execute it.
pub fn outside() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--offline", "--locked"])
            .arg("--target-dir")
            .arg(&target)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside"))
            .env_remove("CARGO_BUILD_TARGET_DIR")
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .unwrap();
        let built = Ended::from(built);
        assert_eq!(built.status, 0, "{}", built.stderr);
        let program = target.join("debug/outside");
        for_every_user(&program)
    })
}
