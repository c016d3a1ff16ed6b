//! The plan of a run: the steps that a `Chroot` and a `Command` compile to before anything is done.
//!
//! Each step has an object. Running is executing the steps in order: the supervisor, pid 1 and the
//! process that becomes the command each execute their own. `--dry-run` and its JSON are views of
//! the same list (`src/chroot/view.rs`).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::chroot::Chroot;
use crate::chroot::command::Command;
use crate::error::{Error, Step};
use crate::mount::{Mount, Planned, Source, hosts, sysfs};
use crate::process::cwd::current_directory;
use crate::process::environment::Change;
use crate::process::namespace::{Namespace, Namespaces};
use crate::sys::{BorrowedFd, Errno, OwnedFd, fs};
use crate::text::name::Name;
use crate::text::path::PathBuffer;
use crate::tty::pty::Callers;
use crate::user::capability::Capabilities;
use crate::user::id_map::MapUsers;
use crate::user::identity::Identity;

/// One step. Mounts are named by their index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    // Steps of pid 1.
    LoopbackUp,
    Propagation,
    NewRoot,
    Overlay,
    ReadOnlyBelow,
    TakeSource(usize),
    FindMountPoint(usize),
    RecordMountPoints,
    Attach(usize),
    /// In the devpts that is this mount.
    OpenTerminal(usize),
    /// The caller's terminal, where it has no other name.
    ShowTerminal,
    Mask,
    ReadOnlyTop,
    HostName,
    PivotRoot,
    DetachOldRoot,
    // Steps of the process that becomes the command.
    Change(usize),
    LockMounts,
    SetIds,
    SetGroups,
    DropCapabilities,
    NoNewPrivileges,
    // Steps of the supervisor, and of the process that it makes.
    Namespace(Namespace, bool),
    Descriptor(u32),
    StatusDescriptor(u32),
    NewSession,
    Grace,
    MapUsers(&'static str),
    ChangeDirectory,
    Execute,
}

/// The plan of a run.
pub(crate) struct Plan<'a> {
    pub(crate) chroot: &'a Chroot,
    pub(crate) command: &'a Command,
    /// NEWROOT, opened once: users are looked up in it, and it is entered.
    pub(crate) new_root: OwnedFd,
    pub(crate) mounts: Vec<Planned<'a>>,
    pub(crate) identity: Identity,
    pub(crate) environment: Cow<'a, [Name]>,
    /// The namespaces of the `Chroot`. A second attempt may do without a pid namespace, if it can
    /// have no proc.
    pub(crate) namespaces: Namespaces,
    pub(crate) actions: Vec<Action>,
}

impl Plan<'_> {
    /// Moves NEWROOT's descriptor above the standard ones. Returns whether it was one of those.
    pub(crate) fn move_above_standard(&mut self) -> Result<bool, Errno> {
        let was_standard = self.new_root.number() <= 2;
        if was_standard {
            self.new_root = fs::duplicate(self.new_root.number())?;
        }
        Ok(was_standard)
    }

    /// Returns whether the command's terminal is opened in the run's own devpts.
    pub(crate) fn opens_terminal(&self) -> bool {
        let opens = |action: &Action| matches!(action, Action::OpenTerminal(_));
        self.actions.iter().any(opens)
    }

    /// Returns whether files of the host are needed after NEWROOT has been entered. An overlay uses
    /// both roots, and masks use the host's `/dev/null`.
    pub(crate) fn needs_host_to_the_end(&self) -> bool {
        self.chroot.overlay.is_some() || self.chroot.mask_proc
    }

    /// Returns the targets of the mounts, in order to look for mount points that were made for
    /// them. In an overlay there are none.
    pub(crate) fn targets(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let count = match self.chroot.overlay {
            Some(_) => 0,
            None => self.mounts.len(),
        };
        let mounts = self.mounts.iter().take(count);
        mounts.map(|planned| planned.target().bytes())
    }
}

