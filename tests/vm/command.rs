//! The command's input, output, status and surroundings in a throwaway kernel.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::running::Running;
use crate::common::terminal::Session;
use crate::common::{
    self, Ended, Root, User, can_be_root, children, end, processes_with, send_signal, users,
    wait_until,
};
use crate::place::{Place, assert_said, cannot, noise, someone};

#[test]
fn status_streams_directory_and_environment_are_the_commands() {
    if cannot() {
        return;
    }
    for user in users() {
        let place = Place::new(user);
        let text = "uname -r; pwd; echo \"$WORD\"; id -u; touch /new && echo err >&2; exit 7";
        let mut command = place.vm(&["--", "sh", "-c", text]);
        command.env("WORD", "two  words\nand\u{fc} a line ");
        let ended = end(&mut command);
        assert_eq!((ended.status, &*ended.stderr), (7, "err\n"), "{ended:?}");
        let (release, rest) = ended.stdout.split_once('\n').unwrap();
        assert!(release.starts_with("6.12."), "{ended:?}");
        let name = place.root.name();
        assert_eq!(rest, format!("{name}\ntwo  words\nand\u{fc} a line \n0\n"));
        assert!(!Path::new("/new").exists());
        place.assert_clean();
    }
}

#[test]
fn signals_are_reported_as_by_a_shell() {
    if cannot() {
        return;
    }
    let ended = Place::new(someone()).sh("kill -9 $$");
    assert_eq!((ended.status, &*ended.stderr), (137, ""), "{ended:?}");
}

#[test]
fn a_panic_has_a_status_of_its_own() {
    if cannot() {
        return;
    }
    let ended = Place::new(someone()).sh("echo c >/proc/sysrq-trigger; sleep 1000");
    assert_said(&ended, 116, "vm: the kernel of the guest panicked: sysrq");
}

#[test]
fn text_on_the_console_is_no_panic() {
    if cannot() {
        return;
    }
    let text = "echo 'Kernel panic - not syncing: lie' >/dev/console
        echo b >/proc/sysrq-trigger
        sleep 1000";
    let ended = Place::new(someone()).sh(text);
    assert_said(&ended, 118, "vm: the guest restarted by itself");
}

#[test]
fn a_guest_that_powers_off_by_itself_is_no_success() {
    if cannot() {
        return;
    }
    let ended = Place::new(someone()).sh("echo o >/proc/sysrq-trigger; sleep 1000");
    assert_said(&ended, 118, "vm: the guest powered off by itself");
}

#[test]
fn the_end_of_pid_1_has_a_status_of_its_own() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    // An ELF file of one segment, whose code is exit(3).
    let mut program = vec![0; 0x78];
    program[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let mut put = |at: usize, number: u64, size: usize| {
        program[at..at + size].copy_from_slice(&number.to_le_bytes()[..size]);
    };
    let code = b"\xbf\x03\x00\x00\x00\xb8\x3c\x00\x00\x00\x0f\x05";
    let size = 0x78 + code.len() as u64;
    let base = 0x40_0000;
    // e_type, e_machine, e_version, e_entry, e_phoff, e_ehsize, e_phentsize, e_phnum
    put(0x10, 2, 2);
    put(0x12, 62, 2);
    put(0x14, 1, 4);
    put(0x18, base + 0x78, 8);
    put(0x20, 0x40, 8);
    put(0x34, 0x40, 2);
    put(0x36, 0x38, 2);
    put(0x38, 1, 2);
    // p_type, p_flags, p_vaddr, p_filesz, p_memsz, p_align
    put(0x40, 1, 4);
    put(0x44, 5, 4);
    put(0x50, base, 8);
    put(0x60, size, 8);
    put(0x68, size, 8);
    put(0x70, 0x1000, 8);
    program.extend(code);
    let init = place.root.executable("exits", program);
    let mut command = place.vm(&["--root", "none", "true"]);
    let ended = end(command.env("ROOTLET", init));
    let line = "vm: pid 1 of the guest died, and its kernel panicked: Attempted to kill init! exitcode=0x00000300";
    assert_said(&ended, 117, line);
    place.assert_clean();
}

