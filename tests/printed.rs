//! Names that contain control sequences must not reach the terminal unescaped.

mod common;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use common::{Root, command, rootlet, rootlet_path, users};
use rustix::fs::{Mode, mkdirat};

/// `ESC [`, and other bytes that a terminal may take for it or for another control: C1 as a byte
/// and in UTF-8, DEL, a line separator, and a right-to-left override. The last letters contain
/// bytes of C1.
const NAME: &[u8] =
    b"a\x1b[31m\x9b31m\xc2\x9b31m\x7f\x80\xff\xe2\x80\xa8\xe2\x80\xae\n\xc3\x84\xc4\x9b";
const PRINTED: &str = "a\\x1b[31m\\x9b31m\\xc2\\x9b31m\\x7f\\x80\\xff\\xe2\\x80\\xa8\\xe2\\x80\\xae\
                       \\x0a\u{c4}\u{11b}";

fn with_name(before: &str, after: &str) -> OsString {
    OsString::from_vec([before.as_bytes(), NAME, after.as_bytes()].concat())
}

/// Checks that all lines consist of printable characters and that one shows the escaped name.
#[track_caller]
fn assert_printed(printed: &[u8]) {
    let text = String::from_utf8(printed.to_vec());
    let text = text.unwrap_or_else(|error| panic!("{}", error.utf8_error()));
    assert!(text.contains(PRINTED), "{text:?}");
    let is_control = |character: char| character.is_control() && character != '\n';
    assert!(!text.contains(is_control), "{text:?}");
    assert!(!text.contains(['\u{2028}', '\u{202e}']), "{text:?}");
}

#[test]
fn no_name_controls_the_terminal() {
    for user in users() {
        let root = Root::busybox(user);
        let source = root.path().join(OsStr::from_bytes(NAME));
        mkdirat(rustix::fs::CWD, &source, Mode::from_raw_mode(0o755)).unwrap();
        let missing = with_name("/no/such/", ":/x");
        // rootlet's own errors about the new root, a mount, a user, a command, a directory and an
        // option.
        for options in [
            vec![with_name("/no/such/", "")],
            vec!["-B".into(), missing.clone(), root.path().into()],
            vec!["-u".into(), with_name("", ""), root.path().into()],
            vec![root.path().into(), with_name("/no/", "")],
            vec!["-C".into(), with_name("/no/", ""), root.path().into()],
            vec![with_name("--", ""), root.path().into()],
        ] {
            let ended = rootlet(user).arg("run").args(&options).output().unwrap();
            assert!(ended.status.code() >= Some(125), "{ended:?}");
            assert_printed(&ended.stderr);
        }
        // The plan: each place that shows a name.
        let plan = rootlet(user)
            .args(["run", "--dry-run", "-E"])
            .arg(with_name("X=", ""))
            .arg("-B")
            .arg(with_name(&format!("{}/", root.name()), ":/x"))
            .arg("-B")
            .arg(with_name("/usr:/", ""))
            .arg(root.path())
            .arg("echo")
            .arg(with_name("", ""))
            .output()
            .unwrap();
        assert_eq!(plan.status.code(), Some(0), "{plan:?}");
        assert_printed(&plan.stdout);
        let plan = String::from_utf8(plan.stdout).unwrap();
        assert_eq!(plan.matches(PRINTED).count(), 4, "{plan}");
        // The log of each step, and a mount that is left out.
        let optional = with_name("/no/such/", ":/x:optional");
        let output = rootlet(user)
            .args(["run", "-v", "-B"])
            .arg(optional)
            .arg(root.path())
            .arg("true")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_printed(&output.stderr);
    }
}

#[test]
fn the_status_message_is_what_is_printed() {
    for user in users() {
        let mut shell = command(user, "sh");
        shell.args(["-c", "\"$0\" run --status-fd 1 \"$1\" true"]);
        let printed = shell
            .arg(rootlet_path())
            .arg(with_name("/no/such/", ""))
            .output()
            .unwrap();
        assert_printed(&printed.stderr);
        // In a JSON string, a backslash is doubled.
        let printed = String::from_utf8(printed.stdout).unwrap();
        let message = &printed[printed.find("\"message\":").unwrap()..];
        assert!(
            message.contains(&PRINTED.replace('\\', "\\\\")),
            "{printed}"
        );
    }
}

/// Escaped, a name is up to four times as long as a path may be.
#[test]
fn a_long_name_leaves_room_for_the_reason() {
    for user in users() {
        let root = Root::busybox(user);
        let component = format!("/{}", "\x01".repeat(250));
        let long = component.repeat(15);
        for (words, reason) in [
            (
                vec![long.clone(), "true".into()],
                "...: No such file or directory (ENOENT)\n",
            ),
            (
                vec![
                    format!("-B{long}:{long}"),
                    root.name().into(),
                    "true".into(),
                ],
                "...: No such file or directory (ENOENT)\n",
            ),
            (
                vec![format!("--chdir={long}"), root.name().into(), "true".into()],
                "...: No such file or directory (ENOENT)\n",
            ),
        ] {
            let ended = rootlet(user).arg("run").args(&words).output().unwrap();
            assert_eq!(ended.status.code(), Some(125), "{ended:?}");
            let text = String::from_utf8(ended.stderr).unwrap();
            assert!(text.starts_with("rootlet: cannot "), "{text}");
            assert!(
                text.lines().next().unwrap().ends_with(reason.trim_end()),
                "{text}"
            );
            assert!(text.ends_with('\n'), "{text}");
        }
    }
}
