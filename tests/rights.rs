//! What a command that gave up rights, or is in a root that is not trusted, must not get by the way.

mod common;

use common::{Ended, Root, User, can_be_root, end, succeed, users};

/// A root whose owner gives to every account, number and group what the host would give to none.
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
    // The kernel ends an empty list with a blank as well.
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
        // Names of groups, which are asked for.
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
        // The plan says the same.
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

/// Whose groups cannot be changed: a name gets its error, since it has others by the files.
#[test]
fn a_user_namespace_with_one_user_has_user_0_whatever_the_files_say() {
    let root = root_that_gives(User::Ordinary);
    for zero in ["0", "00", "0:0"] {
        let ended = who(&root, &["-u", zero]);
        assert_eq!(ended.stdout, shown("0", "0", ""), "{zero}: {ended:?}");
    }
    assert_eq!(who(&root, &["-u", "root"]).status, 125);
}
