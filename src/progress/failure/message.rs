//! The message of a failure: of a long one the beginning is kept, and how much more there was.

use super::MAX_MESSAGE_BYTES;
use crate::ansi::strip_line;

/// What the counts at the end take, in bytes.
const COUNTS_BYTES: usize = 96;

/// Fewest bytes of a line that are worth showing without its end.
const MIN_BEGINNING_BYTES: usize = 80;

/// A message in the making.
#[derive(Debug, Default)]
pub(super) struct Message {
    text: String,
    /// Lines at its end that there was no room for; once there is one, all that follow count.
    left_out: u64,
}

impl Message {
    /// Appends what a failure is, on a line of its own. Two may have the same.
    pub(super) fn push_summary(&mut self, summary: &str) {
        self.push_line(summary);
    }

    /// Appends lines, without escapes and control characters. A line that the text ends with is not repeated.
    pub(super) fn push_lines(&mut self, lines: &str) {
        for line in lines.lines() {
            let plain = strip_line(line);
            let line: String = plain
                .chars()
                .map(|c| if c == '\t' { ' ' } else { c })
                .filter(|c| !c.is_control())
                .collect();
            let is_repeated = self.text.lines().next_back() == Some(line.trim());
            let is_blank = line.trim().is_empty();
            if !is_repeated && (!is_blank || !self.text.is_empty()) {
                self.push_line(line.trim_end());
            }
        }
    }

    /// Says that so many lines are missing here.
    pub(super) fn leave_out(&mut self, lines: u64) {
        if lines > 0 && self.left_out == 0 && self.room() > more(lines, "lines").len() {
            self.push_line(&more(lines, "lines"));
        } else {
            self.left_out += lines;
        }
    }

    /// The message, at most [`MAX_MESSAGE_BYTES`] long, of which so many failures were left out.
    pub(super) fn end(mut self, failures: usize) -> String {
        for (count, what) in [(self.left_out, "lines"), (failures as u64, "failures")] {
            if count > 0 {
                self.text.push('\n');
                self.text.push_str(&more(count, what));
            }
        }
        self.text
    }

    fn push_line(&mut self, line: &str) {
        let room = self.room();
        if self.left_out > 0 || room < line.len().min(MIN_BEGINNING_BYTES) {
            self.left_out += u64::from(!line.is_empty());
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        if line.len() <= room {
            self.text.push_str(line);
        } else {
            let end = line.floor_char_boundary(room - '…'.len_utf8());
            self.text.push_str(&line[..end]);
            self.text.push('…');
        }
    }

    /// How long the next line may be, in bytes.
    fn room(&self) -> usize {
        let taken = self.text.len() + 1 + COUNTS_BYTES;
        MAX_MESSAGE_BYTES.saturating_sub(taken)
    }
}

fn more(count: u64, what: &str) -> String {
    format!("… and {count} more {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(parts: &[(&str, u64)], failures: usize) -> String {
        let mut message = Message::default();
        for (lines, left_out) in parts {
            message.push_lines(lines);
            message.leave_out(*left_out);
        }
        message.end(failures)
    }

    #[test]
    fn a_short_one_is_whole_and_says_where_lines_are_missing() {
        assert_eq!(message(&[("one\n\ttwo\n", 0)], 0), "one\n two");
        assert_eq!(
            message(&[("one", 3), ("two", 0)], 2),
            "one\n… and 3 more lines\ntwo\n… and 2 more failures"
        );
    }

    #[test]
    fn of_a_long_one_the_beginning_stays_and_every_line_is_counted() {
        let lines: Vec<String> = (0..300)
            .map(|n| format!("{n:03} {}", "x".repeat(36)))
            .collect();
        let text = message(&[(&lines.join("\n\n"), 7), ("another\nand more", 5)], 4);
        assert!(text.len() <= MAX_MESSAGE_BYTES, "{}", text.len());
        let kept = text.lines().filter(|line| line.ends_with('x')).count();
        assert!(kept > 80, "{kept}");
        let said = format!(
            "\n… and {} more lines\n… and 4 more failures",
            300 - kept + 7 + 2 + 5
        );
        assert!(text.ends_with(&said), "{}", &text[text.len() - 100..]);
    }

    #[test]
    fn a_line_that_is_too_long_loses_its_end_alone() {
        let text = message(&[(&"ä".repeat(9000), u64::MAX / 2)], usize::MAX);
        assert!(text.len() <= MAX_MESSAGE_BYTES, "{}", text.len());
        assert!(
            text.starts_with("ää") && text.contains("ä…\n… and "),
            "{text}"
        );
    }
}
