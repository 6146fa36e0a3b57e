//! From the bytes of the child to the spool: split, decoded, stamped, written once a batch.

use super::gap::{Cause, Gap};
use super::journal::Entries;
use super::quota::Quota;
use super::streams::{Stream, Streams};
use crate::mask::{self, Masker, Masking};
use crate::progress::{Decoder, Failure, Position, Renumber};
use crate::protocol::{self, MAX_CAUSES, Phase, Progress, Seq, Timestamp};
use crate::runlog::LogWriter;
use crate::spool::{self, RunDir, Spec};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The least time between two looks whether the spool has room again.
const GAP_INTERVAL: Duration = Duration::from_millis(500);

/// How much of the newest lines is stored where there is not room for all that are kept, in bytes.
const FEW_BYTES: usize = 32 * 1024;

/// The least time between two writings of the progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// What is gone for good.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct LeftOut {
    /// How many lines.
    pub(super) lines: u64,
    /// Why the last of them are.
    pub(super) cause: Cause,
}

/// What the output so far said, as far as it matters to what follows.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Decoding {
    /// The number of the next line.
    next: Seq,
    decoder: Decoder,
    streams: Streams,
    /// Of the lines up to the next one.
    #[serde(default)]
    masked: mask::State,
    /// Why the run failed, as far as it has.
    #[serde(default)]
    causes: Vec<protocol::Cause>,
    gap: Option<Gap>,
    left_out: Option<LeftOut>,
}

/// Writes the spool and `progress.json` of one run.
pub(super) struct Recorder {
    writer: LogWriter,
    decoding: Decoding,
    quota: Quota,
    masker: Masker,
    /// When it was last looked whether there is room again.
    looked: Instant,
    progress: ProgressFile,
}

/// When `progress.json` was written, and what it holds.
struct ProgressFile {
    path: PathBuf,
    revision: u64,
    written: Option<Instant>,
}

impl Recorder {
    /// Goes on where `decoding` was. Lines that the spool already holds beyond that are decoded again, and not
    /// stored twice.
    pub(super) fn new(writer: LogWriter, rundir: &RunDir, spec: &Spec, decoding: Decoding) -> Self {
        // The agent has looked at the expressions; what cannot be is masked as usual.
        let masker = Masker::new(&spec.masking)
            .or_else(|_| Masker::new(&Masking::default()))
            .unwrap_or_default();
        Self {
            quota: Quota::new(rundir, spec.max_unacknowledged),
            masker,
            looked: Instant::now(),
            writer,
            decoding,
            progress: ProgressFile {
                path: rundir.progress(),
                revision: 0,
                written: None,
            },
        }
    }

    /// Bytes that were read `at` that moment.
    pub(super) fn take(&mut self, stream: Stream, bytes: &[u8], at: Timestamp) {
        let (streams, mut sink) = self.parts(at);
        streams.feed(stream, bytes, &mut |line, of| sink.line(line, of));
    }

    /// The stream has ended.
    pub(super) fn end(&mut self, stream: Stream, at: Timestamp) {
        let (streams, mut sink) = self.parts(at);
        streams.end(stream, &mut |line, of| sink.line(line, of));
    }

    /// A program begins.
    pub(super) fn step_begins(&mut self) {
        self.decoding.decoder.step_begins();
    }

    /// From here on the journal is read, too.
    pub(super) fn follow_journal(&mut self, entries: Entries) {
        self.decoding.streams.follow_journal(entries);
    }

    /// How far the journal was read, if it is.
    pub(super) fn journal(&self) -> Option<&Entries> {
        self.decoding.streams.journal()
    }

    /// The journal was read to its end.
    pub(super) fn leave_journal(&mut self, at: Timestamp) {
        let (streams, mut sink) = self.parts(at);
        streams.leave_journal(&mut |line, of| sink.line(line, of));
    }

    fn parts(&mut self, at: Timestamp) -> (&mut Streams, Sink<'_>) {
        let decoding = &mut self.decoding;
        let sink = Sink {
            decoder: &mut decoding.decoder,
            next: &mut decoding.next,
            masker: &self.masker,
            masked: &mut decoding.masked,
            gap: decoding.gap.as_mut(),
            writer: &mut self.writer,
            at,
        };
        (&mut decoding.streams, sink)
    }

