//! The surroundings of the command: its root, directory, descriptors, host name and namespaces.

use std::process::Stdio;

use super::common::{self, Root, User, end, rootlet, succeed, users};

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
fn the_path_is_searched_as_execvp_does() {
    let root = Root::busybox(users()[0]);
    root.file("first/tool", "not executable");
    root.script("second/tool", "#!/bin/sh\necho second\n");
    root.file("not-a-directory", "");
    let mut run = root.run(&["ROOT", "tool"]);
    run.env("PATH", "/missing:/not-a-directory:/first:/second");
    assert_eq!(succeed(&mut run), "second\n");

    // A command that exists but is forbidden is reported if no better one follows.
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
fn the_command_starts_in_the_given_directory() {
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
fn a_removed_current_directory_does_no_harm() {
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
fn closed_standard_descriptors_do_no_harm() {
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
fn processes_left_by_the_command_end_with_it() {
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
