//! A run that is only told: each mount, where it will land, and what will be made.

use alloc::vec::Vec;

use crate::chroot::Chroot;
use crate::error::{Error, Step};
use crate::mount::resolve::walk;
use crate::mount::{Mount, Source, mask, stub};
use crate::process::cwd::WorkingDirectory;
use crate::sys::mount::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY,
};
use crate::sys::poll::NANOSECONDS;
use crate::sys::{BorrowedFd, Errno, fs};
use crate::text::json::{self, Invalid, push};
use crate::text::line::Line;
use crate::user::capability::Capabilities;
use crate::user::id_map::MapUsers;

impl Chroot {
    /// Tells what [`Chroot::run`] would do, and does nothing: no namespace is made, nothing is
    /// mounted, nothing is written. Below the new root stands the tree of its mounts, each with what
    /// is shown there; then a line for each other step. Symbolic links of the new root are followed,
    /// so each mount shows where it will really land.
    ///
    /// ```
    /// use rootlet::{Chroot, Mount};
    ///
    /// let chroot = Chroot::new("/").no_mounts().mount(Mount::bind("/usr").read_only());
    /// let plan = chroot.command("true").plan()?;
    /// let expected = "new root   /\n  /usr     /usr (ro)\nin         /\nrun        true\n";
    /// assert_eq!(String::from_utf8_lossy(&plan), expected);
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A new root that cannot be opened, a source that is missing, a target that leads nowhere.
    pub fn plan(&self) -> Result<Vec<u8>, Error<'static>> {
        self.planned(false)
    }

    /// The same for programs, as one object of JSON:
    ///
    /// - `"mounts"`: an object for each, in the order of mounting: `"target"`, `"source"`, `"type"`
    ///   (`"bind"`, `"copy"`, or that of a new file system), `"options"`, `"recursive"`, `"in"` (the
    ///   target of the mount that it lands in, or `null`), `"created"` (the mount point is made for
    ///   the run), `"left-out"` (it is optional, and its source is missing).
    /// - Each other step by its name in [`Chroot::plan`], such as `"new root"`, `"env"` or `"run"`,
    ///   with an array of strings.
    ///
    /// A byte that is not UTF-8, which a path or a variable may have, becomes the lone surrogate
    /// U+DC00 and that byte, as `os.fsdecode` of Python has it: 0xff is `\udcff`.
    ///
    /// # Errors
    ///
    /// As of [`Chroot::plan`].
    pub fn plan_json(&self) -> Result<Vec<u8>, Error<'static>> {
        self.planned(true)
    }

    fn planned(&self, for_programs: bool) -> Result<Vec<u8>, Error<'static>> {
        self.check_names()?;
        self.check_kept_descriptors()?;
        let mut chroot = self.prepared()?;
        let root = chroot.open_new_root()?;
        let identity = chroot.identify(root.borrow())?;
        let mut plan = Plan::default();
        plan.step("new root", chroot.new_root.bytes());
        if let Some(memory) = &chroot.overlay {
            plan.step("overlay", memory.bytes());
        }
        if chroot.read_only {
            plan.step("read-only", b"/");
        }
        for mount in &chroot.mounts {
            let landing = Landing::of(mount, root.borrow(), &plan.mounts)?;
            plan.mounts.push(landing);
        }
        if chroot.mask_proc {
            for path in mask::READ_ONLY {
                plan.step("read-only", path.to_bytes());
            }
            for path in mask::COVERED {
                plan.step("cover", path.to_bytes());
            }
        }
        if let Some(name) = &chroot.hostname {
            plan.step("host name", name.bytes());
        }
        for change in &self.changes {
            plan.write("env", &|line| change.describe(line));
        }
        if identity.has_ids() {
            plan.write("user", &|line| identity.describe_ids(line));
        }
        if identity.has_groups() {
            plan.write("groups", &|line| identity.describe_groups(line));
        }
        if self.dropped_capabilities != Capabilities::NONE {
            plan.write("without", &|line| self.dropped_capabilities.describe(line));
        }
        if self.no_new_privileges {
            plan.step("without", b"new privileges");
        }
        for (label, wanted) in [("unshare", true), ("share", false)] {
            for (namespace, own) in chroot.namespaces.changed() {
                if own == wanted {
                    plan.step(label, namespace.name().as_bytes());
                }
            }
        }
        for number in &self.kept_descriptors {
            plan.write("descriptor", &|line| line.push_number(*number));
        }
        if let Some(number) = self.status_descriptor {
            plan.write("status", &|line| {
                line.push(b"on descriptor ");
                line.push_number(number);
            });
        }
        if self.new_session {
            plan.step("session", b"of its own");
        }
        if self.grace > 0 {
            let seconds = (self.grace / NANOSECONDS) as u32;
            plan.write("grace", &|line| line.push_number(seconds));
        }
        let map = match chroot.map_users {
            MapUsers::Root => None,
            MapUsers::Current => Some("current"),
            MapUsers::Auto => Some("auto"),
        };
        if let Some(map) = map {
            plan.step("map users", map.as_bytes());
        }
        plan.step(
            "in",
            match &chroot.directory {
                WorkingDirectory::Path(path) => path.bytes(),
                WorkingDirectory::Kept => b"the current directory",
            },
        );
        for word in &chroot.words {
            plan.step(RUN, word.bytes());
        }
        if let Some(name) = &chroot.argv0 {
            plan.step("called", name.bytes());
        }
        Ok(match for_programs {
            true => plan.json(),
            false => plan.text(),
        })
    }
}

