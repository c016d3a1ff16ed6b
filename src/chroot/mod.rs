//! `Chroot`: the description of a new root.
//!
//! A description is data: making or changing one has no effect on the system. A [`Command`] in it
//! is compiled to a plan ([`plan`]), and a run executes that plan.

mod check;
pub(crate) mod command;
pub(crate) mod files;
pub(crate) mod plan;
mod view;

use crate::chroot::command::Command;
use crate::error::Verbose;
use crate::mount::{self, Mount, overlay};
use crate::process::cwd::WorkingDirectory;
use crate::process::namespace::{Namespace, Namespaces};
use crate::sys::poll::NANOSECONDS;
use crate::text::bytes::AsBytes;
use crate::text::name::Name;
use crate::user::capability::Capabilities;
use crate::user::id_map::MapUsers;
use crate::user::private::PrivateUsers;
use alloc::vec::Vec;

/// A new root for commands, in new mount, UTS, IPC and pid namespaces. Any number of commands can
/// run in it, one after the other or at once.
///
/// If the caller has no right to make those namespaces, a user namespace is made too, in which the
/// caller is user 0. The network is still the host's.
///
/// ```no_run
/// use rootlet::{Chroot, Mount};
///
/// let mut root = Chroot::new("/srv/root");
/// root.mount(Mount::bind("/srv/data").to("/data").read_only())
///     .hostname("build.example.org");
/// let status = root
///     .command("make")
///     .args(["-C", "/data"])
///     .env("PATH", "/usr/bin:/bin")
///     .status()?;
/// assert!(status.success());
/// # Ok::<(), rootlet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chroot {
    pub(crate) new_root: Name,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) read_only: bool,
    pub(crate) mask_proc: bool,
    /// Show the caller's terminal as `/dev/console`.
    console: bool,
    /// The options of the overlay's tmpfs, if there is an overlay.
    pub(crate) overlay: Option<Name>,
    overlay_size: Option<Name>,
    pub(crate) hostname: Option<Name>,
    pub(crate) namespaces: Namespaces,
    pub(crate) map_users: MapUsers,
    pub(crate) directory: WorkingDirectory,
    pub(crate) new_session: bool,
    pub(crate) grace: u64,
    pub(crate) user: Option<Name>,
    pub(crate) groups: Option<Name>,
    pub(crate) dropped_capabilities: Capabilities,
    pub(crate) no_new_privileges: bool,
    pub(crate) verbose: Verbose,
}

impl Chroot {
    /// Describes this directory as the root of commands, with the [default
    /// mounts](Mount::defaults). Commands start in its `/`.
    pub fn new(new_root: impl AsBytes) -> Chroot {
        Chroot {
            new_root: Name::new(new_root.as_bytes()),
            mounts: Mount::defaults(),
            read_only: false,
            mask_proc: false,
            console: false,
            overlay: None,
            overlay_size: None,
            hostname: None,
            namespaces: Namespaces::DEFAULT,
            map_users: MapUsers::Root,
            directory: WorkingDirectory::Path(Name::new(b"/")),
            new_session: false,
            grace: 0,
            user: None,
            groups: None,
            dropped_capabilities: Capabilities::NONE,
            no_new_privileges: false,
            verbose: Verbose::NOT,
        }
    }

    /// Makes a [`Command`] in this root. It has a copy of this description, so later changes here
    /// do not affect it.
    pub fn command(&self, name: impl AsBytes) -> Command {
        let mut command = Command::in_root(self.clone());
        command.words.push(Name::new(name.as_bytes()));
        command
    }

    /// Adds a mount. It replaces an earlier or default mount with the same target.
    pub fn mount(&mut self, mount: Mount) -> &mut Chroot {
        mount::add(&mut self.mounts, mount);
        self
    }

    /// Removes the default mounts and those added before.
    pub fn no_mounts(&mut self) -> &mut Chroot {
        self.mounts.clear();
        self
    }

