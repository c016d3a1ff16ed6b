//! Plain English in everything that a person reads: pages, help, errors and comments. Sources are
//! short, so that each is about one idea.
//!
//! Each pattern is a list of words, `*` for any one word, and `^` for the start of a sentence. Beside it
//! stands what to write instead. A phrase that has to stay is an exception, with its reason.

#![allow(missing_docs)]

mod common;

use std::collections::HashSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{rootlet, succeed, users};

/// Patterns, and what to write instead.
const PATTERNS: &[(&str, &str)] = &[
    // How a sentence starts.
    (
        "^That",
        "the subject first: 'X does Y', 'Failures of X are reported'",
    ),
    ("^So that", "'This lets X do Y', or the reason first"),
    ("^So is", "'The same holds for X'"),
    ("^So are", "'The same holds for X'"),
    ("^So do", "'X does this too'"),
    ("^Whom", "a noun: 'the user that …'"),
    ("^Who", "a noun: 'the process that …'"),
    (
        "^What",
        "a noun: 'the mount points', 'the contents of …', 'the result'",
    ),
    ("^Not for", "'Only for X', 'X does not need this'"),
    ("^Nor", "a sentence of its own: 'X does not … either'"),
    ("^Of its", "the subject first: 'Part of X'"),
    ("^Of the", "the subject first: 'X of the Y'"),
    ("^Is told", "'is reported'"),
    ("^Telling", "'Output and diagnostics'"),
    // Phrases of the guide.
    ("let nothing be", "'make X read-only'"),
    ("do nothing (default", "'print the plan and exit'"),
    ("after how many seconds", "'with the time'"),
    (
        "say what to do",
        "what is missing: 'missing ROLE: run, init or boot'",
    ),
    ("what is missing", "a noun: 'missing mount points'"),
    (
        "it is gone",
        "what happened to it: 'the old root is unmounted'",
    ),
    ("none of ours", "'none of rootlet's', or what to do instead"),
    ("of ours", "'our'"),
    ("may no more", "'lost the right to'"),
    ("for whom", "a noun: 'the reader'"),
    ("by whom", "a noun, active voice"),
    ("to whom", "a noun"),
    ("for ever", "'indefinitely'"),
    ("forever", "'indefinitely'"),
    ("is told", "'is reported'"),
    ("are told", "'are reported'"),
    ("be told", "'be reported'"),
    ("was told", "'was reported'"),
    ("were told", "'were reported'"),
    ("been told", "'been reported'"),
    ("told from", "'distinguished from'"),
    ("tells of", "'reports'"),
    ("tell of", "'report'"),
    ("none of which", "'all optional', 'no X has to …'"),
    ("need be there", "'is optional'"),
    ("need be", "'has to be'"),
    // Words in an order that is not English, or that no engineer says.
    ("but for", "'except for'"),
    ("so many", "the number: 'at most N', 'COUNT of them'"),
    ("be had", "'is available', 'can be used'"),
    ("as * has it", "'like X', 'as in X'"),
    ("as * have it", "'like X', 'as in X'"),
    ("is to be", "'must be', 'will be'"),
    ("are to be", "'must be', 'will be'"),
    ("was to be", "'had to be'"),
    ("is not to", "'must not'"),
    ("are not to", "'must not'"),
    ("is to", "'must', 'will', 'should'"),
    ("nor that", "a sentence of its own"),
    ("takes the place of", "'replaces'"),
    ("take the place of", "'replace'"),
    ("took the place of", "'replaced'"),
    ("gives back", "'returns', 'frees'"),
    ("give back", "'return', 'free'"),
    ("given back", "'returned', 'freed'"),
    ("at last", "'finally', 'at the end'"),
    ("stands in", "'is in'"),
    ("stand in", "'are in'"),
    ("stands there", "'is there'"),
    ("stand there", "'are there'"),
    ("what stands", "a noun: 'the text'"),
    ("that stands", "'in', 'after'"),
    ("from where", "'the place that …'"),
    ("as one likes", "'any'"),
    ("by the book", "'in the usual form'"),
    ("shall", "'must', 'will'"),
    ("upon", "'on'"),
    ("has to do with", "'concerns'"),
    ("as it ought", "'correctly'"),
    ("whoever", "'a process that …', 'anyone who …'"),
    ("whomever", "a noun"),
    ("is none of", "'does not concern'"),
    ("knows nothing of", "'does not know'"),
    ("says nothing of", "'does not report'"),
    ("no sooner", "'not before'"),
    ("all the same", "'nevertheless', 'still'"),
    // Others that came back with changes.
    ("somebody else's", "'another process's'"),
    ("for the time of", "'for the duration of', 'during'"),
    ("as they are", "'unchanged'"),
    ("by which time", "'meanwhile'"),
    ("and gives the", "'and returns the'"),
    ("and gives its", "'and returns its'"),
    ("no longer be had", "'is not available any more'"),
    ("^Whoever", "'the process that', 'every run that'"),
    ("^Nobody's", "'belongs to no user'"),
    ("^The same,", "a verb: 'Leaves out …', 'Sets …'"),
];

