//! What lines, search and download share: opening the log of a run, and reading it a piece at a time.

use super::runs;
use crate::dashboard::app::App;
use crate::dashboard::log_access::LogAccessError;
use crate::dashboard::problem::Problem;
use crate::protocol::{HostId, RunId, Seq, TimestampFormatter};
use crate::runlog::{Batch, LogError, LogReader};
use axum::body::{Body, Bytes};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;

/// How much of a log is read at a time, in bytes; an answer holds a few times as much in memory.
const PIECE_BYTES: usize = 64 * 1024;

/// The run that a path names.
#[derive(Deserialize)]
pub(crate) struct RunPath {
    /// The host.
    pub(super) id: HostId,
    /// The run.
    pub(super) run: RunId,
}

/// Opens the log of a run; none where the run has not begun.
///
/// # Errors
/// 404 where there is no such run, 410 where its log is gone.
pub(super) async fn open(app: &App, path: &RunPath) -> Result<Option<LogReader>, Problem> {
    let opened = app.core.open_log(&path.id, &path.run).await?;
    if opened.is_none() {
        runs::find(app, path).await?;
    }
    Ok(opened)
}

/// Does what reads from disk, where it stops no other request.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| Problem::internal(&error))??)
}

/// Some of a run's lines, read a piece at a time.
pub(super) struct Lines {
    reader: LogReader,
    next: Seq,
    end: Seq,
    batch: Batch,
}

impl Lines {
    /// The lines from `from` on, up to but not including `end`.
    pub(super) fn new(reader: LogReader, from: Seq, end: Seq) -> Self {
        Self {
            reader,
            next: from,
            end,
            batch: Batch::default(),
        }
    }

    /// The next lines, about 64 KiB of them; none at the end.
    pub(super) fn read(&mut self) -> Result<Option<&Batch>, LogError> {
        let left = self.end.saturating_sub(self.next);
        if left == 0 {
            return Ok(None);
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        self.reader
            .read(self.next, most, PIECE_BYTES, &mut self.batch)?;
        self.next += self.batch.len() as Seq;
        Ok((!self.batch.is_empty()).then_some(&self.batch))
    }
}

/// The lines as JSON: the inside of an array, a piece at a time.
pub(super) struct JsonLines {
    lines: Lines,
    begun: bool,
    times: TimestampFormatter,
}

impl JsonLines {
    /// Of these lines.
    pub(super) fn new(lines: Lines) -> Self {
        Self {
            lines,
            begun: false,
            times: TimestampFormatter::default(),
        }
    }

    /// The next piece; none at the end.
    pub(super) fn piece(&mut self) -> Result<Option<Vec<u8>>, LogError> {
        #[derive(Serialize)]
        struct Json<'a> {
            seq: Seq,
            timestamp: &'a str,
            is_error: Option<bool>,
            line: &'a str,
        }
        let Some(batch) = self.lines.read()? else {
            return Ok(None);
        };
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        for line in batch.iter() {
            if self.begun {
                piece.push(b',');
            }
            self.begun = true;
            let json = Json {
                seq: line.seq,
                timestamp: self.times.format(line.timestamp),
                is_error: line.is_error,
                line: line.line,
            };
            // Writing to memory cannot fail, and every field is text or a number.
            let _ = serde_json::to_writer(&mut piece, &json);
        }
        Ok(Some(piece))
    }
}

/// Does what reads the log of a run. Where the log does not fit its index, that is made anew for the next request.
///
/// # Errors
/// 503 where the index is made anew.
pub(super) async fn reading<T: Send + 'static>(
    app: &App,
    path: &RunPath,
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| Problem::internal(&error))?;
    done.map_err(|error| unreadable(app, path, error))
}

/// What is answered where a log cannot be read.
pub(super) fn unreadable(app: &App, path: &RunPath, error: LogError) -> Problem {
    if !error.is_corrupt() {
        return error.into();
    }
    tracing::warn!(%error, "log does not match its index: the index will be rebuilt");
    app.core.mend_later(&path.id, &path.run);
    LogAccessError::Mending(path.run.clone()).into()
}

/// A body whose pieces are made one by one, each when the client has taken the one before. No thread waits for a
/// slow client. On an error the body breaks off, and so does the connection.
pub(super) fn body(
    app: &Arc<App>,
    path: RunPath,
    next: impl FnMut() -> Result<Option<Vec<u8>>, LogError> + Send + 'static,
) -> Body {
    let of = (Arc::clone(&app.core), path);
    Body::from_stream(stream::try_unfold(
        (next, of),
        |(mut next, of)| async move {
            let made = tokio::task::spawn_blocking(move || next().map(|piece| (piece, next))).await;
            match made.map_err(io::Error::other)? {
                Ok((Some(piece), next)) => {
                    Ok::<_, io::Error>(Some((Bytes::from(piece), (next, of))))
                }
                Ok((None, _)) => Ok(None),
                Err(error) => {
                    tracing::error!(%error, "log download aborted");
                    if error.is_corrupt() {
                        of.0.mend_later(&of.1.id, &of.1.run);
                    }
                    Err(io::Error::other(error))
                }
            }
        },
    ))
}
