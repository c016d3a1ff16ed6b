//! Rights that a command must not gain after it gave them up, or in a root that is not trusted.

mod common;

use std::os::unix::process::CommandExt;

use common::hostile::outer_namespace;
use common::{Ended, Root, User, can_be_root, command, end, is_root, rootlet_path, succeed, users};

/// A root whose files assign ids and groups to names and numbers that have none on the host.
fn root_that_gives(user: User) -> Root {
    let root = Root::busybox(user);
    root.file(
        "etc/passwd",
        "root:x:0:6::/evil:/evil\nnobody:x:65534:6::/evil:/evil\nzero:x:00:6::/evil:/evil\n\
         1000:x:0:0::/evil:/evil\nalice:x:1000:6::/evil:/evil\n",
    );
    root.file(
        "etc/group",
        "root:x:42:root\ndisk:x:6:root,nobody,1000,alice,zero\ndocker:x:999:root,nobody,alice\n\
         0:x:6:root\n1000:x:6:alice\n",
    );
    root
}

/// Ids, groups, and the variables of an account.
const WHO: &str = "grep -E '^(Uid|Gid|Groups):' /proc/self/status; \
                   echo \"$HOME $SHELL ${USER-none} ${LOGNAME-none}\"";

fn who(root: &Root, options: &[&str]) -> Ended {
    let mut run = root.run(&[options, &["ROOT", "sh", "-c", WHO]].concat());
    for variable in ["HOME", "SHELL", "USER", "LOGNAME"] {
        run.env(variable, "/caller");
    }
    end(&mut run)
}

fn shown(user: &str, group: &str, groups: &str) -> String {
    let four = |id: &str| [id; 4].join("\t");
    let groups: String = groups
        .split_terminator(',')
        .map(|group| format!("{group} "))
        .collect();
    // The kernel prints a blank after an empty list too.
    let groups = if groups.is_empty() { " " } else { &groups };
    let (user, group) = (four(user), four(group));
    format!("Uid:\t{user}\nGid:\t{group}\nGroups:\t{groups}\n/ /bin/sh none none\n")
}

#[test]
fn a_number_takes_nothing_from_the_files_of_the_root() {
    if !can_be_root() {
        return;
    }
    let root = root_that_gives(User::Root);
    for (options, user, group, groups) in [
        (&["-u", "65534"][..], "65534", "65534", ""),
        (&["-u", "0"], "0", "0", ""),
        (&["-u", "00"], "0", "0", ""),
        (&["-u", "1000"], "1000", "1000", ""),
        (&["-u", "0001000"], "1000", "1000", ""),
        (&["-u", "65534:65533"], "65534", "65533", ""),
        (&["-u", "65534:0"], "65534", "0", ""),
        // Groups by name, because the caller asks for them.
        (&["-u", "65534:docker"], "65534", "999", ""),
        (&["-u", "1000", "-G", "docker,7"], "1000", "1000", "7,999"),
        (&["-u", "1000", "-G", "1000"], "1000", "1000", "1000"),
        (&["-u", "1000", "-G", ""], "1000", "1000", ""),
    ] {
        let ended = who(&root, options);
        assert_eq!(
            ended.stdout,
            shown(user, group, groups),
            "{options:?}: {ended:?}"
        );
        // The plan shows the same.
        let plan = succeed(&mut root.run(&[options, &["-n", "ROOT", "true"]].concat()));
        let groups = if groups.is_empty() { "none" } else { groups };
        let lines = format!("\nuser       {user}:{group}\ngroups     {groups}\n");
        assert!(plan.contains(&lines), "{options:?}: {plan}");
    }
}

#[test]
fn a_number_does_not_look_at_the_files_of_the_root() {
    for user in users() {
        let root = Root::busybox(user);
        root.directory("etc/passwd");
        root.symlink("etc/group", "group");
        let ended = who(&root, &["-u", "0"]);
        assert_eq!(ended.stdout, shown("0", "0", ""), "{ended:?}");
    }
}

/// The groups of such a user cannot be changed. A user given by name is an error, because it has
/// other groups in the files.
#[test]
fn a_user_namespace_with_one_user_has_user_0_whatever_the_files_say() {
    let root = root_that_gives(User::Ordinary);
    for zero in ["0", "00", "0:0"] {
        let ended = who(&root, &["-u", zero]);
        assert_eq!(ended.stdout, shown("0", "0", ""), "{zero}: {ended:?}");
    }
    assert_eq!(who(&root, &["-u", "root"]).status, 125);
}

