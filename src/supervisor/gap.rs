//! Lines for which the spool has no room: they are counted, and the newest are kept in memory until there is room
//! again, or the run is over. Then one numbered line tells how many were left out, and those that were kept follow.

use super::tail::Tail;
use crate::protocol::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How much of the newest lines is kept, in bytes.
const TAIL_BYTES: usize = 1 << 20;

/// Why there is no room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Cause {
    /// The dashboard has not acknowledged this many bytes.
    Unacknowledged(u64),
    /// The file system's words.
    Disk(String),
}

impl Cause {
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Unacknowledged(bytes) => {
                format!(
                    "more than {} was waiting for the dashboard",
                    size_in_words(*bytes)
                )
            }
            Self::Disk(error) => error.clone(),
        }
    }
}

/// A line that may yet be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) line: String,
    pub(super) at: Timestamp,
    pub(super) is_error: bool,
}

/// The lines since there was no room.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Gap {
    pub(super) cause: Cause,
    lines: u64,
    tail: VecDeque<Kept>,
    tail_bytes: usize,
    /// What was given up of standard error: it may explain a failure, however much the other stream said after it.
    #[serde(default)]
    errors: Tail,
    /// It is being stored: whoever finds it so stores it before anything else.
    pub(super) is_closing: bool,
}

impl Gap {
    pub(super) fn new(cause: Cause) -> Self {
        Self {
            cause,
            lines: 0,
            tail: VecDeque::new(),
            tail_bytes: 0,
            errors: Tail::default(),
            is_closing: false,
        }
    }

    pub(super) fn push(&mut self, line: &str, at: Timestamp, is_error: bool) {
        self.lines += 1;
        self.tail_bytes += size(line);
        let line = line.to_owned();
        self.tail.push_back(Kept { line, at, is_error });
        self.keep(TAIL_BYTES);
    }

    /// Gives up the oldest of what is kept, down to this many bytes.
    pub(super) fn keep(&mut self, bytes: usize) {
        while self.tail_bytes > bytes
            && let Some(oldest) = self.tail.pop_front()
        {
            self.tail_bytes -= size(&oldest.line);
            if oldest.is_error {
                self.errors.push(&oldest.line);
            }
        }
    }

    /// How many lines are gone for good.
    pub(super) fn left_out(&self) -> u64 {
        self.lines - self.tail.len() as u64
    }

    /// What stands in the log for the lines that are gone.
    pub(super) fn notice(&self) -> Option<String> {
        let (count, cause) = (self.left_out(), self.cause.in_words());
        (count > 0).then(|| format!("[switchyard] {count} lines were left out here: {cause}"))
    }

    /// How many lines there have been.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// The last lines on standard error that were given up.
    pub(super) fn given_up_errors(&self) -> impl Iterator<Item = &str> {
        self.errors.lines()
    }

    /// The lines that are kept, the oldest first.
    pub(super) fn tail(&self) -> impl DoubleEndedIterator<Item = &Kept> {
        self.tail.iter()
    }
}

/// What keeping a line costs.
fn size(line: &str) -> usize {
    line.len() + size_of::<Kept>()
}

/// In the unit that gives a whole number, such as `1 GiB`.
fn size_in_words(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = |(size, _): &(u64, _)| bytes >= *size && bytes.is_multiple_of(*size);
    match units.into_iter().find(fits) {
        Some((size, unit)) => format!("{} {unit}", bytes / size),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(lines: u64, length: usize) -> Gap {
        let mut gap = Gap::new(Cause::Unacknowledged(1 << 30));
        for number in 0..lines {
            let line = format!("{number:0length$}");
            gap.push(&line, Timestamp::from_millis(0), false);
        }
        gap
    }

    #[test]
    fn the_newest_lines_are_kept_and_the_others_counted() {
        let gap = gap(100_000, 100);
        let kept = gap.tail().count() as u64;
        assert_eq!(gap.left_out() + kept, 100_000);
        assert!((5_000..10_000).contains(&kept), "{kept}");
        let newest = gap.tail().next_back().unwrap();
        assert_eq!(newest.line.trim_start_matches('0'), "99999");
        assert_eq!(
            gap.notice().unwrap(),
            format!(
                "[switchyard] {} lines were left out here: more than 1 GiB was waiting for the dashboard",
                100_000 - kept
            )
        );
    }

    #[test]
    fn empty_lines_take_memory_too() {
        let mut gap = Gap::new(Cause::Disk("no space".to_owned()));
        for _ in 0..100_000 {
            gap.push("", Timestamp::from_millis(0), true);
        }
        assert!(gap.tail().count() < 50_000);
    }

    #[test]
    fn the_last_errors_are_known_however_much_came_after_them() {
        let mut gap = Gap::new(Cause::Disk("no space".to_owned()));
        for (line, is_error) in [("one", true), ("two", true), ("three", false)] {
            gap.push(line, Timestamp::from_millis(0), is_error);
        }
        for _ in 0..100_000 {
            gap.push("more", Timestamp::from_millis(0), false);
        }
        gap.push("four", Timestamp::from_millis(0), true);
        let kept = gap.tail().filter(|kept| kept.is_error);
        let errors = gap
            .given_up_errors()
            .chain(kept.map(|kept| kept.line.as_str()));
        assert_eq!(errors.collect::<Vec<_>>(), ["one", "two", "four"]);
    }

    #[test]
    fn where_nothing_is_left_out_nothing_is_told() {
        assert_eq!(gap(10, 10).notice(), None);
    }

    #[test]
    fn sizes_are_told_in_whole_units() {
        for (bytes, words) in [
            (1 << 30, "1 GiB"),
            (1536 << 20, "1536 MiB"),
            (65_536, "64 KiB"),
            (1000, "1000 bytes"),
            (0, "0 bytes"),
        ] {
            assert_eq!(size_in_words(bytes), words);
        }
    }
}
