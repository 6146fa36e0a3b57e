//! Why a step failed: its causes as data, and the same in words. Pure: what is needed besides the output's findings
//! is given by the caller.

mod activation;
mod boot_loader;
mod fallback;
mod memory;
mod nix;
mod telling;
mod text;
mod units;
mod words;

pub use memory::Memory;

use super::Decoder;
use crate::protocol::{Cause, CauseKind, MAX_CAUSES, Phase, Seq};
use std::ops::Range;

/// Longest message, in bytes; the beginning is kept.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// How a step ended, and what else is known of it.
#[derive(Clone, Debug, Default)]
pub struct Ending<'a> {
    /// The program, as it was called.
    pub program: &'a str,
    /// Its exit code.
    pub code: i32,
    /// Whether it changed the machine when it ended.
    pub activating: bool,
    /// The units that had failed before it began, where that is known.
    pub failed_before: Option<&'a [String]>,
    /// What the kernel says of the memory that it used, where that is known.
    pub memory: Option<Memory>,
    /// The lines of the log that are its own.
    pub lines: Range<Seq>,
}

/// A line of the log.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its number.
    pub seq: Seq,
    /// Its text.
    pub text: &'a str,
    /// Whether it came on standard error.
    pub is_error: bool,
}

/// The lines of the log.
pub trait Output {
    /// Gives the lines of a range, in order, as far as they are there.
    fn lines(&self, range: Range<Seq>, take: &mut dyn FnMut(Line<'_>));
}

/// Why a step failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The most important cause first; never empty, and at most [`MAX_CAUSES`].
    pub causes: Vec<Cause>,
    /// What to tell the user; begins with the first cause's summary.
    pub message: String,
}

/// A cause, and what else there is to tell of it.
struct Part {
    cause: Cause,
    detail: String,
}

impl Part {
    fn new(kind: CauseKind, summary: &str) -> Self {
        Self {
            cause: Cause {
                kind,
                name: None,
                summary: text::one_line(summary),
                from: None,
                to: None,
                line: None,
            },
            detail: String::new(),
        }
    }

    fn named(mut self, name: &str) -> Self {
        self.cause.name = Some(text::one_line(name));
        self
    }

    /// Where in the log it is said.
    fn at(mut self, from: Seq, to: Seq, line: Seq) -> Self {
        self.cause.from = Some(from);
        self.cause.to = Some(to);
        self.cause.line = Some(line);
        self
    }

    fn with_detail(mut self, detail: String) -> Self {
        self.detail = detail;
        self
    }
}

/// Everything that is known of a step that failed.
#[derive(Clone, Copy)]
struct Known<'k> {
    decoder: &'k Decoder,
    ending: &'k Ending<'k>,
    output: &'k dyn Output,
}

impl Known<'_> {
    /// What the step was doing, as the end of a sentence: ` while evaluating`.
    fn doing(&self) -> &'static str {
        match self.decoder.progress().phase() {
            Some(Phase::Evaluation) => " while evaluating",
            Some(Phase::Download) => " while downloading",
            Some(Phase::Building) => " while building",
            Some(Phase::Activation | Phase::Switch) if self.ending.activating => {
                " while activating"
            }
            _ => "",
        }
    }

    /// The first line of the last phase.
    fn phase_begin(&self) -> Seq {
        let mark = self.decoder.progress().phases.last();
        mark.map_or(0, |mark| mark.seq)
    }

    /// The first line of the activation that the step ended in.
    fn activation_begin(&self) -> Option<Seq> {
        let marks = &self.decoder.progress().phases;
        let mark = marks.iter().rfind(|mark| mark.phase == Phase::Activation)?;
        (self.ending.activating && mark.seq >= self.ending.lines.start).then_some(mark.seq)
    }
}

impl Decoder {
    /// Says why the present step failed.
    pub fn failure(&self, ending: &Ending<'_>, output: &dyn Output) -> Failure {
        let known = Known {
            decoder: self,
            ending,
            output,
        };
        let mut parts = Vec::new();
        parts.extend(memory::part(known));
        parts.extend(activation::parts(known));
        let is_about_memory = !ending.activating && is_of(&parts, CauseKind::Memory);
        if (parts.is_empty() || is_about_memory) && !fallback::is_of_git(known) {
            parts.extend(nix::parts(known));
        }
        if parts.is_empty() {
            parts.push(fallback::part(known));
        }
        put_together(parts)
    }

    /// What is wrong with a step that ended with 0: its output says that a part of it was not done.
    pub fn failure_despite_success(&self) -> Option<Failure> {
        let part = boot_loader::left_out_of_menu(&self.findings().activation)?;
        Some(put_together(vec![part]))
    }
}

fn is_of(parts: &[Part], kind: CauseKind) -> bool {
    parts.first().is_some_and(|part| part.cause.kind == kind)
}

fn put_together(mut parts: Vec<Part>) -> Failure {
    let left_out = parts.len().saturating_sub(MAX_CAUSES);
    parts.truncate(MAX_CAUSES);
    let mut message = String::new();
    for part in &parts {
        if !message.is_empty() {
            message.push('\n');
        }
        message.push_str(&part.cause.summary);
        text::push_lines(&mut message, &part.detail);
    }
    if left_out > 0 {
        text::push_lines(&mut message, &format!("… and {left_out} more failures"));
    }
    Failure {
        causes: parts.into_iter().map(|part| part.cause).collect(),
        message: text::bounded(message, MAX_MESSAGE_BYTES),
    }
}
