//! `rootlet run`: the command, its status, its surroundings.

#![allow(missing_docs)]

mod common;

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use common::{Root, User, end, is_root, rootlet, succeed, users};

#[test]
fn a_new_root_is_the_commands_whole_world() {
    for user in users() {
        let root = Root::busybox(user);
        root.file("inside", "");
        let seen =
            succeed(&mut root.run(&["ROOT", "sh", "-c", "echo $$; pwd; ls /; cat /proc/1/comm"]));
        assert_eq!(
            seen, "2\n/\nbin\ndev\netc\ninside\nproc\nsys\nrootlet\n",
            "{user:?}"
        );
    }
}

#[test]
fn the_hosts_own_root_works() {
    for user in users() {
        let mut command = rootlet(user);
        command.args([
            "run",
            "/",
            "sh",
            "-c",
            "echo pid $$; test -d /proc/1 && test -d /sys/class",
        ]);
        assert_eq!(succeed(&mut command), "pid 2\n", "{user:?}");
    }
}

#[test]
fn every_exit_status_comes_through() {
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
        // Not a shell, because those ignore SIGQUIT; perl ignores SIGFPE, but can be told not to.
        let kill = format!("$SIG{{FPE}} = 'DEFAULT'; kill {signal}, $$; sleep 60");
        let mut run = rootlet(users()[0]);
        let ended = end(run.args(["run", "--no-mounts", "/", "perl", "-e", &kill]));
        assert_eq!((ended.status, ended.stderr.as_str()), (128 + signal, ""));
    }
}