/// Runs rootlet with these words from a session keyring that holds a key, and `fill` more. The
/// command prints its view of the key. Each test uses its own ordinary user, because a user has
/// room for few keys.
fn read_key(user: User, test: u32, fill: u32, options: &[&str]) -> Ended {
    let (keyctl, add_key) = (sc::nr::KEYCTL, sc::nr::ADD_KEY);
    // 1: KEYCTL_JOIN_SESSION_KEYRING; 10: KEYCTL_SEARCH; 11: KEYCTL_READ; -3: the session keyring.
    let outside = format!(
        "my ($kind, $name, $payload) = qw(user rootlet swordfish);
         syscall({keyctl}, 1, 0) >= 0 or print qq(no keys: $!\n);
         $ENV{{KEY}} = syscall({add_key}, $kind, $name, $payload, length $payload, -3);
         for (1..{fill}) {{ my $other = qq($_); syscall({add_key}, $kind, $other, $payload, 1, -3) }}
         exec @ARGV"
    );
    let inside = format!(
        "my ($kind, $name, $room) = (qw(user rootlet), ' ' x 64);
         my $found = syscall({keyctl}, 10, -3, $kind, $name, 0);
         my $length = syscall({keyctl}, 11, $ENV{{KEY}} + 0, $room, 64);
         print $found >= 0 ? 'found' : 'not found', $length >= 0 ? substr($room, 0, $length) : ''"
    );
    let mut perl = command(user, "perl");
    if is_root() && user == User::Ordinary {
        let id = 100_000 + 4 * std::process::id() + test;
        perl.uid(id).gid(id);
    }
    perl.args(["-e", &outside]).arg(rootlet_path());
    end(perl
        .arg("run")
        .args(options)
        .args(["/", "perl", "-e", &inside]))
}

#[test]
fn the_callers_session_keyring_stays_with_it() {
    for user in users() {
        for options in [
            &["--drop-caps", "net_raw"][..],
            &["--no-new-privs"],
            &["-u", "0"],
            &["-u", "0:0", "--drop-caps", "all"],
            &["-u", "65534"],
            &["-G", ""],
            &["--unshare", "user"],
            &["--unshare", "user", "--map-users", "current"],
            &["--share", "pid", "--no-new-privs"],
            &[],
        ] {
            if user == User::Ordinary && options.contains(&"65534") {
                continue;
            }
            let ended = read_key(user, 0, 0, options);
            let kept = options.is_empty() && user == User::Root;
            let expected = if kept { "foundswordfish" } else { "not found" };
            // The system has a filter, or a kernel without keys.
            if !ended.stdout.starts_with("no keys: ") {
                let shown = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
                assert_eq!(shown, (0, expected, ""), "{user:?} {options:?}");
            }
        }
    }
}

/// A process that keeps its user id on the host also keeps the user keyring.
#[test]
fn the_user_keyring_goes_with_the_user() {
    if !can_be_root() {
        return;
    }
    let (keyctl, add_key) = (sc::nr::KEYCTL, sc::nr::ADD_KEY);
    // 0: KEYCTL_GET_KEYRING_ID; 8: KEYCTL_LINK; 11: KEYCTL_READ; -4: the user keyring.
    let outside = format!(
        "my ($kind, $name, $payload) = qw(user rootlet swordfish);
         $ENV{{KEYS}} = syscall({keyctl}, 0, -4, 1);
         $ENV{{KEYS}} >= 0 or print qq(no keys: $!\\n);
         $ENV{{KEY}} = syscall({add_key}, $kind, $name, $payload, length $payload, -4);
         exec @ARGV"
    );
    let inside = format!(
        "my $room = ' ' x 64;
         syscall({keyctl}, 8, $ENV{{KEYS}} + 0, -3);
         my $length = syscall({keyctl}, 11, $ENV{{KEY}} + 0, $room, 64);
         print $length >= 0 ? substr($room, 0, $length) : 'none'"
    );
    let mut perl = command(User::Ordinary, "perl");
    let id = 100_003 + 4 * std::process::id();
    perl.uid(id)
        .gid(id)
        .args(["-e", &outside])
        .arg(rootlet_path());
    let ended = end(perl.args(["run", "--no-new-privs", "/", "perl", "-e", &inside]));
    if !ended.stdout.starts_with("no keys: ") {
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (0, "swordfish"),
            "{ended:?}"
        );
    }
}

