//! The decoder of one run: lines of the child in, lines of the log, phases and counts out.

use super::activities::{Activities, Meaning, is_evaluation};
use super::counter::Counter;
use super::errors::Errors;
use super::nix_json::{self, INFO, Message, Start, activity};
use super::phases::Tracker;
use super::plain::{self, Sign};
use crate::protocol::{MAX_LINE_BYTES, Phase, Progress, Seq, Tests, Timestamp};
use serde::{Deserialize, Serialize};

/// Takes the lines of a log.
type Emit<'e> = &'e mut dyn FnMut(&str);

/// Decodes the output of one run. Pure: no I/O, no clock. No input makes it fail, and its memory does not grow
/// with the output. It can be stored and goes on where it was.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Decoder {
    tracker: Tracker,
    activities: Activities,
    counter: Counter,
    errors: Errors,
    /// For lines that are put together.
    #[serde(skip)]
    buffer: String,
}

/// Where in the run a line stands.
#[derive(Clone, Copy)]
struct Here {
    at: Timestamp,
    seq: Seq,
}

impl Decoder {
    /// The decoder of a run that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one line of the child, without its newline, and calls `emit` for each line of the log it becomes:
    /// none or many for internal-json, which begins with `@nix `; itself for everything else. What is longer
    /// than [`MAX_LINE_BYTES`] is split. `at` is when it was read, `next_seq` the number that the next line of
    /// the log gets.
    pub fn line(
        &mut self,
        line: &str,
        is_error: bool,
        at: Timestamp,
        next_seq: Seq,
        emit: Emit<'_>,
    ) {
        let here = Here { at, seq: next_seq };
        if let Some(json) = line.strip_prefix("@nix ") {
            match nix_json::parse(json) {
                Some(message) => self.message(&message, here, emit),
                None => split(line, emit),
            }
            return;
        }
        if let Some(sign) = plain::sign(line) {
            self.sign(sign, here);
        }
        if is_error && self.errors.wants(line) && self.errors.read(line) {
            self.counter.fail();
        }
        split(line, emit);
    }

    /// Begins a phase that the output does not tell: `pull`, and `testing`, which then stays to the end.
    pub fn begin(&mut self, phase: Phase, at: Timestamp, next_seq: Seq) {
        self.tracker.begin(phase, at, next_seq);
    }

    /// An activation has begun, and its output does not tell yet.
    pub fn activation_begins(&mut self, at: Timestamp, next_seq: Seq) {
        self.tracker.enter(Phase::Activation, at, next_seq);
    }

    /// A step of the run begins: nix's activities and the errors before it no longer matter.
    pub fn step_begins(&mut self) {
        self.tracker.step_begins();
        self.activities = Activities::default();
        self.counter = Counter::default();
        self.errors.forget();
    }

    /// How far the run is.
    pub fn progress(&self) -> &Progress {
        self.tracker.progress()
    }

    /// Whether the present step changes the machine: it must not be interrupted.
    pub fn is_activating(&self) -> bool {
        self.tracker.is_activating()
    }

    /// The part of the progress that the output does not tell.
    pub fn tests_mut(&mut self) -> &mut Option<Tests> {
        self.tracker.tests_mut()
    }

    /// Grows with each change of the progress.
    pub fn revision(&self) -> u64 {
        self.tracker.revision()
    }

    /// The first error of this step on standard error that explains its failure, on one line and without
    /// colours. An error that the step survived, since it went on to evaluate or activate, does not count.
    pub fn error_message(&self) -> Option<String> {
        self.errors.message()
    }

