//! What the database knows of the runs at hand.

use super::Fleet;
use super::host::Entry;
use crate::dashboard::state::{RunRecord, ToStore};
use crate::protocol::{HostId, RunId};

impl Fleet {
    /// Shows a run as over, as [`update_run`](Self::update_run) does, before its log is durable: it is not
    /// stored before [`durable`](Self::durable).
    pub(crate) fn end_run(
        &self,
        host_id: &HostId,
        run_id: &RunId,
        update: impl FnOnce(&mut RunRecord),
    ) {
        self.entry(host_id, run_id, |entry| entry.held = true);
        self.update_run(host_id, run_id, update);
    }

    /// The whole log of a run that is over is on disk.
    pub(crate) fn durable(&self, host_id: &HostId, run_id: &RunId) {
        self.entry(host_id, run_id, |entry| entry.held = false);
    }

    /// What there is to store of a run, and which of its changes that is.
    pub(crate) fn to_store(&self, host_id: &HostId, run_id: &RunId) -> Option<(ToStore, u64)> {
        let mut inner = self.lock();
        let host = inner.hosts.get_mut(host_id)?;
        let is_deployed = host.stored.is_deployed_by(run_id);
        let stored = is_deployed.then(|| host.to_store());
        let entry = host.entry_mut(run_id)?;
        let is_over = !entry.is_open();
        if entry.held && is_over {
            return None;
        }
        entry.is_following = entry.record.is_followed();
        let to_store = ToStore {
            record: entry.full_record(),
            host: stored.filter(|_| is_over),
        };
        Some((to_store, entry.changes))
    }

    /// Notes that a run could not be stored, nor the one that follows it.
    pub(crate) fn not_stored(&self, host_id: &HostId, run_id: &RunId) {
        self.entry(host_id, run_id, |entry| entry.is_following = false);
    }

    /// Notes which change of a run the database has. Ended runs that had to wait for that are let go.
    pub(crate) fn stored(&self, host_id: &HostId, run_id: &RunId, change: u64) {
        let inner = &mut *self.lock();
        let Some(host) = inner.hosts.get_mut(host_id) else {
            return;
        };
        if let Some(entry) = host.entry_mut(run_id) {
            entry.stored = entry.stored.max(change);
            if entry.record.is_followed() && !entry.is_unstored() {
                entry.record.follow_up = None;
                entry.is_following = false;
                host.reserved = false;
            }
        }
        let gone = host.let_go();
        inner.forget_runs(host_id, gone);
    }

    /// The runs whose ends could have been stored and are not.
    pub(crate) fn unstored(&self) -> Vec<(HostId, RunId)> {
        let inner = self.lock();
        let entries = inner.hosts.values().flat_map(|host| &host.runs);
        let unstored = entries.filter(|entry| entry.is_unstored() && !entry.held);
        let ids = unstored.map(|entry| {
            let run = &entry.record.run;
            (run.host_id.clone(), run.run_id.clone())
        });
        ids.collect()
    }

    fn entry<T>(
        &self,
        host_id: &HostId,
        run_id: &RunId,
        with: impl FnOnce(&mut Entry) -> T,
    ) -> Option<T> {
        let mut inner = self.lock();
        let host = inner.hosts.get_mut(host_id)?;
        host.entry_mut(run_id).map(with)
    }
}