#[test]
fn without_room_for_a_keyring_no_right_is_kept_in_silence() {
    if !can_be_root() {
        return;
    }
    let limit = std::fs::read_to_string("/proc/sys/kernel/keys/maxkeys").unwrap_or_default();
    let fill = limit.trim().parse().unwrap_or(0);
    let ended = read_key(User::Ordinary, 1, fill, &[]);
    if ended.stdout.starts_with("no keys: ") {
        return;
    }
    let line = "rootlet: left out: cannot make a session keyring: Disk quota exceeded (EDQUOT)\n";
    let shown = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
    assert_eq!(shown, (0, "foundswordfish", line));
    // This needs another user, because the kernel frees keys with a delay.
    let ended = read_key(User::Ordinary, 2, fill, &["--no-new-privs"]);
    let line = "rootlet: cannot make a session keyring: Disk quota exceeded (EDQUOT)\nhint: ";
    assert_eq!((ended.status, ended.stdout.as_str()), (125, ""));
    assert!(ended.stderr.starts_with(line), "{ended:?}");
}

#[test]
fn where_keys_are_forbidden_or_unknown_there_is_nothing_to_leave() {
    for user in users() {
        for errno in ["EPERM", "ENOSYS"] {
            let mut strace = command(user, "strace");
            strace.args(["-f", "-o", "/dev/null", "-e", "trace=keyctl", "-e"]);
            strace.arg(format!("inject=keyctl:error={errno}"));
            strace
                .arg(rootlet_path())
                .args(["run", "--no-new-privs", "/", "echo", "here"]);
            assert_eq!(succeed(&mut strace), "here\n", "{errno}");
        }
    }
}

/// Writes into the host's resolv.conf, which is replaced in a mount namespace of the test.
#[test]
fn the_hosts_resolv_conf_is_not_written() {
    if !can_be_root() {
        return;
    }
    let script = "host=$(mktemp) && chmod 666 \"$host\" && echo host >\"$host\" || exit
        mount --bind \"$host\" /etc/resolv.conf || exit
        attack='cat /etc/resolv.conf; { echo evil >/etc/resolv.conf; chmod 700 /etc/resolv.conf; } 2>/dev/null; cat /etc/resolv.conf'
        try() {
            echo host >\"$host\"; chmod 666 \"$host\"
            echo $(\"$0\" run \"$@\" sh -c \"$attack\" 2>&1) then $(cat \"$host\") $(stat -c %a \"$host\")
        }
        try \"$1\"
        try --resolv-conf bind \"$1\"
        try --overlay \"$1\"
        try --resolv-conf copy \"$1\"
        try -B /etc/resolv.conf \"$1\"
        ln -sf ../run/resolv.conf \"$1/etc/resolv.conf\"
        try \"$1\"
        rm -f \"$1/etc/resolv.conf\" \"$host\"";
    let root = Root::busybox(User::Root);
    root.directory("etc");
    root.directory("run");
    let mut outer = outer_namespace(script);
    let shown = succeed(outer.arg(rootlet_path()).arg(root.path()));
    let expected = "host host then host 666\n\
                    host host then host 666\n\
                    host host then host 666\n\
                    host evil then host 666\n\
                    host evil then evil 700\n\
                    host host then host 666\n";
    assert_eq!(shown, expected);
}

/// The read-only and the covered mounts, and every way to undo them, also from a new user namespace
/// of the command.
const UNDO: &str = "undo() {
        mount -o remount,bind,rw /data; mount -o remount,bind,rw /; umount -l /data
        umount -l /proc/keys; mount -o remount,bind,rw /proc/sys; mount -t proc proc /proc
        mount --bind /data /tmp && mount -o remount,bind,rw /tmp && touch /tmp/written
        touch /data/written /written; cat /proc/keys; echo x >/proc/sys/kernel/domainname
    } 2>/dev/null
    case $1 in undo) undo; exit;; esac
    undo; unshare -r -m /bin/sh /undo undo; unshare -r -m -p -f /bin/sh /undo undo
    ls -d /data/* /written 2>/dev/null; :";

#[test]
fn read_only_and_masks_hold_against_real_root_without_sys_admin() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let data = Root::empty(User::Root);
    root.file("undo", UNDO);
    root.directory("tmp");
    let ro = format!("{}:/data", data.name());
    let attack = |rights: &[&str]| {
        let options = ["--read-only-root", "--mask-proc", "--ro", &ro];
        let command = ["ROOT", "sh", "/undo"];
        end(&mut root.run(&[&options[..], rights, &command].concat()))
    };
    let ended = attack(&["--drop-caps", "sys_admin,sys_ptrace"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (0, ""), "{ended:?}");
    // Without the options the attack succeeds.
    let undone = attack(&[]);
    assert!(undone.stdout.contains("written"), "{undone:?}");
    let help = succeed(&mut root.run(&["--help"]));
    let text: Vec<&str> = help.split_whitespace().collect();
    let printed = "against real root add --drop-caps sys_admin,sys_ptrace";
    assert_eq!(text.join(" ").matches(printed).count(), 3, "{help}");
}
