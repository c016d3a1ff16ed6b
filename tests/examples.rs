//! The folders of `scripts/examples`, each run with the program that it is for.

#![allow(missing_docs)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::running::Running;
use common::terminal::{CTRL_C, Session};
use common::{
    Root, User, can_be_root, command, copy_program, debian, end, host_mounts, is_left_out,
    processes_with, rootlet, rootlet_path, send_signal, succeed, tree, users,
};

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scripts/examples")
        .join(path)
}

/// The example's script or configuration, where every user can read it. The checkout may lie below
/// a directory that only root can enter.
fn copy_of(path: &str, place: &Root) -> PathBuf {
    let name = Path::new(path).file_name().unwrap();
    let copy = place.path().join(name);
    copy_program(example(path), &copy);
    place.own(name.to_str().unwrap());
    copy
}

/// A command with rootlet under its name in the PATH.
fn with_rootlet(user: User, program: impl AsRef<Path>, place: &Root) -> Command {
    let programs = place.directory("programs");
    let _ = symlink(rootlet_path(), programs.join("rootlet"));
    let mut command = command(user, program.as_ref());
    let path = format!(
        "{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        programs.display()
    );
    command.env("PATH", path).current_dir(place.path());
    command
}

/// A Debian with the packages of the daemons below. rootlet makes it once.
fn debian_with_daemons() -> Root {
    const PACKAGES: &str = "cron iproute2 munge procps slurm-client slurmctld slurmd";
    let tarball = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-bookworm-daemons.tar");
    let lock = fs::File::create(tarball.with_extension("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    if tarball.exists() {
        let root = Root::empty(User::Root);
        succeed(
            Command::new("tar")
                .arg("-xf")
                .arg(&tarball)
                .arg("-C")
                .arg(root.path()),
        );
        return root;
    }
    let root = debian();
    let install = format!(
        "apt-get -qq update && apt-get -qq -o Dpkg::Options::=--force-unsafe-io \
         install --no-install-recommends {PACKAGES} && apt-get clean"
    );
    let ended = end(root
        .run(&["ROOT", "sh", "-c", &install])
        .env("DEBIAN_FRONTEND", "noninteractive"));
    assert_eq!(ended.status, 0, "{ended:?}");
    let unfinished = tarball.with_extension("unfinished.tar");
    succeed(
        Command::new("tar")
            .arg("-cf")
            .arg(&unfinished)
            .arg("-C")
            .arg(root.path())
            .arg("."),
    );
    fs::rename(unfinished, tarball).unwrap();
    root
}

/// A directory with two roots that show the host's programs, and a recipe for each. make runs as
/// many jobs as are allowed at the same time, and each job records how many there are.
fn two_roots_to_make_in(user: User, recipe: &str) -> (Root, Command) {
    let place = Root::empty(user);
    for root in ["one", "two"] {
        place.directory(root);
        for directory in ["bin", "sbin", "lib", "lib64"] {
            place.symlink(&format!("{root}/{directory}"), format!("usr/{directory}"));
        }
    }
    place.file("src.mk", recipe);
    let makefile = copy_of("make/Makefile", &place);
    let mut make = with_rootlet(user, "make", &place);
    make.arg("-f").arg(makefile);
    make.args([
        "--silent",
        "ROOTS=one two",
        "OPTIONS=--ro /usr --ro /etc/alternatives",
    ]);
    (place, make)
}

#[test]
fn make_counts_its_jobs_across_roots() {
    for user in users() {
        // Three jobs for two roots: two of one root have to meet, and there must never be a fourth.
        let (place, mut make) = two_roots_to_make_in(
            user,
            "all: $(NAME)-1 $(NAME)-2 $(NAME)-3 $(NAME)-4\n\
             $(NAME)-%:\n\
             \ttouch running-$@; ls | grep -c running- >>counts\n\
             \tuntil grep -qx 3 counts; do sleep 0.01; done; rm running-$@; touch $@\n",
        );
        let ended = end(make.arg("-j3"));
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
        let counts = fs::read_to_string(place.path().join("counts")).unwrap();
        assert!(counts.lines().count() == 8, "{counts}");
        assert!(counts.lines().all(|count| count <= "3"), "{counts}");
        assert!(place.path().join("one-4").exists() && place.path().join("two-4").exists());
    }
}

#[test]
fn make_fails_if_a_recipe_in_a_root_fails() {
    let recipe = "all:\n\ttest $(NAME) = one && exit 7\n";
    let (_place, mut make) = two_roots_to_make_in(User::Ordinary, recipe);
    let ended = end(&mut make);
    assert_eq!(ended.status, 2, "{ended:?}");
    for line in ["[src.mk:2: all] Error 7", "in-one] Error 2"] {
        assert!(ended.stderr.contains(line), "{line}\n{ended:?}");
    }
}

#[test]
fn ctrl_c_ends_make_in_all_roots() {
    let (place, make) = two_roots_to_make_in(
        User::Ordinary,
        "$(NAME)-made:\n\ttouch $@; echo ready; exec tail -f $(MARK)\n",
    );
    let mark = place.path().file_name().unwrap().to_str().unwrap();
    place.file(mark, "");
    let mut session = Session::bash(User::Ordinary);
    let path = make
        .get_envs()
        .find(|(name, _)| *name == "PATH")
        .unwrap()
        .1
        .unwrap();
    session.ask(&format!(
        "cd {}; PATH={}",
        place.name(),
        path.to_str().unwrap()
    ));
    let words: Vec<String> = make
        .get_args()
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    session.enter(&format!("make {} MARK={mark} -j2", words.join(" ")));
    session.expect("ready");
    session.expect("ready");
    session.press(CTRL_C);
    assert_eq!(session.status().trim(), "130");
    assert_eq!(processes_with(mark), []);
    // make removes unfinished files.
    assert!(!place.path().join("one-made").exists() && !place.path().join("two-made").exists());
    session.exit();
}

#[test]
fn crun_runs_an_image_of_two_files() {
    if !can_be_root() {
        return;
    }
    let place = Root::empty(User::Root);
    let script = format!(
        "trap 'echo asked to end; exit 4' TERM; echo ready; while :; do sleep 0.1; done; : {}",
        place.name()
    );
    let mut image = Command::new(example("oci/image"));
    image.arg(place.path().join("layout")).arg(rootlet_path());
    succeed(image.args(["/bin/busybox", "sh", "-c", &script]));
    let mut umoci = Command::new("umoci");
    umoci.args(["unpack", "--image", "layout:latest", "bundle"]);
    succeed(umoci.current_dir(place.path()));
    let files: Vec<String> = tree(&place.path().join("bundle/rootfs"));
    assert_eq!(files, ["busybox 100755 ", "rootlet 100755 "]);

    let config = place.path().join("bundle/config.json");
    let made = fs::read_to_string(&config)
        .unwrap()
        .replace("\"terminal\": true", "\"terminal\": false");
    let end_of = |config_text: &str, container: &str| {
        fs::write(&config, config_text).unwrap();
        // crun refuses a host with control groups of both versions, even if it uses none.
        let mut crun = rootlet(User::Root);
        crun.args([
            "run",
            "-B",
            "tmpfs:/sys/fs/cgroup",
            "-C",
            place.name(),
            "/",
            "crun",
        ]);
        crun.args([
            "--root",
            "state",
            "--cgroup-manager=disabled",
            "run",
            "--bundle",
            "bundle",
        ]);
        let mut running = Running::start_ready(crun.arg(container));
        // The first process of the container and its command. The arguments of crun do not contain
        // it.
        let init = processes_with(&script).into_iter().find(|pid| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with("/rootlet") || line.starts_with("/usr/bin/tini")
        });
        send_signal(init.expect("the first process of the container"), 15);
        running.expect("asked to end");
        assert_eq!(running.status(), 4);
    };
    end_of(&made, "two-files");

    // In place of tini, with the image's own entry point.
    let tini = place.path().join("bundle/rootfs/usr/bin");
    fs::create_dir_all(&tini).unwrap();
    copy_program(rootlet_path(), tini.join("tini"));
    let start = made.find("\"/rootlet\"").unwrap();
    let end = start + made[start..].find("\"/busybox\"").unwrap();
    let with_tini = format!(
        "{}\"/usr/bin/tini\", \"-g\", \"--\", {}",
        &made[..start],
        &made[end..]
    );
    end_of(&with_tini, "tini");
}

