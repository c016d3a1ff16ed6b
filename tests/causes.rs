//! rootlet prints a hint only for a cause that it has checked.

#![allow(missing_docs)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Ended, Root, User, can_be_root, command, end, rootlet_path, succeed};

/// Checks for this error and for its hint, which starts with this text. There must be no hint if
/// the text is empty.
#[track_caller]
fn expect_hint(ended: &Ended, error: &str, hint: &str) {
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let found = lines
        .iter()
        .position(|line| line.starts_with(&format!("rootlet: cannot {error}")));
    let found = found.unwrap_or_else(|| panic!("{ended:?}"));
    let below = lines.get(found + 1).copied().unwrap_or_default();
    let expected = if hint.is_empty() {
        String::new()
    } else {
        format!("hint: {hint}")
    };
    assert!(
        below.starts_with(&expected) && below.is_empty() == hint.is_empty(),
        "{ended:?}"
    );
    assert_eq!(ended.status, 125, "{ended:?}");
}

/// A shell script as root in a new mount namespace, with the program and a root as `$1` and `$2`.
fn privately(script: &str, root: &Root) -> Command {
    let mut unshare = command(User::Root, "unshare");
    unshare.args(["-m", "sh", "-ec", script, "sh"]);
    unshare.arg(rootlet_path()).arg(root.path());
    unshare
}

const ORDINARY: &str = "setpriv --reuid=54321 --regid=54321 --clear-groups";

#[test]
fn an_immutable_directory() {
    if !can_be_root() {
        return;
    }
    // Not every file system supports the flag.
    let root = Root::busybox(User::Root);
    root.directory("etc/deep");
    let chattr = |flag: &str, path: &Path| {
        Command::new("chattr")
            .arg(flag)
            .arg(path)
            .stderr(std::process::Stdio::null())
            .status()
    };
    for (directory, bind) in [
        ("", "/etc:/new"),
        ("etc", "/etc:/etc/new/er"),
        ("etc/deep", "/etc/passwd:/etc/deep/x"),
    ] {
        let path = root.path().join(directory);
        if !chattr("+i", &path).unwrap().success() {
            return;
        }
        let ended = end(&mut root.run(&["--no-mounts", "-B", bind, "ROOT", "true"]));
        assert!(chattr("-i", &path).unwrap().success());
        expect_hint(
            &ended,
            "make the mount point /",
            "its parent directory is immutable",
        );
    }
}

#[test]
fn a_root_of_another_mount_namespace() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    root.directory("mnt");
    let hint = "it is on a mount of another mount namespace, as /proc/PID/root is";
    for (options, error) in [
        ("--no-mounts /proc/$other/root", "copy the mounts of /proc/"),
        (
            "--no-mounts --overlay /proc/$other/root/usr",
            "put an overlay on /proc/",
        ),
        (
            "--no-mounts -B /proc/$other/root/usr:/mnt $2",
            "open /proc/",
        ),
    ] {
        // The sleeping process has a copy of all mounts.
        let script = format!(
            "unshare -m sleep 1000 & other=$!; trap 'kill $other' EXIT
            until [ $(readlink /proc/$other/ns/mnt) != $(readlink /proc/self/ns/mnt) ]; do :; done
            \"$1\" run {options} true"
        );
        let mut script = privately(&script.replace("\n            ", "\n"), &root);
        let ended = end(&mut script);
        // Linux 7.0 and newer accept these.
        if ended.status != 0 && ended.status != 127 {
            expect_hint(&ended, error, hint);
        }
    }
}

#[test]
fn an_overlay_of_overlays() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let layer = |below: &str, name: &str| {
        format!(
            "mkdir {name} {name}/up {name}/work {name}/all
            mount -t overlay -o lowerdir={below},upperdir={name}/up,workdir={name}/work o {name}/all; "
        )
    };
    let script = format!(
        "mkdir -p $2/mnt; mount -t tmpfs t $2/mnt; below=$2; cd $2/mnt; mkdir low; cp -a $2/bin low
        {}{}\"$1\" run --no-mounts --overlay b/all true",
        layer("low", "a"),
        layer("a/all", "b")
    );
    let ended = end(&mut privately(&script, &root));
    expect_hint(
        &ended,
        "put an overlay on b/all",
        "NEWROOT is on an overlay of an overlay already",
    );
}

#[test]
fn another_users_fuse() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let mount = "cd $2; mkdir mnt; exec 3<>/dev/fuse
        mount -i -t fuse -o fd=3,rootmode=40000,user_id=54322,group_id=54322 none mnt; ";
    let hint = "it is on a FUSE file system that another user has mounted";
    for (who, words, error) in [
        ("", "mnt", "open the new root mnt: Perm"),
        ("", "\"$2/mnt/a/b\"", "open the new root /"),
        (ORDINARY, "./mnt/", "open the new root ./mnt/: Perm"),
        ("", "--no-mounts -B $2/mnt/x:/bin .", "open /"),
    ] {
        let script = format!("{mount}{who} \"$1\" run {words} true");
        expect_hint(&end(&mut privately(&script, &root)), error, hint);
        std::fs::remove_dir(root.path().join("mnt")).unwrap();
    }
    // A directory that the user cannot enter is another cause.
    root.directory("closed/root");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(root.path().join("closed"), mode).unwrap();
    let script = format!("{ORDINARY} \"$1\" run $2/closed/root true");
    let ended = end(&mut privately(&script, &root));
    expect_hint(
        &ended,
        "open the new root /",
        "this user needs search permission on every directory",
    );
}

