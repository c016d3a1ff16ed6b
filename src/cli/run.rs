//! `rootlet run`: options into a `Chroot`.

use alloc::vec::Vec;

use crate::chroot::Chroot;
use crate::chroot::command::Command;
use crate::error::{Error, Step};
use crate::mount::Mount;
use crate::process::exec::DEFAULT_PATH;
use crate::process::namespace::Namespace;
use crate::sys::split;
use crate::user::capability::Capabilities;
use crate::user::id_map::MapUsers;

use crate::cli::help::unpacked;
use crate::cli::parse::Options;
use crate::cli::{VERSION, print};
use crate::text::name::Name;
use crate::text::number::number;

include!(concat!(env!("OUT_DIR"), "/run.rs"));

const DESCRIPTOR: &str = "a descriptor is a number";
const RESOLV_CONF: &str = "/etc/resolv.conf";

fn natural(value: &[u8], why: &'static str) -> Result<u32, Error> {
    number(value).ok_or_else(|| Error::because(Step::Usage, value, why))
}

/// Takes the words after the role, and gives the exit status.
pub(crate) fn run(words: &[&[u8]], environment: &[&[u8]]) -> Result<u8, Error> {
    let variable = |name: &[u8]| {
        environment
            .iter()
            .find_map(|variable| variable.strip_prefix(name)?.strip_prefix(b"="))
    };
    // First the options of which it does not matter where they stand among the others.
    let (mut no_mounts, mut minimal_dev, mut resolv_conf) = (false, 0, 0);
    let (mut overlay, mut skip_chdir, mut clear_env) = (false, false, false);
    let (mut dry_run, mut changed) = (None, Vec::new());
    let mut options = Options::new(NAMES, words);
    while let Some((index, value)) = options.next()? {
        match IDS[index] {
            Id::NoMounts => no_mounts = true,
            Id::Dev => minimal_dev = options.one_of(b"host|minimal", value)?,
            Id::ResolvConf => resolv_conf = options.one_of(b"bind|copy|off", value)?,
            Id::Overlay => overlay = true,
            Id::SkipChdir => skip_chdir = true,
            Id::ClearEnv => clear_env = true,
            Id::Env | Id::UnsetEnv => changed.extend(split(value, b'=').next()),
            Id::DryRun => dry_run = Some(options.one_of(b"|json", value)?),
            Id::Help => return help(),
            Id::Version => return print(VERSION.as_bytes()),
            _ => {}
        }
    }
    let [new_root, words_of_command @ ..] = options.words else {
        let why = "it needs the directory NEWROOT, such as: rootlet run root ls /";
        return Err(Error::because(Step::Usage, b"run", why));
    };
    // What the command is not to see has no copy in pid 1 either, where real root could read it.
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
    let chroot = command.chroot();
    if no_mounts {
        chroot.no_mounts();
    }
    if minimal_dev == 1 {
        chroot.minimal_dev();
    }
    match resolv_conf {
        0 => {}
        1 => _ = chroot.mount(Mount::copy(RESOLV_CONF).optional()),
        _ => _ = chroot.no_mount(RESOLV_CONF),
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

    let mut options = Options::new(NAMES, words);
    while let Some((index, value)) = options.next()? {
        let wrong = |why| Err(Error::because(Step::Usage, value, why));
        let option = IDS[index];
        let chroot = command.chroot();
        match option {
            Id::Bind | Id::Rbind | Id::Ro => match (Mount::parse(value, variable)?, option) {
                (None, _) => {}
                (Some(mount), Id::Rbind) => _ = chroot.mount(mount.recursive()),
                (Some(mount), Id::Ro) => _ = chroot.mount(mount.read_only()),
                (Some(mount), _) => _ = chroot.mount(mount),
            },
            Id::ReadOnlyRoot => _ = chroot.read_only(),
            Id::OverlaySize => _ = chroot.overlay_size(value),
            Id::MaskProc => _ = chroot.mask_proc(),
            Id::Unshare | Id::Share => {
                for name in split(value, b',') {
                    let mut known = Namespace::ALL.into_iter();
                    let Some(namespace) = known.find(|known| known.name().as_bytes() == name)
                    else {
                        let why = "there is no such type";
                        return Err(Error::because(Step::Namespace, name, why));
                    };
                    match option {
                        Id::Unshare => chroot.unshare(namespace),
                        _ => chroot.share(namespace),
                    };
                }
            }
            Id::MapUsers => {
                chroot.map_users(match options.one_of(b"root|current|auto", value)? {
                    0 => MapUsers::Root,
                    1 => MapUsers::Current,
                    _ => MapUsers::Auto,
                });
            }
            Id::Chdir => _ = chroot.current_dir(value),
            Id::Hostname => _ = chroot.hostname(value),
            Id::NewSession => _ = chroot.new_session(),
            Id::Grace => _ = chroot.grace(natural(value, "a number of seconds is wanted")?),
            Id::User => _ = chroot.user(value),
            Id::Groups => _ = chroot.groups(value),
            Id::DropCaps => _ = chroot.drop_capabilities(Capabilities::parse(value)?),
            Id::NoNewPrivs => _ = chroot.no_new_privileges(),
            Id::Verbose => _ = chroot.verbose(),
            Id::Pty => command.set_pty(),
            Id::KeepFd => command.kept_descriptors.push(natural(value, DESCRIPTOR)?),
            Id::StatusFd => command.set_status_fd(natural(value, DESCRIPTOR)?),
            Id::Env => match value.iter().position(|byte| *byte == b'=') {
                None | Some(0) => return wrong("a variable is NAME=VALUE"),
                Some(equals) => _ = command.env(&value[..equals], &value[equals + 1..]),
            },
            Id::UnsetEnv if value.is_empty() || value.contains(&b'=') => {
                return wrong("that is no name of a variable");
            }
            Id::UnsetEnv => _ = command.env_remove(value),
            Id::Argv0 => _ = command.arg0(value),
            Id::NoMounts
            | Id::Dev
            | Id::ResolvConf
            | Id::Overlay
            | Id::SkipChdir
            | Id::ClearEnv
            | Id::DryRun
            | Id::Help
            | Id::Version => {}
        }
    }
    // After NEWROOT, where no option is read any more, `--` can only be meant as a separator.
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