#[test]
fn the_scripts_own_statuses_are_not_the_commands() {
    if cannot() {
        return;
    }
    let ended = Place::new(someone()).sh("exit 117");
    assert_said(&ended, 115, "vm: the command's own status is 117");
}

#[test]
fn the_end_of_qemu_has_a_status_of_its_own() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let mut command = place.vm(&["--", "sh", "-c", "echo ready; sleep 1000"]);
    let mut running = Running::start_ready(command.stderr(Stdio::piped()));
    let is_qemu = |pid: &i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with("qemu-system")
    };
    let qemu = children(running.pid()).into_iter().find(is_qemu).unwrap();
    send_signal(qemu, 9);
    assert_eq!(running.status(), 119);
    let mut output = String::new();
    let mut stderr = running.child.stderr.take().unwrap();
    stderr.read_to_string(&mut output).unwrap();
    assert!(
        output.contains("vm: QEMU was ended by signal 9"),
        "{output}"
    );
    place.assert_clean();
}

#[test]
fn a_time_limit_ends_the_guest() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let ended = end(&mut place.vm(&["--timeout", "5", "sleep", "1000"]));
    assert_said(&ended, 124, "vm: the command was not done after 5 seconds");
    place.assert_clean();
}

#[test]
fn a_megabyte_goes_through_unchanged() {
    if cannot() {
        return;
    }
    for user in users() {
        let place = Place::new(user);
        let noise = noise(1 << 20);
        let mut command = place.vm(&["--", "sh", "-c", "cat >copy; cat copy; cat copy >&2"]);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let written = noise.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&written).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success(), "{:?}", output.status);
        assert!(output.stdout == noise, "{}", output.stdout.len());
        assert!(output.stderr == noise, "{}", output.stderr.len());
        place.assert_clean();
    }
}

#[test]
fn nothing_is_lost_when_the_reader_is_slow() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let mut command = place.vm(&["--", "sh", "-c", "head -c 700000 /dev/zero; echo >started"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0];
    stdout.read_exact(&mut first).unwrap();
    // The guest continues while nobody reads its output.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), 699_999);
    assert!(child.wait().unwrap().success());
    place.assert_clean();
}

#[test]
fn a_reader_that_goes_away_ends_the_guest() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let mut child = place.vm(&["yes"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 2];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(141));
    place.assert_clean();
}

#[test]
fn a_full_disk_is_reported() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let ended = end(place.vm(&["echo"]).stdout(full));
    assert_said(&ended, 125, "vm: cannot write the output: No space left");
    place.assert_clean();
}

#[test]
fn input_begins_where_the_caller_is_in_a_file() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let mut file = fs::File::open(place.root.file("lines", "first\nsecond\n")).unwrap();
    file.seek(SeekFrom::Start(6)).unwrap();
    let ended = end(place.vm(&["cat"]).stdin(file));
    assert_eq!((ended.status, &*ended.stdout), (0, "second\n"), "{ended:?}");

    let text = "exec bash scripts/vm cat <&-";
    let vm = place.vm(&[]);
    let mut closed = common::command(place.user, "sh");
    closed.args(["-c", text]);
    for (name, value) in vm.get_envs() {
        closed.env(name, value.unwrap());
    }
    let ended = end(closed.current_dir(place.root.path()));
    assert_eq!((ended.status, &*ended.stdout), (0, ""), "{ended:?}");
    place.assert_clean();
}

#[test]
fn a_command_line_may_be_long_and_hold_anything() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let odd = "$HOME \"quoted\" 'it''s' \\ \n\t* \u{1f980}";
    let long = "x".repeat(100_000);
    let text = "printf '%s|' \"$#\" \"$1\" \"$2\" \"${#3}\"";
    let ended = end(&mut place.vm(&["--", "sh", "-c", text, "sh", "", odd, &long]));
    assert_eq!(ended.stdout, format!("3||{odd}|100000|"), "{ended:?}");
    place.assert_clean();
}

