//! The users in the user namespace of an ordinary user's run.

#![allow(missing_docs)]

mod common;

use std::io::Read;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;
use std::process::{Command, Stdio};

use common::running::Running;
use common::{Root, User, can_be_root, end, rootlet_path, succeed};
use rootlet::{Chroot, MapUsers, Namespace};

/// Ranges that no test machine assigns to a user.
const START: u32 = 1_200_000;

/// Runs the command as the ordinary user, called `ordinary`, in a new mount namespace with these
/// lines in /etc/subuid and /etc/subgid. The shell script `setup` runs first.
fn with_ranges(place: &Root, lines: &str, setup: &str, command: &[&str]) -> Command {
    place.file("ranges", lines);
    let script = format!(
        "set -e; cd {}; grep -v :54321: /etc/passwd >passwd; echo ordinary:x:54321:54321::/: >>passwd
        for file in /etc/subuid /etc/subgid; do
            [ -e $file ] || mount -t tmpfs etc /etc
            [ -e $file ] || touch /etc/subuid /etc/subgid /etc/passwd /etc/resolv.conf
            mount --bind ranges $file
        done
        mount --bind passwd /etc/passwd; {setup}
        exec setpriv --reuid=54321 --regid=54321 ${{groups---clear-groups}} \"$@\"",
        place.name()
    );
    let mut outer = common::command(User::Root, "unshare");
    outer.args(["-m", "sh", "-c", &script, "sh"]).args(command);
    outer
}

/// Makes the first user of the range the owner of the whole root.
fn give_away(root: &Root) {
    fn visit(path: &Path) {
        lchown(path, Some(START), Some(START)).unwrap();
        if path.symlink_metadata().unwrap().is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                visit(&entry.unwrap().path());
            }
        }
    }
    visit(root.path());
}

fn run<'a>(root: &'a Root, words: &[&'a str]) -> Vec<&'a str> {
    [
        &[
            rootlet_path().to_str().unwrap(),
            "run",
            "--map-users",
            "auto",
            root.name(),
        ],
        words,
    ]
    .concat()
}

/// The group of terminals is among the mapped ones.
#[test]
fn terminals_have_their_group_and_can_be_given_away() {
    if !can_be_root() {
        return;
    }
    let place = Root::empty(User::Root);
    let lines = format!("ordinary:{START}:1000\n");
    let script = "script -qc 'stat -c \"%u %g %a\" $(tty); chown 33:5 $(tty); stat -c \"%u %g\" $(tty)' \
                  /dev/null | tr -d '\\r'";
    let setup = "mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 none /dev/pts";
    let rootlet = rootlet_path().to_str().unwrap();
    let words = [rootlet, "run", "--map-users=auto", "/", "sh", "-c", script];
    let shown = succeed(&mut with_ranges(&place, &lines, setup, &words));
    assert_eq!(shown, "0 5 620\n33 5\n");
}

/// The command as this user, with only these capabilities.
fn with_rights(id: &str, capabilities: &[&str], command: &[&str]) -> Command {
    let mut setpriv = common::command(User::Root, "setpriv");
    setpriv.args([&format!("--reuid={id}"), &format!("--regid={id}")]);
    setpriv.arg("--clear-groups");
    let list: String = capabilities
        .iter()
        .map(|name| format!(",+{name}"))
        .collect();
    for set in ["inh-caps", "ambient-caps", "bounding-set"] {
        // A process that may set ids loses no capability by setting them. Therefore it needs only
        // the bounding set.
        if id != "0" || set == "bounding-set" {
            setpriv.arg(format!("--{set}=-all{list}"));
        }
    }
    setpriv.args(command);
    setpriv
}

#[test]
fn callers_who_may_set_ids_have_all_of_them_inside() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    root.directory("mnt");
    root.directory("proc");
    const LOOK: &str = "id -u; id -g; cat /proc/self/setgroups; for map in uid_map gid_map; do \
        awk '{print $1, $3}' /proc/self/$map | sort -n; done; stat -c %u /bin";
    const ALL: &str = "0 1\n1 4294967294\n";
    const EXCHANGED: &str = "0 1\n1 54320\n54321 1\n54322 4294912973\n";
    const WITHOUT_0: &str = "0 1\n1 54320\n54322 4294912973\n";
    const ONE: &str = "0 1\n";
    let both = ["setuid", "setgid", "setfcap"];
    for (id, capabilities, setgroups, users, groups, owner) in [
        ("0", &both[..], "allow", ALL, ALL, "0"),
        // A Kubernetes pod with securityContext.capabilities.
        (
            "0",
            &["setfcap", "setgid", "setuid", "chown"],
            "allow",
            ALL,
            ALL,
            "0",
        ),
        ("54321", &both, "allow", EXCHANGED, EXCHANGED, "54321"),
        ("54321", &both[..2], "allow", WITHOUT_0, EXCHANGED, "65534"),
        ("54321", &both[..1], "deny", WITHOUT_0, ONE, "65534"),
        ("54321", &both[1..2], "allow", ONE, EXCHANGED, "65534"),
        ("54321", &["chown"], "deny", ONE, ONE, "65534"),
    ] {
        let expected = format!("0\n0\n{setgroups}\n{users}{groups}{owner}\n");
        // To lock mounts, rootlet makes a second user namespace. It has the same ids.
        for options in [&[][..], &["--unshare=user"], &["--ro", "/etc:/mnt"]] {
            let program = [
                rootlet_path().to_str().unwrap(),
                "run",
                "--no-mounts",
                "--rbind=/proc",
            ];
            let words = [&program[..], options, &[root.name(), "sh", "-c", LOOK]].concat();
            let ended = end(&mut with_rights(id, capabilities, &words));
            let printed = (ended.stderr.as_str(), ended.stdout.as_str(), ended.status);
            assert_eq!(
                printed,
                ("", expected.as_str(), 0),
                "{id} {capabilities:?} {options:?}"
            );
        }
    }
}

