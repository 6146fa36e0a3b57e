//! Lines of an activation that come both by the pipe, as journalctl prints them, and from the journal itself.
//!
//! Those of the journal are stored. A copy of the pipe is held until its line has come from the journal, and is
//! stored only where that never comes, so that none is lost and none is there twice.

use crate::ansi;
use crate::supervisor::streams::Stream;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How much is remembered of either side, in bytes; the two are never far apart.
const MAX_BYTES: usize = 256 * 1024;

/// What came by one side and not yet by the other.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Copies {
    held: Side<Copy>,
    seen: Side<String>,
}

/// A line of the pipe that may come from the journal, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Copy {
    text: String,
    /// The line as it came, with its prefix.
    pub(crate) line: String,
    pub(crate) of: Stream,
}

impl Copies {
    /// A line came from the journal.
    pub(crate) fn came(&mut self, line: &str) {
        let text = as_printed(line);
        if self.held.take(|copy| copy.text == text).is_none() {
            let bytes = text.len();
            // Without the oldest, at worst a copy is stored twice.
            drop(self.seen.push(text, bytes));
        }
    }

    /// A copy came by the pipe: `line`, and `text` is what stands behind its prefix. Gives the copies that are to
    /// be stored now, since more cannot be held.
    pub(crate) fn hold(&mut self, text: &str, line: &str, of: Stream) -> Vec<Copy> {
        if is_blob(text) || self.seen.take(|seen| seen == text).is_some() {
            return Vec::new();
        }
        let copy = Copy {
            text: text.to_owned(),
            line: line.to_owned(),
            of,
        };
        self.held.push(copy, text.len() + line.len())
    }

    /// The copies that never came from the journal.
    pub(crate) fn rest(self) -> impl Iterator<Item = Copy> {
        self.held.entries.into_iter().map(|(copy, _)| copy)
    }
}

/// The newest of some things, each with what it takes in bytes.
#[derive(Clone, Serialize, Deserialize)]
struct Side<T> {
    entries: VecDeque<(T, usize)>,
    bytes: usize,
}

impl<T> Default for Side<T> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<T> Side<T> {
    /// Gives back the oldest for which there is no room.
    fn push(&mut self, entry: T, bytes: usize) -> Vec<T> {
        let bytes = bytes + size_of::<(T, usize)>();
        self.entries.push_back((entry, bytes));
        self.bytes += bytes;
        let mut over = Vec::new();
        while self.bytes > MAX_BYTES
            && let Some((oldest, bytes)) = self.entries.pop_front()
        {
            self.bytes -= bytes;
            over.push(oldest);
        }
        over
    }

    fn take(&mut self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        let at = self.entries.iter().position(|(entry, _)| is_it(entry))?;
        let (entry, bytes) = self.entries.remove(at)?;
        self.bytes -= bytes;
        Some(entry)
    }
}

/// A line of the journal as journalctl prints it: without colours, and with spaces for tabs.
fn as_printed(line: &str) -> String {
    ansi::strip_line(line).replace('\t', "        ")
}

/// What journalctl prints in place of a line that it cannot.
fn is_blob(text: &str) -> bool {
    text.starts_with('[') && text.ends_with("B blob data]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(copies: Copies) -> Vec<String> {
        copies.rest().map(|copy| copy.line).collect()
    }

    #[test]
    fn a_copy_goes_whichever_side_is_first() {
        let mut copies = Copies::default();
        assert!(copies.hold("one", "prefix: one", Stream::Stderr).is_empty());
        copies.came("one");
        copies.came("\x1b[1mtwo\x1b[0m\tx");
        let printed = "two        x";
        assert!(
            copies
                .hold(printed, "prefix: two", Stream::Stderr)
                .is_empty()
        );
        assert!(
            copies
                .hold("[12B blob data]", "prefix: [12B blob data]", Stream::Stderr)
                .is_empty()
        );
        assert!(rest(copies).is_empty());
    }

    #[test]
    fn a_line_that_comes_twice_by_both_sides_has_two_copies() {
        let mut copies = Copies::default();
        copies.hold("x", "first", Stream::Stderr);
        copies.hold("x", "second", Stream::Stderr);
        copies.came("x");
        assert_eq!(rest(copies.clone()), ["second"]);
        copies.came("x");
        assert!(rest(copies).is_empty());
    }

    #[test]
    fn a_copy_that_never_comes_from_the_journal_is_given_back_and_little_is_held() {
        let mut copies = Copies::default();
        let mut stored = Vec::new();
        for number in 0..10_000 {
            let line = format!("prefix: {number:0100}");
            stored.extend(copies.hold(&format!("{number:0100}"), &line, Stream::Stdout));
            copies.came(&format!("of the journal alone {number:0100}"));
        }
        assert!(copies.held.bytes <= MAX_BYTES && copies.seen.bytes <= MAX_BYTES);
        stored.extend(copies.rest());
        let lines = stored.iter().map(|copy| copy.line.as_str());
        assert!(lines.eq((0..10_000).map(|number| format!("prefix: {number:0100}"))));
    }
}
