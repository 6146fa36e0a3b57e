//! Why a step failed: its causes as data, and the same in words. Pure: what is needed besides the output's findings
//! is given by the caller.

mod activation;
mod boot_loader;
mod fallback;
mod half_way;
mod memory;
mod message;
mod nix;
mod telling;
mod text;
mod units;
mod words;

pub use memory::{Killed, Memory};

use self::message::Message;
use super::Decoder;
use crate::protocol::{Cause, CauseKind, MAX_CAUSES, Phase, Seq};
use ::nix::sys::signal::Signal;
use std::ffi::OsStr;
use std::ops::Range;
use std::path::Path;

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
    /// Whether the activation that it had begun went on behind its end, and was heard to the end of that.
    pub outlived: bool,
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
    /// How many lines `detail` lacks.
    left_out: u64,
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
            left_out: 0,
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

    fn leaving_out(mut self, lines: u64) -> Self {
        self.left_out = lines;
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
        match self.phase() {
            Some(Phase::Evaluation) => " while evaluating",
            Some(Phase::Download) => " while downloading",
            Some(Phase::Building) => " while building",
            Some(Phase::Activation | Phase::Switch) if self.is_activating() => " while activating",
            _ => "",
        }
    }

    /// The phase in which the step ended, if it had one of its own.
    fn phase(&self) -> Option<Phase> {
        self.decoder.phase_of_step()
    }

    /// The line that says that the step's activation ended well.
    fn activation_end(&self) -> Option<Seq> {
        self.decoder.findings().activation.done
    }

    /// Whether the step ended in the midst of an activation.
    fn is_activating(&self) -> bool {
        self.ending.activating && self.activation_end().is_none()
    }

    /// The name of the program that failed.
    fn program_name(&self) -> &str {
        let name = Path::new(self.ending.program).file_name();
        name.and_then(OsStr::to_str).unwrap_or_default()
    }

    /// The signal that ended the program, as its exit code tells it.
    fn signal(&self) -> Option<Signal> {
        let number = self.ending.code.checked_sub(128)?;
        Signal::try_from(number).ok()
    }

    /// The first line of the last phase, or of what came after an activation that ended well.
    fn phase_begin(&self) -> Seq {
        let mark = self.decoder.progress().phases.last();
        let begin = mark.map_or(0, |mark| mark.seq);
        self.activation_end()
            .map_or(begin, |end| begin.max(end + 1))
    }

    /// The first line of the activation that the step ended in.
    fn activation_begin(&self) -> Option<Seq> {
        let marks = &self.decoder.progress().phases;
        let mark = marks.iter().rfind(|mark| mark.phase == Phase::Activation)?;
        (self.is_activating() && mark.seq >= self.ending.lines.start).then_some(mark.seq)
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
        let mut parts = activation::parts(known);
        if parts.is_empty() && !fallback::is_of_git(known) {
            parts.extend(nix::parts(known));
        }
        match memory::part(known) {
            Some(part) if parts.is_empty() => {
                parts.push(part);
                parts.extend(fallback::beside_memory(known));
            }
            // The step may have survived that a process of it was killed.
            Some(part) if memory::ended_step(known, &parts) => parts.insert(0, part),
            Some(part) => parts.push(part),
            None if parts.is_empty() => parts.push(fallback::part(known)),
            None => {}
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
    let mut message = Message::default();
    for part in &parts {
        message.push_summary(&part.cause.summary);
        message.push_lines(&part.detail);
        message.leave_out(part.left_out);
    }
    Failure {
        causes: parts.into_iter().map(|part| part.cause).collect(),
        message: message.end(left_out),
    }
}
