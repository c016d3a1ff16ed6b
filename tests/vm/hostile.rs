//! The messages that root in the guest can send to the host, and the files that a killed script
//! leaves.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::{FlockOperation, flock};

use crate::common::running::Running;
use crate::common::{Ended, User, end, users, wait_until};
use crate::place::{Place, assert_said, cannot, someone};

/// Writes standard input to the status port, which it takes from pid 1.
const TAKE_PORT: &str = r"
import ctypes, glob, os, stat, sys
number = None
for port in glob.glob('/sys/class/virtio-ports/*'):
    if open(port + '/name').read().strip() == 'status':
        number = os.stat('/dev/' + os.path.basename(port)).st_rdev
assert number
pidfd_getfd = lambda pid, fd: ctypes.CDLL(None, use_errno=True).syscall(438, pid, fd, 0)
pid = os.pidfd_open(1)
ports = []
for fd in range(256):
    taken = pidfd_getfd(pid, fd)
    if taken >= 0:
        found = os.fstat(taken)
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == number:
            ports.append(taken)
assert ports
text = sys.stdin.buffer.read()
while True:
    rest = text
    while rest:
        rest = rest[os.write(ports[0], rest):]
    if sys.argv[1] == 'once':
        break
";

/// Runs `python3` in the guest, which sends these bytes as a status and then runs a shell script.
fn send(place: &Place, options: &[&str], sent: &[u8], then: &str) -> (Ended, Vec<u8>) {
    place.root.file("port.py", TAKE_PORT);
    let sent = fs::File::open(place.root.file("sent", sent)).unwrap();
    let text = format!("/usr/bin/python3 port.py once && {then}");
    let mut command = place.vm(options);
    command.args(["--", "sh", "-c", &text]).stdin(sent);
    let output = command.output().unwrap();
    let raw = output.stderr.clone();
    place.assert_clean();
    (Ended::from(output), raw)
}

/// Checks that no byte of a text can start a command to a terminal.
#[track_caller]
fn assert_harmless(text: &[u8]) {
    let text = std::str::from_utf8(text).unwrap();
    let control = |character: char| character.is_control() && character != '\n';
    assert!(!text.contains(control), "{text:?}");
}

#[test]
fn nothing_that_the_guest_says_is_evaluated() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let made = place.temporary().join("made");
    let run = format!("$(id >{})", made.display());
    let mut lines = Vec::new();
    for what in ["signal", "exit", "entered", "started"] {
        for number in [
            "BASH_VERSINFO[@]",
            "@",
            "a[b[@]]",
            "1+BASH_VERSINFO[@]",
            "1 BASH_VERSINFO[@]",
            "`@`",
        ] {
            lines.push(format!("{what} {}", number.replace('@', &run)));
        }
    }
    // rootlet never writes these numbers. For a shell, exit statuses have eight bits.
    for line in [
        "exit 372",
        "exit 256",
        "exit -140",
        "exit 0x74",
        "exit 010",
        "exit ",
        "exit",
        "exit 0 ",
        "exit 18446744073709551616",
        "exit \u{661}",
        "signal 0",
        "signal 65",
        "signal -12",
        "signal 215",
        "signal 09",
        "entered 99999999999999999999",
        "started -1",
        "entered 1",
        "entered 2",
        "started 3",
        "",
        "no word of rootlet's",
        "failed",
    ] {
        lines.push(line.into());
    }
    lines.push("x".repeat(200_000));
    lines.push(String::new());
    let sent = lines.join("\n");
    for options in [&[][..], &["-v"]] {
        let (ended, _) = send(&place, options, sent.as_bytes(), "exit 7");
        assert!(!made.exists(), "{ended:?}");
        assert_eq!(ended.status, 7, "{ended:?}");
        if options.is_empty() {
            assert_eq!(ended.stderr, "");
        }
    }
}

#[test]
fn text_of_the_guest_does_not_control_the_terminal() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    // A title, a colour by C1 as a raw byte and as a character, half a character, and text.
    let odd = b"\x1b]0;title\x07\x9b31m\xc2\x9b31m\xe2\x82 \x7f\t\x00\r\xc3\xa9\xe2\x82\xac\xf0\x9f\xa6\x80";
    let shown =
        "\\x1b]0;title\\x07\\x9b31m\\xc2\\x9b31m\\xe2\\x82 \\x7f\\x09\\x0d\u{e9}\u{20ac}\u{1f980}";

    let sent = [b"failed ", &odd[..], b"\n"].concat();
    let (ended, raw) = send(&place, &[], &sent, "sleep 1000");
    assert_said(
        &ended,
        125,
        &format!("vm: rootlet failed in the guest: {shown}"),
    );
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert_harmless(&raw);

    // The console after a panic of the kernel, and the console shown live. The kernel's other lines
    // might interrupt this one.
    let text = "echo 1 >/proc/sys/kernel/printk
        { printf 'console: '; cat odd; echo; } >/dev/console
        echo c >/proc/sysrq-trigger
        sleep 1000";
    place.root.file("odd", odd);
    for options in [&[][..], &["-v"]] {
        let mut command = place.vm(options);
        let output = command.args(["--", "sh", "-c", text]).output().unwrap();
        let raw = output.stderr.clone();
        let ended = Ended::from(output);
        assert_said(&ended, 116, "vm: the kernel of the guest panicked: sysrq");
        assert!(
            ended.stderr.contains(&format!("console: {shown}")),
            "{ended:?}"
        );
        assert_harmless(&raw);
    }
    place.assert_clean();
}

