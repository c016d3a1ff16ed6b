//! The exit status, and the error for a command or a root that cannot be used.

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use super::common::{self, Root, User, end, rootlet, users};

#[test]
fn every_exit_status_is_passed_on() {
    let root = Root::busybox(users()[0]);
    for status in 0..=255 {
        let ended =
            end(&mut root.run(&["--no-mounts", "ROOT", "sh", "-c", &format!("exit {status}")]));
        assert_eq!((ended.status, ended.stderr.as_str()), (status, ""));
    }
}

#[test]
fn a_signal_that_kills_is_128_and_its_number() {
    // SIGCHLD, SIGCONT, SIGURG, SIGWINCH do nothing by default, SIGSTOP to SIGTTOU stop, and 32
    // and 33 belong to libc.
    let others = [17, 18, 19, 20, 21, 22, 23, 28, 32, 33];
    for signal in (1..=64).filter(|signal| !others.contains(signal)) {
        // Not a shell, because those ignore SIGQUIT; perl ignores SIGFPE, but the script resets that.
        let kill = format!("$SIG{{FPE}} = 'DEFAULT'; kill {signal}, $$; sleep 60");
        let mut run = rootlet(users()[0]);
        let ended = end(run.args(["run", "--no-mounts", "/", "perl", "-e", &kill]));
        assert_eq!((ended.status, ended.stderr.as_str()), (128 + signal, ""));
    }
}

#[test]
fn a_missing_command_is_127() {
    for user in users() {
        let root = Root::busybox(user);
        for name in ["nothing", "/bin/nothing", "./nothing", ""] {
            let ended = end(&mut root.run(&["ROOT", name]));
            assert_eq!(ended.status, 127, "{ended:?}");
            let line = format!(
                "rootlet: cannot run{}{name}: No such file or directory (ENOENT)\n",
                if name.is_empty() { "" } else { " " }
            );
            assert!(ended.stderr.starts_with(&line), "{ended:?}");
            assert!(ended.stderr.contains("\nhint: "), "{ended:?}");
        }
    }
}

#[test]
fn a_command_that_cannot_be_executed_is_126() {
    let root = Root::busybox(users()[0]);
    root.file("plain", "no program");
    let foreign = root.script("foreign", "\x7fELF\x02 of a machine that is not this one");
    assert!(foreign.exists());
    for (name, why) in [
        ("/plain", "Permission denied (EACCES)"),
        ("/bin", "Permission denied (EACCES)"),
        ("/foreign", "Exec format error (ENOEXEC)"),
    ] {
        let ended = end(&mut root.run(&["ROOT", name]));
        assert_eq!(ended.status, 126, "{ended:?}");
        assert!(
            ended
                .stderr
                .starts_with(&format!("rootlet: cannot run {name}: {why}\nhint: ")),
            "{ended:?}"
        );
    }
    let ended = end(&mut root.run(&["ROOT", "/foreign"]));
    assert!(
        ended.stderr.contains("not a program for this machine"),
        "{ended:?}"
    );
}

#[test]
fn a_carriage_return_after_the_interpreter_is_named() {
    let cure = "hint: its '#!' line ends with a carriage return, ";
    for user in users() {
        let root = Root::busybox(user);
        for (line, has_one) in [
            ("#!/bin/sh\r\necho\r\n", true),
            ("#! \t/bin/sh\r", true),
            ("#!/bin/busybox\r sh\n", true),
            ("#!/no/such/interpreter\n\r\n", false),
            ("#!/no/such/interpreter -x\r\n", false),
        ] {
            root.script("bin/script", line);
            for name in ["/bin/script", "script"] {
                let ended = end(&mut root.run(&["ROOT", name]));
                assert_eq!(ended.status, 127, "{ended:?}");
                let hint = ended.stderr.lines().nth(1).unwrap();
                assert_eq!(hint.starts_with(cure), has_one, "{line:?} {ended:?}");
            }
            let ended = end(rootlet(user)
                .arg("init")
                .arg(root.path().join("bin/script")));
            assert_eq!(ended.status, 127, "{ended:?}");
            assert_eq!(ended.stderr.contains(cure), has_one, "{line:?} {ended:?}");
        }
        // A blank ends the name: the shell itself finds what follows.
        root.script("bin/script", "#!/bin/sh \r\necho\n");
        let ended = end(&mut root.run(&["ROOT", "script"]));
        assert!(!ended.stderr.contains("hint: "), "{ended:?}");
    }
}

#[test]
fn a_missing_interpreter_is_named() {
    let root = Root::busybox(users()[0]);
    root.script("bin/script", "#!/no/such/interpreter\n");
    for name in ["/bin/script", "script"] {
        let ended = end(&mut root.run(&["ROOT", name]));
        assert_eq!(ended.status, 127, "{ended:?}");
        assert!(ended.stderr.contains("interpreter"), "{ended:?}");
    }
}

#[test]
fn an_unusable_new_root_is_reported() {
    let root = Root::busybox(users()[0]);
    let file = root.file("file", "");
    for (path, why) in [
        ("/no/such/root", "No such file or directory (ENOENT)"),
        (file.to_str().unwrap(), "Not a directory (ENOTDIR)"),
    ] {
        let ended = end(rootlet(User::Root).args(["run", path, "true"]));
        let line = format!("rootlet: cannot open the new root {path}: {why}\n");
        assert_eq!((ended.status, ended.stdout.as_str()), (125, ""));
        assert!(ended.stderr.starts_with(&line), "{ended:?}");
        assert!(ended.stderr.contains("hint: "), "{ended:?}");
    }
}

