//! What is still to be sent over one connection, run by run: the spool is the queue.

use super::feed::{Feed, Step};
use super::frames::OutputWriter;
use super::runs::Runs;
use crate::protocol::{HostId, RunId, Seq};
use crate::runlog::{Batch, LogError};
use std::collections::BTreeMap;
use std::time::Instant;

/// The runs that are being sent.
#[derive(Default)]
pub(super) struct Follower {
    feeds: BTreeMap<RunId, Feed>,
    batch: Batch,
    output: OutputWriter,
}

/// What is to be sent next.
pub(super) enum Next {
    /// A message.
    Message(Vec<u8>),
    /// The final status of a run, behind its last line.
    Status(RunId),
}

impl Follower {
    /// Sends `run_id` from line `seq` on, and its end behind the last one.
    pub(super) fn follow(&mut self, runs: &Runs, run_id: &RunId, seq: Seq) -> Result<(), LogError> {
        let feed = Feed::new(runs.open_log(run_id)?, seq);
        self.feeds.insert(run_id.clone(), feed);
        Ok(())
    }

    /// Whether `run_id` is being sent, or was sent as a whole.
    pub(super) fn follows(&self, run_id: &RunId) -> bool {
        self.feeds.contains_key(run_id)
    }

    /// The dashboard has it all.
    pub(super) fn forget(&mut self, run_id: &RunId) {
        self.feeds.remove(run_id);
    }

    /// Something in the folder of `run_id` changed.
    pub(super) fn wake(&mut self, run_id: &RunId) {
        if let Some(feed) = self.feeds.get_mut(run_id) {
            feed.wake();
        }
    }

    /// When there is something to do; `None` while there is nothing.
    pub(super) fn due(&self) -> Option<Instant> {
        self.feeds.values().filter_map(Feed::due).min()
    }

    /// The next message, if there is one now: of the run that goes on, else of the oldest.
    pub(super) fn next(&mut self, runs: &Runs, host_id: &HostId) -> Option<Next> {
        let now = Instant::now();
        loop {
            let run_id = self.most_urgent(runs, now)?;
            let feed = self.feeds.get_mut(&run_id)?;
            let live = runs
                .going_on()
                .filter(|live| *live.dir().run_id() == run_id);
            if let Some(progress) = feed.progress(live, now) {
                return Some(Next::Message(
                    feed.progress_message(host_id, &run_id, progress),
                ));
            }
            match feed.step(&mut self.batch, now) {
                Ok(Step::Nothing) => {}
                Ok(Step::Lines) => {
                    let text = self
                        .output
                        .write(host_id, &run_id, feed.command(), &self.batch);
                    feed.sent(text.len(), now);
                    return Some(Next::Message(text));
                }
                Ok(Step::Progress(progress)) => {
                    return Some(Next::Message(
                        feed.progress_message(host_id, &run_id, progress),
                    ));
                }
                Ok(Step::Status) => return Some(Next::Status(run_id)),
                Err(error) => {
                    tracing::error!(run = %run_id, "the lines of this run cannot be sent: {error}");
                    self.feeds.remove(&run_id);
                }
            }
        }
    }

    fn most_urgent(&self, runs: &Runs, now: Instant) -> Option<RunId> {
        let is_due = |feed: &Feed| feed.due().is_some_and(|due| due <= now);
        let live = runs.going_on().map(|live| live.dir().run_id());
        if let Some(run_id) = live
            && self.feeds.get(run_id).is_some_and(is_due)
        {
            return Some(run_id.clone());
        }
        let due = self.feeds.iter().find(|(_, feed)| is_due(feed));
        due.map(|(run_id, _)| run_id.clone())
    }
}