#[test]
fn cron_runs_a_job_in_a_root() {
    if !can_be_root() || is_left_out("network") {
        return;
    }
    let root = debian_with_daemons();
    let job = fs::read_to_string(example("cron/in-a-root")).unwrap();
    assert!(job.contains("\n@daily "));
    // cron runs this as soon as it starts.
    root.file(
        "etc/cron.d/in-a-root",
        job.replace("\n@daily ", "\n@reboot "),
    );
    root.directory("var/report");
    let busybox = Root::busybox(User::Root);
    busybox.directory("report");
    busybox.script(
        "bin/report",
        "#!/bin/sh\nsleep 1000.2 &\nenv | sort >/report/new; touch /no 2>>/report/new; mv /report/new /report/done\n",
    );
    let rootlet = format!("{}:/usr/local/bin/rootlet", rootlet_path().display());
    let busybox = format!("{}:/srv/root", busybox.name());
    let script = "cron; until [ -e /var/report/done ] && ! pgrep -x 'sleep|flock' >/dev/null
        do sleep 0.1; done; cat /var/report/done";
    let mut run = root.run(&[
        "--ro", &rootlet, "-B", &busybox, "ROOT", "timeout", "60", "sh", "-c", script,
    ]);
    let report = succeed(&mut run);
    assert!(report.starts_with("PATH=/"), "{report}");
    assert!(
        report.ends_with("touch: /no: Read-only file system\n"),
        "{report}"
    );
    assert!(!report.contains("HOME"), "{report}");
}