#[test]
fn the_guest_cannot_write_what_it_is_shown() {
    if cannot() {
        return;
    }
    for user in users() {
        let place = Place::new(user);
        place.root.file("kept", "as it was");
        let text = "echo changed >kept && rm -r scripts && echo >new && cat kept
            mkdir /below && mount -t virtiofs root /below || exit 0
            mount -o remount,rw /below
            cd \"/below$PWD\" && ! echo written >kept && ! touch new && cat kept";
        let ended = end(&mut place.vm(&["--", "sh", "-c", text]));
        let expected = match user {
            User::Root => "changed\nas it was",
            User::Ordinary => "changed\n",
        };
        assert_eq!((ended.status, &*ended.stdout), (0, expected), "{ended:?}");
        let kept = fs::read_to_string(place.root.path().join("kept"));
        assert_eq!(kept.unwrap(), "as it was");
        assert!(!place.root.path().join("new").exists());
        place.assert_clean();
    }
}

#[test]
fn a_directory_may_be_written() {
    if cannot() {
        return;
    }
    for user in users() {
        let place = Place::new(user);
        let directory = place.root.directory("to be\\written");
        let name = directory.to_str().unwrap();
        let text = "id -u >\"$1/new\" && ! touch -c / 2>/dev/null || cat \"$1/new\"";
        let ended = end(&mut place.vm(&["--rw", name, "--", "sh", "-c", text, "sh", name]));
        assert_eq!((ended.status, &*ended.stdout), (0, "0\n"), "{ended:?}");
        assert_eq!(fs::read_to_string(directory.join("new")).unwrap(), "0\n");
        place.assert_clean();
    }
}

#[test]
fn several_run_at_once() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let started: Vec<_> = (10..14)
        .map(|number: i32| {
            let text = format!("echo {number}; exit {number}");
            let mut command = place.vm(&["--", "sh", "-c", &text]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            (number, command.spawn().unwrap())
        })
        .collect();
    for (number, child) in started {
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!((ended.status, &*ended.stderr), (number, ""));
        assert_eq!(ended.stdout, format!("{number}\n"));
    }
    place.assert_clean();
}

#[test]
fn an_initramfs_alone_is_enough() {
    if cannot() {
        return;
    }
    for user in users() {
        let place = Place::new(user);
        place.root.file("some/where", "found");
        let words = ["--root=none", "--file=/bin/busybox:/bin/sh", "--file"];
        let mut command = place.vm(&words);
        command.args([
            "some:/else",
            "--",
            "/bin/sh",
            "-c",
            "cat /else/where; exit 9",
        ]);
        let ended = end(&mut command);
        assert_eq!((ended.status, &*ended.stdout), (9, "found"), "{ended:?}");
        place.assert_clean();
    }
}

#[test]
fn an_image_may_be_the_root() {
    if cannot() {
        return;
    }
    let place = Place::new(*users().last().unwrap());
    let root = Root::busybox(User::Ordinary);
    for name in ["dev", "proc", "sys", "run"] {
        root.directory(name);
    }
    let made = place.root.path().join("image");
    let image = made.to_str().unwrap();
    let makers: [&[&str]; 2] = [
        &["mksquashfs", root.name(), image, "-quiet", "-no-progress"],
        &[
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-d",
            root.name(),
            image,
            "32M",
        ],
    ];
    for words in makers {
        let (maker, words) = words.split_first().unwrap();
        let _ = fs::remove_file(&made);
        let output = Command::new(maker).args(words).output();
        let output = output.unwrap_or_else(|_| panic!("{maker} is missing"));
        assert!(output.status.success(), "{output:?}");
        let before = fs::read(&made).unwrap();
        let text = "echo >/new && echo /n* && exit 4";
        let ended = end(&mut place.vm(&["--root", image, "/bin/sh", "-c", text]));
        assert_eq!((ended.status, &*ended.stdout), (4, "/new\n"), "{ended:?}");
        assert!(fs::read(&made).unwrap() == before);
    }
    place.assert_clean();
}

#[test]
fn the_guest_shares_this_machines_network() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        listener.accept().unwrap().0.write_all(b"hello").unwrap();
    });
    let text = format!("cat </dev/tcp/10.0.2.2/{port}");
    let ended = end(&mut place.vm(&["--net", "--", "bash", "-c", &text]));
    assert_eq!((ended.status, &*ended.stdout), (0, "hello"), "{ended:?}");
    server.join().unwrap();
    place.assert_clean();
}

