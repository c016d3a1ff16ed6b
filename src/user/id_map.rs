//! Id maps of a new user namespace: which ids of the host appear as which ids inside.
//!
//! A process in the namespace may map only its own id. A map with more ids must be written by a
//! process of the namespace above, so the process inside waits for it.

use crate::error::{Error, Step};
use crate::process::channel::{self, Order, Report};
use crate::process::namespace::{Namespace, Namespaces, bring_loopback_up};
use crate::sys::credentials::{Kind, set_groups, set_ids};
use crate::sys::net::receive;
use crate::sys::poll::{Poll, clock, poll};
use crate::sys::process::{
    CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWUTS, Cloning, Fork, exit,
    fork, setns, unshare,
};
use crate::sys::shared::set_dumpable;
use crate::sys::signal::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SignalSet, signalfd};
use crate::sys::{BorrowedFd, Errno, OwnedFd, Process, fs};
use crate::user::maps::{Caller, MAPS, directory_of, map_one, map_others, same, write};
use crate::user::private::PrivateUsers;
use crate::user::ranges::map_ranges;

/// The mapping of users in a new user namespace. Users outside the map appear as nobody.
///
/// A caller with CAP_SETUID, such as root in a container, also maps all other users. Each keeps its
/// number, except for one: if the caller takes the number of another user, that user gets the
/// caller's number. User 0 is mapped only with CAP_SETFCAP. Groups are treated the same, with
/// CAP_SETGID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum MapUsers {
    /// The caller becomes user and group 0.
    Root,
    /// The caller keeps its own numbers. The command has no capabilities, unless the caller is user
    /// 0.
    Current,
    /// The caller's ranges in `/etc/subuid` and `/etc/subgid` (`subuid(5)`), from 0 on, mapped by
    /// `newuidmap(1)` and `newgidmap(1)`. This is for a root whose files belong to many users of
    /// those ranges. `id(1)` and `getsubids(1)` are asked if the files have no name or no range for
    /// the caller, or if `/etc/nsswitch.conf` names another source. The command runs as the first
    /// id of the range, which is 0 inside; the caller is nobody. The caller's supplementary groups
    /// stay, with the number of nobody, until the command sets others.
    Auto,
    /// Ids that no other run has: see [`Chroot::private_users`](crate::Chroot::private_users),
    /// which also maps the owners of files.
    #[doc(hidden)]
    Private(PrivateUsers),
}

impl MapUsers {
    /// Returns whether the process in the new user namespace waits for its maps. Only a process of
    /// the namespace above may map more than one id.
    pub(crate) fn is_made_outside(self, caller: Caller) -> bool {
        matches!(self, MapUsers::Auto | MapUsers::Private(_)) || caller.may_map_others()
    }

    /// Returns the caller's ids inside.
    fn inner(self, caller: Caller) -> (u32, u32) {
        match self {
            MapUsers::Current => (caller.user, caller.group),
            MapUsers::Root | MapUsers::Auto | MapUsers::Private(_) => (0, 0),
        }
    }

    /// Sets up the ids, in the new user namespace. Allocates nothing.
    pub(crate) fn map(self, caller: Caller, supervisor: BorrowedFd) -> Result<(), Error> {
        if !self.is_made_outside(caller) {
            return map_one(None, (caller.user, caller.group), self.inner(caller));
        }
        let failed = |errno| Error::new(Step::SetUser, b"0", errno);
        match self {
            MapUsers::Root | MapUsers::Current => await_map(supervisor),
            // The caller's other groups stay: a bind may be accessible only through them.
            MapUsers::Auto => {
                await_map(supervisor)?;
                become_user_0().map_err(failed)
            }
            // The map was written before the mounts arrived. None of root's groups stays.
            MapUsers::Private(_) => set_groups(&[])
                .and_then(|()| become_user_0())
                .map_err(failed),
        }
    }

