//! A binary built with some of the roles does not mention the others.

#![allow(missing_docs)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{end, succeed};

/// Builds rootlet with only these roles. Returns for each command line its standard output and
/// standard error.
fn output(roles: &str, words: &[&[&str]]) -> Vec<(String, String)> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("roles");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args([
            "build",
            "--locked",
            "--offline",
            "--quiet",
            "--bin",
            "rootlet",
        ])
        .args(["--no-default-features", "--features", roles])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    succeed(&mut cargo);
    let binary = target.join("debug/rootlet");
    let output = words.iter().map(|words| {
        let ended = end(Command::new(&binary).args(*words).env_clear());
        (ended.stdout, ended.stderr)
    });
    output.collect()
}

/// One test covers all builds, because two builds in one directory would wait for each other.
#[test]
fn a_binary_advertises_only_the_roles_it_has() {
    for (roles, has, lacks) in [
        ("init", &["init"][..], &["run", "boot"][..]),
        ("run", &["run"], &["init", "boot"]),
        ("boot", &["boot"], &["run", "init"]),
        ("init,boot", &["init", "boot"], &["run"]),
    ] {
        let listed = has.join(" or ");
        let mut words: Vec<Vec<&str>> = ["", "help", "nosuch", "-x", "--help nosuch"]
            .iter()
            .map(|words| words.split_whitespace().collect())
            .collect();
        words.extend([lacks[0], lacks[lacks.len() - 1]].map(|role| vec![role, "/"]));
        words.extend(has.iter().map(|role| vec![*role, "--help"]));
        words.extend(has.iter().map(|role| vec![*role, "--nosuch"]));
        if has.contains(&"init") {
            words.extend([vec!["init"], vec!["init", "-x"], vec!["init", "--", "-x"]]);
            words.push(vec!["init", "--", "/no/such/program"]);
        }
        let words: Vec<&[&str]> = words.iter().map(Vec::as_slice).collect();
        let output = output(roles, &words);
        assert_eq!(
            output[0].1.lines().next().unwrap(),
            format!("rootlet: missing ROLE: {listed}")
        );
        for (words, (stdout, stderr)) in words.iter().zip(&output) {
            let what = format!("{roles} {words:?}: {stdout}{stderr}");
            assert!(stderr.lines().count() <= 2, "{what}");
            for role in lacks {
                for way in [format!("rootlet {role}"), format!("help {role}")] {
                    assert!(!stdout.contains(&way) && !stderr.contains(&way), "{what}");
                }
            }
            let of_run = stdout.contains("NEWROOT") || stderr.contains("NEWROOT");
            assert!(has.contains(&"run") || !of_run, "{what}");
            if lacks.contains(words.first().unwrap_or(&"")) {
                let line = format!(
                    "rootlet: '{}' is not a role of this rootlet: {listed}",
                    words[0]
                );
                assert_eq!(stderr.lines().next(), Some(line.as_str()));
            }
        }
    }
}