    fn sign(&mut self, sign: Sign, here: Here) {
        let phase = match sign {
            Sign::Evaluating => Some(Phase::Evaluation),
            Sign::Building => Some(Phase::Building),
            Sign::Copying => Some(Phase::Download),
            Sign::Activating => Some(Phase::Activation),
            Sign::Switching => Some(Phase::Switch),
            Sign::WillBuild(_) | Sign::WillFetch(_) => {
                self.tracker.new_builds();
                None
            }
            Sign::Done => None,
        };
        let before = self.progress().phase();
        if let Some(phase) = phase {
            self.tracker.enter(phase, here.at, here.seq);
        }
        let now = self.progress().phase();
        if sign == Sign::Evaluating && now == phase || now != before && sign == Sign::Activating {
            self.errors.forget();
        }
        if !self.activities.counting() {
            self.counter.see(sign);
            if let Some(counts) = self.counter.counts(now, sign) {
                self.tracker.show(counts);
            }
        }
    }

    fn message(&mut self, message: &Message<'_>, here: Here, emit: Emit<'_>) {
        match message {
            Message::Start(start) => self.start(start, here, emit),
            Message::Stop { id } => {
                if let Some(meaning) = self.activities.stop(*id) {
                    self.mean(&meaning, here);
                }
            }
            Message::Progress { id, counts } => {
                if let Some(meaning) = self.activities.progress(*id, *counts) {
                    self.mean(&meaning, here);
                }
            }
            Message::LogLine { id, text } => {
                let prefix = self.activities.prefix(*id);
                for line in lines(text) {
                    self.buffer.clear();
                    self.buffer.push_str(prefix);
                    self.buffer.push_str(line);
                    split(&self.buffer, emit);
                }
            }
            Message::Msg { level, text } if *level <= INFO => {
                for line in lines(text) {
                    if *level == 0 {
                        self.errors.read(line);
                    }
                    split(line, emit);
                }
                self.errors.close();
            }
            Message::Msg { .. } | Message::Other => {}
        }
    }

    fn start(&mut self, start: &Start<'_>, here: Here, emit: Emit<'_>) {
        self.activities.start(start);
        match start.kind {
            activity::BUILDS => self.tracker.new_builds(),
            activity::BUILD => self.enter(Phase::Building, here),
            activity::COPY_PATH => self.enter(Phase::Download, here),
            _ if is_evaluation(start) => {
                self.errors.forget();
                self.enter(Phase::Evaluation, here);
            }
            _ => {}
        }
        if start.level <= INFO && !start.text.is_empty() {
            for line in lines(&start.text) {
                self.buffer.clear();
                self.buffer.push_str(line);
                self.buffer.push_str("...");
                split(&self.buffer, emit);
            }
        }
    }

    fn mean(&mut self, meaning: &Meaning, here: Here) {
        let active = |count: Option<u64>| count > Some(0);
        match meaning {
            Meaning::Builds(counts) if active(counts.running) || active(counts.done) => {
                self.enter(Phase::Building, here);
            }
            Meaning::Copies(counts) if active(counts.running) => self.enter(Phase::Download, here),
            Meaning::Builds(_) | Meaning::Copies(_) => self.recount(),
            Meaning::EvaluationGoesOn => self.tracker.enter(Phase::Evaluation, here.at, here.seq),
        }
    }

    fn enter(&mut self, phase: Phase, here: Here) {
        self.tracker.enter(phase, here.at, here.seq);
        self.recount();
    }

    /// Shows what nix said last of what the phase is about.
    fn recount(&mut self) {
        if self.activities.counting() {
            let counts = if self.progress().phase() == Some(Phase::Download) {
                self.activities.copies()
            } else {
                self.activities.builds()
            };
            self.tracker.show(counts.unwrap_or_default());
        }
    }
}

/// The lines of a text, each in the last state that a carriage return left it in.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').map(|line| {
        let line = line.trim_end_matches('\r');
        line.rsplit('\r').next().unwrap_or(line)
    })
}

/// Emits a line, in several where it is too long.
#[inline]
fn split(mut line: &str, emit: Emit<'_>) {
    while line.len() > MAX_LINE_BYTES {
        let (head, rest) = line.split_at(line.floor_char_boundary(MAX_LINE_BYTES));
        emit(head);
        line = rest;
    }
    emit(line);
}
