//! The products of the table of options: the parser, the help, the manual page, the completions.

#![allow(missing_docs)]

mod common;
#[path = "../scripts/man.rs"]
#[allow(dead_code)]
mod man;

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use common::{Root, User, command, end, rootlet, rootlet_path, succeed, users};
use man::options::{Complete, Entry, Kind, ROLES, Role};
use tempfile::TempDir;

/// Returns the output directory of `scripts/man`.
fn made() -> &'static Path {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/man");
        succeed(Command::new(script).arg(directory.path()));
        directory
    });
    directory.path()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(made().join(name)).unwrap()
}

fn entries() -> impl Iterator<Item = (&'static Role, Kind, &'static Entry)> {
    ROLES.into_iter().flat_map(|role| {
        let of_section = move |section: &'static man::options::Section| {
            let entries = section.entries.iter();
            entries.map(move |entry| (role, section.kind, entry))
        };
        role.sections.iter().flat_map(of_section)
    })
}

fn options() -> impl Iterator<Item = (&'static Role, &'static Entry)> {
    entries().filter_map(|(role, kind, entry)| (kind == Kind::Options).then_some((role, entry)))
}

/// A value that the option takes.
fn value(entry: &Entry) -> &'static str {
    match (entry.complete.first_word(), entry.value) {
        (Some(word), _) => word,
        (None, "OLD:NEW") => "TERM:INT",
        (None, "SIGNAL") => "TERM",
        // Standard input, which is empty here.
        (None, "N") => "0",
        (None, _) => "1",
    }
}

impl Complete {
    fn first_word(&self) -> Option<&'static str> {
        match self {
            Complete::Word(words) | Complete::List(words) => Some(words[0]),
            _ => None,
        }
    }
}

#[test]
fn the_parser_takes_every_option_of_the_table() {
    for (role, entry) in options() {
        for name in man::spellings(entry) {
            let mut command = rootlet(users()[0]);
            command.args([role.name, &name]);
            for _ in 0..man::words_of_value(entry) {
                if man::needs_value(entry) {
                    command.arg(value(entry));
                }
            }
            succeed(command.arg("--help"));
            if name.starts_with("--") {
                let attached = format!("{name}={}", value(entry));
                let ended = end(rootlet(users()[0]).args([role.name, &attached, "--help"]));
                let is_wrong = ended.stderr.contains("takes no value");
                assert_eq!(
                    entry.value.is_empty(),
                    is_wrong,
                    "{attached} {}",
                    ended.stderr
                );
            }
        }
    }
}

#[test]
fn the_help_the_page_and_the_completions_name_every_option() {
    let page = read("rootlet.1").replace('\\', "");
    let files = ["rootlet.bash", "_rootlet", "rootlet.fish"]
        .map(|name| read(&format!("completions/{name}")));
    let [bash, zsh, fish] = &files;
    for (role, kind, entry) in entries() {
        let help = succeed(rootlet(users()[0]).args(["help", role.name]));
        assert!(help.lines().all(|line| line.len() < 80), "{help}");
        assert!(!entry.line.is_empty(), "{}", entry.name);
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(one_line(&help).contains(entry.line), "{}", entry.line);
        assert!(help.contains(entry.name), "{}", entry.name);
        assert!(page.contains(entry.name), "{}", entry.name);
        assert!(
            one_line(&page).contains(entry.paragraph.trim_start_matches('{')),
            "{}",
            entry.paragraph
        );
        if kind == Kind::Options {
            for name in man::spellings(entry) {
                assert!(help.contains(&name), "{name}");
                assert!(page.contains(&name), "{name}");
                assert!(bash.contains(&name), "{name}");
                assert!(zsh.contains(&format!("'*{name}")), "{name}");
                let in_fish = match name.strip_prefix("--") {
                    Some(long) => format!(" -l {long} "),
                    None => format!(" -s {} ", &name[1..]),
                };
                assert!(fish.contains(&in_fish), "{name}");
            }
        }
    }
}

