//! The library's surface beside that of std.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rootlet::{Chroot, ErrorKind, ExitStatus, Mount, Stdio};

use crate::{command_of, group_of, in_root, names, shell};

/// The interface that a program with std expects; nothing is printed.
pub(crate) fn surface(root: &str) {
    let descriptors = || names("/proc/self/fd").len();
    let before = descriptors();
    let chroot = Chroot::new(Path::new(root));
    let mut command = chroot.command(OsStr::new("sh"));
    command
        .arg(OsString::from("-c"))
        .arg(PathBuf::from("cat; echo $A$B >&2; exit 3"))
        .envs([("A", "gone"), ("B", "2")])
        .env("A", OsStr::new("1"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A command can be started any number of times.
    for _ in 0..2 {
        let mut child = command.spawn().unwrap();
        assert_eq!(child.wait_timeout(Duration::from_millis(1)).unwrap(), None);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"through").unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (&output.stdout[..], &output.stderr[..]),
            (&b"through"[..], &b"12\n"[..])
        );
        assert_eq!((output.status.code(), output.warnings), (Some(3), vec![]));
        assert_eq!(descriptors(), before);
    }

    // A child that has been waited for holds no descriptor, even before it is dropped.
    let mut child = shell(root, ":").spawn().unwrap();
    assert!(child.as_fd().as_raw_fd() > 2);
    assert!(child.wait().unwrap().success());
    assert_eq!((descriptors(), child.as_raw_fd()), (before, -1));
    child.kill().unwrap();

    // An optional mount whose source is there comes back as a warning.
    let mut optional = Chroot::new(root);
    optional.mount(Mount::file_system("no-such-type", "/mnt").optional());
    let output = in_root(&optional, ":").output().unwrap();
    let [warning] = &output.warnings[..] else {
        panic!("{:?}", output.warnings);
    };
    assert_eq!(warning.kind(), ErrorKind::Mount);
    let line = "cannot mount no-such-type on /mnt: No such device (ENODEV)";
    assert_eq!(warning.to_string(), line);
    let mut command = in_root(&optional, ":");
    assert!(command.status().unwrap().success());
    assert_eq!(command.warnings(), output.warnings);

    let error = shell(root, ":").env("", "value").spawn().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("Command::env"), "{error}");
    let error = shell(root, ":").stdin(Stdio::piped()).foreground().run();
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Descriptor);
    let error = std::io::Error::from(chroot.command("no-such").spawn().unwrap_err());
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);

    let child = shell(root, "exec sleep 1000").new_process_group().spawn();
    let child = child.unwrap();
    let its = command_of(&child).to_string();
    assert_eq!(group_of(&its), its);
    drop(child);

    // SAFETY: it reads one word.
    let mut hooked = shell(root, ":");
    unsafe { hooked.pre_exec(|| Err(rootlet::Errno::EXDEV)) };
    assert_eq!(hooked.status().unwrap_err().errno(), Some(18));

    let status: std::process::ExitStatus = ExitStatus::signaled(9).unwrap().into();
    assert_eq!(status.to_string(), "signal: 9 (SIGKILL)");

    // A link that leads out of the root leads to a file of the root.
    std::os::unix::fs::symlink("/../../written", format!("{root}/link")).unwrap();
    chroot.write("/link", "by the library").unwrap();
    assert_eq!(
        fs::read(format!("{root}/written")).unwrap(),
        b"by the library"
    );
    assert_eq!(chroot.read("link").unwrap(), b"by the library");
    chroot.write("/link", "again").unwrap();
    let mut text = String::new();
    File::from(chroot.open("written").unwrap())
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(
        (text.as_str(), chroot.metadata("/link").unwrap().len),
        ("again", 5)
    );
    let fifo = format!("{root}/fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(chroot.read("fifo").unwrap_err().errno(), Some(22));
    let mut there: Vec<_> = chroot.read_dir("/").unwrap();
    there.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let there: Vec<_> = there.iter().map(|entry| entry.file_name()).collect();
    assert_eq!(there, ["bin", "fifo", "link", "written"]);
    for name in ["fifo", "link", "written"] {
        fs::remove_file(format!("{root}/{name}")).unwrap();
    }
}