#[test]
fn a_guest_that_talks_without_end_is_ended_in_time() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    place.root.file("port.py", TAKE_PORT);
    let on_port = "echo x | /usr/bin/python3 port.py always";
    let one_line = "head -c 100000 /dev/zero | tr '\\0' x | /usr/bin/python3 port.py always";
    let on_console = "yes 'Kernel panic - not syncing: lie' >/dev/console";
    for text in [on_port, one_line, on_console] {
        let ended = end(&mut place.vm(&["--timeout", "10", "--", "sh", "-c", text]));
        assert_said(&ended, 124, "vm: the command was not done after 10 seconds");
        place.assert_clean();
    }
}

#[test]
fn an_ordinary_user_in_the_guest_cannot_forge_a_status() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    place.root.file("port.py", TAKE_PORT);
    let text = "setpriv --reuid=54321 --regid=54321 --clear-groups sh -c '
            echo exit 0 | /usr/bin/python3 port.py once 2>/dev/null
            for port in /dev/vport*; do echo exit 0 2>/dev/null >$port; done
            echo exit 0 2>/dev/null >/proc/1/fd/1
            kill -9 1' 2>/dev/null
        exit 7";
    let ended = end(&mut place.vm(&["--", "sh", "-c", text]));
    assert_eq!((ended.status, &*ended.stderr), (7, ""), "{ended:?}");
    place.assert_clean();
}

/// Returns the names in the directory for temporary files.
fn left(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.temporary()).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn start(place: &Place, options: &[&str]) -> Running {
    let mut command = place.vm(options);
    command.args(["--", "sh", "-c", "echo ready; sleep 1000"]);
    Running::start_ready(&mut command)
}

#[track_caller]
fn kill(place: &Place, mut running: Running) {
    running.signal(9);
    running.wait();
    wait_until("the end of all that held its directory", || {
        left(place).iter().any(|directory| is_free(directory))
    });
}

/// Returns whether the lock of this work directory is free.
fn is_free(directory: &Path) -> bool {
    let lock = fs::File::open(directory.join("lock"));
    lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[test]
fn leftovers_of_a_killed_script_are_removed_by_the_next() {
    if cannot() {
        return;
    }
    for user in users() {
        let place = Place::new(user);
        kill(&place, start(&place, &[]));
        assert_eq!(left(&place).len(), 1);
        let mut others = vec![start(&place, &[])];
        let mut live = left(&place);
        assert_eq!(live.len(), 1, "{live:?}");
        others.push(start(&place, &[]));
        live.retain(|path| path.exists());
        assert_eq!(live.len(), 1);

        // Several scripts find the same leftover at once. Running scripts lose nothing.
        kill(&place, start(&place, &[]));
        assert_eq!(left(&place).len(), 3);
        let mut starting: Vec<_> = (0..8)
            .map(|_| {
                place
                    .vm(&["--dry-run", "true"])
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for child in &mut starting {
            assert!(child.wait().unwrap().success());
        }
        assert_eq!(left(&place).len(), 2);
        for mut running in others {
            running.signal(15);
            assert_eq!(running.status(), 143);
        }
        place.assert_clean();
    }
}

#[test]
fn only_certain_leftovers_are_removed() {
    if cannot() {
        return;
    }
    for user in users() {
        let place = Place::new(user);
        let temporary = place.temporary();
        // A directory of another user, a symbolic link, a kept directory, and foreign names.
        let elsewhere = place.root.directory("elsewhere");
        place.root.file("elsewhere/lock", "");
        symlink(&elsewhere, temporary.join("rootlet-vm.link00")).unwrap();
        place.root.file("tmp/vm.other0/lock", "");
        place.root.file("tmp/rootlet-vm.new000/lock.new", "");
        place.root.file("tmp/rootlet-vm.plain0", "");
        let mut expected = 4;
        if users().contains(&User::Root) {
            let other = temporary.join("rootlet-vm.theirs");
            fs::create_dir(&other).unwrap();
            fs::write(other.join("lock"), "").unwrap();
            let (root, id) = (user == User::Root, Some(54320));
            if root {
                std::os::unix::fs::chown(&other, id, id).unwrap();
            }
            expected += 1;
        }
        let mut kept = place.vm(&["--keep", "true"]);
        let ended = end(&mut kept);
        assert_said(&ended, 0, "vm: kept: ");
        expected += 1;
        let ended = end(&mut place.vm(&["true"]));
        assert_eq!((ended.status, &*ended.stderr), (0, ""));
        assert_eq!(left(&place).len(), expected, "{:?}", left(&place));
        assert!(elsewhere.join("lock").exists());
    }
}
