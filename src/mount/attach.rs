//! The mounts of a plan: sources taken, mount points found, all attached, in that order.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::forget;

use crate::error::{Error, Step, Verbose};
use crate::mount::alone::needs_copy;
use crate::mount::bind::{self, Bind};
use crate::mount::find::{Missing, Wanted};
use crate::mount::mask::mask;
use crate::mount::point::Points;
use crate::mount::remount::attributes;
use crate::mount::{Planned, Source, copy, devices, file_system, sysfs};
use crate::sys::mount::MS_SLAVE;
use crate::sys::process::{OpenFiles, open_files_limit, set_open_files_limit};
use crate::sys::{BorrowedFd, Errno, OwnedFd};
use crate::text::short::Short;

/// What is known of a mount of the plan as the run goes on.
pub(super) enum State {
    /// Its source has not been taken.
    Planned,
    Taken(Option<Bind>),
    /// Its own descriptor, where that is known.
    Attached(Option<OwnedFd>),
    /// It is optional, and cannot be had.
    LeftOut,
}

/// What new mount points are made in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    /// NEWROOT itself: they are removed after the run.
    Persistent,
    /// An overlay of this run.
    Overlay,
    /// The root of an initramfs, where the mounts and all that is made for them stay.
    Initial,
}

/// Where the host's files are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// Below our root: this mount namespace began as a copy of the host's, and is its slave.
    Copied,
    /// The same, but the mount namespace is the host's own.
    Here,
    /// No path leads there any more.
    Left,
}

/// The mounts of a plan, as far as they are done.
///
/// Nothing is allocated after [`Mounts::with_room_for`], since they are mounted after a fork.
pub(crate) struct Mounts {
    pub(super) states: Vec<State>,
    pub(crate) points: Points,
    pub(super) root: Root,
    pub(crate) host: Host,
    /// Something failed that would not in a copy of the host's mount namespace.
    pub(crate) needs_copy: bool,
    masks: bool,
    /// The run has a user namespace of its own.
    pub(crate) in_user_namespace: bool,
    /// A proc of another pid namespace than ours may be shown.
    pub(crate) shows_others_proc: bool,
    /// The command's terminal is opened in the run's own devpts.
    pub(crate) opens_terminal: bool,
    /// The number of the terminal's descriptor.
    pub(super) terminal: i32,
    /// The limit that the command is to have again.
    pub(crate) open_files: Option<OpenFiles>,
}

impl Mounts {
    pub(crate) fn with_room_for(mounts: usize, root: Root, masks: bool) -> Mounts {
        let mut states = Vec::with_capacity(mounts);
        states.resize_with(mounts, || State::Planned);
        Mounts {
            states,
            // And for the proc and the sysfs that NEWROOT has itself.
            points: Points::with_room_for(mounts + OWN.len()),
            root,
            host: Host::Copied,
            needs_copy: false,
            masks,
            in_user_namespace: false,
            shows_others_proc: false,
            opens_terminal: false,
            terminal: -1,
            open_files: None,
        }
    }

    /// Takes the source of a mount, before anything of NEWROOT matters.
    pub(crate) fn take_source(
        &mut self,
        index: usize,
        planned: &Planned,
        verbose: Verbose,
    ) -> Result<(), Error> {
        if !matches!(self.states[index], State::Planned) {
            return Ok(());
        }
        let mount = &planned.mount;
        let (host, in_user_namespace) = (self.host, self.in_user_namespace);
        let take = || match &mount.source {
            Source::FileSystem(_) if mount.host_first => sysfs::take(host, in_user_namespace),
            Source::FileSystem(_) | Source::Terminal(_) => Ok(None),
            Source::Copy(_) => match &planned.contents {
                Err(errno) => Err((Step::OpenSource, *errno)),
                Ok(_) => Ok(None),
            },
            Source::Path(_) => {
                let path = planned.source().as_c_str();
                let mut attributes = attributes(mount.flags);
                if host == Host::Here && attributes.propagation == 0 {
                    // It is a peer of the host's: what is mounted in it would appear there.
                    attributes.propagation = MS_SLAVE;
                }
                let bind = bind::take(BorrowedFd::CWD, path, mount.recursive, attributes)?;
                match host == Host::Here && !bind.has_attributes() {
                    true => Err((Step::MountOptions, Errno::ENOSYS)),
                    false => Ok(Some(bind)),
                }
            }
        };
        let taken = match take() {
            Err((_, Errno::EMFILE)) if self.allow_more_files() => take(),
            taken => taken,
        };
        if let (Host::Here, Err((_, Errno::ENOSYS))) = (host, &taken) {
            self.needs_copy = true;
        }
        let taken = taken
            .map(State::Taken)
            .map_err(|(step, errno)| Error::new(step, planned.source().bytes(), errno));
        self.states[index] = match self.needs_copy {
            true => taken?,
            false => left_out(planned, taken, verbose)?,
        };
        Ok(())
    }