#[test]
fn a_ci_job_needs_no_rights() {
    let place = Root::empty(User::Ordinary);
    let job = copy_of("ci/job", &place);
    let root = Root::busybox(User::Ordinary);
    root.directory("src");
    root.directory("artifacts");
    root.directory("locked/inside");
    fs::set_permissions(
        root.path().join("locked"),
        std::os::unix::fs::PermissionsExt::from_mode(0o500),
    )
    .unwrap();
    let mut tar = Command::new("tar");
    succeed(
        tar.arg("-cf")
            .arg(place.path().join("system.tar"))
            .arg("-C")
            .arg(root.path())
            .arg("."),
    );
    place.directory("tmp");
    let test = "! touch job 2>/dev/null && ls /sys/class/net && echo result >/artifacts/result && touch /new && exit 3";
    let mut ci = with_rootlet(User::Ordinary, job, &place);
    ci.args(["system.tar", "sh", "-c", test])
        .env("TMPDIR", place.path().join("tmp"));
    let ended = end(&mut ci);
    assert_eq!(
        (ended.status, ended.stdout.as_str(), ended.stderr.as_str()),
        (3, "lo\n", ""),
        "{ended:?}"
    );
    assert_eq!(
        fs::read_to_string(place.path().join("artifacts/result")).unwrap(),
        "result\n"
    );
    assert_eq!(tree(&place.path().join("tmp")), [""; 0]);
}

#[test]
fn gnu_parallel_runs_two_hundred_roots_at_once() {
    for user in users() {
        let place = Root::empty(user);
        let each = copy_of("parallel/each", &place);
        let root = Root::busybox(user);
        let met = Root::empty(user);
        let (before, mounts) = (root.tree(), host_mounts());
        let mut parallel = with_rootlet(user, each, &place);
        // Each job waits for the last one, in the only directory that they share.
        let meet =
            "echo {} >/own; touch /met/{}; until [ -e /met/200 ]; do sleep 0.5; done; cat /own";
        parallel
            .args([
                "-B",
                &format!("{}:/met", met.name()),
                root.name(),
                "sh",
                "-c",
                meet,
            ])
            .env("PARALLEL", "-j 200")
            .env("HOME", place.path())
            .stdin(Stdio::from(
                fs::File::open(place.file("lines", lines(200))).unwrap(),
            ));
        // parallel may warn that starting 200 jobs takes a while.
        let ended = end(&mut parallel);
        assert_eq!(
            (ended.status, ended.stdout),
            (0, lines(200)),
            "{}",
            ended.stderr
        );
        assert_eq!((root.tree(), host_mounts()), (before, mounts));

        let mut parallel = with_rootlet(user, copy_of("parallel/each", &place), &place);
        parallel
            .args([root.name(), "sh", "-c", "exit {}"])
            .env("PARALLEL", "-j 1")
            .env("HOME", place.path())
            .stdin(Stdio::from(
                fs::File::open(place.path().join("lines")).unwrap(),
            ));
        assert_eq!(end(&mut parallel).status, 1);
    }
}

fn lines(count: usize) -> String {
    (1..=count).map(|number| format!("{number}\n")).collect()
}

#[test]
fn slurm_runs_and_cancels_jobs_in_a_root() {
    if !can_be_root() || is_left_out("network") {
        return;
    }
    let node = debian_with_daemons();
    let root = Root::busybox(User::Root);
    let slurm = Root::empty(User::Root);
    for name in ["slurm.conf", "cgroup.conf", "node", "job"] {
        copy_of(&format!("slurm/{name}"), &slurm);
    }
    let script = "srun rootlet run /srv/root sh -c 'echo task $SLURM_PROCID of $SLURM_NTASKS'
        srun --quiet rootlet run /srv/root sh -c 'exit 3' || echo status $?
        sbatch --quiet /etc/slurm/job
        until grep -q started /tmp/job.out 2>/dev/null; do sleep 0.1; done
        pgrep -ax sleep | cut -d ' ' -f 2-
        scancel --name in-a-root
        until [ -z \"$(squeue --noheader)\" ]; do sleep 0.1; done
        grep -m 1 asked /tmp/job.out
        pgrep -x sleep || echo nothing is left";
    let rootlet = format!("{}:/usr/local/bin/rootlet", rootlet_path().display());
    let root = format!("{}:/srv/root", root.name());
    let slurm = format!("{}:/etc/slurm", slurm.name());
    let ended = end(&mut node.run(&[
        "--unshare",
        "net",
        "--hostname",
        "node",
        "--ro",
        &rootlet,
        "--ro",
        &slurm,
        "-B",
        &root,
        "--overlay",
        "ROOT",
        "timeout",
        "120",
        "/etc/slurm/node",
        "sh",
        "-c",
        script,
    ]));
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(
        ended.stdout, "task 0 of 1\nstatus 3\n/bin/sleep 1000\nasked to end\nnothing is left\n",
        "{ended:?}"
    );
}
