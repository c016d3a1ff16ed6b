//! Too few descriptors, processes and namespaces, a full disk and a full tmpfs: clear errors.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::mount::{MountFlags, mount};

use crate::common::init::kernel;
use crate::common::{
    Ended, Root, User, can_be_root, command, end, processes_with, rootlet_path, succeed, tree,
    users,
};
use crate::load::{in_own_mounts, turn};
use crate::summary;

/// Returns a command that runs `ulimit WHAT NUMBER`, and then rootlet with these words.
fn limited(user: User, limit: &str, words: &[&str]) -> Command {
    let mut shell = command(user, "/bin/bash");
    let script = format!("ulimit {limit} && exec \"$@\"");
    shell.args(["-c", &script, "sh"]).arg(rootlet_path());
    shell.arg("run").args(words);
    shell
}

/// Checks for one line that names the errno, and for a hint.
#[track_caller]
fn assert_clear(ended: &Ended, errno: &str, hint: &str) {
    // Earlier omissions are reported, too.
    let is_left_out = |line: &&str| line.starts_with("rootlet: left out: ");
    let text = ended.stderr.split_inclusive('\n').skip_while(is_left_out);
    let text = text.collect::<String>();
    let (line, hints) = text.split_once('\n').unwrap_or((&text, ""));
    assert_eq!(ended.status, 125, "{ended:?}");
    assert!(line.starts_with("rootlet: cannot "), "{ended:?}");
    assert!(line.ends_with(&format!(" ({errno})")), "{ended:?}");
    assert!(
        hints.starts_with(&format!("hint: {hint}")) && hints.lines().count() == 1,
        "{ended:?}"
    );
}

#[test]
fn few_descriptors() {
    let _turn = turn();
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let (mut refused, mut left_out) = (Vec::new(), Vec::new());
        for number in (3..=32).rev() {
            let limit = format!("-n {number}");
            let ended = end(&mut limited(user, &limit, &[root.name(), "true"]));
            assert_eq!(root.tree(), before, "{number}: {ended:?}");
            if ended.status != 0 {
                assert_clear(&ended, "EMFILE", "the limit on open files is reached");
                refused.push(number);
            } else if !ended.stderr.is_empty() {
                // An omitted optional mount is reported, too.
                let line = "rootlet: left out: ";
                assert!(ended.stderr.starts_with(line), "{number}: {ended:?}");
                left_out.push(number);
            }
        }
        assert!(!refused.contains(&32) && !left_out.contains(&32));
        assert!(refused.contains(&3));
        assert_eq!(processes_with(root.name()), []);
        summary(
            "load shortage",
            &format!(
                "as {user:?}, RLIMIT_NOFILE {} is enough; a clear error for {refused:?}, an \
                 optional mount left out for {left_out:?}; 0 left",
                refused[0] + 1
            ),
        );
    }
}

/// rootlet raises the soft limit if it can, wherever in a run it runs out of descriptors.
#[test]
fn few_descriptors_of_many() {
    let _turn = turn();
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let source = Root::empty(user);
        source.file("file", "");
        let bind = |number: i32| {
            let words = format!("{}/file:/m/{number}", source.name());
            ["-B".to_owned(), words]
        };
        let fill = |number: i32| ["-B".to_owned(), format!("tmpfs:/t/{number}/a")];
        let many: Vec<String> = (0..20).flat_map(|n| [bind(n), fill(n)]).flatten().collect();
        let few: Vec<String> = (0..5).flat_map(bind).collect();
        let with = |option: &str| [&[option.to_owned()], &few[..]].concat();
        let mut cases = vec![
            (Vec::new(), (17..=40).step_by(1)),
            (few.clone(), (17..=40).step_by(1)),
            (with("--read-only-root"), (17..=40).step_by(1)),
            (with("--dev=minimal"), (17..=40).step_by(1)),
            (many, (64..=170).step_by(9)),
        ];
        if user == User::Root {
            cases.push((with("--overlay"), (17..=40).step_by(1)));
            let private = ["--private-users", "ROOT", "true"];
            let ended = end(&mut root.run(&private));
            match ended.stderr.contains("cannot map the file owners of") {
                true => println!("left out: {}", ended.stderr),
                false => cases.push((with("--private-users"), (19..=40).step_by(1))),
            }
        }
        for (options, limits) in cases {
            for number in limits {
                let words = options.iter().map(String::as_str);
                let words: Vec<&str> = words.chain([root.name(), "true"]).collect();
                let ended = end(&mut limited(user, &format!("-Sn {number}"), &words));
                let found = (ended.status, ended.stderr.as_str());
                assert_eq!(found, (0, ""), "{user:?} {number}");
                assert_eq!(root.tree(), before, "{number}");
            }
        }
    }
}

