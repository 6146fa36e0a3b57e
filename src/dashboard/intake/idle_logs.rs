//! Closes logs to which nothing is written for a while, and opens them again.
//!
//! Each open log takes two file descriptors. A host needs one log at a time; whatever else it has open is closed soon
//! after its last line, and all hosts together have a limit for such logs.

use super::HostRuns;
use super::open_run::{OpenRun, RETRY};
use crate::dashboard::core::Core;
use crate::dashboard::state::RunRecord;
use crate::protocol::{RunId, Seq};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Logs that each host may have open, whatever the others have.
const ASSURED: usize = 2;
/// How long such a log stays open after its last line.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The same for the other logs of a host, those that were written last apart.
const SPARE_IDLE_TIMEOUT: Duration = Duration::from_secs(1);
/// Most logs of one host that are open.
const MAX_OPEN: usize = 32;
/// Most logs of all hosts that are open beyond those that each may have.
pub(crate) const MAX_SPARE: usize = 1_024;

impl HostRuns {
    /// Whether one more log may be open.
    pub(super) fn has_room(&self) -> bool {
        let is_assured = self.open.len() < ASSURED;
        is_assured || (self.room() > 0 && self.no_spare_until.is_none())
    }

    /// How many more logs of this host may be open.
    pub(super) fn room(&self) -> usize {
        MAX_OPEN.saturating_sub(self.open.len())
    }

    /// When it is to be tried whether there is room for a log that waits for it; none where none waits.
    pub(super) fn opens_at(&self, now: Instant) -> Option<Instant> {
        if !self.waits_for_any_room() || self.room() == 0 {
            return None;
        }
        let later = self.no_spare_until.filter(|_| self.open.len() >= ASSURED);
        Some(later.unwrap_or(now))
    }

    /// Forgets that all logs beyond the assured ones were taken, once that is a while ago.
    pub(super) fn try_spare_again(&mut self, now: Instant) {
        self.no_spare_until.take_if(|until| now >= *until);
    }

    /// The open log of a run as [`opened`](Self::opened) gives it, if there is room for it.
    pub(super) fn opened_with_room(
        &mut self,
        core: &Core,
        record: &RunRecord,
    ) -> Option<&mut OpenRun> {
        let run_id = &record.run.run_id;
        if self.open.contains_key(run_id) {
            return self.opened(core, record);
        }
        let mut spare = None;
        if self.open.len() >= ASSURED && self.has_room() {
            spare = Arc::clone(&core.spare_logs).try_acquire_owned().ok();
            if spare.is_none() {
                self.no_spare_until = Some(Instant::now() + RETRY);
            }
        }
        if !self.has_room() {
            self.wait_for_room(run_id);
            return None;
        }
        let opened = self.opened(core, record)?;
        opened.spare = spare;
        Some(opened)
    }

    /// Opens the log of a run that goes on, if there is room for it, and shows what that told of the run.
    pub(super) async fn open_again(&mut self, core: &Arc<Core>, record: &RunRecord) {
        let opening = || {
            self.opened_with_room(core, record)
                .is_some_and(|open| open.go_on(core))
        };
        if core.writes.block(opening).await {
            self.show_rebuilt(core, &record.run.run_id);
        }
    }

    /// Whether there are logs to close.
    pub(crate) fn has_open_logs(&self) -> bool {
        !self.open.is_empty()
    }

    /// Where a run goes on whose log is closed.
    pub(super) fn closed_at(&self, run_id: &RunId) -> Option<Seq> {
        self.closed.get(run_id).map(|closed| closed.next_seq())
    }

    /// When [`close_idle`](Self::close_idle) has something to do.
    pub(super) fn closes_at(&self) -> Option<Instant> {
        let since = self.spare_since();
        let due = |(run_id, run): (&RunId, &OpenRun)| {
            let waits_for_sync = run.is_closing && !run.is_settled();
            let may_close = self.may_close(run_id, run) && !waits_for_sync;
            may_close.then(|| run.used + idle_timeout(run, since))
        };
        self.open.iter().filter_map(due).min()
    }

    /// Closes the logs to which nothing was written for a while, once all that is in them is on disk.
    pub(crate) fn close_idle(&mut self, core: &Core, now: Instant) {
        let since = self.spare_since();
        let is_due = |(run_id, run): &(&RunId, &OpenRun)| {
            self.may_close(run_id, run) && now >= run.used + idle_timeout(run, since)
        };
        let due = self.open.iter().filter(is_due);
        let due: Vec<RunId> = due.map(|(run_id, _)| run_id.clone()).collect();
        for run_id in due {
            let Some(mut run) = self.open.remove(&run_id) else {
                continue;
            };
            if !run.is_settled() {
                run.prepare_to_close(core);
                self.open.insert(run_id, run);
                continue;
            }
            // The connection looks no more at what became durable only now.
            if let Some(ack) = run.ack(&run_id) {
                self.reply(&ack);
            }
            if run.shown.1 != run.tail.lines() {
                core.fleet.show_lines(&self.host_id, &run_id);
            }
            match run.close() {
                Ok(closed) => drop(self.closed.insert(run_id, closed)),
                Err(error) => {
                    tracing::warn!(host = %self.host_id, run = %run_id, %error, "log closed; it has to be read from its start when it is opened again");
                }
            }
        }
    }

    /// Lets go of the logs of a host that is away: those of runs that are over, and those that are idle.
    pub(crate) fn close_left_behind(&mut self, core: &Core, now: Instant) {
        self.open
            .retain(|_, run| !(run.is_durable() && run.persisted));
        self.close_idle(core, now);
    }

    /// Whether a log may be closed once it was not written for a while. An agent without numbers of lines sends none
    /// again, so that its log must be there for each.
    fn may_close(&self, run_id: &RunId, run: &OpenRun) -> bool {
        run.is_idle() && self.single.as_ref() != Some(run_id)
    }

    /// Logs that were used last at this time or before are not among the assured ones; none where all are.
    fn spare_since(&self) -> Option<Instant> {
        if self.open.len() <= ASSURED {
            return None;
        }
        let mut used: Vec<Instant> = self.open.values().map(|run| run.used).collect();
        used.sort_unstable_by(|one, other| other.cmp(one));
        used.get(ASSURED).copied()
    }
}

fn idle_timeout(run: &OpenRun, spare_since: Option<Instant>) -> Duration {
    match spare_since {
        Some(since) if run.used <= since => SPARE_IDLE_TIMEOUT,
        _ => IDLE_TIMEOUT,
    }
}
