//! Writes the manual page and the completions, for `scripts/man`.

#[path = "../src/cli/options/mod.rs"]
#[allow(dead_code, missing_docs, reason = "the help is made by build.rs")]
pub(crate) mod options;

use std::fs;
use std::path::Path;

use options::names::options;
use options::{Complete, Entry, Kind, ROLES, Role};

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let [_, version, directory] = &words[..] else {
        panic!("it needs a version and a directory");
    };
    let directory = Path::new(directory);
    let completions = directory.join("completions");
    for (path, text) in [
        (directory.join("rootlet.1"), page(version)),
        (completions.join("rootlet.bash"), bash()),
        (completions.join("_rootlet"), zsh()),
        (completions.join("rootlet.fish"), fish()),
    ] {
        fs::write(path, text).unwrap();
    }
}

fn long_names(entry: &Entry) -> impl Iterator<Item = &'static str> {
    [entry.name, entry.alias]
        .into_iter()
        .filter(|name| !name.is_empty())
}

/// The other names of the program, and the role of each.
const LINKS: [(&str, &str); 8] = [
    ("pychroot", "run"),
    ("rootlet-init", "init"),
    ("tini", "init"),
    ("tini-static", "init"),
    ("docker-init", "init"),
    ("dumb-init", "init"),
    ("catatonit", "init"),
    ("podman-init", "init"),
];

// The manual page, in the macros of man(7).

/// The date of the last change of the page's text.
const DATE: &str = "2026-11-29";

/// The end of the page, after the options.
const REST: &str = include_str!("man.end");

fn page(version: &str) -> String {
    let mut page = format!(
        ".TH ROOTLET 1 {DATE} \"rootlet {version}\" \"User Commands\"\n\
         .SH NAME\nrootlet \\- put a command into a new root directory and look after it there\n\
         .SH SYNOPSIS"
    );
    let usages = ROLES.into_iter().map(|role| role.usage);
    let usages = usages.chain(options::OTHER_USAGES).map(usage);
    page += &format!("\n{}\n", usages.collect::<Vec<_>>().join("\n.br\n"));
    page += &format!(".SH DESCRIPTION\n{}\n", text(options::ABOUT));
    for role in ROLES {
        page += &format!(".TP\n.B {}\n{}\n", role.name, sentence(role.line));
    }
    for role in ROLES {
        page += &format!(
            ".SH {}\n{}\n",
            role.usage.split(" [").next().unwrap().to_uppercase(),
            usage(role.usage)
        );
        page += &format!(".PP\n{}\n", text(role.about));
        if !role.paragraph.is_empty() {
            page += &format!(".PP\n{}\n", text(role.paragraph));
        }
        for section in role.sections {
            page += &format!(".SS {}\n", section.heading);
            for entry in section.entries {
                page += &described(section.kind, entry);
            }
            if !section.below.is_empty() {
                page += &format!(".PP\n{}\n", text(section.below));
            }
        }
        for paragraph in role.end.iter().filter(|end| **end != options::EXIT_STATUS) {
            page += &format!(".PP\n{}\n", text(paragraph));
        }
    }
    page + REST
}

/// Formats an entry: its names, its line as a sentence, its default, its paragraph.
fn described(kind: Kind, entry: &Entry) -> String {
    let value = match entry.value {
        "" => String::new(),
        value if kind == Kind::Words || value.starts_with('[') => italic(value),
        value => format!(" {}", italic(value)),
    };
    let names: Vec<String> = match kind {
        Kind::Words => vec![bold(entry.name)],
        Kind::Options => {
            let short = entry.short.chars().map(|short| format!("-{short}"));
            let long = long_names(entry).map(|name| format!("--{name}"));
            short.chain(long).map(|name| bold(&name)).collect()
        }
    };
    let mut said = format!(
        ".TP\n{}{value}\n{}\n",
        names.join(", "),
        sentence(entry.line)
    );
    if !entry.default.is_empty() {
        said += &format!("Default: {}.\n", text(entry.default));
    }
    if !entry.paragraph.is_empty() {
        said += &format!(".IP\n{}\n", text(entry.paragraph));
    }
    said
}

/// Sets the program in bold, and leaves placeholders unchanged.
fn usage(line: &str) -> String {
    let words = line
        .split(' ')
        .map(|word| match word.starts_with(char::is_lowercase) {
            true => bold(word),
            false => text(word),
        });
    words.collect::<Vec<_>>().join(" ")
}

fn bold(words: &str) -> String {
    format!("\\fB{}\\fR", text(words))
}

fn italic(words: &str) -> String {
    format!("\\fI{}\\fR", text(words))
}