    /// Writes what came since the last call. Where there is no room, a gap begins, and the child goes on.
    pub(super) fn flush(&mut self) {
        if let Err(cause) = self.writer.try_flush() {
            let mut gap = Gap::new(Cause::Disk(cause.to_string()));
            for line in self.writer.pending() {
                gap.push(line.line, line.timestamp, line.is_error == Some(true));
            }
            self.writer.rollback();
            self.decoding.next = self.writer.next_seq();
            self.begin_gap(gap);
        }
        // What the spool holds already was within the limit.
        let is_stored_anew = self.decoding.next == self.writer.next_seq();
        if self.decoding.gap.is_none() && is_stored_anew && self.quota.is_exceeded(&self.writer) {
            let limit = self.quota.limit();
            self.begin_gap(Gap::new(Cause::Unacknowledged(limit)));
        }
    }

    fn begin_gap(&mut self, gap: Gap) {
        tracing::error!(
            cause = gap.cause.in_words(),
            "output cannot be stored: it is left out until there is room"
        );
        self.decoding.gap = Some(gap);
        self.looked = Instant::now();
    }

    /// The lines for which there is no room.
    pub(super) fn gap(&self) -> Option<&Gap> {
        self.decoding.gap.as_ref()
    }

    /// Looks, now and then, whether there is room again.
    pub(super) fn gap_may_close(&mut self) -> bool {
        let Some(gap) = &self.decoding.gap else {
            return false;
        };
        if self.looked.elapsed() < GAP_INTERVAL {
            return false;
        }
        self.looked = Instant::now();
        match gap.cause {
            Cause::Unacknowledged(_) => self.quota.has_room(&self.writer),
            Cause::Disk(_) => self.writer.probe().is_ok(),
        }
    }

    /// From here on whoever goes on with this [`Decoding`] closes the gap first.
    pub(super) fn announce_close(&mut self) {
        if let Some(gap) = &mut self.decoding.gap {
            gap.is_closing = true;
        }
    }

    /// Stores the gap: how many lines were left out, and those that were kept. Says whether that could be done.
    pub(super) fn close_gap(&mut self) -> bool {
        let Some(mut gap) = self.decoding.gap.take() else {
            return true;
        };
        let begin = self.decoding.next;
        let notice = gap.notice();
        let at = gap
            .tail()
            .next()
            .map_or_else(Timestamp::now, |kept| kept.at);
        let notice = notice.iter().map(|line| (line.as_str(), at, false));
        let tail = gap
            .tail()
            .map(|kept| (kept.line.as_str(), kept.at, kept.is_error));
        for (line, at, is_error) in notice.chain(tail) {
            if self.decoding.next >= self.writer.next_seq() {
                self.writer.push(line, at, Some(is_error));
            }
            self.decoding.next += 1;
        }
        if let Err(error) = self.writer.try_flush() {
            tracing::warn!(%error, "output still cannot be stored");
            self.writer.rollback();
            self.decoding.next = begin;
            gap.is_closing = false;
            self.decoding.gap = Some(gap);
            return false;
        }
        self.note_left_out(&gap);
        self.renumber(Renumber {
            begin,
            left_out: gap.left_out(),
        });
        true
    }

    /// The lines that waited for room are stored: what is known of them gets their numbers.
    fn renumber(&mut self, renumber: Renumber) {
        self.decoding.decoder.renumber(renumber);
        for cause in &mut self.decoding.causes {
            let seqs = [&mut cause.from, &mut cause.to, &mut cause.line];
            for seq in seqs.into_iter().flatten() {
                renumber.apply(seq);
            }
        }
    }

    fn note_left_out(&mut self, gap: &Gap) {
        if gap.left_out() > 0 {
            let before = self
                .decoding
                .left_out
                .take()
                .map_or(0, |before| before.lines);
            self.decoding.left_out = Some(LeftOut {
                lines: before + gap.left_out(),
                cause: gap.cause.clone(),
            });
        }
    }

    /// The last attempt to store the gap: as much of it as there is room for.
    pub(super) fn close_gap_at_last(&mut self) {
        for bytes in [usize::MAX, FEW_BYTES, 0] {
            if let Some(gap) = &mut self.decoding.gap {
                gap.keep(bytes);
            }
            if self.close_gap() {
                return;
            }
        }
        if let Some(gap) = self.decoding.gap.take() {
            self.note_left_out(&gap);
        }
    }

    /// Writes `progress.json` if it changed and the last writing is long enough ago. Gives the time after
    /// which to call again.
    pub(super) fn write_progress(&mut self) -> Option<Duration> {
        if self.decoding.decoder.revision() == self.progress.revision {
            return None;
        }
        let wait = self
            .progress
            .written
            .map(|at| PROGRESS_INTERVAL.saturating_sub(at.elapsed()))
            .filter(|wait| !wait.is_zero());
        if wait.is_none() {
            self.write_progress_now();
        }
        wait
    }