/// Makes a Landlock domain that handles these accesses and allows none of them, and executes the
/// command.
const LANDLOCK: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
rules = libc.syscall(444, ctypes.c_char_p(struct.pack("Q", int(sys.argv[1]))), 8, 0)
if rules < 0 or libc.prctl(38, 1, 0, 0, 0) or libc.syscall(446, rules, 0):
    sys.exit(77)
os.execvp(sys.argv[2], sys.argv[2:])
"#;

#[test]
fn a_landlock_domain() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    // 4 is READ_FILE, which would keep python from being read. 256 is MAKE_SOCK, 2 is WRITE_FILE.
    for (who, handled, error) in [
        (
            User::Root,
            "512",
            "change the propagation of the new mount namespace",
        ),
        (
            User::Root,
            "2",
            "change the propagation of the new mount namespace",
        ),
        (
            User::Ordinary,
            "512",
            "change the propagation of the new mount namespace",
        ),
        (User::Ordinary, "2", "write /proc/self/setgroups: Perm"),
    ] {
        let mut python = command(who, "/usr/bin/python3");
        python.args(["-c", LANDLOCK, handled]).arg(rootlet_path());
        let ended = end(python.args(["run", "--no-mounts", root.name(), "true"]));
        if ended.status == 77 {
            return;
        }
        // On Linux 7.0 and newer, root makes a mount namespace in another way.
        if who == User::Root && !ended.stderr.contains(error) {
            assert!(ended.stderr.contains("Landlock"), "{ended:?}");
            continue;
        }
        expect_hint(
            &ended,
            error,
            "this process is probably in a Landlock domain",
        );
    }
}

#[test]
fn apparmor_is_named_where_it_restricts() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let refused = |switch: &str, who: &str, inject: &str| {
        let script = format!(
            "mount -t tmpfs t /proc/sys/kernel; {switch}
            exec {who} strace -f -qq -o /dev/null -e trace={inject} -e inject={inject}:error=EPERM \
                \"$1\" run --no-mounts $2 true"
        );
        end(&mut privately(&script, &root))
    };
    let restricts = "echo 1 >/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    let does_not = "echo 0 >/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    let mount = "change the propagation of the new mount namespace";
    let hint = "AppArmor denies user namespaces to programs without a profile";
    expect_hint(&refused(restricts, ORDINARY, "mount"), mount, hint);
    // Root has CAP_SYS_ADMIN and is not restricted.
    for (switch, who) in [(restricts, ""), (does_not, ORDINARY), (":", ORDINARY)] {
        let ended = refused(switch, who, "mount");
        assert!(!ended.stderr.contains("AppArmor keeps"), "{ended:?}");
    }
    // For root without that capability, the reason is another.
    let script = "exec setpriv --bounding-set=-sys_admin,-setfcap \"$1\" run --no-mounts $2 true";
    let ended = end(&mut privately(script, &root));
    expect_hint(
        &ended,
        "write /proc/self/uid_map: ",
        "without CAP_SYS_ADMIN rootlet maps root in a user",
    );
}

#[test]
fn the_cause_that_forbids_user_namespaces_is_named() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    root.directory("proc");
    for (script, hint) in [
        (
            format!("{ORDINARY} \"$1\" run --share user $2 true"),
            "without CAP_SYS_ADMIN these need a new user namespace: leave out --share user",
        ),
        (
            "cp \"$1\" $2/rootlet; mount -t proc proc $2/proc
                chroot --userspec=54321:54321 $2 /rootlet run --no-mounts / /bin/true"
                .to_owned(),
            "the kernel creates no user namespace in a chroot",
        ),
        (
            format!(
                "mount -t tmpfs t /proc/sys/kernel
                echo 0 >/proc/sys/kernel/unprivileged_userns_clone
                {ORDINARY} strace -f -qq -o /dev/null -e trace=clone,clone3 \
                    -e inject=clone,clone3:error=EPERM \"$1\" run --no-mounts $2 true"
            ),
            "only root may create user namespaces here: sysctl kernel.unprivileged_userns_clone=1",
        ),
    ] {
        expect_hint(
            &end(&mut privately(&script, &root)),
            "make new namespaces: ",
            hint,
        );
    }
    // The chroot has its own root. The host is unchanged.
    succeed(&mut root.run(&["--no-mounts", "ROOT", "true"]));
}