/// apt's methods change to the user _apt, with only the group 65534.
#[test]
fn apt_works_for_root_without_sys_admin() {
    if !can_be_root() {
        return;
    }
    let root = common::debian();
    root.file("repository/Packages", "");
    root.file(
        "etc/apt/sources.list",
        "deb [trusted=yes] file:/repository ./\n",
    );
    let kubernetes = [
        "chown",
        "dac_override",
        "fowner",
        "fsetid",
        "setfcap",
        "setgid",
        "setuid",
    ];
    let program = [rootlet_path().to_str().unwrap(), "run", root.name()];
    for words in [
        &["apt-get", "update"][..],
        &["setpriv", "--reuid=42", "--groups=65534", "true"],
    ] {
        let ended = end(&mut with_rights(
            "0",
            &kubernetes,
            &[&program[..], words].concat(),
        ));
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
        assert!(!ended.stdout.contains("E: "), "{ended:?}");
    }
}

#[test]
fn a_range_of_users_is_mapped_from_0_on() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    give_away(&root);
    let script = "id -u; id -g; id -G; cat /proc/self/setgroups; echo x >/file; chown 33:44 /file; \
        stat -c '%u %g' /file; stat -c %u /dev/null";
    let lines = format!(
        "other:5:5\nordinary:{START}:1000\n54321:{}:500\n",
        START + 5000
    );
    let shown = succeed(&mut with_ranges(
        &place,
        &lines,
        "",
        &run(&root, &["sh", "-c", script]),
    ));
    assert_eq!(shown, "0\n0\n0\nallow\n33 44\n65534\n");
    let file = std::fs::metadata(root.path().join("file")).unwrap();
    assert_eq!((file.uid(), file.gid()), (START + 33, START + 44));
    // The mount points are made and removed by a process that can.
    std::fs::remove_file(root.path().join("file")).unwrap();
    assert_eq!(root.tree(), Vec::<String>::new());

    // This includes a second user namespace, which locks mounts.
    let mut words = run(
        &root,
        &[
            "sh",
            "-c",
            "id -u; chown 1200:44 /file; stat -c '%u %g' /file",
        ],
    );
    root.file("file", "");
    root.directory("mnt");
    give_away(&root);
    words.splice(2..2, ["--ro", "/usr:/mnt"]);
    let shown = succeed(&mut with_ranges(&place, &lines, "", &words));
    assert_eq!(shown, "0\n1200 44\n");
    std::fs::remove_file(root.path().join("file")).unwrap();
    std::fs::remove_dir(root.path().join("mnt")).unwrap();

    // The maps are the same as those of unshare.
    let look = ["cat", "/proc/self/uid_map", "/proc/self/gid_map"];
    let lines = format!("ordinary:{START}:1000\n");
    let ours = succeed(&mut with_ranges(&place, &lines, "", &run(&root, &look)));
    let map = format!("{START},0,1000");
    let maps = [format!("--map-users={map}"), format!("--map-groups={map}")];
    let unshare = ["unshare", "--user", &maps[0], &maps[1]];
    let theirs = succeed(&mut with_ranges(
        &place,
        &lines,
        "",
        &[&unshare[..], &look].concat(),
    ));
    assert_eq!(ours, theirs);
}

