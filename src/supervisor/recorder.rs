//! From the bytes of the child to the spool: split, decoded, stamped, written once a batch.

use super::lines::LineSplitter;
use crate::progress::Decoder;
use crate::protocol::{Progress, Seq, Timestamp};
use crate::runlog::{LogError, LogWriter};
use crate::spool::{self, RunDir};
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
pub(super) struct Loss {
    /// How many lines, as they came from the decoder.
    pub(super) lines: u64,
    /// Why.
    pub(super) cause: LogError,
}

/// Writes the spool and `progress.json` of one run.
pub(super) struct Recorder {
    writer: LogWriter,
    decoder: Decoder,
    stdout: LineSplitter,
    stderr: LineSplitter,
    /// The number of the next line when the last batch was written.
    flushed: Seq,
    loss: Option<Loss>,
    progress: ProgressFile,
}

/// When `progress.json` was written, and what it holds.
struct ProgressFile {
    path: PathBuf,
    revision: u64,
    written: Option<Instant>,
}

impl Recorder {
    pub(super) fn new(writer: LogWriter, rundir: &RunDir) -> Self {
        Self {
            flushed: writer.next_seq(),
            writer,
            decoder: Decoder::new(),
            stdout: LineSplitter::default(),
            stderr: LineSplitter::default(),
            loss: None,
            progress: ProgressFile {
                path: rundir.progress(),
                revision: 0,
                written: None,
            },
        }
    }

    /// Bytes that were read from the child `at` that moment.
    pub(super) fn take(&mut self, stream: Stream, bytes: &[u8], at: Timestamp) {
        let (splitter, decoder, writer) = self.parts(stream);
        splitter.feed(bytes, &mut |line| {
            record(decoder, writer, line, stream, at);
        });
    }

    /// The stream has ended; what is left of it is a line.
    pub(super) fn end(&mut self, stream: Stream, at: Timestamp) {
        let (splitter, decoder, writer) = self.parts(stream);
        splitter.finish_stream(&mut |line| record(decoder, writer, line, stream, at));
    }

    fn parts(&mut self, stream: Stream) -> (&mut LineSplitter, &mut Decoder, &mut LogWriter) {
        let splitter = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        (splitter, &mut self.decoder, &mut self.writer)
    }

    /// Writes what came since the last call. What cannot be written is counted, and the child goes on.
    pub(super) fn flush(&mut self) {
        let next = self.writer.next_seq();
        if next > self.flushed
            && let Err(cause) = self.writer.flush()
        {
            let lines = next - self.flushed;
            match &mut self.loss {
                Some(loss) => loss.lines += lines,
                None => {
                    tracing::error!(%cause, "the output cannot be stored");
                    self.loss = Some(Loss { lines, cause });
                }
            }
        }
        self.flushed = self.writer.next_seq();
    }

    /// Writes `progress.json` if it changed and the last writing is long enough ago. Gives the time after
    /// which to call again.
    pub(super) fn write_progress(&mut self) -> Option<Duration> {
        if self.decoder.revision() == self.progress.revision {
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
        self.progress.revision = self.decoder.revision();
        self.progress.written = Some(Instant::now());
        if let Err(error) = spool::write_json(&self.progress.path, self.decoder.progress()) {
            tracing::warn!(path = %self.progress.path.display(), %error, "cannot write the progress");
        }
    }

    pub(super) fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }

    pub(super) fn progress(&self) -> &Progress {
        self.decoder.progress()
    }

    pub(super) fn error_message(&self) -> Option<String> {
        self.decoder.error_message()
    }

    pub(super) fn next_seq(&self) -> Seq {
        self.writer.next_seq()
    }

    /// What could not be stored so far.
    pub(super) fn loss(&self) -> Option<&Loss> {
        self.loss.as_ref()
    }

    pub(super) fn into_writer(self) -> LogWriter {
        self.writer
    }
}

fn record(
    decoder: &mut Decoder,
    writer: &mut LogWriter,
    line: &str,
    stream: Stream,
    at: Timestamp,
) {
    let is_error = stream == Stream::Stderr;
    decoder.line(line, is_error, at, writer.next_seq(), &mut |line| {
        writer.push(line, at, Some(is_error));
    });
}
