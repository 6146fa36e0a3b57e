//! Texts for messages: without escapes, bounded.

use super::{Known, Line};
use crate::ansi::strip_line;
use crate::protocol::Seq;
use std::collections::VecDeque;
use std::ops::Range;

/// Longest summary of a cause, in bytes.
const MAX_SUMMARY_BYTES: usize = 600;

/// How far back the last lines of something are looked for, in lines of the log.
const MAX_LOOK_BACK: Seq = 100_000;

/// A text on one line, without escapes and control characters, cut where it is too long.
pub(super) fn one_line(text: &str) -> String {
    let plain = strip_line(text);
    let mut line = String::with_capacity(plain.len().min(MAX_SUMMARY_BYTES));
    for c in plain.trim().chars() {
        if line.len() + c.len_utf8() > MAX_SUMMARY_BYTES {
            line.push('…');
            break;
        }
        let is_space = c.is_control() || c == ' ';
        if !is_space {
            line.push(c);
        } else if !line.ends_with(' ') {
            line.push(' ');
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// The last lines of something, with their numbers.
#[derive(Debug)]
pub(super) struct Tail {
    lines: VecDeque<(Seq, String)>,
    most: usize,
}

impl Tail {
    /// Reads the last `most` lines of a range that `wanted` takes; it gives the part of the line that counts.
    pub(super) fn read(
        known: Known<'_>,
        range: Range<Seq>,
        most: usize,
        wanted: impl for<'l> Fn(Line<'l>) -> Option<&'l str>,
    ) -> Self {
        let mut tail = Self {
            lines: VecDeque::new(),
            most,
        };
        let from = range.start.max(range.end.saturating_sub(MAX_LOOK_BACK));
        known.output.lines(from..range.end, &mut |line| {
            if let Some(text) = wanted(line) {
                tail.push(line.seq, text);
            }
        });
        tail
    }

    /// Those of the lines whose text is wanted.
    pub(super) fn filter(&self, wanted: impl Fn(&str) -> bool) -> Self {
        self.filter_lines(|_, text| wanted(text))
    }

    /// Those of the lines that are wanted by number and text.
    pub(super) fn filter_lines(&self, wanted: impl Fn(Seq, &str) -> bool) -> Self {
        let lines = self.lines.iter().filter(|(seq, text)| wanted(*seq, text));
        Self {
            lines: lines.cloned().collect(),
            most: self.most,
        }
    }

    fn push(&mut self, seq: Seq, text: &str) {
        const MAX_LINE: usize = 1024;
        if self.lines.len() == self.most {
            self.lines.pop_front();
        }
        let text = &text[..text.floor_char_boundary(MAX_LINE)];
        self.lines.push_back((seq, strip_line(text).into_owned()));
    }

    /// The line that says most: its number and its text.
    pub(super) fn most_telling(&self) -> Option<(Seq, &str)> {
        let index = super::telling::most_telling(self.texts())?;
        let (seq, text) = &self.lines[index];
        Some((*seq, text.trim()))
    }

    /// The same, where it speaks of a failure.
    pub(super) fn reason(&self) -> Option<(Seq, &str)> {
        let index = super::telling::reason(self.texts())?;
        let (seq, text) = &self.lines[index];
        Some((*seq, text.trim()))
    }

    /// The most telling line, with the line behind it where it ends with a colon.
    pub(super) fn told(&self) -> Option<(Seq, String)> {
        let index = super::telling::most_telling(self.texts())?;
        let (seq, text) = &self.lines[index];
        let text = text.trim();
        let behind = self.lines.get(index + 1).map(|(_, behind)| behind.trim());
        let text = match behind.filter(|behind| text.ends_with(':') && !behind.is_empty()) {
            Some(behind) => format!("{text} {behind}"),
            None => text.to_owned(),
        };
        Some((*seq, text))
    }

    /// The numbers of the first and the last line.
    pub(super) fn ends(&self) -> Option<(Seq, Seq)> {
        Some((self.lines.front()?.0, self.lines.back()?.0))
    }

    /// The first line that is wanted: its number and its text.
    pub(super) fn find(&self, wanted: impl Fn(&str) -> bool) -> Option<(Seq, &str)> {
        let (seq, text) = self.lines.iter().find(|(_, text)| wanted(text))?;
        Some((*seq, text))
    }

    /// The last line: its number and its text.
    pub(super) fn last(&self) -> Option<(Seq, &str)> {
        let (seq, text) = self.lines.back()?;
        Some((*seq, text))
    }

    /// All lines, in order.
    pub(super) fn texts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.lines.iter().map(|(_, text)| text.as_str())
    }

    /// The lines behind one of them, in order.
    pub(super) fn behind(&self, seq: Seq) -> impl Iterator<Item = &str> {
        let behind = self.lines.iter().filter(move |(line, _)| *line > seq);
        behind.map(|(_, text)| text.as_str())
    }

    /// The last lines as one text of at most `limit` bytes.
    pub(super) fn text(&self, limit: usize) -> String {
        let mut bytes = 0;
        let fits = |line: &&str| {
            bytes += line.len() + 1;
            bytes <= limit
        };
        let mut lines: Vec<&str> = self.texts().rev().take_while(fits).collect();
        lines.reverse();
        lines.join("\n")
    }
}
