use super::commands::Refusal;
use super::inbox::Inbox;
use super::machines::{Conflict, Machines};
use super::metrics::Told;
use super::tail::{Tail, Watchers};
use crate::dashboard::state::{RunRecord, StoredHost};
use crate::protocol::{
    CommandName, Deployment, Facts, HostId, Metrics, Run, RunId, Status, Timestamp,
};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many ended runs of a host are kept at hand, so that a slow browser still hears of their ends.
const ENDED_RUNS: usize = 4;
/// An expiry that is off by less was not told by a wrong clock, in ms.
const TOLERANCE_MS: u64 = 60_000;

/// A host as browsers and other programs see it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HostView {
    id: HostId,
    online: bool,
    last_seen: Option<Timestamp>,
    clock_skew_ms: Option<i64>,
    host_id: HostId,
    protocol: Option<u32>,
    #[serde(flatten)]
    facts: Facts,
    pending_command: Option<CommandName>,
    metrics: Option<Metrics>,
    /// Null where it has none; absent where it did not change.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Option<Run>>,
    deployment: Option<Deployment>,
    /// The living machines that have its token, where there are more than one.
    conflict: Option<Conflict>,
}

impl HostView {
    /// Which host it is.
    pub(crate) fn id(&self) -> &HostId {
        &self.id
    }
}

/// What the connection of an agent is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Send the command of this run.
    Begin(RunId),
    /// Send the wish to stop this run.
    Stop(RunId),
}

/// A run at hand.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: RunRecord,
    pub(super) tail: Arc<Tail>,
    /// Grows from run to run as they became known.
    pub(super) order: u64,
    /// When it expires if it has not begun, by a clock that never jumps.
    pub(super) expires: Option<Instant>,
    /// It was asked for before the dashboard was started: when it expires is known by the clock alone.
    pub(super) is_from_before: bool,
    /// The version at which the browsers are to hear that it was queued.
    pub(super) announced: u64,
    /// How often its record changed, and which of these changes the database has.
    pub(super) changes: u64,
    pub(super) stored: u64,
    /// It is over, but its log is not durable: a row that says more than the files would have its host forget
    /// lines.
    pub(super) held: bool,
    /// The run that follows it is being stored, so that it cannot be taken back any more.
    pub(super) is_following: bool,
}

impl Entry {
    pub(super) fn view(&self) -> Run {
        let mut run = self.record.run.clone();
        run.lines = self.tail.lines();
        run.errors = self.tail.errors();
        run.stop_requested = self.record.stop_requested();
        run
    }

    /// The record, with as many lines as there are by now.
    pub(super) fn full_record(&self) -> RunRecord {
        RunRecord {
            run: self.view(),
            ..self.record.clone()
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.record.run.status.is_final()
    }

    /// Brings both forms of its expiry together once the clock is right. Of a run that was asked for since the start
    /// the time that is left is known, and the clock was wrong. Gives whether its record changed.
    pub(super) fn set_expiry(&mut self) -> bool {
        if self.is_from_before {
            self.expires = expiry(&self.record.run);
            return false;
        }
        let (Some(at), Some(told)) = (self.expires, self.record.run.expires) else {
            return false;
        };
        let left = at.saturating_duration_since(Instant::now()).as_millis();
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        let right = Timestamp::now().millis().saturating_add(left);
        if right.abs_diff(told.millis()) < TOLERANCE_MS {
            return false;
        }
        self.record.run.expires = Some(Timestamp::from_millis(right));
        self.changes += 1;
        true
    }

    /// Whether the database does not know how it ended.
    pub(super) fn is_unstored(&self) -> bool {
        !self.is_open() && self.stored != self.changes
    }
}

/// When a queued run expires, by a clock that never jumps.
pub(super) fn expiry(run: &Run) -> Option<Instant> {
    let left = run.expires?.millis() - Timestamp::now().millis();
    Instant::now().checked_add(Duration::from_millis(left.max(0).unsigned_abs()))
}

/// A host at hand.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) stored: StoredHost,
    pub(super) online: bool,
    /// It is on the machine of the dashboard.
    pub(super) has_our_clock: bool,
    pub(super) pending_command: Option<CommandName>,
    pub(super) metrics: Option<Metrics>,
    pub(super) metrics_told: Told,
    /// Its run is another one, or has another status, and browsers were not told yet.
    pub(super) run_changed: bool,
    /// At which version they were told so the last time.
    pub(super) run_version: u64,
    /// Runs that are not over, and the last few that are, in the order in which they became known.
    pub(super) runs: Vec<Entry>,
    /// A run is being stored, so no other may be asked for.
    pub(super) reserved: bool,
    /// The epoch of its connection, and how to reach that.
    pub(super) link: Option<(u64, Arc<Inbox>)>,
    pub(super) watchers: Arc<Watchers>,
    pub(super) machines: Machines,
}