#[test]
fn an_ignored_sigchld_loses_no_status() {
    let root = Root::busybox(users()[0]);
    let mut command = root.run(&["ROOT", "sh", "-c", "true; sh -c 'exit 4'; exit $(($? + 1))"]);
    // SAFETY: signal(2) is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            ignore_sigchld();
            Ok(())
        })
    };
    assert_eq!(end(&mut command).status, 5);
}

fn ignore_sigchld() {
    unsafe extern "C" {
        fn signal(signal: i32, action: usize) -> usize;
    }
    const SIG_IGN: usize = 1;
    // SAFETY: no handler is installed.
    unsafe { signal(17, SIG_IGN) };
}

#[test]
fn a_mount_point_that_cannot_be_removed_does_not_cost_the_status() {
    if !common::can_be_root() {
        return;
    }
    // As an ordinary user inside a directory that the command makes unwritable, with pid 1, which
    // could still remove it, killed.
    let root = Root::busybox(User::Ordinary);
    root.directory("closed");
    let script = "chmod 500 /closed; touch /ready; sleep 1000";
    let mut run = root.run(&["-B", "tmpfs:/closed/point", "ROOT", "sh", "-c", script]);
    let child = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    common::wait_until("the command runs", || root.path().join("ready").exists());
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let pid1 = std::fs::read_to_string(children)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let pid1 = rustix::process::Pid::from_raw(pid1).unwrap();
    rustix::process::kill_process(pid1, rustix::process::Signal::KILL).unwrap();
    let ended = common::Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.status, 137, "{ended:?}");
    let line = "rootlet: cannot remove the mount point /closed/point: Permission denied (EACCES)\n";
    assert_eq!(ended.stderr, line);
}

#[test]
fn a_machine_that_forbids_namespaces_gets_the_hint_that_fits() {
    if !common::can_be_root() {
        return;
    }
    // The kernel makes no user namespace in a chroot.
    let root = Root::busybox(User::Root);
    common::copy_program(common::rootlet_path(), root.path().join("rootlet"));
    let mut command = common::command(User::Root, "chroot");
    let ended = end(command
        .arg("--userspec=54321:54321")
        .arg(root.path())
        .args(["/rootlet", "run", "/", "sh"]));
    assert_eq!(ended.status, 125);
    let line = "rootlet: cannot make new namespaces: Operation not permitted (EPERM)\nhint: the kernel creates no user namespace in a chroot";
    assert!(ended.stderr.starts_with(line), "{ended:?}");

    // A limit of 0, which a user namespace may set for itself.
    let script = "echo 0 >/proc/sys/user/max_user_namespaces; \
                  exec setpriv --inh-caps=-all --bounding-set=-all \"$0\" run / true";
    let mut command = common::command(User::Ordinary, "unshare");
    let ended = end(command
        .args(["-Ur", "sh", "-c", script])
        .arg(common::rootlet_path()));
    assert_eq!(ended.status, 125);
    let line = "rootlet: cannot make new namespaces: No space left on device (ENOSPC)\nhint: the limit on namespaces";
    assert!(ended.stderr.starts_with(line), "{ended:?}");

    // Maps cannot be written without proc.
    let script = "mount -t tmpfs tmpfs /proc; exec setpriv --reuid 54321 --regid 54321 --clear-groups \"$0\" run / true";
    let mut command = common::command(User::Root, "unshare");
    let ended = end(command
        .args(["-m", "sh", "-c", script])
        .arg(common::rootlet_path()));
    assert_eq!(ended.status, 125);
    let line = "rootlet: cannot write /proc/self/setgroups: No such file or directory (ENOENT)\nhint: /proc must be mounted";
    assert!(ended.stderr.starts_with(line), "{ended:?}");
}

#[test]
fn a_lack_of_memory_is_reported() {
    let user = users()[0];
    let root = Root::busybox(user);
    // More than the memory that the program begins with.
    let long = "x".repeat(100_000);
    let run = root.run(&["ROOT", "true", &long, &long, &long, &long]);
    let mut strace = common::command(user, "strace");
    strace.args(["-qq", "-o", "/dev/null", "-e", "inject=mmap:error=ENOMEM"]);
    let ended = end(strace.arg(run.get_program()).args(run.get_args()));
    let line = "rootlet: cannot get memory: Cannot allocate memory (ENOMEM)\n";
    assert_eq!((ended.status, &ended.stderr[..]), (125, line));
}

#[test]
fn an_interrupted_report_does_not_lose_the_status() {
    for user in users() {
        let root = Root::busybox(user);
        let run = root.run(&["ROOT", "sh", "-c", "exit 7"]);
        for number in 1..=3 {
            let mut strace = common::command(user, "strace");
            strace.args(["-f", "-q", "-o", "/dev/null", "-e", "trace=sendto", "-e"]);
            strace.arg(format!("inject=sendto:error=EINTR:when={number}"));
            let ended = end(strace.arg(run.get_program()).args(run.get_args()));
            assert_eq!((ended.status, &ended.stderr[..]), (7, ""), "{number}");
        }
    }
}
