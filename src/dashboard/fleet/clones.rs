//! Hosts whose token more than one living machine has.

use super::host::Entry;
use super::{Arrival, Fleet, MachineKey};
use crate::protocol::{HostId, OfferedRun, Register, RunId, Status, close};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

impl Fleet {
    /// A machine comes with the token of this host.
    pub(crate) fn arrive(
        &self,
        host_id: &HostId,
        register: &Register,
        address: Option<IpAddr>,
    ) -> Arrival {
        self.change(|inner| {
            let Some(host) = inner.hosts.get_mut(host_id) else {
                return Arrival::Welcome;
            };
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

    /// The hosts of whose machines all but one have gone by now.
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

    /// The runs that are among these and are held for running under another host, which is not connected: their host
    /// has another name now.
    pub(crate) fn of_former_names(
        &self,
        host_id: &HostId,
        offered: &[OfferedRun],
    ) -> Vec<(HostId, RunId)> {
        if offered.is_empty() {
            return Vec::new();
        }
        let nonces = offered.iter().map(|run| (&run.run_id, &run.nonce));
        let nonces: HashMap<_, _> = nonces.filter(|(_, nonce)| nonce.is_some()).collect();
        let inner = self.lock();
        let others = inner.hosts.iter();
        let others = others.filter(|(id, host)| *id != host_id && host.link.is_none());
        let runs = others.flat_map(|(id, host)| host.runs.iter().map(move |entry| (id, entry)));
        let same = runs.filter(|(_, Entry { record, .. })| {
            record.run.status == Status::Running
                && nonces.get(&record.run.run_id) == Some(&&record.nonce)
        });
        same.map(|(id, entry)| (id.clone(), entry.record.run.run_id.clone()))
            .collect()
    }

    /// Ends a conflict in favour of the machine with this boot id. `false` if there is no such conflict or machine.
    pub(crate) fn choose_machine(&self, host_id: &HostId, boot_id: &str) -> bool {
        self.change(|inner| {
            let Some(host) = inner.hosts.get_mut(host_id) else {
                return false;
            };
            let Some(is_connected) = host.machines.choose(boot_id) else {
                return false;
            };
            if !is_connected && let Some((_, link)) = &host.link {
                link.close.send_replace(Some(close::FORBIDDEN));
            }
            inner.show_host(host_id);
            true
        })
    }
}
