//! A hostile program inside a run. It reaches neither pid 1, the supervisor, the host's files, keys
//! and memory, nor another run in the same root. Without rootlet in between, the same program
//! reaches all of them.

mod terminals;

use std::process::Command;

use crate::common::hostile::end;
use crate::common::init::kernel;
use crate::common::running::Running;
use crate::common::{Root, User, can_be_root, command, copy_program, users};
use crate::programs::insider_program;
use crate::summary;
use crate::traced::RANGES;

/// Has a key in its session, and a segment of shared memory, while the program runs.
const HOST: &str = "
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
number = int(sys.argv[1])
keyctl = {'x86_64': 250}.get(os.uname().machine, 219)
add_key = {'x86_64': 248}.get(os.uname().machine, 217)
libc.syscall(keyctl, 1, None)
key = libc.syscall(add_key, b'user', sys.argv[1].encode(), b'secret', 6, -3)
memory = libc.shmget(number, 4096, 0o1666)
victim = subprocess.Popen(['sleep', '1000'])
try:
    words = [word.replace('VICTIM', str(victim.pid)) for word in sys.argv[2:]]
    status = subprocess.call(words)
    print('has', 'a key' if key > 0 else 'no key', 'and memory' if memory >= 0 else 'and no memory')
finally:
    victim.kill()
    libc.shmctl(memory, 0, None)
sys.exit(status)
";

struct Place {
    root: Root,
    marker: Root,
    user: User,
}

impl Place {
    fn new(user: User) -> Place {
        let root = Root::busybox(user);
        copy_program(insider_program(), root.path().join("bin/insider"));
        let marker = Root::empty(user);
        marker.file("marker", "of the host");
        Place { root, marker, user }
    }

    /// Returns the things that the insider could do, or `None` if the kernel cannot make such a
    /// run.
    fn got(&self, key: u32, before: &[&str], pid: &str) -> Option<Vec<String>> {
        let marker = self.marker.path().join("marker");
        let (marker, key) = (marker.to_str().unwrap(), key.to_string());
        let mut python: Command = match before.contains(&"--map-users=auto") {
            false => command(self.user, "python3"),
            true => {
                let mut unshare = command(User::Root, "unshare");
                unshare.args(["-m", "--propagation", "private", "sh", "-c", RANGES, "sh"]);
                unshare
                    .arg(self.marker.path())
                    .args(["setpriv", "--reuid=54321"]);
                unshare.args(["--regid=54321", "--clear-groups", "python3"]);
                unshare
            }
        };
        python.args(["-c", HOST, &key]);
        python.args(before.iter().map(|word| match *word {
            "ROOT" => self.root.name(),
            "ROOTLET" => crate::common::rootlet_path().to_str().unwrap(),
            word => word,
        }));
        let ended = end(python.args([pid, marker, &key]));
        let is_old = before.contains(&"--overlay") && kernel() < (5, 11);
        let cannot_map = ended.stderr.contains("cannot map the file owners of");
        if ended.status == 125 && (is_old || cannot_map) {
            println!("left out: {}", ended.stderr);
            return None;
        }
        assert!(ended.stdout.contains("done\n"), "{before:?} {ended:?}");
        let lines = ended.stdout.lines();
        let told = lines.filter(|line| line.starts_with("got: ") || line.starts_with("has "));
        Some(told.map(str::to_owned).collect())
    }
}

/// Root has the right to do anything to pid 1 of its own run. It also keeps its keys.
const OWN: &str = "real root, to its own pid 1";

#[test]
fn nothing_of_the_hosts_or_of_another_run_is_in_reach() {
    let mut tried = 0;
    for user in users() {
        let place = Place::new(user);
        let key = 0x7274_0000 + std::process::id() * 2 % 0xffff + u32::from(user == User::Root);
        // A process of another run in the same root.
        let words = ["ROOT", "sh", "-c", "echo ready; sleep 1000; : /other"];
        let mut other = place.root.run(&words);
        let other = Running::start(other.env("PATH", "/bin"));
        assert_eq!(other.line(), "ready");

        let insider = insider_program().to_str().unwrap();
        let control = place.got(key, &[insider], "VICTIM").unwrap();
        for wanted in [
            "environ",
            "root",
            "cwd",
            "exe",
            "fd/0",
            "the file",
            "another run's process",
        ] {
            assert!(
                control.contains(&format!("got: {wanted}")),
                "{user:?} {wanted}: {control:?}"
            );
        }
        let possible = |what: &str| control.iter().any(|line| line.contains(what));
        assert!(
            !possible("a key") || possible("got: the key"),
            "{control:?}"
        );
        assert!(
            !possible("and memory") || possible("got: the shared memory"),
            "{control:?}"
        );

        let run = ["ROOTLET", "run", "ROOT", "/bin/insider"];
        let with = |options: &[&'static str]| -> Vec<&'static str> {
            [&run[..2], options, &run[2..]].concat()
        };
        let mut cases = vec![
            (with(&["--unshare=user", "--map-users=current"]), "1"),
            (with(&["--map-users=root", "--unshare=user"]), "1"),
            (with(&["--unshare=user", "--share=pid"]), "parent"),
            (
                with(&["--unshare=user", "--mask-proc", "--read-only-root"]),
                "1",
            ),
            (with(&["--unshare=user", "--overlay", "--grace=1"]), "1"),
        ];
        if user == User::Root {
            cases.extend([
                (with(&[]), OWN),
                (with(&["--user=7:8"]), "1"),
                (with(&["--user=7:8", "--share=pid"]), "parent"),
                (with(&["--drop-caps=all", "--no-new-privs"]), "1"),
                (with(&["--private-users"]), "1"),
                (with(&["--private-users", "--overlay"]), "1"),
                (with(&["--private-users", "--share=pid"]), "parent"),
            ]);
        }
        if user == User::Ordinary && can_be_root() {
            // With a range of ids.
            cases.extend([
                (with(&["--map-users=auto"]), "1"),
                (with(&["--map-users=auto", "--overlay"]), "1"),
                (with(&["--map-users=auto", "--user=7:8"]), "1"),
                (with(&["--map-users=auto", "--share=pid"]), "parent"),
            ]);
        }
        for (words, pid) in cases {
            let Some(mut got) = place.got(key, &words, if pid == OWN { "1" } else { pid }) else {
                continue;
            };
            got.retain(|line| line.starts_with("got: "));
            if pid == OWN {
                got.retain(|line| {
                    [
                        "the file",
                        "the shared memory",
                        "an open descriptor",
                        "another run's process",
                    ]
                    .iter()
                    .any(|what| line.contains(what))
                });
            }
            let is_another =
                |word: &&str| word.starts_with("--user=") || *word == "--private-users";
            if user == User::Root && !words.iter().any(is_another) {
                // The proc files of a process that nobody may inspect belong to the host's user 0,
                // which this is. Its only choice: pid 1 is killed first when memory runs out.
                got.retain(|line| line != "got: oom_score_adj");
            }
            if pid == "parent" {
                // A run that shares the caller's processes sees them.
                got.retain(|line| !line.contains("another run's process"));
            }
            assert_eq!(got, [""; 0], "{user:?} {words:?}");
            tried += 1;
        }
        drop(other);
    }
    assert!(tried > 0 || !can_be_root());
    summary(
        "insiders",
        &format!("{tried} kinds of runs, nothing reached"),
    );
}