#[test]
fn a_missing_range_is_reported_with_the_line_to_add() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    for (lines, line) in [
        ("", "ordinary:100000:65536"),
        (
            "other:100000:65536\nordinary:bad:5\n",
            "ordinary:165536:65536",
        ),
    ] {
        let ended = end(&mut with_ranges(&place, lines, "", &run(&root, &["true"])));
        let expected = format!(
            "rootlet: cannot find in /etc/subuid a line like {line}: No such file or directory \
             (ENOENT)\nhint: such a line gives this user a range of ids"
        );
        assert_eq!(ended.status, 125);
        assert!(ended.stderr.starts_with(&expected), "{ended:?}");
    }
}

/// A name service, for glibc and for shadow, with a user `faraway` and its ranges, as in LDAP.
const NAME_SERVICE: &str = r#"
#include <nss.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
enum nss_status _nss_rootlet_getpwuid_r(uid_t uid, struct passwd *to, char *buffer, size_t size, int *e) {
    if (uid != 54321) return NSS_STATUS_NOTFOUND;
    *to = (struct passwd){"faraway", "x", 54321, 54321, "", "/", "/bin/sh"};
    return NSS_STATUS_SUCCESS;
}
enum nss_status _nss_rootlet_getpwnam_r(const char *name, struct passwd *to, char *buffer, size_t size, int *e) {
    if (strcmp(name, "faraway")) return NSS_STATUS_NOTFOUND;
    return _nss_rootlet_getpwuid_r(54321, to, buffer, size, e);
}
struct range { unsigned long start, count; };
static const struct range users[] = {{1200000, 1000}, {1205000, 500}}, groups[] = {{1300000, 1500}};
int shadow_subid_has_range(const char *owner, unsigned long start, unsigned long count, int type, bool *has) {
    *has = !strcmp(owner, "faraway");
    return 0;
}
int shadow_subid_list_owner_ranges(const char *owner, int type, struct range **ranges, int *count) {
    if (strcmp(owner, "faraway")) return 1;
    *count = type == 1 ? 2 : 1;
    *ranges = calloc(2, sizeof **ranges);
    memcpy(*ranges, type == 1 ? users : groups, *count * sizeof **ranges);
    return 0;
}
int shadow_subid_find_subid_owners(unsigned long id, int type, uid_t **uids, int *count) { return 3; }
"#;