/// A flag is off by default, and needs no words for that. Literal values are never capitalised.
#[test]
fn only_what_takes_a_value_has_a_default() {
    for (role, entry) in options() {
        let what = format!("{} {}: {}", role.name, entry.name, entry.default);
        if entry.value.is_empty() {
            assert_eq!(entry.default, "", "{what}");
        }
        assert!(!entry.line.starts_with(char::is_uppercase), "{what}");
    }
}

#[test]
fn the_manual_page_is_clean() {
    let mut man = Command::new("man");
    let page = made().join("rootlet.1");
    man.env("LC_ALL", "C.UTF-8")
        .env("MANWIDTH", "80")
        .args(["--warnings", "-l"]);
    let shown = succeed(man.arg(&page));
    assert!(
        shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
    // Newer groff warns of a line that one long word fills.
    let long = |word: &&str| word.len() > 60;
    assert_eq!(read("rootlet.1").split_whitespace().find(long), None);
    assert!(shown.contains("-B, --bind SRC[:DEST[:OPT,...]]"), "{shown}");
    assert_eq!(succeed(Command::new("mandoc").arg("-Tlint").arg(&page)), "");
}

/// The examples of the manual page, in their order, as a shell reads them.
fn examples() -> Vec<String> {
    let page = read("rootlet.1");
    let section = page.split("\n.SH EXAMPLES\n").nth(1).unwrap();
    let section = section.split("\n.SH ").next().unwrap();
    let blocks = section.split("\n.nf\n").skip(1);
    let commands = blocks.map(|block| block.split("\n.fi").next().unwrap());
    commands
        .map(|command| command.replace("\\-", "-").replace("\\e", "\\"))
        .collect()
}

#[test]
fn the_examples_of_the_manual_page_run() {
    let examples = examples();
    assert!(examples.len() >= 6, "{examples:?}");
    for user in users() {
        let place = Root::empty(user);
        let root = place.directory("root/bin").with_file_name("");
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        for name in ["sh", "cp", "touch", "ls"] {
            place.symlink(&format!("root/bin/{name}"), "busybox");
        }
        // It leaves traces where it may write, which must not last.
        place.script(
            "root/bin/make",
            "#!/bin/sh\ntouch /trace; test ! -d /src || touch /src/built\n",
        );
        place.file("data/input", "data\n");
        place.script("program", "#!/bin/sh\necho \"pid $$\"\n");
        let programs = place.directory("programs");
        std::os::unix::fs::symlink(rootlet_path(), programs.join("rootlet")).unwrap();
        let path = format!("{}:/usr/bin:/bin", programs.display());
        for example in &examples {
            if user != User::Root && example.contains("--private-users") {
                continue;
            }
            let mut bash = command(user, "bash");
            bash.args(["-euo", "pipefail", "-c", example])
                .env("PATH", &path)
                .current_dir(place.path());
            let ended = end(&mut bash);
            assert_eq!(ended.status, 0, "{example}\n{ended:?}");
            let printed = ended.stdout;
            if example.contains("--overlay") {
                assert!(place.path().join("built").exists());
                assert!(!root.join("trace").exists());
            }
            for (words, expected) in [
                ("--dry-run", "new root   root\n"),
                ("tiny", "0 in /bin /dev /etc /proc /sys\n"),
                ("init", "pid "),
            ] {
                if example.contains(&format!(" {words} ")) {
                    assert!(printed.starts_with(expected), "{example}\n{printed}");
                }
            }
        }
        assert!(
            std::fs::metadata(place.path().join("initramfs.cpio"))
                .unwrap()
                .len()
                > 1000
        );
    }
}

/// The completions of each shell for these words, the last of which is completed.
const COMPLETED: &[(&[&str], &str, &str)] = &[
    (&["rootlet"], "i", "init"),
    (&["rootlet", "run"], "--no-n", "--no-new-privs"),
    (
        &["rootlet", "run", "--overlay", "-C", "/"],
        "--no-m",
        "--no-mounts",
    ),
    (&["rootlet", "run", "--dev"], "m", "minimal"),
    (
        &["rootlet", "run", "--mount", "/a", "/b", "ro"],
        "--no-m",
        "--no-mounts",
    ),
    (&["rootlet", "init"], "--gra", "--grace"),
    (&["pychroot"], "--hostn", "--hostname"),
    (&["tini", "-g"], "--exp", "--expect"),
];

#[test]
fn bash_completes() {
    let file = made().join("completions/rootlet.bash");
    let script = r#"
        . "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _rootlet; printf '%s\n' "${COMPREPLY[@]}""#;
    let complete = |words: &[&str]| {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-euc", script, "bash"]).arg(&file);
        let mut lines: Vec<String> = succeed(bash.args(words))
            .lines()
            .map(String::from)
            .collect();
        lines.sort();
        lines
    };
    for (before, part, whole) in COMPLETED {
        assert_eq!(
            complete(&[before, &[*part][..]].concat()),
            [*whole],
            "{before:?}"
        );
    }
    // As bash splits `--dev=m` and `--bind /usr/b:/x`.
    assert_eq!(
        complete(&["rootlet", "run", "--dev", "=", "m"]),
        ["minimal"]
    );
    assert_eq!(
        complete(&["rootlet", "run", "--dev", "="]),
        ["host", "minimal"]
    );
    assert_eq!(
        complete(&["rootlet", "run", "-B", "/usr", ":", "/x", "--no-n"]),
        ["--no-new-privs"]
    );
    assert_eq!(
        complete(&["rootlet", "run", "--unshare", "net,ti"]),
        ["net,time"]
    );
    assert_eq!(complete(&["rootlet", "run", "/us"]), ["/usr"]);
    assert_eq!(complete(&["rootlet", "run", "@/us"]), ["@/usr"]);
    assert_eq!(
        complete(&["rootlet", "run", "@/x", "--no-n"]),
        ["--no-new-privs"]
    );
    // After NEWROOT no option is ours.
    assert_eq!(complete(&["rootlet", "run", "/usr", "--no-n"]), [""]);
}

#[test]
fn fish_completes() {
    let home = tempfile::tempdir().unwrap();
    let file = made().join("completions/rootlet.fish");
    for (before, part, whole) in COMPLETED {
        let line = format!("{} {part}", before.join(" "));
        let mut fish = Command::new("fish");
        fish.env("HOME", home.path()).arg("--no-config").arg("-c");
        let shown = succeed(
            fish.arg("source $argv[1]; complete -C $argv[2]")
                .arg(&file)
                .arg(&line),
        );
        // Each with what is said of it.
        let shown: Vec<&str> = shown
            .lines()
            .map(|line| line.split('\t').next().unwrap())
            .collect();
        assert_eq!(shown, [*whole], "{line}");
    }
}

/// zsh completes only on a terminal: the line is finished there, and run.
#[test]
fn zsh_completes() {
    let script = r#"
        zmodload zsh/zpty
        zpty z zsh -f -i
        zpty -w z "PS1=; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D"
        zpty -w z 'unset zle_bracketed_paste; setopt noautolist nolistbeep'
        zpty -w z 'for name in rootlet pychroot tini; do functions[$name]="print -r -- GOT \$0 \$* END"; done'
        zpty -w z 'print REA''DY'
        zpty -r -m z text '*READY*'
        shift
        for line; do
            zpty -w -n z "$line"$'\t\n'
            zpty -r -m z text '*GOT*END*'
            print -r -- "${${text##*GOT }%% END*}"
        done
        zpty -d z"#;
    let mut zsh = Command::new("zsh");
    zsh.env("TERM", "dumb").args(["-fc", script, "zsh"]);
    zsh.arg(made().join("completions"));
    zsh.args(
        COMPLETED
            .iter()
            .map(|(before, part, _)| format!("{} {part}", before.join(" "))),
    );
    let whole = COMPLETED
        .iter()
        .map(|(before, _, whole)| format!("{} {whole}", before.join(" ")));
    let shown = succeed(&mut zsh);
    let shown: Vec<&str> = shown.lines().map(str::trim_end).collect();
    assert_eq!(shown, whole.collect::<Vec<_>>());
}
