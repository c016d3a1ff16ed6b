//! rootlet in engines that support fewer system calls than a kernel: crun with an old list of
//! calls, gVisor, and qemu-user. The programs that `init` replaces are run for comparison.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::init::{Place, Started, cases};
use common::running::Running;
use common::{
    Root, User, can_be_root, children, command, copy_program, end, is_left_out, rootlet,
    rootlet_path, succeed, users, wait_until,
};

/// The names, their original programs if these need no libraries, and their arguments.
const NAMES: [(&str, Option<&str>, &[&str]); 6] = [
    ("rootlet", None, &["init", "--"]),
    ("tini", Some("tini-static"), &["--"]),
    ("docker-init", Some("tini-static"), &["--"]),
    ("dumb-init", None, &["--"]),
    ("catatonit", Some("catatonit"), &["--"]),
    ("podman-init", Some("catatonit"), &["--"]),
];

/// Leaves an orphan, prints `ready`, then `got NAME` for each signal, and ends with 42 after USR2.
const COMMAND: &str = "\
    for name in TERM HUP USR1; do trap \"echo got $name\" $name; done; trap 'exit 42' USR2; \
    (sleep 0 &); echo ready; while :; do sleep 0.05; done";

const SIGNALS: [(i32, &str); 3] = [(15, "TERM"), (1, "HUP"), (10, "USR1")];

/// Sends the signals by `send`, and checks the output and the status.
#[track_caller]
fn expect_signals(running: &mut Running, context: &str, send: &dyn Fn(i32)) {
    for (number, name) in SIGNALS {
        send(number);
        let line = running.try_line(Duration::from_secs(60));
        assert_eq!(line, Ok(format!("got {name}")), "{context}");
    }
    send(12);
    assert_eq!(running.status(), 42, "{context}");
}

/// An OCI bundle: a root with busybox, rootlet and its peers, and a configuration with this
/// process. Its seccomp profile is that of Debian's containers-common, minus the calls in
/// `without`.
fn bundle(words: &[&str], capabilities: &str, seccomp: Option<(i32, &str)>) -> Root {
    let bundle = Root::empty(User::Root);
    let bin = bundle.path().join("rootfs/bin");
    fs::create_dir_all(&bin).unwrap();
    for directory in ["proc", "sys", "dev", "tmp"] {
        fs::create_dir(bundle.path().join("rootfs").join(directory)).unwrap();
    }
    copy_program("/bin/busybox", bin.join("busybox"));
    for name in ["sh", "sleep", "id"] {
        std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
    }
    for (name, peer, _) in NAMES {
        copy_program(rootlet_path(), bin.join(name));
        if let Some(peer) = peer {
            copy_program(
                Path::new("/usr/bin").join(peer),
                bin.join(format!("real-{name}")),
            );
        }
    }
    let mut python = Command::new("python3");
    let (errno, without) = seccomp.unwrap_or((0, ""));
    python.args(["-c", CONFIGURATION, capabilities, without]);
    python.arg(errno.to_string()).args(words);
    fs::write(bundle.path().join("config.json"), succeed(&mut python)).unwrap();
    bundle
}

/// An engine has to filter this list by architecture and capabilities.
const CONFIGURATION: &str = r#"
import json, platform, sys

capabilities, without, errno, words = sys.argv[1].split(), sys.argv[2].split(), int(sys.argv[3]), sys.argv[4:]
linux = {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]}
if errno:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    calls = []
    for rule in json.load(open("/usr/share/containers/seccomp.json"))["syscalls"]:
        includes, excludes = rule.get("includes", {}), rule.get("excludes", {})
        if machine not in includes.get("arches", [machine]) or \
                not set(includes.get("caps", [])) <= set(capabilities) or \
                set(excludes.get("caps", [])) & set(capabilities):
            continue
        names = [name for name in rule["names"] if name not in without]
        if names:
            kept = {key: rule[key] for key in ("action", "args", "errnoRet") if rule.get(key) is not None}
            calls.append({"names": names, **kept})
    linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": errno,
        "architectures": ["SCMP_ARCH_" + platform.machine().upper()], "syscalls": calls,
    }