#[test]
fn a_command_that_is_not_there_is_127() {
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
    assert!(ended.stderr.contains("another architecture"), "{ended:?}");
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
fn the_path_is_searched_as_execvp_does() {
    let root = Root::busybox(users()[0]);
    root.file("first/tool", "not executable");
    root.script("second/tool", "#!/bin/sh\necho second\n");
    root.file("not-a-directory", "");
    let mut run = root.run(&["ROOT", "tool"]);
    run.env("PATH", "/missing:/not-a-directory:/first:/second");
    assert_eq!(succeed(&mut run), "second\n");

    // What is there but forbidden is told when nothing better follows.
    let mut run = root.run(&["ROOT", "tool"]);
    let ended = end(run.env("PATH", "/first:/missing"));
    assert_eq!(ended.status, 126, "{ended:?}");

    // An empty component is the working directory.
    let mut run = root.run(&["-C", "/second", "ROOT", "tool"]);
    assert_eq!(succeed(run.env("PATH", ":/missing")), "second\n");

    // Without PATH the usual directories are searched.
    let mut run = root.run(&["ROOT", "true"]);
    assert_eq!(succeed(run.env_remove("PATH")), "");
}

#[test]
fn a_script_without_a_first_line_runs_in_the_shell() {
    let root = Root::busybox(users()[0]);
    root.script("bin/bare", "echo \"$0 $1 $2\"\n");
    assert_eq!(
        succeed(&mut root.run(&["ROOT", "bare", "a b", "c"])),
        "/bin/bare a b c\n"
    );
    assert_eq!(
        succeed(&mut root.run(&["ROOT", "/bin/bare", "1"])),
        "/bin/bare 1 \n"
    );
}

#[test]
fn without_a_command_the_callers_shell_runs_else_bin_sh() {
    let root = Root::busybox(users()[0]);
    root.script("bin/my-shell", "#!/bin/sh\necho \"my shell $1\"\n");
    for words in [&["ROOT"][..], &["ROOT", "--"]] {
        let mut run = root.run(words);
        assert_eq!(succeed(run.env("SHELL", "/bin/my-shell")), "my shell -i\n");
    }
    for shell in ["/bin/not-in-this-root", ""] {
        let mut run = root.run(&["ROOT"]);
        let ended = end(run.env("SHELL", shell).stdin(Stdio::null()));
        assert_eq!(ended.status, 0, "{ended:?}");
    }
}

#[test]
fn the_environment_and_arguments_are_passed_as_they_are() {
    let root = Root::busybox(users()[0]);
    let mut run = root.run(&["ROOT", "sh", "-c", "echo \"$STRANGE\""]);
    assert_eq!(succeed(run.env("STRANGE", "a\nb = c")), "a\nb = c\n");
    let script = "for word; do echo \"[$word]\"; done";
    let printed =
        succeed(&mut root.run(&["ROOT", "sh", "-c", script, "sh", "", " ", "--help", "-n"]));
    assert_eq!(printed, "[]\n[ ]\n[--help]\n[-n]\n");
}

#[test]
fn the_command_starts_where_it_was_told() {
    for user in users() {
        let root = Root::busybox(user);
        let deep = root.directory("deep/er");
        let pwd = |options: &[&str], cwd: &std::path::Path| {
            let words = [options, &["ROOT", "pwd"]].concat();
            end(root.run(&words).current_dir(cwd))
        };
        assert_eq!(pwd(&[], &deep).stdout, "/\n");
        assert_eq!(pwd(&["-C", "deep/er"], &deep).stdout, "/deep/er\n");
        assert_eq!(pwd(&["--chdir=/deep"], &deep).stdout, "/deep\n");
        assert_eq!(
            pwd(&["--skip-chdir"], &deep).stdout,
            "/deep/er\n",
            "below the new root"
        );
        assert_eq!(pwd(&["--skip-chdir"], root.path()).stdout, "/\n");
        assert_eq!(
            pwd(&["--skip-chdir"], "/dev".as_ref()).stdout,
            "/dev\n",
            "the same path"
        );
        let ended = pwd(&["-C", "/nowhere"], &deep);
        let line = "rootlet: cannot change to the directory /nowhere: No such file or directory (ENOENT)\n";
        assert_eq!((ended.status, ended.stdout.as_str()), (125, ""));
        assert!(ended.stderr.starts_with(line), "{ended:?}");
        // The relative NEWROOT of a caller inside it.
        let mut command = rootlet(user);
        command
            .current_dir(&deep)
            .args(["run", "--skip-chdir", "../..", "pwd"]);
        assert_eq!(succeed(&mut command), "/deep/er\n");
    }
}

#[test]
fn a_current_directory_that_is_gone_is_no_obstacle() {
    for user in users() {
        let root = Root::busybox(user);
        let gone = Root::empty(user);
        let mut command = common::command(user, "sh");
        let script = "rmdir \"$2\" && exec \"$0\" run \"$1\" pwd";
        let cwd = gone.directory("gone");
        command.current_dir(&cwd).args(["-c", script]);
        command
            .arg(common::rootlet_path())
            .arg(root.path())
            .arg(&cwd);
        assert_eq!(succeed(&mut command), "/\n");
    }
}

#[test]
fn a_root_with_spaces_and_newlines_in_its_name_works() {
    for user in users() {
        let outer = Root::empty(user);
        let strange = outer.directory("a b\nc\td");
        std::fs::create_dir(strange.join("bin")).unwrap();
        common::copy_program("/bin/busybox", strange.join("bin/sh"));
        outer.own("a b\nc\td/bin");
        let mut command = rootlet(user);
        command
            .arg("run")
            .arg(&strange)
            .args(["sh", "-c", "echo here"]);
        assert_eq!(succeed(&mut command), "here\n");
        // One error is one line, whatever the name.
        let ended = end(rootlet(user).arg("run").arg(strange.join("no\nroot")));
        assert_eq!(ended.stderr.lines().count(), 2, "{ended:?}");
        assert!(ended.stderr.contains("no\\x0aroot"), "{ended:?}");
    }
}

#[test]
fn a_new_root_that_is_none_is_told() {
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
fn the_host_name_is_set_inside_only_and_a_full_one_sets_the_domain_too() {
    for user in users() {
        let root = Root::busybox(user);
        let files = "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname";
        let before = rustix::system::uname();
        let names = |name| succeed(&mut root.run(&["--hostname", name, "ROOT", "sh", "-c", files]));
        assert_eq!(names("build.example.org"), "build\nexample.org\n");
        let domain = before.domainname().to_str().unwrap().to_owned();
        assert_eq!(names("build"), format!("build\n{domain}\n"));
        let after = rustix::system::uname();
        assert_eq!(before.nodename(), after.nodename());
        assert_eq!(before.domainname(), after.domainname());
        let long = "x".repeat(65);
        let ended = end(&mut root.run(&["--hostname", &long, "ROOT", "true"]));
        assert_eq!(ended.status, 125);
        assert!(
            ended
                .stderr
                .starts_with("rootlet: cannot set the host name x"),
            "{ended:?}"
        );
    }
}

#[test]
fn only_the_standard_descriptors_reach_the_command() {
    for user in users() {
        let root = Root::busybox(user);
        let mut command = common::command(user, "bash");
        let script = "exec 7</ 9>/dev/null 200</etc; exec \"$0\" run \"$1\" sh -c 'echo /proc/self/fd/*; echo /proc/1/fd/*'";
        command
            .args(["-c", script])
            .arg(common::rootlet_path())
            .arg(root.path());
        let shown = succeed(&mut command);
        let mut lines = shown.lines();
        // The shell expands the pattern itself, through a descriptor of its own.
        let own = lines.next().unwrap();
        assert!(
            own.starts_with("/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"),
            "{shown}"
        );
        assert!(
            !own.contains("fd/7") && !own.contains("fd/9") && !own.contains("fd/200"),
            "{shown}"
        );
        let pid1 = lines.next().unwrap();
        assert!(!pid1.contains("fd/200"), "{shown}");
    }
}

#[test]
fn closed_standard_descriptors_are_no_obstacle() {
    for user in users() {
        let root = Root::busybox(user);
        for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"] {
            let mut command = common::command(user, "sh");
            let script = format!(
                "exec \"$0\" run \"$1\" sh -c 'cat >/dev/null; ls /proc/self/fd | wc -l >/count; exit 7' {closed}"
            );
            command
                .args(["-c", &script])
                .arg(common::rootlet_path())
                .arg(root.path());
            let ended = end(&mut command);
            assert_eq!(ended.status, 7, "{closed}: {ended:?}");
            let count = std::fs::read_to_string(root.path().join("count")).unwrap();
            assert_eq!(
                count.trim(),
                "4",
                "0, 1, 2 and the one that ls reads with: {closed}"
            );
        }
    }
}

#[test]
fn what_the_command_leaves_running_ends_with_it() {
    for user in users() {
        let root = Root::busybox(user);
        let mark = root.name();
        let script = format!("sh -c 'sleep 1000 # {mark}' >/dev/null 2>&1 & exit 5");
        let ended = end(&mut root.run(&["ROOT", "sh", "-c", &script]));
        assert_eq!(ended.status, 5);
        assert_eq!(common::processes_with(mark), [0; 0]);
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
fn an_ordinary_user_is_root_inside_and_keeps_the_network() {
    let root = Root::busybox(User::Ordinary);
    let script = "id -u; id -g; cat /proc/self/setgroups; readlink /proc/self/ns/net";
    let shown = succeed(&mut root.run(&["ROOT", "sh", "-c", script]));
    let network = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(shown, format!("0\n0\ndeny\n{}\n", network.display()));
}

#[test]
fn the_namespaces_are_new() {
    for user in users() {
        let root = Root::busybox(user);
        for (name, is_new) in [
            ("mnt", true),
            ("uts", true),
            ("ipc", true),
            ("pid", true),
            ("net", false),
        ] {
            let link = format!("/proc/self/ns/{name}");
            let inside = succeed(&mut root.run(&["ROOT", "readlink", &link]));
            let outside = std::fs::read_link(&link).unwrap();
            assert_eq!(
                inside.trim() != outside.to_str().unwrap(),
                is_new,
                "{name} {user:?}"
            );
        }
    }
}

#[test]
fn called_as_pychroot_it_runs() {
    let root = Root::busybox(users()[0]);
    let link = root.path().join("pychroot");
    std::os::unix::fs::symlink(common::rootlet_path(), &link).unwrap();
    let user = if is_root() {
        User::Root
    } else {
        User::Ordinary
    };
    let mut command = common::command(user, &link);
    assert_eq!(
        succeed(command.arg(root.path()).args(["echo", "hello"])),
        "hello\n"
    );
}

#[test]
fn a_wrong_command_line_says_what_to_type() {
    for (words, line) in [
        (&[][..], "rootlet: missing ROLE: run, init or boot\n"),
        (
            &["run"],
            "rootlet: missing NEWROOT: rootlet run [OPTION]... NEWROOT [COMMAND [ARG]...]\n",
        ),
        (
            &["/srv/root", "true"],
            "rootlet: '/srv/root' is not a role: run, init or boot\n",
        ),
        (
            &["run", "--bogus", "/"],
            "rootlet: --bogus: no such option\n",
        ),
        (&["run", "-nz", "/"], "rootlet: -z: no such option\n"),
        (&["run", "--bind"], "rootlet: --bind: needs a value\n"),
        (&["run", "-B"], "rootlet: -B: needs a value\n"),
        (
            &["run", "--no-mounts=x", "/"],
            "rootlet: --no-mounts: takes no value\n",
        ),
        (
            &["run", "-B", "/a:/b:zz", "/"],
            "rootlet: -B: '/a:/b:zz' has an unknown OPT: it can be ro, rw, rec, optional, noidmap, nosuid, nodev, noexec, noatime, nodiratime, strictatime, nosymfollow and their opposites; others are for file systems\n",
        ),
        (
            &["run", "", "true"],
            "rootlet: NEWROOT: '' is not the path of a directory\n",
        ),
        (
            &["run", "--chdir=", "/", "true"],
            "rootlet: --chdir: '' is not the path of a directory\n",
        ),
        (
            &["run", "-bind", "/srv", "/"],
            "rootlet: -bind: no such option; write --bind\n",
        ),
        (
            &["run", "-vE", "=", "/"],
            "rootlet: -E: '=' is not NAME=VALUE or NAME\n",
        ),
        (
            &["run", "--keep-fd=x\n\u{1b}", "/"],
            "rootlet: --keep-fd: 'x\\x0a\\x1b' is not the number of a descriptor\n",
        ),
        (
            &["help", "me"],
            "rootlet: 'me' is not a role of this rootlet: run, init or boot\n",
        ),
        (
            &["--version", "run"],
            "rootlet: --version: must be the only word, but 'run' follows\n",
        ),
        (
            &["boot", "now"],
            "rootlet: 'now' is not an option of boot, which takes its parameters from the kernel command line\n",
        ),
        (
            &["run", "-B", "tmpfs", "/"],
            "rootlet: -B: 'tmpfs' needs a DEST: tmpfs:DEST\n",
        ),
        (
            &["run", "-B", ":/b", "/"],
            "rootlet: -B: ':/b' has no SRC\n",
        ),
        (
            &["run", "-B", "$UNSET:/b", "/"],
            "rootlet: -B: '$UNSET:/b' names a variable that is not set; the option 'optional' leaves the mount out then\n",
        ),
    ] {
        let ended = end(rootlet(users()[0]).args(words));
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (125, ""),
            "{words:?}"
        );
        assert!(ended.stderr.starts_with(line), "{words:?}: {ended:?}");
    }
}

#[test]
fn options_take_their_values_in_every_usual_way() {
    let root = Root::busybox(users()[0]);
    root.directory("here");
    for options in [
        &["-C/here"][..],
        &["-C", "/here"],
        &["-vC/here"],
        &["--chdir=/here"],
        &["--chdir", "/here"],
        &["-C", "/here", "--"],
    ] {
        let words = [options, &["ROOT", "pwd"]].concat();
        assert_eq!(end(&mut root.run(&words)).stdout, "/here\n", "{options:?}");
    }
}

#[test]
fn help_fits_a_screen() {
    for words in [
        &["--help"][..],
        &["help"],
        &["-h"],
        &["run", "--help"],
        &["help", "run"],
        &["run", "-h"],
    ] {
        let help = succeed(rootlet(users()[0]).args(words));
        assert!(help.starts_with("Usage: rootlet run [OPTION]... NEWROOT [COMMAND [ARG]...]\n"));
        assert!(help.lines().all(|line| line.len() <= 80), "{help}");
        for section in help
            .split("\n\n")
            .filter(|section| section.contains("\n  -"))
        {
            assert!(section.lines().count() <= 24, "{section}");
        }
    }
    let version = succeed(rootlet(users()[0]).arg("--version"));
    assert_eq!(version, format!("rootlet {}\n", env!("CARGO_PKG_VERSION")));
    // Full or closed standard output is not success.
    let mut command = rootlet(users()[0]);
    let full = std::fs::File::create("/dev/full").unwrap();
    let ended = end(command.arg("--help").stdout(full));
    let line = "rootlet: cannot write to standard output: No space left on device (ENOSPC)\n";
    assert_eq!((ended.status, ended.stderr.as_str()), (125, line));
}

#[test]
fn verbose_says_each_step_on_standard_error() {
    let root = Root::busybox(users()[0]);
    let ended = end(&mut root.run(&[
        "-v",
        "--no-mounts",
        "-B",
        "tmpfs:/new",
        "ROOT",
        "echo",
        "done",
    ]));
    assert_eq!(ended.stdout, "done\n");
    let mut earlier = 0.0;
    let mut steps = Vec::new();
    for line in ended.stderr.lines() {
        let told = line
            .strip_prefix("rootlet: [")
            .and_then(|line| line.split_once("] "));
        let (time, step) = told.unwrap();
        // Seconds, with microseconds.
        assert_eq!(time.split_once('.').unwrap().1.len(), 6, "{line}");
        let time: f64 = time.parse().unwrap();
        assert!((earlier..60.0).contains(&time), "{line}");
        earlier = time;
        steps.push(step);
    }
    let expected = [
        "make the mount point /new",
        "mount tmpfs on /new",
        "enter the new root",
        "run echo",
    ];
    assert_eq!(steps, expected);
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
    let line = "rootlet: cannot make new namespaces: Operation not permitted (EPERM)\nhint: the kernel makes no user namespace in a chroot";
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
fn a_mount_point_that_cannot_be_removed_does_not_cost_the_status() {
    if !common::can_be_root() {
        return;
    }
    // As an ordinary user inside a directory that the command makes unwritable, with pid 1, which
    // could remove it all the same, killed.
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
fn runs_can_be_nested() {
    for user in users() {
        let mut command = rootlet(user);
        command.args(["run", "/"]).arg(common::rootlet_path());
        command.args(["run", "/", "sh", "-c", "echo pid $$; exit 3"]);
        let ended = end(&mut command);
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (3, "pid 2\n"),
            "{ended:?}"
        );
    }
}

#[test]
fn memory_that_cannot_be_had_is_told() {
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
