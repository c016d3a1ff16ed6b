//! Other kernels and machines.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::common::{self, end, is_left_out};
use crate::place::{Place, assert_said, cannot, scripts, someone};

#[test]
fn debians_kernels_are_at_hand() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let listed = end(&mut place.vm(&["--kernels"]));
    assert_eq!((listed.status, &*listed.stderr), (0, ""), "{listed:?}");
    let versions = listed.stdout.lines().skip(1);
    let versions: Vec<_> = versions
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    for version in ["5.10", "6.1", "6.12"] {
        assert!(versions.contains(&version), "{listed:?}");
    }
    for version in ["5.10", "6.1", "newest"] {
        let ended = end(&mut place.vm(&["--kernel", version, "uname", "-r"]));
        let release = ended.stdout.trim_end();
        let known = |listed: &&str| release.starts_with(&format!("{listed}."));
        let found = versions.iter().position(known);
        let found = found.unwrap_or_else(|| panic!("{ended:?} {listed:?}"));
        assert!(ended.status == 0, "{ended:?}");
        if version == "newest" {
            assert!(versions.len() - found <= 2, "{ended:?} {listed:?}");
        } else {
            assert_eq!(versions[found], version);
        }
    }
    // A downloaded kernel is listed as present, and a wrong name is reported.
    let listed = end(&mut place.vm(&["--kernels"])).stdout;
    let line = listed
        .lines()
        .find(|line| line.starts_with("5.10 "))
        .unwrap();
    assert_eq!(line.matches("5.10.0-").count(), 2, "{line}");
    let ended = end(&mut place.vm(&["--kernel=5.999", "true"]));
    assert_said(&ended, 125, "vm: no Linux 5.999 (");
    place.assert_clean();
}

/// A mirror that records the requests and answers each with 404.
fn mirror(asked: Arc<Mutex<Vec<String>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let asked = Arc::clone(&asked);
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.starts_with("GET ") {
                        asked.lock().unwrap().push(line);
                    } else if line.is_empty() {
                        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
                        if stream.write_all(answer).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    port
}

#[test]
fn kernels_come_from_the_machines_own_mirror() {
    let place = Place::new(someone());
    for deb822 in [false, true] {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let archive = format!("http://127.0.0.1:{}/mine", mirror(Arc::clone(&asked)));
        let (name, text) = if deb822 {
            let text = format!("Types: deb\nURIs: {archive}\nSuites: bookworm\nComponents: main\n");
            ("parts/mine.sources", text)
        } else {
            let text = format!("# ours\ndeb [ arch=amd64 ] {archive} bookworm main contrib\n");
            ("mine.list", text)
        };
        place.root.directory("parts");
        place.root.file(name, text);
        let list = place.root.path().join("mine.list");
        let parts = place.root.path().join("parts");
        let text = format!(
            "Dir::Etc::sourcelist \"{}\"; Dir::Etc::sourceparts \"{}\"; Acquire::http::Proxy \"DIRECT\";",
            if deb822 { "-" } else { list.to_str().unwrap() },
            if deb822 { parts.to_str().unwrap() } else { "-" },
        );
        let configuration = place.root.file("apt.conf", text);
        let mut command = place.vm(&["--kernels"]);
        command.env("APT_CONFIG", configuration);
        let ended = end(command.env(
            "XDG_CACHE_HOME",
            place.root.directory(&format!("cache-{deb822}")),
        ));
        let asked = asked.lock().unwrap();
        for suite in ["bookworm", "stable", "oldoldstable", "unstable"] {
            let path = format!("GET /mine/dists/{suite}/InRelease ");
            assert!(
                asked.iter().any(|line| line.starts_with(&path)),
                "{path} {asked:?} {ended:?}"
            );
        }
        assert_eq!((ended.status, ended.stdout.lines().count()), (0, 1));
    }
    place.assert_clean();
}

#[test]
fn no_script_names_a_mirror() {
    let mut directories = vec![scripts()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let text = fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&text);
                let is_lock = path.ends_with("Cargo.lock");
                for (_, url) in text
                    .split("http")
                    .filter_map(|rest| rest.split_once("://"))
                    .filter(|(s, _)| ["", "s"].contains(s))
                {
                    let host = url.split(['/', '"', '\'', ' ']).next().unwrap();
                    // The namespace of SVG is never fetched. A host that does not start with a
                    // letter is a pattern.
                    let is_host = host.starts_with(|first: char| first.is_ascii_alphanumeric());
                    assert!(
                        is_lock || !is_host || host == "www.w3.org",
                        "{}: {host}",
                        path.display()
                    );
                }
            }
        }
    }
}