const RUN: &str = "run";

/// What is to be told. Names are in it as they are: how they are written depends on for whom.
#[derive(Default)]
struct Plan<'a> {
    mounts: Vec<Landing<'a>>,
    steps: Vec<(&'static str, Vec<u8>)>,
}

/// A mount, and where it lands.
struct Landing<'a> {
    mount: &'a Mount,
    path: Vec<u8>,
    /// The mount that it lands in, by its number, and how many it is below.
    inside: Option<usize>,
    depth: usize,
    is_created: bool,
    is_left_out: bool,
}

impl<'a> Landing<'a> {
    fn of(
        mount: &'a Mount,
        root: BorrowedFd,
        earlier: &[Landing],
    ) -> Result<Landing<'a>, Error<'static>> {
        let target = mount.target.bytes();
        let is_left_out = match missing_source(mount) {
            Some(error) if !mount.optional => return Err(error),
            missing => missing.is_some(),
        };
        let landing = walk(root, mount.target.as_c_str())
            .map_err(|errno| Error::new(Step::OpenTarget, target, errno).into_owned())?;
        let path = match landing.path.bytes() {
            b"" => b"/",
            path => path,
        };
        let is_around = |other: &Landing| !other.is_left_out && is_below(path, &other.path);
        let inside = earlier.iter().rposition(is_around);
        let is_stub = match &landing.found {
            Some(found) => fs::stat(found.borrow()).is_ok_and(|stat| stub::is_stub(&stat)),
            None => true,
        };
        Ok(Landing {
            mount,
            path: path.to_vec(),
            inside,
            depth: inside.map_or(1, |other| earlier[other].depth + 1),
            is_created: is_stub && inside.is_none() && !is_left_out,
            is_left_out,
        })
    }
}