#[test]
fn users_and_ranges_come_from_a_name_service() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    give_away(&root);
    place.file("service.c", NAME_SERVICE);
    let library = place.directory("lib").join("libnss_rootlet.so.2");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library);
    succeed(compiler.arg(place.path().join("service.c")));
    std::fs::copy(&library, place.path().join("lib/libsubid_rootlet.so")).unwrap();
    let setup = "grep -v :54321: passwd >others; cat others >passwd
        libraries=$(dirname $(ldconfig -p | sed -n 's/.* => \\(.*libc.so.6\\)$/\\1/p' | head -1))
        mkdir -p over; mount -t tmpfs over over; mkdir over/lib over/upper over/work
        cp lib/* over/upper
        mount -t overlay -o lowerdir=$libraries,upperdir=over/upper,workdir=over/work o $libraries
        printf 'passwd: files rootlet\\nsubid: rootlet\\n' >switch
        [ -e /etc/nsswitch.conf ] || mount -t tmpfs etc /etc; touch /etc/nsswitch.conf
        mount --bind switch /etc/nsswitch.conf";
    let look = "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '";
    let words = run(&root, &["sh", "-c", look]);
    // newuidmap ignores the files for a user from another source.
    for lines in ["", "other:5:5\n", "faraway:5:5\n54321:7:7\n"] {
        let ended = end(&mut with_ranges(&place, lines, setup, &words));
        let printed = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
        let expected = "0\n0\n 0 1200000 1000\n 1000 1205000 500\n 0 1300000 1500\n";
        assert_eq!(printed, (0, expected, ""), "{lines:?}");
    }
    // A user in no file and no service is looked up by number. The lookup prints nothing.
    let words = run(&root, &["true"]);
    let ended = end(&mut with_ranges(
        &place,
        "",
        "grep -v :54321: passwd >others; cat others >passwd",
        &words,
    ));
    let line = "rootlet: cannot find in /etc/subuid a line like 54321:100000:65536: ";
    assert!(ended.stderr.starts_with(line), "{ended:?}");
    assert_eq!(
        (ended.status, ended.stderr.lines().count()),
        (125, 2),
        "{ended:?}"
    );
}

#[test]
fn a_name_service_that_does_not_answer_can_be_interrupted() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    place.script("getsubids", "#!/bin/sh\n: >>asked; exec sleep 1000\n");
    let setup = "chmod 777 .; mount --bind getsubids /usr/bin/getsubids";
    let mut outer = with_ranges(&place, "", setup, &run(&root, &["true"]));
    let mut child = outer.stderr(std::process::Stdio::piped()).spawn().unwrap();
    common::wait_until("the question", || place.path().join("asked").exists());
    let asked = common::children(child.id() as i32);
    assert_eq!(asked.len(), 2, "the process inside, and the question");
    common::send_signal(child.id() as i32, 15);
    let status = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(15)
    );
    common::wait_until("the end of all", || {
        asked
            .iter()
            .all(|pid| common::state(*pid).is_none_or(|state| state == 'Z'))
    });
}

#[test]
fn the_callers_groups_stay_with_a_range() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    let shared = Root::empty(User::Root);
    shared.file("file", "of the team\n");
    lchown(shared.path(), Some(0), Some(7777)).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o770);
    std::fs::set_permissions(shared.path(), mode).unwrap();
    root.directory("mnt");
    give_away(&root);
    let lines = format!("ordinary:{START}:1000\n");
    let bind = format!("{}:/mnt", shared.name());
    let script = "cat /mnt/file; echo new >/mnt/new; cd /mnt && id -G";
    for options in [&["-B", &bind][..], &["-B", &bind, "--ro", "/usr:/usr"]] {
        let mut words = run(&root, &["sh", "-c", script]);
        words.splice(2..2, options.iter().copied());
        let setup = "groups=--groups=7777";
        let ended = end(&mut with_ranges(&place, &lines, setup, &words));
        let printed = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
        assert_eq!(printed, (0, "of the team\n0 65534\n", ""), "{options:?}");
        std::fs::remove_file(shared.path().join("new")).unwrap();
    }
}

#[test]
fn a_missing_or_failing_program_is_named() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    let lines = format!("ordinary:{START}:1000\n");
    // Everything needed is there except newuidmap.
    let setup = "mkdir -p few; cp /usr/bin/setpriv few; mount --bind few /usr/bin";
    let ended = end(&mut with_ranges(
        &place,
        &lines,
        setup,
        &run(&root, &["true"]),
    ));
    let expected = "rootlet: cannot map the caller's ids with newuidmap: No such file or \
                    directory (ENOENT)\nhint: it is in the package uidmap";
    assert_eq!(ended.status, 125);
    assert!(ended.stderr.starts_with(expected), "{ended:?}");
    // A set-user-ID program gains no capabilities under no_new_privs.
    let words = [&["setpriv", "--no-new-privs"], &run(&root, &["true"])[..]].concat();
    let ended = end(&mut with_ranges(&place, &lines, "", &words));
    assert!(
        ended.stderr.contains("\nhint: no_new_privs is set"),
        "{ended:?}"
    );
    // The kernel refuses two ranges that overlap.
    let lines = format!("ordinary:{START}:1000\nordinary:{START}:1000\n");
    let ended = end(&mut with_ranges(&place, &lines, "", &run(&root, &["true"])));
    let expected = "rootlet: cannot map the caller's ids with newuidmap: it failed, and printed \
                    the reason\n";
    assert_eq!(ended.status, 125);
    assert!(ended.stderr.ends_with(expected), "{ended:?}");
    assert_eq!(root.tree(), Vec::<String>::new());
}

#[test]
fn the_caller_can_keep_its_id() {
    let root = Root::busybox(User::Ordinary);
    let (user, group) = match common::is_root() {
        true => (54321, 54321),
        false => (
            rustix::process::getuid().as_raw(),
            rustix::process::getgid().as_raw(),
        ),
    };
    let script =
        "id -u; id -g; cat /proc/self/setgroups; grep CapEff /proc/self/status; touch /new";
    let words = ["--map-users=current", "ROOT", "sh", "-c", script];
    let shown = succeed(&mut root.run(&words));
    assert_eq!(
        shown,
        format!("{user}\n{group}\ndeny\nCapEff:\t0000000000000000\n")
    );
    let new = std::fs::metadata(root.path().join("new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (user, group));
    std::fs::remove_file(root.path().join("new")).unwrap();
    assert_eq!(root.tree(), Vec::<String>::new());
    let plan = succeed(&mut root.run(&["-n", "--map-users=auto", "ROOT", "true"]));
    assert!(plan.contains("map users  auto\n"), "{plan}");
}

#[test]
fn the_library_maps_users_too() {
    if !can_be_root() {
        return;
    }
    let root = Root::busybox(User::Root);
    let mut chroot = Chroot::new(root.name());
    chroot.no_mounts().unshare(Namespace::User);
    let mut id = chroot.command("/bin/id");
    id.chroot().map_users(MapUsers::Current);
    assert_eq!(id.arg("-u").output().unwrap().stdout, b"0\n");
    // A closure also has all users, if the caller can map them.
    root.file("given", "");
    // SAFETY: the closure makes a system call and allocates nothing.
    let given = unsafe { chroot.call(|| lchown("/given", Some(33), Some(34)).is_ok()) };
    assert_eq!(given, Ok(true));
    let given = std::fs::metadata(root.path().join("given")).unwrap();
    assert_eq!((given.uid(), given.gid()), (33, 34));
    // SAFETY: the closure is never called.
    let called = unsafe { chroot.map_users(MapUsers::Auto).call(|| ()) };
    let line = "cannot finish the closure: a closure cannot have a range of users";
    assert_eq!(called.unwrap_err().to_string(), line);
}

#[test]
fn a_directory_on_the_way_may_be_closed_to_the_range() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    give_away(&root);
    // The mode of home directories in Debian.
    let setup = format!(
        "mkdir -m 700 home; cp -a {} home/root; chown 54321 home",
        root.name()
    );
    let inner = format!("{}/home/root", place.name());
    let mut words = run(&root, &["true"]);
    words[4] = &inner;
    let lines = format!("54321:{START}:1000\n");
    let ended = end(&mut with_ranges(&place, &lines, &setup, &words));
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
}

/// Another process than rootlet's own removes them: one that may.
#[test]
fn a_mount_point_that_cannot_be_removed_is_named() {
    if !can_be_root() {
        return;
    }
    let (root, place) = (Root::busybox(User::Root), Root::empty(User::Root));
    let closed = root.directory("closed");
    give_away(&root);
    let mut words = run(&root, &["sh", "-c", "echo ready; exec sleep 1000"]);
    words.splice(2..2, ["-B", "tmpfs:/closed/point"]);
    let lines = format!("54321:{START}:1000\n");
    let mut command = with_ranges(&place, &lines, "", &words);
    let mut running = Running::start_ready(command.stderr(Stdio::piped()));
    // The directory is no longer the range's, and pid 1 can remove nothing.
    lchown(closed, Some(0), Some(0)).unwrap();
    common::send_signal(running.pid1(), 9);
    assert_eq!(running.wait().code(), Some(137));
    let mut said = String::new();
    let stderr = running.child.stderr.as_mut().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    let line = "rootlet: cannot remove the mount point /closed/point: Permission denied (EACCES)\n";
    assert_eq!(said, line);
}
