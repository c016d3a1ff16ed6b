//! Bug reports of other tools, checked here.

#![allow(missing_docs)]

mod common;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use common::hostile::outer_namespace;
use common::{
    Root, User, can_be_root, command, debian, end, rootlet, rootlet_path, succeed, users,
};

/// `rootlet run` with these words, after a shell has prepared a new mount namespace.
fn after(user: User, setup: &str, words: &[&str]) -> Command {
    let drop = match user {
        User::Root => "",
        User::Ordinary => "setpriv --reuid=54321 --regid=54321 --clear-groups",
    };
    let mut outer = outer_namespace(&format!(r#"set -e; {setup}; exec {drop} "$@""#));
    outer.arg("sh").arg(rootlet_path()).arg("run").args(words);
    outer
}

/// The options of an overlay have separators that a path may contain.
#[test]
fn an_overlay_takes_a_root_of_any_name() {
    for user in users() {
        for name in [
            &b"a:b"[..],
            b"a,b",
            b"a\\b",
            b"a\\:b\\,",
            b"a\nb",
            b"a\xffb",
            b" ",
            b"=,=",
        ] {
            let place = Root::busybox(user);
            let name = OsStr::from_bytes(name);
            let top = place.path().join(name);
            fs::create_dir(&top).unwrap();
            fs::rename(place.path().join("bin"), top.join("bin")).unwrap();
            let mut run = rootlet(user);
            run.args(["run", "--overlay"]).arg(&top);
            run.args(["sh", "-c", "touch /new && ls -d /new"]);
            assert_eq!(succeed(&mut run), "/new\n", "{user:?} {name:?}");
            assert!(!top.join("new").exists());
        }
    }
}

#[test]
fn a_root_can_be_an_overlay_or_a_squashfs() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    for name in ["upper", "work", "over"] {
        place.directory(name);
    }
    let (top, over) = (place.name(), format!("{}/over", place.name()));
    let image = format!("{top}/image");
    succeed(command(User::Root, "mksquashfs").args([root.name(), &image, "-quiet"]));
    let overlay = format!(
        "mount -t tmpfs t {top}/work; cd {top}/work; mkdir u w; mount -t overlay o \
         -o lowerdir={},upperdir=u,workdir=w {over}",
        root.name()
    );
    let squashfs = format!("mount -o loop,ro {image} {over}");
    for (setup, options) in [
        (&overlay, &[][..]),
        (&overlay, &["--overlay"]),
        (&squashfs, &["--overlay"]),
    ] {
        let words = [
            options,
            &[&over, "sh", "-c", "touch /new; ls -d /new /proc/self"],
        ]
        .concat();
        let shown = succeed(&mut after(User::Root, setup, &words));
        assert_eq!(shown, "/new\n/proc/self\n", "{setup} {options:?}");
    }
}

#[test]
fn a_proc_that_hides_processes_is_good_enough() {
    if !can_be_root() {
        return;
    }
    for user in users() {
        let root = Root::busybox(user);
        let hidden = "mount -t proc -o hidepid=2 proc /proc";
        let words = [root.name(), "sh", "-c", "test -d /proc/$$ && echo here"];
        let mut outer = after(user, hidden, &words);
        assert_eq!(succeed(&mut outer), "here\n", "{user:?}");
    }
}

/// Other programs that make namespaces, in a root that is this machine's own.
#[test]
fn sandboxes_work_inside() {
    for user in users() {
        for inner in [
            &["unshare", "--user", "--map-root-user", "--mount", "true"][..],
            &[
                "unshare",
                "--user",
                "--map-root-user",
                "--pid",
                "--fork",
                "--mount-proc",
                "true",
            ],
            &[
                "bwrap",
                "--ro-bind",
                "/",
                "/",
                "--proc",
                "/proc",
                "--dev",
                "/dev",
                "true",
            ],
            &["bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"],
        ] {
            let mut run = rootlet(user);
            run.args(["run", "/"]).args(inner);
            let ended = end(&mut run);
            assert_eq!(
                (ended.status, ended.stderr.as_str()),
                (0, ""),
                "{user:?} {inner:?}"
            );
        }
    }
}

#[test]
fn thousands_of_variables_reach_the_command() {
    for user in users() {
        let root = Root::busybox(user);
        let mut run = root.run(&["ROOT", "sh", "-c", "env | grep -c ^VARIABLE_"]);
        for number in 0..3000 {
            run.env(format!("VARIABLE_{number}"), "x".repeat(number % 100));
        }
        assert_eq!(succeed(&mut run), "3000\n", "{user:?}");
    }
}

/// The user is in 202 groups. One of them has twenty thousand members.
#[test]
fn a_user_has_all_groups_of_long_lines() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let mut members = String::new();
    for number in 0..20_000 {
        write!(members, "member{number},").unwrap();
    }
    let mut groups = String::from("own:x:500:\n");
    writeln!(groups, "many:x:501:{members}me").unwrap();
    for number in 0..201 {
        writeln!(groups, "group{number}:x:{}:other,me", 1000 + number).unwrap();
    }
    root.file("etc/group", groups);
    root.file("etc/passwd", "me:x:500:500::/:/bin/sh\n");
    let shown = succeed(&mut root.run(&["-u", "me", "ROOT", "id", "-G"]));
    assert_eq!(shown.split_whitespace().count(), 203, "{shown}");
}

/// Programs such as pacman, with CheckSpace, look for the mount that contains a directory.
#[test]
fn every_directory_is_on_a_mount() {
    if !can_be_root() {
        return;
    }
    let root = debian();
    let script = "df --output=target / /var/cache /dev /proc /sys | tail -n +2 | sort -u; \
        stat -f -c %T / >/tmp/kind && rm /tmp/kind; awk '$2 == \"/\"' /proc/mounts | wc -l";
    for options in [
        &[][..],
        &["--overlay"],
        &["--read-only-root", "-B", "tmpfs:/tmp"],
    ] {
        let words = [options, &["ROOT", "sh", "-c", script]].concat();
        let shown = succeed(&mut root.run(&words));
        assert_eq!(shown, "/\n/dev\n/proc\n/sys\n1\n", "{options:?}");
    }
}
