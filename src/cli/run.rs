//! `rootlet run`: options into a `Chroot`.

use alloc::vec::Vec;

use rootlet::{Capabilities, Chroot, DEFAULT_PATH, Error, MapUsers, Mount, Namespace, Step};

use crate::cli::help::help;
use crate::cli::options::{Id, RUN};
use crate::cli::parse::{number, parse};
use crate::cli::{VERSION, print};

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Of `bind`, `copy`, `off`.
const COPY: usize = 1;
const OFF: usize = 2;

/// Which of an option's words its value is.
fn one_of(option: &[u8], value: &[u8], words: &[&[u8]]) -> Result<usize, Error<'static>> {
    let known = words.iter().position(|word| *word == value);
    known.ok_or_else(|| Error::because(Step::Usage, option, "there is no such value for it"))
}

/// Takes the words after the role, and gives the exit status.
pub(crate) fn run(words: &[&[u8]], environment: &[&[u8]]) -> Result<u8, Error<'static>> {
    let variable = |name: &[u8]| {
        environment
            .iter()
            .find_map(|variable| variable.strip_prefix(name)?.strip_prefix(b"="))
    };
    let mut mounts = Vec::new();
    let mut no_mounts = false;
    let mut hostname = None;
    let mut directory: Option<&[u8]> = None;
    let (mut skip_chdir, mut dry_run, mut verbose) = (false, false, false);
    let (mut read_only_root, mut overlay, mut overlay_size) = (false, false, None);
    let mut clear_env = false;
    let (mut variables, mut argv0) = (Vec::new(), None);
    let (mut dropped, mut no_new_privileges) = (Vec::new(), false);
    let (mut minimal_dev, mut resolv_conf, mut mask_proc) = (false, 0, false);
    let (mut user, mut groups) = (None, None);
    let mut pty = false;
    let (mut new_session, mut grace) = (false, 0);
    let mut kept = Vec::new();
    let mut namespaces = Vec::new();
    let mut map_users = MapUsers::Root;
    let mut status = None;
    let mut instead = None;

    let wrong = |word: &[u8], why| Err(Error::because(Step::Usage, word, why));
    let operands = parse(&RUN, words, |option, value| {
        match option {
            Id::Bind | Id::Rbind | Id::ReadOnly => {
                let mount = Mount::parse(value, variable)?;
                mounts.extend(mount.map(|mount| match option {
                    Id::Rbind => mount.recursive(),
                    Id::ReadOnly => mount.read_only(),
                    _ => mount,
                }));
            }
            Id::NoMounts => no_mounts = true,
            Id::Pty => pty = true,
            Id::ReadOnlyRoot => read_only_root = true,
            Id::Dev => minimal_dev = one_of(b"--dev", value, &[b"host", b"minimal"])? == 1,
            Id::ResolvConf => {
                resolv_conf = one_of(b"--resolv-conf", value, &[b"bind", b"copy", b"off"])?
            }
            Id::Unshare | Id::Share => {
                for name in value.split(|byte| *byte == b',') {
                    let known = Namespace::ALL
                        .iter()
                        .find(|known| known.name().as_bytes() == name);
                    let Some(namespace) = known else {
                        return Err(Error::because(
                            Step::Namespace,
                            name,
                            "there is no such type",
                        ));
                    };
                    namespaces.push((*namespace, option == Id::Unshare));
                }
            }
            Id::MapUsers => {
                let words: [&[u8]; 3] = [b"root", b"current", b"auto"];
                let maps = [MapUsers::Root, MapUsers::Current, MapUsers::Auto];
                map_users = maps[one_of(b"--map-users", value, &words)?];
            }
            Id::MaskProc => mask_proc = true,
            Id::Overlay => overlay = true,
            Id::OverlaySize => overlay_size = Some(value),
            Id::Hostname => hostname = Some(value),
            Id::SkipChdir => skip_chdir = true,
            Id::Chdir => directory = Some(value),
            Id::Env if matches!(value.iter().position(|byte| *byte == b'='), None | Some(0)) => {
                return wrong(value, "a variable is NAME=VALUE");
            }
            Id::UnsetEnv if value.is_empty() || value.contains(&b'=') => {
                return wrong(value, "that is no name of a variable");
            }
            Id::Env | Id::UnsetEnv => variables.push((option, value)),
            Id::User => user = Some(value),
            Id::Groups => groups = Some(value),
            Id::KeepFd => match number(value) {
                Some(number) => kept.push(number),
                None => return wrong(value, "a descriptor is a number"),
            },
            Id::StatusFd => match number(value) {
                Some(number) => status = Some(number),
                None => return wrong(value, "a descriptor is a number"),
            },
            Id::NewSession => new_session = true,
            Id::Grace => match number(value) {
                Some(seconds) => grace = seconds,
                None => return wrong(value, "a number of seconds is wanted"),
            },
            Id::DropCaps => dropped.push(Capabilities::parse(value)?),
            Id::NoNewPrivs => no_new_privileges = true,
            Id::ClearEnv => clear_env = true,
            Id::Argv0 => argv0 = Some(value),
            Id::DryRun => dry_run = true,
            Id::Verbose => verbose = true,
            // The others are not in the table of this role.
            _ => instead = instead.or(Some(option)),
        }
        Ok(())
    })?;
    match instead {
        Some(Id::Version) => return print(VERSION.as_bytes()),
        Some(_) => return print(&help(&RUN)),
        None => {}
    }

    let [new_root, command @ ..] = operands else {
        let why = "it needs the directory NEWROOT";
        return Err(Error::because(Step::Usage, b"run", why));
    };
    let mut chroot = Chroot::new(new_root);
    if no_mounts {
        chroot = chroot.no_mounts();
    }
    for (namespace, own) in namespaces {
        chroot = match own {
            true => chroot.unshare(namespace),
            false => chroot.share(namespace),
        };
    }
    chroot = chroot.map_users(map_users);
    if minimal_dev {
        chroot = chroot.minimal_dev();
    }
    chroot = match resolv_conf {
        COPY => chroot.mount(Mount::copy(RESOLV_CONF).optional()),
        OFF => chroot.no_mount(RESOLV_CONF),
        _ => chroot,
    };
    if mask_proc {
        chroot = chroot.mask_proc();
    }
    chroot = mounts.into_iter().fold(chroot, Chroot::mount);
    chroot = match (overlay_size, overlay) {
        (Some(size), _) => chroot.overlay_size(size),
        (None, true) => chroot.overlay(),
        (None, false) => chroot,
    };
    if pty {
        chroot = chroot.pty();
    }
    if read_only_root {
        chroot = chroot.read_only();
    }
    if let Some(name) = hostname {
        chroot = chroot.hostname(name);
    }
    chroot = match (directory, skip_chdir) {
        (Some(directory), _) => chroot.current_dir(directory),
        (None, true) => chroot.keep_current_dir(),
        (None, false) => chroot,
    };
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
    if let Some(user) = user {
        chroot = chroot.user(user);
    }
    if let Some(list) = groups {
        chroot = chroot.groups(list);
    }
    chroot = kept.into_iter().fold(chroot, Chroot::keep_fd);
    if let Some(number) = status {
        chroot = chroot.status_fd(number);
    }
    if new_session {
        chroot = chroot.new_session();
    }
    chroot = chroot.grace(grace);
    chroot = dropped.into_iter().fold(chroot, Chroot::drop_capabilities);
    if no_new_privileges {
        chroot = chroot.no_new_privileges();
    }
    if verbose {
        chroot = chroot.verbose();
    }
    chroot = chroot.envs(environment);
    if clear_env {
        chroot = chroot.env_clear();
        if let Some(terminal) = environment.iter().find(|word| word.starts_with(b"TERM=")) {
            chroot = chroot.env(terminal);
        }
        chroot = chroot.env([b"PATH=", DEFAULT_PATH.as_bytes()].concat());
    }
    chroot = variables
        .into_iter()
        .fold(chroot, |chroot, (option, value)| match option {
            Id::Env => chroot.env(value),
            _ => chroot.env_remove(value),
        });
    if let Some(name) = argv0 {
        chroot = chroot.arg0(name);
    }

    if dry_run {
        return print(&chroot.plan()?);
    }
    Ok(chroot.run()?.shell())
}