sets = {kind: capabilities for kind in ("bounding", "effective", "permitted")}
print(json.dumps({
    "ociVersion": "1.0.0",
    "process": {"user": {"uid": 0, "gid": 0}, "args": words, "env": ["PATH=/bin"], "cwd": "/",
                "capabilities": sets},
    "root": {"path": "rootfs"},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
               {"destination": "/sys", "type": "sysfs", "source": "sysfs"},
               {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
               {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
               {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["mode=1777"]}],
    "linux": linux,
}))
"#;

/// The calls in the list that are newer than signalfd(2).
const NEWER: &str = "close_range clone3 faccessat2 openat2 pidfd_getfd pidfd_open pidfd_send_signal \
                     prlimit64 statx";

/// crun with this bundle. crun refuses a host with control groups of both versions, even if it uses
/// none.
fn crun(bundle: &Root) -> Command {
    let mut crun = rootlet(User::Root);
    crun.args(["run", "-B", "tmpfs:/sys/fs/cgroup", "-C", bundle.name()]);
    crun.args(["/", "crun", "--root", "state", "--cgroup-manager=disabled"]);
    crun.args(["run", "container"]);
    crun
}

#[test]
fn in_crun_with_a_list_from_before_the_newer_calls() {
    if !can_be_root() {
        return;
    }
    for errno in [1, 38] {
        for (name, peer, words) in NAMES {
            let prefixes = [Some(""), peer.map(|_| "real-")];
            for prefix in prefixes.into_iter().flatten() {
                let context = format!("{prefix}{name}: {errno}");
                let program = format!("/bin/{prefix}{name}");
                let words = [&[&program[..]], words, &["sh", "-c", COMMAND]].concat();
                let bundle = bundle(&words, "CAP_KILL", Some((errno, NEWER)));
                let mut running = Running::start(crun(&bundle).stderr(Stdio::null()));
                let ready = running.try_line(Duration::from_secs(60));
                assert_eq!(ready.as_deref(), Ok("ready"), "{context}");
                // The processes are the supervisor, pid 1, crun, and the container's first process.
                let init = children(running.command())[0];
                expect_signals(&mut running, &context, &|number| {
                    common::send_signal(init, number);
                });
            }
        }
    }
}

#[test]
fn in_crun_a_run_works_or_says_that_the_list_forbids_it() {
    if !can_be_root() {
        return;
    }
    let run = |without: &str| {
        let words = ["/bin/rootlet", "run", "--no-mounts", "/", "/bin/id"];
        // The capabilities that engines give.
        let capabilities = "CAP_KILL CAP_SETFCAP";
        end(&mut crun(&bundle(&words, capabilities, Some((1, without)))))
    };
    let ended = run("");
    let printed = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
    assert_eq!(printed, (0, "uid=0 gid=0\n", ""));
    // Other lists allow these only with CAP_SYS_ADMIN.
    for without in [
        "unshare",
        "mount",
        "pivot_root",
        "unshare mount clone3 clone",
    ] {
        let ended = run(without);
        let printed = (ended.status, ended.stdout.as_str());
        assert_eq!(printed, (125, ""), "{without}: {ended:?}");
        let hint = ended.stderr.lines().nth(1).unwrap_or_default();
        assert!(hint.starts_with("hint: a seccomp filter"), "{ended:?}");
    }
}

/// The capabilities of root in a Docker container.
const DOCKERS: &str = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID \
                       CAP_SETUID CAP_SETFCAP CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL \
                       CAP_AUDIT_WRITE";

/// The paths that Docker masks, limited to those that every kernel has.
const MASKS: &str = r#""linux": {"maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi",
    "/sys/firmware"], "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
    "/proc/sysrq-trigger"], "#;

#[test]
fn in_crun_with_dockers_masks_a_run_shares_the_pid_namespace() {
    if !can_be_root() {
        return;
    }
    let script = "read -r pid rest </proc/self/stat; test \"$pid\" = $$ && echo own";
    let words = ["/bin/rootlet", "run", "/", "/bin/sh", "-c", script];
    let bundle = bundle(&words, DOCKERS, None);
    let file = bundle.path().join("config.json");
    let configuration = fs::read_to_string(&file).unwrap();
    assert!(configuration.contains("\"linux\": {"));
    fs::write(file, configuration.replace("\"linux\": {", MASKS)).unwrap();
    let ended = end(&mut crun(&bundle));
    let shared = "rootlet: the kernel allows no new /proc here: the command shares the caller's \
                  pid namespace and /proc, as with --share pid\n";
    let printed = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
    assert_eq!(printed, (0, "own\n", shared));
}

/// The capabilities that Docker gives. Kubernetes and Podman give similar ones.
const OF_DOCKER: &str = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW \
                         CAP_SETGID CAP_SETUID CAP_SETFCAP CAP_SETPCAP CAP_NET_BIND_SERVICE \
                         CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE";

#[test]
fn in_crun_every_user_of_the_container_is_one_inside() {
    if !can_be_root() {
        return;
    }
    for (list, capabilities) in [
        (None, OF_DOCKER.to_owned()),
        (Some((1, "")), OF_DOCKER.to_owned()),
        (None, format!("{OF_DOCKER} CAP_SYS_ADMIN")),
    ] {
        let run = |user: &[&str]| {
            let words = [
                &["/bin/rootlet", "run", "--no-mounts"][..],
                user,
                &["/", "/bin/id"],
            ];
            end(&mut crun(&bundle(&words.concat(), &capabilities, list)))
        };
        for (user, expected) in [
            (&[][..], "uid=0 gid=0\n"),
            // apt's methods change to _apt this way.
            (
                &["-u", "42:65534", "-G", "65534"],
                "uid=42 gid=65534 groups=65534\n",
            ),
        ] {
            let ended = run(user);
            let printed = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
            assert_eq!(printed, (0, expected, ""), "{capabilities}");
        }
    }
}

