//! `--dry-run`: the plan as text and as JSON.

use super::common::{self, Root, User, end, succeed, users};

#[test]
fn a_dry_run_shows_where_each_mount_lands_and_does_nothing() {
    for user in users() {
        let (root, host) = (Root::busybox(user), Root::empty(user));
        root.symlink("etc/resolv.conf", "../run/resolv.conf");
        root.symlink("data", "/var/data");
        let before = root.tree();
        let option = format!("{}:/data/x:ro,nosuid", host.name());
        let words = [
            "-n",
            "-B",
            &option,
            "-B",
            "/no/such:/y:optional",
            "-B",
            "tmpfs:/tmp:size=1m",
            "--hostname",
            "a.b",
            "ROOT",
            "sh",
            "-c",
            "echo hello",
        ];
        let terminals = match user {
            User::Root => "",
            User::Ordinary => {
                "    /dev/pts        new devpts \
                 (nosuid,noexec,newinstance,mode=620,ptmxmode=666)\n"
            }
        };
        let expected = format!(
            "new root   {}\n\
             \x20 /dev              all of /dev, created for the run\n\
             {terminals}\
             \x20   /dev/shm        new tmpfs (nosuid,nodev,mode=1777)\n\
             \x20 /proc             new proc (nosuid,nodev,noexec), created for the run\n\
             \x20 /sys              all of /sys, created for the run\n\
             \x20 /run/resolv.conf  /etc/resolv.conf (ro), created for the run\n\
             \x20 /etc/hosts        a copy of /etc/hosts (ro), created for the run\n\
             \x20 /var/data/x       {} (ro,nosuid), created for the run\n\
             \x20 /y                /no/such, left out: no such source\n\
             \x20 /tmp              new tmpfs (size=1m), created for the run\n\
             host name  a.b\n\
             in         /\n\
             run        sh -c echo hello\n",
            root.name(),
            host.name()
        );
        assert_eq!(succeed(&mut root.run(&words)), expected);
        assert_eq!(root.tree(), before);
        let ended = end(&mut root.run(&["-n", "-B", "/no/such:/y", "ROOT", "true"]));
        assert_eq!((ended.status, ended.stdout.as_str()), (125, ""));
    }
}

/// Reads the plan as any program would, and finds in it the bytes that were given.
const READ_PLAN: &str = r#"
import json, os, sys
plan = json.load(sys.stdin)
name = os.fsencode(sys.argv[1])
mounts = {mount["target"]: mount for mount in plan["mounts"]}
assert os.fsencode(plan["run"][1]) == name, plan
assert os.fsencode(plan["env"][0]) == b"NAME=" + name, plan
path = "/" + os.fsdecode(name)
assert os.path.basename(os.fsencode(mounts[path]["source"])) == name, plan
assert mounts[path]["options"] == "ro" and not mounts[path]["left-out"], plan
assert mounts["/dev"]["recursive"] and mounts["/dev"]["created"] and mounts["/dev"]["in"] is None
assert mounts["/dev/shm"]["in"] == "/dev" and not mounts["/dev/shm"]["created"]
assert mounts["/proc"]["type"] == "proc"
assert mounts["/none"]["left-out"] and not mounts["/none"]["created"]
assert plan["new root"] == [sys.argv[2]] and plan["in"] == ["/"] and plan["share"] == ["uts"]
"#;

#[test]
fn a_plan_for_programs_keeps_every_byte() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    let (root, host) = (Root::busybox(users()[0]), Root::empty(users()[0]));
    let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    for name in [
        &all[..],
        "\u{fc}\u{1f600}".as_bytes(),
        b"\xf0\x9f",
        b"\xed\xa0\x80",
    ] {
        let name = OsStr::from_bytes(name);
        let path = host.path().join(name);
        std::fs::create_dir(&path).unwrap();
        // A colon ends SRC, unless it is marked.
        let escaped = |bytes: &[u8]| -> Vec<u8> {
            let escape = |byte: &u8| match byte {
                b':' => vec![b'\\', b':'],
                byte => vec![*byte],
            };
            bytes.iter().flat_map(escape).collect()
        };
        let mut mount = escaped(path.as_os_str().as_bytes());
        mount.extend(b":/");
        mount.extend(escaped(name.as_bytes()));
        let mut run = common::rootlet(users()[0]);
        run.args([
            "run",
            "--dry-run=json",
            "--share=uts",
            "-B",
            "/no/such:/none:optional",
        ]);
        run.arg("--ro").arg(OsString::from_vec(mount));
        run.arg("-E")
            .arg(OsString::from_vec([b"NAME=", name.as_bytes()].concat()));
        let plan = run.arg(root.path()).arg("echo").arg(name).output().unwrap();
        assert!(plan.status.success(), "{plan:?}");
        let file = host.file("plan", &plan.stdout);
        let mut python = std::process::Command::new("python3");
        python.args(["-c", READ_PLAN]).arg(name).arg(root.path());
        python.stdin(std::fs::File::open(file).unwrap());
        let read = end(&mut python);
        assert_eq!((read.status, read.stderr.as_str()), (0, ""), "{name:?}");
    }
    let ended = end(&mut root.run(&["--dry-run=yaml", "ROOT", "true"]));
    assert_eq!(ended.status, 125);
    let line = "rootlet: --dry-run: 'yaml' is not json\n";
    assert!(ended.stderr.starts_with(line), "{ended:?}");
}
