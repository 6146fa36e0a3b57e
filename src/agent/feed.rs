//! One run on its way to the dashboard: which line is next, and when the next message may go.

use super::frames;
use super::live::Live;
use crate::protocol::{
    CommandName, HostId, LINE_BATCH_BYTES, Progress, ProgressReport, RunId, Seq,
};
use crate::runlog::{Batch, LogError, LogReader};
use std::time::{Duration, Instant};

/// Bounds of a batch, so that the message around it has about [`LINE_BATCH_BYTES`].
const BATCH_BYTES: usize = LINE_BATCH_BYTES * 3 / 4;
const BATCH_LINES: usize = 512;

/// A shorter message of lines is followed by a pause, so that a child that prints line by line does not
/// cost a message a line. The first after a quiet moment goes at once.
const SMALL_BYTES: usize = LINE_BATCH_BYTES / 2;
const PAUSE: Duration = Duration::from_millis(5);

/// Between two messages of progress.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// One run that is being sent.
pub(super) struct Feed {
    reader: LogReader,
    next: Seq,
    stage: Stage,
    /// Before it there is nothing to do; `None` until somebody wakes it.
    due: Option<Instant>,
    lines_after: Instant,
    progress_after: Instant,
    progress_changed: bool,
    progress_sent: Option<Progress>,
}

enum Stage {
    Lines,
    /// All lines and the final progress are sent.
    Status,
    Done,
}

/// What a step came to.
pub(super) enum Step {
    Nothing,
    /// The batch holds the next lines.
    Lines,
    /// All lines are sent; this is how far the run came.
    Progress(Progress),
    /// The final status is next.
    Status,
}

impl Feed {
    /// Sends from line `next` on.
    pub(super) fn new(reader: LogReader, next: Seq) -> Self {
        let now = Instant::now();
        Self {
            reader,
            next,
            stage: Stage::Lines,
            due: Some(now),
            lines_after: now,
            progress_after: now,
            progress_changed: true,
            progress_sent: None,
        }
    }

    pub(super) fn command(&self) -> &CommandName {
        &self.reader.header().command
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Something in the folder of the run changed.
    pub(super) fn wake(&mut self) {
        self.progress_changed = true;
        self.due = Some(self.lines_after);
    }

    /// The progress of a run that goes on, if it is to be sent now.
    pub(super) fn progress(&mut self, live: Option<&Live>, now: Instant) -> Option<Progress> {
        let live = live?;
        if !self.progress_changed || now < self.progress_after {
            return None;
        }
        self.progress_changed = false;
        live.progress()
            .filter(|progress| self.progress_sent.as_ref() != Some(progress))
    }

    /// Writes a message of progress, and begins the pause behind it.
    pub(super) fn progress_message(
        &mut self,
        host_id: &HostId,
        run_id: &RunId,
        progress: Progress,
    ) -> Vec<u8> {
        self.progress_after = Instant::now() + PROGRESS_PAUSE;
        self.progress_sent = Some(progress.clone());
        frames::json(&ProgressReport {
            host_id: host_id.clone(),
            run_id: run_id.clone(),
            progress,
        })
    }

    /// Finds out what is next; lines are put into `batch`.
    pub(super) fn step(&mut self, batch: &mut Batch, now: Instant) -> Result<Step, LogError> {
        match self.stage {
            Stage::Lines => self.lines(batch, now),
            Stage::Status => {
                self.stage = Stage::Done;
                self.due = None;
                Ok(Step::Status)
            }
            Stage::Done => {
                self.due = None;
                Ok(Step::Nothing)
            }
        }
    }

    fn lines(&mut self, batch: &mut Batch, now: Instant) -> Result<Step, LogError> {
        if now < self.lines_after {
            self.due = Some(self.lines_after);
            return Ok(Step::Nothing);
        }
        self.reader
            .read(self.next, BATCH_LINES, BATCH_BYTES, batch)?;
        if !batch.is_empty() {
            self.next += batch.len() as u64;
            return Ok(Step::Lines);
        }
        match self.reader.footer()? {
            // Lines came between the two looks.
            Some(footer) if footer.result.lines > self.next => Ok(Step::Nothing),
            Some(footer) => {
                self.stage = Stage::Status;
                Ok(Step::Progress(footer.result.progress))
            }
            None => {
                self.due = self.progress_changed.then_some(self.progress_after);
                Ok(Step::Nothing)
            }
        }
    }

    /// The lines went out as a message of that length.
    pub(super) fn sent(&mut self, bytes: usize, now: Instant) {
        self.lines_after = if bytes < SMALL_BYTES {
            now + PAUSE
        } else {
            now
        };
        self.due = Some(self.lines_after);
    }
}
