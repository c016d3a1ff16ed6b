//! Standard streams of commands, and of a program that has none.

use std::fs::{self, File};
use std::io::{Read, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rootlet::Stdio;

use crate::{EBADF, close, names, shell};

pub(crate) fn stdio(root: &str) {
    let file = |name: &str| {
        let path = format!("{root}/{name}");
        File::options()
            .create(true)
            .append(true)
            .read(true)
            .open(path)
            .unwrap()
    };
    let read = |name: &str| fs::read_to_string(format!("{root}/{name}")).unwrap();
    let (out, err) = (file("out"), file("err"));
    fs::write(format!("{root}/in"), "from in\n").unwrap();
    let input = File::open(format!("{root}/in")).unwrap();

    let status = shell(root, "cat; echo to err >&2; ls /proc/self/fd >&2")
        .stdin(input)
        .stdout(out)
        .stderr(err.try_clone().unwrap())
        .status();
    assert!(status.unwrap().success());
    assert_eq!(read("out"), "from in\n");
    // The last is ls's own.
    assert_eq!(read("err"), "to err\n0\n1\n2\n3\n");

    let status = shell(root, "cat; echo lost; echo lost >&2")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    let status = shell(root, "echo a; echo b >&2")
        .stdout(err.try_clone().unwrap())
        .stderr(err)
        .status();
    assert!(status.unwrap().success());
    assert_eq!(read("err"), "to err\n0\n1\n2\n3\na\nb\n");

    // Standard descriptors for each other: the test reads what comes.
    let status = shell(root, "echo to stderr; echo to stdout >&2")
        .stdout(std::io::stderr())
        .stderr(std::io::stdout())
        .status();
    assert!(status.unwrap().success());
    let mut inherited = shell(root, "echo to stdout");
    assert!(
        inherited
            .stdout(Stdio::inherit())
            .status()
            .unwrap()
            .success()
    );

    for number in [77, -1] {
        let mut command = shell(root, ":");
        // SAFETY: it is not open, so it is nobody's.
        let error = unsafe { command.keep_raw_fd(number) }.spawn().unwrap_err();
        assert_eq!((error.errno(), error.status()), (Some(EBADF), 125));
        let line = "cannot give the command descriptor ";
        assert!(error.to_string().starts_with(line), "{error}");
    }

    // A pipe ends when the command closes it, though it and its pid 1 live on.
    let (mut reader, writer) = pipe().unwrap();
    let (stays, _open) = pipe().unwrap();
    let mut child = shell(root, "echo last; exec >&-; read line")
        .stdin(OwnedFd::from(stays))
        .stdout(OwnedFd::from(writer))
        .spawn()
        .unwrap();
    let mut last = String::new();
    reader.read_to_string(&mut last).unwrap();
    assert_eq!(last, "last\n");
    assert_eq!(child.try_wait().unwrap(), None);
    // pid 1 holds no descriptor of the program either; only root may look at it.
    let id = child.id();
    let directory = format!("/proc/{id}/fd");
    let may_look = fs::read_dir(&directory).is_ok();
    let user = fs::metadata("/proc/self").unwrap().uid();
    assert_eq!(may_look, user == 0);
    for number in may_look.then(|| names(&directory)).unwrap_or_default() {
        let open = fs::read_link(format!("/proc/{id}/fd/{number}")).unwrap();
        let open = open.to_str().unwrap();
        assert!(number.parse::<u32>().unwrap() > 2, "{number} {open}");
        assert!(!open.starts_with("pipe:"), "{number} {open}");
    }
    for name in ["in", "out", "err"] {
        fs::remove_file(format!("{root}/{name}")).unwrap();
    }
}

/// The library's descriptors must not become standard ones if those are closed.
pub(crate) fn closed_stdio(root: &str) {
    let result = format!("{root}/result");
    for closed in [&[0][..], &[1], &[2], &[0, 1], &[1, 2], &[0, 1, 2]] {
        for descriptor in closed {
            close(*descriptor);
        }
        let script = "ls /proc/self/fd >/result; exit 3";
        let status = shell(root, script).status().unwrap();
        let open = fs::read_to_string(&result).unwrap();
        let output = shell(root, "echo out; echo err >&2").output().unwrap();
        let expected = (Some(3), &b"out\n"[..], &b"err\n"[..]);
        let got = (status.code(), &output.stdout[..], &output.stderr[..]);
        if got != expected || open.lines().count() > 4 {
            fs::write(&result, format!("{closed:?}: {got:?} {open}")).unwrap();
            std::process::exit(9);
        }
    }
    fs::remove_file(result).unwrap();
}

/// `run` blocks signals for good.
pub(crate) fn run_stdio(root: &str) {
    let standard = || [0, 1, 2].map(|number| fs::read_link(format!("/proc/self/fd/{number}")).ok());
    let before = standard();
    let (mut reader, writer) = pipe().unwrap();
    let status = shell(root, "cat; echo out")
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(writer))
        .foreground()
        .run();
    assert!(status.unwrap().success());
    // The program goes on, and has use for its own.
    assert_eq!(standard(), before);
    let mut out = String::new();
    reader.read_to_string(&mut out).unwrap();
    assert_eq!(out, "out\n");
}
