//! The command line: options into the library's structs, and help.

#[cfg(feature = "boot")]
pub(crate) mod boot;
mod help;
#[cfg(feature = "init")]
pub(crate) mod init;
mod options;
mod parse;
#[cfg(feature = "run")]
pub(crate) mod run;
#[cfg(feature = "init")]
pub(crate) mod says;

use rootlet::sys::{BorrowedFd, fs::write_all};
use rootlet::{Error, Step};

use crate::cli::options::Id;

const VERSION: &str = concat!("rootlet ", env!("CARGO_PKG_VERSION"), "\n");

const OVERVIEW: &str = "\
Usage: rootlet run [OPTION]... NEWROOT [COMMAND [ARG]...]
       rootlet init [OPTION]... [--] COMMAND [ARG]...
       rootlet boot
       rootlet help [ROLE]
       rootlet --version

rootlet puts a command into a new root directory and looks after it there.

  run     run COMMAND in the directory NEWROOT, in new mount, UTS, IPC and pid
          namespaces, with /dev, /proc, /sys and the host's name servers;
          a link to rootlet called 'pychroot' does the same
  init    run COMMAND as pid 1 of a container should: pass on signals, reap
          orphans, end with COMMAND's status; a link to rootlet called 'tini',
          'docker-init', 'dumb-init' or 'catatonit' takes that program's place
  boot    as /init of an initramfs, enter the file system that root= names, or
          run one command and end the machine; 'init' as a name does the same

'rootlet help run', 'help init' and 'help boot' list the options.

Exit status: COMMAND's own; 128+N when signal N killed it; 127 COMMAND not
found, 126 found but not executable; 125 rootlet failed, and said why.
";

#[cfg(not(all(feature = "run", feature = "init", feature = "boot")))]
const LEFT_OUT: &str = "this rootlet was built without that role";

/// What rootlet does without a role.
pub(crate) fn overview(arguments: &[&[u8]]) -> Result<u8, Error<'static>> {
    let wrong = |word: &[u8], why| Err(Error::because(Step::Usage, word, why));
    match arguments {
        [] => wrong(b"rootlet", "say what to do, such as: rootlet run NEWROOT"),
        [b"--help" | b"-h" | b"help"] => print(OVERVIEW.as_bytes()),
        #[cfg(not(feature = "run"))]
        [word @ b"run", ..] | [b"help", word @ b"run"] => wrong(word, LEFT_OUT),
        #[cfg(feature = "run")]
        [b"help", b"run"] => print(&help::help(&options::RUN)),
        #[cfg(not(feature = "boot"))]
        [word @ b"boot", ..] | [b"help", word @ b"boot"] => wrong(word, LEFT_OUT),
        #[cfg(feature = "boot")]
        [b"help", b"boot"] => print(&help::help(&options::BOOT)),
        #[cfg(not(feature = "init"))]
        [word @ b"init", ..] | [b"help", word @ b"init"] => wrong(word, LEFT_OUT),
        #[cfg(feature = "init")]
        [b"help", b"init"] => print(&help::help(&options::INIT)),
        [b"--version" | b"-V"] => print(VERSION.as_bytes()),
        [b"help", word, ..] => wrong(word, "there is no such role"),
        [word, ..] if word.starts_with(b"-") => wrong(
            word,
            "options come after the role: rootlet run [OPTION]... NEWROOT",
        ),
        [word, ..] => wrong(word, "the role comes first: rootlet run NEWROOT [COMMAND]"),
    }
}

/// Standard output that is closed or full is an error, or a script would take nothing for help.
fn print(text: &[u8]) -> Result<u8, Error<'static>> {
    print_to(BorrowedFd::STDOUT, text)
}

fn print_to(stream: BorrowedFd, text: &[u8]) -> Result<u8, Error<'static>> {
    match write_all(stream, text) {
        Ok(()) => Ok(0),
        Err(_) => Err(Error::because(
            Step::Usage,
            b"standard output",
            "it cannot be written to",
        )),
    }
}
