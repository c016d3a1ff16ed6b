//! Random roots, some of which change while rootlet mounts in them. Nothing outside is created,
//! changed, removed or mounted on, and the root is the same afterwards as before.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{TestCaseError, TestRunner};
use rustix::fs::{CWD, FileType, Mode, RenameFlags};

use crate::common::hostile::{Outside, end, without_openat2};
use crate::common::{Ended, Root, User, host_mounts, users};
use crate::{cases, summary, until};

/// Paths at which roots hold something. All default mount points are among them.
const PLACES: &[&str] = &[
    "dev",
    "dev/shm",
    "dev/pts",
    "proc",
    "sys",
    "etc",
    "etc/resolv.conf",
    "etc/passwd",
    "a",
    "a/b",
    "a/b/c",
    "var",
    "var/run",
    "run",
];

/// Links other than those that lead outside.
const LINKS: &[&str] = &[
    "nowhere",
    "/nowhere/at/all",
    "/",
    "..",
    ".",
    "a",
    "/a/b",
    "../a",
    "b",
    "/var/run",
    "run",
    "loop",
    "/dev/fd/3",
    "/proc/self/root",
    "/proc/self/cwd/x",
    "/proc/1/root/etc",
    "/etc/..",
    "nowhere/../etc",
];

const TARGETS: &[&str] = &[
    "/a",
    "/a/b",
    "/a/b/c",
    "/a/b/c/d/e",
    "var/x/y",
    "/var/run/x",
    "/dev/shm/x",
    "/dev/x",
    "/proc/x",
    "/sys/x",
    "/etc/resolv.conf",
    "/etc/passwd",
    "/run",
    "/run/../a",
    "/a/./b//x",
    "/a/../../../x",
    "/proc/1/root/x",
    "/dev/fd/3",
    "/",
    "..",
    "/link/x",
    "/link",
];

const SOURCES: &[&str] = &["/usr", "/etc/hostname", "tmpfs", "proc", "sysfs", "SOURCE"];

const OPTIONS: &[&[&str]] = &[
    &[],
    &["--no-mounts"],
    &["--dev=minimal"],
    &["--overlay"],
    &["--overlay", "--resolv-conf=copy"],
    &["--read-only-root"],
    &["--resolv-conf=copy"],
    &["--resolv-conf=off"],
    &["--mask-proc"],
    &["-u", "0"],
    &["-u", "alice"],
    &["-C", "/a/b"],
    &["-C", "var/run"],
];

#[derive(Clone, Debug)]
enum Kind {
    /// A directory with this mode.
    Directory(u32),
    File,
    /// A link that leads outside, by its index, or one of `LINKS`.
    LinkOutside(usize),
    Link(&'static str),
    Special(FileType),
}

#[derive(Clone, Debug)]
struct Case {
    names: Vec<(&'static str, Kind)>,
    options: &'static [&'static str],
    binds: Vec<(&'static str, &'static str)>,
    openat2: bool,
    /// The name that a thread keeps swapping with a link that leads outside.
    raced: Option<&'static str>,
}

fn case() -> impl Strategy<Value = Case> {
    let special = [
        FileType::Fifo,
        FileType::Socket,
        FileType::CharacterDevice,
        FileType::BlockDevice,
    ];
    let kind = prop_oneof![
        4 => select(&[0o755, 0o711, 0o1777, 0o2755, 0][..]).prop_map(Kind::Directory),
        1 => Just(Kind::File),
        4 => (0_usize..6).prop_map(Kind::LinkOutside),
        3 => select(LINKS).prop_map(Kind::Link),
        2 => select(special.to_vec()).prop_map(Kind::Special),
    ];
    let raced = prop_oneof![
        2 => Just(None),
        1 => select(&["dev", "proc", "etc", "a", "var"][..]).prop_map(Some),
    ];
    (
        prop::collection::vec((select(PLACES), kind), 0..8),
        select(OPTIONS),
        prop::collection::vec((select(SOURCES), select(TARGETS)), 0..4),
        prop::bool::weighted(0.9),
        raced,
    )
        .prop_map(|(names, options, binds, openat2, raced)| Case {
            names,
            options,
            binds,
            openat2,
            raced,
        })
}

impl Case {
    /// Fills the root. A name is left out if its parent is no directory.
    fn fill(&self, root: &Root, outside: &Outside) {
        let mut links = outside.links();
        links.push(outside.link_back());
        let raced = self.raced.map(|name| (name, Kind::Directory(0o755)));
        let link = self.raced.map(|_| ("link", Kind::LinkOutside(0)));
        for (name, kind) in raced.iter().chain(&link).chain(&self.names) {
            // Nothing is made through a link, which may lead to the host's own directories.
            let mut above = Path::new(name).ancestors().skip(1);
            let is_plain = above.all(|above| {
                let kind = fs::symlink_metadata(root.path().join(above));
                kind.map_or_else(
                    |error| error.kind() == ErrorKind::NotFound,
                    |kind| kind.is_dir(),
                )
            });
            if !is_plain {
                continue;
            }
            root.directory(Path::new(name).parent().unwrap().to_str().unwrap());
            let path = root.path().join(name);
            let made = match kind {
                Kind::Directory(mode) => fs::create_dir(&path)
                    .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(*mode))),
                Kind::File => fs::File::create_new(&path).map(drop),
                Kind::LinkOutside(index) => std::os::unix::fs::symlink(&links[*index], &path),
                Kind::Link(target) => std::os::unix::fs::symlink(target, &path),
                Kind::Special(kind) => {
                    let device = rustix::fs::makedev(1, 3);
                    let mode = Mode::from_raw_mode(0o666);
                    rustix::fs::mknodat(CWD, &path, *kind, mode, device).map_err(Into::into)
                }
            };
            // Existing names stay. Only root can make devices, or anything below a directory
            // without permissions.
            if made.is_ok() {
                root.own(name);
            }
        }
    }

    fn run(&self, root: &Root, user: User, source: &str) -> Ended {
        let mut words = self.options.to_vec();
        let binds: Vec<String> = self
            .binds
            .iter()
            .map(|(from, to)| format!("{}:{to}", from.replace("SOURCE", source)))
            .collect();
        binds.iter().for_each(|bind| words.extend(["-B", bind]));
        words.extend(["ROOT", "true"]);
        let mut command = root.run(&words);
        if !self.openat2 {
            command = without_openat2(user, &command);
        }
        end(&mut command)
    }
}

