//! Runs as the intake moves them on and the browsers follow them.

use super::host::Entry;
use super::{Fleet, Inner, Tail};
use crate::dashboard::state::RunRecord;
use crate::protocol::{CommandName, HostId, Progress, RunId, Status};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Said of a run that waits for the clock.
const HELD: &str = "this run waits until the dashboard's clock is right: the clock is not trusted, and the dashboard was restarted since the run was requested, so it may have expired. Set the time of the dashboard's machine (see /health), or cancel this run";

/// A run whose log a browser follows.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    pub(crate) run_id: RunId,
    pub(crate) command: CommandName,
    pub(crate) is_final: bool,
    pub(crate) tail: Arc<Tail>,
    pub(crate) order: u64,
}

impl Followed {
    fn of(entry: &Entry) -> Self {
        let run = &entry.record.run;
        Self {
            run_id: run.run_id.clone(),
            command: run.command.clone(),
            is_final: run.status.is_final(),
            tail: Arc::clone(&entry.tail),
            order: entry.order,
        }
    }
}

impl Inner {
    /// Takes a run in, as [`Fleet::add_run`] does.
    pub(super) fn add_run(&mut self, record: RunRecord) -> Option<Arc<Tail>> {
        let (host_id, run_id) = (record.run.host_id.clone(), record.run.run_id.clone());
        let announced = if record.run.status == Status::Queued {
            self.changes.version() + 1
        } else {
            0
        };
        self.runs_seen += 1;
        let order = self.runs_seen;
        let host = self.hosts.get_mut(&host_id)?;
        host.reserved = false;
        let gone = host.insert(record, order, announced);
        let tail = host.entry(&run_id).map(|entry| Arc::clone(&entry.tail));
        self.forget_runs(&host_id, gone);
        self.show_run(&host_id, &run_id);
        self.show_run_of_host(&host_id);
        tail
    }
}

impl Fleet {
    /// Takes a run in, unless it is at hand already or its host does not exist; a queued one is announced.
    pub(crate) fn add_run(&self, record: RunRecord) -> Option<Arc<Tail>> {
        self.change(|inner| inner.add_run(record))
    }

    /// Puts a run that is over out of sight.
    pub(crate) fn forget_run(&self, host_id: &HostId, run_id: &RunId) {
        self.change(|inner| {
            let Some(host) = inner.hosts.get_mut(host_id) else {
                return;
            };
            let before = host.runs.len();
            host.runs
                .retain(|entry| entry.is_open() || entry.record.run.run_id != *run_id);
            if host.runs.len() < before {
                inner.forget_runs(host_id, vec![run_id.clone()]);
                inner.show_run_of_host(host_id);
            }
        });
    }

    /// A run at hand.
    pub(crate) fn record(&self, host_id: &HostId, run_id: &RunId) -> Option<RunRecord> {
        let inner = self.lock();
        let entry = inner.hosts.get(host_id)?.entry(run_id)?;
        Some(entry.full_record())
    }

    /// The runs of a host that are not over, in the order in which they became known.
    pub(crate) fn open_runs(&self, host_id: &HostId) -> Vec<RunRecord> {
        let inner = self.lock();
        let Some(host) = inner.hosts.get(host_id) else {
            return Vec::new();
        };
        let open = host.runs.iter().filter(|entry| entry.is_open());
        open.map(Entry::full_record).collect()
    }

    /// How many runs of a host are not over.
    pub(crate) fn open_count(&self, host_id: &HostId) -> usize {
        let inner = self.lock();
        let host = inner.hosts.get(host_id);
        host.map_or(0, |host| {
            host.runs.iter().filter(|entry| entry.is_open()).count()
        })
    }

    /// Whether a run is at hand and not over.
    pub(crate) fn is_open(&self, host_id: &HostId, run_id: &RunId) -> bool {
        self.lock()
            .hosts
            .get(host_id)
            .and_then(|host| host.entry(run_id))
            .is_some_and(Entry::is_open)
    }

    /// All queued runs of the fleet whose time is over at `now`; for those that were sent, `grace` later.
    pub(crate) fn overdue(&self, now: Instant, grace: Duration) -> Vec<RunRecord> {
        let inner = self.lock();
        let is_overdue = |entry: &&Entry| {
            let grace = if entry.record.sent {
                grace
            } else {
                Duration::ZERO
            };
            entry.record.run.status == Status::Queued
                && entry.expires.is_some_and(|at| now >= at + grace)
        };
        let entries = inner.hosts.values().flat_map(|host| &host.runs);
        let overdue = entries.filter(is_overdue);
        overdue.map(|entry| entry.record.clone()).collect()
    }

    /// Whether the clock alone says when a run expires, as it was asked for before the dashboard was started.
    pub(crate) fn expires_by_clock(&self, host_id: &HostId, run_id: &RunId) -> bool {
        let inner = self.lock();
        let entry = inner.hosts.get(host_id).and_then(|host| host.entry(run_id));
        entry.is_some_and(|entry| entry.is_from_before && entry.expires.is_some())
    }

