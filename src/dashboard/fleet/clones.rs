//! Hosts whose token more than one living machine has.

use super::{Arrival, Fleet, MachineKey, own_machine};
use crate::protocol::{HostId, Register, RunId, Status, close};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

/// A run that its host tells of under another name than the one under which it was asked for.
#[derive(Debug)]
pub(crate) struct Renamed {
    /// The name under which the run began.
    pub(crate) former: HostId,
    /// Which run.
    pub(crate) run_id: RunId,
    /// The name that the host has now.
    pub(crate) now: HostId,
}

impl Fleet {
    /// A machine comes with the token of this host.
    pub(crate) fn arrive(
        &self,
        host_id: &HostId,
        register: &Register,
        address: Option<IpAddr>,
    ) -> Arrival {
        let has_our_clock = own_machine::has_our_clock(register, address);
        self.change(|inner| {
            let Some(host) = inner.hosts.get_mut(host_id) else {
                return Arrival::Welcome;
            };
            host.has_our_clock = has_our_clock;
            let replaces = host.link.is_some();
            let now = Instant::now();
            let arrival = host.machines.arrive(register, address, replaces, now);
            if host.machines.is_in_conflict() {
                inner.show_host(host_id);
            }
            arrival
        })
    }

    /// A machine whose connection another one took over answered after that. `true` if it is now known that there are
    /// two, and was not before.
    pub(crate) fn answered(&self, host_id: &HostId, key: &MachineKey) -> bool {
        self.change(|inner| {
            let host = inner.hosts.get_mut(host_id);
            let is_new = host.is_some_and(|host| host.machines.answered(key, Instant::now()));
            if is_new {
                inner.show_host(host_id);
            }
            is_new
        })
    }

    /// Whether two living machines have the token of this host.
    pub(crate) fn is_in_conflict(&self, host_id: &HostId) -> bool {
        let inner = self.lock();
        let host = inner.hosts.get(host_id);
        host.is_some_and(|host| host.machines.is_in_conflict())
    }

    /// Whether it is not clear that the machine that is connected is the only one, so that it gets no command.
    pub(crate) fn is_withheld(&self, host_id: &HostId) -> bool {
        let inner = self.lock();
        let host = inner.hosts.get(host_id);
        host.is_some_and(|host| host.machines.is_withheld(Instant::now()))
    }

    /// The hosts of which it is clear again which machine they are.
    pub(crate) fn settle_conflicts(&self, now: Instant) -> Vec<HostId> {
        let mut inner = self.lock();
        let hosts = inner.hosts.iter_mut();
        let settled = hosts.filter_map(|(id, host)| host.machines.settle(now).then(|| id.clone()));
        let settled: Vec<HostId> = settled.collect();
        for id in &settled {
            inner.show_host(id);
        }
        drop(inner);
        if !settled.is_empty() {
            self.browsers.wake();
        }
        settled
    }

    /// The hosts whose conflict or choice between machines changed since it was stored.
    pub(crate) fn unsaved_machines(&self) -> Vec<HostId> {
        let mut inner = self.lock();
        let hosts = inner.hosts.iter_mut();
        let unsaved =
            hosts.filter_map(|(id, host)| host.machines.take_unsaved().then(|| id.clone()));
        unsaved.collect()
    }

    /// They could not be stored.
    pub(crate) fn machines_not_saved(&self, host_ids: &[HostId]) {
        let mut inner = self.lock();
        for id in host_ids {
            if let Some(host) = inner.hosts.get_mut(id) {
                host.machines.not_saved();
            }
        }
    }

    /// The runs that are held for running under a host which is not connected, and that another host has as well:
    /// the first is a former name of the second.
    pub(crate) fn renamed(&self) -> Vec<Renamed> {
        let inner = self.lock();
        let away = inner.hosts.iter().filter(|(_, host)| host.link.is_none());
        let runs =
            away.flat_map(|(id, host)| host.runs.iter().map(move |entry| (id, &entry.record)));
        let runs = runs
            .filter(|(_, record)| record.run.status == Status::Running && record.nonce.is_some());
        let former: HashMap<_, _> = runs
            .map(|(id, record)| ((&record.run.run_id, &record.nonce), id))
            .collect();
        if former.is_empty() {
            return Vec::new();
        }
        let here = inner.hosts.iter().filter(|(_, host)| host.link.is_some());
        let runs =
            here.flat_map(|(id, host)| host.runs.iter().map(move |entry| (id, &entry.record)));
        let same = runs.filter_map(|(now, record)| {
            let former = former.get(&(&record.run.run_id, &record.nonce))?;
            Some(Renamed {
                former: HostId::clone(former),
                run_id: record.run.run_id.clone(),
                now: now.clone(),
            })
        });
        same.collect()
    }

    /// Ends a conflict in favour of the machine with this boot id, or of one of two agents on it. `false` if there is
    /// no such conflict or machine, or two agents are meant.
    pub(crate) fn choose_machine(
        &self,
        host_id: &HostId,
        boot_id: &str,
        installation_id: Option<&str>,
    ) -> bool {
        self.change(|inner| {
            let Some(host) = inner.hosts.get_mut(host_id) else {
                return false;
            };
            let Some(is_connected) = host
                .machines
                .choose(boot_id, installation_id, Instant::now())
            else {
                return false;
            };
            if !is_connected && let Some((_, inbox)) = &host.link {
                inbox.close(close::FORBIDDEN);
            }
            inner.show_host(host_id);
            true
        })
    }
}
