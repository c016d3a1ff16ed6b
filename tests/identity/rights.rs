//! Capabilities and rights: what the binary refuses, and what the command gives up for good.

use std::process::Command;

use super::STATUS;
use super::common::{
    self, Root, User, can_be_root, command, copy_program, end, rootlet_path, succeed, users,
};

/// A copy of rootlet in a directory where an ordinary user can execute it, prepared by a command.
fn copy_with_rights(prepare: &[&str]) -> Root {
    let root = Root::empty(User::Root);
    let copy = root.path().join("rootlet");
    copy_program(rootlet_path(), &copy);
    let [program, arguments @ ..] = prepare else {
        return root;
    };
    let mut prepare = Command::new(program);
    let prepared = prepare.args(arguments).arg(&copy).output();
    let prepared = prepared
        .unwrap_or_else(|_| panic!("{program} is missing: apt-get install libcap2-bin coreutils"));
    assert!(prepared.status.success(), "{prepared:?}");
    root
}

#[test]
fn a_copy_with_rights_of_its_own_refuses_to_run() {
    if !can_be_root() {
        return;
    }
    let line = "rootlet: refuses to run as a set-user-ID or set-group-ID program or one with \
                file capabilities, since every user who starts it would get these rights: chmod ug-s, \
                setcap -r\n";
    for prepare in [
        &["chmod", "4755"][..],
        &["chmod", "2755"],
        &["setcap", "cap_sys_admin+ep"],
        &["setcap", "cap_net_raw+p"],
    ] {
        let place = copy_with_rights(prepare);
        let copy = place.path().join("rootlet");
        for role in [
            &["run", "/", "id"][..],
            &["init", "--", "id"],
            &["--version"],
        ] {
            let ended = end(command(User::Ordinary, &copy).args(role));
            let printed = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
            assert_eq!(printed, (125, "", line), "{prepare:?} {role:?}");
        }
        // A user who has the rights anyway may use it.
        succeed(command(User::Root, &copy).args(["run", "/", "id"]));
    }
}

#[test]
fn rights_that_the_file_does_not_give_are_accepted() {
    if !can_be_root() {
        return;
    }
    let place = copy_with_rights(&[]);
    let copy = place.path().join("rootlet");
    // A user with ambient capabilities.
    let mut run = command(User::Root, "setpriv");
    run.args(["--reuid=54321", "--regid=54321", "--clear-groups"]);
    run.args(["--inh-caps=+net_raw", "--ambient-caps=+net_raw"]);
    succeed(run.arg(&copy).args(["init", "--", "true"]));
    // A set-user-ID bit that no_new_privs keeps from working.
    let place = copy_with_rights(&["chmod", "4755"]);
    let mut run = command(User::Ordinary, "setpriv");
    let copy = place.path().join("rootlet");
    succeed(
        run.arg("--no-new-privs")
            .arg(copy)
            .args(["init", "--", "true"]),
    );
}

/// The same of the process that another program makes of the same user: as root, or as root of a
/// user namespace.
fn oracle(user: User, words: &[&str]) -> String {
    let mut command = match user {
        User::Root => command(user, "env"),
        User::Ordinary => {
            let mut command = command(user, "unshare");
            command.args(["-U", "-r"]);
            command
        }
    };
    succeed(command.args(words).args(["sh", "-c", STATUS]))
}

fn status_in(user: User, options: &[&str]) -> String {
    let mut run = common::rootlet(user);
    run.arg("run").args(options).args(["/", "sh", "-c", STATUS]);
    succeed(&mut run)
}

#[test]
fn rights_are_dropped_as_setpriv_drops_them() {
    for user in users() {
        let plain = status_in(user, &[]);
        assert_eq!(plain, oracle(user, &[]), "{user:?}");
        assert!(!plain.contains("CapBnd:\t0000000000000000"), "{plain}");
        for (options, setpriv) in [
            (&["--no-new-privs"][..], &["--no-new-privs"][..]),
            (
                &["--drop-caps", "all"],
                &["--bounding-set=-all", "--inh-caps=-all"],
            ),
            (
                &[
                    "--drop-caps=net_raw,CAP_SYS_ADMIN",
                    "--drop-caps",
                    "Cap_Mknod",
                ],
                &[
                    "--bounding-set=-net_raw,-sys_admin,-mknod",
                    "--inh-caps=-all",
                ],
            ),
            (
                &["--drop-caps", "setpcap,chown", "--no-new-privs"],
                &["--bounding-set=-setpcap,-chown", "--no-new-privs"],
            ),
        ] {
            let seen = status_in(user, options);
            let expected = oracle(user, &[&["setpriv"], setpriv].concat());
            assert_eq!(seen, expected, "{user:?} {options:?}");
            assert_ne!(seen, plain, "{user:?} {options:?}");
        }
    }
}

