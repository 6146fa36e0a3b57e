//! The decoder of one run: lines of the child in, lines of the log, phases and counts out.

use super::activities::{Activities, Meaning, is_evaluation};
use super::counter::Counter;
use super::findings::Findings;
use super::nix_error;
use super::nix_json::{self, INFO, Message, Start, activity};
use super::numbering::{Position, Renumber};
use super::phases::Tracker;
use super::plain::{self, Sign};
use crate::protocol::{MAX_LINE_BYTES, Phase, Progress, Seq, Tests, Timestamp};
use memchr::memmem;
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
    findings: Findings,
    /// The highest level of a message so far: nix was asked for that much.
    #[serde(default)]
    verbosity: u64,
    /// For lines that are put together.
    #[serde(skip)]
    buffer: String,
}

/// Emits lines of the log and counts them.
struct Numbered<'e> {
    emit: Emit<'e>,
    /// The number of the next line.
    next: Seq,
}

impl Numbered<'_> {
    /// Emits a line, in several where it is too long.
    #[inline]
    fn line(&mut self, mut line: &str) {
        while line.len() > MAX_LINE_BYTES {
            let (head, rest) = line.split_at(line.floor_char_boundary(MAX_LINE_BYTES));
            self.emit(head);
            line = rest;
        }
        self.emit(line);
    }

    #[inline]
    fn emit(&mut self, line: &str) {
        (self.emit)(line);
        self.next += 1;
    }
}

impl Decoder {
    /// The decoder of a run that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one line of the child, without its newline, and calls `emit` for each line of the log it becomes:
    /// none or many for internal-json, which begins with `@nix `; itself for everything else. What is longer
    /// than [`MAX_LINE_BYTES`] is split.
    pub fn line(&mut self, line: &str, is_error: bool, here: Position, emit: Emit<'_>) {
        let mut out = Numbered {
            emit,
            next: here.next_line(),
        };
        if let Some((before, json)) = json(line)
            && let Some(message) = nix_json::parse(json)
        {
            if !before.is_empty() {
                self.plain(before, is_error, here, &mut out);
            }
            return self.message(&message, here, &mut out);
        }
        self.plain(line, is_error, here, &mut out);
    }

    fn plain(&mut self, line: &str, is_error: bool, here: Position, out: &mut Numbered<'_>) {
        if let Some(sign) = plain::sign(line) {
            self.sign(sign, here);
        }
        if self.findings.wants(line) && self.findings.read(line, is_error, out.next) {
            self.counter.fail();
        }
        out.line(line);
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
        self.findings.forget();
    }

    /// How far the run is.
    pub fn progress(&self) -> &Progress {
        self.tracker.progress()
    }

    /// Whether the present step changes the machine: it must not be interrupted.
    pub fn is_activating(&self) -> bool {
        self.tracker.is_activating()
    }

    /// The phase that the present step is in; none before one began in it, and behind an activation that ended well.
    pub fn phase_of_step(&self) -> Option<Phase> {
        let is_done = self.findings.activation.done.is_some();
        self.tracker.phase_of_step().filter(|_| !is_done)
    }

    /// The part of the progress that the output does not tell.
    pub fn tests_mut(&mut self) -> &mut Option<Tests> {
        self.tracker.tests_mut()
    }

    /// Grows with each change of the progress.
    pub fn revision(&self) -> u64 {
        self.tracker.revision()
    }

    /// Gives what it knows of lines that waited for room the numbers that they got in the log.
    pub fn renumber(&mut self, renumber: Renumber) {
        self.findings.renumber(renumber);
        self.activities.renumber(renumber);
    }

    /// What the output of this step said of failures.
    pub(super) fn findings(&self) -> &Findings {
        &self.findings
    }

    /// The lines of the build of a derivation that failed.
    pub(super) fn lines_of(&self, derivation: &str) -> Option<(Seq, Seq)> {
        self.activities.failed_build(derivation)?.lines
    }

