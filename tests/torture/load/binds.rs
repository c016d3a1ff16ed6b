//! Two thousand `-B` options.

use std::time::Instant;

use crate::common::{Root, command, end, rootlet_path, users};
use crate::load::{in_full, rounds, turn};
use crate::summary;

/// Runs with this number of binds to `/m/N`, and returns the command's output.
fn run(root: &Root, user: crate::common::User, number: usize) -> String {
    // The usual soft limit on open files.
    let mut shell = command(user, "/bin/sh");
    let script = "ulimit -Sn 1024 && exec \"$@\"";
    shell.args(["-c", script, "sh"]).arg(rootlet_path());
    shell.arg("run");
    for index in 0..number {
        shell.args(["-B", &format!("/etc/hostname:/m/{index}")]);
    }
    shell.args([
        root.name(),
        "sh",
        "-c",
        "ulimit -Sn; grep -c ' /m/' /proc/self/mountinfo",
    ]);
    let ended = end(&mut shell);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{number}");
    ended.stdout
}

#[test]
fn two_thousand_binds_with_and_without_mount_points() {
    let _turn = turn();
    let number = rounds(if in_full() { 2000 } else { 800 });
    for user in users() {
        let mut figures = Vec::new();
        for with_mount_points in [false, true] {
            let root = Root::busybox(user);
            if with_mount_points {
                for index in 0..number {
                    root.file(&format!("m/{index}"), "");
                }
            }
            let before = root.tree();
            let mut times = Vec::new();
            for number in [number / 4, number / 2, number] {
                let begin = Instant::now();
                // The command has the caller's limit, whatever rootlet itself needed.
                assert_eq!(run(&root, user, number), format!("1024\n{number}\n"));
                times.push(format!("{number}: {} ms", begin.elapsed().as_millis()));
                assert_eq!(root.tree(), before);
            }
            let whether = if with_mount_points { "with" } else { "without" };
            figures.push(format!("{whether} mount points {}", times.join(", ")));
        }
        let figures = figures.join("; ");
        summary("load binds", &format!("as {user:?}, {figures}; 0 left"));
    }
}
