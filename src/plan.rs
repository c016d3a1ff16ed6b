//! A run that is only told: each mount, where it will land, and what will be made.

use alloc::vec::Vec;

use crate::capability::Capabilities;
use crate::chroot::Chroot;
use crate::directory::WorkingDirectory;
use crate::error::{Error, Line, Step};
use crate::map_users::MapUsers;
use crate::mount::resolve::walk;
use crate::mount::{Mount, Source, mask, stub};
use crate::sys::mount::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY,
};
use crate::sys::poll::NANOSECONDS;
use crate::sys::{BorrowedFd, Errno, fs};

impl Chroot {
    /// Tells what [`Chroot::run`] would do, a line for each step, and does nothing: no namespace
    /// is made, nothing is mounted, nothing is written. Symbolic links of the new root are
    /// followed, so each mount shows where it will really land.
    ///
    /// ```
    /// use rootlet::Chroot;
    ///
    /// let plan = Chroot::new("/").no_mounts().command("true").plan()?;
    /// assert_eq!(plan, b"new root   /\nin         /\nrun        true\n");
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A new root that cannot be opened, a source that is missing, a target that leads nowhere.
    pub fn plan(&self) -> Result<Vec<u8>, Error<'static>> {
        self.check_names()?;
        self.check_kept_descriptors()?;
        let mut chroot = self.prepared()?;
        let root = chroot.open_new_root()?;
        let identity = chroot.identify(root.borrow())?;
        let mut plan = Vec::new();
        let mut tell = |label: &str, write: &dyn Fn(&mut Line)| {
            let mut line = Line::new();
            line.push(label.as_bytes());
            line.push(&b"           "[label.len()..]);
            write(&mut line);
            plan.extend_from_slice(line.bytes());
            plan.push(b'\n');
        };

        tell("new root", &|line| {
            line.push_name(chroot.new_root.bytes());
            if let Some(memory) = &chroot.overlay {
                line.push(b", under an overlay in memory (");
                line.push_name(memory.bytes());
                line.push(b")");
            }
            if chroot.read_only {
                line.push(b", read-only");
            }
        });
        let mut earlier: Vec<Vec<u8>> = Vec::new();
        for mount in &chroot.mounts {
            let (source, target) = (mount.source.name().bytes(), mount.target.bytes());
            if let Some(error) = missing_source(mount) {
                if !mount.optional {
                    return Err(error);
                }
                tell("left out", &|line| {
                    line.push_step(Step::Mount, source, target)
                });
                continue;
            }
            let landing = walk(root.borrow(), mount.target.as_c_str())
                .map_err(|errno| Error::new(Step::OpenTarget, target, errno).into_owned())?;
            let path = match landing.path.bytes() {
                b"" => b"/",
                path => path,
            };
            let inside = earlier.iter().rev().find(|other| is_below(path, other));
            let is_stub = match &landing.found {
                Some(found) => fs::stat(found.borrow()).is_ok_and(|stat| stub::is_stub(&stat)),
                None => true,
            };
            tell("mount", &|line| {
                describe(mount, line);
                line.push(b" on ");
                line.push_name(path);
                if mount.devices {
                    line.push(b", with the usual devices");
                }
                match inside {
                    Some(other) => {
                        line.push(b", in the mount on ");
                        line.push_name(other);
                    }
                    None if is_stub => line.push(b", made for the run"),
                    None => {}
                }
            });
            earlier.push(path.to_vec());
        }
        if chroot.mask_proc {
            for path in mask::READ_ONLY {
                tell("read-only", &|line| line.push(path.to_bytes()));
            }
            for path in mask::COVERED {
                tell("cover", &|line| line.push(path.to_bytes()));
            }
        }
        if let Some(name) = &chroot.hostname {
            tell("host name", &|line| line.push_name(name.bytes()));
        }
        for change in &self.changes {
            tell("env", &|line| change.describe(line));
        }
        if identity.has_ids() {
            tell("user", &|line| identity.describe_ids(line));
        }
        if identity.has_groups() {
            tell("groups", &|line| identity.describe_groups(line));
        }
        if self.dropped_capabilities != Capabilities::NONE {
            tell("without", &|line| self.dropped_capabilities.describe(line));
        }
        if self.no_new_privileges {
            tell("without", &|line| line.push(b"new privileges"));
        }
        for (namespace, own) in chroot.namespaces.changed() {
            tell(if own { "unshare" } else { "share" }, &|line| {
                line.push(namespace.name().as_bytes());
            });
        }
        for number in &self.kept_descriptors {
            tell("descriptor", &|line| line.push_number(*number));
        }
        if let Some(number) = self.status_descriptor {
            tell("status", &|line| {
                line.push(b"on descriptor ");
                line.push_number(number);
            });
        }
        if self.new_session {
            tell("session", &|line| line.push(b"of its own"));
        }
        if self.grace > 0 {
            tell("grace", &|line| {
                line.push_number((self.grace / NANOSECONDS) as u32)
            });
        }
        let map = match chroot.map_users {
            MapUsers::Root => None,
            MapUsers::Current => Some("current"),
            MapUsers::Auto => Some("auto"),
        };
        if let Some(map) = map {
            tell("map users", &|line| line.push(map.as_bytes()));
        }
        tell("in", &|line| match &chroot.directory {
            WorkingDirectory::Path(path) => line.push_name(path.bytes()),
            WorkingDirectory::Kept => line.push(b"the current directory"),
        });
        tell("run", &|line| {
            for (index, word) in chroot.words.iter().enumerate() {
                line.push(if index == 0 { b"" } else { b" " });
                line.push_name(word.bytes());
            }
        });
        if let Some(name) = &chroot.argv0 {
            tell("called", &|line| line.push_name(name.bytes()));
        }
        Ok(plan)
    }
}

fn missing_source(mount: &Mount) -> Option<Error<'static>> {
    let (Source::Path(path) | Source::Copy(path)) = &mount.source else {
        return None;
    };
    let opened = fs::openat(BorrowedFd::CWD, path.as_c_str(), fs::O_PATH, 0);
    let errno: Errno = opened.err()?;
    Some(Error::new(Step::OpenSource, path.bytes(), errno).into_owned())
}

fn describe(mount: &Mount, line: &mut Line) {
    line.push(match (&mount.source, mount.recursive) {
        (Source::FileSystem(_), _) => b"new ",
        (Source::Copy(_), _) => b"a copy of ",
        (Source::Path(_), false) => b"",
        (Source::Path(_), true) => b"all of ",
    });
    line.push_name(mount.source.name().bytes());
    let flags = [
        (MOUNT_ATTR_RDONLY, "ro"),
        (MOUNT_ATTR_NOSUID, "nosuid"),
        (MOUNT_ATTR_NODEV, "nodev"),
        (MOUNT_ATTR_NOEXEC, "noexec"),
    ];
    let mut separator: &[u8] = b" (";
    let named = flags.iter().filter(|(flag, _)| mount.flags & flag != 0);
    for word in named
        .map(|(_, word)| word.as_bytes())
        .chain([mount.data.bytes()])
    {
        if !word.is_empty() {
            line.push(separator);
            line.push_name(word);
            separator = b",";
        }
    }
    if separator == b"," {
        line.push(b")");
    }
}

fn is_below(path: &[u8], other: &[u8]) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
