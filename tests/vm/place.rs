//! The directory in which `scripts/vm` runs for a test.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{self, Ended, Root, User, end, is_left_out, processes_with, users, wait_until};

/// A directory for one test: a copy of the script that its user can read, and a directory for
/// temporary files that must be empty afterwards.
pub struct Place {
    pub root: Root,
    pub user: User,
}

impl Place {
    pub fn new(user: User) -> Place {
        let root = Root::empty(user);
        root.directory("tmp");
        root.file("scripts/vm", include_str!("../../scripts/vm"));
        for directory in ["vm.d", "common"] {
            for entry in fs::read_dir(scripts().join(directory)).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                let text = fs::read_to_string(&path).unwrap();
                root.file(&format!("scripts/{directory}/{name}"), text);
            }
        }
        Place { root, user }
    }

    /// `scripts/vm` with these words, in this directory.
    pub fn vm(&self, words: &[&str]) -> Command {
        // bash reads the script, because executing it fails while a child of another test has it
        // open for writing.
        let mut command = common::command(self.user, "bash");
        command
            .arg(self.root.path().join("scripts/vm"))
            .args(words)
            .current_dir(self.root.path())
            .env("ROOTLET", common::rootlet_path())
            .env("TMPDIR", self.temporary())
            .env("XDG_CACHE_HOME", common::kernel_cache());
        command
    }

    /// Runs `scripts/vm sh -c TEXT` to its end.
    #[track_caller]
    pub fn sh(&self, text: &str) -> Ended {
        let ended = end(&mut self.vm(&["--", "sh", "-c", text]));
        self.assert_clean();
        ended
    }

    pub fn temporary(&self) -> PathBuf {
        self.root.path().join("tmp")
    }

    #[track_caller]
    pub fn assert_clean(&self) {
        assert_eq!(common::tree(&self.temporary()), [""; 0]);
        // virtiofsd names its files after its socket.
        let place = self.root.path().file_name().unwrap().to_str().unwrap();
        for entry in fs::read_dir("/run/virtiofsd").into_iter().flatten() {
            let name = entry.unwrap().file_name();
            assert!(!name.to_string_lossy().contains(place), "{name:?}");
        }
        let mark = self.temporary();
        wait_until("the end of all processes", || {
            processes_with(mark.to_str().unwrap()).is_empty()
        });
    }
}

pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")
}

/// Returns whether the tests are left out, because they need the network to download kernels.
pub fn cannot() -> bool {
    is_left_out("network")
}

/// The user for tests that do not depend on the user.
pub fn someone() -> User {
    users()[0]
}

/// Checks the status of the script, and that it printed a line that starts with this text.
#[track_caller]
pub fn assert_said(ended: &Ended, status: i32, line: &str) {
    let output = ended.stderr.lines().any(|output| output.starts_with(line));
    assert!(
        ended.status == status && output,
        "{status} {line}: {ended:?}"
    );
}

pub fn noise(size: usize) -> Vec<u8> {
    let mut noise = vec![0; size];
    let mut random = fs::File::open("/dev/urandom").unwrap();
    random.read_exact(&mut noise).unwrap();
    noise
}
