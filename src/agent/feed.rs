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
/// Under load the pause doubles up to this, so that a message carries several lines; a browser gets a frame every
/// 100 ms anyway.
const MAX_PAUSE: Duration = Duration::from_millis(40);

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
    pause: Duration,
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
            pause: PAUSE,
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
        let quiet = now.saturating_duration_since(self.lines_after);
        self.pause = if quiet > self.pause {
            PAUSE
        } else {
            MAX_PAUSE.min(self.pause * 2)
        };
        self.lines_after = if bytes < SMALL_BYTES {
            now + self.pause
        } else {
            now
        };
        self.due = Some(self.lines_after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Timestamp;
    use crate::runlog::{Header, LogWriter};

    /// When messages go out of a run that writes a line every `every` milliseconds, and with how many lines.
    fn messages(every: u64, lines: u64) -> Vec<(Duration, usize)> {
        let dir = tempfile::tempdir().unwrap();
        let run_id = RunId::new("2025-12-14T10-30-00-switch").unwrap();
        let header = Header::started_at(
            HostId::new("h1").unwrap(),
            CommandName::new("switch").unwrap(),
            Timestamp::from_millis(0),
        );
        let mut log = LogWriter::create(dir.path(), &run_id, &header).unwrap();
        let mut feed = Feed::new(LogReader::open(dir.path(), &run_id).unwrap(), 0);
        let (mut batch, mut sent) = (Batch::default(), Vec::new());
        let began = Instant::now() + PAUSE;
        for milli in 0..every * lines {
            let now = began + Duration::from_millis(milli);
            if milli % every == 0 {
                log.push("a line", Timestamp::from_millis(0), Some(false));
                log.flush().unwrap();
                feed.wake();
                // As a session does, which sends the progress.
                feed.progress_changed = false;
            }
            while feed.due().is_some_and(|due| due <= now) {
                if matches!(feed.step(&mut batch, now), Ok(Step::Lines)) {
                    sent.push((now - began, batch.len()));
                    feed.sent(100, now);
                }
            }
        }
        sent
    }

    #[test]
    fn a_line_after_a_quiet_moment_goes_at_once_and_alone() {
        let sent = messages(200, 5);
        let times: Vec<_> = sent.iter().map(|(at, _)| at.as_millis()).collect();
        assert_eq!(times, [0, 200, 400, 600, 800]);
        assert!(sent.iter().all(|(_, lines)| *lines == 1));
    }

    #[test]
    fn under_load_a_message_carries_several_lines_and_none_waits_for_100_ms() {
        let sent = messages(10, 100);
        assert_eq!(sent[0], (Duration::ZERO, 1));
        assert!(sent.len() <= 40, "{} messages", sent.len());
        for (one, next) in sent.iter().zip(&sent[1..]) {
            assert!(next.0 - one.0 < Duration::from_millis(100));
        }
    }
}
