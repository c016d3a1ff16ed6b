//! A thousand chroots alive at once, in one root.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::common::{Root, children, processes_with, users};
use crate::load::{assert_no_mount_of, in_full, median, rounds, turn};
use crate::summary;

/// Returns the sum of these lines of a process's smaps_rollup, in kB.
fn rollup(pid: u32, names: &[&str]) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let value = value.trim().strip_suffix(" kB")?;
        names.contains(&name).then(|| value.parse::<u64>().unwrap())
    };
    text.lines().filter_map(line).sum()
}

/// Returns the private memory of the supervisor and pid 1 together, and their share of all.
fn memory(supervisor: &Child) -> (u64, u64) {
    let pid1 = children(supervisor.id() as i32)[0] as u32;
    let both = |names: &[&str]| rollup(supervisor.id(), names) + rollup(pid1, names);
    (both(&["Private_Clean", "Private_Dirty"]), both(&["Pss"]))
}

fn available() -> i64 {
    super::in_a_row::meminfo("MemAvailable")
}

/// Starts it and waits for the byte that the command writes.
fn start(command: &mut Command, output: &mut UnixStream) -> Child {
    let child = command.spawn().unwrap();
    output.read_exact(&mut [0]).unwrap();
    child
}

#[test]
fn runs_in_one_root_do_not_disturb_each_other() {
    let _turn = turn();
    let number = rounds(if in_full() { 1000 } else { 200 });
    for user in users() {
        let root = Root::busybox(user);
        let before = root.tree();
        // The commands share these sockets, and all end when `all` is closed.
        let (input, all) = UnixStream::pair().unwrap();
        let (mut output, writer) = UnixStream::pair().unwrap();
        let errors = tempfile::tempfile().unwrap();
        let mut command = root.run(&["ROOT", "sh", "-c", "printf r; read line; exit 3"]);
        command
            .stdin(OwnedFd::from(input))
            .stdout(OwnedFd::from(writer))
            .stderr(Stdio::from(errors.try_clone().unwrap()));

        let free = available();
        let (mut alive, mut times) = (Vec::new(), Vec::new());
        for _ in 0..number {
            let begin = Instant::now();
            alive.push(start(&mut command, &mut output));
            times.push(begin.elapsed());
        }
        let used = free - available();
        let [first, middle, last] = [0, number / 2, number - 1].map(|index| memory(&alive[index]));
        // Later runs do not take more. Up to four pages may come and go.
        assert!(last.0 <= first.0 + 16, "{first:?}, {last:?}");
        for child in &mut alive {
            assert_eq!(child.try_wait().unwrap(), None, "one has ended");
        }

        drop(all);
        for child in &mut alive {
            assert_eq!(child.wait().unwrap().code(), Some(3));
        }
        assert_eq!(errors.metadata().unwrap().len(), 0, "there were errors");
        assert_eq!(root.tree(), before);
        assert_eq!(processes_with(root.name()), []);
        assert_no_mount_of(&root);
        let ten = 10.min(number);
        summary(
            "load at once",
            &format!(
                "{number} chroots alive as {user:?}: private memory of supervisor and pid 1 \
                 {} kB of the first, {} kB of the middle one, {} kB of the last (Pss {}, {}, {} \
                 kB); {} kB of the machine for each with its command; start {} for the first \
                 {ten}, {} for the last; 0 left",
                first.0,
                middle.0,
                last.0,
                first.1,
                middle.1,
                last.1,
                used / number as i64,
                median(&times[..ten]),
                median(&times[number - ten..]),
            ),
        );
    }
}
