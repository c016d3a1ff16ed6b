//! Checks of a description before its plan is made.

use crate::chroot::Chroot;
use crate::chroot::command::Command;
use crate::error::{Error, Step};
use crate::mount::overlay;
use crate::process::cwd::WorkingDirectory;
use crate::process::namespace::Namespace;
use crate::sys::{BorrowedFd, fs, tty};
use crate::text::line::Line;
use crate::text::name::Name;
use crate::user::id_map::MapUsers;

impl Chroot {
    pub(crate) fn check_names(&self) -> Result<(), Error> {
        if let Some(size) = &self.overlay_size {
            if !overlay::is_size(size.bytes()) {
                let what: [&[u8]; 3] = [b"--overlay-size: '", size.bytes(), b"'"];
                let why = "is not a size, such as 512m, 1g or 50%";
                return Err(Error::usage(b"run", &what, why));
            }
        }
        if self.hostname.is_some() && !self.namespaces.has(Namespace::Uts) {
            let why = "it belongs to the caller (--share uts)";
            return Err(Error::because(Step::Hostname, b"", why));
        }
        let is_private = matches!(self.map_users, MapUsers::Private(_));
        if is_private && !self.namespaces.has(Namespace::User) {
            let why = "they need a user namespace, but --share user is given";
            return Err(Error::because(Step::PrivateUsers, b"", why));
        }
        check(Some(&self.new_root))?;
        for mount in &self.mounts {
            check(Some(mount.source.name()))?;
            check(Some(&mount.target))?;
            check(Some(&mount.data))?;
            check(mount.device.as_ref())?;
        }
        check(self.hostname.as_ref())?;
        check(self.overlay_size.as_ref())?;
        if let WorkingDirectory::Path(path) = &self.directory {
            check(Some(path))?;
        }
        check(self.user.as_ref())?;
        check(self.groups.as_ref())
    }

    /// Returns the path of the terminal for `/dev/console`.
    pub(crate) fn console_path(&self) -> Option<Name> {
        self.console.then(terminal_path).flatten()
    }
}

impl Command {
    pub(crate) fn check_names(&self) -> Result<(), Error> {
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        self.chroot.check_names()?;
        for names in [&self.words, &self.fallback, &self.environment] {
            for name in names {
                check(Some(name))?;
            }
        }
        for change in &self.changes {
            check(change.name())?;
        }
        check(self.argv0.as_ref())
    }

    /// Checks that the descriptors of `--keep-fd` are open. Call it before opening anything else,
    /// which could get one of the numbers.
    pub(crate) fn check_kept_descriptors(&self) -> Result<(), Error> {
        for number in &self.kept_descriptors {
            fs::is_open(*number).map_err(|errno| {
                let mut line = Line::new();
                line.push(b"descriptor ");
                line.push_number(*number);
                Error::new(Step::StandardDescriptor, line.bytes(), errno)
            })?;
        }
        Ok(())
    }
}

fn check(name: Option<&Name>) -> Result<(), Error> {
    match name {
        Some(name) if name.held_nul() => {
            let why = "it contains a NUL byte";
            Err(Error::because(Step::TakeName, name.bytes(), why))
        }
        _ => Ok(()),
    }
}

/// Returns the path of the terminal that the caller runs in.
fn terminal_path() -> Option<Name> {
    let standard = [
        (BorrowedFd::STDIN, c"/proc/self/fd/0"),
        (BorrowedFd::STDOUT, c"/proc/self/fd/1"),
        (BorrowedFd::STDERR, c"/proc/self/fd/2"),
    ];
    let is_terminal = |(descriptor, _): &(BorrowedFd, _)| tty::foreground(*descriptor).is_ok();
    let (_, link) = standard.into_iter().find(is_terminal)?;
    let mut path = [0; 256];
    let length = fs::readlink_at(BorrowedFd::CWD, link, &mut path).ok()?;
    Some(Name::new(&path[..length]))
}
