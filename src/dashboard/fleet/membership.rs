//! Which hosts there are: the ones that the configuration names.

use super::{Fleet, Inner, Subject};
use crate::dashboard::state::{RunRecord, StoredHost};
use crate::protocol::{HostId, close};

/// What the database knows of hosts that are to be shown.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) hosts: Vec<(HostId, StoredHost)>,
    /// Those that go on, and the newest of each host.
    pub(crate) runs: Vec<RunRecord>,
    /// The newest deployments that the runs tell of.
    pub(crate) deployments: Vec<RunRecord>,
}

impl Fleet {
    /// Makes these hosts, and no others, the ones that exist, and takes in what the database knows of new ones. Nobody
    /// meets a new host before that: a machine that came first would take the place of what an admin decided.
    ///
    /// Gives those that exist no more, to be stored for when they are named again.
    pub(crate) fn show_only(
        &self,
        ids: impl IntoIterator<Item = HostId>,
        known: Remembered,
    ) -> Vec<(HostId, StoredHost)> {
        self.change(|inner| {
            let dropped = inner.keep_hosts(ids);
            inner.remember(known);
            dropped
        })
    }

    /// Makes these hosts, of which nothing is known, and no others, the ones that exist.
    #[cfg(test)]
    pub(crate) fn set_hosts(&self, ids: impl IntoIterator<Item = HostId>) {
        self.show_only(ids, Remembered::default());
    }
}

impl Inner {
    fn keep_hosts(&mut self, ids: impl IntoIterator<Item = HostId>) -> Vec<(HostId, StoredHost)> {
        let mut before = std::mem::take(&mut self.hosts);
        for id in ids {
            let host = before.remove(&id);
            if host.is_none() {
                self.show_host(&id);
            }
            self.hosts.insert(id, host.unwrap_or_default());
        }
        let mut dropped = Vec::with_capacity(before.len());
        for (id, host) in before {
            if let Some((_, inbox)) = &host.link {
                inbox.close(close::FORBIDDEN);
            }
            self.changes.forget(&Subject::Host(id.clone()));
            let stored = host.to_store();
            for entry in host.runs {
                self.changes
                    .forget(&Subject::Run(id.clone(), entry.record.run.run_id));
            }
            if stored != StoredHost::default() {
                dropped.push((id, stored));
            }
        }
        dropped
    }

    /// Takes in what the database remembers; what it says of hosts that no longer exist is passed over.
    fn remember(&mut self, known: Remembered) {
        for (id, stored) in known.hosts {
            if let Some(host) = self.hosts.get_mut(&id) {
                host.restore(&id, stored);
            }
        }
        for record in &known.deployments {
            if let Some(host) = self.hosts.get_mut(&record.run.host_id) {
                host.stored.note_deployment(record);
            }
        }
        for record in known.runs {
            let (host_id, run_id) = (record.run.host_id.clone(), record.run.run_id.clone());
            self.add_run(record);
            let host = self.hosts.get_mut(&host_id);
            if let Some(entry) = host.and_then(|host| host.entry_mut(&run_id)) {
                entry.is_from_before = true;
            }
        }
    }
}