/// Makes a sentence, with a capital letter and a full stop.
fn sentence(words: &str) -> String {
    let (first, rest) = words.split_at(1);
    text(&format!("{}{rest}.", first.to_uppercase()))
}

/// Escapes words for groff(7): a hyphen that is typed must not become a dash.
fn text(words: &str) -> String {
    let escaped = words
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('…', "...");
    filled(&escaped)
}

/// Escapes lines that begin with a control character.
fn filled(words: &str) -> String {
    let mut lines = vec![String::new()];
    for word in words.split(' ') {
        let last = lines.last_mut().unwrap();
        if last.is_empty() || last.len() + word.len() < 76 {
            *last += &format!("{word} ");
        } else {
            lines.push(format!("{word} "));
        }
    }
    let lines = lines
        .iter()
        .map(|line| match line.starts_with(['.', '\'']) {
            true => format!("\\&{}", line.trim_end()),
            false => String::from(line.trim_end()),
        });
    lines.collect::<Vec<_>>().join("\n")
}

// Completions. The first word, or the name under which rootlet is called, selects the role.

fn names_of(role: &Role) -> Vec<&'static str> {
    let names = LINKS.iter().filter(|(_, of)| *of == role.name);
    names.map(|(name, _)| *name).collect()
}

/// Returns all spellings of an option, with their hyphens.
pub(crate) fn spellings(entry: &Entry) -> Vec<String> {
    let short = entry.short.chars().map(|short| format!("-{short}"));
    short
        .chain(long_names(entry).map(|name| format!("--{name}")))
        .collect()
}

pub(crate) fn needs_value(entry: &Entry) -> bool {
    !entry.value.is_empty() && !entry.value.starts_with('[')
}

pub(crate) fn words_of_value(entry: &Entry) -> usize {
    entry.value.split_whitespace().count()
}

fn single_quoted(words: &str) -> String {
    format!("'{}'", words.replace('\'', "'\\''"))
}

const SIGNALS: &str = "HUP INT QUIT ABRT KILL USR1 USR2 ALRM TERM CONT STOP TSTP TTIN TTOU WINCH";

fn bash() -> String {
    let (mut roles, mut values) = (String::new(), String::new());
    for role in ROLES {
        let names = names_of(role).join(" | ");
        let all: Vec<String> = options(role).flat_map(spellings).collect();
        let with: Vec<String> = options(role)
            .filter(|entry| needs_value(entry))
            .flat_map(spellings)
            .collect();
        let pattern = if names.is_empty() {
            "'')".to_string()
        } else {
            format!("{names})")
        };
        roles += &format!(
            "        {}) options='{}' with_value=' {} ' ;;\n",
            role.name,
            all.join(" "),
            with.join(" ")
        );
        if !names.is_empty() {
            values = format!("{values}        {pattern} role={} next=1 ;;\n", role.name);
        }
    }
    let links = std::mem::take(&mut values);
    for entry in ROLES.into_iter().flat_map(options) {
        let spelled = spellings(entry).join(" | ");
        let offer = match entry.complete {
            Complete::Nothing => continue,
            Complete::Path => "compgen -f -- \"$value\"".to_string(),
            Complete::Directory => "compgen -d -- \"$value\"".to_string(),
            Complete::User => "compgen -u -- \"$value\"".to_string(),
            Complete::Signal => format!("compgen -W '{SIGNALS}' -- \"$value\""),
            Complete::Word(words) => format!("compgen -W '{}' -- \"$value\"", words.join(" ")),
            Complete::List(words) => format!(
                "compgen -P \"$before\" -W '{}' -- \"${{value##*,}}\"",
                words.join(" ")
            ),
        };
        let line = format!("        {spelled}) {offer} ;;\n");
        // Two roles may have the same option.
        if !values.contains(&line) {
            values += &line;
        }
    }
    let with_words: Vec<String> = ROLES
        .into_iter()
        .flat_map(options)
        .filter(|entry| words_of_value(entry) == 3)
        .flat_map(spellings)
        .collect();
    include_str!("completion.bash")
        .replace("@with_words@", &format!(" {} ", with_words.join(" ")))
        .replace("@links@\n", &links)
        .replace("@roles@\n", &roles)
        .replace("@values@\n", &values)
}

fn zsh() -> String {
    let mut text = String::from("#compdef rootlet");
    for (name, role) in LINKS {
        text += &format!(" {name}={role}");
    }
    text += "\n# zsh completion for rootlet\n\n";
    for role in ROLES {
        text += &format!("_rootlet_{}() {{\n    _arguments -s -S \\\n", role.name);
        for entry in options(role) {
            text += &format!("        {} \\\n", zsh_argument(entry));
        }
        text += match role.name {
            "run" => "        '1:NEWROOT:_directories' '*:::COMMAND:_normal'\n}\n\n",
            "init" => "        '(-)1:COMMAND:_command_names -e' '*::ARG:_normal'\n}\n\n",
            _ => "        '1: :'\n}\n\n",
        };
    }
    let roles: Vec<String> = ROLES
        .iter()
        .map(|role| single_quoted(&format!("{}:{}", role.name, role.about)))
        .collect();
    text + &include_str!("completion.zsh").replace("@roles@", &roles.join(" "))
}