impl Command {
    /// Compiles the plan. This reads files of the host and of NEWROOT, and changes nothing.
    pub(crate) fn compile(&self) -> Result<Plan<'_>, Error> {
        self.compile_in(&self.chroot)
    }

    /// Compiles the plan with another `Chroot`, whose mounts are known in more detail.
    pub(crate) fn compile_in<'a>(&'a self, chroot: &'a Chroot) -> Result<Plan<'a>, Error> {
        self.check_names()?;
        let new_root = chroot.open_new_root()?;
        let mounts = self.planned_mounts(chroot)?;
        let mut environment = Cow::Borrowed(&self.environment[..]);
        let identity = self.identify(new_root.borrow(), &mut environment)?;
        let actions = self.actions(chroot, &mounts, &identity);
        Ok(Plan {
            chroot,
            command: self,
            new_root,
            mounts,
            identity,
            environment,
            namespaces: chroot.namespaces,
            actions,
        })
    }

    /// Returns the mounts, with relative sources made absolute, because a run changes the current
    /// directory. A target that follows from such a source changes with it.
    fn planned_mounts<'a>(&self, chroot: &'a Chroot) -> Result<Vec<Planned<'a>>, Error> {
        let mut mounts: Vec<Planned> = Vec::new();
        let namespaces = chroot.namespaces;
        for mount in &chroot.mounts {
            if !mount.host_first {
                mounts.push(Planned::new(Cow::Borrowed(mount)));
                continue;
            }
            let mut sys = mount.clone();
            // In a new network namespace it is a new sysfs, which shows the devices of that
            // namespace.
            sys.host_first = !namespaces.has(Namespace::Network);
            mounts.push(Planned::new(Cow::Owned(sys)));
            for addition in sysfs::additions(namespaces)? {
                if !chroot
                    .mounts
                    .iter()
                    .any(|mount| mount.has_target_of(&addition))
                {
                    mounts.push(Planned::new(Cow::Owned(addition)));
                }
            }
        }
        if let Some(console) = self.console_mount(chroot) {
            match mounts
                .iter_mut()
                .find(|planned| planned.mount.has_target_of(&console))
            {
                Some(other) => *other = Planned::new(Cow::Owned(console)),
                None => mounts.push(Planned::new(Cow::Owned(console))),
            }
        }
        for planned in &mut mounts {
            if let Some(mount) = planned.mount.with_terminals_group(chroot.map_users) {
                planned.mount = Cow::Owned(mount);
            }
            if let Source::Copy(path) = &planned.mount.source {
                // A missing file is reported, or left out, when it is mounted.
                planned.contents = fs::read_all(path.as_c_str());
            }
            if let Some(name) = &chroot.hostname {
                hosts::add_name(planned, name);
            }
            let (Source::Path(path) | Source::Copy(path)) = &planned.mount.source else {
                continue;
            };
            if path.bytes().first() == Some(&b'/') {
                continue;
            }
            let mut absolute = PathBuffer::new();
            current_directory(&mut absolute)
                .and_then(|()| absolute.push_component(path.bytes()))
                .map_err(|errno| Error::new(Step::WorkingDirectory, b"", errno))?;
            let absolute = Name::new(absolute.bytes());
            if planned.mount.target == *path {
                planned.target = Some(absolute.clone());
            }
            planned.source = Some(absolute);
        }
        Ok(mounts)
    }

    fn actions(&self, chroot: &Chroot, planned: &[Planned], identity: &Identity) -> Vec<Action> {
        let mounts = planned.len();
        let is_terminal =
            |mount: &usize| matches!(planned[*mount].mount.source, Source::Terminal(_));
        let mut actions = Vec::with_capacity(3 * mounts + 40);
        let mut add = |is_asked: bool, action| {
            if is_asked {
                actions.push(action);
            }
        };
        let has_overlay = chroot.overlay.is_some();
        add(
            chroot.namespaces.has(Namespace::Network),
            Action::LoopbackUp,
        );
        add(true, Action::Propagation);
        // This comes before the new root lies on top of the old one, where `/..` and a recursive
        // bind of `/` would find it.
        for mount in 0..mounts {
            add(true, Action::TakeSource(mount));
        }
        add(true, Action::NewRoot);
        add(has_overlay, Action::Overlay);
        add(chroot.read_only, Action::ReadOnlyBelow);
        for mount in 0..mounts {
            add(true, Action::FindMountPoint(mount));
        }
        add(true, Action::RecordMountPoints);
        for mount in (0..mounts).filter(|mount| !is_terminal(mount)) {
            add(true, Action::Attach(mount));
        }
        if self.has_own_terminal() {
            let is_own = |planned: &Planned| planned.mount.is_devpts();
            let devpts = planned.iter().position(is_own);
            if let Some(devpts) = devpts.filter(|_| chroot.has_devpts()) {
                add(true, Action::OpenTerminal(devpts));
            }
        }
        for mount in (0..mounts).filter(is_terminal) {
            add(true, Action::Attach(mount));
        }
        add(true, Action::ShowTerminal);
        add(chroot.mask_proc, Action::Mask);
        add(chroot.read_only, Action::ReadOnlyTop);
        add(chroot.hostname.is_some(), Action::HostName);
        add(true, Action::PivotRoot);
        add(true, Action::DetachOldRoot);

        for change in 0..self.changes.len() {
            add(true, Action::Change(change));
        }
        add(chroot.has_protected_mounts(), Action::LockMounts);
        add(identity.has_ids(), Action::SetIds);
        add(identity.has_groups(), Action::SetGroups);
        let drops = chroot.dropped_capabilities != Capabilities::NONE;
        add(drops, Action::DropCapabilities);
        add(chroot.no_new_privileges, Action::NoNewPrivileges);
        for wanted in [true, false] {
            for (namespace, own) in chroot.namespaces.changed() {
                add(own == wanted, Action::Namespace(namespace, own));
            }
        }
        for number in &self.kept_descriptors {
            add(true, Action::Descriptor(*number));
        }
        if let Some(number) = self.status_descriptor {
            add(true, Action::StatusDescriptor(number));
        }
        add(chroot.new_session, Action::NewSession);
        add(chroot.grace > 0, Action::Grace);
        match chroot.map_users {
            MapUsers::Root => {}
            MapUsers::Current => add(true, Action::MapUsers("current")),
            MapUsers::Auto => add(true, Action::MapUsers("auto")),
            MapUsers::Private(_) => add(true, Action::MapUsers("private")),
        }
        add(true, Action::ChangeDirectory);
        add(true, Action::Execute);
        actions
    }

    /// Returns whether the command gets its own terminal in the place of the caller's.
    fn has_own_terminal(&self) -> bool {
        self.pty && Callers::look().is_some()
    }

    /// Returns the mount for the console of a minimal /dev: the command's own terminal if it gets
    /// one, and otherwise the caller's.
    fn console_mount(&self, chroot: &Chroot) -> Option<Mount> {
        match self.pty {
            true if chroot.console && self.has_own_terminal() => {
                chroot.has_devpts().then(Mount::console)
            }
            true => None,
            false => chroot.console_path().map(|path| {
                Mount::bind(path.bytes())
                    .to("/dev/console")
                    .optional()
                    .no_id_map()
            }),
        }
    }

    /// Returns the change to the environment of an [`Action::Change`].
    pub(crate) fn change(&self, index: usize) -> Option<&Change> {
        self.changes.get(index)
    }
}

impl Chroot {
    pub(crate) fn open_new_root(&self) -> Result<OwnedFd, Error> {
        let path = self.new_root.as_c_str();
        fs::openat(BorrowedFd::CWD, path, fs::O_PATH | fs::O_DIRECTORY, 0)
            .map_err(|errno| Error::new(Step::OpenRoot, path.to_bytes(), errno))
    }

    /// Returns whether the run has its own devpts.
    fn has_devpts(&self) -> bool {
        let devpts = self.mounts.iter().find(|mount| mount.is_devpts());
        devpts.is_some_and(|devpts| !devpts.is_for_user_namespace || self.namespaces.need_user())
    }

    /// Returns whether the caller asked for a read-only mount or for masks.
    pub(crate) fn has_protected_mounts(&self) -> bool {
        let is_protected = |mount: &Mount| mount.is_read_only() && !mount.by_default;
        self.read_only || self.mask_proc || self.mounts.iter().any(is_protected)
    }
}
