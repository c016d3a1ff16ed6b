//! The command cannot leave its root, and changes no mount outside.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::common::hostile::{Outside, assert_refused, assert_success, end, outer_namespace};
use super::common::{self, Root, User, can_be_root, rootlet_path, users};

use rustix::fs::{CWD, FileType, Mode};

/// The classic way out of a chroot, with and without a descriptor that is kept; prints what is
/// found at the top, and which of the marks given as arguments are within reach.
const BREAK_OUT: &str = r#"
import os, sys
kept = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
os.makedirs("/tmp/jail/deep", exist_ok=True)
os.chdir("/tmp")
def look():
    for _ in range(100):
        os.chdir("..")
    os.chroot(".")
    print(" ".join(sorted(os.listdir("/"))))
    print([mark for mark in sys.argv[1:] if os.path.lexists(mark)])
os.chroot("/tmp/jail")
look()
os.chroot("/tmp/jail")
os.fchdir(kept)
look()
for directory in ["/tmp/jail/deep", "/tmp/jail"]:
    os.rmdir(directory)
"#;

/// The directories that python3 needs, as options of rootlet and as words for a shell loop.
const PROGRAMS: [&str; 4] = ["usr", "lib", "lib64", "bin"];

fn bound_programs() -> Vec<String> {
    PROGRAMS
        .iter()
        .flat_map(|name| ["-R".to_owned(), format!("/{name}:/{name}")])
        .collect()
}

#[test]
fn the_classic_break_out_fails() {
    for user in users() {
        let outside = Outside::new(user);
        let marker = format!("{}/marker", outside.name());
        let root = Root::empty(user);
        root.directory("tmp");
        let mut words: Vec<String> = bound_programs();
        let rest = [
            "ROOT",
            "/usr/bin/python3",
            "-c",
            BREAK_OUT,
            &marker,
            "/root",
            "/boot",
        ];
        words.extend(rest.map(String::from));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = end(&mut root.run(&words));
        let top = "bin dev etc lib lib64 proc sys tmp usr\n[]\n";
        assert_success(&ended, &top.repeat(2));
        assert_eq!(root.tree(), ["tmp 40755 "]);
    }
}

/// A directory for chroot(8), with what is needed to run python3 and rootlet in it, bound by the
/// script `BUILD_JAIL`, and below it the directory `sub` as NEWROOT.
fn jail() -> Root {
    let jail = Root::empty(User::Root);
    for name in PROGRAMS {
        jail.directory(name);
    }
    for name in ["proc", "dev", "sys", "tmp", "sub/tmp"] {
        jail.directory(name);
    }
    jail.file("mark-of-the-jail", "");
    common::copy_program(rootlet_path(), jail.path().join("rootlet"));
    fs::set_permissions(jail.path().join("rootlet"), Permissions::from_mode(0o755)).unwrap();
    jail
}

/// $0 is the jail.
const BUILD_JAIL: &str = r#"
for name in usr lib lib64 bin dev proc sys; do mount --rbind /$name "$0/$name" || exit; done
mount --make-rshared /
"#;

#[test]
fn a_run_inside_a_chroot_has_no_way_out_and_unmounts_nothing_outside() {
    if !can_be_root() {
        return;
    }
    let outside = Outside::new(User::Root);
    let marker = format!("{}/marker", outside.name());
    for jail_is_mounted in [false, true] {
        for options in ["", "-B /usr:/made/for/the/run --skip-chdir"] {
            let jail = jail();
            let before = common::tree(jail.path());
            let mount_jail = if jail_is_mounted {
                r#"mount --bind "$0" "$0" && mount --make-rshared / && cd / || exit"#
            } else {
                ""
            };
            let script = format!(
                r#"{mount_jail}
                {BUILD_JAIL}
                cat /proc/self/mountinfo >"$1/before"
                chroot "$0" /rootlet run {binds} {options} /sub /usr/bin/python3 -c "$2" "$3" /mark-of-the-jail /sub /rootlet
                status=$?
                cat /proc/self/mountinfo >"$1/after"
                exit $status"#,
                binds = bound_programs().join(" ")
            );
            let looks = Root::empty(User::Root);
            let mut outer = outer_namespace(&script);
            outer.arg(jail.path()).arg(looks.path());
            outer.args([BREAK_OUT, &marker]);
            let ended = end(&mut outer);
            let mut top = "bin dev lib lib64 proc sys tmp usr\n[]\n".repeat(2);
            if !options.is_empty() {
                top = top.replace("lib64 ", "lib64 made ");
            }
            assert_success(&ended, &top);
            assert_same_mounts(&looks);
            assert_eq!(common::tree(jail.path()), before);
        }
    }
    outside.assert_untouched(&"a chroot");
}

#[track_caller]
fn assert_same_mounts(looks: &Root) {
    let read = |name: &str| fs::read_to_string(looks.path().join(name)).unwrap();
    let before = read("before");
    assert!(before.contains(" shared:"), "{before}");
    assert_eq!(before, read("after"));
}