/// gVisor with ptrace(2), which needs no feature of the machine. It keeps its own file offsets,
/// separate from the host's.
fn runsc(bundle: &Root, container: &str) -> Command {
    let mut runsc = command(User::Root, "runsc");
    runsc.arg(format!("--root={}/state", bundle.name()));
    runsc.args(["--platform=ptrace", "--network=none", "--ignore-cgroups"]);
    runsc.args(["run", "--bundle", bundle.name(), container]);
    runsc
}

#[test]
fn in_gvisor() {
    if !can_be_root() || is_left_out("gvisor") {
        return;
    }
    for (index, (name, _, words)) in NAMES.into_iter().enumerate() {
        let program = format!("/bin/{name}");
        let words = [&[&program[..]], words, &["sh", "-c", COMMAND]].concat();
        let bundle = bundle(&words, "CAP_KILL", None);
        let container = format!("rootlet-test-{}-{index}", std::process::id());
        let mut running = Running::start(runsc(&bundle, &container).stderr(Stdio::null()));
        let ready = running.try_line(Duration::from_secs(60));
        assert_eq!(ready.as_deref(), Ok("ready"), "{name}");
        let send = |number: i32| {
            let mut kill = command(User::Root, "runsc");
            kill.arg(format!("--root={}/state", bundle.name()));
            succeed(kill.args(["kill", &container, &number.to_string()]));
        };
        expect_signals(&mut running, name, &send);
    }
    // gVisor lacks mount namespaces, or some of their permissions.
    let words = ["/bin/rootlet", "run", "--no-mounts", "/", "/bin/id"];
    let bundle = bundle(&words, "CAP_KILL CAP_SYS_ADMIN", None);
    let container = format!("rootlet-test-{}-run", std::process::id());
    let ended = end(&mut runsc(&bundle, &container));
    if ended.status != 0 {
        assert_eq!(ended.status, 125, "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 2, "{ended:?}");
        assert!(ended.stderr.contains("gVisor"), "{ended:?}");
    }
}

/// The emulator of this machine's architecture.
fn emulator() -> String {
    format!("qemu-{}-static", std::env::consts::ARCH)
}

#[test]
fn under_qemu_user() {
    for (place, user) in cases() {
        for (name, peer, words) in NAMES {
            let root = Root::empty(user);
            root.symlink(name, rootlet_path());
            let ours = root.path().join(name);
            let theirs = peer.map(|peer| PathBuf::from("/usr/bin").join(peer));
            for (init, is_ours) in [(Some(ours), true), (theirs, false)] {
                let Some(init) = init else { continue };
                let context = format!("{} as {place:?} of {user:?}", init.display());
                let mut run = match place {
                    Place::Subreaper => command(user, emulator()),
                    Place::Pid1 => {
                        let mut unshare = command(user, "unshare");
                        if user == User::Ordinary {
                            unshare.arg("--map-root-user");
                        }
                        unshare.args(["--pid", "--fork", "--kill-child"]);
                        unshare.arg(emulator());
                        unshare
                    }
                };
                run.arg("-0").arg(&init).arg(&init).args(words);
                run.args(["sh", "-c", COMMAND]).stderr(Stdio::null());
                let running = Running::start(&mut run);
                let ready = running.try_line(Duration::from_secs(60));
                // The original program does not have to run here.
                if !is_ours && ready.is_err() {
                    continue;
                }
                assert_eq!(ready.as_deref(), Ok("ready"), "{context}");
                let mut started = Started::find(place, running);
                let pid = started.init;
                expect_signals(&mut started.running, &context, &|number| {
                    common::send_signal(pid, number);
                });
            }
        }
    }
}

#[test]
fn under_qemu_user_a_run_says_why_it_cannot() {
    for user in users() {
        let mut run = command(user, emulator());
        run.arg(rootlet_path())
            .args(["run", "--no-mounts", "/", "true"]);
        let mut running = Running::start(run.stderr(Stdio::piped()));
        let mut status = None;
        wait_until("the end", || {
            status = running.child.try_wait().unwrap();
            status.is_some()
        });
        let mut output = String::new();
        let mut stderr = running.child.stderr.take().unwrap();
        std::io::Read::read_to_string(&mut stderr, &mut output).unwrap();
        assert_eq!(status.unwrap().code(), Some(125), "{output}");
        assert!(output.contains("(qemu-user)"), "{output}");
    }
}