#[test]
fn without_a_command_there_is_a_shell_on_the_terminal() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let mut command = place.vm(&[]);
    command.env("SHELL", "/bin/sh").env("PS1", "inside> ");
    let mut session = Session::start(command);
    session.expect("inside> ");
    session.enter("stty -echo; tty; echo $((6 * 7)); exit 5");
    session.expect("/dev/hvc0");
    session.expect("42");
    assert_eq!(session.wait().code(), Some(5));
    place.assert_clean();
}

#[test]
fn signals_to_the_script_end_the_guest() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    for (signal, status) in [(15, 143), (2, 130)] {
        let mut command = place.vm(&["--", "sh", "-c", "echo ready; sleep 1000"]);
        let mut running = Running::start_ready(&mut command);
        running.signal(signal);
        assert_eq!(running.status(), status);
        place.assert_clean();
    }
}

#[test]
fn no_process_survives_the_script() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let mut command = place.vm(&["--", "sh", "-c", "echo ready; sleep 1000"]);
    let mut running = Running::start_ready(&mut command);
    running.signal(9);
    running.wait();
    let mark = place.temporary();
    wait_until("the end of QEMU and virtiofsd", || {
        processes_with(mark.to_str().unwrap()).is_empty()
    });
}

#[test]
fn mistakes_are_reported_in_one_line() {
    let place = Place::new(someone());
    let cases: [(&[&str], &str); 7] = [
        (
            &["--no-such-option"],
            "vm: there is no option --no-such-option; see",
        ),
        (&["--root"], "vm: --root needs a value"),
        (&["--net=1", "true"], "vm: --net takes no value"),
        (
            &["--root", "/no/where", "true"],
            "vm: --root /no/where: there is no",
        ),
        (&["--root=scripts/vm", "true"], "vm: "),
        (
            &["--kernel=/no/where", "true"],
            "vm: --kernel /no/where: there is no",
        ),
        (
            &["--file=/etc/passwd", "true"],
            "vm: --file is for --root none",
        ),
    ];
    for (words, line) in cases {
        let ended = end(&mut place.vm(words));
        assert_said(&ended, 125, line);
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }

    let programs = place.root.directory("programs");
    for name in ["bash", "uname", "realpath"] {
        let found = ["/bin", "/usr/bin"].map(|directory| Path::new(directory).join(name));
        let found = found.iter().find(|path| path.exists()).unwrap();
        place.root.symlink(&format!("programs/{name}"), found);
    }
    let ended = end(place
        .vm(&["--arch=x86_64", "--root=none"])
        .env("PATH", programs));
    let line = "vm: qemu-system-x86_64 is missing: apt-get install qemu-system-x86";
    assert_said(&ended, 125, line);
    place.assert_clean();
}

#[test]
fn the_command_line_of_qemu_can_be_seen() {
    if cannot() || !can_be_root() {
        return;
    }
    let place = Place::new(someone());
    let words = [
        "--dry-run",
        "--memory=2G",
        "--cpus",
        "3",
        "--append",
        "panic_on_warn=1",
        "true",
    ];
    let ended = end(&mut place.vm(&words));
    let line = &ended.stdout;
    assert!(line.starts_with("qemu-system-"), "{ended:?}");
    for part in [" -m 2G ", " -smp 3 ", "panic_on_warn=1"] {
        assert!(line.contains(part), "{part} {ended:?}");
    }
    place.assert_clean();
}

/// Inside the guest, the ports behind the standard streams can be opened only once.
#[test]
fn the_standard_streams_can_be_opened_again() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let script = "cat <(echo out) >/dev/stdout; echo err >/dev/stderr; head -n 1 /dev/stdin";
    let mut vm = place.vm(&["--", "bash", "-c", script]);
    vm.stdin(fs::File::open(place.root.path().join("scripts/vm")).unwrap());
    let ended = end(&mut vm);
    let printed = (ended.stdout.as_str(), ended.stderr.as_str());
    assert_eq!(printed, ("out\n#!/usr/bin/env bash\n", "err\n"));
}
