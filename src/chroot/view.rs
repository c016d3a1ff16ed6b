//! The plan of a run as text and as JSON, for `--dry-run`.

use alloc::vec::Vec;

use crate::chroot::Chroot;
use crate::chroot::command::Command;
use crate::chroot::plan::{Action, Plan};
use crate::error::{Error, Step};
use crate::mount::find::{Missing, Wanted};
use crate::mount::point::Points;
use crate::mount::{Mount, Planned, Source, mask, sysfs};
use crate::process::cwd::WorkingDirectory;
use crate::process::namespace::Namespace;
use crate::sys::mount::{
    MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY,
};
use crate::sys::poll::NANOSECONDS;
use crate::sys::{BorrowedFd, fs};
use crate::text::json::{self, Invalid, push};
use crate::text::line::Line;

impl Command {
    /// Describes the steps of [`Foreground::run`](crate::Foreground::run) without executing them:
    /// no namespace is made, nothing is mounted, nothing is written. The new root comes first, with
    /// the tree of its mounts and the source of each; then a line for each other step. Symbolic
    /// links of the new root are followed, so each mount is shown where it will really be.
    ///
    /// ```
    /// use rootlet::{Chroot, Mount};
    ///
    /// let mut chroot = Chroot::new("/");
    /// chroot.no_mounts().mount(Mount::bind("/usr").read_only());
    /// let plan = chroot.command("true").plan()?;
    /// let expected = "new root   /\n  /usr     /usr (ro)\nin         /\nrun        true\n";
    /// assert_eq!(String::from_utf8_lossy(&plan), expected);
    /// # Ok::<(), rootlet::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A new root that cannot be opened, a missing source, a target that leads nowhere.
    pub fn plan(&self) -> Result<Vec<u8>, Error> {
        self.check_kept_descriptors()?;
        Ok(View::of(&self.compile_in(&self.chroot.as_it_will_be())?)?.text())
    }

    /// Describes the same steps for programs, as one JSON object:
    ///
    /// - `"mounts"`: an object for each, in the order of mounting: `"target"`, `"source"`, `"type"`
    ///   (`"bind"`, `"copy"`, `"terminal"`, or the type of a new file system), `"options"`,
    ///   `"recursive"`, `"in"` (the target of the mount that it lies in, or `null`), `"created"`
    ///   (the mount point is created for the run), `"left-out"` (the mount is optional, and its source
    ///   is missing).
    /// - Each other step by its name in [`Command::plan`], such as `"new root"`, `"env"` or
    ///   `"run"`, with an array of strings.
    ///
    /// A byte that is not UTF-8, as in some paths and variables, becomes the lone surrogate U+DC00
    /// plus that byte, as in Python's `os.fsdecode`: 0xff is `\udcff`.
    ///
    /// # Errors
    ///
    /// As for [`Command::plan`].
    pub fn plan_json(&self) -> Result<Vec<u8>, Error> {
        self.check_kept_descriptors()?;
        Ok(View::of(&self.compile_in(&self.chroot.as_it_will_be())?)?.json())
    }
}

impl Chroot {
    /// Returns the description with details that are otherwise decided during the run: whether the
    /// host's `/sys` is bound, and without the mounts for a user namespace if there will be none.
    fn as_it_will_be(&self) -> Chroot {
        let mut chroot = self.clone();
        if !self.namespaces.need_user() {
            chroot.mounts.retain(|mount| !mount.is_for_user_namespace);
        }
        if !self.namespaces.has(Namespace::Network) && sysfs::is_there() {
            for mount in &mut chroot.mounts {
                if mount.host_first {
                    *mount = Mount::bind("/sys").recursive();
                }
            }
        }
        chroot
    }
}

const RUN: &str = "run";

/// The visible parts of a plan. Names are raw bytes; the printer escapes them.
struct View<'a> {
    mounts: Vec<Landing<'a>>,
    steps: Vec<(&'static str, Vec<u8>)>,
}

/// A mount and its landing.
struct Landing<'a> {
    planned: &'a Planned<'a>,
    path: Vec<u8>,
    /// The index of the mount that it lies in, and its depth.
    inside: Option<usize>,
    depth: usize,
    is_created: bool,
    is_left_out: bool,
}

