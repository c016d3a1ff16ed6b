//! `rootlet init` passes on the variables of sd_listen_fds(3) and sd_watchdog_enabled(3), made out
//! to the command.

#![allow(missing_docs)]

mod common;

use common::filter::{self, PIDFD_OPEN};
use common::init::{Place, init, kernel};
use common::{User, command, rootlet_path, succeed, users};

/// The inode of a process's pidfd, which systemd compares.
const PIDFD_INODE: &str = "\
sub inode { my $fd = syscall(PIDFD_OPEN, $_[0] + 0, 0); open my $file, '<&=', $fd or return 'none'; \
(stat $file)[1] } ";

fn inode_of() -> String {
    PIDFD_INODE.replace("PIDFD_OPEN", &sc::nr::PIDFD_OPEN.to_string())
}

/// Prints for each variable whether it names the command itself.
fn show() -> String {
    format!(
        "{} print join ' ', $ENV{{LISTEN_PID}} eq $$ ? 'own' : 'other', \
         $ENV{{WATCHDOG_PID}} eq $$ ? 'own' : 'other', \
         $ENV{{LISTEN_PIDFDID}} eq inode($$) ? 'own' : 'other'",
        inode_of()
    )
}

/// A process that sets the three variables for itself, runs `change`, and executes the init.
fn handed(user: User, change: &str) -> std::process::Command {
    let script = format!(
        "{} @ENV{{qw(LISTEN_PID WATCHDOG_PID LISTEN_PIDFDID LISTEN_FDS)}} = \
         ($$, $$, inode($$), 1); {change}; exec @ARGV",
        inode_of()
    );
    let mut perl = command(user, "perl");
    perl.args(["-e", &script]).arg(rootlet_path());
    perl.args(["init", "perl", "-e", &show()]);
    perl
}

#[test]
fn inits_sockets_and_watchdog_go_to_the_command() {
    let of_another = match kernel() >= (6, 9) {
        true => "own own other",
        false => "own own own",
    };
    for user in users() {
        for (change, found) in [
            ("", "own own own"),
            ("$ENV{LISTEN_PID} = 1", "other own own"),
            ("$ENV{LISTEN_PID} .= '0'", "other own own"),
            ("$ENV{WATCHDOG_PID} = getppid", "own other own"),
            // Before Linux 6.9 all pidfds have one inode.
            ("$ENV{LISTEN_PIDFDID} = inode(getppid)", of_another),
            ("$ENV{LISTEN_PIDFDID} = ''", "own own other"),
            ("delete $ENV{WATCHDOG_PID}", "own other own"),
        ] {
            assert_eq!(
                succeed(&mut handed(user, change)),
                found,
                "{change} {user:?}"
            );
        }
        // Without pidfd_open(2), neither init nor the command can compare inodes.
        let mut filtered = handed(user, "");
        filter::answer(&mut filtered, 1, &[PIDFD_OPEN]);
        assert!(succeed(&mut filtered).starts_with("own own "), "{user:?}");
    }
}

#[test]
fn pid_1_passes_them_on_too() {
    for user in users() {
        let mut run = init(Place::Pid1, user, &["perl", "-e", &show()]);
        run.env("LISTEN_PID", "1").env("WATCHDOG_PID", "1");
        assert_eq!(succeed(&mut run), "own own other", "{user:?}");
    }
}
