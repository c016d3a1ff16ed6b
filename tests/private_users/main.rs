//! `--private-users`: root in a run that is nobody on the host.

#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod ranges;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use common::fuse::{Behaviour, mount_fuse};
use common::hostile::{assert_refused, end};
use common::place::{on, on_fuse};
use common::terminal::Session;
use common::{Ended, Root, User, can_be_root, command, rootlet_path, succeed};
use rootlet::{Chroot, Mount, PrivateUsers, Stdio as Given};
use rustix::mount::{MountFlags, mount};

/// A run with private users in this root.
fn run(root: &Root, words: &[&str]) -> Command {
    root.run(&[&["--private-users"], words].concat())
}

fn is_nobodys_range(start: u32) -> bool {
    (524_288..=0x6fff_0000).contains(&start) && start % 65536 == 0
}

/// The first id of the host's that a run has.
fn first_id(map: &str) -> u32 {
    let mut fields = map.split_whitespace();
    assert_eq!(fields.next(), Some("0"), "{map}");
    let start = fields.next().unwrap().parse().unwrap();
    assert_eq!(fields.next(), Some("65536"), "{map}");
    start
}

#[test]
fn files_keep_their_owners_on_disk_and_inside() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let before = root.tree();
    root.file("home/old", "");
    chown(root.path().join("home/old"), Some(1000), Some(1001)).unwrap();
    let script = "id -u; id -g; id -G; stat -c '%u %g' /bin/busybox /home/old
        echo x >/home/new; mkdir /home/dir; chown 33:44 /home/dir; stat -c '%u %g' /home/*";
    let shown = succeed(&mut run(&root, &["ROOT", "sh", "-c", script]));
    assert_eq!(shown, "0\n0\n0\n0 0\n1000 1001\n33 44\n0 0\n1000 1001\n");
    for (name, owner) in [("new", (0, 0)), ("dir", (33, 44)), ("old", (1000, 1001))] {
        let file = fs::metadata(root.path().join("home").join(name)).unwrap();
        assert_eq!((file.uid(), file.gid()), owner, "{name}");
    }
    // Mount points are made and removed by who may.
    fs::remove_dir_all(root.path().join("home")).unwrap();
    assert_eq!(root.tree(), before);
    let map = succeed(&mut run(&root, &["ROOT", "cat", "/proc/self/uid_map"]));
    assert!(is_nobodys_range(first_id(&map)), "{map}");
}

#[test]
fn a_root_that_only_root_may_enter_works() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let bound = Root::empty(User::Root);
    bound.file("deep/file", "held\n");
    // Neither the way to them nor they themselves are anybody's but root's.
    for path in [root.path(), bound.path()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let bind = format!("{}/deep:/in", bound.name());
    let script = "cat /in/file; echo more >/in/other; stat -c %u /in/other";
    let words = ["-B", &bind, "ROOT", "sh", "-c", script];
    assert_eq!(succeed(&mut run(&root, &words)), "held\n0\n");
    let other = fs::metadata(bound.path().join("deep/other")).unwrap();
    assert_eq!(other.uid(), 0);
}

#[test]
fn a_bind_can_keep_the_hosts_owners() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let bound = Root::empty(User::Root);
    let secret = bound.file("secret", "");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let bind = format!("{}:/in:noidmap", bound.name());
    let script = "stat -c %u /in/secret; cat /in/secret || echo no; touch /in/x || echo no";
    let ended = end(&mut run(&root, &["-B", &bind, "ROOT", "sh", "-c", script]));
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "65534\nno\nno\n"),
        "{ended:?}"
    );
    assert!(!bound.path().join("x").exists());
}

#[test]
fn private_users_work_with_the_other_options() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let before = root.tree();
    let read_only =
        "touch /new || echo no; mount -o remount,rw / || echo no; touch /new || echo no";
    for (options, script, expected) in [
        (
            &["--overlay"][..],
            "touch /new; stat -c %u /new /bin",
            "0\n0\n",
        ),
        (&["--read-only-root"], read_only, "no\nno\nno\n"),
        (
            &["-u", "12:13", "-G", "14"],
            "id -u; id -g; id -G",
            "12\n13\n13 14\n",
        ),
        (&["--mask-proc"], "umount /proc/kcore || echo no", "no\n"),
        (
            &["--unshare", "net"],
            "ip link set lo down && echo ours",
            "ours\n",
        ),
        (
            &["--grace", "1", "--hostname", "inner"],
            "hostname",
            "inner\n",
        ),
        (&["--no-mounts"], "echo *", "bin\n"),
        (
            &["-B", "tmpfs:/made/here"],
            "stat -c %u /made /made/here",
            "0\n0\n",
        ),
        (
            &["--resolv-conf", "copy"],
            "stat -c %u /etc/resolv.conf",
            "0\n",
        ),
    ] {
        let words = [options, &["ROOT", "sh", "-c", script]].concat();
        let ended = end(&mut run(&root, &words));
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (0, expected),
            "{options:?} {ended:?}"
        );
        assert_eq!(root.tree(), before, "{options:?}");
    }
    let plan = succeed(&mut run(&root, &["--dry-run", "ROOT", "true"]));
    assert!(plan.contains("map users  private\n"), "{plan}");
}

#[test]
fn a_terminal_belongs_to_the_command() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let words = [
        "--pty",
        "ROOT",
        "sh",
        "-c",
        "stat -c %u $(tty); echo typed >$(tty)",
    ];
    let mut session = Session::start(run(&root, &words));
    session.expect("0\n");
    session.expect("typed\n");
    assert!(session.wait().success());
}

/// A group such as disk or docker would be a right on the host.
#[test]
fn roots_groups_are_dropped() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let mut setpriv = command(User::Root, "setpriv");
    setpriv.args(["--groups", "6,999"]).arg(rootlet_path());
    setpriv.args(["run", "--private-users", root.name(), "id", "-G"]);
    assert_eq!(succeed(&mut setpriv), "0\n");
}

/// A refusal, which begins like this.
#[track_caller]
fn assert_line(ended: &Ended, line: &str) {
    let starts = ended.stderr.starts_with(&format!("rootlet: {line}"));
    assert!(ended.status == 125 && starts, "{ended:?}");
}

/// Never a run without it: what cannot be shown so is named.
#[test]
fn a_file_system_without_id_maps_is_named() {
    if !can_be_root() {
        return;
    }
    let behaviour = Behaviour::default();
    on_fuse(User::Root, behaviour, |place| {
        let before = place.tree();
        for more in [&[][..], &["--overlay"]] {
            let words = [more, &["ROOT", "/bin/busybox", "true"]].concat();
            let ended = end(&mut run(place.root, &words));
            let line = format!(
                "cannot map the file owners of {} on fuse: ",
                place.root.name()
            );
            assert_refused(&ended, &line);
            assert_eq!(place.tree(), before);
        }
    });
    let below = |top: &Path| {
        fs::create_dir(top.join("below")).unwrap();
        let from = tempfile::tempdir().unwrap();
        mount_fuse(from.path(), &top.join("below"), behaviour);
        // The server has what it passes on open.
        drop(from);
    };
    on(User::Root, below, |place| {
        let name = place.root.name();
        let ended = end(&mut run(place.root, &["ROOT", "/bin/busybox", "true"]));
        let line = format!("cannot map the file owners of {name}/below on fuse: ");
        assert_refused(&ended, &line);
        assert!(ended.stderr.contains("(--overlay)"), "{ended:?}");
        succeed(&mut run(
            place.root,
            &["--overlay", "ROOT", "/bin/busybox", "true"],
        ));
    });
    let root = Root::busybox(User::Root);
    let ended = end(&mut run(&root, &["-B", "/proc/sys:/in", "ROOT", "true"]));
    assert_refused(&ended, "cannot map the file owners of /proc/sys on proc: ");
    assert!(ended.stderr.contains("'noidmap'"), "{ended:?}");
    let words = ["-B", "/proc/sys:/in:optional", "ROOT", "ls", "/in"];
    let ended = end(&mut run(&root, &words));
    assert!(
        ended
            .stderr
            .starts_with("rootlet: left out: cannot map the file owners"),
        "{ended:?}"
    );
    succeed(&mut run(
        &root,
        &["-B", "/proc/sys:/in:noidmap", "ROOT", "ls", "/in/kernel"],
    ));
}

/// A tmpfs has id-mapped mounts since Linux 6.3, and others since 5.12.
#[test]
fn missing_kernel_features_are_reported() {
    if !can_be_root() {
        return;
    }
    let release = rustix::system::uname();
    let release = release.release().to_str().unwrap();
    let mut numbers = release
        .split(['.', '-'])
        .map(|number| number.parse::<u32>());
    let mut next = || numbers.next().unwrap().unwrap();
    let version = (next(), next());
    let memory = |at: &Path| mount("none", at, "tmpfs", MountFlags::empty(), c"").unwrap();
    on(User::Root, memory, |place| {
        let before = place.tree();
        let look = "cd /; busybox touch /new; busybox stat -c %u /new /bin; busybox rm /new";
        let script = format!("PATH=/bin; {look}");
        for more in [&[][..], &["--overlay"]] {
            let words = [more, &["ROOT", "/bin/busybox", "sh", "-c", &script]].concat();
            let ended = end(&mut run(place.root, &words));
            let tree = place.root.name();
            let (line, hint) = match version {
                (6, 3..) | (7.., _) => {
                    assert_eq!((ended.status, &*ended.stdout), (0, "0\n0\n"), "{ended:?}");
                    continue;
                }
                (5, 12..) | (6, _) => ("tmpfs: Invalid argument", "no id-mapped mounts"),
                _ => ("tmpfs: Function not implemented", "needs Linux 5.12"),
            };
            assert_refused(
                &ended,
                &format!("cannot map the file owners of {tree} on {line}"),
            );
            assert!(ended.stderr.contains(hint), "{ended:?}");
            assert_eq!(place.tree(), before);
        }
    });
}

#[test]
fn the_library_has_private_users() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let before = root.tree();
    let mut chroot = Chroot::new(root.name());
    chroot
        .private_users(PrivateUsers::Auto)
        .mount(Mount::bind("/usr").no_id_map());
    let output = chroot
        .command("/bin/busybox")
        .args(["cat", "/proc/self/uid_map"])
        .output();
    let output = output.unwrap();
    assert!(is_nobodys_range(first_id(&String::from_utf8_lossy(
        &output.stdout
    ))));
    let mut child = chroot
        .command("/bin/busybox")
        .args(["sleep", "1000"])
        .stdin(Given::null())
        .stdout(Given::null())
        .spawn()
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(root.tree(), before);
    // SAFETY: the closure does nothing.
    let called = unsafe { chroot.call(|| ()) };
    assert!(
        called
            .unwrap_err()
            .to_string()
            .contains("cannot have a range of users")
    );
}

/// The attacker of `tests/private_users/breakout.c`, and what it could do.
fn break_out(root: &Root, options: &[&str], host: i32) -> Vec<String> {
    let top = fs::metadata("/").unwrap();
    let [device, inode] = [top.dev(), top.ino()].map(|number| number.to_string());
    let words = ["ROOT", "/breakout", &device, &inode, &host.to_string()];
    let shown = succeed(&mut root.run(&[options, &words].concat()));
    shown.lines().map(str::to_owned).collect()
}

#[test]
fn root_inside_can_do_nothing_to_the_host() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/private_users/breakout.c");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-static", "-o"])
        .arg(root.path().join("breakout"))
        .arg(source);
    assert!(cc.status().unwrap().success(), "{cc:?}");
    let host = std::process::id() as i32;
    for options in [
        &["--private-users"][..],
        &["--private-users", "--overlay"],
        &["--private-users", "--mask-proc", "--read-only-root"],
    ] {
        assert_eq!(
            break_out(&root, options, 0),
            Vec::<String>::new(),
            "{options:?}"
        );
        let options = [options, &["--share", "pid"]].concat();
        assert_eq!(
            break_out(&root, &options, host),
            Vec::<String>::new(),
            "{options:?}"
        );
    }
    // The attacks are good ones: root without it can do nearly all of that.
    let real = break_out(&root, &["--share", "pid"], host);
    for attack in [
        "a block device",
        "core_pattern",
        "a signal to a process of the host's",
        "environ",
    ] {
        assert!(
            real.contains(&format!("got: {attack}")),
            "{attack}: {real:?}"
        );
    }
}

/// Users, packages and programs that change their user.
#[test]
fn a_debian_can_be_administered() {
    if !can_be_root() {
        return;
    }
    let root = common::debian();
    let script = "set -e
        useradd -m someone
        su - someone -c 'id -un; touch mine'
        mkdir -p /tmp/p/DEBIAN /tmp/p/opt/p
        printf 'Package: p\\nVersion: 1\\nArchitecture: all\\nMaintainer: m <m@localhost>\\nDescription: d\\n' \
            >/tmp/p/DEBIAN/control
        touch /tmp/p/opt/p/file; chown someone /tmp/p/opt/p/file
        dpkg-deb --build /tmp/p /tmp/p.deb >/tmp/log
        dpkg -i /tmp/p.deb >>/tmp/log
        stat -c '%U' /opt/p /opt/p/file
        rm -r /tmp/p /tmp/p.deb /tmp/log";
    let shown = succeed(&mut run(&root, &["ROOT", "sh", "-c", script]));
    assert_eq!(shown, "someone\nroot\nsomeone\n");
    for (name, owner) in [
        ("opt/p", 0),
        ("opt/p/file", 1000),
        ("home/someone/mine", 1000),
    ] {
        assert_eq!(
            fs::metadata(root.path().join(name)).unwrap().uid(),
            owner,
            "{name}"
        );
    }
    // The same files without it.
    let shown = succeed(&mut root.run(&["ROOT", "stat", "-c", "%U", "/home/someone/mine"]));
    assert_eq!(shown, "someone\n");
}