#[test]
fn few_processes() {
    if !can_be_root() {
        return;
    }
    let _turn = turn();
    // An id that nobody else has, since the kernel counts the processes of each user.
    let id = 1_000_000_000 + std::process::id();
    let root = Root::busybox(User::Root);
    std::os::unix::fs::chown(root.path(), Some(id), Some(id)).unwrap();
    let before = root.tree();
    let run = |number: u32| {
        let limit = format!("-u {number}");
        let mut limited = limited(User::Root, &limit, &[root.name(), "true"]);
        let ended = end(limited.uid(id).gid(id));
        assert_eq!(root.tree(), before, "{number}: {ended:?}");
        ended
    };
    let fork = "rootlet: cannot start a process for true: Resource temporarily unavailable";
    let hint = "the limit on processes is reached (ulimit -u)";
    let ended = run(1);
    assert_clear(&ended, "EAGAIN", hint);
    assert!(
        ended
            .stderr
            .starts_with("rootlet: cannot make new namespaces: ")
    );
    let ended = run(2);
    assert_clear(&ended, "EAGAIN", hint);
    assert!(ended.stderr.starts_with(fork), "{ended:?}");
    // Supervisor, pid 1 and command.
    let ended = run(3);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert_eq!(processes_with(root.name()), []);
    summary(
        "load shortage",
        "RLIMIT_NPROC 3 is enough; a clear error for 2 and 1; 0 left",
    );
}

#[test]
fn no_namespaces() {
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        for name in ["mnt", "pid", "uts", "ipc"] {
            let mut outer = command(user, "unshare");
            // The limit belongs to a user namespace, and ends with it.
            let script = format!("echo 0 >/proc/sys/user/max_{name}_namespaces && exec \"$@\"");
            outer.args(["--user", "--map-root-user", "sh", "-c", &script, "sh"]);
            outer.arg(rootlet_path()).args(["run", root.name(), "true"]);
            let ended = end(&mut outer);
            assert_clear(&ended, "ENOSPC", "the limit on namespaces is reached");
            assert_eq!(root.tree(), before, "{name}");
        }
    }
}

/// Tests a copy of the root on a file system that is then filled, so that nothing can be made in
/// it.
fn on_full(medium: &str, fill: impl Fn(&Root, &Root) + Sync) {
    let disk = Root::empty(User::Root);
    let root = Root::busybox(User::Root);
    in_own_mounts(|| {
        fill(&disk, &root);
        let run = |words: &[&str]| {
            let mut command = command(User::Root, rootlet_path());
            end(command.arg("run").args(words).args([disk.name(), "true"]))
        };
        let before = tree(disk.path());
        let ended = run(&[]);
        assert_clear(
            &ended,
            "ENOSPC",
            "create it beforehand, write to memory instead (--overlay)",
        );
        let line = "rootlet: cannot make the mount point /";
        assert!(ended.stderr.starts_with(line), "{ended:?}");
        assert_eq!(tree(disk.path()), before);
        // Each remedy in the hint works.
        for cure in ["--overlay", "--no-mounts"] {
            let ended = run(&[cure]);
            assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
            assert_eq!(tree(disk.path()), before);
        }
    });
    assert_eq!(tree(disk.path()), [""; 0]);
    summary(
        "load shortage",
        &format!("a full {medium}: a clear error, and --overlay and --no-mounts run; 0 left"),
    );
}

