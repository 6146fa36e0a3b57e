//! From the bytes of the child to the spool: split, decoded, stamped, written once a batch.

use super::lines::LineSplitter;
use crate::progress::Decoder;
use crate::protocol::{Progress, Seq, Timestamp};
use crate::runlog::LogWriter;
use crate::spool::{self, RunDir};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The least time between two writings of the progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// One of the child's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// What could not be stored.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Loss {
    /// How many lines, as they came from the decoder.
    pub(super) lines: u64,
    /// Why.
    pub(super) cause: String,
}

/// What the output so far said, as far as it matters to what follows.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Decoding {
    /// The number of the next line.
    next: Seq,
    decoder: Decoder,
    stdout: LineSplitter,
    stderr: LineSplitter,
    loss: Option<Loss>,
}

/// Writes the spool and `progress.json` of one run.
pub(super) struct Recorder {
    writer: LogWriter,
    decoding: Decoding,
    /// The number of the next line when the last batch was written.
    flushed: Seq,
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
    pub(super) fn new(writer: LogWriter, rundir: &RunDir, decoding: Decoding) -> Self {
        Self {
            flushed: writer.next_seq(),
            writer,
            decoding,
            progress: ProgressFile {
                path: rundir.progress(),
                revision: 0,
                written: None,
            },
        }
    }

    /// Bytes that were read from the child `at` that moment.
    pub(super) fn take(&mut self, stream: Stream, bytes: &[u8], at: Timestamp) {
        let (splitter, mut sink) = self.parts(stream, at);
        splitter.feed(bytes, &mut |line| sink.line(line));
    }

    /// The stream has ended; what is left of it is a line.
    pub(super) fn end(&mut self, stream: Stream, at: Timestamp) {
        let (splitter, mut sink) = self.parts(stream, at);
        splitter.finish_stream(&mut |line| sink.line(line));
    }

    fn parts(&mut self, stream: Stream, at: Timestamp) -> (&mut LineSplitter, Sink<'_>) {
        let decoding = &mut self.decoding;
        let splitter = match stream {
            Stream::Stdout => &mut decoding.stdout,
            Stream::Stderr => &mut decoding.stderr,
        };
        let sink = Sink {
            decoder: &mut decoding.decoder,
            next: &mut decoding.next,
            writer: &mut self.writer,
            at,
            is_error: stream == Stream::Stderr,
        };
        (splitter, sink)
    }

    /// Writes what came since the last call. What cannot be written is counted, and the child goes on.
    pub(super) fn flush(&mut self) {
        let next = self.writer.next_seq();
        if next > self.flushed
            && let Err(cause) = self.writer.flush()
        {
            let lines = next - self.flushed;
            self.decoding.next -= lines;
            match &mut self.decoding.loss {
                Some(loss) => loss.lines += lines,
                None => {
                    tracing::error!(%cause, "the output cannot be stored");
                    let cause = cause.to_string();
                    self.decoding.loss = Some(Loss { lines, cause });
                }
            }
        }
        self.flushed = self.writer.next_seq();
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

    pub(super) fn is_activating(&self) -> bool {
        self.decoding.decoder.is_activating()
    }

    pub(super) fn progress(&self) -> &Progress {
        self.decoding.decoder.progress()
    }

    pub(super) fn error_message(&self) -> Option<String> {
        self.decoding.decoder.error_message()
    }

    pub(super) fn next_seq(&self) -> Seq {
        self.decoding.next
    }

    /// What the output so far said; to be asked for when all of it is stored.
    pub(super) fn decoding(&self) -> &Decoding {
        &self.decoding
    }

    /// What could not be stored so far.
    pub(super) fn loss(&self) -> Option<&Loss> {
        self.decoding.loss.as_ref()
    }

    pub(super) fn into_writer(self) -> LogWriter {
        self.writer
    }
}

/// Where the lines of one read go.
struct Sink<'a> {
    decoder: &'a mut Decoder,
    next: &'a mut Seq,
    writer: &'a mut LogWriter,
    at: Timestamp,
    is_error: bool,
}

impl Sink<'_> {
    fn line(&mut self, line: &str) {
        let (next, writer) = (&mut *self.next, &mut *self.writer);
        let seq = *next;
        let (at, is_error) = (self.at, self.is_error);
        self.decoder.line(line, is_error, at, seq, &mut |line| {
            if *next >= writer.next_seq() {
                writer.push(line, at, Some(is_error));
            }
            *next += 1;
        });
    }
}
