//! The error that explains why a run failed.

use crate::ansi::strip_line;
use serde::{Deserialize, Serialize};

/// The longest part of an error that is kept, in bytes.
const MAX_PART: usize = 1000;

/// git says so of every failure of ssh, which said before why.
const SAYS_NOTHING: &str = "fatal: Could not read from remote repository.";

/// What nix prints of one error, as far as it helps.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Block {
    /// `error: Cannot build '….drv'.`
    head: String,
    /// `Reason: builder failed with exit code 1.`
    reason: String,
    /// `at /etc/nixos/configuration.nix:3:5`
    place: String,
}

/// The errors of a step.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Errors {
    /// The first.
    first: Option<Block>,
    /// The lines that follow it still belong to it.
    open: bool,
    /// What the activation said of units that failed.
    units: String,
}

impl Errors {
    /// Whether a line can be of interest; cheap.
    #[inline]
    pub(super) fn wants(&self, line: &str) -> bool {
        match line.as_bytes().first() {
            Some(b'e' | b'f' | b'w' | b'F' | b'P' | b'\x1b') => true,
            _ => self.open,
        }
    }

    /// Reads a line; true where it is an error of nix or of git.
    pub(super) fn read(&mut self, line: &str) -> bool {
        let line = strip_line(line);
        let text = line.trim();
        if self.open && line.starts_with([' ', '\t']) || text.is_empty() {
            self.go_on(text);
            return false;
        }
        self.open = false;
        if text.starts_with("error:") || text.starts_with("fatal:") {
            if self.first.is_none() && text != SAYS_NOTHING {
                self.open = true;
                self.first = Some(Block {
                    head: cut(text.trim_end_matches(';')),
                    ..Block::default()
                });
            }
            return true;
        }
        if text.starts_with("warning: the following units failed")
            || self.units.is_empty()
                && (text.starts_with("Failed to start ")
                    || text.starts_with("Pre-switch checks failed"))
        {
            self.units = cut(text);
        }
        false
    }

    /// A line that belongs to the first error.
    fn go_on(&mut self, text: &str) {
        let Some(block) = &mut self.first else {
            return;
        };
        if block.head == "error:" {
            // An error of the evaluation: the trace comes first.
            if text.starts_with("error:") {
                block.head = cut(text);
            }
        } else if text.starts_with("Reason:") && block.reason.is_empty() {
            block.reason = cut(text);
        } else if text.starts_with("at ") && block.place.is_empty() {
            block.place = cut(text.trim_end_matches(':'));
        }
    }

    /// The message is over: no further line belongs to it.
    pub(super) fn close(&mut self) {
        self.open = false;
    }

    /// What came before did not matter: the run went on.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The first error on one line, or else what the activation said of its units.
    pub(super) fn message(&self) -> Option<String> {
        let Some(block) = self.first.as_ref().filter(|block| block.head != "error:") else {
            return (!self.units.is_empty()).then(|| self.units.clone());
        };
        let mut message = block.head.clone();
        for part in [&block.reason, &block.place] {
            if !part.is_empty() {
                message.push(' ');
                message.push_str(part);
            }
        }
        Some(message)
    }
}

/// At most [`MAX_PART`] bytes of a text.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_PART)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(lines: &str) -> Option<String> {
        let mut errors = Errors::default();
        for line in lines.lines() {
            if errors.wants(line) {
                errors.read(line);
            }
        }
        errors.message()
    }

    #[test]
    fn a_failed_build_comes_with_its_reason_and_without_colours() {
        let lines = "building...\n\x1b[31;1merror:\x1b[0m Cannot build '/nix/store/x-app.drv'.\n       Reason: \
                     \x1b[31;1mbuilder failed with exit code 1\x1b[0m.\n       Output paths:\n         /nix/store/y\n\
                     error: Cannot build '/nix/store/z-system.drv'.\n       Reason: 1 dependency failed.";
        assert_eq!(
            message(lines).as_deref(),
            Some(
                "error: Cannot build '/nix/store/x-app.drv'. Reason: builder failed with exit code 1."
            )
        );
    }

    #[test]
    fn a_failed_evaluation_comes_with_its_place() {
        let lines = "error:\n       … while calling the 'head' builtin\n         at «nix»:1:2:\n            1| x\n\n       \
                     error: undefined variable 'foo'\n       at /etc/nixos/configuration.nix:3:5:\n            2| {";
        assert_eq!(
            message(lines).as_deref(),
            Some("error: undefined variable 'foo' at /etc/nixos/configuration.nix:3:5")
        );
    }

    #[test]
    fn failed_units_are_told_where_there_is_no_error() {
        assert_eq!(
            message("Failed to start a\nwarning: the following units failed: a, b\nx").as_deref(),
            Some("warning: the following units failed: a, b")
        );
        assert_eq!(message("all is well\nerrors: none"), None);
        assert_eq!(message("error:\nnothing more"), None);
    }

    #[test]
    fn an_error_that_does_not_say_why_is_no_message() {
        let lines = "Host key verification failed.\nfatal: Could not read from remote repository.\n\nPlease make sure";
        assert_eq!(message(lines), None);
        let lines = "fatal: not a git repository\nfatal: Could not read from remote repository.";
        assert_eq!(
            message(lines).as_deref(),
            Some("fatal: not a git repository")
        );
    }
}
