//! The one table of options. `build.rs` makes the parser's tables and the help from it, and
//! `scripts/man` the manual page and the completions of shells: none is written twice.

mod boot;
mod capabilities;
pub mod help;
mod init;
pub mod names;
pub mod pack;
mod root;
mod run;

/// How rootlet is called without a role.
pub const OTHER_USAGES: [&str; 2] = ["rootlet help [ROLE]", "rootlet --version"];

/// What rootlet is, with the role `run`.
pub const ABOUT: &str =
    "rootlet puts a command into a new root directory and looks after it there.";

/// What its status says, in every role with a COMMAND.
pub const EXIT_STATUS: &str = "\
Exit status: COMMAND's own; 128+N when signal N killed it; 127 COMMAND not found, 126 found but not \
executable; 125 rootlet failed, and said why.";

/// All roles, in the order of the help.
pub const ROLES: [&Role; 3] = [&run::ROLE, &init::ROLE, &boot::ROLE];

/// A role.
pub struct Role {
    pub name: &'static str,
    /// How it is called.
    pub usage: &'static str,
    /// What it does, for the overview.
    pub line: &'static str,
    /// What it does, for its own help.
    pub about: &'static str,
    pub sections: &'static [Section],
    /// The last words of its help.
    pub end: &'static [&'static str],
    /// What only the manual page says.
    pub paragraph: &'static str,
}

/// A heading, its entries, and what is to be said below them.
pub struct Section {
    pub heading: &'static str,
    pub kind: Kind,
    pub entries: &'static [Entry],
    pub below: &'static str,
}

/// What the entries of a section are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Options,
    /// Parameters of a kernel command line, or files.
    Words,
}

/// An option, or a word that is told of in the same way.
pub struct Entry {
    /// The first is shown, others are taken too.
    pub short: &'static str,
    pub name: &'static str,
    /// Another long name.
    pub alias: &'static str,
    /// `VALUE`, or `[=VALUE]` for one that may be left out: it follows `=` then, and no short name;
    /// `FIRST SECOND` for several words.
    pub value: &'static str,
    pub default: &'static str,
    /// What the help says.
    pub line: &'static str,
    /// What only the manual page says.
    pub paragraph: &'static str,
    pub complete: Complete,
}

/// What a shell offers in the place of the value.
pub enum Complete {
    Nothing,
    /// A path of the host.
    Path,
    Directory,
    User,
    Signal,
    /// One of these.
    Word(&'static [&'static str]),
    /// Some of these, with commas.
    List(&'static [&'static str]),
}

/// An option of which nothing is said.
const OPTION: Entry = Entry {
    short: "",
    name: "",
    alias: "",
    value: "",
    default: "",
    line: "",
    paragraph: "",
    complete: Complete::Nothing,
};

const HELP: Entry = Entry {
    short: "h",
    name: "help",
    line: "print this",
    ..OPTION
};

const VERSION: Entry = Entry {
    short: "V",
    name: "version",
    line: "print the version",
    ..OPTION
};