    /// Says of queued runs that expire by the clock that they wait for it while it is not believed. Gives those of
    /// which that is new, or no longer so.
    pub(crate) fn hold_for_clock(&self, is_believed: bool) -> Vec<(HostId, RunId)> {
        let mut inner = self.lock();
        let mut changed = Vec::new();
        for (id, host) in &mut inner.hosts {
            for entry in host.runs.iter_mut().filter(|entry| entry.is_from_before) {
                let run = &mut entry.record.run;
                let waits = run.status == Status::Queued && entry.expires.is_some();
                let is_held = run.message.as_deref() == Some(HELD);
                if is_held != (waits && !is_believed) {
                    run.message = (!is_held).then(|| HELD.to_owned());
                    entry.changes += 1;
                    changed.push((id.clone(), run.run_id.clone()));
                }
            }
        }
        for (host_id, run_id) in &changed {
            inner.show_run(host_id, run_id);
        }
        drop(inner);
        if !changed.is_empty() {
            self.browsers.wake();
        }
        changed
    }

    /// How long a queued run may still wait; for ever where there is no limit.
    pub(crate) fn time_left(&self, host_id: &HostId, run_id: &RunId) -> Option<Duration> {
        let inner = self.lock();
        let expires = inner.hosts.get(host_id)?.entry(run_id)?.expires?;
        Some(expires.saturating_duration_since(Instant::now()))
    }

    /// Changes a run at hand and shows it; its host, too, when the status changed. A status that is final
    /// stays, unless it is `lost`. Gives the run as it is then.
    pub(crate) fn update_run(
        &self,
        host_id: &HostId,
        run_id: &RunId,
        update: impl FnOnce(&mut RunRecord),
    ) -> Option<RunRecord> {
        self.change(|inner| {
            let host = inner.hosts.get_mut(host_id)?;
            let entry = host.entry_mut(run_id)?;
            let status = entry.record.run.status;
            if status.is_final() && status != Status::Lost {
                return None;
            }
            let before = (status, entry.record.stop_requested());
            update(&mut entry.record);
            entry.record.settle_follow_up();
            let is_followed = entry.record.is_followed();
            entry.changes += 1;
            let run = &mut entry.record.run;
            run.phase = if run.status == Status::Running {
                run.progress.phase()
            } else {
                None
            };
            entry.record.drop_refused_stop();
            let record = entry.full_record();
            host.stored.note_deployment(&record);
            // The place of the run that follows: nobody else's command comes between.
            host.reserved |= is_followed;
            if before == (record.run.status, record.stop_requested()) {
                inner.show_progress(host_id, run_id);
                return Some(record);
            }
            inner.show_run(host_id, run_id);
            if status != record.run.status {
                inner.show_run_of_host(host_id);
            }
            Some(record)
        })
    }

    /// Shows that the index of a finished run at hand was made anew; `false` where the run is not at hand.
    pub(crate) fn index_was_rebuilt(&self, host_id: &HostId, run_id: &RunId) -> bool {
        self.change(|inner| {
            let host = inner.hosts.get_mut(host_id);
            let Some(entry) = host.and_then(|host| host.entry_mut(run_id)) else {
                return false;
            };
            let run = &mut entry.record.run;
            (run.errors, run.index_rebuilt) = (None, true);
            entry.tail.advance(entry.tail.lines(), None);
            entry.changes += 1;
            inner.show_progress(host_id, run_id);
            true
        })
    }

    /// Shows how far a running run is.
    pub(crate) fn progress(&self, host_id: &HostId, run_id: &RunId, progress: Progress) {
        self.update_run(host_id, run_id, |record| {
            if record.run.status == Status::Running {
                record.run.progress = progress;
            }
        });
    }

    /// Shows how many lines a run has by now.
    pub(crate) fn show_lines(&self, host_id: &HostId, run_id: &RunId) {
        self.change(|inner| inner.show_progress(host_id, run_id));
    }

    /// The run of a host to follow first: the one that goes on. Without one, the order after which to look.
    pub(crate) fn follow(&self, host_id: &HostId) -> Result<Followed, u64> {
        let inner = self.lock();
        let host = inner.hosts.get(host_id);
        host.and_then(|host| host.current())
            .map(Followed::of)
            .ok_or(inner.runs_seen)
    }

    /// The next run of a host that became known after `order`.
    pub(crate) fn follow_next(&self, host_id: &HostId, order: u64) -> Option<Followed> {
        let inner = self.lock();
        inner
            .hosts
            .get(host_id)?
            .runs
            .iter()
            .find(|entry| entry.order > order)
            .map(Followed::of)
    }

    /// One run at hand, to follow.
    pub(crate) fn follow_run(&self, host_id: &HostId, run_id: &RunId) -> Option<Followed> {
        self.lock()
            .hosts
            .get(host_id)?
            .entry(run_id)
            .map(Followed::of)
    }
}