    /// Gives the run its own namespace of this type. By default it has those of the types `Ipc`,
    /// `Uts` and `Pid`.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// use rootlet::{Chroot, Namespace};
    ///
    /// let mut chroot = Chroot::new("/");
    /// chroot.unshare(Namespace::Network);
    /// let output = chroot.command("cat").arg("/proc/net/route").output()?;
    /// assert_eq!(output.stdout.split(|byte| *byte == b'\n').count(), 2);
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    pub fn unshare(&mut self, namespace: Namespace) -> &mut Chroot {
        self.namespaces.set(namespace, true);
        self
    }

    /// Shares the caller's namespace of this type with the command.
    ///
    /// Without its own pid namespace the run has no pid 1. The process in its place still reaps
    /// orphans, passes on signals and removes mount points. When the command or the caller ends, it
    /// kills the command's descendants: those in `/proc` of the new root, or without `/proc` those
    /// in the command's process group. The kernel gives no guarantee here: a descendant that is
    /// missed keeps running, and if the process in pid 1's place is killed, only the command ends
    /// with it. The command sees all processes in `/proc`, and a restart or power off affects the
    /// whole machine.
    ///
    /// A closure in the new root (`Chroot::call`) needs a pid namespace.
    ///
    /// If the kernel allows no new `/proc`, because parts of the caller's are covered as in many
    /// containers, the pid namespace is shared as well, with a [warning](crate::Child::warnings).
    /// If [`Chroot::unshare`] asked for one, this is EPERM instead. A closure then gets the
    /// caller's `/proc`.
    pub fn share(&mut self, namespace: Namespace) -> &mut Chroot {
        self.namespaces.set(namespace, false);
        self
    }

    /// Sets how users are mapped in a new user namespace. By default the caller is user 0 there.
    pub fn map_users(&mut self, map: MapUsers) -> &mut Chroot {
        self.map_users = map;
        self
    }

    /// Runs the command, as root, in a new user namespace with a range of ids that no other run
    /// has.
    ///
    /// The files of the new root keep their owners on disk, and belong to the same users inside: an
    /// id-mapped mount shows them (`mount_setattr(2)`, Linux 5.12; with [`Chroot::overlay`] 5.19).
    /// User 0 inside owns the files of user 0 in the new root, and has no rights anywhere else. A
    /// process that escapes from the run has only the rights of a user without files. Binds are
    /// mapped in the same way, unless [`Mount::no_id_map`] is set; the default mounts keep the
    /// host's owners. `/dev` is as with [`Chroot::minimal_dev`].
    ///
    /// A closure (`Chroot::call`) cannot have a range of users.
    ///
    /// # Errors
    ///
    /// A run fails with EINVAL if a file system of the new root, or of a bind, does not support
    /// id-mapped mounts, with ENOSYS if the kernel does not. It also fails if the caller is not
    /// root.
    ///
    /// ```no_run
    /// use rootlet::{Chroot, PrivateUsers};
    ///
    /// let mut root = Chroot::new("/srv/root");
    /// root.private_users(PrivateUsers::Auto);
    /// let status = root.command("make").args(["-C", "/src"]).status()?;
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    pub fn private_users(&mut self, users: PrivateUsers) -> &mut Chroot {
        self.map_users = MapUsers::Private(users);
        self.namespaces.set(Namespace::User, true);
        self.minimal_dev()
    }

    /// Removes the default or added mount with this target, if there is one.
    pub fn no_mount(&mut self, target: impl AsBytes) -> &mut Chroot {
        let target = Mount::bind(target);
        self.mounts.retain(|mount| !mount.has_target_of(&target));
        self
    }

