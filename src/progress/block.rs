//! One error as nix prints it: its first line, its trace, its place, its advice.

use super::numbering::Renumber;
use crate::ansi::strip_line;
use crate::protocol::Seq;
use serde::{Deserialize, Serialize};

/// Most text kept of one error, in bytes; the beginning is kept.
const MAX_TEXT_BYTES: usize = 4096;

/// Most lines behind a head that announces them which are part of the summary.
const MAX_ANNOUNCED: usize = 2;

/// What nix says of an error before a builder runs.
const SETTING_UP: &str = "while setting up the build environment";

/// An error and the lines of the log that it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Block {
    /// Its first line.
    pub(super) from: Seq,
    /// Its last line.
    pub(super) to: Seq,
    /// The line that says what is wrong: that of the innermost error, behind the trace.
    pub(super) line: Seq,
    /// The innermost error, without escapes and without the trace before it.
    text: String,
    /// How many of its lines there was no room for.
    left_out: u64,
    /// How many of those lines begin an item of a list.
    #[serde(default)]
    items_left_out: u64,
    /// A trace came before the innermost error.
    pub(super) has_trace: bool,
    /// The trace says that the place where a builder runs was being made.
    #[serde(default)]
    is_of_sandbox: bool,
    /// nix went on after it.
    #[serde(default)]
    pub(super) is_survived: bool,
}

impl Block {
    /// The error that begins with this line.
    pub(super) fn new(line: &str, seq: Seq) -> Self {
        let mut block = Self {
            from: seq,
            to: seq,
            line: seq,
            ..Self::default()
        };
        block.keep(line.trim());
        block
    }

    /// Adds a line that belongs to it.
    pub(super) fn push(&mut self, line: &str, seq: Seq) {
        let line = strip_line(line);
        let text = line.trim();
        self.is_of_sandbox |= text.contains(SETTING_UP);
        if self.says_nothing_yet() && !text.is_empty() && !text.starts_with("error:") {
            self.push_behind_bare_error(text, seq);
        } else if text.starts_with("error:") {
            // What came before was the trace.
            self.has_trace = true;
            self.text.clear();
            self.left_out = 0;
            self.items_left_out = 0;
            self.line = seq;
            self.keep(text);
        } else if text.starts_with("error (ignored):") {
            return;
        } else {
            if text.starts_with("- ") && self.announces() {
                self.line = seq;
            }
            self.keep(line.trim_end());
        }
        if !text.is_empty() {
            self.to = seq;
        }
    }

    /// A line behind `error:` alone: a part of the trace, or what is wrong.
    fn push_behind_bare_error(&mut self, text: &str, seq: Seq) {
        let is_trace = text.starts_with('…') || text.starts_with("at ") || is_excerpt(text);
        if is_trace {
            self.has_trace = true;
        } else if text.chars().any(char::is_alphanumeric) {
            self.line = seq;
            self.text = format!("error: {text}");
        }
    }

    /// Whether it is about the place where a builder was to run.
    pub(super) fn is_of_sandbox(&self) -> bool {
        self.is_of_sandbox || self.head().contains(SETTING_UP) || self.head().contains("sandbox")
    }

    /// Whether it is a head alone so far that says what kind of things follow, and not which.
    fn announces(&self) -> bool {
        self.text.ends_with(':') && !self.text.contains('\n')
    }

    fn says_nothing_yet(&self) -> bool {
        self.text == "error:"
    }