    fn sign(&mut self, sign: Sign, here: Position) {
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
            self.tracker.enter(phase, here.at, here.next_seq);
        }
        let now = self.progress().phase();
        if matches!(sign, Sign::Building | Sign::Copying) {
            self.findings.nix_goes_on();
        }
        if sign == Sign::Evaluating && now == phase {
            self.findings.forget();
        } else if sign == Sign::Activating && now != before {
            self.findings.activation_begins();
        } else if matches!(sign, Sign::Activating | Sign::Switching) {
            // Another one, perhaps, in the same step.
            self.findings.activation.done = None;
        } else if sign == Sign::Done && self.is_activating() {
            self.findings.activation_succeeds(here.next_line());
        }
        if !self.activities.counting() {
            self.counter.see(sign);
            if let Some(counts) = self.counter.counts(now, sign) {
                self.tracker.show(counts);
            }
        }
    }

    fn message(&mut self, message: &Message<'_>, here: Position, out: &mut Numbered<'_>) {
        match message {
            Message::Start(start) => self.start(start, here, out),
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
                for line in lines(text) {
                    self.buffer.clear();
                    self.buffer
                        .push_str(self.activities.log_line(*id, out.next));
                    self.buffer.push_str(line);
                    out.line(&self.buffer);
                }
            }
            Message::Msg { level: 0, text } => self.error(text, out),
            Message::Msg { level, text } => {
                // nix says nothing beyond the level that it was asked for.
                self.verbosity = self.verbosity.max(*level);
                for line in lines(text) {
                    out.line(line);
                }
            }
            Message::Other => {}
        }
    }

    /// A message of nix that is an error, or a hint of the same level.
    fn error(&mut self, text: &str, out: &mut Numbered<'_>) {
        let mut lines = lines(text);
        let first = lines.next().unwrap_or_default();
        let is_error = self.findings.message_begins(first, out.next);
        out.line(first);
        for line in lines {
            if is_error {
                self.findings.go_on(line, out.next);
            }
            out.line(line);
        }
        if let Some(block) = self.findings.close()
            && let Some(derivation) = nix_error::failed_derivation(block)
        {
            self.activities.note_failed(derivation);
        }
    }

    fn start(&mut self, start: &Start<'_>, here: Position, out: &mut Numbered<'_>) {
        self.activities.start(start);
        if matches!(start.kind, activity::BUILD | activity::COPY_PATH) {
            self.findings.nix_goes_on();
        }
        match start.kind {
            activity::BUILDS => self.tracker.new_builds(),
            activity::BUILD => self.enter(Phase::Building, here),
            activity::COPY_PATH => self.enter(Phase::Download, here),
            _ if is_evaluation(start) => {
                self.findings.forget();
                self.enter(Phase::Evaluation, here);
            }
            _ => {}
        }
        if start.level <= self.verbosity.max(INFO) && !start.text.is_empty() {
            for line in lines(&start.text) {
                self.buffer.clear();
                self.buffer.push_str(line);
                self.buffer.push_str("...");
                out.line(&self.buffer);
            }
        }
    }

    fn mean(&mut self, meaning: &Meaning, here: Position) {
        let active = |count: Option<u64>| count > Some(0);
        match meaning {
            Meaning::Builds(counts) if active(counts.running) || active(counts.done) => {
                self.enter(Phase::Building, here);
            }
            Meaning::Copies(counts) if active(counts.running) => self.enter(Phase::Download, here),
            Meaning::Builds(_) | Meaning::Copies(_) => self.recount(),
            Meaning::EvaluationGoesOn => {
                self.tracker
                    .enter(Phase::Evaluation, here.at, here.next_seq);
            }
        }
    }

    fn enter(&mut self, phase: Phase, here: Position) {
        self.tracker.enter(phase, here.at, here.next_seq);
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

/// A message of nix, and what another program printed before it on its line without ending that. Nearly all lines
/// that do not begin with one are turned away by their last byte.
#[inline]
fn json(line: &str) -> Option<(&str, &str)> {
    const MARK: &str = "@nix ";
    if let Some(json) = line.strip_prefix(MARK) {
        return Some(("", json));
    }
    if !line.ends_with('}') {
        return None;
    }
    let at = memmem::find(line.as_bytes(), b"@nix {")?;
    let before = &line[..at];
    // The level with which programs begin their lines where the journal reads them.
    let before = if plain::without_level(before).is_empty() {
        ""
    } else {
        before
    };
    Some((before, &line[at + MARK.len()..]))
}
