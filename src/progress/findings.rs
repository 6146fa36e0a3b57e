//! What the output of a step said of failures: errors of nix, and what the activation said of its parts.

use super::activation::Activation;
use super::block::Block;
use super::nix_error;
use super::numbering::Renumber;
use super::plain;
use crate::ansi::strip_line;
use crate::protocol::Seq;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Most errors kept of one step: the first ones, and the last.
const MAX_BLOCKS: usize = 24;

/// The failures of one step.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Findings {
    /// The errors of nix, in order.
    pub(super) blocks: VecDeque<Block>,
    /// The lines that follow belong to the last of them.
    open: bool,
    /// What the activation said.
    pub(super) activation: Activation,
}

impl Findings {
    /// Whether a line can be of interest; cheap.
    #[inline]
    pub(super) fn wants(&self, line: &str) -> bool {
        match line.as_bytes().first() {
            Some(
                b'b' | b'c' | b'e' | b'f' | b'h' | b'w' | b'i' | b'\x1b' | b'<' | b'A' | b'C'
                | b'D' | b'E' | b'F' | b'J' | b'M' | b'N' | b'O' | b'P' | b'S' | b'T' | b'W',
            ) => true,
            _ => self.open || self.activation.is_reading(),
        }
    }

    /// Reads a line of plain text; true where it is an error of nix or of git, which are on standard error alone.
    pub(super) fn read(&mut self, line: &str, is_error: bool, seq: Seq) -> bool {
        let line = strip_line(line);
        let line = plain::without_level(plain::without_prefix(&line));
        self.activation.read(line, seq);
        is_error && self.read_error(line, seq)
    }

    fn read_error(&mut self, line: &str, seq: Seq) -> bool {
        let text = line.trim();
        if self.open && (line.starts_with([' ', '\t']) || text.is_empty()) {
            self.go_on(line, seq);
            return false;
        }
        self.open = false;
        if let Some(error) = nix_error::as_error(text) {
            self.begin(&error, seq);
            return true;
        }
        text.starts_with("fatal:")
    }

    /// Reads the first line of a message of nix; says whether the message is an error.
    pub(super) fn message_begins(&mut self, line: &str, seq: Seq) -> bool {
        let line = strip_line(line);
        let error = nix_error::as_error(line.trim());
        if let Some(error) = &error {
            self.begin(error, seq);
        }
        error.is_some()
    }

    /// nix begins to build or to copy something: it got over what was wrong before, unless a build failed.
    pub(super) fn nix_goes_on(&mut self) {
        for block in &mut self.blocks {
            block.is_survived = true;
        }
    }

    fn begin(&mut self, text: &str, seq: Seq) {
        if self.blocks.len() == MAX_BLOCKS {
            self.blocks.remove(MAX_BLOCKS / 2);
        }
        self.blocks.push_back(Block::new(text, seq));
        self.open = true;
    }

    /// Reads a further line of the error that began last.
    pub(super) fn go_on(&mut self, line: &str, seq: Seq) {
        if let Some(block) = self.blocks.back_mut() {
            block.push(line, seq);
        }
    }

    /// The message is over: no further line belongs to it.
    pub(super) fn close(&mut self) -> Option<&Block> {
        std::mem::take(&mut self.open)
            .then(|| self.blocks.back())
            .flatten()
    }

    /// What came before did not matter: the run went on.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The checks before the activation passed, and nix is done.
    pub(super) fn activation_begins(&mut self) {
        self.blocks.clear();
        self.open = false;
        self.activation.forget_checks();
    }

    /// The activation ended well, with this line: nothing that was said before it matters.
    pub(super) fn activation_succeeds(&mut self, seq: Seq) {
        self.blocks.clear();
        self.open = false;
        self.activation.succeed(seq);
    }

    /// Gives the lines the numbers that they got in the log.
    pub(super) fn renumber(&mut self, renumber: Renumber) {
        for block in &mut self.blocks {
            block.renumber(renumber);
        }
        self.activation.renumber(renumber);
    }
}
