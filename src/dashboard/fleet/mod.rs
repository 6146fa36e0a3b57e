//! The present state of all hosts and of the runs at hand: one lock, held briefly, no I/O under it.

mod changes;
mod choice;
#[cfg(test)]
mod choice_tests;
mod clones;
mod commands;
mod connections;
mod host;
mod host_update;
mod inbox;
mod machine_key;
mod machines;
mod membership;
mod metrics;
mod own_machine;
mod runs;
mod showing;
mod stored;
mod tail;
#[cfg(test)]
mod tests;

pub(crate) use changes::Subject;
pub(crate) use clones::Renamed;
pub(crate) use commands::{Refusal, StopEffect};
pub(crate) use host::{Errand, HostView};
pub(crate) use host_update::{Form, HostUpdate};
pub(crate) use inbox::{Inbox, Told};
pub(crate) use machine_key::MachineKey;
pub(crate) use machines::Arrival;
pub(crate) use membership::Remembered;
pub(crate) use metrics::MetricsRound;
pub(crate) use runs::Followed;
pub(crate) use tail::{Tail, Watchers};

use super::state::StoredHost;
use crate::protocol::{HostId, Run, RunId, Timestamp};
use changes::Changes;
use host::Host;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// All hosts.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    inner: Mutex<Inner>,
    browsers: Watchers,
}

#[derive(Debug, Default)]
struct Inner {
    /// Each in a box: the map itself is half empty.
    hosts: BTreeMap<HostId, Box<Host>>,
    changes: Changes,
    /// Grows with each change of a host's metrics.
    metrics_version: u64,
    runs_seen: u64,
    epochs: u64,
}

/// What a browser is told of a change.
#[derive(Debug)]
pub(crate) enum News {
    Host(HostUpdate),
    Queued(Box<Run>),
    Run(Box<Run>),
}

impl News {
    /// Of which host.
    pub(crate) fn host_id(&self) -> &HostId {
        match self {
            Self::Host(host) => host.id(),
            Self::Queued(run) | Self::Run(run) => &run.host_id,
        }
    }
}

impl Inner {
    /// These runs are no longer at hand.
    fn forget_runs(&mut self, host_id: &HostId, gone: Vec<RunId>) {
        for run_id in gone {
            self.changes.forget(&Subject::Run(host_id.clone(), run_id));
        }
    }
}

impl Fleet {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic under the lock leaves every field whole: each is replaced by one assignment.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes every browser.
    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.lock());
        self.browsers.wake();
        result
    }

    /// The version that the state has now: later changes are news to whoever has the hosts from now on.
    pub(crate) fn version(&self) -> u64 {
        self.lock().changes.version()
    }

    /// The ids of all hosts, in order.
    pub(crate) fn host_ids(&self) -> Vec<HostId> {
        self.lock().hosts.keys().cloned().collect()
    }

    /// One host.
    pub(crate) fn host(&self, host_id: &HostId) -> Option<HostView> {
        self.lock()
            .hosts
            .get(host_id)
            .map(|host| host.view(host_id))
    }

    /// What the database is to remember of a host.
    pub(crate) fn stored_host(&self, host_id: &HostId) -> Option<StoredHost> {
        let inner = self.lock();
        inner.hosts.get(host_id).map(|host| host.to_store())
    }

    /// Whether there is such a host.
    pub(crate) fn has(&self, host_id: &HostId) -> bool {
        self.lock().hosts.contains_key(host_id)
    }

    /// How many hosts there are, and how many of them are online.
    pub(crate) fn count(&self) -> (usize, usize) {
        let inner = self.lock();
        (
            inner.hosts.len(),
            inner.hosts.values().filter(|host| host.online).count(),
        )
    }

    /// The newest time at which this dashboard heard of a host or took a command, by its own clock.
    pub(crate) fn newest_time(&self) -> Option<Timestamp> {
        let inner = self.lock();
        let times = inner.hosts.values().flat_map(|host| {
            let queued = host.runs.iter().filter_map(|entry| entry.record.run.queued);
            queued.chain(host.stored.last_seen)
        });
        times.max()
    }

    /// Whether most of the hosts that are online have our time, give or take so many milliseconds. Hosts that have our
    /// very clock are not asked, and those on one machine count as one. None where no host said its time, or a single
    /// one has ours: that is no proof.
    pub(crate) fn most_have_our_time(&self, tolerance_ms: i64) -> Option<bool> {
        let inner = self.lock();
        let mut votes = BTreeMap::new();
        for (id, host) in &inner.hosts {
            if let Some(skew) = host.stored.clock_skew_ms
                && host.online
                && !host.has_our_clock
            {
                let machine = host.stored.facts.boot_id.as_deref();
                let agrees = skew.saturating_abs() <= tolerance_ms;
                votes.insert(machine.unwrap_or(id.as_str()), agrees);
            }
        }
        let agree = votes.values().filter(|agrees| **agrees).count();
        match votes.len() {
            0 => None,
            1 if agree == 1 => None,
            all => Some(2 * agree > all),
        }
    }

    /// Computes anew when queued runs expire, once the clock is right. Gives those whose records changed, to be stored.
    pub(crate) fn set_expiries(&self) -> Vec<(HostId, RunId)> {
        self.change(|inner| {
            let mut changed = Vec::new();
            for (id, host) in &mut inner.hosts {
                for entry in &mut host.runs {
                    if entry.set_expiry() {
                        changed.push((id.clone(), entry.record.run.run_id.clone()));
                    }
                }
            }
            for (host_id, run_id) in &changed {
                inner.show_run(host_id, run_id);
            }
            changed
        })
    }

    /// Forgets how far the clocks of the hosts are from ours: ours jumped, and they say it anew by and by.
    pub(crate) fn forget_skews(&self) {
        for host in self.lock().hosts.values_mut() {
            host.stored.clock_skew_ms = None;
        }
    }

    /// Wakes `bell` at every change of hosts and runs that is more than metrics.
    pub(crate) fn watch(&self, bell: &Arc<Notify>) {
        self.browsers.add(bell);
    }

    /// Wakes `bell` when the log of a run of this host grows.
    pub(crate) fn watch_output(&self, host_id: &HostId, bell: &Arc<Notify>) {
        if let Some(host) = self.lock().hosts.get(host_id) {
            host.watchers.add(bell);
        }
    }

    /// What changed after version `since`, oldest first, at most `limit` changes, hosts in this form; the version
    /// reached; and whether there may be more.
    pub(crate) fn news(&self, since: u64, limit: usize, form: Form) -> (Vec<News>, u64, bool) {
        let mut inner = self.lock();
        inner.show_waiting(Instant::now());
        let (subjects, reached) = inner.changes.since(since, limit);
        let more = subjects.len() >= limit;
        let mut news = Vec::with_capacity(subjects.len());
        for subject in subjects {
            match subject {
                Subject::Host(id) => news.extend(
                    inner
                        .hosts
                        .get(id)
                        .map(|host| News::Host(host.changes_since(id, since, form))),
                ),
                Subject::Run(id, run_id) => {
                    let Some(entry) = inner.hosts.get(id).and_then(|host| host.entry(run_id))
                    else {
                        continue;
                    };
                    if entry.announced > since {
                        news.push(News::Queued(Box::new(entry.view())));
                    }
                    news.push(News::Run(Box::new(entry.view())));
                }
            }
        }
        (news, reached, more)
    }
}
