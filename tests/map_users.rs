//! Who is who in the user namespace of an ordinary user's run.

#![allow(missing_docs)]

mod common;

use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;
use std::process::Command;

use common::{Root, User, can_be_root, end, rootlet_path, succeed};
use rootlet::{Chroot, MapUsers, Namespace};

/// Ranges that no test machine gives to anyone.
const START: u32 = 1_200_000;

/// In a mount namespace of its own, where the ordinary user, called `ordinary`, has these lines in
/// /etc/subuid and /etc/subgid: `setup` by a shell, then the command as that user.
fn with_ranges(place: &Root, lines: &str, setup: &str, command: &[&str]) -> Command {
    place.file("ranges", lines);
    let script = format!(
        "set -e; cd {}; grep -v :54321: /etc/passwd >passwd; echo ordinary:x:54321:54321::/: >>passwd
        for file in /etc/subuid /etc/subgid; do
            [ -e $file ] || mount -t tmpfs etc /etc
            [ -e $file ] || touch /etc/subuid /etc/subgid /etc/passwd /etc/resolv.conf
            mount --bind ranges $file
        done
        mount --bind passwd /etc/passwd; {setup}
        exec setpriv --reuid=54321 --regid=54321 --clear-groups \"$@\"",
        place.name()
    );
    let mut outer = common::command(User::Root, "unshare");
    outer.args(["-m", "sh", "-c", &script, "sh"]).args(command);
    outer
}

/// Gives all of a root to the first user of the range.
fn give_away(root: &Root) {
    fn visit(path: &Path) {
        lchown(path, Some(START), Some(START)).unwrap();
        if path.symlink_metadata().unwrap().is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                visit(&entry.unwrap().path());
            }
        }
    }
    visit(root.path());
}

fn run<'a>(root: &'a Root, words: &[&'a str]) -> Vec<&'a str> {
    [
        &[
            rootlet_path().to_str().unwrap(),
            "run",
            "--map-users",
            "auto",
            root.name(),
        ],
        words,
    ]
    .concat()
}

#[test]
fn a_range_of_users_is_mapped_from_0_on() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    give_away(&root);
    let script = "id -u; id -g; id -G; cat /proc/self/setgroups; echo x >/file; chown 33:44 /file; \
        stat -c '%u %g' /file; stat -c %u /dev/null";
    let lines = format!(
        "other:5:5\nordinary:{START}:1000\n54321:{}:500\n",
        START + 5000
    );
    let shown = succeed(&mut with_ranges(
        &place,
        &lines,
        "",
        &run(&root, &["sh", "-c", script]),
    ));
    assert_eq!(shown, "0\n0\n0\nallow\n33 44\n65534\n");
    let file = std::fs::metadata(root.path().join("file")).unwrap();
    assert_eq!((file.uid(), file.gid()), (START + 33, START + 44));
    // Mount points are made and removed by who may.
    std::fs::remove_file(root.path().join("file")).unwrap();
    assert_eq!(root.tree(), Vec::<String>::new());

    // The maps are those that unshare makes.
    let look = ["cat", "/proc/self/uid_map", "/proc/self/gid_map"];
    let lines = format!("ordinary:{START}:1000\n");
    let ours = succeed(&mut with_ranges(&place, &lines, "", &run(&root, &look)));
    let map = format!("{START},0,1000");
    let maps = [format!("--map-users={map}"), format!("--map-groups={map}")];
    let unshare = ["unshare", "--user", &maps[0], &maps[1]];
    let theirs = succeed(&mut with_ranges(
        &place,
        &lines,
        "",
        &[&unshare[..], &look].concat(),
    ));
    assert_eq!(ours, theirs);
}