    /// Maps the ids from outside, once the process in the new user namespace waits for them.
    /// `inside` is our end of the socket to it. Returns the namespace if the caller is nobody in
    /// it.
    pub(crate) fn map_from_outside(
        self,
        process: &Process,
        caller: Caller,
        inside: BorrowedFd,
        caller_mask: SignalSet,
    ) -> Result<Option<UserNamespace>, Error> {
        if !self.is_made_outside(caller) {
            return Ok(None);
        }
        await_readiness(process, inside)?;
        let pid = process.id;
        let mut namespace = None;
        match self {
            MapUsers::Auto => {
                // This comes before the maps: afterwards we may not inspect the process.
                let made = UserNamespace::of(pid);
                namespace = Some(made.map_err(prepare)?);
                map_ranges(pid, caller.user, caller_mask)?;
            }
            _ => map_others(pid, caller, self.inner(caller))?,
        }
        Order::Mapped.send(inside).map_err(prepare)?;
        Ok(namespace)
    }

    /// Moves the process that becomes the command into a user and mount namespace below ours, with
    /// the same ids. The kernel then locks the mounts that it inherits (mount_namespaces(7),
    /// *Restrictions on mount namespaces*). Other namespaces of the run are made anew, because the
    /// command may only change those that belong to its user namespace.
    ///
    /// `proc` is the host's, where maps are written. This process has its own memory.
    pub(crate) fn lock_mounts(
        self,
        proc: BorrowedFd,
        caller: Caller,
        namespaces: Namespaces,
    ) -> Result<(), Error> {
        const ANEW: u32 = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET;
        let failed = |errno| Error::new(Step::LockMounts, b"", errno);
        let flags = CLONE_NEWUSER | CLONE_NEWNS | namespaces.flags() & ANEW;
        // Only root may write the id maps of a process that is not dumpable.
        set_dumpable(1).map_err(failed)?;
        match self.is_made_outside(caller) {
            true => unshare_with_all(proc, flags)?,
            false => {
                unshare(flags).map_err(failed)?;
                let ids = self.inner(caller);
                map_one(Some(proc), ids, ids)?;
            }
        }
        match namespaces.has(Namespace::Network) {
            true => bring_loopback_up(),
            false => Ok(()),
        }
    }
}

fn become_user_0() -> Result<(), Errno> {
    set_ids(Kind::Group, 0).and_then(|()| set_ids(Kind::User, 0))
}

/// Unshares, and keeps the present ids. Only a process of the namespace above may write a map of
/// more than one id, so a copy of this process does it.
fn unshare_with_all(proc: BorrowedFd, flags: u32) -> Result<(), Error> {
    let failed = |errno| Error::new(Step::LockMounts, b"", errno);
    let directory = fs::O_PATH | fs::O_DIRECTORY;
    let this_process = fs::openat(proc, c"self", directory, 0).map_err(failed)?;
    let this_process = this_process.borrow();
    let [users, groups] = MAPS.map(|file| same(this_process, file));
    let (users, groups) = (users.map_err(failed)?, groups.map_err(failed)?);
    let (unshared, writer) = fs::pipe(fs::O_CLOEXEC).map_err(failed)?;
    // SAFETY: this process has one thread.
    let helper = match unsafe { fork(0, Cloning::Clone3) }.map_err(failed)? {
        Fork::Parent(helper) => helper,
        Fork::Child => {
            drop(writer);
            let _ = poll(&mut [Poll::for_hangup(unshared.borrow())], None);
            let [user_map, group_map] = MAPS;
            let mapped = write(this_process, user_map, users.bytes())
                .and_then(|()| write(this_process, group_map, groups.bytes()));
            exit(status_of(mapped))
        }
    };
    let done = unshare(flags);
    drop(writer);
    let mapped = result_of(&helper);
    done.and(mapped).map_err(failed)
}

/// Returns the exit status by which a process passes on its result.
fn status_of(done: Result<(), Errno>) -> u8 {
    done.map_or_else(|errno| errno.number() as u8, |()| 0)
}

/// Waits for the end of such a process.
fn result_of(process: &Process) -> Result<(), Errno> {
    let status = process.wait()?;
    if status.success() {
        return Ok(());
    }
    let errno = status.code().unwrap_or(Errno::ECHILD.number());
    Err(Errno::from_number(errno))
}