impl<'a> View<'a> {
    fn of(plan: &'a Plan<'a>) -> Result<View<'a>, Error> {
        let chroot = plan.chroot;
        let mut view = View {
            mounts: Vec::new(),
            steps: Vec::new(),
        };
        let mut points = Points::with_room_for(plan.mounts.len());
        for action in &plan.actions {
            match action {
                Action::NewRoot => view.step("new root", chroot.new_root.bytes()),
                Action::Overlay => {
                    let memory = chroot.overlay.as_ref();
                    view.step("overlay", memory.map_or(b"", |memory| memory.bytes()));
                }
                Action::ReadOnlyBelow => view.step("read-only", b"/"),
                Action::FindMountPoint(index) => {
                    let planned = &plan.mounts[*index];
                    let landing =
                        view.find(planned, plan.new_root.borrow(), *index, &mut points)?;
                    view.mounts.push(landing);
                }
                Action::Mask => {
                    for path in mask::READ_ONLY {
                        view.step("read-only", path.to_bytes());
                    }
                    for path in mask::COVERED {
                        view.step("cover", path.to_bytes());
                    }
                }
                Action::HostName => {
                    let name = chroot.hostname.as_ref();
                    view.step("host name", name.map_or(b"", |name| name.bytes()));
                }
                Action::Change(index) => {
                    if let Some(change) = plan.command.change(*index) {
                        view.write("env", &|line| change.describe(line));
                    }
                }
                Action::SetIds => view.write("user", &|line| plan.identity.describe_ids(line)),
                Action::SetGroups => {
                    view.write("groups", &|line| plan.identity.describe_groups(line));
                }
                Action::DropCapabilities => {
                    let dropped = chroot.dropped_capabilities;
                    view.write("without", &|line| dropped.describe(line));
                }
                Action::NoNewPrivileges => view.step("without", b"new privileges"),
                Action::Namespace(namespace, own) => {
                    let label = if *own { "unshare" } else { "share" };
                    view.step(label, namespace.name().as_bytes());
                }
                Action::Descriptor(number) => {
                    view.write("descriptor", &|line| line.push_number(*number));
                }
                Action::StatusDescriptor(number) => view.write("status", &|line| {
                    line.push(b"on descriptor ");
                    line.push_number(*number);
                }),
                Action::NewSession => view.step("session", b"of its own"),
                Action::Grace => {
                    let seconds = (chroot.grace / NANOSECONDS) as u32;
                    view.write("grace", &|line| line.push_number(seconds));
                }
                Action::MapUsers(map) => view.step("map users", map.as_bytes()),
                Action::ChangeDirectory => view.step(
                    "in",
                    match &chroot.directory {
                        WorkingDirectory::Path(path) => path.bytes(),
                        WorkingDirectory::Kept => b"the current directory",
                    },
                ),
                Action::Execute => {
                    for word in &plan.command.words {
                        view.step(RUN, word.bytes());
                    }
                    if let Some(name) = &plan.command.argv0 {
                        view.step("called", name.bytes());
                    }
                }
                // These are the same in each run.
                Action::LoopbackUp
                | Action::Propagation
                | Action::TakeSource(_)
                | Action::RecordMountPoints
                | Action::Attach(_)
                | Action::OpenTerminal(_)
                | Action::ShowTerminal
                | Action::ReadOnlyTop
                | Action::PivotRoot
                | Action::DetachOldRoot
                | Action::LockMounts => {}
            }
        }
        Ok(view)
    }

    fn find(
        &self,
        planned: &'a Planned<'a>,
        root: BorrowedFd,
        index: usize,
        points: &mut Points,
    ) -> Result<Landing<'a>, Error> {
        let is_left_out = match missing_source(planned) {
            Some(error) if !planned.mount.optional => return Err(error),
            missing => missing.is_some(),
        };
        let wanted = Wanted {
            target: planned.target().as_c_str(),
            is_directory: &|| Ok(true),
            missing: Missing::Left,
            watched: &[],
        };
        let target = planned.target().bytes();
        points
            .find(root, index, wanted)
            .map_err(|(step, errno)| Error::new(step, target, errno))?;
        let inside = points.parent(index);
        let landing = Landing {
            planned,
            path: points.landing(index).to_vec(),
            inside,
            depth: inside.map_or(1, |other| self.mounts[other].depth + 1),
            is_created: points.is_made(index) && !is_left_out,
            is_left_out,
        };
        if is_left_out {
            points.leave_out(index);
        }
        Ok(landing)
    }

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

    /// Appends the mounts inside this mount, or in the new root itself, each followed by those
    /// inside it.
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
            describe(landing.planned, &mut line);
            for (is_so, words) in [
                (landing.planned.mount.devices, ", with the usual devices"),
                (landing.is_created, ", created for the run"),
                (landing.is_left_out, ", left out: no such source"),
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
            let mount = &landing.planned.mount;
            push(&mut text, if number == 0 { b"\n" } else { b",\n" });
            let mut options = Line::verbatim();
            push_options(mount, b"", &mut options);
            let kind = match &mount.source {
                Source::FileSystem(kind) => kind.bytes(),
                Source::Copy(_) => b"copy",
                Source::Path(_) => b"bind",
                Source::Terminal(_) => b"terminal",
            };
            for (name, value) in [
                ("{\"target\":", &landing.path[..]),
                (",\"source\":", landing.planned.source().bytes()),
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

/// Appends a JSON string that preserves all bytes.
fn push_string(text: &mut Vec<u8>, string: &[u8]) {
    json::push_string(text, string, Invalid::Kept);
}

fn missing_source(planned: &Planned) -> Option<Error> {
    if let Source::FileSystem(_) | Source::Terminal(_) = planned.mount.source {
        return None;
    }
    let path = planned.source();
    let opened = fs::openat(BorrowedFd::CWD, path.as_c_str(), fs::O_PATH, 0);
    let errno = opened.err()?;
    Some(Error::new(Step::OpenSource, path.bytes(), errno))
}

fn describe(planned: &Planned, line: &mut Line) {
    let mount = &planned.mount;
    line.push(match (&mount.source, mount.recursive) {
        (Source::FileSystem(_), _) => b"new ",
        (Source::Copy(_), _) => b"a copy of ",
        (Source::Path(_), false) | (Source::Terminal(_), _) => b"",
        (Source::Path(_), true) => b"all of ",
    });
    line.push_name(planned.source().bytes());
    if push_options(mount, b" (", line) {
        line.push(b")");
    }
}

/// Appends the options, separated by commas, with a separator before the first. Returns false if
/// there are none.
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
