//! `rootlet run`: turns options into a `Command` in a `Chroot`.
//!
//! The options are parsed twice: first those whose position does not matter, then the others in order.

use alloc::vec::Vec;

use crate::chroot::Chroot;
use crate::chroot::command::Command;
use crate::error::Error;
use crate::mount::Mount;
use crate::process::exec::DEFAULT_PATH;
use crate::process::namespace::Namespace;
use crate::sys::split;
use crate::text::name::Name;
use crate::text::number::number;
use crate::user::capability::Capabilities;
use crate::user::id_map::MapUsers;
use crate::user::private::PrivateUsers;

use crate::cli::help::unpacked;
use crate::cli::parse::Options;
use crate::cli::{VERSION, jobserver, print, words};

include!(concat!(env!("OUT_DIR"), "/run.rs"));

const DESCRIPTOR: &str = "is not the number of a descriptor";
const FILE: &str = "is not bind, copy or off";
const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// Runs the role with the words after it. Returns the exit status.
pub(crate) fn run(words: &[&'static [u8]], environment: &[&[u8]]) -> Result<u8, Error> {
    let args_fd = IDS.iter().position(|id| *id == Id::ArgsFd);
    let words = &words::spliced(NAMES, args_fd, words)?[..];
    let variable = |name: &[u8]| {
        environment
            .iter()
            .find_map(|variable| variable.strip_prefix(name)?.strip_prefix(b"="))
    };
    // First the options whose position among the others does not matter.
    let (mut no_mounts, mut minimal_dev) = (false, None);
    let (mut resolv_conf, mut hosts) = (0, 0);
    let (mut overlay, mut skip_chdir, mut clear_env) = (false, false, false);
    let mut makeflags = None;
    let (mut dry_run, mut changed) = (None, Vec::new());
    let (mut private_users, mut maps_users) = (None, false);
    let mut options = Options::new(b"run", NAMES, words);
    while let Some((index, value)) = options.next()? {
        match IDS[index] {
            Id::NoMounts => no_mounts = true,
            Id::Dev => {
                let why = "is not host or minimal";
                minimal_dev = Some(options.one_of(b"host|minimal", value, why)?);
            }
            Id::ResolvConf => resolv_conf = options.one_of(b"bind|copy|off", value, FILE)?,
            Id::Hosts => hosts = options.one_of(b"bind|copy|off", value, FILE)?,
            Id::Overlay => overlay = true,
            Id::SkipChdir => skip_chdir = true,
            Id::ClearEnv => clear_env = true,
            Id::Jobserver => makeflags = variable(b"MAKEFLAGS"),
            Id::Env | Id::UnsetEnv => changed.extend(split(value, b'=').next()),
            Id::PrivateUsers => {
                let why = "is not auto or START:COUNT, such as 524288:65536";
                let users = PrivateUsers::parse(value);
                private_users = Some(users.ok_or_else(|| options.refuse(value, why))?);
            }
            Id::MapUsers => maps_users = true,
            Id::DryRun => dry_run = Some(options.one_of(b"|json", value, "is not json")?),
            Id::Help => return help(),
            Id::Version => return print(VERSION.as_bytes()),
            _ => {}
        }
    }
    let [new_root, words_of_command @ ..] = options.words else {
        let why = "missing NEWROOT: rootlet run [OPTION]... NEWROOT [COMMAND [ARG]...]";
        return Err(Error::usage(b"run", &[], why));
    };
    if new_root.is_empty() {
        let why = "is not the path of a directory";
        return Err(Error::usage(b"run", &[b"NEWROOT: ''"], why));
    }
    // Variables that the command must not see are not copied to pid 1 either, where real root inside
    // could read them.
    let kept = |variable: &&&[u8]| {
        let name = split(variable, b'=').next().unwrap_or_default();
        !clear_env && !changed.contains(&name)
    };
    let mut command = Command::in_root(Chroot::new(new_root));
    command.environment = environment
        .iter()
        .filter(kept)
        .map(|variable| Name::new(variable))
        .collect();
    command.leave_out_host_paths();
    let chroot = command.chroot();
    if no_mounts {
        chroot.no_mounts();
    }
    if let Some(users) = private_users {
        let why = match (maps_users, minimal_dev) {
            (true, _) => "cannot be combined with --map-users",
            (_, Some(0)) => {
                "cannot be combined with --dev host: bind devices, as in -B /dev/kvm::noidmap"
            }
            _ => "",
        };
        if !why.is_empty() {
            return Err(Error::usage(b"run", &[b"--private-users:"], why));
        }
        match no_mounts {
            true => chroot
                .map_users(MapUsers::Private(users))
                .unshare(Namespace::User),
            false => chroot.private_users(users),
        };
    }
    if minimal_dev == Some(1) {
        chroot.minimal_dev();
    }
    for (file, choice) in [(RESOLV_CONF, resolv_conf), (HOSTS, hosts)] {
        match choice {
            0 => {}
            1 => _ = chroot.mount(Mount::copy(file).optional()),
            _ => _ = chroot.no_mount(file),
        }
    }
    if overlay {
        chroot.overlay();
    }
    if skip_chdir {
        chroot.keep_current_dir();
    }
    if clear_env {
        command.env_clear();
        if let Some(terminal) = variable(b"TERM") {
            command.env("TERM", terminal);
        }
        command.env("PATH", DEFAULT_PATH);
    }

    if let (Some(makeflags), true) = (makeflags, clear_env) {
        command.env("MAKEFLAGS", makeflags);
    }

    let mut options = Options::new(b"run", NAMES, words);
    while let Some((index, value)) = options.next()? {
        let refused = |why| Error::from(options.refuse(value, why));
        let of_option = |error: Error| error.of_option(b"run", &options.name());
        let natural = |why| number(value).ok_or_else(|| refused(why));
        let option = IDS[index];
        let chroot = command.chroot();
        match option {
            Id::Bind | Id::Rbind | Id::Ro => {
                match (Mount::parse(value, variable).map_err(of_option)?, option) {
                    (None, _) => {}
                    (Some(mount), Id::Rbind) => _ = chroot.mount(mount.recursive()),
                    (Some(mount), Id::Ro) => _ = chroot.mount(mount.read_only()),
                    (Some(mount), _) => _ = chroot.mount(mount),
                }
            }
            Id::Mount => {
                if let [target, words] = options.further {
                    let mount = Mount::from_words(value, target, words);
                    chroot.mount(mount.map_err(of_option)?);
                }
            }
            Id::ReadOnlyRoot => _ = chroot.read_only(),
            Id::OverlaySize => _ = chroot.overlay_size(value),
            Id::MaskProc => _ = chroot.mask_proc(),
            Id::Unshare | Id::Share => {
                for name in split(value, b',') {
                    let mut known = Namespace::ALL.into_iter();
                    let Some(namespace) = known.find(|known| known.name().as_bytes() == name)
                    else {
                        let why = "is not a namespace: net, ipc, uts, pid, cgroup, time or user";
                        return Err(options.refuse(name, why).into());
                    };
                    match option {
                        Id::Unshare => chroot.unshare(namespace),
                        _ => chroot.share(namespace),
                    };
                }
            }
            Id::MapUsers => {
                let why = "is not root, current or auto";
                chroot.map_users(match options.one_of(b"root|current|auto", value, why)? {
                    0 => MapUsers::Root,
                    1 => MapUsers::Current,
                    _ => MapUsers::Auto,
                });
            }
            Id::Chdir if value.is_empty() => return Err(refused("is not the path of a directory")),
            Id::Chdir => _ = chroot.current_dir(value),
            Id::Hostname => _ = chroot.hostname(value),
            Id::NewSession => _ = chroot.new_session(),
            Id::Grace => _ = chroot.grace(natural("is not a number of seconds")?),
            Id::User => _ = chroot.user(value),
            Id::Groups => _ = chroot.groups(value),
            Id::DropCaps => {
                chroot.drop_capabilities(Capabilities::parse(value).map_err(of_option)?);
            }
            Id::NoNewPrivs => _ = chroot.no_new_privileges(),
            Id::Verbose => _ = chroot.verbose(),
            Id::Pty => command.set_pty(),
            Id::KeepFd => command.kept_descriptors.push(natural(DESCRIPTOR)?),
            Id::StatusFd => command.set_status_fd(natural(DESCRIPTOR)?),
            Id::Env => match (value, value.iter().position(|byte| *byte == b'=')) {
                ([], _) | (_, Some(0)) => return Err(refused("is not NAME=VALUE or NAME")),
                (_, Some(equals)) => _ = command.env(&value[..equals], &value[equals + 1..]),
                (name, None) => match variable(name) {
                    Some(value) => _ = command.env(name, value),
                    None => _ = command.env_remove(name),
                },
            },
            Id::UnsetEnv if value.is_empty() || value.contains(&b'=') => {
                return Err(refused("is not the name of a variable"));
            }
            Id::UnsetEnv => _ = command.env_remove(value),
            Id::Argv0 => _ = command.arg0(value),
            Id::NoMounts
            | Id::PrivateUsers
            | Id::Dev
            | Id::ResolvConf
            | Id::Hosts
            | Id::Overlay
            | Id::SkipChdir
            | Id::ClearEnv
            | Id::Jobserver
            | Id::DryRun
            | Id::ArgsFd
            | Id::Help
            | Id::Version => {}
        }
    }
    // After all other mounts: the FIFO may be in /tmp, which may be a new mount.
    if let Some(makeflags) = makeflags {
        jobserver::pass(&mut command, makeflags);
    }
    // Options end at NEWROOT, so a `--` after it can only be a separator.
    let mut words = |words: &[&[u8]]| {
        command.args(words);
    };
    match words_of_command {
        [b"--", given @ ..] | given if matches!(given, [first, ..] if *first != b"--") => {
            words(given)
        }
        _ => match variable(b"SHELL") {
            Some(shell) if !shell.is_empty() => {
                words(&[shell, b"-i"]);
                command.or_command(["/bin/sh", "-i"]);
            }
            _ => words(&[b"/bin/sh", b"-i"]),
        },
    }

    match dry_run {
        Some(0) => print(&command.plan()?),
        Some(_) => print(&command.plan_json()?),
        None => {
            let (status, open) = command.run_once()?;
            core::mem::forget(open);
            Ok(status.shell())
        }
    }
}

pub(crate) fn help() -> Result<u8, Error> {
    print(&unpacked(HELP))
}
