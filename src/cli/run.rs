//! `rootlet run`: options into a `Chroot`.

use alloc::vec::Vec;

use crate::chroot::Chroot;
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
    let [new_root, command @ ..] = options.words else {
        let why = "it needs the directory NEWROOT, such as: rootlet run root ls /";
        return Err(Error::because(Step::Usage, b"run", why));
    };
    // What the command is not to see has no copy in pid 1 either, where real root could read it.
    let kept = |variable: &&&[u8]| {
        let name = split(variable, b'=').next().unwrap_or_default();
        !clear_env && !changed.contains(&name)
    };
    let mut chroot = Chroot::new(new_root).envs(environment.iter().filter(kept));
    if no_mounts {
        chroot = chroot.no_mounts();
    }
    if minimal_dev == 1 {
        chroot = chroot.minimal_dev();
    }
    chroot = match resolv_conf {
        0 => chroot,
        1 => chroot.mount(Mount::copy(RESOLV_CONF).optional()),
        _ => chroot.no_mount(RESOLV_CONF),
    };
    if overlay {
        chroot = chroot.overlay();
    }
    if skip_chdir {
        chroot = chroot.keep_current_dir();
    }
    if clear_env {
        chroot = chroot.env_clear();
        if let Some(terminal) = environment.iter().find(|word| word.starts_with(b"TERM=")) {
            chroot = chroot.env(terminal);
        }
        chroot = chroot.env([b"PATH=", DEFAULT_PATH.as_bytes()].concat());
    }

    let mut options = Options::new(NAMES, words);
    while let Some((index, value)) = options.next()? {
        let wrong = |why| Err(Error::because(Step::Usage, value, why));
        let option = IDS[index];
        chroot = match option {
            Id::Bind | Id::Rbind | Id::Ro => match (Mount::parse(value, variable)?, option) {
                (None, _) => chroot,
                (Some(mount), Id::Rbind) => chroot.mount(mount.recursive()),
                (Some(mount), Id::Ro) => chroot.mount(mount.read_only()),
                (Some(mount), _) => chroot.mount(mount),
            },
            Id::ReadOnlyRoot => chroot.read_only(),
            Id::OverlaySize => chroot.overlay_size(value),
            Id::MaskProc => chroot.mask_proc(),
            Id::Unshare | Id::Share => {
                for name in split(value, b',') {
                    let mut known = Namespace::ALL.into_iter();
                    let Some(namespace) = known.find(|known| known.name().as_bytes() == name)
                    else {
                        let why = "there is no such type";
                        return Err(Error::because(Step::Namespace, name, why));
                    };
                    chroot = match option {
                        Id::Unshare => chroot.unshare(namespace),
                        _ => chroot.share(namespace),
                    };
                }
                chroot
            }
            Id::MapUsers => {
                chroot.map_users(match options.one_of(b"root|current|auto", value)? {
                    0 => MapUsers::Root,
                    1 => MapUsers::Current,
                    _ => MapUsers::Auto,
                })
            }
            Id::Chdir => chroot.current_dir(value),
            Id::Pty => chroot.pty(),
            Id::Hostname => chroot.hostname(value),
            Id::KeepFd => chroot.keep_fd(natural(value, DESCRIPTOR)?),
            Id::StatusFd => chroot.status_fd(natural(value, DESCRIPTOR)?),
            Id::NewSession => chroot.new_session(),
            Id::Grace => chroot.grace(natural(value, "a number of seconds is wanted")?),
            Id::User => chroot.user(value),
            Id::Groups => chroot.groups(value),
            Id::DropCaps => chroot.drop_capabilities(Capabilities::parse(value)?),
            Id::NoNewPrivs => chroot.no_new_privileges(),
            Id::Env => match value.iter().position(|byte| *byte == b'=') {
                None | Some(0) => return wrong("a variable is NAME=VALUE"),
                Some(_) => chroot.env(value),
            },
            Id::UnsetEnv if value.is_empty() || value.contains(&b'=') => {
                return wrong("that is no name of a variable");
            }
            Id::UnsetEnv => chroot.env_remove(value),
            Id::Argv0 => chroot.arg0(value),
            Id::Verbose => chroot.verbose(),
            Id::NoMounts
            | Id::Dev
            | Id::ResolvConf
            | Id::Overlay
            | Id::SkipChdir
            | Id::ClearEnv
            | Id::DryRun
            | Id::Help
            | Id::Version => chroot,
        };
    }
    // After NEWROOT, where no option is read any more, `--` can only be meant as a separator.
    chroot = match command {
        [b"--", command, arguments @ ..] | [command, arguments @ ..] if *command != b"--" => {
            chroot.command(command).args(arguments)
        }
        _ => match variable(b"SHELL") {
            Some(shell) if !shell.is_empty() => chroot
                .command(shell)
                .args(["-i"])
                .or_command(["/bin/sh", "-i"]),
            _ => chroot.command("/bin/sh").args(["-i"]),
        },
    };

    match dry_run {
        Some(0) => print(&chroot.plan()?),
        Some(_) => print(&chroot.plan_json()?),
        None => {
            let (status, open) = chroot.run_once()?;
            core::mem::forget(open);
            Ok(status.shell())
        }
    }
}

pub(crate) fn help() -> Result<u8, Error> {
    print(&unpacked(HELP))
}