/// Removes the files of the last case, whatever their modes. No link is followed: links lead to the
/// host's own directories.
fn clear(root: &Root) {
    for entry in fs::read_dir(root.path()).unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with("bin") {
            remove(&path);
        }
    }
}

fn remove(path: &Path) {
    if !fs::symlink_metadata(path).unwrap().is_dir() {
        return fs::remove_file(path).unwrap();
    }
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(path).unwrap() {
        remove(&entry.unwrap().path());
    }
    fs::remove_dir(path).unwrap();
}

/// Drops the stubs that a run may leave when names are swapped under it. They are marked, and the
/// next run that comes there removes them.
fn without_stubs(mut tree: Vec<String>) -> Vec<String> {
    tree.retain(|line| !line.ends_with(" 41715 ") && !line.ends_with(" 101404 "));
    tree
}

#[derive(Default)]
struct Counts {
    succeeded: u64,
    refused: u64,
    raced: u64,
    swaps: u64,
}

fn holds(
    case: &Case,
    root: &Root,
    user: User,
    source: &Root,
    counts: &mut Counts,
) -> Result<(), TestCaseError> {
    clear(root);
    let outside = Outside::new(user);
    case.fill(root, &outside);
    let before = root.tree();
    let source_before = crate::common::tree(source.path());
    let stop = AtomicBool::new(false);
    let runs = match case.raced {
        Some(_) => 8,
        None => 1,
    };
    let (ended, swaps) = std::thread::scope(|scope| {
        let swapping = case.raced.map(|raced| {
            let (path, link) = (root.path().join(raced), root.path().join("link"));
            let stop = &stop;
            scope.spawn(move || {
                let mut swaps = 0u64;
                // An even number of swaps restores the original state.
                while swaps % 2 == 1 || !stop.load(Ordering::Relaxed) {
                    let exchange = RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(CWD, &path, CWD, &link, exchange).unwrap();
                    swaps += 1;
                }
                swaps
            })
        });
        let run = || -> Vec<Ended> {
            (0..runs)
                .map(|_| case.run(root, user, source.name()))
                .collect()
        };
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        stop.store(true, Ordering::Relaxed);
        (
            ended.unwrap(),
            swapping.map(|swapping| swapping.join().unwrap()),
        )
    });
    for ended in &ended {
        // A mount may cover the command itself, which is then not found.
        prop_assert!(matches!(ended.status, 0 | 125..=127), "{ended:?}");
        if ended.status != 0 {
            let mut lines = ended.stderr.lines();
            let line = lines.find(|line| !line.starts_with("rootlet: left out: "));
            let printed = line.is_some_and(|line| line.starts_with("rootlet: cannot "));
            prop_assert!(printed, "{ended:?}");
        }
        match ended.status {
            0 => counts.succeeded += 1,
            _ => counts.refused += 1,
        }
    }
    outside.assert_untouched(&(case, &ended));
    prop_assert_eq!(crate::common::tree(source.path()), source_before);
    prop_assert!(!host_mounts().contains(root.name()));
    match swaps {
        Some(swaps) => {
            counts.raced += 1;
            counts.swaps += swaps;
            prop_assert_eq!(
                without_stubs(root.tree()),
                without_stubs(before),
                "{:?}",
                ended
            );
        }
        None => prop_assert_eq!(root.tree(), before, "{:?}", ended),
    }
    Ok(())
}

#[test]
fn nothing_outside_of_any_root_is_touched() {
    let end = until();
    let mut counts = Counts::default();
    let mut users = users().into_iter().cycle();
    loop {
        let user = users.next().unwrap();
        let root = Root::busybox(user);
        let source = Root::empty(user);
        source.file("data", "bound");
        let config = ProptestConfig {
            max_shrink_iters: 30,
            ..cases::config(25)
        };
        let shared = std::cell::RefCell::new(&mut counts);
        let result = TestRunner::new(config).run(&case(), |case| {
            holds(&case, &root, user, &source, &mut shared.borrow_mut())
        });
        clear(&root);
        result.unwrap_or_else(|error| panic!("{user:?} {error}"));
        if Instant::now() >= end {
            break;
        }
    }
    summary(
        "roots",
        &format!(
            "{} runs succeeded, {} refused; {} roots raced with {} swaps; nothing outside touched",
            counts.succeeded, counts.refused, counts.raced, counts.swaps
        ),
    );
}