    /// Writes `progress.json`. A failure is only logged: the footer holds the progress too.
    pub(super) fn write_progress_now(&mut self) {
        self.progress.revision = self.decoding.decoder.revision();
        self.progress.written = Some(Instant::now());
        if let Err(error) = spool::write_json(&self.progress.path, self.decoding.decoder.progress())
        {
            tracing::warn!(path = %self.progress.path.display(), %error, "cannot write the progress");
        }
    }

    pub(super) fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoding.decoder
    }

    /// The phase that the present program is in, if one began in it and is not over.
    pub(super) fn phase_of_step(&self) -> Option<Phase> {
        self.decoding.decoder.phase_of_step()
    }

    pub(super) fn is_activating(&self) -> bool {
        self.decoding.decoder.is_activating()
    }

    pub(super) fn progress(&self) -> &Progress {
        self.decoding.decoder.progress()
    }

    /// What the present program's output said.
    pub(super) fn decoder_ref(&self) -> &Decoder {
        &self.decoding.decoder
    }

    /// The same without secrets.
    pub(super) fn mask(&self, mut failure: Failure) -> Failure {
        for cause in &mut failure.causes {
            cause.summary = self.masker.text(&cause.summary);
            cause.name = cause.name.as_ref().map(|name| self.masker.text(name));
        }
        failure.message = self.masker.text(&failure.message);
        failure
    }

    /// A text without secrets.
    pub(super) fn masked(&self, text: &str) -> String {
        self.masker.text(text)
    }

    /// Notes why a program failed.
    pub(super) fn note_causes(&mut self, causes: impl IntoIterator<Item = protocol::Cause>) {
        self.decoding.causes.extend(causes);
        self.decoding.causes.truncate(MAX_CAUSES);
    }

    /// Why the run failed, as far as it has.
    pub(super) fn causes_mut(&mut self) -> &mut Vec<protocol::Cause> {
        &mut self.decoding.causes
    }

    /// Why the run failed. Lines that found no room in the log have no number.
    pub(super) fn causes(&self) -> Vec<protocol::Cause> {
        let total = self.decoding.next;
        let mut causes = self.decoding.causes.clone();
        for cause in &mut causes {
            for seq in [&mut cause.from, &mut cause.to, &mut cause.line] {
                *seq = seq.filter(|seq| *seq < total);
            }
        }
        causes
    }

    pub(super) fn next_seq(&self) -> Seq {
        self.decoding.next
    }

    /// The number of the next line, if all that wait find room.
    pub(super) fn next_line(&self) -> Seq {
        self.decoding.next + self.decoding.gap.as_ref().map_or(0, Gap::lines)
    }

    /// What the output so far said; to be asked for when all of it is stored.
    pub(super) fn decoding(&self) -> &Decoding {
        &self.decoding
    }

    /// What is gone for good so far.
    pub(super) fn left_out(&self) -> Option<&LeftOut> {
        self.decoding.left_out.as_ref()
    }

    pub(super) fn into_writer(self) -> LogWriter {
        self.writer
    }
}

/// Where the lines of one read go.
struct Sink<'a> {
    decoder: &'a mut Decoder,
    next: &'a mut Seq,
    masker: &'a Masker,
    masked: &'a mut mask::State,
    gap: Option<&'a mut Gap>,
    writer: &'a mut LogWriter,
    at: Timestamp,
}

impl Sink<'_> {
    fn line(&mut self, line: &str, of: Stream) {
        // The journal does not tell which of the two it was.
        let (is_error, may_be_error) = (of == Stream::Stderr, of != Stream::Stdout);
        let (next, writer) = (&mut *self.next, &mut *self.writer);
        let (masker, masked) = (self.masker, &mut *self.masked);
        let at = self.at;
        let mut gap = self.gap.as_deref_mut();
        let here = Position {
            at,
            next_seq: *next,
            waiting: gap.as_ref().map_or(0, |gap| gap.lines()),
        };
        self.decoder.line(line, may_be_error, here, &mut |line| {
            let line = &masker.line(masked, line);
            if let Some(gap) = gap.as_deref_mut() {
                return gap.push(line, at, is_error);
            }
            if *next >= writer.next_seq() {
                writer.push(line, at, Some(is_error));
            }
            *next += 1;
        });
    }
}
