//! Measures [`Chroot::call`] beside other ways to run code in another root, in turns.
//!
//! usage: call ROOT MEBIBYTES PAIRS SECONDS [PROGRAM [ARG]...]
//!
//! MEBIBYTES is the memory that this process uses: a fork copies its page tables. PROGRAM does the same in
//! its own way, once for each line that it reads, and prints the time in ns. The results are printed in the
//! format of `spawn`.

use std::ffi::{CString, c_char};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rootlet::Chroot;

// Functions of the libc that std links.
unsafe extern "C" {
    fn fork() -> i32;
    fn chroot(path: *const c_char) -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(status: i32) -> !;
}

/// The times, in ns.
fn time(body: impl FnOnce()) -> f64 {
    let start = Instant::now();
    body();
    start.elapsed().as_nanos() as f64
}

fn call(chroot: &Chroot) -> f64 {
    time(|| {
        // SAFETY: the closure does nothing.
        unsafe { chroot.call(|| black_box(())) }.unwrap();
    })
}

fn fork_and_chroot(root: &str) -> f64 {
    let root = CString::new(root).unwrap();
    time(|| {
        let mut status = -1;
        // SAFETY: this process has one thread, and the child does two system calls.
        let waited = unsafe {
            let pid = fork();
            if pid == 0 {
                _exit(chroot(root.as_ptr()));
            }
            waitpid(pid, &mut status, 0) == pid
        };
        assert!(waited && status == 0, "fork or chroot failed");
    })
}

fn ask(program: &mut (ChildStdin, BufReader<ChildStdout>)) -> f64 {
    program.0.write_all(b"\n").unwrap();
    let mut line = String::new();
    program.1.read_line(&mut line).unwrap();
    line.trim().parse().expect("the program failed")
}

fn at(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().expect("ROOT");
    let mut number = || arguments.next().and_then(|word| word.parse::<usize>().ok());
    let mebibytes = number().expect("MEBIBYTES");
    let pairs_max = number().expect("PAIRS");
    let limit = Duration::from_secs_f64(number().expect("SECONDS") as f64);
    let program: Vec<String> = arguments.collect();

    let memory = vec![1_u8; mebibytes << 20];
    let whole = Chroot::new(root.as_str());
    let mut bare = Chroot::new(root.as_str());
    bare.no_mounts();
    type Way<'a> = (&'a str, Box<dyn FnMut() -> f64 + 'a>);
    let mut others: Vec<Way> = vec![
        ("call, nothing mounted", Box::new(|| call(&bare))),
        (
            "fork + chroot, no mounts",
            Box::new(|| fork_and_chroot(&root)),
        ),
    ];
    if let Some((name, words)) = program.split_first() {
        let mut child = Command::new(name)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipes = (
            child.stdin.take().unwrap(),
            BufReader::new(child.stdout.take().unwrap()),
        );
        others.push(("pychroot", Box::new(move || ask(&mut pipes))));
    }

    let mut base_times = Vec::new();
    for (name, other) in &mut others {
        let start = Instant::now();
        let (mut times, mut ratios) = (Vec::new(), Vec::new());
        call(&whole);
        other();
        while times.len() < 5 || (times.len() < pairs_max && start.elapsed() < limit) {
            let first = (times.len() % 2 == 0).then(&mut *other);
            let base = call(&whole);
            let took = first.unwrap_or_else(&mut *other);
            base_times.push(base);
            times.push(took);
            ratios.push(took / base);
        }
        let (times, ratios) = (sorted(times), sorted(ratios));
        let quartiles = [0.5, 0.25, 0.75].map(|part| format!("{:.3}", at(&ratios, part)));
        println!(
            "{name}\t{}\t{:.0}\t{}",
            times.len(),
            at(&times, 0.5),
            quartiles.join("\t")
        );
    }
    let times = sorted(base_times);
    println!("rootlet\t{}\t{:.0}\t1\t1\t1", times.len(), at(&times, 0.5));
    black_box(memory);
}