#[test]
fn a_missing_range_is_told_with_the_line_to_add() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    for (lines, line) in [
        ("", "ordinary:100000:65536"),
        (
            "other:100000:65536\nordinary:bad:5\n",
            "ordinary:165536:65536",
        ),
    ] {
        let ended = end(&mut with_ranges(&place, lines, "", &run(&root, &["true"])));
        let expected = format!(
            "rootlet: cannot find in /etc/subuid a line such as {line}: No such file or directory \
             (ENOENT)\nhint: that line gives this user a range of ids"
        );
        assert_eq!(ended.status, 125);
        assert!(ended.stderr.starts_with(&expected), "{ended:?}");
    }
}

#[test]
fn a_missing_or_failing_program_is_named() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    let lines = format!("ordinary:{START}:1000\n");
    // With all that is needed but newuidmap.
    let setup = "mkdir -p few; cp /usr/bin/setpriv few; mount --bind few /usr/bin";
    let ended = end(&mut with_ranges(
        &place,
        &lines,
        setup,
        &run(&root, &["true"]),
    ));
    let expected = "rootlet: cannot map the caller's range of ids: newuidmap: No such file or \
                    directory (ENOENT)\nhint: the program is in the package uidmap";
    assert_eq!(ended.status, 125);
    assert!(ended.stderr.starts_with(expected), "{ended:?}");
    // Two ranges that overlap are refused by the kernel.
    let lines = format!("ordinary:{START}:1000\nordinary:{START}:1000\n");
    let ended = end(&mut with_ranges(&place, &lines, "", &run(&root, &["true"])));
    let expected = "rootlet: cannot map the caller's range of ids: newuidmap: the program failed, \
                    and has said why\n";
    assert_eq!(ended.status, 125);
    assert!(ended.stderr.ends_with(expected), "{ended:?}");
    assert_eq!(root.tree(), Vec::<String>::new());
}

#[test]
fn the_caller_can_stay_who_it_is() {
    let root = Root::busybox(User::Ordinary);
    let (user, group) = match common::is_root() {
        true => (54321, 54321),
        false => (
            rustix::process::getuid().as_raw(),
            rustix::process::getgid().as_raw(),
        ),
    };
    let script =
        "id -u; id -g; cat /proc/self/setgroups; grep CapEff /proc/self/status; touch /new";
    let words = ["--map-users=current", "ROOT", "sh", "-c", script];
    let shown = succeed(&mut root.run(&words));
    assert_eq!(
        shown,
        format!("{user}\n{group}\ndeny\nCapEff:\t0000000000000000\n")
    );
    let new = std::fs::metadata(root.path().join("new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (user, group));
    std::fs::remove_file(root.path().join("new")).unwrap();
    assert_eq!(root.tree(), Vec::<String>::new());
    let plan = succeed(&mut root.run(&["-n", "--map-users=auto", "ROOT", "true"]));
    assert!(plan.contains("map users  auto\n"), "{plan}");
}

#[test]
fn the_library_maps_users_too() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let mut chroot = Chroot::new(root.name());
    chroot.no_mounts().unshare(Namespace::User);
    let mut id = chroot.command("/bin/id");
    id.chroot().map_users(MapUsers::Current);
    assert_eq!(id.arg("-u").output().unwrap().stdout, b"0\n");
    // SAFETY: the closure is never called.
    let called = unsafe { chroot.map_users(MapUsers::Auto).call(|| ()) };
    let said = "cannot finish the closure: it takes no range of users";
    assert_eq!(called.unwrap_err().to_string(), said);
}

#[test]
fn a_directory_on_the_way_may_be_closed_to_the_range() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    give_away(&root);
    // As a Debian's home directories are.
    let setup = format!(
        "mkdir -m 700 home; cp -a {} home/root; chown 54321 home",
        root.name()
    );
    let inner = format!("{}/home/root", place.name());
    let mut words = run(&root, &["true"]);
    words[4] = &inner;
    let lines = format!("54321:{START}:1000\n");
    let ended = end(&mut with_ranges(&place, &lines, &setup, &words));
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
}
