//! Mount points that an ordinary user's overlay creates in memory, in a root of another user.

#![allow(missing_docs)]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{Root, User, can_be_root, end, rootlet, succeed};

/// A root that belongs to root. No run changes its tree.
fn roots_root() -> Root {
    let root = Root::busybox(User::Root);
    root.directory("etc/deep");
    root.file("etc/passwd", "kept\n");
    root.symlink("etc/link", "../run/made");
    root.directory("tmp");
    root.directory("closed");
    for (directory, mode) in [("tmp", 0o1777), ("closed", 0o700), ("etc/deep", 0o511)] {
        let mode = PermissionsExt::from_mode(mode);
        std::fs::set_permissions(root.path().join(directory), mode).unwrap();
    }
    root
}

#[test]
fn an_overlay_makes_mount_points_in_anothers_root() {
    if !can_be_root() {
        return;
    }
    let root = roots_root();
    let before = root.tree();
    let data = Root::empty(User::Ordinary);
    data.file("file", "shown\n");
    let (directory, file) = (data.name().to_owned(), format!("{}/file", data.name()));
    for (options, shown) in [
        (&["-B", &format!("{directory}:/etc/x")][..], "/etc/x/file"),
        (&["-B", &format!("{file}:/etc/new/er/f")], "/etc/new/er/f"),
        (&["-B", &format!("{file}:/etc/./deep//x")], "/etc/deep/x"),
        (&["-B", &format!("{file}:/etc/link")], "/run/made"),
        (&["-B", &format!("{directory}:/tmp/x")], "/tmp/x/file"),
        (
            &["--ro", &format!("{directory}:/bin/d/e/f")],
            "/bin/d/e/f/file",
        ),
        (
            &[
                "-B",
                &format!("{directory}:/etc/x"),
                "-B",
                &format!("{file}:/etc/x2"),
            ],
            "/etc/x2",
        ),
        (
            &["--read-only-root", "-B", &format!("{file}:/etc/f")],
            "/etc/f",
        ),
    ] {
        let mut run = rootlet(User::Ordinary);
        run.args(["run", "--overlay"])
            .args(options)
            .arg(root.path());
        // Existing files stay with their modes, and the user cannot write files of other users.
        let script = format!(
            "cat {shown} /etc/passwd; stat -c %a /etc /etc/deep /tmp; ls /etc/resolv.conf
            (: >>/etc/passwd) 2>/dev/null || echo refused"
        );
        let ended = end(run.args(["sh", "-c", &script]));
        let expected = "shown\nkept\n755\n511\n1777\n/etc/resolv.conf\nrefused\n";
        let printed = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
        assert_eq!(printed, (0, expected, ""), "{options:?}");
        assert_eq!(root.tree(), before, "{options:?}");
    }
}

#[test]
fn an_overlay_that_cannot_help_is_not_the_hint() {
    if !can_be_root() {
        return;
    }
    let root = roots_root();
    let mut run = rootlet(User::Ordinary);
    run.args(["run", "--overlay", "-B", "/usr:/closed/x"])
        .arg(root.path());
    let ended = end(run.arg("true"));
    let expected = "rootlet: cannot find the mount point /closed/x: Permission denied (EACCES)\n\
                    hint: this user lacks permission for a directory on the way";
    assert!(
        ended.stderr.starts_with(expected) && ended.status == 125,
        "{ended:?}"
    );
    // Without --overlay, the hint names it as the remedy, and it works.
    let mut options = vec!["run", "--no-mounts", "-B", "/bin:/etc/x"];
    let mut run = rootlet(User::Ordinary);
    let ended = end(run.args(&options).arg(root.path()).arg("true"));
    assert!(
        ended.stderr.contains("write to memory instead (--overlay)"),
        "{ended:?}"
    );
    options.push("--overlay");
    succeed(
        rootlet(User::Ordinary)
            .args(&options)
            .arg(root.path())
            .arg("true"),
    );
    // The memory may be too small.
    let mut run = rootlet(User::Ordinary);
    run.args([
        "run",
        "--overlay",
        "--overlay-size=8k",
        "--no-mounts",
        "-B",
        "/bin:/etc/a/b/c/d/e/f",
    ]);
    let ended = end(run.arg(root.path()).arg("true"));
    if ended.status != 0 {
        assert!(!ended.stderr.contains("(--overlay)"), "{ended:?}");
    }
}
