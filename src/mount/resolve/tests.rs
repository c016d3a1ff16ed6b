//! The walk compared with the kernel's own resolution.

use std::ffi::CString;
use std::os::unix::fs::symlink;
use std::prelude::rust_2024::*;
use std::{fs as std_fs, vec};

use proptest::prelude::*;

use super::*;

fn open(path: &std::path::Path) -> OwnedFd {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    fs::openat(BorrowedFd::CWD, &path, fs::O_PATH | fs::O_DIRECTORY, 0).unwrap()
}

/// Returns the number of cases. An emulated machine needs ten times as long for each.
fn cases() -> u32 {
    match std::env::var_os("ROOTLET_TEST_EMULATED") {
        Some(_) => 50,
        None => 2000,
    }
}

/// Returns where a path leads, and whether that exists.
fn landing_of(root: BorrowedFd, path: &[u8]) -> Result<(Vec<u8>, bool), Errno> {
    let mut walk = Walk::new();
    walk.begin(path, Bound::InRoot)?;
    loop {
        match walk.next(root)? {
            Next::End => return Ok((Vec::from(walk.landing()), true)),
            Next::Missing => {
                let mut landing = Vec::new();
                walk.push_missing(&mut landing)?;
                return Ok((landing, false));
            }
            Next::Entered(_) | Next::Redirected => {}
        }
    }
}

/// Makes a relative or absolute path of a few names that often exist.
fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c", "link", "..", ".", ""]);
    (any::<bool>(), prop::collection::vec(name, 1..7))
        .prop_map(|(absolute, names)| {
            ["", "/"][usize::from(absolute)].to_owned() + &names.join("/")
        })
        .prop_filter("an empty path is no link target", |path| !path.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// The walk and the kernel agree on every path in every tree.
    #[test]
    fn the_walk_is_as_strict_as_openat2(
        directories in prop::collection::vec(path(), 0..6),
        links in prop::collection::vec((path(), path()), 0..8),
        wanted in path(),
    ) {
        let outside = tempfile::tempdir().unwrap();
        let top = outside.path().join("root");
        std_fs::create_dir(&top).unwrap();
        // The same name exists outside: an escape would find it.
        std_fs::create_dir(outside.path().join("a")).unwrap();
        for path in &directories {
            let inside: Vec<&str> = path.split('/').filter(|name| *name != "..").collect();
            let _ = std_fs::create_dir_all(top.join(inside.join("/").trim_start_matches('/')));
        }
        for (path, target) in &links {
            let inside: Vec<&str> = path.split('/').filter(|name| *name != "..").collect();
            let link = top.join(inside.join("/").trim_matches('/'));
            // An earlier link may lead to the host's own directories.
            let above = link.parent().and_then(|above| above.canonicalize().ok());
            if above.is_some_and(|above| above.starts_with(outside.path())) {
                let _ = symlink(target, link);
            }
        }
        let root = open(&top);
        let wanted = CString::new(wanted).unwrap();
        let restrictions = fs::RESOLVE_IN_ROOT | fs::RESOLVE_NO_MAGICLINKS;
        let kernel = loop {
            match fs::openat2(root.borrow(), &wanted, fs::O_PATH, restrictions) {
                // Another process renames a file somewhere in the system.
                Err(Errno::EAGAIN) => {}
                result => break result,
            }
        };
        let kernel = kernel.and_then(|found| fs::stat(found.borrow()));
        let walked = landing_of(root.borrow(), wanted.to_bytes());
        let found = match &walked {
            Ok((_, true)) => {
                let walk = walk_to_end(root.borrow(), wanted.to_bytes()).unwrap();
                fs::stat(walk.here(root.borrow()))
            }
            Ok((_, false)) => Err(Errno::ENOENT),
            Err(errno) => Err(*errno),
        };
        prop_assert_eq!(found, kernel);
        if let Ok((landing, exists)) = &walked {
            // The landing is a plain path: taken literally it leads to the same file.
            let text = std::str::from_utf8(landing).unwrap();
            prop_assert!(text.split('/').skip(1).all(|name| !["", ".", ".."].contains(&name)));
            let plain = std_fs::canonicalize(top.join(text.trim_start_matches('/')));
            match exists {
                true => prop_assert_eq!(plain.unwrap(), top.join(text.trim_start_matches('/'))),
                false => prop_assert!(plain.is_err()),
            }
        }
    }
}

#[test]
fn a_magic_link_leads_nowhere() {
    let root = open(std::path::Path::new("/"));
    for path in [c"/proc/self/root", c"/proc/self/cwd/x", c"/proc/self/fd/0"] {
        assert_eq!(resolve(root.borrow(), path).unwrap_err(), Errno::ELOOP);
        assert_eq!(
            landing_of(root.borrow(), path.to_bytes()),
            Err(Errno::ELOOP)
        );
    }
}

#[test]
fn too_many_links_and_too_long_paths_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    symlink("loop", directory.path().join("loop")).unwrap();
    let root = open(directory.path());
    assert_eq!(landing_of(root.borrow(), b"loop"), Err(Errno::ELOOP));
    let long = vec![b'/'; 4096];
    assert_eq!(landing_of(root.borrow(), &long), Err(Errno::ENAMETOOLONG));
    // Most file systems have names of up to 255 bytes, squashfs up to 256.
    let name = vec![b'n'; 257];
    assert_eq!(landing_of(root.borrow(), &name), Err(Errno::ENAMETOOLONG));
}

#[test]
fn missing_and_existing_parts_are_distinguished() {
    let directory = tempfile::tempdir().unwrap();
    std_fs::create_dir_all(directory.path().join("a/b")).unwrap();
    symlink("/a/./missing/deep", directory.path().join("link")).unwrap();
    let root = open(directory.path());
    let landing = landing_of(root.borrow(), b"link/er//x/.").unwrap();
    assert_eq!(landing, (Vec::from(b"/a/missing/deep/er/x"), false));
    // A missing directory has no `..` yet.
    assert_eq!(landing_of(root.borrow(), b"link/../x"), Err(Errno::ENOENT));
}

/// Links that lead down a deep directory and up again, each through the next.
#[test]
fn a_path_costs_linear_work() {
    let directory = tempfile::tempdir().unwrap();
    let deep = vec!["d"; 100].join("/");
    std_fs::create_dir_all(directory.path().join(&deep)).unwrap();
    let (down, up) = (deep + "/", vec![".."; 100].join("/") + "/");
    for link in 0..39 {
        let target = format!("{}{}", (down.clone() + &up).repeat(7), link + 1);
        symlink(target, directory.path().join(link.to_string())).unwrap();
    }
    std_fs::create_dir(directory.path().join("39")).unwrap();
    let root = open(directory.path());
    let (begun, mut steps) = (std::time::Instant::now(), 0);
    let mut walk = Walk::new();
    walk.begin(b"0", Bound::InRoot).unwrap();
    while !matches!(walk.next(root.borrow()).unwrap(), Next::End) {
        steps += 1;
    }
    // Each step is at most four system calls.
    assert_eq!(
        (walk.landing(), steps),
        (&b"/39"[..], 39 * (7 * 200 + 1) + 1)
    );
    std::println!("{steps} steps in {:?}", begun.elapsed());
}