    /// The mount's own descriptor, once it is attached.
    pub(crate) fn attached(&self, index: usize) -> Option<BorrowedFd<'_>> {
        match self.states.get(index)? {
            State::Attached(top) => top.as_ref().map(OwnedFd::borrow),
            _ => None,
        }
    }

    /// Leaves a mount out.
    pub(crate) fn leave_out(&mut self, index: usize) {
        self.states[index] = State::LeftOut;
    }

    /// Finds the mount point, and makes it if it is missing.
    pub(crate) fn find(
        &mut self,
        root: BorrowedFd,
        index: usize,
        planned: &Planned,
        watched: &[BorrowedFd],
        verbose: Verbose,
    ) -> Result<(), Error> {
        let mut state = core::mem::replace(&mut self.states[index], State::Planned);
        if let State::Taken(bind) = &state {
            let is_directory = || shows_directory(planned, bind.as_ref());
            let found = self.find_as(root, index, planned, &is_directory, watched, verbose);
            if let Err(error) = found {
                state = left_out(planned, Err(error), verbose)?;
            }
        }
        if let State::Planned = self.states[index] {
            self.states[index] = state;
        }
        Ok(())
    }

    fn find_as(
        &mut self,
        root: BorrowedFd,
        index: usize,
        planned: &Planned,
        is_directory: &dyn Fn() -> Result<bool, Errno>,
        watched: &[BorrowedFd],
        verbose: Verbose,
    ) -> Result<(), Error> {
        let target = planned.target();
        let failed = |(step, errno)| Error::new(step, target.bytes(), errno);
        let wanted = Wanted {
            target: target.as_c_str(),
            is_directory,
            missing: match self.root {
                Root::Persistent => Missing::Stub,
                Root::Overlay | Root::Initial => Missing::Made,
            },
            watched,
        };
        let mut found = self.points.find(root, index, wanted);
        if matches!(found, Err((_, Errno::EMFILE))) && self.allow_more_files() {
            found = self.points.find(root, index, wanted);
        }
        if found.is_ok() && self.points.is_made(index) {
            verbose.say(Step::MakeMountPoint, target.bytes(), b"");
        }
        let is_copy = matches!(planned.mount.source, Source::Copy(_));
        if self.root == Root::Overlay && is_copy && found.is_ok() {
            found = self.put_copy(root, index, planned);
        }
        found.map_err(failed)
    }

    /// Finds the proc and the sysfs that NEWROOT has itself, to be masked.
    pub(crate) fn find_own(&mut self, root: BorrowedFd) {
        for (offset, path) in OWN.into_iter().enumerate() {
            let wanted = Wanted {
                target: path,
                is_directory: &|| Ok(true),
                missing: Missing::Left,
                watched: &[],
            };
            // What is not there need not be masked.
            let _ = self.points.find(root, self.states.len() + offset, wanted);
        }
    }

    /// Attaches a mount to its mount point.
    pub(crate) fn attach(
        &mut self,
        index: usize,
        mounts: &[Planned],
        verbose: Verbose,
    ) -> Result<(), Error> {
        let bind = match &mut self.states[index] {
            State::Taken(bind) => bind.take(),
            _ => return Ok(()),
        };
        let planned = &mounts[index];
        if let (None, Source::Terminal(_)) = (&bind, &planned.mount.source) {
            // Nobody opened one.
            self.states[index] = State::LeftOut;
            return Ok(());
        }
        let (source, target) = (planned.source().bytes(), planned.target().bytes());
        let attached = match self.point_inside(index, mounts, bind.as_ref()) {
            Ok(point) => {
                verbose.say(Step::Mount, source, target);
                if let Some(point) = point {
                    self.points.set_place(index, point);
                }
                let attached = self.put(index, planned, bind, verbose);
                let failed = attached.as_ref().err();
                if self.host == Host::Left && failed.is_some_and(|error| needs_copy(planned, error))
                {
                    self.needs_copy = true;
                    return attached.map(drop);
                }
                attached
            }
            Err((step, errno)) => Err(Error::new(step, target, errno)),
        };
        let state = attached.map(State::Attached);
        self.states[index] = left_out(planned, state, verbose)?;
        Ok(())
    }

    fn put(
        &self,
        index: usize,
        planned: &Planned,
        bind: Option<Bind>,
        verbose: Verbose,
    ) -> Result<Option<OwnedFd>, Error> {
        let mount = &planned.mount;
        let (source, target) = (planned.source(), planned.target().bytes());
        let failed = |errno| Error::between(Step::Mount, source.bytes(), target, errno);
        let place = self.points.place(index);
        let place = place.ok_or_else(|| failed(Errno::ENOENT))?;
        let has_host = self.host != Host::Left;
        let attached = match (bind, &mount.source) {
            (Some(bind), Source::Terminal(_)) => {
                let path = Short::in_number(self.terminal);
                let path = has_host.then_some(path.as_c_str());
                bind.attach(path, false, 0, place).map(Some)
            }
            (Some(bind), Source::FileSystem(_)) => {
                let path = has_host.then_some(planned.target().as_c_str());
                sysfs::attach(bind, path, place, self.in_user_namespace).map(Some)
            }
            (Some(_), _) if self.is_shown_already(index, planned) => Ok(None),
            (Some(bind), _) => {
                let path = has_host.then_some(source.as_c_str());
                bind.attach(path, mount.recursive, mount.flags, place)
                    .map(Some)
            }
            (None, Source::Copy(_)) => {
                let contents = planned.contents.as_deref().unwrap_or_default();
                copy::attach(contents, mount.flags, place, has_host).map(Some)
            }
            (None, _) => {
                let is_masked = self.masks && matches!(source.bytes(), b"proc" | b"sysfs");
                let covers_ptmx = self.has_others_ptmx(index, planned);
                let is_devpts = self.needs_devpts(planned) || covers_ptmx;
                let is_needed = mount.devices
                    || is_masked
                    || is_devpts
                    // The caller's lies there already, perhaps seen from another root.
                    || source.bytes() == b"cgroup2"
                    || self.points.is_parent(index);
                let attached = file_system::attach(planned, place, is_needed);
                match attached {
                    Ok(Some(devpts)) if covers_ptmx => self
                        .cover_ptmx(index, devpts.borrow())
                        .map(|()| Some(devpts)),
                    Err(Errno::EPERM) if mount.host_instead && has_host => {
                        return self.hosts_instead(planned, place, verbose).map(Some);
                    }
                    attached => attached,
                }
            }
        };
        let attached = attached.map_err(failed)?;
        if let (true, Some(dev)) = (mount.devices, &attached) {
            devices::make(dev.borrow(), has_host)
                .map_err(|errno| Error::new(Step::MakeDevices, target, errno))?;
        }
        Ok(attached)
    }

    /// Masks what is dangerous in each proc and sysfs that the run shows.
    pub(crate) fn mask(&self) -> Result<(), Error> {
        for state in &self.states {
            if let State::Attached(Some(top)) = state {
                mask(top.borrow())?;
            }
        }
        for offset in 0..OWN.len() {
            if let Some(own) = self.points.place(self.states.len() + offset) {
                mask(own)?;
            }
        }
        Ok(())
    }

    /// Allows as many descriptors as the caller may ask for; false where that has been done.
    pub(crate) fn allow_more_files(&mut self) -> bool {
        let limit = open_files_limit();
        self.open_files.is_none() && {
            self.open_files = Some(limit);
            set_open_files_limit([limit[1]; 2]).is_ok()
        }
    }

    /// Forgets all that was done but what was left out, for another run of the plan.
    pub(crate) fn start_over(&mut self) {
        self.host = Host::Copied;
        self.needs_copy = false;
        self.points.start_over();
        for state in &mut self.states {
            if !matches!(state, State::LeftOut) {
                *state = State::Planned;
            }
        }
    }

    /// Closes all descriptors but those of the stubs.
    pub(crate) fn close(&mut self) {
        self.states.clear();
        self.points.close();
    }

    /// Forgets all descriptors but those of the stubs: they are another process's, or have been
    /// closed by number.
    pub(crate) fn abandon(&mut self) {
        self.points.abandon();
        for state in self.states.drain(..) {
            match state {
                State::Taken(Some(Bind::Tree { tree, .. })) => forget(tree),
                State::Attached(Some(top)) => forget(top),
                _ => {}
            }
        }
    }
}