#[test]
fn a_command_cannot_regain_dropped_rights() {
    for user in users() {
        let mut run = common::rootlet(user);
        run.args(["run", "--drop-caps=all", "/"]);
        run.args([
            "sh",
            "-c",
            "chown 1:1 /proc/self/fd/1; mount -t tmpfs none /mnt; echo $?",
        ]);
        let ended = end(&mut run);
        assert!(ended.stdout.trim() != "0" && ended.status == 0, "{ended:?}");
        if user == User::Ordinary {
            continue;
        }
        // To give up what is gone already takes no right, what is there CAP_SETPCAP.
        let mut run = command(User::Root, "setpriv");
        run.args(["--bounding-set=-setpcap,-net_raw"])
            .arg(rootlet_path());
        run.args(["run", "--drop-caps=net_raw", "/", "true"]);
        succeed(&mut run);
        let mut run = command(User::Root, "setpriv");
        run.args(["--bounding-set=-setpcap"]).arg(rootlet_path());
        let ended = end(run.args(["run", "--drop-caps=net_raw", "/", "true"]));
        let line = "rootlet: cannot drop capabilities: Operation not permitted (EPERM)\nhint: ";
        assert!(
            ended.status == 125 && ended.stderr.starts_with(line),
            "{ended:?}"
        );
    }
}

#[test]
fn inheritable_and_ambient_capabilities_of_the_caller_go_no_further() {
    if !can_be_root() {
        return;
    }
    let list = "caps=+sys_admin,+sys_chroot,+net_raw";
    let rights = [&format!("--inh-{list}"), &format!("--ambient-{list}")];
    let ordinary = ["--reuid=54321", "--regid=54321", "--clear-groups"];
    for who in [&[][..], &ordinary] {
        let mut run = command(User::Root, "setpriv");
        run.args(who).args(rights).arg(rootlet_path());
        let shown = succeed(run.args(["run", "/", "sh", "-c", STATUS]));
        for set in ["CapInh", "CapAmb"] {
            assert!(
                shown.contains(&format!("{set}:\t0000000000000000")),
                "{shown}"
            );
        }
        assert!(
            who.is_empty() || shown.contains("CapEff:\t0000000000000000"),
            "{shown}"
        );
    }
    // Also where a user namespace is made.
    let mut run = command(User::Root, "setpriv");
    run.args(ordinary)
        .args(["--inh-caps=+net_raw", "--ambient-caps=+net_raw"]);
    let shown = succeed(
        run.arg(rootlet_path())
            .args(["run", "/", "sh", "-c", STATUS]),
    );
    for set in ["CapInh", "CapAmb"] {
        assert!(
            shown.contains(&format!("{set}:\t0000000000000000")),
            "{shown}"
        );
    }
}

#[test]
fn an_unknown_capability_is_an_error() {
    for (list, word) in [("", ""), ("net_raw,", ""), ("net_raw,nothing", "nothing")] {
        let mut run = common::rootlet(users()[0]);
        let ended = end(run.args(["run", "--drop-caps", list, "/", "true"]));
        let line = format!("rootlet: --drop-caps: '{word}' is not a capability: ");
        assert!(
            ended.status == 125 && ended.stderr.starts_with(&line),
            "{ended:?}"
        );
    }
}

#[test]
fn a_dry_run_shows_the_dropped_rights() {
    let mut run = common::rootlet(users()[0]);
    run.args([
        "run",
        "-n",
        "--no-mounts",
        "--drop-caps=BPF,cap_chown",
        "--no-new-privs",
    ]);
    let shown = succeed(run.args(["/", "true"]));
    let lines = "without    chown,bpf\nwithout    new privileges\n";
    assert!(shown.contains(lines), "{shown}");
}