impl Host {
    pub(super) fn view(&self, id: &HostId) -> HostView {
        self.view_with(id, Some(self.run_view()))
    }

    /// Its run, as browsers see it.
    pub(super) fn run_view(&self) -> Option<Run> {
        self.shown().map(Entry::view)
    }

    pub(super) fn view_with(&self, id: &HostId, run: Option<Option<Run>>) -> HostView {
        HostView {
            id: id.clone(),
            online: self.online,
            last_seen: self.stored.last_seen,
            clock_skew_ms: self.stored.clock_skew_ms,
            host_id: id.clone(),
            protocol: self.stored.protocol,
            facts: self.stored.facts.clone(),
            pending_command: self.pending_command.clone(),
            metrics: self.metrics.clone(),
            run,
            deployment: self
                .stored
                .deployed
                .as_ref()
                .map(|deployed| deployed.deployment.clone()),
            conflict: self.machines.conflict(),
        }
    }

    /// What the database is to remember.
    pub(super) fn to_store(&self) -> StoredHost {
        StoredHost {
            machines: self.machines.stored(),
            ..self.stored.clone()
        }
    }

    /// Takes in what the database remembers.
    pub(super) fn restore(&mut self, id: &HostId, mut stored: StoredHost) {
        // Those that came meanwhile are newer.
        if let Some(machines) = stored.machines.take()
            && self.machines.is_empty()
        {
            match Machines::restored(machines) {
                Ok(machines) => self.machines = machines,
                Err(error) => {
                    tracing::warn!(host = %id, %error, "the machines that use the token of this host cannot be read from the database: a conflict or a choice between them is forgotten");
                }
            }
        }
        self.stored = stored;
    }

    /// The current run, or else the latest.
    pub(super) fn shown(&self) -> Option<&Entry> {
        self.current().or(self.latest())
    }

    /// The newest run, whatever became known last: a lost one may end much later.
    fn latest(&self) -> Option<&Entry> {
        self.runs.iter().max_by_key(|entry| entry.record.rank())
    }

    /// The run that goes on, or else is queued.
    pub(super) fn current(&self) -> Option<&Entry> {
        let running = self
            .runs
            .iter()
            .find(|entry| entry.record.run.status == Status::Running);
        running.or_else(|| self.runs.iter().find(|entry| entry.is_open()))
    }

    pub(super) fn entry(&self, run_id: &RunId) -> Option<&Entry> {
        self.runs
            .iter()
            .find(|entry| entry.record.run.run_id == *run_id)
    }

    pub(super) fn entry_mut(&mut self, run_id: &RunId) -> Option<&mut Entry> {
        self.runs
            .iter_mut()
            .find(|entry| entry.record.run.run_id == *run_id)
    }

    /// Takes a run in, unless it is there already; gives the runs that had to go for it.
    pub(super) fn insert(&mut self, record: RunRecord, order: u64, announced: u64) -> Vec<RunId> {
        if self.entry(&record.run.run_id).is_none() {
            let tail = Tail::new(
                record.run.lines,
                record.run.errors,
                Arc::clone(&self.watchers),
            );
            self.runs.push(Entry {
                expires: expiry(&record.run),
                is_from_before: false,
                record,
                tail: Arc::new(tail),
                order,
                announced,
                changes: 0,
                stored: 0,
                held: false,
                is_following: false,
            });
        }
        self.let_go()
    }

    /// Lets go of ended runs beyond the last few, unless their ends are known here alone; gives their ids.
    pub(super) fn let_go(&mut self) -> Vec<RunId> {
        let mut ended = self.runs.iter().filter(|entry| !entry.is_open()).count();
        let latest = self.latest().map(|entry| entry.order);
        let mut gone = Vec::new();
        self.runs.retain(|entry| {
            let stays = Some(entry.order) == latest
                || ended <= ENDED_RUNS
                || entry.is_open()
                || entry.is_unstored();
            if !stays {
                ended -= 1;
                gone.push(entry.record.run.run_id.clone());
            }
            stays
        });
        gone
    }

    /// Cancels the run that is to follow one that ended, before it is stored; gives the one that ended.
    pub(super) fn drop_follower(&mut self, host_id: &HostId) -> Result<RunRecord, Refusal> {
        let mut runs = self.runs.iter_mut();
        let ended = runs.find(|entry| entry.record.is_followed());
        let ended = ended.ok_or_else(|| Refusal::NothingToStop(host_id.clone()))?;
        if ended.is_following {
            return Err(Refusal::Reserved(host_id.clone()));
        }
        ended.record.follow_up = None;
        ended.changes += 1;
        self.reserved = false;
        Ok(ended.full_record())
    }
}