/// Does a mount go on a directory?
pub(super) fn shows_directory(planned: &Planned, bind: Option<&Bind>) -> Result<bool, Errno> {
    match bind {
        Some(bind) => bind.is_directory(),
        None => Ok(matches!(planned.mount.source, Source::FileSystem(_))),
    }
}

/// What NEWROOT may show itself, and is to be masked.
const OWN: [&CStr; 2] = [c"/proc", c"/sys"];

/// Says of an optional mount that it is left out. That its source is missing is what optional means,
/// and is only logged.
pub(super) fn left_out(
    planned: &Planned,
    state: Result<State, Error>,
    verbose: Verbose,
) -> Result<State, Error> {
    match state {
        Err(error) if planned.mount.optional => {
            let is_needless = planned.is_needless() && error.is_missing_mount_point();
            if verbose.is_on() || !error.is_missing_source() && !is_needless {
                verbose.left_out(&error);
            }
            Ok(State::LeftOut)
        }
        state => state,
    }
}

/// Mounts all of these below a directory, for good: for an initramfs, which is nobody else's.
pub(crate) fn mount_in(root: BorrowedFd, planned: &[Planned]) -> Result<(), Error> {
    let mut mounts = Mounts::with_room_for(planned.len(), Root::Initial, false);
    for (index, mount) in planned.iter().enumerate() {
        mounts.take_source(index, mount, Verbose::NOT)?;
    }
    for (index, mount) in planned.iter().enumerate() {
        mounts.find(root, index, mount, &[], Verbose::NOT)?;
    }
    for index in 0..planned.len() {
        mounts.attach(index, planned, Verbose::NOT)?;
    }
    Ok(())
}