#[test]
fn another_machine_can_be_emulated() {
    if cannot() || is_left_out("aarch64") {
        return;
    }
    emulate("aarch64");
}

/// Only on request, because it downloads a toolchain: `cargo test --test vm third -- --ignored`.
#[test]
#[ignore = "downloads a toolchain"]
fn a_third_machine_can_be_emulated() {
    if cannot() || is_left_out("riscv64") {
        return;
    }
    emulate("riscv64");
}

fn emulate(arch: &str) {
    let place = Place::new(someone());
    // The script itself builds rootlet for the machine if it is missing.
    let mut command = Command::new(scripts().join("vm"));
    command
        .args(["--arch", arch, "--root=none", "/init", "--version"])
        .env_remove("ROOTLET")
        .env("TMPDIR", place.temporary())
        .env("XDG_CACHE_HOME", common::kernel_cache());
    let ended = end(&mut command);
    let version = concat!("rootlet ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((ended.status, &*ended.stdout), (0, version), "{ended:?}");
    place.assert_clean();
}

/// Features that kernel parameters can disable.
#[test]
fn a_kernel_without_user_namespaces_is_reported() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let rootlet = common::rootlet_path().to_str().unwrap();
    let run = format!(
        "setpriv --reuid=54321 --regid=54321 --clear-groups {rootlet} run / true || exit $?"
    );
    for (setting, printed) in [
        (
            "user.max_user_namespaces=0",
            "rootlet: cannot make new namespaces: No space left on device (ENOSPC)\n\
             hint: the limit on namespaces is reached (/proc/sys/user/max_*_namespaces)",
        ),
        (
            "kernel.unprivileged_userns_clone=0",
            "rootlet: cannot make new namespaces: Operation not permitted (EPERM)\n\
             hint: only root may create user namespaces here: sysctl kernel.unprivileged_userns_clone=1",
        ),
    ] {
        let append = format!("--append=sysctl.{setting}");
        let ended = end(&mut place.vm(&[&append, "--", "sh", "-c", &run]));
        assert_eq!(ended.status, 125, "{ended:?}");
        assert!(ended.stderr.starts_with(printed), "{ended:?}");
    }
    place.assert_clean();
}

#[test]
fn a_guest_that_counts_instructions_does_not_wait() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let mut command = place.vm(&["--count", "--root=none", "--file=/bin/busybox:/bin/sh"]);
    command.args(["--timeout=600", "/bin/sh", "-c", "sleep 36000; exit 7"]);
    assert_eq!(end(&mut command).status, 7);
    let ended = end(&mut place.vm(&["--count", "--accel=kvm", "true"]));
    assert_said(&ended, 125, "vm: --count is for --accel tcg");
    place.assert_clean();
}

/// The guest gets a seventh of a processor or less.
#[test]
fn a_busy_host_takes_no_time_from_the_guest() {
    if cannot() {
        return;
    }
    let place = Place::new(someone());
    let text = r#"
        cpu=$(taskset -pc $$ | sed 's/.*: //; s/[-,].*//')
        taskset -c "$cpu" sh -c 'while :; do :; done' &
        hog=$!
        taskset -c "$cpu" nice -n 8 bash scripts/vm --root none --timeout 15 /init --version
        status=$?
        kill "$hog"
        exit "$status""#;
    let mut command = common::command(place.user, "sh");
    for (name, value) in place.vm(&[]).get_envs() {
        command.env(name, value.unwrap());
    }
    let ended = end(command.args(["-c", text]).current_dir(place.root.path()));
    assert_eq!((ended.status, &*ended.stderr), (0, ""), "{ended:?}");
    place.assert_clean();
}
