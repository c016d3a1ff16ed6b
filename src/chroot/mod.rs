//! `Chroot`: the description of a new root.

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

/// A new root for commands, in new mount, UTS, IPC and pid namespaces, to be run in any number, one
/// after the other or at once.
///
/// Without the right to make those, a user namespace is made too, in which the caller is user 0;
/// its network is the host's all the same.
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
    /// The caller's terminal is to be /dev/console.
    console: bool,
    /// The options of an overlay's memory, where there is to be one.
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
    /// This directory as the root of commands, with the [default mounts](Mount::defaults). They start in
    /// its `/`.
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

    /// A command in this root: [`Command`]. It has a copy of this description, so that what is changed
    /// here later does not count for it.
    pub fn command(&self, name: impl AsBytes) -> Command {
        let mut command = Command::in_root(self.clone());
        command.words.push(Name::new(name.as_bytes()));
        command
    }

    /// Adds a mount. One with the target of an earlier one, or of a default one, takes its place.
    pub fn mount(&mut self, mount: Mount) -> &mut Chroot {
        mount::add(&mut self.mounts, mount);
        self
    }

    /// Drops the default mounts, and what was added before.
    pub fn no_mounts(&mut self) -> &mut Chroot {
        self.mounts.clear();
        self
    }

    /// Gives the run a namespace of its own of this type. Those of the types `Ipc`, `Uts` and `Pid`
    /// it has without that.
    ///
    /// ```
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
    /// Without a pid namespace of its own the run has no pid 1. The process in its place still reaps
    /// what is orphaned, passes on signals and removes mount points, and when the command or the
    /// caller ends it kills the command's descendants: those in `/proc` of the new root, or without
    /// `/proc` those in the command's process group. The kernel gives no guarantee here: a descendant
    /// that is missed keeps running, and if the process in pid 1's place is killed, only the command
    /// ends with it. The command sees all processes in `/proc`, and a restart or power off is
    /// the machine's.
    ///
    /// A closure in the new root (`Chroot::call`) needs a pid namespace.
    ///
    /// The pid namespace is shared as well, with a [warning](crate::Child::warnings), where the kernel
    /// allows no new `/proc` (parts of the caller's are covered, as in many containers) and
    /// [`Chroot::unshare`] did not ask for one of its own: with that it is EPERM. A closure is shown the
    /// caller's `/proc` then.
    pub fn share(&mut self, namespace: Namespace) -> &mut Chroot {
        self.namespaces.set(namespace, false);
        self
    }

    /// Sets how users are mapped in a new user namespace. By default the caller is user 0 there.
    pub fn map_users(&mut self, map: MapUsers) -> &mut Chroot {
        self.map_users = map;
        self
    }

    /// As root, runs the command in a new user namespace whose ids are a range that nobody else has.
    ///
    /// The files of the new root keep their owners on disk and belong to the same users inside: an
    /// id-mapped mount shows them (`mount_setattr(2)`, Linux 5.12; with [`Chroot::overlay`] 5.19). User
    /// 0 inside owns the files of user 0 in the new root, and is nobody anywhere else: what escapes
    /// from the run can do what a user without files can do. Binds are shown in the same way, unless
    /// [`Mount::no_id_map`] says otherwise; the default mounts keep the host's owners. `/dev` is as with [`Chroot::minimal_dev`].
    ///
    /// A closure (`Chroot::call`) takes no range of users.
    ///
    /// # Errors
    ///
    /// A run fails where a file system of the new root, or of a bind, has no id-mapped mounts (EINVAL),
    /// where the kernel has none (ENOSYS), and where the caller is not root.
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

    /// Drops the default or added mount with this target, if there is one.
    pub fn no_mount(&mut self, target: impl AsBytes) -> &mut Chroot {
        let target = Mount::bind(target);
        self.mounts.retain(|mount| !mount.has_target_of(&target));
        self
    }

    /// Shows a `/dev` of the run's own in the place of the host's: null, zero, full, random,
    /// urandom and tty, links to the standard descriptors, new terminals in `/dev/pts`, a tmpfs on
    /// `/dev/shm`, and as `/dev/console` the terminal that the caller runs in, if it does. Who may
    /// make no nodes gets the host's, bound.
    ///
    /// The command can read the keys of the caller's terminal there, and real root type into it. With
    /// [`Foreground::pty`](crate::Foreground::pty) the console is the command's own terminal.
    pub fn minimal_dev(&mut self) -> &mut Chroot {
        for mount in Mount::minimal_dev() {
            mount::add(&mut self.mounts, mount);
        }
        self.console = true;
        self
    }

    /// Makes read-only what in `/proc` changes the whole machine (`/proc/sys`, `/proc/sysrq-trigger`
    /// and others), and covers what tells of it (`/proc/kcore`, `/proc/keys`, `/sys/firmware` and
    /// others); not in a proc below a recursive bind, nor in a bind of a part of one. The kernel allows no
    /// new proc in a user namespace inside then, so an ordinary user's bwrap fails there. Real root can undo it by an unmount, unless
    /// [`drop_capabilities`](Chroot::drop_capabilities) takes `sys_admin` and `sys_ptrace`.
    pub fn mask_proc(&mut self) -> &mut Chroot {
        self.mask_proc = true;
        self
    }

    /// Makes the new root read-only, and what is mounted below it. The mounts of this `Chroot`, the default ones too, stay as they are, and a mount point that is missing is made
    /// before; but not in what is mounted below the new root.
    ///
    /// `mount_setattr(2)` with `AT_RECURSIVE` (Linux 5.12), or a remount of each mount. Real root can
    /// undo it by a remount, unless [`drop_capabilities`](Chroot::drop_capabilities) takes
    /// `sys_admin` and `sys_ptrace`.
    pub fn read_only(&mut self) -> &mut Chroot {
        self.read_only = true;
        self
    }

    /// Lets what is written in the new root go to memory, and be gone after the run: an overlay.
    /// Nothing is made in the new root itself, no mount point either. What is mounted below it is
    /// not shown; what is bound is written as ever.
    ///
    /// In a user namespace it needs Linux 5.11, and a new root that has no mount of the host's below
    /// it. Before 6.6, where a tmpfs has no `user.` attributes, a directory of the new root cannot be
    /// removed, renamed or replaced there (EIO).
    pub fn overlay(&mut self) -> &mut Chroot {
        self.overlay = Some(overlay::memory_options(b""));
        self
    }

    /// The same with at most so much memory: bytes, or with `k`, `m`, `g` after it, or `%` of the
    /// machine's. Without that it is half of it.
    pub fn overlay_size(&mut self, size: impl AsBytes) -> &mut Chroot {
        let size = Name::new(size.as_bytes());
        self.overlay = Some(overlay::memory_options(size.bytes()));
        self.overlay_size = Some(size);
        self
    }

    /// Sets the host name inside, by `sethostname(2)`; of a name with dots the part before the
    /// first, and the rest as the domain name by `setdomainname(2)`. The default `/etc/hosts`, or a
    /// [copy](Mount::copy) of it, gets a line with this name and the address 127.0.1.1.
    pub fn hostname(&mut self, name: impl AsBytes) -> &mut Chroot {
        self.hostname = Some(Name::new(name.as_bytes()));
        self
    }

    /// Runs the command in a session of its own (`setsid(2)`), which no key reaches. Where keys
    /// interrupt this process they interrupt the command too.
    ///
    /// It keeps its standard descriptors. Where one is a terminal, a command with `CAP_SYS_ADMIN`, as
    /// real root has it, can push characters into its input all the same (`ioctl(TIOCSTI)`);
    /// [`Foreground::pty`](crate::Foreground::pty) keeps it from that.
    pub fn new_session(&mut self) -> &mut Chroot {
        self.new_session = true;
        self
    }

    /// When the command has ended, sends TERM to what still runs, and KILL after this many seconds.
    /// When HUP, INT, QUIT or TERM was sent on to the command, it has as long to end. When nobody
    /// waits for the run any more, all is killed at once.
    pub fn grace(&mut self, seconds: u32) -> &mut Chroot {
        self.grace = u64::from(seconds) * NANOSECONDS;
        self
    }

    /// Starts commands in this directory of the new root.
    pub fn current_dir(&mut self, path: impl AsBytes) -> &mut Chroot {
        self.directory = WorkingDirectory::Path(Name::new(path.as_bytes()));
        self
    }

    /// Starts commands in the directory of the new root that the caller is in, if the caller is
    /// below the new root, else in the one with the same path.
    pub fn keep_current_dir(&mut self) -> &mut Chroot {
        self.directory = WorkingDirectory::Kept;
        self
    }

    /// Makes the command this user, `USER` or `USER:GROUP`, each a number or a name.
    ///
    /// A number takes nothing from the new root's files, so it is the one to use for a root that is
    /// not trusted: user N has the main group N, no supplementary groups, the HOME `/`, the SHELL
    /// `/bin/sh`, and neither USER nor LOGNAME. What consists of digits is a number.
    ///
    /// A name is looked up in the new root's own `/etc/passwd`, as it is without the mounts of this
    /// run, and that of a group in its `/etc/group`. A user named so has the main group, HOME, SHELL,
    /// USER and LOGNAME of its line, as `su(1)` sets them, and as supplementary groups the main one and
    /// those that have it as a member.
    ///
    /// [`Chroot::groups`] sets other supplementary groups, and [`Command::env`] other variables.
    ///
    /// A user namespace made for the run has no user but 0, and its supplementary groups cannot be
    /// changed.
    pub fn user(&mut self, user: impl AsBytes) -> &mut Chroot {
        self.user = Some(Name::new(user.as_bytes()));
        self
    }

    /// Makes these the command's supplementary groups: numbers, or names in the new root's own
    /// `/etc/group`, with commas between them; none for an empty list.
    pub fn groups(&mut self, list: impl AsBytes) -> &mut Chroot {
        self.groups = Some(Name::new(list.as_bytes()));
        self
    }

    /// Takes capabilities (`capabilities(7)`) from the command, for good: from its bounding,
    /// effective, permitted, inheritable and ambient set. Called again, it takes more.
    ///
    /// The inheritable and the ambient set are empty in every command, whatever the caller's are.
    pub fn drop_capabilities(&mut self, capabilities: Capabilities) -> &mut Chroot {
        self.dropped_capabilities = self.dropped_capabilities.and(capabilities);
        self
    }

    /// Executing a file gives the command no rights, set-user-ID or whatever: `prctl(2)` with
    /// PR_SET_NO_NEW_PRIVS.
    ///
    /// With this, [`Chroot::user`], [`Chroot::groups`] or [`Chroot::drop_capabilities`], and in a new
    /// user namespace, the command has a new session keyring (`keyctl(2)`,
    /// KEYCTL_JOIN_SESSION_KEYRING) in the place of the caller's, whose keys it could use otherwise.
    /// EDQUOT, where the caller has no room for one more key, is an error, but a line on standard
    /// error where only a user namespace called for it. ENOSYS and EPERM are not: there are no keys
    /// for the command then.
    ///
    /// The *user* keyring goes with the user: a command that is still the caller, be it as user 0 of
    /// a user namespace, can reach that one by its number.
    pub fn no_new_privileges(&mut self) -> &mut Chroot {
        self.no_new_privileges = true;
        self
    }

    /// Says each step on standard error, and how many seconds after this call.
    pub fn verbose(&mut self) -> &mut Chroot {
        self.verbose = Verbose::from_now();
        self
    }
}