/// Phrases that stay: the end of the file's path, the pattern, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// A word of a text.
struct Word {
    line: usize,
    text: String,
    starts_sentence: bool,
}

/// Words that belong together: a comment, a string, a paragraph.
#[derive(Default)]
struct Block {
    words: Vec<Word>,
    is_comment: bool,
}

impl Block {
    fn push(&mut self, line: usize, text: &str) {
        for word in text.split_whitespace() {
            let starts_sentence = self.words.last().is_none_or(|last| {
                let end = last.text.trim_end_matches(['"', '\'', ')', '`', '*']);
                end.ends_with(['.', '?', '!'])
            });
            self.words.push(Word {
                line,
                text: word.to_owned(),
                starts_sentence,
            });
        }
    }

    fn ends(self, blocks: &mut Vec<Block>) {
        if !self.words.is_empty() {
            blocks.push(self);
        }
    }
}

/// Text of which each paragraph is a block: Markdown, help, a manual page.
fn paragraphs(text: &str, is_comment: bool, first_line: usize) -> Vec<Block> {
    let (mut blocks, mut block) = (Vec::new(), Block::default());
    for (line, text) in (first_line..).zip(text.lines()) {
        let text = text.trim();
        let starts = ["- ", "* ", "|", "#", "```", "."];
        if text.is_empty() || starts.iter().any(|start| text.starts_with(start)) {
            std::mem::take(&mut block).ends(&mut blocks);
        }
        block.is_comment = is_comment;
        // A cell of a table is a paragraph too.
        for (index, cell) in text.split(" | ").enumerate() {
            if index > 0 {
                std::mem::take(&mut block).ends(&mut blocks);
                block.is_comment = is_comment;
            }
            block.push(line, cell.trim_start_matches(['-', '*', '#', '|']));
        }
    }
    block.ends(&mut blocks);
    blocks
}

/// Comments that each follow a mark, and everything else as paragraphs.
fn marked(text: &str, mark: &str) -> Vec<Block> {
    let (mut blocks, mut comment, mut other) = (Vec::new(), String::new(), String::new());
    let mut flush = |comment: &mut String, other: &mut String, next: usize| {
        for (text, is_comment) in [(comment, true), (other, false)] {
            let first = next - text.lines().count();
            blocks.extend(paragraphs(text, is_comment, first));
            text.clear();
        }
    };
    let mut last = 1;
    for (line, text) in (1..).zip(text.lines()) {
        let found = text.trim_start().strip_prefix(mark);
        match found.filter(|text| !text.starts_with('!')) {
            Some(text) => {
                if !other.is_empty() {
                    flush(&mut comment, &mut other, line);
                }
                comment += text.trim_start_matches('#');
                comment.push('\n');
            }
            None => {
                if !comment.is_empty() {
                    flush(&mut comment, &mut other, line);
                }
                other += text;
                other.push('\n');
            }
        }
        last = line + 1;
    }
    flush(&mut comment, &mut other, last);
    blocks
}