    fn keep(&mut self, line: &str) {
        if self.text.len() + line.len() >= MAX_TEXT_BYTES {
            let is_first = self.text.is_empty();
            if is_first {
                let end = line.floor_char_boundary(MAX_TEXT_BYTES);
                self.text.push_str(&line[..end]);
            } else {
                self.left_out += u64::from(!line.trim().is_empty());
                self.items_left_out += u64::from(item(line).is_some());
            }
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(line);
    }

    /// Whether it says anything at all.
    pub(super) fn is_empty(&self) -> bool {
        self.says_nothing_yet()
    }

    /// Its lines, the first one beginning with `error:`.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// `error: Cannot build '….drv'.`, without what nix puts behind it for the eye.
    pub(super) fn head(&self) -> &str {
        let head = self.lines().next().unwrap_or_default();
        head.trim_end_matches(';')
    }

    /// What is wrong, with the last of its causes, of an error that lists them: `Error: …`, `Caused by:`, `0: …`.
    pub(super) fn with_cause(&self) -> String {
        let head = self.head().trim_start_matches("Error: ");
        let last = self.lines().skip(1).map(str::trim);
        let last = last.filter(|line| !line.is_empty() && *line != "Caused by:");
        match last.last() {
            Some(cause) => format!("{head}: {}", without_number(cause)),
            None => head.to_owned(),
        }
    }

    /// The text behind `start` of the first line that begins so.
    pub(super) fn line_behind(&self, start: &str) -> Option<&str> {
        self.lines()
            .find_map(|line| line.trim_start().strip_prefix(start))
            .map(str::trim)
    }

    /// `/etc/nixos/configuration.nix:3:5`, where it is.
    pub(super) fn place(&self) -> Option<&str> {
        let place = self.line_behind("at ")?;
        place.strip_suffix(':')
    }

    /// Its lines, as far as there was room for them.
    pub(super) fn text(&self) -> &str {
        self.text.trim_end()
    }

    /// How many lines [`Self::text`] lacks; empty ones do not count.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What is wrong, on one line: the first line with its reason and its place.
    pub(super) fn summary(&self) -> String {
        let head = self.head();
        if let Some(assertions) = self.failed_assertions() {
            return assertions;
        }
        let mut summary = head.to_owned();
        if let Some(reason) = self.line_behind("Reason:") {
            summary.push_str(" Reason: ");
            summary.push_str(reason);
        }
        if let Some(place) = self.place() {
            summary.push_str(" at ");
            summary.push_str(place);
        } else if let Some(said) = self.server_said() {
            summary.push_str(": ");
            summary.push_str(said);
        } else if head.ends_with(':') {
            for (count, line) in self.announced().enumerate() {
                summary.push_str(if count == 0 { " " } else { "; " });
                summary.push_str(line);
            }
        }
        summary
    }

    /// `API rate limit exceeded` of the JSON with which a server answered.
    fn server_said(&self) -> Option<&str> {
        let answer = self.line_behind("{\"message\":\"")?;
        answer.split('"').next().filter(|said| !said.is_empty())
    }

    /// The lines behind a head that ends with a colon: a list, or names with their values.
    fn announced(&self) -> impl Iterator<Item = &str> {
        let mut lines = self.lines().skip(1).map(str::trim).peekable();
        let is_list = lines.peek().is_some_and(|line| line.starts_with("- "));
        lines
            .filter(move |line| !line.is_empty() && (!is_list || line.starts_with("- ")))
            .take(MAX_ANNOUNCED)
            .map(|line| line.trim_start_matches("- ").trim_end_matches(':'))
    }

    /// The failed assertions of a NixOS configuration: the first, and how many there are.
    fn failed_assertions(&self) -> Option<String> {
        let head = self.head().strip_prefix("error:")?.trim();
        if !head.starts_with("Failed assertions:") {
            return None;
        }
        let mut found = self.lines().filter_map(item);
        let first = found.next()?.trim();
        let more = found.count() as u64 + self.items_left_out;
        Some(match more {
            0 => format!("error: Failed assertion: {first}"),
            more => format!(
                "error: {} failed assertions: {first} (and {more} more)",
                more + 1
            ),
        })
    }

    /// Gives its lines the numbers that they got in the log.
    pub(super) fn renumber(&mut self, renumber: Renumber) {
        for seq in [&mut self.from, &mut self.to, &mut self.line] {
            renumber.apply(seq);
        }
    }
}

/// The text of a line that begins an item of a list: `one` of `- one`.
fn item(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("- ")
}

/// `No such file` of `1: No such file`.
fn without_number(cause: &str) -> &str {
    match cause.split_once(": ") {
        Some((number, text)) if number.bytes().all(|byte| byte.is_ascii_digit()) => text,
        _ => cause,
    }
}

/// A line of source that nix shows below a place: `12| foo` or `| ^`.
fn is_excerpt(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.starts_with('|')
}
