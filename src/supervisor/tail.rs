//! The last lines of something, for a message.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How much is kept, in bytes, unless the last line alone is longer.
const MAX_BYTES: usize = 2048;

/// The last lines that were pushed.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    pub(super) fn push(&mut self, line: &str) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line.to_owned());
        while self.bytes > MAX_BYTES
            && self.lines.len() > 1
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len() + 1;
        }
    }

    /// The lines, the oldest first.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tail: &Tail) -> String {
        tail.lines().collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_last_lines_are_kept_as_far_as_there_is_room_and_the_very_last_always() {
        let mut tail = Tail::default();
        assert_eq!(text(&tail), "");
        for number in 0..1000 {
            tail.push(&format!("line {number}"));
        }
        let kept = text(&tail);
        assert!(kept.ends_with("line 998\nline 999") && kept.len() <= MAX_BYTES);
        let long = "x".repeat(3 * MAX_BYTES);
        tail.push(&long);
        assert_eq!(text(&tail), long);
    }
}
