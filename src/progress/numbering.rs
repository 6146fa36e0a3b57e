//! Numbers of log lines, given before it is known whether each line finds room in the log.

use crate::protocol::{Seq, Timestamp};

/// Where in the run a line stands.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// When it was read.
    pub at: Timestamp,
    /// The number of the next line of the log.
    pub next_seq: Seq,
    /// How many lines before this one wait for room in the log.
    pub waiting: u64,
}

impl Position {
    /// The number of the next line, if every waiting line found room before it.
    pub(super) fn next_line(self) -> Seq {
        self.next_seq + self.waiting
    }
}

/// How lines that waited for room are numbered once they are stored: the oldest may be left out, and one line that
/// says so takes their place.
#[derive(Clone, Copy, Debug)]
pub struct Renumber {
    /// The number of the first line that waited.
    pub begin: Seq,
    /// How many were left out.
    pub left_out: u64,
}

impl Renumber {
    /// Changes a number that was given while lines waited. A line that was left out gets the number of the line that
    /// says so.
    pub fn apply(self, seq: &mut Seq) {
        let Some(index) = seq.checked_sub(self.begin) else {
            return;
        };
        *seq = match index.checked_sub(self.left_out) {
            None => self.begin,
            Some(kept) => self.begin + kept + u64::from(self.left_out > 0),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_waited_get_their_numbers_behind_the_line_that_tells_of_the_others() {
        let numbers = |left_out| {
            [9, 10, 11, 12, 13].map(|mut seq| {
                Renumber {
                    begin: 10,
                    left_out,
                }
                .apply(&mut seq);
                seq
            })
        };
        assert_eq!(numbers(0), [9, 10, 11, 12, 13]);
        assert_eq!(numbers(2), [9, 10, 10, 11, 12]);
    }
}