fn copy(root: &Root, disk: &Root) {
    let mut cp = Command::new("cp");
    cp.arg("-a").arg(root.path().join("bin")).arg(disk.path());
    assert!(cp.status().unwrap().success());
}

#[test]
fn a_tmpfs_without_inodes_half_way() {
    if !can_be_root() {
        return;
    }
    let _turn = turn();
    // Room for none of the mount points, and for one or two of three.
    for room in 0..3 {
        on_full(&format!("tmpfs with room for {room}"), |disk, root| {
            mount("tmpfs", disk.path(), "tmpfs", MountFlags::empty(), c"").unwrap();
            copy(root, disk);
            // The root directory itself, and its contents.
            let used = tree(disk.path()).len() + 1;
            let data = std::ffi::CString::new(format!("nr_inodes={}", used + room)).unwrap();
            rustix::mount::mount_remount(disk.path(), MountFlags::empty(), data.as_c_str())
                .unwrap();
        });
    }
}

#[test]
fn a_full_disk() {
    if !can_be_root() {
        return;
    }
    let _turn = turn();
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(8 << 20).unwrap();
    let mut mkfs = Command::new("/usr/sbin/mkfs.ext4");
    mkfs.args(["-q", "-m", "0", "-b", "1024"]).arg(image.path());
    assert!(mkfs.status().unwrap().success());
    on_full("ext4", |disk, root| {
        // Its loop device is removed with the mount.
        let mut mount = Command::new("mount");
        mount
            .args(["-o", "loop"])
            .arg(image.path())
            .arg(disk.path());
        let mounted = mount.output().unwrap();
        assert!(mounted.status.success(), "{mounted:?}");
        fs::remove_dir(disk.path().join("lost+found")).unwrap();
        copy(root, disk);
        // Fill it to the last block.
        for block in ["1024k", "1k"] {
            let mut dd = Command::new("dd");
            dd.arg("if=/dev/zero").arg(format!("bs={block}"));
            dd.arg(format!("of={}/bin/zero-{block}", disk.name()));
            assert!(!dd.output().unwrap().status.success(), "it is not full");
        }
    });
}

#[test]
fn a_full_tmpfs_is_the_commands_own_error() {
    let _turn = turn();
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        let has_overlay = user == User::Root || kernel() >= (5, 11);
        if !has_overlay {
            println!("left out: an ordinary user's overlay needs Linux 5.11");
        }
        let fill = |place: &str| format!("dd if=/dev/zero of={place}/zero bs=64k count=2; exit 7");
        for (option, value, place) in [
            ("-B", "tmpfs:/dev/shm:size=64k", "/dev/shm"),
            ("--overlay-size", "64k", ""),
        ] {
            if option == "--overlay-size" && !has_overlay {
                continue;
            }
            let words = [option, value, "ROOT", "sh", "-c", &fill(place)];
            let ended = end(&mut root.run(&words));
            assert_eq!(ended.status, 7, "{ended:?}");
            assert!(
                ended.stderr.contains("No space left on device"),
                "{ended:?}"
            );
            assert!(!ended.stderr.contains("rootlet"), "{ended:?}");
            assert_eq!(root.tree(), before);
        }
        // rootlet itself fails if there is no room for its mount point.
        let small = "tmpfs:/small:nr_inodes=1";
        let words = ["-B", small, "-B", "/dev/null:/small/null", "ROOT", "true"];
        let ended = end(&mut root.run(&words));
        assert_clear(&ended, "ENOSPC", "create it beforehand");
        let line = "rootlet: cannot make the mount point /small/null: No space left on device";
        assert!(ended.stderr.starts_with(line), "{ended:?}");
        assert_eq!(root.tree(), before);
        // Even the smallest size does not keep an overlay from being made.
        if has_overlay {
            succeed(&mut root.run(&["--overlay-size", "1", "ROOT", "true"]));
        }
    }
    summary(
        "load shortage",
        "a full /dev/shm and a full overlay: the command's own error and status; 0 left",
    );
}
