//! Mount options, with the meaning they have for mount(8).

#![allow(missing_docs)]

mod common;

use common::{Root, User, end, users};

const EVERY: &str = "rw,ro,suid,nosuid,dev,nodev,exec,noexec,noatime,atime,nodiratime,diratime,\
    relatime,norelatime,strictatime,nostrictatime,symfollow,nosymfollow,defaults,auto,noauto,\
    nofail,user,nouser,users,nousers,owner,noowner,group,nogroup,_netdev,x-systemd.a=b,X-c";

/// The entries in /proc/mounts for a directory of the host and for a new file system.
#[test]
fn the_last_of_two_options_counts() {
    let cases = [
        ("ro,rw", "rw,"),
        ("rw,ro", "ro,"),
        ("noexec,nosuid,exec", "rw,nosuid,"),
        ("user", "rw,nosuid,nodev,noexec,"),
        ("user,exec,dev,suid", "rw,"),
        ("owner,x-a,_netdev", "rw,nosuid,nodev,"),
        ("ro,defaults", "ro,"),
        ("noatime", "rw,noatime,"),
        ("noatime,atime", "rw,"),
        ("nodiratime,nosymfollow", "rw,nodiratime,nosymfollow,"),
        ("ro=recursive,noexec=vfs", "ro,noexec,"),
        ("comment=a,helper=b,uhelper=c,X-mount.mkdir=755", "rw,"),
        (EVERY, ""),
    ];
    for user in users() {
        let root = Root::busybox(user);
        root.directory("proc");
        let source = Root::empty(user);
        for (options, expected) in cases {
            // A user namespace cannot change the access time options of the host's mounts.
            let binds = match user {
                User::Ordinary => {
                    !options.starts_with("noatime") && !options.starts_with("nodiratime")
                }
                User::Root => true,
            };
            let mounts = [
                format!("{}:/mnt:{options}", source.name()),
                format!("tmpfs:/mnt:{options},size=64k"),
            ];
            for mount in &mounts[usize::from(!binds)..] {
                let ended =
                    end(&mut root.run(&["-B", mount, "ROOT", "grep", " /mnt ", "/proc/mounts"]));
                assert_eq!((ended.status, &ended.stderr[..]), (0, ""), "{mount}");
                let line = ended.stdout.trim();
                let shown = line.split(' ').nth(3).unwrap();
                // A user namespace cannot remove options of the host's own mount.
                let shown: Vec<&str> = shown
                    .split(',')
                    .filter(|word| *word != "relatime")
                    .collect();
                for word in expected.split(',').filter(|word| !word.is_empty()) {
                    assert!(shown.contains(&word), "{user:?} {mount}: {line}");
                }
            }
        }
    }
}

#[test]
fn options_that_a_bind_does_not_have_are_refused() {
    for user in users() {
        let root = Root::busybox(user);
        for options in [
            "size=1m",
            "sync",
            "lazytime",
            "noexecs",
            "nodefaults",
            "ro,,ro x",
        ] {
            let mount = format!("/:/mnt:{options}");
            let ended = end(&mut root.run(&["-B", &mount, "ROOT", "true"]));
            assert_eq!(ended.status, 125, "{ended:?}");
            assert!(
                ended.stderr.contains("the options of a bind are ro, rw,"),
                "{ended:?}"
            );
        }
    }
}
