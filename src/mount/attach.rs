//! The mounts of a plan, in three passes: all sources are taken, all mount points are found, then
//! all mounts are attached.
//!
//! The order keeps NEWROOT out of the decisions. Sources are taken while the host's paths are
//! intact, and mount points are found and locked in the pristine tree of NEWROOT. Once the first
//! mount is attached, no path of NEWROOT is looked up again.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::forget;

use crate::error::{Error, Step, Verbose};
use crate::mount::alone::needs_copy;
use crate::mount::bind::{self, Bind};
use crate::mount::file_system::New;
use crate::mount::find::{Missing, Wanted};
use crate::mount::mask::mask;
use crate::mount::point::Points;
use crate::mount::remount::attributes;
use crate::mount::{Planned, Source, copy, devices, file_system, sysfs};
use crate::sys::mount::MS_SLAVE;
use crate::sys::process::{OpenFiles, open_files_limit, set_open_files_limit};
use crate::sys::{BorrowedFd, Errno, OwnedFd};
use crate::text::short::Short;

/// The progress of one mount of the plan.
pub(super) enum State {
    /// Its source has not been taken.
    Planned,
    Taken(Option<Bind>),
    /// Its own descriptor, if it is known.
    Attached(Option<OwnedFd>),
    /// It is optional and failed.
    LeftOut,
}

/// As many mounts as a run has by default. They fit in any usual limit on open files.
const FEW: usize = 7;

/// The tree in which missing mount points are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    /// NEWROOT itself: they are removed after the run.
    Persistent,
    /// An overlay of this run.
    Overlay,
    /// The root of an initramfs. The mounts and the mount points stay.
    Initial,
}

/// The way to the host's files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// Below our root. This mount namespace began as a copy of the host's and is its slave.
    Copied,
    /// Below our root, in the host's own mount namespace.
    Here,
    /// No path leads there any more.
    Left,
}

/// The mounts of a plan and their progress.
///
/// Nothing is allocated after [`Mounts::with_room_for`], because they are mounted after a fork.
pub(crate) struct Mounts {
    pub(super) states: Vec<State>,
    pub(crate) points: Points,
    pub(super) root: Root,
    pub(crate) host: Host,
    /// A step failed that would work in a copy of the host's mount namespace.
    pub(crate) needs_copy: bool,
    /// The sources were taken outside, with mapped owners. No path here shows the same mount.
    pub(super) taken_outside: bool,
    masks: bool,
    /// The run has its own user namespace.
    pub(crate) in_user_namespace: bool,
    /// The proc of another pid namespace than ours may be shown.
    pub(crate) shows_others_proc: bool,
    /// The command's terminal is opened in the run's own devpts.
    pub(crate) opens_terminal: bool,
    /// The number of the terminal's descriptor.
    pub(super) terminal: i32,
    /// The limit to restore for the command.
    pub(crate) open_files: Option<OpenFiles>,
}

impl Mounts {
    pub(crate) fn with_room_for(mounts: usize, root: Root, masks: bool) -> Mounts {
        let mut states = Vec::with_capacity(mounts);
        states.resize_with(mounts, || State::Planned);
        Mounts {
            states,
            // Two more, for the proc and the sysfs of NEWROOT itself.
            points: Points::with_room_for(mounts + OWN.len()),
            root,
            host: Host::Copied,
            needs_copy: false,
            taken_outside: false,
            masks,
            in_user_namespace: false,
            shows_others_proc: false,
            opens_terminal: false,
            terminal: -1,
            open_files: None,
        }
    }

    /// Takes the source of a mount. This comes before any lookup in NEWROOT.
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
        let is_large = self.states.len() > FEW || self.root == Root::Overlay;
        if self.open_files.is_none() && is_large {
            // Later steps cannot be tried again.
            self.allow_more_files();
        }
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
                    // The copy is a peer of the host's mount: a mount made in it would appear on
                    // the host.
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

    /// Returns the mount's own descriptor, once it is attached.
    pub(crate) fn attached(&self, index: usize) -> Option<BorrowedFd<'_>> {
        match self.states.get(index)? {
            State::Attached(top) => top.as_ref().map(OwnedFd::borrow),
            _ => None,
        }
    }

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

    /// Finds the proc and the sysfs of NEWROOT itself, in order to mask them.
    pub(crate) fn find_own(&mut self, root: BorrowedFd) {
        for (offset, path) in OWN.into_iter().enumerate() {
            let wanted = Wanted {
                target: path,
                is_directory: &|| Ok(true),
                missing: Missing::Left,
                watched: &[],
            };
            // A missing one needs no mask.
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
            // The command has no terminal of its own.
            self.states[index] = State::LeftOut;
            return Ok(());
        }
        let (source, target) = (planned.source().bytes(), planned.target().bytes());
        let mut point = self.point_inside(index, mounts, bind.as_ref());
        if matches!(point, Err((_, Errno::EMFILE))) && self.allow_more_files() {
            point = self.point_inside(index, mounts, bind.as_ref());
        }
        let attached = match point {
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
                let path = (has_host && !self.taken_outside).then_some(source.as_c_str());
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
                    // The caller's cgroup2 may already be mounted there, with another root.
                    || source.bytes() == b"cgroup2"
                    || self.points.is_parent(index);
                match file_system::attach(planned, place, is_needed) {
                    Ok(New::Attached(Some(devpts))) if covers_ptmx => self
                        .cover_ptmx(index, devpts.borrow())
                        .map(|()| Some(devpts)),
                    Ok(New::Attached(top)) => Ok(top),
                    Ok(New::NotAllowed) if mount.host_instead && has_host => {
                        return self.hosts_instead(planned, place, verbose).map(Some);
                    }
                    Ok(New::NotAllowed) => Err(Errno::EPERM),
                    Err(errno) => Err(errno),
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

    /// Masks the dangerous parts of every proc and sysfs that the run shows.
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

    /// Raises the limit of open files to the hard limit. Returns false if that was done before or is
    /// not possible.
    pub(crate) fn allow_more_files(&mut self) -> bool {
        match (self.open_files, open_files_limit()) {
            (None, Ok(limit)) => {
                let raised = set_open_files_limit([limit[1]; 2]).is_ok();
                self.open_files = raised.then_some(limit);
                raised
            }
            _ => false,
        }
    }

    /// Forgets all progress for another attempt at the plan. Mounts that were left out stay left
    /// out.
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

    /// Closes all descriptors except those of temporary mount points.
    pub(crate) fn close(&mut self) {
        self.states.clear();
        self.points.close();
    }

    /// Forgets all descriptors except those of temporary mount points, without closing them. They
    /// belong to another process or have been closed by number.
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

/// Returns whether a mount goes on a directory.
pub(super) fn shows_directory(planned: &Planned, bind: Option<&Bind>) -> Result<bool, Errno> {
    match bind {
        Some(bind) => bind.is_directory(),
        None => Ok(matches!(planned.mount.source, Source::FileSystem(_))),
    }
}

/// File systems that NEWROOT itself may show and that are masked too.
const OWN: [&CStr; 2] = [c"/proc", c"/sys"];

/// Turns the error of an optional mount into [`State::LeftOut`], with a warning. A missing source
/// is expected and only logged.
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
