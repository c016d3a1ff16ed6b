//! Closures in a new root, from programs with threads, beside commands.

use std::fs;
use std::io::{Read, pipe};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::thread;

use rootlet::{Chroot, Mount};

use crate::{shell, text};

/// A command, and then code with the variables of its caller, from a program with threads.
pub(crate) fn call(root: &str) {
    let mut chroot = Chroot::new(root);
    chroot
        .mount(Mount::bind("/usr").to("/data").read_only())
        .hostname("build.example.org");
    let status = chroot
        .command("sh")
        .args(["-c", "test -d /data && test $(hostname) = build"])
        .env("PATH", "/bin")
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));

    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut names = Vec::new();
                let list = || {
                    for entry in fs::read_dir("/bin").unwrap() {
                        names.push(entry.unwrap().file_name().into_string().unwrap());
                    }
                    names.len()
                };
                // SAFETY: it leaves no descriptor and no lock behind.
                let count = unsafe { Chroot::new(root).call(list) }.unwrap();
                assert_eq!(count, names.len());
                assert!(names.iter().any(|name| name == "busybox"));
            });
        }
    });
}

/// Prints the findings of `ATTACK` on the processes above it, in a closure also with the caller's /proc.
pub(crate) fn look() {
    let attack = std::env::var("ATTACK").unwrap();
    let user = std::env::var("AS").ok();
    let attacked = || {
        let mut command = Chroot::new("/").command(&attack);
        command.args(["look", "outside", "rootlet-pid1"]);
        if let Some(user) = &user {
            command.chroot().user(user);
        }
        command
    };
    print!("{}", text(&mut attacked()));
    let (mut reader, writer) = pipe().unwrap();
    let mut child = attacked().stdout(OwnedFd::from(writer)).spawn().unwrap();
    let mut shown = String::new();
    reader.read_to_string(&mut shown).unwrap();
    assert!(child.wait().unwrap().success());
    print!("{shown}");
    if user.is_some() {
        // A closure keeps the rights of its caller.
        return;
    }
    let caller = std::process::id().to_string();
    let mut bare = Chroot::new("/");
    bare.no_mounts();
    for (chroot, words) in [
        (Chroot::new("/"), ["look", "outside"]),
        (bare, ["below", &caller]),
    ] {
        let run = || Command::new(&attack).args(words).output().unwrap().stdout;
        // SAFETY: it leaves no descriptor and no lock behind.
        let shown = unsafe { chroot.call(run) }.unwrap();
        print!("{}", String::from_utf8(shown).unwrap());
    }
}

/// Closures in one thread, commands in others.
pub(crate) fn beside(root: &str) {
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                // SAFETY: it does nothing.
                assert_eq!(unsafe { Chroot::new(root).call(|| 7) }.unwrap(), 7);
            }
        });
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..100 {
                    assert_eq!(text(&mut shell(root, "echo here")), "here\n");
                }
            });
        }
    });
}
