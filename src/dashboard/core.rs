//! What every part of the dashboard works on.

use super::audit::{Action, Audit, Note};
use super::clock::ClockTrust;
use super::disk_work::DiskWork;
use super::fleet::{Errand, Fleet, Refusal, StopEffect};
use super::health::{Health, Part};
use super::intake::{HostRuns, MAX_SPARE};
use super::log_access::IndexMender;
use super::many::{aside, for_hosts};
use super::shared_threads::SharedThreads;
use super::state::{FollowUp, Lane, RunRecord, State, StateError, StopWish, StoredHost};
use super::syncer::Syncer;
use crate::lifecycle::{Guests, Shutdown};
use crate::protocol::{CommandName, HostId, Run, RunId, Timestamp, nonce};
use futures_util::future::join_all;
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Most folders of hosts that are tried in one look, as each takes a sync; the others have their turn in the next ones.
const FOLDERS_AT_A_TIME: usize = 16;

/// State, files and threads of a dashboard.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) fleet: Fleet,
    pub(crate) state: State,
    /// `DATA_DIR/logs`; the logs of a host are in a folder of its name.
    pub(crate) logs: PathBuf,
    pub(crate) syncer: Syncer,
    pub(crate) health: Arc<Health>,
    /// Who did what.
    pub(crate) audit: Arc<Audit>,
    pub(crate) counters: Counters,
    pub(crate) shutdown: Shutdown,
    /// The connections of agents and browsers.
    pub(crate) guests: Guests,
    /// The requests that change something, whether or not their clients are still there.
    pub(crate) deeds: Guests,
    /// Whether anything is to be ended by the clock.
    pub(crate) clock: Arc<ClockTrust>,
    /// Appends to logs.
    pub(crate) writes: DiskWork,
    /// Reads of logs for browsers.
    pub(crate) reads: DiskWork,
    /// Makes lost indexes anew.
    pub(super) mender: IndexMender,
    /// Held by whoever changes which hosts are shown.
    pub(super) showing: tokio::sync::Mutex<()>,
    /// Logs that are open beyond those that each host may have.
    pub(crate) spare_logs: Arc<Semaphore>,
    slots: Mutex<HashMap<HostId, Arc<tokio::sync::Mutex<HostRuns>>>>,
}

/// What `/metrics` counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) lines_stored: AtomicU64,
    /// New logs, which take room that their bytes on the wire do not tell of.
    pub(crate) logs_made: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) frames_received: AtomicU64,
    pub(crate) frames_sent: AtomicU64,
    pub(crate) lines_skipped: AtomicU64,
    pub(crate) browsers: AtomicU64,
}

/// What somebody asks for.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) command: CommandName,
    /// What to start once that was `ok`.
    pub(crate) then: Option<CommandName>,
    pub(crate) requested_by: String,
    /// How long each waits for its host.
    pub(crate) expires: Duration,
}

/// Why a command was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the command could not be stored, so it was not accepted: {0}")]
    NotStored(String),
    #[error("the system gave no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

impl Core {
    pub(crate) fn new(
        state: State,
        logs: PathBuf,
        syncer: Syncer,
        health: Arc<Health>,
        audit: Arc<Audit>,
        shutdown: Shutdown,
        clock: Arc<ClockTrust>,
    ) -> Self {
        let (fleet, counters, guests, deeds, mender, slots) = Default::default();
        let threads = SharedThreads::of_runtime();
        Self {
            fleet,
            state,
            logs,
            syncer,
            health,
            audit,
            counters,
            shutdown,
            guests,
            deeds,
            clock,
            writes: DiskWork::on(threads.clone()),
            reads: DiskWork::on(threads),
            mender,
            showing: tokio::sync::Mutex::default(),
            spare_logs: Arc::new(Semaphore::new(MAX_SPARE)),
            slots,
        }
    }

    /// The logs of a host.
    pub(crate) fn log_dir(&self, host_id: &HostId) -> PathBuf {
        self.logs.join(host_id.as_str())
    }