/// The user namespace of a run whose files do not belong to the caller. From outside they are
/// removed as its user 0.
#[derive(Debug)]
pub(crate) struct UserNamespace(OwnedFd);

impl UserNamespace {
    /// Enters the user namespace of a process, by its pidfd (Linux 5.8) or by proc.
    #[cfg_attr(not(feature = "call"), allow(dead_code))]
    pub(crate) fn enter_that_of(process: &Process) -> Result<(), Errno> {
        match process.pidfd().map(|pidfd| setns(pidfd, CLONE_NEWUSER)) {
            Some(Ok(())) => Ok(()),
            _ => UserNamespace::of(process.id).and_then(|namespace| namespace.enter()),
        }
    }

    pub(crate) fn of(pid: i32) -> Result<UserNamespace, Errno> {
        let mut path = directory_of(pid);
        path.push(b"/ns/user");
        fs::openat(BorrowedFd::CWD, path.as_c_str(), fs::O_RDONLY, 0).map(UserNamespace)
    }

    pub(crate) fn borrow(&self) -> BorrowedFd<'_> {
        self.0.borrow()
    }

    fn enter(&self) -> Result<(), Errno> {
        setns(self.0.borrow(), CLONE_NEWUSER)
    }

    /// Calls `body`, which allocates nothing, in a process that is user 0 there.
    pub(crate) fn as_user_0(
        &self,
        body: &mut dyn FnMut() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        // SAFETY: the child allocates nothing.
        let child = match unsafe { fork(0, Cloning::Clone3) }? {
            Fork::Parent(child) => child,
            Fork::Child => {
                let done = self
                    .enter()
                    .and_then(|()| set_ids(Kind::Group, 0))
                    .and_then(|()| set_ids(Kind::User, 0))
                    .and_then(|()| body());
                exit(status_of(done))
            }
        };
        result_of(&child)
    }
}

/// Waits until the process inside is ready for its maps, or has failed before that. After a signal that
/// asks for the end it has only [`channel::ANSWER_TIME`].
pub(crate) fn await_readiness(process: &Process, inside: BorrowedFd) -> Result<(), Error> {
    let mut message = channel::Buffer::zeros().map_err(prepare)?;
    // We hold a copy of its end of the socket, which therefore does not show that it was killed.
    let ended = process.pidfd().map_or(Poll::none(), Poll::new);
    let asked = signalfd(SignalSet::of(&[SIGHUP, SIGINT, SIGQUIT, SIGTERM])).map_err(prepare)?;
    let mut ready = [Poll::new(inside), ended, Poll::new(asked.borrow())];
    poll(&mut ready, None).map_err(prepare)?;
    if ready[2].is_ready() {
        let until = clock() + channel::ANSWER_TIME;
        if !poll(&mut ready[..2], Some(until)).map_err(prepare)? {
            return Err(Error::no_answer());
        }
    }
    let length = match receive(inside, &mut *message) {
        Err(Errno::EAGAIN) => 0,
        received => received.map_err(prepare)?,
    };
    match Report::parse(&message[..length]) {
        Some(Report::Took) => Ok(()),
        Some(Report::Failed(error)) => Err(error),
        _ => Err(Error::killed_inside()),
    }
}

/// Reports that this process is ready, and waits for its maps. A supervisor that cannot map reports
/// the reason itself.
fn await_map(supervisor: BorrowedFd) -> Result<(), Error> {
    let waited = channel::send_readiness(supervisor).and_then(|()| Order::wait_for_map(supervisor));
    match waited.map_err(prepare)? {
        true => Ok(()),
        false => exit(125),
    }
}

/// The step of what fails between the two processes.
fn prepare(errno: Errno) -> Error {
    Error::new(Step::Prepare, b"", errno)
}

/// Ends the process that waits for its map.
pub(crate) fn end_unmapped(process: &Process) {
    let _ = process.send(SIGKILL);
    let _ = process.wait();
}
