//! `--jobserver`: make counts its jobs across roots.

#![allow(missing_docs)]

mod common;

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{Root, command, end, rootlet_path, succeed, users};

/// A FIFO like that of make 4.4, open for reading and writing, in its own directory.
fn fifo(host: &Root, name: &str) -> (PathBuf, std::fs::File) {
    let path = host.directory(name).join("GMfifo1");
    succeed(Command::new("mkfifo").arg(&path));
    host.own(&format!("{name}/GMfifo1"));
    let mut options = OpenOptions::new();
    // Without this flag, taking a token too many would block instead of failing.
    options.read(true).write(true);
    let file = options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    (path.clone(), file.open(&path).unwrap())
}

/// Quotes a word as make does in MAKEFLAGS.
fn quoted(word: &str) -> String {
    let mut text = String::new();
    for letter in word.chars() {
        match letter {
            '$' => text.push('$'),
            ' ' | '\t' | '\\' => text.push('\\'),
            _ => {}
        }
        text.push(letter);
    }
    text
}

/// Takes a token from the FIFO named by the argument, and puts another one back.
const TAKE: &str =
    "[ -p \"$1\" ] || exit 9; dd bs=1 count=1 <\"$1\" 2>/dev/null; echo -n b >\"$1\"";

#[test]
fn the_fifo_is_the_one_outside() {
    for user in users() {
        let root = Root::busybox(user);
        for name in ["plain", "a b\\c$d:e"] {
            let host = Root::empty(user);
            let (path, mut file) = fifo(&host, name);
            let path = path.to_str().unwrap();
            let auth = quoted(&format!("--jobserver-auth=fifo:{path}"));
            for options in [
                &["--jobserver"][..],
                &["--jobserver", "--overlay"],
                &["--clear-env", "--jobserver"],
                &["--jobserver", "--read-only-root"],
                &["-B", "tmpfs:/tmp", "--jobserver"],
                &["-B", "/tmp", "--jobserver"],
            ] {
                file.write_all(b"a").unwrap();
                let words = [options, &["ROOT", "sh", "-c"]].concat();
                let mut run = root.run(&words);
                // The last jobserver counts. Words after `--` are variables.
                let other = "--jobserver-auth=fifo:/no/such";
                let flags = format!("k -j3 --jobserver-auth=3,4 {auth} -- A={other} {other}");
                run.arg(format!("{TAKE}; echo \"$MAKEFLAGS\""))
                    .args(["sh", path]);
                let shown = succeed(run.env("MAKEFLAGS", &flags));
                assert_eq!(shown, format!("a{flags}\n"), "{options:?}");
                let mut token = [0; 8];
                assert_eq!(file.read(&mut token).unwrap(), 1);
                assert_eq!(token[0], b'b');
            }
        }
        assert_eq!(root.tree(), Vec::<String>::new());
    }
}

#[test]
fn only_a_jobserver_is_passed_on() {
    let root = Root::busybox(users()[0]);
    let file = root.file("file", "");
    let file = format!("--jobserver-auth=fifo:{}", file.display());
    for flags in [
        "",
        "k",
        "-j4 --jobserver-auth=-2,-2",
        "-j4 --jobserver-auth=",
        "-j4 --jobserver-auth=1000,1001",
        "-j4 --jobserver-auth=4294967295,99999999999",
        // Not a FIFO.
        &file,
        "--jobserver-auth=fifo:/no/such/fifo",
        "--jobserver-auth=fifo:",
        "--jobserver-auth=fifo:relative",
        "\\",
        "$",
        "-- --jobserver-auth=0,1",
    ] {
        let mut run = root.run(&["--jobserver", "-n", "--no-mounts", "ROOT", "true"]);
        let plan = succeed(run.env("MAKEFLAGS", flags));
        for word in ["fifo", "relative", "/file", "descriptor", "keep"] {
            assert!(!plan.contains(word), "{flags} {plan}");
        }
    }
    assert_eq!(
        end(&mut root.run(&["--jobserver", "ROOT", "true"])).status,
        0
    );
}

/// Descriptors that are not a pipe do not belong to make. This happens where make has closed its
/// own.
#[test]
fn descriptors_that_are_no_pipe_stay_outside() {
    let root = Root::busybox(users()[0]);
    let mut shell = command(users()[0], "sh");
    let script = "exec \"$0\" run --jobserver \"$1\" ls /proc/self/fd 8</etc/passwd 9</etc";
    shell
        .args(["-c", script])
        .arg(rootlet_path())
        .arg(root.path());
    let shown = succeed(shell.env("MAKEFLAGS", "--jobserver-auth=8,9"));
    assert!(
        !shown.lines().any(|line| line == "8" || line == "9"),
        "{shown}"
    );
}

/// Each line of `sub.mk` prints how many run at the same time.
const SUB: &str = "all: 1 2 3 4\n\
    1 2 3 4:\n\
    \t@mkdir -p running; mkdir running/$(NAME)$@; ls running | wc -l >>seen; \
    sleep 0.3; rmdir running/$(NAME)$@\n";

/// The recipe of the README: both makes inside share the number of jobs of the outer one.
#[test]
fn make_counts_the_jobs_of_recipes_in_a_root() {
    for user in users() {
        let host = Root::empty(user);
        for directory in ["bin", "sbin", "lib", "lib64"] {
            host.symlink(&format!("root/{directory}"), format!("usr/{directory}"));
        }
        host.file("sub.mk", SUB);
        let makefile = format!(
            "SHELL = {}\n\
             .SHELLFLAGS = run --jobserver --overlay --ro /usr -B .:/src -C /src root sh -c\n\
             all: a b plain\n\
             a b:\n\t+@$(MAKE) -s -f sub.mk NAME=$@\n\
             plain:\n\t@pwd\n",
            rootlet_path().display()
        );
        host.file("Makefile", makefile);
        let mut make = command(user, "make");
        make.current_dir(host.path())
            .args(["-s", "-j3"])
            .stdin(Stdio::null());
        let ended = end(&mut make);
        let printed = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
        assert_eq!(printed, (0, "/src\n", ""), "{ended:?}");
        let seen = std::fs::read_to_string(host.path().join("seen")).unwrap();
        let most = seen.lines().map(|line| line.parse::<u32>().unwrap()).max();
        assert_eq!(seen.lines().count(), 8);
        // Without --jobserver, each make inside would run one more job.
        assert!(most <= Some(3), "{seen}");
    }
}