    /// The open logs of a host. Whoever holds the lock is the connection that may append.
    pub(crate) fn slot(self: &Arc<Self>, host_id: &HostId) -> Arc<tokio::sync::Mutex<HostRuns>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(host_id.clone()).or_insert_with(|| {
            Arc::new(tokio::sync::Mutex::new(HostRuns::new(
                host_id.clone(),
                self.log_dir(host_id),
            )))
        });
        Arc::clone(slot)
    }

    /// Closes the logs that hosts which are away have left open. Those of a host that is connected are its connection's.
    pub(crate) async fn close_left_behind(&self) {
        let slots: Vec<_> = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.values().cloned().collect()
        };
        let now = Instant::now();
        for slot in slots {
            if let Ok(mut runs) = slot.try_lock()
                && runs.has_open_logs()
            {
                self.writes.run(|| runs.close_left_behind(self, now)).await;
            }
        }
    }

    /// Stores the present state of a run at hand.
    pub(crate) async fn persist(
        self: &Arc<Self>,
        host_id: &HostId,
        run_id: &RunId,
    ) -> Result<(), StateError> {
        self.persist_in(Lane::Run, host_id, run_id).await
    }

    async fn persist_in(
        self: &Arc<Self>,
        lane: Lane,
        host_id: &HostId,
        run_id: &RunId,
    ) -> Result<(), StateError> {
        let (core, host, run) = (Arc::clone(self), host_id.clone(), run_id.clone());
        let latest = move || core.fleet.to_store(&host, &run);
        let saved = self.noted(self.state.save_run(lane, latest).await);
        let saved = saved.inspect_err(|_| self.fleet.not_stored(host_id, run_id))?;
        if let Some((change, follower)) = saved {
            if let Some(follower) = follower {
                self.queued(follower);
            }
            self.fleet.stored(host_id, run_id, change);
        }
        Ok(())
    }

    /// Stores the present state of a host. Where that fails `health` says so, and the next change is stored again.
    pub(crate) async fn save_host(self: &Arc<Self>, host_id: &HostId) {
        let (core, id) = (Arc::clone(self), host_id.clone());
        let latest = move || core.fleet.stored_host(&id);
        let _ = self.noted(self.state.save_host(host_id, latest).await);
    }

    /// Stores conflicts and choices between machines that changed, so that they outlive a restart.
    pub(crate) async fn save_machines(self: &Arc<Self>) {
        let unsaved = self.fleet.unsaved_machines();
        for (n, id) in unsaved.iter().enumerate() {
            let (core, host_id) = (Arc::clone(self), id.clone());
            let latest = move || core.fleet.stored_host(&host_id);
            if self.noted(self.state.save_host(id, latest).await).is_err() {
                self.fleet.machines_not_saved(&unsaved[n..]);
                return;
            }
        }
    }

    /// Stores what was known of hosts that exist no more, so that all of it is known again once they are named again.
    pub(crate) async fn save_dropped(&self, dropped: Vec<(HostId, StoredHost)>) {
        let saved = dropped.into_iter().map(async |(id, stored)| {
            let _ = self.noted(self.state.save_host(&id, move || Some(stored)).await);
        });
        join_all(saved).await;
    }

    /// Shows a run that was stored and has it begun.
    fn queued(&self, record: RunRecord) {
        let Run {
            host_id,
            run_id,
            command,
            ..
        } = record.run.clone();
        let by = record.run.requested_by.as_deref();
        let after = record.run.after.as_ref().map(RunId::as_str);
        tracing::info!(host = %host_id, run = %run_id, %command, by, after, "run requested");
        self.fleet.add_run(record);
        self.fleet.send(&host_id, Errand::Begin(run_id));
    }

    /// Tells of two living machines with the token of one host, and of the end of that.
    pub(crate) async fn tell_conflict(self: &Arc<Self>, host_id: &HostId, is_over: bool) {
        self.save_machines().await;
        let detail = if is_over {
            "conflict over: the other machines are gone, or the chosen one is back"
        } else {
            "two machines use the token of this host: no command is sent to either until one is gone or was chosen"
        };
        tracing::warn!(host = %host_id, "{detail}");
        let note = Note::of_dashboard(Action::Conflict).host(host_id);
        self.audit.done(note.detail(detail)).await;
    }

    /// A message of ours as somebody may read it who is not to learn how this machine is laid out: paths begin in the
    /// data folder.
    pub(crate) fn without_paths(&self, message: &str) -> String {
        match self.logs.parent() {
            Some(folder) => message.replace(&format!("{}/", folder.display()), ""),
            None => message.to_owned(),
        }
    }

    /// Tells `health` how writing went.
    pub(crate) fn noted<T>(&self, result: Result<T, StateError>) -> Result<T, StateError> {
        if let Err(error) = &result {
            self.health.fault(&Part::Database, &error.to_string());
        }
        result
    }

    /// Whether things can be stored again; asked for while they could not. Logs that are open are tried again by
    /// those who write them; of others the folder is tried.
    pub(crate) async fn probe(&self) {
        if self.health.has(&Part::Database) && self.state.probe().await.is_ok() {
            self.health.well(&Part::Database);
        }
        if self.health.has(&Part::Audit) {
            self.audit.try_again();
        }
        let untried = self.health.untried(Instant::now());
        for (host_id, runs) in untried.into_iter().take(FOLDERS_AT_A_TIME) {
            let dir = self.log_dir(&host_id);
            let written = tokio::task::spawn_blocking(move || try_folder(&dir)).await;
            let is_well = matches!(written, Ok(Ok(())));
            for run_id in runs {
                let part = Part::Log(host_id.clone(), run_id);
                if is_well {
                    self.health.well(&part);
                } else {
                    self.health.tried(&part);
                }
            }
        }
    }

    /// How the dashboard is, in words.
    pub(crate) fn summary(&self) -> String {
        let (hosts, online) = self.fleet.count();
        let mut summary = format!("{online} of {hosts} hosts online");
        if let Some(warning) = self.clock.warning() {
            summary += &format!("; {warning}");
        }
        for warning in self.health.warnings() {
            summary += &format!("; {warning}");
        }
        match self.health.reason() {
            Some(reason) => format!("{summary}; cannot store: {reason}"),
            None => summary,
        }
    }

    /// Takes a command for each of these hosts; all that can be taken are on disk when it returns. It goes on
    /// to its end even when nobody waits for that any more. Runs are boxed, so that a refusal takes little memory.
    pub(crate) async fn enqueue(
        self: &Arc<Self>,
        host_ids: &[HostId],
        order: Order,
    ) -> Vec<Result<Box<Run>, CommandError>> {
        let (core, host_ids) = (Arc::clone(self), host_ids.to_vec());
        let taken = tokio::spawn(async move { core.take(&host_ids, &order).await });
        taken.await.unwrap_or_default()
    }

    async fn take(
        &self,
        host_ids: &[HostId],
        order: &Order,
    ) -> Vec<Result<Box<Run>, CommandError>> {
        let many = host_ids.len();
        let (mut answers, records) = for_hosts(many, || {
            let asked = host_ids.iter().map(|id| self.asked_for(id, order));
            let answers: Vec<_> = asked.collect();
            let taken = answers.iter().filter_map(|answer| answer.as_ref().ok());
            let records = taken.map(|record| RunRecord::clone(record)).collect();
            (answers, records)
        })
        .await;
        match self.noted(self.state.add_runs(records).await) {
            // At once: they are stored, and nobody may find a host free that has one of them.
            Ok(stored) => aside(many, || {
                let taken = answers.iter_mut().filter(|answer| answer.is_ok());
                for (answer, record) in taken.zip(stored) {
                    self.queued(record.clone());
                    *answer = Ok(Box::new(record));
                }
            }),
            Err(error) => {
                let reason = self.without_paths(&error.to_string());
                for answer in answers.iter_mut() {
                    if let Ok(record) = answer {
                        self.fleet.release(&record.run.host_id);
                        *answer = Err(CommandError::NotStored(reason.clone()));
                    }
                }
            }
        }
        aside(many, || {
            let answers = answers.into_iter();
            answers
                .map(|answer| answer.map(|record| Box::new(record.run)))
                .collect()
        })
    }

    /// Reserves the place for a run, whose id is yet to be found.
    fn asked_for(&self, host_id: &HostId, order: &Order) -> Result<Box<RunRecord>, CommandError> {
        let (nonce, next_nonce) = (nonce()?, nonce()?);
        let commands: Vec<_> = [Some(&order.command), order.then.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        self.fleet.reserve(host_id, &commands)?;
        let now = Timestamp::now();
        let run_id = RunId::compose(now, &order.command, 1);
        let mut run = Run::queued(run_id, host_id.clone(), order.command.clone());
        run.requested_by = Some(order.requested_by.clone());
        run.queued = Some(now);
        run.number = self.state.next_number();
        run.then.clone_from(&order.then);
        let expires_ms = i64::try_from(order.expires.as_millis()).unwrap_or(i64::MAX);
        let expires = now.millis().saturating_add(expires_ms);
        run.expires = Some(Timestamp::from_millis(expires));
        Ok(Box::new(RunRecord {
            nonce: Some(nonce),
            sent: false,
            follow_up: order.then.is_some().then_some(FollowUp {
                nonce: next_nonce,
                expires_ms,
            }),
            ..RunRecord::of(run)
        }))
    }

    /// Ends the current run of a host, or cancels the queued one.
    pub(crate) async fn stop(
        self: &Arc<Self>,
        host_id: &HostId,
        wish: StopWish,
    ) -> Result<Run, CommandError> {
        let (record, effect) = self.fleet.stop(host_id, wish)?;
        let run_id = record.run.run_id.clone();
        tracing::info!(host = %host_id, run = %run_id, command = %record.run.command, cancelled = effect == StopEffect::Cancelled, "stop requested");
        let (core, host_id) = (Arc::clone(self), host_id.clone());
        let stored =
            tokio::spawn(async move { core.persist_in(Lane::Request, &host_id, &run_id).await })
                .await;
        let stored = stored.unwrap_or(Err(StateError::Closed));
        stored.map_err(|error| CommandError::NotStored(self.without_paths(&error.to_string())))?;
        Ok(record.run)
    }
}

/// Writes, syncs and removes a file in a folder of logs.
fn try_folder(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join(".probe");
    let file = std::fs::File::create(&path)?;
    let written = file.write_all_at(&[0; 1 << 16], 0);
    let written = written.and_then(|()| file.sync_data());
    std::fs::remove_file(&path)?;
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::testing::{ask, host, open, order};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_that_is_dropped_half_way_leaves_no_host_busy_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let core = open(dir.path()).await;
        let hosts = [host("h1")];
        let request = core.enqueue(&hosts, order());
        // Once, and never again.
        let polled = futures_util::FutureExt::now_or_never(request);
        assert!(polled.is_none());
        while core.fleet.open_runs(&hosts[0]).is_empty() {
            tokio::task::yield_now().await;
        }
        let wish = StopWish {
            requested_by: "bob".into(),
            force: false,
            at: Timestamp::now(),
        };
        core.stop(&hosts[0], wish).await.unwrap();
        ask(&core).await;
    }
}