    /// Shows a minimal `/dev` instead of the host's: null, zero, full, random, urandom and tty,
    /// links to the standard descriptors, new terminals in `/dev/pts`, a tmpfs on `/dev/shm`, and
    /// as `/dev/console` the terminal that the caller runs in, if there is one. A caller who may
    /// not make device nodes gets binds of the host's.
    ///
    /// The command can read the keys of the caller's terminal there, and real root can type into
    /// it. With [`Foreground::pty`](crate::Foreground::pty) the console is the command's own
    /// terminal.
    pub fn minimal_dev(&mut self) -> &mut Chroot {
        for mount in Mount::minimal_dev() {
            mount::add(&mut self.mounts, mount);
        }
        self.console = true;
        self
    }

    /// Masks files in `/proc` and `/sys` that affect or reveal the whole machine. `/proc/sys`,
    /// `/proc/sysrq-trigger` and others become read-only; `/proc/kcore`, `/proc/keys`,
    /// `/sys/firmware` and others are covered.
    ///
    /// A proc below a recursive bind, or a bind of a part of one, is not masked. With masks the
    /// kernel allows no new proc in a user namespace inside, so an ordinary user's bwrap fails
    /// there. Real root can undo this by an unmount, unless
    /// [`drop_capabilities`](Chroot::drop_capabilities) takes `sys_admin` and `sys_ptrace`.
    pub fn mask_proc(&mut self) -> &mut Chroot {
        self.mask_proc = true;
        self
    }

    /// Makes the new root read-only, with all mounts below it on the host. The mounts of this
    /// `Chroot`, default ones included, keep their own flags. Missing mount points are created
    /// first, except inside a mount below the new root.
    ///
    /// It uses `mount_setattr(2)` with `AT_RECURSIVE` (Linux 5.12), or a remount of each mount.
    /// Real root can undo it by a remount, unless [`drop_capabilities`](Chroot::drop_capabilities)
    /// takes `sys_admin` and `sys_ptrace`.
    pub fn read_only(&mut self) -> &mut Chroot {
        self.read_only = true;
        self
    }

    /// Keeps changes to the new root in memory and discards them after the run, with an overlay.
    /// Nothing is made in the new root itself, not even a mount point. Mounts below it on the host
    /// are not shown. Writes to a bind still reach its source.
    ///
    /// In a user namespace this needs Linux 5.11, and a new root without mounts of the host below
    /// it. Before 6.6, where a tmpfs has no `user.` attributes, a directory of the new root cannot
    /// be removed, renamed or replaced there (EIO).
    pub fn overlay(&mut self) -> &mut Chroot {
        self.overlay = Some(overlay::memory_options(b""));
        self
    }

    /// Keeps changes in memory as [`Chroot::overlay`] does, with a limit: bytes, or a number with
    /// `k`, `m` or `g`, or with `%` of the machine's memory. The default limit is half of that
    /// memory.
    pub fn overlay_size(&mut self, size: impl AsBytes) -> &mut Chroot {
        let size = Name::new(size.as_bytes());
        self.overlay = Some(overlay::memory_options(size.bytes()));
        self.overlay_size = Some(size);
        self
    }

    /// Sets the host name inside, by `sethostname(2)`. If the name has dots, the part before the
    /// first is the host name, and the rest the domain name, set by `setdomainname(2)`. The default
    /// `/etc/hosts`, or a [copy](Mount::copy) of it, gets a line with this name and the address
    /// 127.0.1.1.
    pub fn hostname(&mut self, name: impl AsBytes) -> &mut Chroot {
        self.hostname = Some(Name::new(name.as_bytes()));
        self
    }

    /// Runs the command in its own session (`setsid(2)`), which keys do not reach. Keys that
    /// interrupt this process interrupt the command too.
    ///
    /// It keeps its standard descriptors. If one is a terminal, a command with `CAP_SYS_ADMIN`,
    /// such as real root's, can still push characters into its input (`ioctl(TIOCSTI)`);
    /// [`Foreground::pty`](crate::Foreground::pty) prevents that.
    pub fn new_session(&mut self) -> &mut Chroot {
        self.new_session = true;
        self
    }