/// Comments and strings of Rust and C.
fn code(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let bytes = text.as_bytes();
    let line_at = |at: usize| 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
    let (mut at, mut comment, mut comment_line) = (0, String::new(), 0);
    while at < bytes.len() {
        let rest = &text[at..];
        if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            let body = rest[..length].trim_start_matches(['/', '!']);
            if comment.is_empty() {
                comment_line = line_at(at);
            }
            comment += body;
            comment.push('\n');
            at += length;
            // The next line goes on if nothing but blanks is in between, and is of the same kind.
            let next = text[at..].trim_start();
            let mark = |text: &str| {
                text.bytes()
                    .take_while(|byte| matches!(byte, b'/' | b'!'))
                    .count()
            };
            let gap = text[at..].len() - next.len();
            let is_same = next.starts_with("//") && mark(next) == mark(rest);
            if !is_same || text[at..at + gap].matches('\n').count() != 1 {
                blocks.extend(paragraphs(&comment, true, comment_line));
                comment.clear();
            } else {
                at += gap;
            }
        } else if rest.starts_with("/*") {
            let length = rest.find("*/").map_or(rest.len(), |end| end + 2);
            blocks.extend(paragraphs(&rest[2..length], true, line_at(at)));
            at += length;
        } else if let Some(length) = raw_string(rest) {
            let start = rest.find('"').map_or(0, |quote| quote + 1);
            blocks.extend(paragraphs(&rest[start..length], false, line_at(at)));
            at += length;
        } else if rest.starts_with('"') {
            let length = string(rest);
            let inner = rest[1..length].trim_end_matches('"').replace("\\\n", "\n");
            let inner = inner.replace("\\n", " ");
            blocks.extend(paragraphs(&inner, false, line_at(at)));
            at += length;
        } else if rest.starts_with('\'') {
            at += character(rest);
        } else {
            at += rest.chars().next().unwrap().len_utf8();
        }
    }
    blocks
}

/// The length of a raw string that starts here.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    let start = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - start.len() + start.find(&end)? + end.len())
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

/// The length of a character, or of the quote before a lifetime.
fn character(text: &str) -> usize {
    let inner = &text[1..];
    let length = match inner.strip_prefix('\\') {
        Some(escape) => escape
            .get(1..)
            .and_then(|rest| rest.find('\''))
            .map(|end| end + 3),
        None => inner.chars().next().map(char::len_utf8),
    };
    match length {
        Some(length) if inner[length.min(inner.len())..].starts_with('\'') => length + 2,
        Some(length) if inner.starts_with('\\') => length + 1,
        _ => 1,
    }
}

fn blocks_of(path: &Path, text: &str) -> Vec<Block> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("rs" | "c" | "h") => code(text),
        Some("md" | "end" | "txt" | "1") => paragraphs(text, false, 1),
        _ => marked(text, "#"),
    }
}

/// A word as it is compared.
fn plain(word: &str) -> &str {
    let word = word.trim_start_matches(['(', '"', '\'', '`', '[', '*', '_']);
    let word = word.strip_suffix("'s").unwrap_or(word);
    word.trim_end_matches([
        '.', ',', ';', ':', '!', '?', ')', '"', '\'', '`', ']', '*', '_',
    ])
}

/// The lines on which a block has the pattern.
fn find(block: &Block, pattern: &str) -> Vec<usize> {
    let (starts_sentence, pattern) = match pattern.strip_prefix('^') {
        Some(pattern) => (true, pattern),
        None => (false, pattern),
    };
    let wanted: Vec<&str> = pattern.split(' ').collect();
    let is_here = |window: &&[Word]| {
        let mut pairs = window.iter().zip(&wanted);
        (!starts_sentence || window[0].starts_sentence)
            && pairs.all(|(word, wanted)| match plain(&word.text) {
                _ if *wanted == "*" => true,
                word if starts_sentence => word == *wanted,
                word => word.eq_ignore_ascii_case(wanted),
            })
            // A phrase does not go on behind the end of a sentence.
            && window[1..].iter().all(|word| !word.starts_sentence)
    };
    let found = block.words.windows(wanted.len()).filter(is_here);
    found.map(|window| window[0].line).collect()
}

/// The lines on which a comment asks.
fn questions(block: &Block) -> Vec<usize> {
    let asks = |word: &&Word| {
        let before = word.text.strip_suffix('?');
        block.is_comment
            && before
                .is_some_and(|word| word.ends_with(|end: char| end.is_alphanumeric() || end == '`'))
    };
    block
        .words
        .iter()
        .filter(asks)
        .map(|word| word.line)
        .collect()
}

/// All files of the tree that people read.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    // This file holds the patterns.
    const LEFT: &[&str] = &["target", ".git", "seeds", "Cargo.lock", "prose.rs"];
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if LEFT.contains(&name) || path.is_symlink() {
        } else if path.is_dir() {
            files(&path, found);
        } else if !name.starts_with("LICENSE") {
            found.push(path);
        }
    }
}

