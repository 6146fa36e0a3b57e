//! One error as nix prints it: its first line, its trace, its place, its advice.

use super::numbering::Renumber;
use crate::ansi::strip_line;
use crate::protocol::Seq;
use serde::{Deserialize, Serialize};

/// Most text kept of one error, in bytes; the beginning is kept.
const MAX_TEXT_BYTES: usize = 4096;

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
    /// A trace came before the innermost error.
    pub(super) has_trace: bool,
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
        if self.says_nothing_yet() && !text.is_empty() && !text.starts_with("error:") {
            self.push_behind_bare_error(text, seq);
        } else if text.starts_with("error:") {
            // What came before was the trace.
            self.has_trace = true;
            self.text.clear();
            self.left_out = 0;
            self.line = seq;
            self.keep(text);
        } else if text.starts_with("error (ignored):") {
            return;
        } else {
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

    /// The whole of it, with a count of what there was no room for.
    pub(super) fn text(&self) -> String {
        match self.left_out {
            0 => self.text.trim_end().to_owned(),
            count => format!("{}\n… and {count} more lines", self.text.trim_end()),
        }
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
        }
        summary
    }

    /// The failed assertions of a NixOS configuration: the first, and how many there are.
    fn failed_assertions(&self) -> Option<String> {
        let head = self.head().strip_prefix("error:")?.trim();
        if !head.starts_with("Failed assertions:") {
            return None;
        }
        let mut found = self
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("- "));
        let first = found.next()?.trim();
        let more = found.count() as u64 + self.left_out;
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

/// A line of source that nix shows below a place: `12| foo` or `| ^`.
fn is_excerpt(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.starts_with('|')
}
