//! Hosts as they come, say how they are, and go.

use super::{Fleet, Inbox};
use crate::dashboard::state::StoredHost;
use crate::protocol::{Heartbeat, HostId, Register, Timestamp, close};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Fleet {
    /// Puts a connection, which is told things by `inbox`, in the place of the one that a host had, which is told to
    /// close; gives the epoch of the new one. `None` when there is no such host.
    pub(crate) fn connect(&self, host_id: &HostId, inbox: Arc<Inbox>) -> Option<u64> {
        let mut inner = self.lock();
        inner.epochs += 1;
        let epoch = inner.epochs;
        let host = inner.hosts.get_mut(host_id)?;
        if let Some((_, before)) = host.link.replace((epoch, inbox)) {
            before.close(close::REPLACED);
        }
        Some(epoch)
    }

    /// Takes in what a host says of itself; it is online only [once it is told](Self::registered) that it is
    /// registered. Gives whether there is such a host.
    pub(crate) fn register(&self, host_id: &HostId, register: &Register) -> bool {
        self.change(|inner| {
            let Some(host) = inner.hosts.get_mut(host_id) else {
                return false;
            };
            let now = Timestamp::now();
            host.pending_command = None;
            host.stored = StoredHost {
                protocol: Some(register.protocol),
                facts: register.facts.clone(),
                last_seen: Some(now),
                clock_skew_ms: register.time.map(|time| time.millis() - now.millis()),
                deployed: host.stored.deployed.take(),
                machines: None,
            };
            inner.show_host(host_id);
            true
        })
    }

    /// Shows a host as online that was told that it is registered, unless a newer connection took over.
    pub(crate) fn registered(&self, host_id: &HostId, epoch: u64) {
        self.change(|inner| {
            let Some(host) = inner.hosts.get_mut(host_id) else {
                return;
            };
            if matches!(host.link, Some((newest, _)) if newest == epoch) {
                host.online = true;
                inner.show_host(host_id);
            }
        });
    }

    /// Takes in how a host is. Gives whether a fact changed, which is to be stored.
    pub(crate) fn heartbeat(&self, host_id: &HostId, beat: Heartbeat) -> bool {
        let mut inner = self.lock();
        let Some(host) = inner.hosts.get_mut(host_id) else {
            return false;
        };
        let now = Timestamp::now();
        host.machines.heard(Instant::now());
        let mut facts = host.stored.facts.clone();
        facts.generation = beat.generation;
        facts.system = beat.system;
        facts.revision = beat.revision;
        facts.behind = beat.behind;
        facts.reboot_required = beat.reboot_required;
        facts.systems = beat.systems;
        let changed = facts != host.stored.facts;
        let skew = beat.time.map(|time| time.millis() - now.millis());
        host.stored.facts = facts;
        host.stored.last_seen = Some(now);
        host.stored.clock_skew_ms = skew.or(host.stored.clock_skew_ms);
        host.metrics = beat.metrics.or(host.metrics.take());
        let busy = host.pending_command != beat.pending_command;
        host.pending_command = beat.pending_command;
        // Metrics alone wake nobody: browsers look for them once a second.
        inner.show_metrics(host_id);
        if (changed || busy) && inner.show_host(host_id) {
            drop(inner);
            self.browsers.wake();
        }
        changed
    }

    /// Takes in what the end of a run says of a host. Gives whether a fact changed, which is to be stored.
    pub(crate) fn learned(
        &self,
        host_id: &HostId,
        generation: Option<u64>,
        revision: Option<&String>,
    ) -> bool {
        self.change(|inner| {
            let Some(host) = inner.hosts.get_mut(host_id) else {
                return false;
            };
            let facts = &mut host.stored.facts;
            let before = (facts.generation, facts.revision.clone());
            facts.generation = generation.or(facts.generation);
            facts.revision = revision.cloned().or(facts.revision.take());
            if before == (facts.generation, facts.revision.clone()) {
                return false;
            }
            inner.show_host(host_id);
            true
        })
    }

    /// Shows a host as offline that was heard last so long ago, unless a newer connection took over:
    /// then it gives `false`.
    pub(crate) fn disconnect(&self, host_id: &HostId, epoch: u64, silence: Duration) -> bool {
        let now = Instant::now();
        let heard = now.checked_sub(silence).unwrap_or(now);
        let silence = i64::try_from(silence.as_millis()).unwrap_or(i64::MAX);
        self.change(|inner| {
            let Some(host) = inner.hosts.get_mut(host_id) else {
                return false;
            };
            if host
                .link
                .as_ref()
                .is_none_or(|(newest, _)| *newest != epoch)
            {
                return false;
            }
            host.link = None;
            host.online = false;
            host.machines.left(heard);
            if host.stored.last_seen.is_some() {
                let heard = Timestamp::now().millis().saturating_sub(silence);
                host.stored.last_seen = Some(Timestamp::from_millis(heard));
            }
            host.pending_command = None;
            inner.show_host(host_id);
            true
        })
    }

    /// Whether a host is connected.
    pub(crate) fn is_online(&self, host_id: &HostId) -> bool {
        self.lock()
            .hosts
            .get(host_id)
            .is_some_and(|host| host.online)
    }

    /// Closes the connections of these hosts with `code`.
    pub(crate) fn close(&self, host_ids: &[HostId], code: u16) {
        let inner = self.lock();
        for (_, inbox) in host_ids
            .iter()
            .filter_map(|id| inner.hosts.get(id)?.link.as_ref())
        {
            inbox.close(code);
        }
    }
}