    /// Sends TERM to the remaining processes when the command has ended, and KILL after this many
    /// seconds. The command has the same time to end after HUP, INT, QUIT or TERM was sent on to
    /// it. If nobody waits for the run any more, everything is killed at once.
    pub fn grace(&mut self, seconds: u32) -> &mut Chroot {
        self.grace = u64::from(seconds) * NANOSECONDS;
        self
    }

    /// Starts commands in this directory of the new root.
    pub fn current_dir(&mut self, path: impl AsBytes) -> &mut Chroot {
        self.directory = WorkingDirectory::Path(Name::new(path.as_bytes()));
        self
    }

    /// Starts commands in the caller's current directory, if that is below the new root, and
    /// otherwise in the directory of the new root with the same path.
    pub fn keep_current_dir(&mut self) -> &mut Chroot {
        self.directory = WorkingDirectory::Kept;
        self
    }

    /// Runs the command as this user: `USER` or `USER:GROUP`, each a number or a name.
    ///
    /// A number needs no file of the new root, so use numbers for a root that is not trusted. User
    /// N has the main group N, no supplementary groups, the HOME `/`, the SHELL `/bin/sh`, and
    /// neither USER nor LOGNAME. A text of digits is a number.
    ///
    /// A name is looked up in the new root's own `/etc/passwd`, without the mounts of this run, and
    /// the name of a group in its `/etc/group`. A named user has the main group, HOME, SHELL, USER
    /// and LOGNAME of its line, as `su(1)` sets them. Its supplementary groups are the main one and
    /// those that have it as a member.
    ///
    /// [`Chroot::groups`] sets other supplementary groups, and [`Command::env`] other variables.
    ///
    /// A user namespace made for the run has only user 0, and its supplementary groups cannot be
    /// changed.
    pub fn user(&mut self, user: impl AsBytes) -> &mut Chroot {
        self.user = Some(Name::new(user.as_bytes()));
        self
    }

    /// Sets the command's supplementary groups: numbers, or names in the new root's own
    /// `/etc/group`, separated by commas. An empty list means none.
    pub fn groups(&mut self, list: impl AsBytes) -> &mut Chroot {
        self.groups = Some(Name::new(list.as_bytes()));
        self
    }

    /// Takes capabilities (`capabilities(7)`) from the command permanently: from its bounding,
    /// effective, permitted, inheritable and ambient set. Another call takes more.
    ///
    /// The inheritable and the ambient set are empty in every command, even if the caller's are
    /// not.
    pub fn drop_capabilities(&mut self, capabilities: Capabilities) -> &mut Chroot {
        self.dropped_capabilities = self.dropped_capabilities.and(capabilities);
        self
    }

    /// Keeps the command from gaining rights by executing a file, for example a set-user-ID one:
    /// `prctl(2)` with PR_SET_NO_NEW_PRIVS.
    ///
    /// With this, [`Chroot::user`], [`Chroot::groups`] or [`Chroot::drop_capabilities`], and in a
    /// new user namespace, the command has a new session keyring (`keyctl(2)`,
    /// KEYCTL_JOIN_SESSION_KEYRING). It could otherwise use the keys in the caller's. EDQUOT, if
    /// the caller has no room for one more key, is an error; if only a user namespace called for
    /// the keyring, it is a line on standard error. ENOSYS and EPERM are no errors: the command can
    /// then use no keys either.
    ///
    /// The *user* keyring belongs to the user. A command that is still the caller, even as user 0
    /// of a user namespace, can reach that keyring by its number.
    pub fn no_new_privileges(&mut self) -> &mut Chroot {
        self.no_new_privileges = true;
        self
    }

    /// Logs each step to standard error, with the seconds since this call.
    pub fn verbose(&mut self) -> &mut Chroot {
        self.verbose = Verbose::from_now();
        self
    }
}