fn zsh_argument(entry: &Entry) -> String {
    let said = entry
        .line
        .replace('[', "\\[")
        .replace(']', "\\]")
        .replace(':', "\\:");
    let action = match entry.complete {
        Complete::Nothing => " ".to_string(),
        Complete::Path => "_files".to_string(),
        Complete::Directory => "_directories".to_string(),
        Complete::User => "_users".to_string(),
        Complete::Signal => format!("({SIGNALS})"),
        Complete::Word(words) => format!("({})", words.join(" ")),
        Complete::List(words) => format!("_values -s , name {}", words.join(" ")),
    };
    let name = entry
        .value
        .replace('[', "\\[")
        .replace(']', "\\]")
        .replace(':', "\\:");
    let value = match entry.value.chars().next() {
        None => String::new(),
        Some('[') => format!("::{name}:{action}"),
        Some(_) if words_of_value(entry) > 1 => {
            let words = name.split(' ').enumerate();
            let action = |index| if index == 0 { &action[..] } else { " " };
            words
                .map(|(index, word)| format!(":{word}:{}", action(index)))
                .collect()
        }
        Some(_) => format!(":{name}:{action}"),
    };
    let mut spelled: Vec<String> = Vec::new();
    for name in spellings(entry) {
        let (long, value) = (name.starts_with("--"), entry.value.chars().next());
        spelled.push(match (long, value) {
            (true, Some('[')) => format!("{name}=-"),
            (true, Some(_)) => format!("{name}="),
            (false, Some(first)) if first != '[' => format!("{name}+"),
            _ => name,
        });
    }
    // Each spelling is separate, since a short one has no optional value.
    let arguments = spelled.iter().map(|name| {
        let value = if name.ends_with(['=', '-', '+']) {
            &value
        } else {
            ""
        };
        single_quoted(&format!("*{name}[{said}]{value}"))
    });
    arguments.collect::<Vec<_>>().join(" ")
}

fn fish() -> String {
    let mut text = String::from("# fish completion for rootlet\n\ncomplete -c rootlet -f\n");
    for role in ROLES {
        text += &format!(
            "complete -c rootlet -n __fish_use_subcommand -a {} -d {}\n",
            role.name,
            fish_quoted(role.about)
        );
    }
    text += "complete -c rootlet -n __fish_use_subcommand -a help -d 'List the options of a role'\n\
             complete -c rootlet -n __fish_use_subcommand -s h -l help -d 'Say what there is'\n\
             complete -c rootlet -n __fish_use_subcommand -s V -l version -d 'Print the version'\n\
             complete -c rootlet -n '__fish_seen_subcommand_from help' -a 'run init boot'\n";
    for role in ROLES {
        let here = format!(
            "complete -c rootlet -n '__fish_seen_subcommand_from {}'",
            role.name
        );
        for entry in options(role) {
            let mut line = here.clone();
            for short in entry.short.chars() {
                line += &format!(" -s {short}");
            }
            for name in long_names(entry) {
                line += &format!(" -l {name}");
            }
            line += &match (entry.value.chars().next(), &entry.complete) {
                (None, _) => String::new(),
                (Some('['), Complete::Word(words)) => format!(" -a '{}'", words.join(" ")),
                (_, Complete::Path) => " -r -F".to_string(),
                (_, Complete::Directory) => " -x -a '(__fish_complete_directories)'".to_string(),
                (_, Complete::User) => " -x -a '(__fish_complete_users)'".to_string(),
                (_, Complete::Signal) => format!(" -x -a '{SIGNALS}'"),
                (_, Complete::Word(words)) => format!(" -x -a '{}'", words.join(" ")),
                (_, Complete::List(words)) => {
                    format!(" -x -a '(__fish_append , {})'", words.join(" "))
                }
                (_, Complete::Nothing) => " -x".to_string(),
            };
            text += &format!("{line} -d {}\n", fish_quoted(entry.line));
        }
        if role.name != "boot" {
            text += &format!("{here} -F\n");
        }
        for name in names_of(role) {
            text += &format!("complete -c {name} -w 'rootlet {}'\n", role.name);
        }
    }
    text
}

fn fish_quoted(words: &str) -> String {
    format!("'{}'", words.replace('\\', "\\\\").replace('\'', "\\'"))
}