/// Each text, with the name that a finding has.
fn texts() -> Vec<(String, Vec<Block>)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    files(top, &mut paths);
    let mut texts = Vec::new();
    for path in paths {
        // Pictures and other bytes are left out.
        let is_picture = path.extension().is_some_and(|extension| extension == "svg");
        if let (false, Ok(text)) = (is_picture, std::fs::read_to_string(&path)) {
            let name = path.strip_prefix(top).unwrap().to_str().unwrap();
            texts.push((name.to_owned(), blocks_of(&path, &text)));
        }
    }
    for role in ["run", "init", "boot"] {
        let help = succeed(rootlet(users()[0]).args(["help", role]));
        texts.push((format!("help {role}"), paragraphs(&help, false, 1)));
    }
    let made = tempfile::tempdir().unwrap();
    succeed(Command::new(top.join("scripts/man")).arg(made.path()));
    let mut paths = Vec::new();
    files(made.path(), &mut paths);
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(made.path()).unwrap().to_str().unwrap();
        texts.push((format!("made {name}"), blocks_of(&path, &text)));
    }
    texts
}

#[test]
fn prose_is_plain_english() {
    let mut unused: HashSet<_> = EXCEPTIONS.iter().collect();
    let (mut report, mut count) = (String::new(), 0);
    for (name, blocks) in texts() {
        let mut tell = |line: usize, pattern: &str, instead: &str| {
            let exception = EXCEPTIONS
                .iter()
                .find(|(end, excepted, _)| name.ends_with(end) && *excepted == pattern);
            match exception {
                Some(exception) => _ = unused.remove(exception),
                None => {
                    count += 1;
                    let pattern = pattern.trim_start_matches('^');
                    writeln!(report, "{name}:{line}: '{pattern}': write {instead}").unwrap();
                }
            }
        };
        for block in &blocks {
            for (pattern, instead) in PATTERNS {
                for line in find(block, pattern) {
                    tell(line, pattern, instead);
                }
            }
            for line in questions(block) {
                tell(line, "?", "a statement: 'Returns whether …'");
            }
        }
    }
    assert!(report.is_empty(), "{count} phrases\n{report}");
    assert!(unused.is_empty(), "exceptions without a case: {unused:?}");
}

/// The test finds what it looks for, wherever it is written.
/// The longest that a file may be, in lines.
const LONGEST: [(&str, usize); 2] = [("src", 450), ("tests", 600)];

#[test]
fn files_are_short() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut long = String::new();
    for (directory, longest) in LONGEST {
        let mut paths = Vec::new();
        files(&top.join(directory), &mut paths);
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
        for path in paths {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            if lines > longest {
                writeln!(long, "{}: {lines} lines, {longest} at most", path.display()).unwrap();
            }
        }
    }
    assert!(long.is_empty(), "split these by idea:\n{long}");
}

#[test]
fn patterns_are_found() {
    let source = "\
        //! Fine. That is\n//! not.\nfn f<'a>() { let q = ['\"', '\\'', b'\\\\']; // waits for\n// ever?\n\
        let s = r#\"is \"told\" \"#; let t = \"kept for \\\n   ever\"; }\n\
        /* Nothing is\n   told. */\n/// That\n\n/// What\n";
    let blocks = code(source);
    let lines = |pattern| {
        let mut lines: Vec<usize> = blocks
            .iter()
            .flat_map(|block| find(block, pattern))
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(lines("^That"), [1, 9]);
    assert_eq!(lines("^What"), [11]);
    assert_eq!(lines("for ever"), [3, 5]);
    assert_eq!(lines("is told"), [5, 7]);
    assert_eq!(lines("nothing * told"), [7]);
    assert_eq!(blocks.iter().flat_map(questions).collect::<Vec<_>>(), [4]);
    let blocks = marked("#!/bin/sh\n# It is\n# told.\necho 'no\n# That?\n", "#");
    assert_eq!(
        blocks
            .iter()
            .flat_map(|block| find(block, "is told"))
            .collect::<Vec<_>>(),
        [2]
    );
    assert_eq!(blocks.iter().flat_map(questions).collect::<Vec<_>>(), [5]);
    let page = paragraphs(
        "# What\n\n- for\n  ever\n- for\n- ever\n\n| a | is told |\n",
        false,
        1,
    );
    assert_eq!(
        page.iter()
            .flat_map(|block| find(block, "for ever"))
            .collect::<Vec<_>>(),
        [3]
    );
    assert_eq!(
        page.iter()
            .flat_map(|block| find(block, "is told"))
            .collect::<Vec<_>>(),
        [8]
    );
}
