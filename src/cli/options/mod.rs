//! The only table of options. `build.rs` generates the parser's tables and the help from it, and
//! `scripts/man` the manual page and the shell completions.

mod boot;
mod capabilities;
pub mod help;
mod init;
pub mod names;
pub mod pack;
mod root;
mod run;

/// The usages of rootlet without a role.
pub const OTHER_USAGES: [&str; 2] = ["rootlet help [ROLE]", "rootlet --version"];

/// One sentence about rootlet, for a binary with the role `run`.
pub const ABOUT: &str =
    "rootlet puts a command into a new root directory and looks after it there.";

/// The exit status of every role with a COMMAND.
pub const EXIT_STATUS: &str = "\
Exit status: COMMAND's own; 128+N when signal N killed it; 127 COMMAND not found, 126 found but not \
executable; 125 rootlet failed, and said why.";

/// All roles, in the order of the help.
pub const ROLES: [&Role; 3] = [&run::ROLE, &init::ROLE, &boot::ROLE];

/// A role.
pub struct Role {
    pub name: &'static str,
    /// The line after `Usage:`.
    pub usage: &'static str,
    /// The description in the overview.
    pub line: &'static str,
    /// The description at the top of the role's help.
    pub about: &'static str,
    pub sections: &'static [Section],
    /// The paragraphs at the end of its help.
    pub end: &'static [&'static str],
    /// A paragraph for the manual page only.
    pub paragraph: &'static str,
}

/// A heading, its entries, and a paragraph below them.
pub struct Section {
    pub heading: &'static str,
    pub kind: Kind,
    pub entries: &'static [Entry],
    pub below: &'static str,
}

/// The kind of entries in a section.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Options,
    /// Parameters of a kernel command line, or files.
    Words,
}

/// An option, or a parameter or file that is described in the same way.
pub struct Entry {
    /// The short names.
    pub short: &'static str,
    pub name: &'static str,
    /// A second long name.
    pub alias: &'static str,
    /// `VALUE`, `FIRST SECOND` for a value of several words, or `[=VALUE]` for an optional value, which
    /// must follow `=` and a long name.
    pub value: &'static str,
    pub default: &'static str,
    /// The description in the help.
    pub line: &'static str,
    /// More text for the manual page only.
    pub paragraph: &'static str,
    pub complete: Complete,
}

/// The completions that a shell offers for the value.
pub enum Complete {
    Nothing,
    /// A path of the host.
    Path,
    Directory,
    User,
    Signal,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Some of these words, separated by commas.
    List(&'static [&'static str]),
}

/// An empty option, for the fields that an entry leaves out.
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
    line: "print this help",
    ..OPTION
};

const VERSION: Entry = Entry {
    short: "V",
    name: "version",
    line: "print the version",
    ..OPTION
};