/// However a run inside a chroot ends: in an error before and after the mounts, killed, with a
/// command that unmounts all it can, with the chroot's own root as NEWROOT.
#[test]
fn no_end_of_a_run_inside_a_chroot_changes_a_mount_outside() {
    if !can_be_root() {
        return;
    }
    let runs = [
        ("/rootlet run /sub /no/such/command", 127),
        (
            "/rootlet run -R /usr:/usr -B /missing:/missing /sub true",
            125,
        ),
        (
            "/rootlet run -R /usr:/usr -C /missing /sub /usr/bin/true",
            125,
        ),
        ("/rootlet run / /usr/bin/true", 0),
        (
            "/rootlet run --no-mounts / /usr/bin/test -e /mark-of-the-jail",
            0,
        ),
        ("/rootlet run / /usr/bin/umount -a -l -n -i", -1),
        ("/rootlet run / /usr/bin/umount -l /usr", 0),
        (
            "/rootlet run -R /usr -R /lib -R /lib64 -R /bin /sub /usr/bin/umount -R -l /dev",
            0,
        ),
        (
            "/usr/bin/timeout -s KILL 0.2 /rootlet run / /usr/bin/sleep 1000",
            137,
        ),
        (
            "/usr/bin/timeout -s TERM 0.2 /rootlet run / /usr/bin/sleep 1000",
            124,
        ),
    ];
    for jail_is_mounted in [false, true] {
        for (run, status) in runs {
            let jail = jail();
            let mount_jail = if jail_is_mounted {
                r#"mount --bind "$0" "$0" && cd / || exit"#
            } else {
                ""
            };
            // The reader of the pipe that every process of the run holds sees the last one's end.
            let script = format!(
                r#"{mount_jail}
                {BUILD_JAIL}
                cat /proc/self/mountinfo >"$1/before"
                exec 8>"$1/errors"
                {{ chroot "$0" {run} 2>&8; echo $? >"$1/status"; }} | cat
                cat /proc/self/mountinfo >"$1/after""#
            );
            let looks = Root::empty(User::Root);
            let mut outer = outer_namespace(&script);
            outer.arg(jail.path()).arg(looks.path());
            let ended = end(&mut outer);
            assert_eq!(ended.status, 0, "{run} {ended:?}");
            let read = |name: &str| fs::read_to_string(looks.path().join(name)).unwrap();
            if status >= 0 {
                let errors = read("errors");
                assert_eq!(read("status"), format!("{status}\n"), "{run} {errors}");
            }
            assert_same_mounts(&looks);
        }
    }
}

#[test]
fn an_ordinary_user_in_a_chroot_gets_the_reason() {
    if !can_be_root() {
        return;
    }
    let jail = jail();
    let script = format!(
        "{BUILD_JAIL}\nexec chroot --userspec=54321:54321 \"$0\" /rootlet run /sub /usr/bin/true"
    );
    let mut outer = outer_namespace(&script);
    let ended = end(outer.arg(jail.path()));
    assert_refused(
        &ended,
        "make new namespaces: Operation not permitted (EPERM)",
    );
    assert!(ended.stderr.contains("in a chroot: run"), "{ended:?}");
}

#[test]
fn mounts_flow_in_but_never_out() {
    if !can_be_root() {
        return;
    }
    for options in ["", "--unshare user", "--private-users"] {
        flow_in_but_never_out(options);
    }
}

fn flow_in_but_never_out(options: &str) {
    let (root, tree) = (Root::busybox(User::Root), Root::empty(User::Root));
    tree.directory("sub");
    for name in ["inside", "flow"] {
        root.directory(name);
    }
    for name in ["from-inside", "to-inside"] {
        let path = root.path().join(name);
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
    }
    let script = r#"cd "$0"
        cat /proc/self/mountinfo >"$2/before"
        "$1" run OPTIONS -B "$3:/tree" "$0" sh -c '
            mount -t tmpfs none /tree/sub && mount -t tmpfs none /inside && echo secret >/inside/file &&
            mount -t tmpfs none /dev/shm && echo mounted >/from-inside
            read word </to-inside; cat /flow/file; echo seen >/from-inside
            read word </to-inside; test -e /flow/file || echo gone' &
        read word <from-inside
        cat /proc/self/mountinfo >"$2/after"
        ls inside "$3/sub"
        mount -t tmpfs none flow && echo flowed >flow/file && echo look >to-inside
        read word <from-inside
        umount flow && echo look >to-inside
        wait $!"#;
    let looks = Root::empty(User::Root);
    let mut outer = outer_namespace(&script.replace("OPTIONS", options));
    outer.arg(root.path()).arg(rootlet_path());
    outer.arg(looks.path()).arg(tree.path());
    let shown = format!("{}/sub:\n\ninside:\nflowed\ngone\n", tree.name());
    assert_success(&end(&mut outer), &shown);
    assert_same_mounts(&looks);
}

#[test]
fn what_the_command_unmounts_stays_mounted_outside() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let tree = Root::empty(User::Root);
    root.directory("own");
    tree.directory("sub");
    let script = r#"mount -t tmpfs none "$3/sub"; mount -t tmpfs none "$0/own"; mount --make-rshared /
        cat /proc/self/mountinfo >"$2/before"
        "$1" run -R "$3:/tree" "$0" sh -c 'umount /tree/sub && umount /own && umount -l /dev && echo done'
        cat /proc/self/mountinfo >"$2/after""#;
    let looks = Root::empty(User::Root);
    let mut outer = outer_namespace(script);
    outer.arg(root.path()).arg(rootlet_path());
    outer.arg(looks.path()).arg(tree.path());
    assert_success(&end(&mut outer), "done\n");
    assert_same_mounts(&looks);
}