impl Plan<'_> {
    #[inline(never)]
    fn step(&mut self, label: &'static str, words: &[u8]) {
        self.steps.push((label, words.to_vec()));
    }

    #[inline(never)]
    fn write(&mut self, label: &'static str, write: &dyn Fn(&mut Line)) {
        let mut line = Line::verbatim();
        write(&mut line);
        self.step(label, line.bytes());
    }

    fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut last = "";
        for (label, words) in &self.steps {
            let mut line = Line::new();
            if (last, *label) == (RUN, RUN) {
                text.pop();
                line.push(b" ");
            } else {
                line.push(label.as_bytes());
                line.push(&b"           "[label.len()..]);
            }
            line.push_name(words);
            line.push(b"\n");
            push(&mut text, line.bytes());
            if last.is_empty() {
                self.tree(None, &mut text);
            }
            last = label;
        }
        text
    }

    /// What is mounted in this mount, or in the new root itself, and what in that.
    fn tree(&self, inside: Option<usize>, text: &mut Vec<u8>) {
        let width = |landing: &Landing| 2 * landing.depth + landing.path.len() + 2;
        let column = self
            .mounts
            .iter()
            .map(width)
            .filter(|width| *width < 40)
            .max();
        for (number, landing) in self.mounts.iter().enumerate() {
            if landing.inside != inside {
                continue;
            }
            let mut line = Line::new();
            for _ in 0..landing.depth {
                line.push(b"  ");
            }
            line.push_name(&landing.path);
            line.push(b"  ");
            while line.bytes().len() < column.unwrap_or(0).max(11) {
                line.push(b" ");
            }
            describe(landing.mount, &mut line);
            for (is_so, words) in [
                (landing.mount.devices, ", with the usual devices"),
                (landing.is_created, ", made for the run"),
                (landing.is_left_out, ", left out: it is missing"),
            ] {
                line.push(if is_so { words.as_bytes() } else { b"" });
            }
            line.push(b"\n");
            push(text, line.bytes());
            self.tree(Some(number), text);
        }
    }

    fn json(&self) -> Vec<u8> {
        let mut text = Vec::from(b"{\"mounts\":[");
        for (number, landing) in self.mounts.iter().enumerate() {
            let mount = landing.mount;
            push(&mut text, if number == 0 { b"\n" } else { b",\n" });
            let mut options = Line::verbatim();
            push_options(mount, b"", &mut options);
            let kind = match &mount.source {
                Source::FileSystem(kind) => kind.bytes(),
                Source::Copy(_) => b"copy",
                Source::Path(_) => b"bind",
            };
            for (name, value) in [
                ("{\"target\":", &landing.path[..]),
                (",\"source\":", mount.source.name().bytes()),
                (",\"type\":", kind),
                (",\"options\":", options.bytes()),
            ] {
                push(&mut text, name.as_bytes());
                push_string(&mut text, value);
            }
            for (name, value) in [
                (",\"recursive\":", mount.recursive),
                (",\"created\":", landing.is_created),
                (",\"left-out\":", landing.is_left_out),
            ] {
                push(&mut text, name.as_bytes());
                push(&mut text, if value { "true" } else { "false" }.as_bytes());
            }
            push(&mut text, b",\"in\":");
            match landing.inside.and_then(|other| self.mounts.get(other)) {
                Some(other) => push_string(&mut text, &other.path),
                None => push(&mut text, b"null"),
            }
            text.push(b'}');
        }
        text.push(b']');
        let mut last = "";
        for (label, words) in &self.steps {
            if *label == last {
                text.push(b',');
            } else {
                push(
                    &mut text,
                    if last.is_empty() { ",\n" } else { "],\n" }.as_bytes(),
                );
                push_string(&mut text, label.as_bytes());
                push(&mut text, b":[");
                last = label;
            }
            push_string(&mut text, words);
        }
        push(&mut text, b"]}\n");
        text
    }
}

/// A string of JSON, from which the bytes can be had back.
fn push_string(text: &mut Vec<u8>, string: &[u8]) {
    json::push_string(text, string, Invalid::Kept);
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
    if push_options(mount, b" (", line) {
        line.push(b")");
    }
}

/// The options with commas, and something before the first; false where there are none.
fn push_options(mount: &Mount, mut separator: &[u8], line: &mut Line) -> bool {
    let flags = [
        (MOUNT_ATTR_RDONLY, "ro"),
        (MOUNT_ATTR_NOSUID, "nosuid"),
        (MOUNT_ATTR_NODEV, "nodev"),
        (MOUNT_ATTR_NOEXEC, "noexec"),
    ];
    let named = flags.iter().filter(|(flag, _)| mount.flags & flag != 0);
    let words = named.map(|(_, word)| word.as_bytes());
    for word in words.chain([mount.data.bytes()]) {
        if !word.is_empty() {
            line.push(separator);
            line.push_name(word);
            separator = b",";
        }
    }
    separator == b","
}

fn is_below(path: &[u8], other: &[u8]) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
